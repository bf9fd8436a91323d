//! `InvokeEndpointAsync`: requests that are queued, and answered to S3.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use wire::{AwsError, Scope};

use super::aws::{self, AwsAnswer};
use crate::platform::Platform;

/// The most bytes of a payload that comes with its request. Reason: the service's own limit; larger ones lie in S3.
pub const BODY_BYTES_MAX: usize = 128_000;

/// A request for an answer later.
#[derive(Debug)]
pub struct AsyncRequest {
    /// The endpoint's name.
    pub endpoint: String,
    /// `X-Amzn-SageMaker-InputLocation` and the others, unchecked.
    pub headers: HeaderMap,
    /// The payload, when it comes with the request.
    pub body: Bytes,
    /// Region (of the credential scope) and account.
    pub scope: Scope,
    /// The request's id.
    pub request_id: String,
}

/// Queues `request`.
pub async fn answer(_platform: &Arc<Platform>, request: AsyncRequest) -> AwsAnswer {
    let operation = format!("InvokeEndpointAsync (for {})", request.endpoint);
    aws::rest_error(&AwsError::unknown_operation("SageMaker Runtime", &operation))
}
