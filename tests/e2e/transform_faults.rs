//! Batch transforms killed at random points, over a store that fails: their outputs are those of an uninterrupted run, no output
//! is ever seen in part, and nothing is left behind.
//!
//! `CLARY_KILLS` says how often each is killed (3 unless given), `CLARY_SEED` where the randomness begins.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::platform::{create_model, create_model_at, put, sagemaker};
use harness::transform::Running;
use harness::{FaultStore, Oracle, Request, Server, Transform, Up, artifacts};
use serde_json::json;

use crate::{files, listed, number, stored};

/// How often a transform is killed, unless `CLARY_KILLS` says otherwise. Reason: a few seconds of every run of the suite.
const KILLS_DEFAULT: u64 = 3;

/// Of a thousand requests to the store, so many fail.
pub(crate) const FAULTS_PER_MILLE: u32 = 150;

/// Rows of the large object. Reason: its output is an upload of three parts.
const ROWS_LARGE: usize = 350_000;

/// The most time after a request at which a transform is killed. Reason: about one request's, so that kills fall between any two.
const KILL_DELAY_MAX_MS: u64 = 20;

const ARTIFACT_KEY: &str = "models/m/model.tar.gz";

/// A model whose answers are longer than its rows, and tell which row it was.
pub(crate) fn artifact() -> Vec<u8> {
    artifacts::kmeans(&[0.0, 5000.0], 1)
}

/// The inputs by their keys: one large, one empty, some small.
pub(crate) fn inputs() -> BTreeMap<String, Vec<u8>> {
    let rows = |count: usize, seed: usize| -> Vec<u8> {
        (0..count).flat_map(|row| format!("{}\n", (row * 7919 + seed) % 9973).into_bytes()).collect()
    };
    let mut inputs: BTreeMap<_, _> =
        (0..12).map(|seed| (format!("small/{seed}.csv"), rows(1 + seed * 3, seed))).collect();
    inputs.insert("large.csv".to_owned(), rows(ROWS_LARGE, 1));
    inputs.insert("empty.csv".to_owned(), Vec::new());
    inputs
}

/// What must be there at the end, and never in part.
pub(crate) struct Expected {
    pub(crate) outputs: BTreeMap<String, Vec<u8>>,
}

impl Expected {
    pub(crate) fn of(inputs: &BTreeMap<String, Vec<u8>>) -> Self {
        let oracle = Oracle::of_bytes(&artifact());
        let output = |(key, rows): (&String, &Vec<u8>)| {
            let answer = if rows.is_empty() {
                Vec::new()
            } else {
                oracle.answer("text/csv", rows, "application/jsonlines")
            };
            (format!("{key}.out"), answer)
        };
        Self { outputs: inputs.iter().map(output).collect() }
    }

    /// What is seen while a transform runs: keys and sizes.
    pub(crate) fn look(&self, seen: &[(String, u64)]) {
        for (key, size) in seen.iter().filter(|(key, _)| !is_own(key)) {
            let expected = self.outputs.get(key).unwrap_or_else(|| panic!("{key} is no output"));
            assert_eq!(*size, expected.len() as u64, "{key} is seen in part");
        }
    }

    /// What is there at the end.
    pub(crate) fn check(&self, found: &BTreeMap<String, Vec<u8>>, when: &str) {
        let keys = |outputs: &BTreeMap<String, Vec<u8>>| outputs.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(found), keys(&self.outputs), "{when}");
        for (key, bytes) in &self.outputs {
            assert!(found[key] == *bytes, "{when}: {key} differs");
        }
    }
}

/// Whether a key is a transform's own: what is done, and what is under way.
fn is_own(key: &str) -> bool {
    key.split('/').any(|name| name == "_clary" || name.starts_with('.'))
}

/// Files below a folder, and their sizes.
fn seen_files(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            // It may be gone by now.
            match path.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(path),
                Ok(metadata) => found.push((name, metadata.len())),
                Err(_) => {}
            }
        }
    }
    found
}

/// A bucket without unfinished uploads.
pub(crate) fn assert_no_uploads(server: &Server, bucket: &str, when: &str) {
    let uploads = server.call(&Request::get(&format!("/{bucket}?uploads"))).text();
    assert!(uploads.contains("<ListMultipartUploadsResult"), "{uploads}");
    assert!(!uploads.contains("<Upload>"), "{when}: {uploads}");
}

/// Waits for less than a request's time.
pub(crate) fn hesitate(random: &mut fastrand::Rng) {
    std::thread::park_timeout(Duration::from_millis(random.u64(..=KILL_DELAY_MAX_MS)));
}

/// A store with the inputs and the model.
pub(crate) fn store_with(inputs: &BTreeMap<String, Vec<u8>>) -> Server {
    let server = Up::new().start();
    for bucket in ["inputs", "outputs", "models"] {
        put(&server, &format!("/{bucket}"), b"");
    }
    put(&server, &format!("/{ARTIFACT_KEY}"), &artifact());
    for (key, rows) in inputs {
        put(&server, &format!("/inputs/data/{key}"), rows);
    }
    server
}

fn command(model: &str) -> Transform {
    Transform::of(model).args(&["--content-type", "text/csv", "--accept", "application/jsonlines"]).args(&[
        "--split-type",
        "Line",
        "--assemble-with",
        "Line",
        "--max-payload-bytes",
        "40000",
        "--max-concurrent-transforms",
        "4",
    ])
}

/// A command over `store` to a folder of its bucket `outputs`.
pub(crate) fn start(store: &FaultStore, folder: &str, options: &[&str]) -> Running {
    let output = format!("s3://outputs/{folder}/");
    let command = command(&format!("s3://{ARTIFACT_KEY}")).args(options);
    command.args(&["--input", "s3://inputs/data/", "--output", &output]).store(&store.url()).start()
}

#[test]
fn a_command_killed_over_a_failing_store_leaves_what_it_would_have_left() {
    let inputs = inputs();
    let expected = Expected::of(&inputs);
    let behind = store_with(&inputs);
    let store = FaultStore::before(behind.address(), number("CLARY_SEED", 1));
    kill_commands(&behind, &store, &expected, |folder| start(&store, folder, &[]));
}

/// Kills commands to folders of the bucket `outputs`, which `start` starts, while `store`, which stands before `behind`, fails.
pub(crate) fn kill_commands(
    behind: &Server,
    store: &FaultStore,
    expected: &Expected,
    start: impl Fn(&str) -> Running,
) {
    let seed = number("CLARY_SEED", 1);
    let mut random = fastrand::Rng::with_seed(seed);
    let look = |folder: &str| expected.look(&listed(behind, "outputs", folder));
    let finish = |mut running: Running, folder: &str| {
        let is_good = running.wait(4, |_| look(folder));
        let when = format!("{folder} of seed {seed}");
        assert!(is_good, "{when}: {}", running.log());
        expected.check(&stored(behind, "outputs", folder), &when);
        assert_no_uploads(behind, "outputs", &when);
    };
    let before = store.requests();
    finish(start("uninterrupted"), "uninterrupted");
    let requests = store.requests() - before;
    store.fail_per_mille(FAULTS_PER_MILLE);
    let run = |running: &mut Running, folder: &str| {
        let last = store.requests() + random.u64(..=requests);
        while running.ended().is_none() && store.requests() < last {
            look(folder);
        }
        hesitate(&mut random);
    };
    kill_rounds(start, run, look, finish);
    assert!(!store.served().is_empty());
}

/// Folder by folder, starts a command, lets it `run` for a while and kills it, until it ends by itself or was killed often enough.
fn kill_rounds(
    start: impl Fn(&str) -> Running,
    mut run: impl FnMut(&mut Running, &str),
    look: impl Fn(&str),
    finish: impl Fn(Running, &str),
) {
    let kills = number("CLARY_KILLS", KILLS_DEFAULT);
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        let folder = format!("round-{round}");
        round += 1;
        loop {
            let mut running = start(&folder);
            run(&mut running, &folder);
            if killed == kills || running.ended().is_some() {
                finish(running, &folder);
                break;
            }
            running.kill();
            killed += 1;
            look(&folder);
        }
    }
}

#[test]
fn a_command_killed_over_a_directory_leaves_what_it_would_have_left() {
    let inputs = inputs();
    let expected = Expected::of(&inputs);
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.tar.gz");
    std::fs::write(&model, artifact()).unwrap();
    for (key, rows) in &inputs {
        let path = folder.path().join("in").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, rows).unwrap();
    }
    let seed = number("CLARY_SEED", 1);
    let mut random = fastrand::Rng::with_seed(seed);
    let output = |name: &str| folder.path().join(name);
    let start = |name: &str| {
        let command = command(model.to_str().unwrap());
        command.path("--input", &folder.path().join("in")).path("--output", &output(name)).start()
    };
    let look = |name: &str| expected.look(&seen_files(&output(name)));
    let finish = |mut running: Running, name: &str| {
        let is_good = running.wait(4, |_| look(name));
        let when = format!("{name} of seed {seed}");
        assert!(is_good, "{when}: {}", running.log());
        expected.check(&files(&output(name)), &when);
    };
    let begun = Instant::now();
    finish(start("uninterrupted"), "uninterrupted");
    let whole = begun.elapsed();
    let run = |running: &mut Running, name: &str| {
        let last = Instant::now() + whole.mul_f64(random.f64());
        while running.ended().is_none() && Instant::now() < last {
            look(name);
            std::thread::yield_now();
        }
    };
    kill_rounds(start, run, look, finish);
}

/// A job on `server` from and to the buckets, to `folder`.
fn create_job(server: &Server, folder: &str) {
    let input = json!({
        "TransformJobName": folder,
        "ModelName": "m",
        "MaxConcurrentTransforms": 4,
        "MaxPayloadInMB": 1,
        "BatchStrategy": "MultiRecord",
        "Environment": {"CLARY_TRANSFORM_MAX_PAYLOAD_BYTES": "40000"},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://inputs/data/"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": format!("s3://outputs/{folder}"),
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    });
    sagemaker(server, "CreateTransformJob", &input);
}

/// The job's status.
fn status(server: &Server, name: &str) -> String {
    let job = sagemaker(server, "DescribeTransformJob", &json!({"TransformJobName": name}));
    assert_ne!(job["TransformJobStatus"], "Failed", "{job}");
    job["TransformJobStatus"].as_str().unwrap().to_owned()
}

/// Kills servers of a data directory, which `start` starts, while they work on jobs; the outputs are seen through `outputs`, the
/// server itself where they lie in it.
fn kill_servers(
    expected: &Expected,
    start: impl Fn() -> Server,
    outputs: Option<&Server>,
    begin: impl FnOnce(),
) {
    let seed = number("CLARY_SEED", 1);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut server = start();
    let run = |server: &mut Server, folder: &str, until: Instant| -> bool {
        let mut is_over = false;
        server.wait_for("the job", |server| {
            expected.look(&listed(outputs.unwrap_or(server), "outputs", folder));
            is_over = status(server, folder) == "Completed";
            is_over || Instant::now() >= until
        });
        is_over
    };
    let check = |server: &Server, folder: &str| {
        let when = format!("{folder} of seed {seed}");
        let outputs = outputs.unwrap_or(server);
        expected.check(&stored(outputs, "outputs", folder), &when);
        assert_no_uploads(outputs, "outputs", &when);
    };
    let forever = || Instant::now() + harness::http::ANSWER_TIMEOUT;
    let begun = Instant::now();
    create_job(&server, "uninterrupted");
    assert!(run(&mut server, "uninterrupted", forever()));
    check(&server, "uninterrupted");
    let whole = begun.elapsed();
    begin();
    let kills = number("CLARY_KILLS", KILLS_DEFAULT);
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        let folder = format!("round-{round}");
        round += 1;
        create_job(&server, &folder);
        loop {
            let until =
                if killed == kills { forever() } else { Instant::now() + whole.mul_f64(random.f64()) };
            if run(&mut server, &folder, until) {
                break;
            }
            drop(server);
            killed += 1;
            server = start();
        }
        check(&server, &folder);
    }
}

#[test]
fn a_job_of_a_killed_server_goes_on_in_the_next() {
    let inputs = inputs();
    let data = tempfile::tempdir().unwrap();
    let server = Up::on(data.path()).start();
    create_model(&server, "m", &artifact());
    for bucket in ["inputs", "outputs"] {
        put(&server, &format!("/{bucket}"), b"");
    }
    for (key, rows) in &inputs {
        put(&server, &format!("/inputs/data/{key}"), rows);
    }
    drop(server);
    kill_servers(&Expected::of(&inputs), || Up::on(data.path()).start(), None, || {});
}

#[test]
fn a_job_of_a_killed_server_over_a_failing_store_goes_on_in_the_next() {
    let inputs = inputs();
    let behind = store_with(&inputs);
    let store = FaultStore::before(behind.address(), number("CLARY_SEED", 1));
    let data = tempfile::tempdir().unwrap();
    let start = || {
        let up = Up::on(data.path()).args(&["--s3-endpoint", &store.url()]);
        let up = up.environment("AWS_ALLOW_HTTP", "true").environment("AWS_REGION", "us-east-1");
        up.environment("AWS_ACCESS_KEY_ID", "test").environment("AWS_SECRET_ACCESS_KEY", "test").start()
    };
    let server = start();
    create_model_at(&server, "m", &format!("s3://{ARTIFACT_KEY}"));
    drop(server);
    let begin = || store.fail_per_mille(FAULTS_PER_MILLE);
    kill_servers(&Expected::of(&inputs), start, Some(&behind), begin);
    assert!(!store.served().is_empty());
}
