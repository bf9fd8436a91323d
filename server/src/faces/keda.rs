//! KEDA's external scaler: its messages, and what it hears of each variant.
//!
//! The trigger's metadata says what is meant: `endpoint`, optionally `variant` (all of them otherwise), `metric`
//! (`concurrency`, the default, or `backlog`) and `target`, the value for each replica.

mod activity;
mod message;

use std::sync::Arc;
use std::time::Instant;

use prost::Message;
use wire::Timestamp;

use super::grpc::{GrpcCode, GrpcError, GrpcReply};
use crate::error::shortened;
use crate::platform::Platform;
use activity::Watched;
use message::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
    ScaledObjectRef,
};

/// Answers a call of `method` of `externalscaler.ExternalScaler` with one `message`, in protobuf both ways.
///
/// # Errors
/// When there is no such method, or the message is not what it takes.
pub async fn answer(platform: &Arc<Platform>, method: &str, message: &[u8]) -> Result<GrpcReply, GrpcError> {
    match method {
        "IsActive" => {
            let watched = watched(platform, &decode::<ScaledObjectRef>(message)?)?;
            let result = watched.is_active(&platform.metrics, Instant::now(), Timestamp::now());
            reply(&IsActiveResponse { result })
        }
        "StreamIsActive" => {
            let watched = watched(platform, &decode::<ScaledObjectRef>(message)?)?;
            activity::stream(platform, watched).map(GrpcReply::Stream)
        }
        "GetMetricSpec" => {
            let object = decode::<ScaledObjectRef>(message)?;
            let watched = watched(platform, &object)?;
            let target = target(&object)?;
            let spec = MetricSpec {
                metric_name: watched.metric_name(),
                // KEDA before 2.17 reads the whole number alone; zero would be no target.
                target_size: (target.ceil() as i64).max(1),
                target_size_float: target,
            };
            reply(&GetMetricSpecResponse { metric_specs: vec![spec] })
        }
        "GetMetrics" => {
            let request = decode::<GetMetricsRequest>(message)?;
            let object = request.scaled_object_ref.unwrap_or_default();
            let watched = watched(platform, &object)?;
            let value = watched.value(&platform.metrics);
            let metric_value = MetricValue {
                metric_name: watched.metric_name(),
                metric_value: value.ceil() as i64,
                metric_value_float: value,
            };
            reply(&GetMetricsResponse { metric_values: vec![metric_value] })
        }
        _ => {
            let message = format!("externalscaler.ExternalScaler has no method {:?}", shortened(method));
            Err(GrpcError::new(GrpcCode::Unimplemented, message))
        }
    }
}

fn decode<M: Message + Default>(message: &[u8]) -> Result<M, GrpcError> {
    let refused = |error| invalid(format!("expected a message of protobuf, found none: {error}"));
    M::decode(message).map_err(refused)
}

fn reply(message: &impl Message) -> Result<GrpcReply, GrpcError> {
    Ok(GrpcReply::Message(message.encode_to_vec()))
}

fn invalid(message: String) -> GrpcError {
    GrpcError::new(GrpcCode::InvalidArgument, message)
}

/// What a trigger means; its endpoint must be here.
fn watched(platform: &Platform, object: &ScaledObjectRef) -> Result<Watched, GrpcError> {
    let watched = Watched::parse(object)?;
    if platform.server.contains(&watched.endpoint) {
        return Ok(watched);
    }
    let message = format!("expected an endpoint that serves, found {:?}", shortened(&watched.endpoint));
    Err(GrpcError::new(GrpcCode::NotFound, message))
}

/// The value for each replica.
fn target(object: &ScaledObjectRef) -> Result<f64, GrpcError> {
    let text = object.scaler_metadata.get("target").map_or("", String::as_str);
    let target = text.parse().ok().filter(|target: &f64| target.is_finite() && *target > 0.0);
    target.ok_or_else(|| {
        invalid(format!("metadata target: expected a number above 0, found {:?}", shortened(text)))
    })
}
