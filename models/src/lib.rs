//! Rows to predictions. One module per algorithm (its file format and `predict`), and [`Artifact`]: a checked,
//! unpacked `model.tar.gz`. Pure and synchronous: no async, no network, no clock, no environment, no payload format.
//!
//! A row's score is a pure function of (artifact, row): the same bits in any batch, beside any neighbour, on any
//! number of threads.

pub mod archive;
pub mod artifact;
pub mod factorization_machines;
pub mod kmeans;
pub mod knn;
pub mod lda;
pub mod linear_learner;
pub mod manifest;
pub mod pca;
pub mod randomcutforest;
pub mod xgboost;

mod digest;
mod error;
mod lanes;
mod members;
mod model;
mod mxnet;
mod recognise;
mod rows;
mod tensors;

pub use artifact::{Artifact, Member};
pub use error::{LoadError, PredictError};
pub use manifest::{Algorithm, Manifest};
pub use model::{Input, LoadOptions, Model, Signature};
