//! A model, as a transform sees it.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

/// A function from a payload to an answer: the `Content-Type` and `Accept` of the transform are bound to it.
pub trait Model: Send + Sync + 'static {
    /// The answer to `body`, within `timeout`. The same body gets the same bytes, as an endpoint of this model gives them.
    fn invoke(&self, body: Bytes, timeout: Duration) -> impl Future<Output = Result<Bytes, Refusal>> + Send;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {message}")]
pub struct Refusal {
    /// The HTTP status that an endpoint would answer.
    pub status: u16,
    /// The body that it would answer: what was expected, found, and where.
    pub message: String,
    /// When it may be tried again; `None`: trying again does not help.
    pub retry_after: Option<Duration>,
}
