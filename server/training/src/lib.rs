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
//! | `run` | the phases, one behind the other |
//! | `prepare`, `host`, `configuration`, `environment`, `toolkit` | what a program finds: folders, files, variables |
//! | `input`, `pipe` | objects into files and FIFOs |
//! | `training`, `process`, `container`, `watch` | programs: started, watched, asked to end, ended |
//! | `lines`, `metrics` | what programs say |
//! | `mirror`, `publish`, `upload`, `files` | what programs leave, into objects |
//! | `ended` | what is remembered of a job whose programs have ended |
//! | `failure` | why jobs fail |

pub mod channel;
mod configuration;
mod container;
mod ended;
mod environment;
mod failure;
mod files;
mod host;
mod input;
pub mod job;
mod lines;
pub mod listener;
mod metrics;
mod mirror;
pub mod outcome;
mod pipe;
mod prepare;
mod process;
mod publish;
mod run;
pub mod stores;
mod toolkit;
mod training;
mod upload;
mod watch;

pub use channel::{Channel, Distribution, InputMode, Source};
pub use environment::ENGINE_INHERITED;
pub use job::{
    Checkpoints, Compression, HOSTS_MAX, INHERITED, Job, Limits, MetricDefinition, Output, Program,
};
pub use listener::{Listener, Phase};
pub use outcome::{Ended, FinalMetric, Outcome, Stop};
pub use process::sweep;
pub use stores::{Place, StoreError, Stores};
