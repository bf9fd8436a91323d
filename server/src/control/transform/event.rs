//! The event "SageMaker Transform Job State Change", as EventBridge would carry it.

use serde_json::{Map, Value};

use super::state::TransformJobState;
use crate::control::ids;
use crate::control::jobs::event as job;
use crate::control::journal::envelope;
use crate::control::record::Record;

/// That the job of `record` is now in the status that `state` says.
pub(super) fn changed(record: &Record, state: &TransformJobState) -> Value {
    event(record, state, &ids::uuid())
}

fn event(record: &Record, state: &TransformJobState, id: &str) -> Value {
    envelope(record, "SageMaker Transform Job State Change", id, detail(record, state))
}

/// The job's description, its times in milliseconds.
fn detail(record: &Record, state: &TransformJobState) -> Map<String, Value> {
    let times = [
        ("CreationTime", Some(record.created)),
        ("TransformStartTime", state.started),
        ("TransformEndTime", state.ended),
    ];
    job::detail(state.describe(record), times)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wire::Timestamp;

    use super::*;
    use crate::control::jobs::JobState;

    #[test]
    fn an_event_carries_the_description() {
        let request = json!({"ModelName": "m", "Environment": {"SECRET": "x"}}).as_object().unwrap().clone();
        let mut state = TransformJobState::new("id".into(), request, json!({}));
        state.started = Some(Timestamp(2000));
        let arn = "arn:aws:sagemaker:eu-west-1:000000000000:transform-job/j";
        let record = state.record("j".into(), arn.into(), Timestamp(1000)).unwrap();
        let found = event(&record, &state, "i");
        assert_eq!(
            found,
            json!({
                "version": "0", "id": "i", "detail-type": "SageMaker Transform Job State Change",
                "source": "aws.sagemaker", "account": "000000000000", "time": "1970-01-01T00:00:01Z",
                "region": "eu-west-1", "resources": [arn],
                "detail": {"TransformJobName": "j", "TransformJobArn": arn, "TransformJobStatus": "InProgress",
                    "ModelName": "m", "CreationTime": 1000, "TransformStartTime": 2000},
            })
        );
    }
}
