//! `CreateTransformJob`, `DescribeTransformJob`, `StopTransformJob`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::{required, resource};
use crate::control::transform::TransformJobState;
use crate::control::{Kind, Record, StateError};
use crate::faces::aws::Call;
use crate::platform::Platform;

pub(super) async fn create(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let created = platform.transforms.create(&call.scope, call.input.clone()).await;
    let arn = created.map_err(|error| Refusal::control(&call.scope, error))?;
    Ok(json!({"TransformJobArn": arn}))
}

pub(super) async fn describe(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let record = resource::find(platform, call, Kind::TransformJob).await?;
    let state: TransformJobState = record.read()?;
    Ok(Value::Object(state.describe(&record)))
}

pub(super) async fn stop(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let name = required(&call.input, "TransformJobName")?;
    platform.transforms.stop(name).await.map_err(|error| Refusal::control(&call.scope, error))?;
    Ok(json!({}))
}

/// What a list says of a job, beside what it says of everything.
pub(super) fn summary(record: &Record) -> Result<Map<String, Value>, StateError> {
    let state: TransformJobState = record.read()?;
    let mut summary = state.describe(record);
    summary.retain(|member, _| {
        matches!(member.as_str(), "TransformJobStatus" | "TransformEndTime" | "FailureReason")
    });
    summary.insert("LastModifiedTime".into(), record.modified.to_json());
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use wire::Timestamp;

    use super::*;
    use crate::control::jobs::JobState;

    #[test]
    fn a_list_shows_how_a_job_ended() {
        let mut state = TransformJobState::new("id".into(), Map::new(), json!({}));
        let check = |state: &TransformJobState, expected: Value| {
            let record = state.record("j".into(), "arn:j".into(), Timestamp(1000)).unwrap();
            assert_eq!(Value::Object(summary(&record).unwrap()), expected);
        };
        check(&state, json!({"TransformJobStatus": "InProgress", "LastModifiedTime": 1}));
        state.failure_reason = Some("why".into());
        state.ended = Some(Timestamp(2000));
        check(
            &state,
            json!({"TransformJobStatus": "InProgress", "LastModifiedTime": 1, "TransformEndTime": 2, "FailureReason": "why"}),
        );
    }
}
