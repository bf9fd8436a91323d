//! Batch transform: every object below a prefix through a model, and the answers as objects again: in the input's order, in
//! memory that does not grow with the input, all of an object or nothing, and resumable.
//!
//! The crate knows a model as a function from bytes to bytes ([`Model`]) and a store as `object_store` knows it; who starts a
//! transform (a job of the control plane, or a command line) is no concern of its.
//!
//! ```text
//! list ─► plan (shard, skip what is done) ─► read (ranged GETs) ─► gunzip ─► split ─► batch ─► window (concurrency, retries,
//!      input order) ─► process (filter, join) ─► assemble ─► upload (parts) ─► journal
//! ```
//!
//! Every arrow is bounded, so that a slow model or a slow store stops the reading.
//!
//! | module | is |
//! |---|---|
//! | [`settings`] | what a transform is asked to do, resolved and checked |
//! | [`store`] | a bucket or a directory: objects, and uploads in parts that can be found again |
//! | [`input`] | which objects there are, and where the output of each goes |
//! | [`read`] | an object's bytes: ranged, ahead, of one version, unpacked |
//! | [`batch`] | from bytes to runs of records |
//! | [`process`] | filters and joins of records, as pure functions |
//! | [`upload`] | an output object: parts, completion, and where to go on after a crash |
//! | [`journal`] | what is done, durably |
//! | [`object`] | one object through the pipeline |
//! | [`job`] | all objects: the parts put together |
//! | [`progress`] | what is counted, what failed, and what is told of it |

pub mod batch;
pub mod input;
pub mod job;
pub mod journal;
pub mod model;
pub mod object;
pub mod process;
pub mod progress;
pub mod read;
pub mod settings;
pub mod store;
pub mod upload;

pub use job::{Job, Outcome, Summary};
pub use model::{Model, Refusal};
pub use progress::{Failure, Listener, Progress};
pub use settings::{BatchStrategy, Compression, ErrorPolicy, PayloadLimit, Settings};
pub use store::{Store, Uploads};
