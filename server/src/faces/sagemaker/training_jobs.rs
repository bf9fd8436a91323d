//! `CreateTrainingJob`, `DescribeTrainingJob`, `StopTrainingJob`, `UpdateTrainingJob`, `DeleteTrainingJob`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::{required, resource};
use crate::control::training::TrainingJobState;
use crate::control::{Kind, Record, StateError};
use crate::faces::aws::Call;
use crate::platform::Platform;

/// Members of a description that a search does not find.
const NOT_SEARCHED: [&str; 5] = [
    "InfraCheckConfig",
    "MlflowConfig",
    "ProfilerRuleConfigurations",
    "RemoteDebugConfig",
    "SessionChainingConfig",
];

pub(super) async fn create(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let created = platform.trainings.create(&call.scope, call.input.clone()).await;
    let arn = created.map_err(|error| Refusal::control(&call.scope, error))?;
    Ok(json!({"TrainingJobArn": arn}))
}

pub(super) async fn describe(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let record = resource::find(platform, call, Kind::TrainingJob).await?;
    let state: TrainingJobState = record.read()?;
    let mut description = state.describe(&record);
    // It is taken, and never shown.
    description.remove("SessionChainingConfig");
    Ok(Value::Object(description))
}

pub(super) async fn stop(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let name = required(&call.input, "TrainingJobName")?;
    platform.trainings.stop(name).await.map_err(|error| Refusal::control(&call.scope, error))?;
    Ok(json!({}))
}

pub(super) async fn update(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let name = required(&call.input, "TrainingJobName")?;
    let updated = platform.trainings.update(name, call.input.clone()).await;
    let arn = updated.map_err(|error| Refusal::control(&call.scope, error))?;
    Ok(json!({"TrainingJobArn": arn}))
}

pub(super) async fn delete(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let name = required(&call.input, "TrainingJobName")?;
    platform.trainings.delete(name).await.map_err(|error| Refusal::control(&call.scope, error))?;
    Ok(json!({}))
}

/// What a list says of a job, beside what it says of everything.
pub(super) fn summary(record: &Record) -> Result<Map<String, Value>, StateError> {
    let state: TrainingJobState = record.read()?;
    let mut summary = state.describe(record);
    summary.retain(|member, _| {
        matches!(
            member.as_str(),
            "TrainingJobStatus" | "SecondaryStatus" | "TrainingEndTime" | "LastModifiedTime"
        )
    });
    Ok(summary)
}

/// What a search finds of a job.
pub(super) fn found(record: &Record) -> Result<Map<String, Value>, StateError> {
    let state: TrainingJobState = record.read()?;
    let mut found = state.describe(record);
    NOT_SEARCHED.iter().for_each(|member| drop(found.remove(*member)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use wire::Timestamp;

    use super::*;
    use crate::control::jobs::JobState;

    #[test]
    fn a_list_shows_where_a_job_stands() {
        let request =
            json!({"RoleArn": "r", "RemoteDebugConfig": {}}).as_object().cloned().expect("an object");
        let state = TrainingJobState::new("id".into(), request, None, Timestamp(1000));
        let record = state.record("j".into(), "arn:j".into(), Timestamp(1000)).expect("JSON");
        let expected =
            json!({"TrainingJobStatus": "InProgress", "SecondaryStatus": "Starting", "LastModifiedTime": 1});
        assert_eq!(Value::Object(summary(&record).expect("a state")), expected);
        let found = found(&record).expect("a state");
        assert_eq!((found.get("RoleArn"), found.get("RemoteDebugConfig")), (Some(&json!("r")), None));
    }
}
