//! XGBoost: trained by the real library, loaded at run time.
//!
//! `table` checks hyperparameters, `library` finds the shared object, `ffi` binds it, `collect` and `spill` gather rows in
//! memory or on the disk, `data` checks them, `booster` hands them over, `collective` joins several hosts, `training` runs the
//! rounds, `metric` and `rounds` measure them, `state` keeps them for a restart, `earlier` is a model to go on from, `folds`
//! trains k of them, `fit` puts it together.

mod booster;
mod collect;
mod collective;
mod data;
mod earlier;
mod ffi;
mod fit;
mod folds;
mod library;
mod metric;
mod rounds;
mod spill;
mod state;
mod table;
mod training;

use codecs::Format;
use estimator::{ChannelRule, Estimator, Labels};

/// XGBoost.
pub const ESTIMATOR: Estimator = Estimator {
    name: "xgboost",
    table: table::TABLE,
    channels: &[channel("train").required(), channel("validation")],
    default_content_type: "text/libsvm",
    is_distributed: true,
    is_incremental: true,
    takes_parquet: true,
    fit: fit::fit,
};

const fn channel(name: &'static str) -> ChannelRule {
    ChannelRule::new(name, Labels::Required, &[Format::Csv, Format::LibSvm, Format::RecordIo])
}
