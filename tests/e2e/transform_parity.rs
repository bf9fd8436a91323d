//! Outputs of batch transforms are, byte for byte, the answers of an online endpoint of the same model: for every way to split,
//! to batch, to assemble and every format, one call or eight at a time, one object or a hundred, whether objects lie in the
//! embedded S3, in another S3 store or in a directory.
//!
//! The oracle asks the endpoint itself, batch by batch, and shares no code with what it checks. `CLARY_MATRIX=full` runs every
//! combination; otherwise each way to split, batch and assemble meets each store, and the rest takes turns.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;

use harness::batch::{Split, assemble};
use harness::forest::Forest;
use harness::payload::{Rows, record};
use harness::platform::{deploy, invoke, put, sagemaker};
use harness::{Client, FaultStore, Oracle, Request, Server, Transform, Up, artifacts};
use serde_json::json;

use crate::transform_jobs::wait_ended;
use crate::{files, stored, variable};

/// The largest payload. Reason: a large object is several batches, and a small one is still one.
const PAYLOAD_BYTES_MAX: usize = 400;

/// Rows of the one large object, where records can be packed.
const ROWS_LARGE: usize = 60;

/// Rows of a document that is one record. Reason: it fits the payload.
const ROWS_WHOLE: usize = 4;

/// Objects, where they are many. Reason: what is promised; a usual run has as many of the first format.
const OBJECTS_MANY: usize = 100;

/// Objects of the other formats in a usual run. Reason: as many as it takes for one of them to be empty, and for more than are
/// transformed side by side; a fourth of the time.
const OBJECTS_FEW: usize = 25;

const FORMATS: [&str; 5] = [
    "text/csv",
    "application/json",
    "application/jsonlines",
    "text/libsvm",
    "application/x-recordio-protobuf",
];

const ACCEPTS: [&str; 4] =
    ["text/csv", "application/jsonlines", "application/json", "application/x-recordio-protobuf"];

const MODEL: &str = "m";

/// What a transform is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Case {
    format: usize,
    split: Split,
    is_multi: bool,
    with_lines: bool,
    accept: usize,
    is_many: bool,
    concurrency: usize,
}

impl Case {
    /// The folder of its inputs, in every store.
    fn inputs(self) -> String {
        inputs(self.format, self.split, self.is_many)
    }

    /// A name that no other has.
    fn name(self) -> String {
        format!(
            "{}-{}-{}-{}-{}-{}-{}",
            self.format,
            self.split.name(),
            if self.is_multi { "multi" } else { "single" },
            if self.with_lines { "line" } else { "none" },
            self.accept,
            if self.is_many { "many" } else { "one" },
            self.concurrency
        )
    }

    fn strategy(self) -> &'static str {
        if self.is_multi { "MultiRecord" } else { "SingleRecord" }
    }

    fn assemble_with(self) -> &'static str {
        if self.with_lines { "Line" } else { "None" }
    }
}

fn inputs(format: usize, split: Split, is_many: bool) -> String {
    format!("{format}-{}-{}", split.name(), if is_many { "many" } else { "one" })
}

/// Whether every combination is run.
fn is_full() -> bool {
    variable("CLARY_MATRIX").as_deref() == Some("full")
}

/// The objects of a folder.
fn object_count(format: usize, is_many: bool) -> usize {
    match is_many {
        false => 1,
        true if format == 0 || is_full() => OBJECTS_MANY,
        true => OBJECTS_FEW,
    }
}

/// Every combination, or those of a usual run.
fn cases() -> Vec<Case> {
    let is_full = is_full();
    let mut cases = Vec::new();
    for (format, split) in (0..FORMATS.len()).flat_map(|format| Split::ALL.map(|split| (format, split))) {
        for (is_multi, with_lines) in [(true, false), (true, true), (false, false), (false, true)] {
            let turn = cases.len() / 2;
            for (accept, is_many) in (0..ACCEPTS.len()).flat_map(|accept| [(accept, false), (accept, true)]) {
                let case = Case { format, split, is_multi, with_lines, accept, is_many, concurrency: 1 };
                if is_full {
                    cases.extend([case, Case { concurrency: 8, ..case }]);
                } else if accept == turn % ACCEPTS.len() {
                    let concurrency = if (turn / ACCEPTS.len()).is_multiple_of(2) == is_many { 8 } else { 1 };
                    cases.push(Case { concurrency, ..case });
                }
            }
        }
    }
    cases
}

/// Where a command transforms, besides the job in the embedded S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Directory,
    Elsewhere,
}

/// Where the case of that number is transformed by a command. Reason: a process each takes the most time, so that one of two has
/// one, and those of each way to split, batch and assemble meet each store over the formats.
fn place(turn: usize) -> Option<Place> {
    let (way, is_many) = (turn / 2 + turn / 8, turn % 2 == 1);
    match (way % 4, is_many) {
        (0, false) | (2, true) => Some(Place::Directory),
        (1, true) | (3, false) => Some(Place::Elsewhere),
        _ => None,
    }
}

/// An object of `rows`.
fn object(format: usize, split: Split, rows: &Rows) -> Vec<u8> {
    let content_type = FORMATS[format];
    match split {
        Split::None | Split::Line => rows.write(content_type),
        Split::RecordIo if content_type.contains("recordio") => rows.write(content_type),
        Split::RecordIo | Split::TfRecord => {
            let one = |place: usize| match content_type {
                // A framed record within the frame: what a payload of one record has to be.
                "application/x-recordio-protobuf" => record(rows.iter().nth(place).unwrap()),
                _ => rows.pick(&[place]).write(content_type),
            };
            split.join(&(0..rows.len()).map(one).collect::<Vec<_>>())
        }
    }
}

/// The objects of a folder, by their keys in it.
fn objects(format: usize, split: Split, is_many: bool) -> BTreeMap<String, Vec<u8>> {
    let draw = |count, seed| object(format, split, &Rows::draw(count, Forest::SMALL.features, seed));
    if !is_many {
        let count = if split == Split::None { ROWS_WHOLE } else { ROWS_LARGE };
        return BTreeMap::from([("large".to_owned(), draw(count, 1))]);
    }
    let one = |number: usize| {
        let key = format!("{}/part-{number:03}.data", number % 3);
        // Some have nothing in them.
        let bytes = if number % 25 == 7 { Vec::new() } else { draw(1 + number % 3, number as u64) };
        (key, bytes)
    };
    (0..object_count(format, is_many)).map(one).collect()
}

/// What an endpoint says, asked once.
struct Endpoint {
    address: SocketAddr,
    client: Client,
    answers: HashMap<(usize, usize, Vec<u8>), Option<Vec<u8>>>,
}

impl Endpoint {
    /// The answer to a payload; none when it is refused.
    fn answer(&mut self, case: Case, payload: Vec<u8>) -> Option<Vec<u8>> {
        let (format, accept) = (case.format, case.accept);
        let answer = self.answers.entry((format, accept, payload));
        answer
            .or_insert_with_key(|(_, _, payload)| {
                let request =
                    invoke(MODEL, FORMATS[format], payload.clone()).header("Accept", ACCEPTS[accept]);
                let answer = self.client.call(&request);
                assert!(matches!(answer.status, 200 | 400 | 424), "{case:?}: {}", answer.text());
                (answer.status == 200).then_some(answer.body)
            })
            .clone()
    }

    /// The output of an object; none where it must have none.
    fn output(&mut self, case: Case, object: &[u8]) -> Option<Vec<u8>> {
        let payloads = case.split.payloads(object, case.is_multi, PAYLOAD_BYTES_MAX)?;
        let answers: Option<Vec<_>> =
            payloads.into_iter().map(|payload| self.answer(case, payload)).collect();
        Some(assemble(&answers?, case.with_lines))
    }

    /// The outputs of a folder, by their keys.
    fn outputs(&mut self, case: Case) -> BTreeMap<String, Vec<u8>> {
        let objects = objects(case.format, case.split, case.is_many);
        // The case before may have taken longer than a server keeps a connection that nobody uses.
        self.client = Client::connect(self.address);
        let outputs = objects
            .into_iter()
            .filter_map(|(key, object)| Some((format!("{key}.out"), self.output(case, &object)?)));
        outputs.collect()
    }
}

/// What a case must give, and whether all of its objects are good.
struct Expected {
    outputs: BTreeMap<String, Vec<u8>>,
    is_complete: bool,
}

/// Says which object is wrong, and how, without printing all of them.
fn compare(case: Case, place: &str, found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    let keys = |outputs: &BTreeMap<String, Vec<u8>>| outputs.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected), "{place}: {case:?}");
    for (key, bytes) in expected {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            found[key] == *bytes,
            "{place}: {case:?}: {key}\nfound {}\nexpected {}",
            text(&found[key]),
            text(bytes)
        );
    }
}

/// A job of a case, named by it.
fn create(server: &Server, case: Case) {
    let input = json!({
        "TransformJobName": case.name(),
        "ModelName": MODEL,
        "MaxConcurrentTransforms": case.concurrency,
        "MaxPayloadInMB": 1,
        "BatchStrategy": case.strategy(),
        "Environment": {"CLARY_TRANSFORM_MAX_PAYLOAD_BYTES": PAYLOAD_BYTES_MAX.to_string()},
        "TransformInput": {
            "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": format!("s3://inputs/{}/", case.inputs()),
            }},
            "ContentType": FORMATS[case.format],
            "SplitType": case.split.name(),
        },
        "TransformOutput": {
            "S3OutputPath": format!("s3://outputs/{}", case.name()),
            "Accept": ACCEPTS[case.accept],
            "AssembleWith": case.assemble_with(),
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    });
    sagemaker(server, "CreateTransformJob", &input);
}

/// A command line of a case.
fn command(case: Case, model: &Path) -> Transform {
    Transform::of(model).args(&[
        "--content-type",
        FORMATS[case.format],
        "--accept",
        ACCEPTS[case.accept],
        "--split-type",
        case.split.name(),
        "--batch-strategy",
        case.strategy(),
        "--assemble-with",
        case.assemble_with(),
        "--max-payload-bytes",
        &PAYLOAD_BYTES_MAX.to_string(),
        "--max-concurrent-transforms",
        &case.concurrency.to_string(),
    ])
}

/// Runs a command line, which must succeed exactly if every object is good.
fn run(case: Case, command: Transform, expected: &Expected) {
    let output = command.output();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(!expected.is_complete)), "{case:?}\n{text}");
}

/// What a command left without the notes of one that failed, which a next run goes on from.
fn outputs_of(mut found: BTreeMap<String, Vec<u8>>, expected: &Expected) -> BTreeMap<String, Vec<u8>> {
    found.retain(|key, _| expected.is_complete || !key.starts_with("_clary/"));
    found
}

#[test]
fn outputs_are_the_answers_of_an_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = artifacts::xgboost(Forest::SMALL);
    let model = folder.path().join("model.tar.gz");
    std::fs::write(&model, &artifact).unwrap();
    let mut server = Up::new().start();
    deploy(&server, MODEL, &artifact);
    put(&server, "/inputs", b"");
    put(&server, "/outputs", b"");
    put(&server, "/elsewhere", b"");
    let mut client = server.connect();
    for (format, split) in (0..FORMATS.len()).flat_map(|format| Split::ALL.map(|split| (format, split))) {
        for is_many in [false, true] {
            let place = inputs(format, split, is_many);
            for (key, object) in objects(format, split, is_many) {
                let path = folder.path().join("in").join(&place).join(&key);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, &object).unwrap();
                let answer =
                    client.call(&Request::new("PUT", &format!("/inputs/{place}/{key}")).body(object));
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        }
    }
    let cases = cases();
    for case in &cases {
        create(&server, *case);
    }
    let mut endpoint =
        Endpoint { address: server.address(), client: server.connect(), answers: HashMap::new() };
    let elsewhere = FaultStore::before(server.address(), 1);
    let mut completed = 0;
    for (turn, case) in cases.into_iter().enumerate() {
        let outputs = endpoint.outputs(case);
        let count = object_count(case.format, case.is_many);
        let expected = Expected { is_complete: outputs.len() == count, outputs };
        completed += usize::from(expected.is_complete);

        match place(turn) {
            Some(Place::Directory) => {
                let output = folder.path().join("out").join(case.name());
                let input = folder.path().join("in").join(case.inputs());
                let command = command(case, &model).path("--input", &input).path("--output", &output);
                run(case, command, &expected);
                compare(case, "directory", &outputs_of(files(&output), &expected), &expected.outputs);
            }
            Some(Place::Elsewhere) => {
                let input = format!("s3://inputs/{}/", case.inputs());
                let output = format!("s3://elsewhere/{}/", case.name());
                let command = command(case, &model).args(&["--input", &input, "--output", &output]);
                run(case, command.store(&elsewhere.url()), &expected);
                let found = outputs_of(stored(&server, "elsewhere", &case.name()), &expected);
                compare(case, "elsewhere", &found, &expected.outputs);
            }
            None => {}
        }

        // The jobs went on meanwhile, all of them.
        let job = wait_ended(&mut server, &case.name());
        let status = if expected.is_complete { "Completed" } else { "Failed" };
        assert_eq!(job["TransformJobStatus"], status, "{job}");
        compare(case, "embedded", &stored(&server, "outputs", &case.name()), &expected.outputs);
    }
    // That which is refused is refused everywhere; but most of it is not.
    assert!(completed >= 80, "{completed} cases are complete");
}

/// Formats whose records can be told apart on the way, and answers that can be put together of pieces.
const STREAMED: [usize; 4] = [0, 2, 3, 4];

/// Bytes of an endless payload. Reason: more than one piece, which is a mebibyte, and more than the largest payload of other
/// transforms here.
const ENDLESS_BYTES: usize = 1_200_000;

/// Rows that make an endless payload of `content_type`.
fn endless_rows(content_type: &str) -> Rows {
    let drawn = |count| Rows::draw(count, 2, 3);
    drawn(ENDLESS_BYTES * 100 / drawn(100).write(content_type).len())
}

#[test]
fn an_endless_payload_is_answered_as_one_call() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = artifacts::regressor(&[1.0, -2.0], 0.5);
    let model = folder.path().join("model.tar.gz");
    std::fs::write(&model, &artifact).unwrap();
    let oracle = Oracle::of_bytes(&artifact);
    for format in STREAMED {
        let content_type = FORMATS[format];
        let input = folder.path().join(format!("{format}.data"));
        let body = endless_rows(content_type).write(content_type);
        std::fs::write(&input, &body).unwrap();
        for accept in ["text/csv", "application/jsonlines", "application/x-recordio-protobuf"] {
            let output = folder.path().join(format!("out-{format}-{}", accept.replace('/', "-")));
            Transform::of(&model)
                .args(&["--content-type", content_type, "--accept", accept, "--max-payload-mb", "0"])
                .args(&["--max-concurrent-transforms", "4"])
                .path("--input", &input)
                .path("--output", &output)
                .succeed();
            let found = files(&output);
            let expected = oracle.answer(content_type, &body, accept);
            assert_eq!(found.keys().collect::<Vec<_>>(), [&format!("{format}.data.out")]);
            let found = found.values().next().unwrap();
            let first = found.iter().zip(&expected).position(|(found, expected)| found != expected);
            let lengths = (found.len(), expected.len());
            assert!(
                *found == expected,
                "{content_type} to {accept}: {lengths:?}, first difference {first:?}"
            );
        }
    }
}
