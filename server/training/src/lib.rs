//! One training job on this machine: its data is fetched, its program is run as SageMaker runs a training container, its lines
//! are read for metrics, and what it leaves is uploaded.
//!
//! The crate knows neither HTTP nor the control plane: a job is a value ([`Job`]) in which everything is resolved, buckets are
//! what [`Stores`] gives, and whoever wants to know what happens is a [`Listener`].
//!
//! ```text
//! Starting ─► Downloading ─► Training ─► Uploading ─► Ended
//!  folders,    channels,      processes,   model.tar.gz,
//!  config      checkpoints    watched      output.tar.gz
//! ```
//!
//! A host is a folder that stands for `/opt/ml` and a process group on this machine; several hosts are several of both.
//!
//! | module | is |
//! |---|---|
//! | [`job`] | what a job is |
//! | [`channel`] | where its data comes from |
//! | [`stores`] | buckets by name, and places in them |
//! | [`listener`] | who is told |
//! | [`outcome`] | how it ends, and who may end it early |

pub mod channel;
pub mod job;
pub mod listener;
pub mod outcome;
mod run;
pub mod stores;

pub use channel::{Channel, Distribution, InputMode, Source};
pub use job::{
    Checkpoints, Compression, HOSTS_MAX, INHERITED, Job, Limits, MetricDefinition, Output, Program,
};
pub use listener::{Listener, Phase};
pub use outcome::{Ended, FinalMetric, Outcome, Stop};
pub use run::sweep;
pub use stores::{Place, StoreError, Stores};
