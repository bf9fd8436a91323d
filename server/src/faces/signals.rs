//! `/autoscaling/v1/signals`: what scalers outside need to know of each variant, as JSON.

use std::sync::Arc;

use serde_json::Value;
use wire::AwsError;

use crate::platform::Platform;

/// What scalers need to know now.
///
/// # Errors
/// When it is not known.
pub async fn answer(_platform: &Arc<Platform>) -> Result<Value, AwsError> {
    Err(AwsError::unknown_operation("Clary", "/autoscaling/v1/signals"))
}
