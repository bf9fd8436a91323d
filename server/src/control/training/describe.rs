//! How a training job is described: what was asked, with the defaults that clients rely on, and what became of it.

use serde_json::{Map, Value, json};
use wire::Timestamp;

use super::metrics;
use super::request;
use super::state::{FinalMetric, TrainingJobState, Transition};
use crate::control::record::Record;

/// `MaxRuntimeInSeconds` where a request has none. Reason: the public service's.
pub(super) const RUNTIME_SECONDS_DEFAULT: u64 = 86_400;

/// Members that every description has.
const FLAGS: [&str; 3] =
    ["EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining"];

impl TrainingJobState {
    /// What `DescribeTrainingJob` says of `record`, whose state this is.
    pub fn describe(&self, record: &Record) -> Map<String, Value> {
        let mut description = self.request.clone();
        self.fill_in(&mut description);
        let mut say = |member: &str, value: Value| drop(description.insert(member.to_owned(), value));
        // The name as it was given first, whatever the case of the request.
        say("TrainingJobName", record.name.as_str().into());
        say("TrainingJobArn", record.arn.as_str().into());
        say("TrainingJobStatus", self.status.as_str().into());
        say("SecondaryStatus", self.secondary().as_str().into());
        say("SecondaryStatusTransitions", self.transitions.iter().map(Transition::to_json).collect());
        say("ModelArtifacts", json!({"S3ModelArtifacts": self.model.as_deref().unwrap_or_default()}));
        say("CreationTime", record.created.to_json());
        say("LastModifiedTime", record.modified.to_json());
        if let Some(reason) = &self.failure_reason {
            say("FailureReason", reason.as_str().into());
        }
        if !self.metrics.is_empty() {
            say("FinalMetricDataList", self.metrics.iter().map(FinalMetric::to_json).collect());
        }
        if let Some(started) = self.started {
            say("TrainingStartTime", started.to_json());
        }
        if let Some(ended) = self.ended {
            say("TrainingEndTime", ended.to_json());
        }
        if let (Some(started), Some(ended)) = (self.started, self.ended) {
            let seconds = seconds_between(started, ended);
            say("TrainingTimeInSeconds", seconds.into());
            say("BillableTimeInSeconds", seconds.into());
        }
        description
    }

    /// The defaults of what was asked.
    fn fill_in(&self, description: &mut Map<String, Value>) {
        for flag in FLAGS {
            description.entry(flag).or_insert(Value::Bool(false));
        }
        let within = |description: &mut Map<String, Value>, member: &str, name: &str, value: Value| {
            let members = description.entry(member).or_insert_with(|| json!({}));
            if let Some(members) = members.as_object_mut() {
                members.entry(name).or_insert(value);
            }
        };
        within(description, "StoppingCondition", "MaxRuntimeInSeconds", RUNTIME_SECONDS_DEFAULT.into());
        within(description, "OutputDataConfig", "KmsKeyId", "".into());
        within(description, "OutputDataConfig", "CompressionType", "GZIP".into());
        let algorithm = request::built_in(&self.request);
        let member = "AlgorithmSpecification";
        within(description, member, "EnableSageMakerMetricsTimeSeries", algorithm.is_some().into());
        let Some(algorithm) = algorithm else { return };
        let mut all = metrics::requested(&self.request);
        all.extend(metrics::built_in(algorithm));
        if let Some(members) = description.get_mut(member).and_then(Value::as_object_mut) {
            members.insert("MetricDefinitions".into(), metrics::shown(all, &self.metrics));
        }
    }
}

/// At least one, as the shape has it.
fn seconds_between(started: Timestamp, ended: Timestamp) -> i64 {
    (ended.0.saturating_sub(started.0).saturating_add(999) / 1000).max(1)
}

impl Transition {
    fn to_json(&self) -> Value {
        let mut value = json!({
            "Status": self.status.as_str(),
            "StartTime": self.start.to_json(),
            "StatusMessage": self.message,
        });
        if let Some(end) = self.end {
            value["EndTime"] = end.to_json();
        }
        value
    }
}

impl FinalMetric {
    fn to_json(&self) -> Value {
        json!({"MetricName": self.name, "Value": self.value, "Timestamp": self.time.to_json()})
    }
}

#[cfg(test)]
mod tests {
    use training::Outcome;

    use super::super::state::Event;
    use super::*;
    use crate::control::jobs::JobState;

    fn described(state: &TrainingJobState) -> Value {
        let mut record = state.record("j".into(), "arn:j".into(), Timestamp(1500)).expect("JSON");
        record.modified = Timestamp(9000);
        Value::Object(state.describe(&record))
    }

    #[test]
    fn a_job_is_described_by_what_was_given_and_what_became_of_it() {
        let request = json!({
            "TrainingJobName": "J", "RoleArn": "r", "Later": {"x": 1},
            "AlgorithmSpecification": {"TrainingImage": "process:/bin/true", "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://b/o"}, "StoppingCondition": {"MaxRuntimeInSeconds": 7},
        });
        let request = request.as_object().cloned().expect("an object");
        let mut state = TrainingJobState::new("id".into(), request, None, Timestamp(1500));
        let expected = json!({
            "TrainingJobName": "j", "TrainingJobArn": "arn:j", "RoleArn": "r", "Later": {"x": 1},
            "AlgorithmSpecification": {"TrainingImage": "process:/bin/true", "TrainingInputMode": "File",
                "EnableSageMakerMetricsTimeSeries": false},
            "OutputDataConfig": {"S3OutputPath": "s3://b/o", "KmsKeyId": "", "CompressionType": "GZIP"},
            "StoppingCondition": {"MaxRuntimeInSeconds": 7},
            "EnableNetworkIsolation": false, "EnableInterContainerTrafficEncryption": false,
            "EnableManagedSpotTraining": false,
            "TrainingJobStatus": "InProgress", "SecondaryStatus": "Starting", "ModelArtifacts": {"S3ModelArtifacts": ""},
            "SecondaryStatusTransitions":
                [{"Status": "Starting", "StartTime": 1.5, "StatusMessage": "Starting the training job"}],
            "CreationTime": 1.5, "LastModifiedTime": 9,
        });
        assert_eq!(described(&state), expected);
        state.apply(Event::Begins, Timestamp(2000));
        state.apply(Event::Ended(Outcome::Failed("why".into())), Timestamp(4500));
        state.metrics = vec![FinalMetric { name: "m".into(), value: 0.1, time: Timestamp(3000) }];
        let said = described(&state);
        assert_eq!((&said["FailureReason"], &said["TrainingTimeInSeconds"]), (&json!("why"), &json!(3)));
        assert_eq!((&said["TrainingStartTime"], &said["TrainingEndTime"]), (&json!(2), &json!(4.5)));
        assert_eq!(said["BillableTimeInSeconds"], said["TrainingTimeInSeconds"]);
        assert_eq!(said["FinalMetricDataList"], json!([{"MetricName": "m", "Value": 0.1, "Timestamp": 3}]));
        assert_eq!(said["SecondaryStatusTransitions"][0]["EndTime"], json!(4.5));
    }

    #[test]
    fn a_built_in_algorithm_shows_its_definitions() {
        let request =
            json!({"AlgorithmSpecification": {"TrainingImage": "kmeans:1", "TrainingInputMode": "File"}});
        let request = request.as_object().cloned().expect("an object");
        let said = described(&TrainingJobState::new("id".into(), request, None, Timestamp(0)));
        let algorithm = &said["AlgorithmSpecification"];
        assert_eq!(algorithm["EnableSageMakerMetricsTimeSeries"], true);
        assert_eq!(algorithm["MetricDefinitions"][0]["Name"], "test:msd");
        assert_eq!(said["StoppingCondition"]["MaxRuntimeInSeconds"], 86_400);
    }

    #[test]
    fn a_time_is_at_least_a_second() {
        let check =
            |from, to, expected| assert_eq!(seconds_between(Timestamp(from), Timestamp(to)), expected);
        check(0, 0, 1);
        check(0, 1001, 2);
        check(5000, 1000, 1);
    }
}
