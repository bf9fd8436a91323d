//! CloudWatch: metrics of endpoints, and alarms.

use std::sync::Arc;

use wire::AwsError;
use wire::xml::Element;

use super::aws::{Call, Reply};
use crate::platform::Platform;

/// Answers `call`.
///
/// # Errors
/// When it is not what the operation takes, or there is no such operation here.
pub async fn answer(_platform: &Arc<Platform>, call: Call) -> Reply {
    Err(AwsError::unknown_operation("CloudWatch", &call.operation))
}

/// Answers `call` of the Query protocol: its `…Result` element.
///
/// # Errors
/// As [`answer`].
pub async fn answer_query(platform: &Arc<Platform>, call: Call) -> Result<Element, AwsError> {
    let name = format!("{}Result", call.operation);
    answer(platform, call).await.map(|value| Element::from_json(&name, &value))
}
