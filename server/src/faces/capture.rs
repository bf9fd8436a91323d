//! Data capture, from the request's side: what of an invocation goes into its record.

use std::sync::Arc;

use bytes::Bytes;
use wire::Timestamp;

use super::runtime::{Asked, CONTENT_TYPE_DEFAULT, Predicted};
use crate::platform::Platform;
use crate::serving::capture::{CapturePlan, Captured};

/// Hands a record of the request over to whoever writes it; waits for nobody.
pub fn capture(
    platform: &Platform,
    plan: Arc<CapturePlan>,
    asked: &Asked<'_>,
    body: Bytes,
    predicted: &Predicted,
    event_id: String,
) {
    let headers = &asked.headers;
    let observed = headers.of_model.content_type.unwrap_or(CONTENT_TYPE_DEFAULT.as_str()).to_owned();
    let queue = plan.queue.clone();
    let captured = Captured {
        input: plan.has_input.then_some((observed, body)),
        output: plan.has_output.then(|| (predicted.content_type.to_owned(), predicted.body.clone())),
        variant: predicted.variant.clone().unwrap_or_default(),
        custom_attributes: headers.of_model.custom_attributes.map(str::to_owned),
        inference_id: headers.inference_id.map(str::to_owned),
        event_id,
        time_ms: Timestamp::now().0,
        plan,
    };
    if !queue.offer(captured) {
        platform.metrics.capture_dropped.increment(1);
    }
}
