//! Asynchronous inference: a durable queue between the call that is answered 202 and the object that holds its answer.
//!
//! QUEUED → downloading → invoking → uploading → gone; what fails leaves an object at the failure location. A request
//! stays in the queue until its outcome is stored, so that a restart runs it again: at least once, to the same place.
//!
//! | module | is |
//! |---|---|
//! | [`queue`] | the rows of the state file |
//! | [`location`] | where an answer goes |

pub mod location;
pub mod queue;

pub use location::Locations;
pub use queue::{AsyncRequest, Queued};
