//! Application Auto Scaling: scalable targets, policies, scheduled actions, activities.

use std::sync::Arc;

use wire::AwsError;

use super::aws::{Call, Reply};
use crate::platform::Platform;

/// Answers `call`.
///
/// # Errors
/// When it is not what the operation takes, or there is no such operation here.
pub async fn answer(_platform: &Arc<Platform>, call: Call) -> Reply {
    Err(AwsError::unknown_operation("Application Auto Scaling", &call.operation))
}
