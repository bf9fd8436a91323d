//! What every algorithm is trained with. An [`Estimator`] is a name, a table of hyperparameters, rules for its channels and
//! a function [`fit`](Estimator::fit) from a [`Job`] to a [`Fitted`] model; everything that the function may touch is in the
//! job: rows by [`Channel`], peers by [`Cluster`], a place to go on from by [`Checkpoints`], lines by [`Log`].
//!
//! It knows no algorithm. The one idea: an algorithm never sees where its rows come from (files, pipes, a part of a
//! hold-out), nor whether they fit in memory.

mod channel;
mod checkpoints;
mod cluster;
mod error;
mod fitted;
mod gather;
mod hyperparameters;
mod job;
mod log;
mod parquet;
mod pipe;
mod rows;
mod rules;
mod selection;
mod stop;
mod store;

pub use channel::{Channel, InputMode, RowRules, TrainingContent, training_content_type};
pub use checkpoints::Checkpoints;
pub use cluster::{COLLECTIVE_PORT, Cluster, Meeting};
pub use error::TrainError;
pub use fitted::{Fitted, created_by, warm_up_rows};
pub use gather::Gather;
pub use hyperparameters::{Hyperparameter, Hyperparameters, Interval, Kind, Role};
pub use job::{Job, NativeLibraries, Resources};
pub use log::{Log, MetricKind, now_s};
pub use rows::{Order, Pass, Rows};
pub use rules::{ChannelRule, DistributionRule, Estimator, Labels};
pub use selection::Selection;
pub use stop::Stop;
