//! Batch transform in this program: what the engine (the `transform` crate) is given of ours. It knows a model as a function and
//! a store as objects; here are the models of the data plane, and the command that runs one transform.
//!
//! | module | is |
//! |---|---|
//! | [`batch_server`] | models that transforms ask, apart from those that endpoints serve |
//! | `embedded` | uploads in parts to the embedded store |
//! | `fit` | whether what is asked goes with the model |
//! | [`command`] | `clary transform`: one transform, from its start to its report |
//! | `stream`, `objects`, `merge` | what it does: a stream, objects or a share of them, and what is left when all shares are done |

pub mod batch_server;
pub mod command;
mod console;
pub(crate) mod embedded;
mod failures;
pub(crate) mod fit;
mod job_folder;
mod merge;
mod model;
mod objects;
mod places;
mod report;
mod stream;

pub use batch_server::{BatchModel, BatchServer};
