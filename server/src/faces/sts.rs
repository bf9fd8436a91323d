//! STS: who calls.

use std::sync::Arc;

use wire::AwsError;
use wire::xml::Element;

use super::aws::Call;
use crate::platform::Platform;

/// Answers `call` with its `…Result` element; the frame around it is [`aws`](super::aws)'s.
///
/// # Errors
/// When it is not what the operation takes, or there is no such operation here.
pub async fn answer(_platform: &Arc<Platform>, call: Call) -> Result<Element, AwsError> {
    Err(AwsError::unknown_operation("STS", &call.operation))
}
