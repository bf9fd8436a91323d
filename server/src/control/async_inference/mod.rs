//! Asynchronous inference: a durable queue between the call that is answered 202 and the object that holds its answer.
//!
//! QUEUED → downloading → invoking → uploading → gone; what fails leaves an object at the failure location. A request
//! stays in the queue until its outcome is stored, so that a restart runs it again: at least once, to the same place.
//!
//! | module | is |
//! |---|---|
//! | [`queue`] | the rows of the state file |
//! | [`location`] | where an answer goes |
//! | [`dispatcher`] | which request runs when |
//! | `run` | one request, from its input to its outcome |

pub mod dispatcher;
pub mod location;
pub mod queue;
mod run;

pub use dispatcher::Dispatcher;
pub use location::Locations;
pub use queue::{AsyncRequest, Queued};
pub use run::{Events, Runner};
