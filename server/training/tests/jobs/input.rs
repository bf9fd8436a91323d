//! Files of channels, configuration, and the environment.

use serde_json::{Value, json};
use training::{InputMode, Outcome, Source};

use crate::harness::{Machine, channel, metric};

/// Runs a job with a channel and gives its lines: the files of its data folder with their texts.
async fn files_of(machine: &Machine, source: Source, mode: InputMode) -> Result<Vec<String>, String> {
    let script = "cd $SAGEMAKER_BASE_DIR/input/data && find . -type f | sort | while read f; do echo $f $(cat $f); done";
    let mut job = machine.job(script);
    job.channels = vec![channel("train", "", mode)];
    job.channels[0].source = source;
    match machine.run(job).await.outcome {
        Outcome::Completed => Ok(machine.heard.lines(1)),
        Outcome::Failed(reason) => Err(reason),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test]
async fn keys_below_a_prefix_keep_their_folders() {
    let check = async |uri: &str, expected: &[&str]| {
        let machine = Machine::new();
        for (key, text) in [("p/x", "1"), ("p/a/y", "2"), ("p/a/b/z", "3"), ("pq", "4"), ("p/empty", "")] {
            machine.stores.put("data", key, text).await;
        }
        // A folder as consoles make it.
        machine.stores.put("data", "p/a", "").await;
        let found = files_of(&machine, Source::Prefix(uri.to_owned()), InputMode::File).await;
        assert_eq!(found.unwrap(), expected, "{uri}");
    };
    check("s3://data/p/", &["./train/a/b/z 3", "./train/a/y 2", "./train/empty", "./train/x 1"]).await;
    check("s3://data/p/a", &["./train/b/z 3", "./train/y 2"]).await;
    check("s3://data/pq", &["./train/pq 4"]).await;
}

#[tokio::test]
async fn fast_file_is_as_files() {
    let machine = Machine::new();
    machine.stores.put("data", "p/x", "1").await;
    let source = Source::Prefix("s3://data/p/".into());
    assert_eq!(files_of(&machine, source, InputMode::FastFile).await.unwrap(), ["./train/x 1"]);
}

#[tokio::test]
async fn manifests_name_objects_in_any_bucket() {
    let machine = Machine::new();
    machine.stores.put("data", "p/sub/x", "1").await;
    machine.stores.put("data", "p/unlisted", "2").await;
    machine.stores.put("lists", "m", r#"[{"prefix": "s3://data/p/"}, "sub/x"]"#).await;
    let source = Source::Manifest("s3://lists/m".into());
    assert_eq!(files_of(&machine, source, InputMode::File).await.unwrap(), ["./train/sub/x 1"]);
}

#[tokio::test]
async fn data_that_cannot_be_had_is_a_reason() {
    let check = async |source: Source, expected: &str| {
        let machine = Machine::new();
        machine.stores.put("data", "clash/a", "1").await;
        machine.stores.put("data", "clash/a/b", "1").await;
        machine.stores.put("data", "broken", "{").await;
        machine.stores.put("data", "dangling", r#"[{"prefix": "s3://data/"}, "absent"]"#).await;
        let reason = files_of(&machine, source, InputMode::File).await.unwrap_err();
        assert!(reason.starts_with(expected), "{reason}");
    };
    let prefix = |uri: &str| Source::Prefix(uri.to_owned());
    let manifest = |uri: &str| Source::Manifest(uri.to_owned());
    let none = "ClientError: Data download failed:No S3 objects found under S3 URL \"s3://data/none\" given in input data source.";
    check(prefix("s3://data/none"), none).await;
    check(prefix("s3://absent/x"), "ClientError: Data download failed: s3://absent/x: bucket absent").await;
    check(prefix("http://x"), "ClientError: Data download failed: http://x: expected s3://bucket/key").await;
    let clash = "ClientError: Data download failed: s3://data/clash/a/b: expected a folder \"a\", found an object of that name too";
    check(prefix("s3://data/clash/"), clash).await;
    check(
        manifest("s3://data/broken"),
        "ClientError: Data download failed: s3://data/broken: manifest, line 1",
    )
    .await;
    check(manifest("s3://data/dangling"), "ClientError: Data download failed: s3://data/absent").await;
    let augmented = Source::Augmented { uri: "s3://data/x".into(), attributes: vec!["a".into()] };
    check(
        augmented,
        "ClientError: channel train: expected Pipe mode for an AugmentedManifestFile, found File",
    )
    .await;
}

#[tokio::test]
async fn a_name_that_is_no_channel_s_is_refused() {
    for name in ["..", "a/b", "."] {
        let machine = Machine::new();
        let mut job = machine.job("exit 0");
        job.channels = vec![channel(name, "s3://data/p", InputMode::File)];
        let outcome = machine.run(job).await.outcome;
        assert!(matches!(&outcome, Outcome::Failed(reason) if reason.contains("ChannelName")), "{outcome:?}");
    }
}

#[tokio::test]
async fn configuration_files_say_what_the_job_is() {
    let machine = Machine::new();
    machine.stores.put("data", "p/x", "1").await;
    let script = "cd $SAGEMAKER_BASE_DIR/input/config; for f in *.json; do echo \"$f $(cat $f)\"; done";
    let mut job = machine.job(script);
    job.hosts = 2;
    job.hyperparameters.insert("eta".into(), "0.2".into());
    job.metric_definitions = vec![metric("m", "m=(.*)")];
    job.channels = vec![channel("train", "s3://data/p", InputMode::File)];
    job.channels[0].content_type = Some("text/csv".into());
    job.checkpoints =
        Some(training::Checkpoints { uri: "s3://b/c".into(), local_path: "/opt/ml/checkpoints/".into() });
    let base = job.folder.join("algo-2");
    assert_eq!(machine.run(job).await.outcome, Outcome::Completed);
    let lines = machine.heard.lines(2);
    let file = |name: &str| -> Value {
        let line = lines.iter().find_map(|line| line.strip_prefix(&format!("{name} "))).expect(name);
        serde_json::from_str(line).unwrap()
    };
    assert_eq!(file("hyperparameters.json"), json!({"eta": "0.2"}));
    let resources = file("resourceconfig.json");
    assert_eq!(resources["current_host"], "algo-2");
    assert_eq!(resources["hosts"], json!(["algo-1", "algo-2"]));
    assert_eq!(resources["instance_groups"][0]["hosts"], json!(["algo-1", "algo-2"]));
    assert_eq!(resources["current_group_name"], "homogeneousCluster");
    let train = json!({"train": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated",
        "ContentType": "text/csv", "RecordWrapperType": "None", "CompressionType": "None"}});
    assert_eq!(file("inputdataconfig.json"), train);
    assert_eq!(file("init.json")["TrainingJobName"], "job-1");
    assert_eq!(file("trainingjobconfig.json")["TrainingJobName"], "job-1");
    assert_eq!(file("metric-definition-regex.json"), json!([{"Name": "m", "Regex": "m=(.*)"}]));
    let checkpoints = base.join("checkpoints").display().to_string();
    assert_eq!(file("checkpointconfig.json"), json!({"LocalPath": checkpoints, "S3Uri": "s3://b/c"}));
}

#[tokio::test]
async fn a_program_s_environment() {
    let machine = Machine::new();
    machine.stores.put("data", "p/x", "1").await;
    let mut job = machine.job("env; echo \"here $(pwd)\"");
    job.channels = vec![channel("train", "s3://data/p", InputMode::File)];
    job.environment.insert("MINE".into(), "a b".into());
    job.environment.insert("TRAINING_JOB_NAME".into(), "another".into());
    for (name, value) in [
        ("eta", "0.2"),
        ("k", "3"),
        ("name", "x y"),
        ("sagemaker_program", "\"train.py\""),
        ("map", r#"{"a":1,"b":"c"}"#),
    ] {
        job.hyperparameters.insert(name.into(), value.into());
    }
    let base = job.folder.join("algo-1").display().to_string();
    assert_eq!(machine.run(job).await.outcome, Outcome::Completed);
    let lines = machine.heard.lines(1);
    let check = |name: &str, expected: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(&format!("{name}=")));
        assert_eq!(found, Some(expected), "{name} in {lines:#?}");
    };
    check("MINE", "a b");
    check("TRAINING_JOB_NAME", "job-1");
    check("TRAINING_JOB_ARN", "arn:aws:sagemaker:us-east-1:000000000000:training-job/job-1");
    check("AWS_REGION", "us-east-1");
    check("CURRENT_HOST", "algo-1");
    check("PATH", "/usr/local/bin:/usr/bin:/bin");
    check("SAGEMAKER_BASE_DIR", &base);
    check("TMPDIR", &format!("{base}/tmp"));
    check("SM_MODEL_DIR", &format!("{base}/model"));
    check("SM_OUTPUT_DATA_DIR", &format!("{base}/output/data"));
    check("SM_CHANNEL_TRAIN", &format!("{base}/input/data/train"));
    check("SM_CHANNELS", r#"["train"]"#);
    check("SM_HP_ETA", "0.2");
    check("SM_HP_NAME", "x y");
    check("SM_HPS", r#"{"eta":0.2,"k":3,"map":{"a":1,"b":"c"},"name":"x y"}"#);
    check("SM_USER_ARGS", r#"["--eta","0.2","-k","3","--map","a=1,b=c","--name","x y"]"#);
    check("SM_USER_ENTRY_POINT", "train.py");
    check("SM_MODULE_NAME", "train");
    check("SM_HOSTS", r#"["algo-1"]"#);
    check("SM_NUM_CPUS", "2");
    check("OMP_NUM_THREADS", "2");
    assert!(lines.contains(&format!("here {base}")));
    // Nothing else of ours: cargo's own variables stand for keys.
    assert!(!lines.iter().any(|line| line.starts_with("CARGO")), "{lines:#?}");
    let whole = lines.iter().find_map(|line| line.strip_prefix("SM_TRAINING_ENV=")).unwrap();
    let whole: Value = serde_json::from_str(whole).unwrap();
    assert_eq!((&whole["current_host"], &whole["hps"]["k"]), (&json!("algo-1"), &json!(3)));
}
