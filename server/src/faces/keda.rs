//! KEDA's external scaler: its messages, and what it hears of each variant.

use std::sync::Arc;

use super::grpc::{GrpcCode, GrpcError, GrpcReply};
use crate::error::shortened;
use crate::platform::Platform;

/// Answers a call of `method` of `externalscaler.ExternalScaler` with one `message`, in protobuf both ways.
///
/// # Errors
/// When there is no such method, or the message is not what it takes.
pub async fn answer(
    _platform: &Arc<Platform>,
    method: &str,
    _message: &[u8],
) -> Result<GrpcReply, GrpcError> {
    let message = format!("externalscaler.ExternalScaler has no method {:?}", shortened(method));
    Err(GrpcError::new(GrpcCode::Unimplemented, message))
}
