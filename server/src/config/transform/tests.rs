//! What `clary transform`'s flags and variables mean, and what is refused.

use std::ffi::OsString;

use super::super::environment::Environment;
use super::super::{Command, parse};
use super::*;

fn resolve(arguments: &[&str], variables: &[(&str, &str)]) -> Result<TransformConfig, String> {
    let environment = Environment::new(variables);
    let line = ["clary", "transform"].iter().chain(arguments).map(|&word| OsString::from(word));
    let refused = |error: super::super::UsageError| {
        assert_eq!(error.exit_code, 64);
        error.message
    };
    match parse(line, &environment).map_err(refused)? {
        Command::Transform(arguments) => arguments.resolve(&environment).map_err(refused),
        other => panic!("expected transform, found {other:?}"),
    }
}

/// The flags of a whole command, and `more`.
fn with(more: &[&str]) -> Result<TransformConfig, String> {
    resolve(&[&["--model", "m", "--input", "in", "--output", "out"], more].concat(), &[])
}

fn objects(config: TransformConfig) -> ObjectsConfig {
    match config.task {
        Task::Objects(objects) => objects,
        Task::Stream { .. } => panic!("expected objects, found a stream"),
    }
}

#[test]
fn a_place_is_a_bucket_a_path_or_a_stream() {
    let s3 = |bucket: &str, prefix: &str| Place::S3 { bucket: bucket.into(), prefix: prefix.into() };
    let check = |text: &str, expected: Option<Place>| assert_eq!(place(text).ok(), expected, "{text}");
    check("-", Some(Place::Stream));
    check("s3://b", Some(s3("b", "")));
    check("s3://b/", Some(s3("b", "")));
    check("s3://b/in/x y+%41.csv", Some(s3("b", "in/x y+%41.csv")));
    check("in/x.csv", Some(Place::Path("in/x.csv".into())));
    check("file:///data/in", Some(Place::Path("/data/in".into())));
    for wrong in ["", "s3://", "s3:///key", "file://host/path", "hdfs://x/y", "https://host/x"] {
        check(wrong, None);
    }
}

#[test]
fn words_are_spelled_as_the_api_does_or_plainly() {
    let strategies = ["MultiRecord", "multi-record", "MULTI_RECORD", "multirecord"];
    for text in strategies {
        assert_eq!(words::batch_strategy(text), Ok(BatchStrategy::MultiRecord), "{text}");
    }
    assert_eq!(words::split_type("tfrecord"), Ok(SplitType::TfRecord));
    assert_eq!(words::split_type("RecordIO"), Ok(SplitType::RecordIo));
    assert_eq!(words::compression("gzip"), Ok(Compression::Gzip));
    assert_eq!(words::assemble_with("line"), Ok(AssembleWith::Line));
    assert_eq!(words::error_policy("Quarantine"), Ok(ErrorPolicy::Quarantine));
    assert_eq!(words::progress("bar"), Ok(ProgressKind::Bar));
    assert_eq!(
        words::split_type("lines").expect_err("no word of ours"),
        r#"expected None or Line or RecordIO or TFRecord, found "lines""#
    );
}

#[test]
fn a_shard_has_its_index_or_finds_it() {
    let part = |text: &str, variables: &[(&str, &str)]| {
        let flags = ["--model", "m", "--input", "in", "--output", "out", "--shard", text];
        resolve(&flags, variables).map(|config| objects(config).part)
    };
    let expected = |index, count| Ok(Part::Shard(Shard { index, count }));
    assert_eq!(part("0/1", &[]), expected(0, 1));
    assert_eq!(part("3/4", &[]), expected(3, 4));
    assert_eq!(part("auto/4", &[("JOB_COMPLETION_INDEX", "2")]), expected(2, 4));
    assert_eq!(part("auto/4", &[("AWS_BATCH_JOB_ARRAY_INDEX", "1")]), expected(1, 4));
    for wrong in ["4/4", "1", "a/4", "0/0", "0/10001", "1/", "/4"] {
        let error = part(wrong, &[]).expect_err(wrong);
        assert!(error.contains("expected i/n"), "{error}");
    }
    let error = part("auto/4", &[]).expect_err("no variable");
    assert!(error.contains("expected one of JOB_COMPLETION_INDEX"), "{error}");
    let error = part("auto/4", &[("JOB_COMPLETION_INDEX", "4")]).expect_err("too high");
    assert!(error.contains("JOB_COMPLETION_INDEX: expected 0 to 3"), "{error}");
}

#[test]
fn every_flag_has_its_variable() {
    let variables = [
        ("CLARY_MODEL", "s3://b/model.tar.gz"),
        ("CLARY_INPUT", "s3://b/in/"),
        ("CLARY_OUTPUT", "s3://b/out"),
        ("CLARY_SHARD", "1/2"),
        ("CLARY_SPLIT_TYPE", "Line"),
        ("CLARY_MAX_PAYLOAD_MB", "3"),
        ("CLARY_ERROR_POLICY", "placeholder"),
        ("CLARY_WORKERS", "7"),
        ("CLARY_RANGE_MB", "8"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
    ];
    let config = resolve(&[], &variables).unwrap();
    assert_eq!((config.model.as_str(), config.workers), ("s3://b/model.tar.gz", 7));
    assert_eq!((config.requested.split_type, config.requested.payload_mb), (Some(SplitType::Line), Some(3)));
    assert_eq!(config.requested.extensions.error_policy, ErrorPolicy::Placeholder);
    assert_eq!(config.aws.0, [("aws_endpoint_url".to_owned(), "http://127.0.0.1:9000".to_owned())]);
    let objects = objects(config);
    assert_eq!(objects.part, Part::Shard(Shard { index: 1, count: 2 }));
    assert_eq!(objects.range_bytes, 8 << 20);
}

#[test]
fn streams_are_of_lines_unless_they_are_not() {
    let stream = |more: &[&str]| {
        resolve(&[&["--model", "m", "--input", "-", "--output", "-"], more].concat(), &[]).unwrap()
    };
    let lines = stream(&[]);
    assert_eq!(lines.task, Task::Stream { input: None });
    assert_eq!(lines.requested.split_type, Some(SplitType::Line));
    assert_eq!(
        (lines.requested.assemble_with, lines.requested.payload_mb),
        (Some(AssembleWith::Line), Some(0))
    );
    assert_eq!(stream(&["--max-payload-mb", "3"]).requested.payload_mb, Some(3));
    let frames = stream(&["--split-type", "RecordIO"]).requested;
    assert_eq!((frames.split_type, frames.assemble_with), (Some(SplitType::RecordIo), None));
    let whole = stream(&["--split-type", "None"]).requested;
    assert_eq!((whole.split_type, whole.assemble_with), (Some(SplitType::None), None));
    let objects = with(&[]).unwrap().requested;
    assert_eq!((objects.split_type, objects.assemble_with), (None, None));
    let of_file = resolve(&["--model", "m", "--input", "x.csv", "--output", "-"], &[]).unwrap();
    assert_eq!(of_file.task, Task::Stream { input: Some("x.csv".into()) });
}

#[test]
fn what_is_missing_or_does_not_go_together_is_refused() {
    let check = |arguments: &[&str], expected: &str| {
        let error = resolve(arguments, &[]).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    };
    check(&["--input", "in", "--output", "out"], "--model: expected");
    check(&["--model", "m", "--output", "out"], "--input: expected");
    check(&["--model", "m", "--input", "in"], "--output: expected");
    check(&["--model", "m", "--input", "-", "--output", "out"], "--output: expected - (standard output)");
    check(&["--model", "m", "--input", "s3://b/p", "--output", "-"], "--input: expected a file or -");
    let streams = ["--model", "m", "--input", "-", "--output", "-"];
    for flag in ["--manifest", "--overwrite", "--merge"] {
        check(&[&streams[..], &[flag]].concat(), &format!("{flag}: expected an --output of objects"));
    }
    let quarantine = ["--error-policy", "quarantine"];
    check(&[&streams[..], &quarantine].concat(), "--error-policy quarantine: expected --failures FILE");
    check(&[&streams[..], &["--shard", "0/2"]].concat(), "--shard: expected an --output of objects");
    let refused = |more: &[&str], expected: &str| {
        let error = with(more).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    };
    refused(&["--merge", "--shard", "0/2"], "--merge: expected no --shard");
    refused(&["--merge", "--journal", "j"], "--journal: expected none with --shard or --merge");
    refused(&["--shard", "0/2", "--journal", "j"], "--journal: expected none with --shard or --merge");
    refused(&["--manifest"], "--manifest: expected an --input s3://bucket/key, found in");
    refused(&["--job", "a_b"], "hyphens");
    refused(&["--max-response-mb", "101"], "101");
    refused(&["--batch-strategy", "Both"], "expected MultiRecord or SingleRecord");
}

#[test]
fn extensions_and_filters_reach_the_request() {
    let flags = [
        "--content-type",
        "text/csv",
        "--input-filter",
        "$[1:]",
        "--join-source",
        "Input",
        "--jsonpath-slice-inclusive",
        "--skip-blank-lines",
        "--generate-inference-id",
        "--max-response-mb",
        "7",
    ];
    let config = with(&flags).unwrap();
    let requested = config.requested;
    assert_eq!(requested.content_type.as_deref(), Some("text/csv"));
    assert_eq!((requested.input_filter.as_deref(), requested.join), (Some("$[1:]"), true));
    assert!(requested.extensions.slice_inclusive && requested.extensions.skip_blank_lines);
    assert_eq!(requested.extensions.response_bytes_max, 7 << 20);
    assert!(config.generates_inference_ids && requested.ids.is_none());
}
