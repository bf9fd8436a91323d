//! XGBoost: trained by the real library, loaded at run time.
//!
//! `table` checks hyperparameters, `library` finds the shared object, `ffi` binds it, `booster` makes it safe, `metric`
//! knows the metrics, `fit` runs the rounds.

mod booster;
mod ffi;
mod fit;
mod library;
mod metric;
mod rounds;
mod table;

use codecs::Format;
use estimator::{ChannelRule, DistributionRule, Estimator, Labels};

/// XGBoost.
pub const ESTIMATOR: Estimator = Estimator {
    name: "xgboost",
    table: table::TABLE,
    channels: &[rule("train", true), rule("validation", false)],
    default_content_type: "text/libsvm",
    is_distributed: false,
    fit: fit::fit,
};

const fn rule(name: &'static str, is_required: bool) -> ChannelRule {
    ChannelRule {
        name,
        is_required,
        labels: Labels::Required,
        formats: &[Format::Csv, Format::LibSvm, Format::RecordIo],
        distribution: DistributionRule::Any,
        takes_pipe: false,
    }
}
