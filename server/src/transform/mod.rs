//! Batch transform in this program: what the engine (the `transform` crate) is given of ours. It knows a model as a function and
//! a store as objects; here are the models of the data plane, and the command that runs one transform.
//!
//! | module | is |
//! |---|---|
//! | [`batch_server`] | models that transforms ask, apart from those that endpoints serve |
//! | [`command`] | `clary transform`: one transform, from its start to its report |

pub mod batch_server;
pub mod command;
mod console;
mod failures;
mod model;
mod report;

pub use batch_server::{BatchModel, BatchServer};
