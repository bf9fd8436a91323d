//! The event "SageMaker Training Job State Change", as EventBridge would carry it.

use serde_json::{Map, Value};

use super::state::TrainingJobState;
use crate::control::ids;
use crate::control::jobs::event as job;
use crate::control::journal::envelope;
use crate::control::record::Record;

/// That the job of `record` is now as `state` says.
pub(super) fn changed(record: &Record, state: &TrainingJobState) -> Value {
    envelope(record, "SageMaker Training Job State Change", &ids::uuid(), detail(record, state))
}

/// The job's description, its times in milliseconds.
fn detail(record: &Record, state: &TrainingJobState) -> Map<String, Value> {
    let times = [
        ("CreationTime", Some(record.created)),
        ("LastModifiedTime", Some(record.modified)),
        ("TrainingStartTime", state.started),
        ("TrainingEndTime", state.ended),
    ];
    let mut detail = job::detail(state.describe(record), times);
    for member in ["SecondaryStatusTransitions", "FinalMetricDataList"] {
        for item in detail.get_mut(member).and_then(Value::as_array_mut).into_iter().flatten() {
            for time in ["StartTime", "EndTime", "Timestamp"] {
                if let Some(seconds) = item.get(time).and_then(Value::as_f64) {
                    item[time] = ((seconds * 1e3).round() as i64).into();
                }
            }
        }
    }
    detail
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wire::Timestamp;

    use super::super::state::FinalMetric;
    use super::*;
    use crate::control::jobs::JobState;

    #[test]
    fn an_event_carries_the_description() {
        let request = json!({"RoleArn": "r", "Environment": {"SECRET": "x"}}).as_object().unwrap().clone();
        let mut state = TrainingJobState::new("id".into(), request, None, Timestamp(1500));
        state.metrics = vec![FinalMetric { name: "m".into(), value: 1.0, time: Timestamp(1700) }];
        let arn = "arn:aws:sagemaker:eu-west-1:000000000000:training-job/j";
        let record = state.record("j".into(), arn.into(), Timestamp(1500)).unwrap();
        let found = changed(&record, &state);
        assert_eq!(found["detail-type"], "SageMaker Training Job State Change");
        let detail = &found["detail"];
        assert_eq!((&detail["CreationTime"], &detail["RoleArn"]), (&json!(1500), &json!("r")));
        assert_eq!(detail["SecondaryStatusTransitions"][0]["StartTime"], 1500);
        assert_eq!(detail["FinalMetricDataList"][0]["Timestamp"], 1700);
        assert!(detail.get("Environment").is_none());
    }
}
