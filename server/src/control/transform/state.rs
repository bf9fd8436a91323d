//! A transform job's durable state: what was asked, of which model, and how far it has come.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wire::Timestamp;

use crate::control::endpoint::PinnedArtifact;
use crate::control::jobs::{JobState, JobStatus};
use crate::control::record::{Kind, Record};

/// A transform job: the document of a [`Kind::TransformJob`] record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransformJobState {
    /// Tells it apart from every other job: journals and inference ids are made of it.
    pub id: String,
    /// Where it stands.
    pub status: JobStatus,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// What `CreateTransformJob` was given, but for its tags.
    pub request: Map<String, Value>,
    /// What `CreateModel` was given: deleting the model does not disturb the job.
    pub model: Value,
    /// The artifact that it is held to; `None` until it is first loaded.
    pub artifact: Option<PinnedArtifact>,
    /// When it began to run.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

impl JobState for TransformJobState {
    const KIND: Kind = Kind::TransformJob;

    fn status(&self) -> JobStatus {
        self.status
    }
}

impl TransformJobState {
    /// A job that has not begun.
    pub fn new(id: String, request: Map<String, Value>, model: Value) -> Self {
        let status = JobStatus::InProgress;
        Self { id, status, failure_reason: None, request, model, artifact: None, started: None, ended: None }
    }

    /// What `DescribeTransformJob` says of `record`, whose state this is.
    pub fn describe(&self, record: &Record) -> Map<String, Value> {
        let mut description = self.request.clone();
        let mut say = |member: &str, value: Value| drop(description.insert(member.to_owned(), value));
        // The name as it was given first, whatever the case of the request.
        say("TransformJobName", record.name.as_str().into());
        say("TransformJobArn", record.arn.as_str().into());
        say("TransformJobStatus", self.status.as_str().into());
        say("CreationTime", record.created.to_json());
        if let Some(reason) = &self.failure_reason {
            say("FailureReason", reason.as_str().into());
        }
        if let Some(started) = self.started {
            say("TransformStartTime", started.to_json());
        }
        if let Some(ended) = self.ended {
            say("TransformEndTime", ended.to_json());
        }
        description
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_described_by_what_was_given_and_what_became_of_it() {
        let request = json!({"TransformJobName": "J", "ModelName": "m", "Later": {"x": 1}});
        let mut state = TransformJobState::new("id".into(), request.as_object().unwrap().clone(), json!({}));
        let record = state.record("j".into(), "arn:j".into(), Timestamp(1500)).unwrap();
        let expected = json!({"TransformJobName": "j", "TransformJobArn": "arn:j", "ModelName": "m", "Later": {"x": 1},
            "TransformJobStatus": "InProgress", "CreationTime": 1.5});
        assert_eq!(Value::Object(state.describe(&record)), expected);
        assert_eq!(record.read::<TransformJobState>().unwrap(), state);
        state.status = JobStatus::Failed;
        state.failure_reason = Some("why".into());
        (state.started, state.ended) = (Some(Timestamp(2000)), Some(Timestamp(3000)));
        let described = state.describe(&record);
        assert_eq!(described["FailureReason"], "why");
        assert_eq!(
            (&described["TransformStartTime"], &described["TransformEndTime"]),
            (&json!(2), &json!(3))
        );
    }
}
