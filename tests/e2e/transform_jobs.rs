//! Transform jobs of `clary up`: made, described, listed, stopped, logged, refused; and gone on with by the next server when one is
//! killed or ended while they run.

use std::fmt::Write;
use std::path::Path;

use harness::platform::{call, create_model, put, sagemaker};
use harness::{Request, Server, Up, artifacts, score};
use serde_json::{Value, json};

/// Objects of a job that is to be met while it runs, and records of each. Reason: a call a record, one at a time: in all a second
/// or two of work, of which the first output is there after a fraction.
const LONG: (usize, usize) = (40, 400);

/// Lines of an object that no job comes to the end of. Reason: a minute of calls, of which a test waits for none; eight megabytes.
const ENDLESS: usize = 2_000_000;

/// How often a job is made until one is met while it runs. Reason: where other work keeps all cores busy, a job may end between
/// two calls of a test.
const MEETINGS_MAX: usize = 10;

/// Jobs that are made at once. Reason: two pages of a list and some, and fifty times as many as run at once.
const JOBS: usize = 200;

/// The bucket of inputs and outputs.
const BUCKET: &str = "/batch";

fn model() -> Vec<u8> {
    artifacts::regressor(&[2.0, 1.0], 0.5)
}

/// Puts objects of so many lines each below `in/`, and gives them.
fn put_inputs(server: &Server, (objects, lines): (usize, usize)) -> Vec<String> {
    put(server, BUCKET, b"");
    let object = |number: usize| {
        (0..lines).fold(String::new(), |mut text, line| {
            writeln!(text, "{number},{line}").unwrap();
            text
        })
    };
    let inputs: Vec<String> = (0..objects).map(object).collect();
    for (number, input) in inputs.iter().enumerate() {
        put(server, &format!("{BUCKET}/in/{number:03}.csv"), input.as_bytes());
    }
    inputs
}

/// The request of a job that splits lines.
fn job(name: &str) -> Value {
    json!({
        "TransformJobName": name,
        "ModelName": "m",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://batch/in/"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": "s3://batch/out", "Accept": "text/csv", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    })
}

/// With other members, by JSON pointers.
fn with(mut job: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        let parent = job.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
        parent.as_object_mut().unwrap().insert(member.to_owned(), value.clone());
    }
    job
}

/// One call a record, one at a time.
fn slow(name: &str) -> Value {
    let one = [("/BatchStrategy", json!("SingleRecord")), ("/MaxConcurrentTransforms", json!(1))];
    with(job(name), &one)
}

fn describe(server: &Server, name: &str) -> Value {
    sagemaker(server, "DescribeTransformJob", &json!({"TransformJobName": name}))
}

/// Waits until the job has ended; its description.
pub(crate) fn wait_ended(server: &mut Server, name: &str) -> Value {
    let mut found = Value::Null;
    server.wait_for(name, |server| {
        found = describe(server, name);
        !matches!(found["TransformJobStatus"].as_str(), Some("InProgress" | "Stopping"))
    });
    found
}

fn output(server: &Server, number: usize) -> Option<Vec<u8>> {
    let answer = server.call(&Request::get(&format!("{BUCKET}/out/{number:03}.csv.out")));
    (answer.status == 200).then_some(answer.body)
}

/// Waits until the first output is there.
fn wait_first_output(server: &mut Server) {
    server.wait_for("the first output", |server| {
        let list = server.call(&Request::get(&format!("{BUCKET}?list-type=2&prefix=out/")));
        list.text().contains(".out")
    });
}

/// Makes a job that is stopped before it ends, and waits until it has finished something; the inputs that it does.
fn start_endless(server: &mut Server) -> Vec<String> {
    create_model(server, "m", &model());
    let inputs = put_inputs(server, (3, 50));
    put(server, &format!("{BUCKET}/in/endless.csv"), "1,2\n".repeat(ENDLESS).as_bytes());
    sagemaker(server, "CreateTransformJob", &slow("endless"));
    wait_first_output(server);
    inputs
}

/// Every output is that of an online call with the same object.
fn check_outputs(server: &Server, inputs: &[String]) {
    let model = model();
    for (number, input) in inputs.iter().enumerate() {
        let expected = score(&model, "text/csv", input.as_bytes(), "text/csv");
        assert_eq!(output(server, number).as_ref(), Some(&expected), "object {number}");
    }
}

fn uploads(server: &Server) -> String {
    server.call(&Request::get(&format!("{BUCKET}?uploads"))).text()
}

#[test]
fn a_job_is_made_run_described_listed_and_tagged() {
    let mut server = Up::new().start();
    create_model(&server, "m", &model());
    let inputs = put_inputs(&server, (3, 50));
    let extra = [
        ("/Tags", json!([{"Key": "team", "Value": "batch"}])),
        ("/Environment", json!({"ANY": "thing"})),
        ("/ExperimentConfig", json!({"ExperimentName": "e"})),
        ("/DataProcessing", json!({"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"})),
        ("/TransformOutput/KmsKeyId", json!("key")),
        ("/MaxPayloadInMB", json!(1)),
        ("/ModelClientConfig", json!({"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 1})),
    ];
    let request = with(job("first"), &extra);
    let made = sagemaker(&server, "CreateTransformJob", &request);
    let arn = "arn:aws:sagemaker:us-east-1:000000000000:transform-job/first";
    assert_eq!(made, json!({"TransformJobArn": arn}));
    let described = wait_ended(&mut server, "first");
    assert_eq!(described["TransformJobStatus"], "Completed", "{described}");
    for (member, given) in request.as_object().unwrap().iter().filter(|(member, _)| *member != "Tags") {
        assert_eq!(&described[member], given, "{member}");
    }
    let time = |member: &str| described[member].as_f64().unwrap_or_else(|| panic!("{member}: {described}"));
    assert!(time("CreationTime") <= time("TransformStartTime"));
    assert!(time("TransformStartTime") <= time("TransformEndTime"));
    check_outputs(&server, &inputs);
    // The model may go: the job has its own copy, and its name stays taken.
    sagemaker(&server, "DeleteModel", &json!({"ModelName": "m"}));
    let listed = |filter: Value| {
        let list = sagemaker(&server, "ListTransformJobs", &filter);
        list["TransformJobSummaries"].as_array().unwrap().clone()
    };
    let all = listed(json!({"StatusEquals": "Completed", "NameContains": "IRS", "SortBy": "Status"}));
    assert_eq!(
        (all.len(), &all[0]["TransformJobName"], &all[0]["TransformJobArn"]),
        (1, &json!("first"), &json!(arn))
    );
    assert_eq!(all[0]["TransformEndTime"], described["TransformEndTime"]);
    assert!(listed(json!({"StatusEquals": "InProgress"})).is_empty());
    let tags = sagemaker(&server, "ListTags", &json!({"ResourceArn": arn}));
    assert_eq!(tags["Tags"], json!([{"Key": "team", "Value": "batch"}]));
    let page = server.call(&Request::get("/metrics")).text();
    for line in [
        "clary_transform_objects_total 3",
        "clary_transform_records_total 150",
        r#"clary_transform_jobs{state="running"} 0"#,
        r#"clary_transform_jobs_ended_total{status="Completed"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "expected {line}, found:\n{page}");
    }
}

#[test]
fn a_failed_job_says_which_record_and_others_have_their_outputs() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Up::on(data.path()).start();
    create_model(&server, "m", &model());
    let inputs = put_inputs(&server, (2, 5));
    put(&server, "/batch/in/bad.csv", b"1,2\n3,x\n");
    sagemaker(&server, "CreateTransformJob", &job("failing"));
    let described = wait_ended(&mut server, "failing");
    assert_eq!(described["TransformJobStatus"], "Failed", "{described}");
    let reason = described["FailureReason"].as_str().unwrap();
    assert!(
        reason.starts_with("ClientError: See job logs for more information. batch/in/bad.csv"),
        "{reason}"
    );
    check_outputs(&server, &inputs);
    assert_eq!(server.call(&Request::get("/batch/out/bad.csv.out")).status, 404);
    let group = "/aws/sagemaker/TransformJobs";
    let lines = |server: &Server| {
        let input = json!({"logGroupName": group, "logStreamNamePrefix": "failing/"});
        let answer = call(server, "Logs_20140328.FilterLogEvents", &input);
        answer.text()
    };
    server.wait_for("the logs", |server| lines(server).contains("Bad HTTP status received"));
    let found = lines(&server);
    for part in [
        "batch/in/bad.csv: Bad HTTP status received from algorithm: 400",
        "/data-log",
        "SHA-256",
        "transform job failed",
    ] {
        assert!(found.contains(part), "expected {part}, found {found}");
    }
    let mut statuses = Vec::new();
    server.wait_for("the events", |_| {
        let text = std::fs::read_to_string(data.path().join("events.jsonl")).unwrap_or_default();
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_job = events.filter(|event| event["detail-type"] == "SageMaker Transform Job State Change");
        statuses = of_job.map(|event| event["detail"]["TransformJobStatus"].clone()).collect();
        statuses.len() == 2
    });
    assert_eq!(statuses, ["InProgress", "Failed"]);
    // An artifact that is gone is the job's failure, with its address.
    assert_eq!(server.call(&Request::new("DELETE", "/models/m/model.tar.gz")).status, 204);
    sagemaker(&server, "CreateTransformJob", &job("without"));
    let described = wait_ended(&mut server, "without");
    let reason = described["FailureReason"].as_str().unwrap();
    assert!(
        reason.starts_with("ClientError: Failed to download the model data: ")
            && reason.contains("s3://models/m"),
        "{reason}"
    );
}

#[test]
fn a_stopped_job_ends_and_keeps_what_is_finished() {
    let mut server = Up::new().start();
    let inputs = start_endless(&mut server);
    let named = json!({"TransformJobName": "endless"});
    assert_eq!(sagemaker(&server, "StopTransformJob", &named), json!({}));
    let described = wait_ended(&mut server, "endless");
    assert_eq!(described["TransformJobStatus"], "Stopped", "{described}");
    assert!(described["TransformEndTime"].is_number(), "{described}");
    let model = model();
    let found: Vec<_> =
        (0..inputs.len()).filter_map(|number| Some((number, output(&server, number)?))).collect();
    assert!(!found.is_empty());
    for (number, output) in found {
        assert_eq!(
            output,
            score(&model, "text/csv", inputs[number].as_bytes(), "text/csv"),
            "object {number}"
        );
    }
    assert_eq!(server.call(&Request::get(&format!("{BUCKET}/out/endless.csv.out"))).status, 404);
    assert!(!uploads(&server).contains("<Upload>"), "{}", uploads(&server));
    let again = call(&server, "SageMaker.StopTransformJob", &named);
    assert!(
        again.text().contains("The request was rejected because the transform job is in status Stopped."),
        "{}",
        again.text()
    );
}

/// Ends a server while a job runs, by `end`; the next one completes it.
fn check_resumed(end: impl Fn(Server)) {
    let data = tempfile::tempdir().unwrap();
    let mut server = Up::on(data.path()).start();
    create_model(&server, "m", &model());
    let inputs = put_inputs(&server, LONG);
    let met = (0..MEETINGS_MAX).find_map(|number| {
        let name = format!("long-{number}");
        sagemaker(&server, "CreateTransformJob", &slow(&name));
        wait_first_output(&mut server);
        server
            .wait_for("the job's start", |server| describe(server, &name)["TransformStartTime"].is_number());
        Some(describe(&server, &name)).filter(|found| found["TransformJobStatus"] == "InProgress")
    });
    let before = met.expect("a job that is met while it runs");
    let name = before["TransformJobName"].as_str().unwrap();
    // Other bytes at the model's place: what is added is of the model that began.
    put(&server, "/models/m/model.tar.gz", &artifacts::regressor(&[0.0, 0.0], 9.0));
    end(server);
    let mut server = Up::on(data.path()).start();
    let described = wait_ended(&mut server, name);
    assert_eq!(described["TransformJobStatus"], "Completed", "{described}");
    for (member, value) in
        before.as_object().unwrap().iter().filter(|(name, _)| *name != "TransformJobStatus")
    {
        assert_eq!(&described[member], value, "{member} is as before the restart");
    }
    check_outputs(&server, &inputs);
    assert!(!uploads(&server).contains("<Upload>"), "{}", uploads(&server));
    server.wait_for("the end of the journal", |_| journals(data.path()) == 0);
}

fn journals(data: &Path) -> usize {
    std::fs::read_dir(data.join("transform")).unwrap().count()
}

#[test]
fn a_killed_servers_job_is_completed_by_the_next() {
    // The harness kills without warning.
    check_resumed(drop);
}

#[test]
fn an_ended_servers_job_is_completed_by_the_next() {
    check_resumed(|mut server| {
        server.terminate();
        let status = server.wait();
        assert!(status.success(), "{status}\n{}", server.log());
    });
}

#[test]
fn a_job_that_was_stopping_is_stopped_by_the_next_server() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Up::on(data.path()).start();
    start_endless(&mut server);
    // The answer to the beginning of an upload of a job's was lost: nothing but its key says whose it is. Another's stays.
    for key in ["out/endless.csv.out", "out/another.csv.out"] {
        let begun = server.call(&Request::new("POST", &format!("{BUCKET}/{key}?uploads")));
        assert_eq!(begun.status, 200, "{}", begun.text());
    }
    sagemaker(&server, "StopTransformJob", &json!({"TransformJobName": "endless"}));
    drop(server);
    let mut server = Up::on(data.path()).start();
    assert_eq!(wait_ended(&mut server, "endless")["TransformJobStatus"], "Stopped");
    let left = uploads(&server);
    assert_eq!(left.matches("<Upload>").count(), 1, "{left}");
    assert!(left.contains("out/another.csv.out"), "{left}");
}

#[test]
fn jobs_wait_for_their_turn_and_are_listed_page_by_page() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Up::on(data.path()).start();
    create_model(&server, "m", &model());
    put_inputs(&server, (1, 1));
    let name = |number: usize| format!("job-{number:03}");
    for number in 0..JOBS {
        let to = json!(format!("s3://batch/out/{number}"));
        let request = with(job(&name(number)), &[("/TransformOutput/S3OutputPath", to)]);
        sagemaker(&server, "CreateTransformJob", &request);
    }
    // Nobody but the jobs has the model and its artifact now, nor do those that have not begun before the kill.
    sagemaker(&server, "DeleteModel", &json!({"ModelName": "m"}));
    drop(server);
    server = Up::on(data.path()).start();
    let list = |server: &Server, filter: &Value, token: Option<Value>| {
        let mut request = filter.clone();
        if let Some(token) = token {
            request["NextToken"] = token;
        }
        sagemaker(server, "ListTransformJobs", &request)
    };
    server.wait_for("the jobs' ends", |server| {
        let open = list(server, &json!({"StatusEquals": "InProgress", "MaxResults": 1}), None);
        open["TransformJobSummaries"].as_array().unwrap().is_empty()
    });
    let (mut names, mut token) = (Vec::new(), None);
    loop {
        let filter = json!({"SortBy": "Name", "SortOrder": "Ascending", "StatusEquals": "Completed", "MaxResults": 60});
        let page = list(&server, &filter, token);
        let jobs = page["TransformJobSummaries"].as_array().unwrap();
        for job in jobs {
            let time = |member: &str| job[member].as_f64().unwrap_or_else(|| panic!("{member}: {job}"));
            assert!(time("CreationTime") <= time("TransformEndTime"));
            assert!(time("TransformEndTime") <= time("LastModifiedTime"));
        }
        names.extend(jobs.iter().map(|job| job["TransformJobName"].as_str().unwrap().to_owned()));
        token = page.get("NextToken").cloned();
        if token.is_none() {
            break;
        }
    }
    assert_eq!(names, (0..JOBS).map(name).collect::<Vec<_>>());
    let listed = server.call(&Request::get(&format!("{BUCKET}?list-type=2&prefix=out/"))).text();
    assert_eq!(listed.matches("000.csv.out</Key>").count(), JOBS, "{listed}");
    assert_eq!(journals(data.path()), 0);
}

/// A job that fails says what is wrong and where.
#[track_caller]
fn check_failed(server: &mut Server, request: &Value, expected: &[&str]) {
    sagemaker(server, "CreateTransformJob", request);
    let described = wait_ended(server, request["TransformJobName"].as_str().unwrap());
    assert_eq!(described["TransformJobStatus"], "Failed", "{described}");
    let reason = described["FailureReason"].as_str().unwrap();
    for part in expected {
        assert!(reason.contains(part), "expected {part}, found {reason}");
    }
}

#[test]
fn a_job_that_cannot_run_says_why() {
    let mut server = Up::new().start();
    create_model(&server, "m", &model());
    create_model(&server, "broken", b"no archive");
    put_inputs(&server, (1, 1));
    let from = "/TransformInput/DataSource/S3DataSource/S3Uri";
    let without_input = with(job("input"), &[(from, json!("s3://nowhere/in/"))]);
    check_failed(&mut server, &without_input, &["ClientError", "nowhere"]);
    let without_output = with(job("output"), &[("/TransformOutput/S3OutputPath", json!("s3://nowhere/out"))]);
    check_failed(&mut server, &without_output, &["ClientError", "nowhere"]);
    let without_objects = with(job("none"), &[(from, json!("s3://batch/absent/"))]);
    check_failed(&mut server, &without_objects, &["ClientError: no objects", "batch/absent/"]);
    let manifest = "/TransformInput/DataSource/S3DataSource/S3DataType";
    let without_list =
        with(job("list"), &[(manifest, json!("ManifestFile")), (from, json!("s3://batch/list.json"))]);
    check_failed(&mut server, &without_list, &["ClientError", "list.json"]);
    let broken = with(job("broken"), &[("/ModelName", json!("broken"))]);
    check_failed(&mut server, &broken, &["AlgorithmError", "expected a gzip-compressed tar"]);
    assert!(!uploads(&server).contains("<Upload>"), "{}", uploads(&server));
}

/// What is refused, with the words of it.
fn check_refused(server: &Server, request: &Value, code: &str, expected: &str) {
    let answer = call(server, "SageMaker.CreateTransformJob", request);
    let body: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!((answer.status, body["__type"].as_str()), (400, Some(code)), "{body}");
    assert_eq!(body["message"].as_str(), Some(expected));
}

#[test]
fn what_could_not_run_is_refused() {
    let mut server = Up::new().start();
    create_model(&server, "m", &model());
    put_inputs(&server, (1, 1));
    let refused = |changes: &[(&str, Value)], expected: &str| {
        check_refused(&server, &with(job("refused"), changes), "ValidationException", expected);
    };
    let source = "/TransformInput/DataSource/S3DataSource";
    let at = |member: &str| format!("{source}/{member}");
    refused(
        &[("/ModelName", json!("absent"))],
        "Could not find model \"arn:aws:sagemaker:us-east-1:000000000000:model/absent\".",
    );
    refused(
        &[(&at("S3DataType"), json!("AugmentedManifestFile"))],
        "TransformInput.DataSource.S3DataSource.S3DataType: expected S3Prefix or ManifestFile, found AugmentedManifestFile",
    );
    refused(
        &[(&at("S3Uri"), json!("https://batch/in/"))],
        "TransformInput.DataSource.S3DataSource.S3Uri: expected an s3://bucket/key address, found \"https://batch/in/\"",
    );
    refused(
        &[("/TransformOutput/S3OutputPath", json!("s3://batch/in/out"))],
        "TransformOutput.S3OutputPath: expected a place that does not begin with the input's s3://batch/in/, found \
         s3://batch/in/out/: the job would read its own outputs",
    );
    refused(
        &[("/MaxPayloadInMB", json!(20)), ("/MaxConcurrentTransforms", json!(6))],
        "MaxConcurrentTransforms times MaxPayloadInMB: expected at most 100, found 6 times 20",
    );
    let many: serde_json::Map<_, _> = (0..17).map(|number| (format!("K{number}"), json!("v"))).collect();
    let answer = call(
        &server,
        "SageMaker.CreateTransformJob",
        &with(job("refused"), &[("/Environment", json!(many))]),
    );
    assert!(
        answer.text().contains(
            "at 'environment' failed to satisfy constraint: Member must have length less than or equal to 16"
        ),
        "{}",
        answer.text()
    );
    let unknown = call(&server, "SageMaker.DescribeTransformJob", &json!({"TransformJobName": "none"}));
    assert!(unknown.text().contains("Could not find requested job with name: none."), "{}", unknown.text());
    let unknown = call(&server, "SageMaker.StopTransformJob", &json!({"TransformJobName": "none"}));
    assert!(unknown.text().contains("ValidationException"), "{}", unknown.text());
    sagemaker(&server, "CreateTransformJob", &job("taken"));
    check_refused(
        &server,
        &job("TAKEN"),
        "ResourceInUse",
        "Job name must be unique within an AWS account and region, and a job with this name already exists \
         (arn:aws:sagemaker:us-east-1:000000000000:transform-job/taken)",
    );
    assert_eq!(wait_ended(&mut server, "taken")["TransformJobStatus"], "Completed");
    let rejected = call(&server, "SageMaker.StopTransformJob", &json!({"TransformJobName": "taken"}));
    assert!(
        rejected
            .text()
            .contains("The request was rejected because the transform job is in status Completed."),
        "{}",
        rejected.text()
    );
}
