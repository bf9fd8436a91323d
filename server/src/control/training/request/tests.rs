//! Every member is read, and what could not run is refused with the place of it.

use serde_json::json;

use super::*;

fn request() -> Value {
    json!({
        "TrainingJobName": "j",
        "RoleArn": "arn:aws:iam::000000000000:role/clary",
        "AlgorithmSpecification": {"TrainingImage": "process:/bin/true", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://b/out/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 3},
    })
}

/// The request with other values at JSON pointers.
fn parsed(changes: &[(&str, Value)]) -> Result<TrainingRequest, String> {
    let mut request = request();
    for (pointer, value) in changes {
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        let parent = request.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(member.to_owned(), value.clone());
    }
    TrainingRequest::parse(request.as_object().unwrap()).map_err(|error| error.to_string())
}

#[test]
fn every_member_is_read() {
    let bare = parsed(&[]).unwrap();
    assert_eq!(bare.output, Output { uri: "s3://b/out/".into(), compression: Compression::Gzip });
    assert_eq!((bare.hosts, bare.instance_type.as_str(), bare.volume_bytes), (2, "ml.m5.large", 3 << 30));
    assert_eq!((bare.runtime, bare.pending, bare.attempts_max), (Duration::from_secs(86_400), None, 3));
    assert!(bare.channels.is_empty() && bare.checkpoints.is_none() && bare.metric_definitions.is_empty());
    let full = parsed(&[
        ("/HyperParameters", json!({"a": "1", "sagemaker_s3_output": "\"s3://b/i\""})),
        ("/Environment", json!({"E": "x"})),
        ("/OutputDataConfig/CompressionType", json!("NONE")),
        ("/CheckpointConfig", json!({"S3Uri": "s3://b/c"})),
        ("/StoppingCondition", json!({"MaxRuntimeInSeconds": 60, "MaxPendingTimeInSeconds": 1800})),
        ("/RetryStrategy", json!({"MaximumRetryAttempts": 5})),
        ("/AlgorithmSpecification/MetricDefinitions", json!([{"Name": "m", "Regex": r"m=(\d+)"}])),
        ("/ResourceConfig/KeepAlivePeriodInSeconds", json!(0)),
        ("/EnableManagedSpotTraining", json!(false)),
    ]);
    let full = full.unwrap();
    assert_eq!(full.hyperparameters.get("a").map(String::as_str), Some("1"));
    assert_eq!(full.environment.get("E").map(String::as_str), Some("x"));
    assert_eq!(
        (full.output.compression, full.intermediate.as_deref()),
        (Compression::None, Some("s3://b/i"))
    );
    let local_path = CHECKPOINT_PATH_DEFAULT.to_owned();
    assert_eq!(full.checkpoints, Some(Checkpoints { uri: "s3://b/c".into(), local_path }));
    assert_eq!((full.runtime, full.pending), (Duration::from_secs(60), Some(Duration::from_secs(1800))));
    assert_eq!((full.attempts_max, full.metric_definitions.len()), (6, 1));
}

#[test]
fn an_algorithms_definitions_stand_behind_the_requests_own() {
    let own = json!([{"Name": "train:msd", "Regex": "own=(.*)"}, {"Name": "m", "Regex": "(x)"}]);
    let read = parsed(&[
        ("/AlgorithmSpecification/TrainingImage", json!("kmeans:1")),
        ("/AlgorithmSpecification/MetricDefinitions", own),
    ]);
    let names: Vec<_> = read.unwrap().metric_definitions.into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["train:msd", "m", "test:msd", "test:ssd", "train:progress", "train:throughput"]);
}

#[test]
fn what_does_nothing_is_told_of() {
    let check = |members: Value, expected: Option<&str>| {
        assert_eq!(TrainingRequest::notice(members.as_object().unwrap()).as_deref(), expected);
    };
    // The SDK sends both with every job.
    check(json!({"DebugHookConfig": {}, "ProfilerConfig": {}}), None);
    let expected = "Stored, and without effect here: ExperimentConfig, TensorBoardOutputConfig";
    check(json!({"TensorBoardOutputConfig": {}, "ExperimentConfig": {}}), Some(expected));
}

#[track_caller]
fn check_refused(pointer: &str, value: Value, expected: &str) {
    let error = parsed(&[(pointer, value)]).expect_err(expected);
    assert!(error.contains(expected), "expected {expected}, found {error}");
}

#[test]
fn what_could_not_run_is_refused() {
    check_refused("/AlgorithmSpecification", json!({}), "expected one of TrainingImage and AlgorithmName");
    check_refused("/EnableManagedSpotTraining", json!(true), "no spot instances");
    check_refused("/ServerlessJobConfig", json!({}), "serverless training");
    check_refused("/ResourceConfig/InstanceGroups", json!([{}]), "instance groups");
    check_refused("/ResourceConfig/TrainingPlanArn", json!("a"), "training plans");
    check_refused("/ResourceConfig/KeepAlivePeriodInSeconds", json!(60), "no warm pools");
    check_refused("/ResourceConfig/InstanceCount", json!(0), "at least 1, found 0");
    check_refused("/ResourceConfig/InstanceCount", json!(9), "at most 8 instances");
    check_refused("/ResourceConfig", json!({"InstanceCount": 1}), "ResourceConfig.InstanceType");
    check_refused("/ResourceConfig", json!({"InstanceType": "ml.m5.large"}), "ResourceConfig.InstanceCount");
    check_refused(
        "/StoppingCondition",
        json!({"MaxRuntimeInSeconds": 2_419_201}),
        "1 to 2419200, found 2419201",
    );
    check_refused("/StoppingCondition", json!({"MaxWaitTimeInSeconds": 1}), "spot instances");
    check_refused("/OutputDataConfig/S3OutputPath", json!("https://b/k"), "OutputDataConfig.S3OutputPath");
    check_refused("/CheckpointConfig", json!({"S3Uri": "https://b/k"}), "CheckpointConfig.S3Uri");
    for path in ["/", "checkpoints", "/opt/ml", "/opt/ml/../x", "/opt/ml/"] {
        let config = json!({"S3Uri": "s3://b/c", "LocalPath": path});
        check_refused("/CheckpointConfig", config, "CheckpointConfig.LocalPath");
    }
    let definitions = "/AlgorithmSpecification/MetricDefinitions";
    check_refused(definitions, json!([{"Name": "m", "Regex": "(?=a)(b)"}]), "look-around");
    let twice = json!([{"Name": "m", "Regex": "(a)"}, {"Name": "m", "Regex": "(b)"}]);
    check_refused(definitions, twice, "\"m\" twice");
    let channel = json!([{"ChannelName": "a", "DataSource": {}}]);
    check_refused("/InputDataConfig", channel, "InputDataConfig[0]");
}
