//! Trains linear-learner: binary and multi-class classifiers and regressors, many models at once, of which the best is kept.
//!
//! A first pass over a sample finds means and deviations (`scaler`). `grid` lists the models; they are the columns of one
//! matrix (`weights`), so that every batch is one matrix product forth and one back for all of them (`network`, `loss`), and
//! one step (`optimizer`). At every epoch's end models are compared (`training`, `criteria`); the best one of all epochs is
//! brought back to raw units, gets its threshold, and is scored on every channel (`finish`, `metrics`).

mod arithmetic;
mod criteria;
mod earlier;
mod finish;
mod fit;
mod grid;
mod loss;
mod metrics;
mod network;
mod optimizer;
mod scaler;
mod settings;
mod state;
mod table;
mod training;
mod weights;

#[cfg(test)]
mod tests;

use codecs::Format;
use estimator::{ChannelRule, DistributionRule, Estimator, Labels};

/// Linear learner.
pub const ESTIMATOR: Estimator = Estimator {
    name: "linear-learner",
    table: table::TABLE,
    channels: &[
        channel("train").required(),
        channel("validation").distribution(DistributionRule::FullyReplicated),
        channel("test").distribution(DistributionRule::FullyReplicated),
    ],
    default_content_type: "application/x-recordio-protobuf",
    is_distributed: true,
    is_incremental: true,
    takes_parquet: false,
    fit: fit::fit,
};

const fn channel(name: &'static str) -> ChannelRule {
    ChannelRule::new(name, Labels::Required, &[Format::Csv, Format::RecordIo]).by_pipe()
}
