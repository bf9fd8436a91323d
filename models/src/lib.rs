//! Rows to predictions. One module per algorithm (its file format and `predict`), and [`Artifact`]: a checked,
//! unpacked `model.tar.gz`. Pure and synchronous: no async, no network, no clock, no environment, no payload format.
//!
//! A row's score is a pure function of (artifact, row): the same bits in any batch, beside any neighbour, on any
//! number of threads.

pub mod archive;
pub mod artifact;
pub mod kmeans;
pub mod linear_learner;
pub mod manifest;
pub mod xgboost;

mod error;
mod model;

pub use artifact::Artifact;
pub use error::{LoadError, PredictError};
pub use manifest::Manifest;
pub use model::{Input, LoadOptions, Model, Signature};
