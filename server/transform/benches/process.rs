//! Filters and joins of records, in bytes a second of the records, on one core: what they add to a call of the model.
//!
//! `cargo bench -p transform --bench process`

use std::hint::black_box;

use codecs::framing::SplitType;
use divan::Bencher;
use divan::counter::BytesCount;
use transform::process::{DataProcessing, ObjectId, Processing};
use transform::settings::{AssembleWith, InferenceIds};

fn main() {
    divan::main();
}

/// Records of each bench. Reason: with 30 columns some 270 kB, which stay in the second-level cache as a run's just read do.
const RECORDS: usize = 1000;

const COLUMNS: usize = 30;

fn number(random: &mut fastrand::Rng) -> String {
    format!("{:.6}", random.f64() * 100.0)
}

fn csv() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut line = |_| (0..COLUMNS).map(|_| number(&mut random)).collect::<Vec<_>>().join(",") + "\n";
    (0..RECORDS).map(&mut line).collect()
}

/// The same with a quoted first column.
fn quoted_csv() -> Vec<String> {
    csv().into_iter().map(|line| format!("\"a, b\",{line}")).collect()
}

fn json_lines() -> Vec<String> {
    let line =
        |line: String| format!("{{\"id\": 7, \"features\": [{}]}}\n", line.trim_end().replace(',', ", "));
    csv().into_iter().map(line).collect()
}

fn processing(content_type: &str, asked: DataProcessing<'_>) -> Processing {
    let asked = DataProcessing {
        content_type: Some(content_type),
        split_type: SplitType::Line,
        assemble_with: AssembleWith::Line,
        ..asked
    };
    Processing::parse(&asked).expect("a transform that is served").expect("something to do")
}

/// What is sent of the first record is `first`, then all are measured.
fn bench_request(
    bencher: Bencher<'_, '_>,
    content_type: &str,
    filter: &str,
    records: &[String],
    first: &str,
) {
    let processing =
        processing(content_type, DataProcessing { input_filter: Some(filter), ..DataProcessing::default() });
    let mut out = Vec::new();
    processing.request(records[0].as_bytes(), &mut out).expect("a record");
    assert_eq!(out, first.as_bytes());
    bencher.counter(BytesCount::new(records.concat().len())).bench_local(|| {
        out.clear();
        for record in records {
            processing.request(black_box(record.as_bytes()), &mut out).expect("a record");
        }
        black_box(&out);
    });
}

/// What is written of the first record begins with `first`, then all are measured.
fn bench_response(
    bencher: Bencher<'_, '_>,
    content_type: &str,
    asked: DataProcessing<'_>,
    records: &[String],
    answer: &str,
    first: &str,
) {
    let processing = processing(content_type, DataProcessing { joins_input: true, ..asked });
    let object = ObjectId::new("job", "in/a.csv");
    let mut out = Vec::new();
    processing
        .response(records[0].as_bytes(), answer.as_bytes(), object.record(0), &mut out)
        .expect("a record");
    assert!(out.starts_with(first.as_bytes()), "{}", String::from_utf8_lossy(&out));
    bencher.counter(BytesCount::new(records.concat().len())).bench_local(|| {
        out.clear();
        for (number, record) in (0..).zip(records) {
            let id = object.record(number);
            processing
                .response(black_box(record.as_bytes()), answer.as_bytes(), id, &mut out)
                .expect("a record");
        }
        black_box(&out);
    });
}

const NOTHING: DataProcessing<'static> = DataProcessing {
    input_filter: None,
    joins_input: false,
    output_filter: None,
    inference_ids: None,
    content_type: None,
    accept: None,
    split_type: SplitType::Line,
    assemble_with: AssembleWith::Line,
    slices_include_end: false,
};

/// The first record without its end of line.
fn first(records: &[String]) -> &str {
    records[0].trim_end()
}

#[divan::bench]
fn csv_without_the_first_column(bencher: Bencher<'_, '_>) {
    let records = csv();
    let (_, rest) = records[0].split_once(',').expect("columns");
    bench_request(bencher, "text/csv", "$[1:]", &records, rest);
}

#[divan::bench]
fn csv_without_the_first_quoted_column(bencher: Bencher<'_, '_>) {
    bench_request(bencher, "text/csv", "$[1:]", &quoted_csv(), &csv()[0]);
}

#[divan::bench]
fn csv_join(bencher: Bencher<'_, '_>) {
    let records = csv();
    bench_response(bencher, "text/csv", NOTHING, &records, "0.5", &format!("{},0.5\n", first(&records)));
}

#[divan::bench]
fn csv_join_of_id_and_answer(bencher: Bencher<'_, '_>) {
    let records = csv();
    let (id, _) = records[0].split_once(',').expect("columns");
    let asked = DataProcessing { output_filter: Some("$[0,-1]"), ..NOTHING };
    bench_response(bencher, "text/csv", asked, &records, "0.5", &format!("{id},0.5\n"));
}

#[divan::bench]
fn csv_join_with_ids(bencher: Bencher<'_, '_>) {
    let ids = InferenceIds { started: "2024-01-02T03:04:05Z".to_owned() };
    let records = csv();
    let asked = DataProcessing { inference_ids: Some(&ids), ..NOTHING };
    bench_response(bencher, "text/csv", asked, &records, "0.5", &format!("{},0.5,", first(&records)));
}

#[divan::bench]
fn json_lines_features(bencher: Bencher<'_, '_>) {
    let records = json_lines();
    let features =
        first(&records).strip_prefix("{\"id\": 7, \"features\": ").and_then(|rest| rest.strip_suffix('}'));
    let features = format!("{}\n", features.expect("features"));
    bench_request(bencher, "application/jsonlines", "$.features", &records, &features);
}

#[divan::bench]
fn json_lines_join(bencher: Bencher<'_, '_>) {
    let records = json_lines();
    let joined = first(&records).strip_suffix('}').expect("an object");
    let joined = format!("{joined}, \"SageMakerOutput\": {{\"score\": 0.5}}}}\n");
    bench_response(bencher, "application/jsonlines", NOTHING, &records, "{\"score\": 0.5}", &joined);
}

#[divan::bench]
fn json_lines_join_of_id_and_answer(bencher: Bencher<'_, '_>) {
    let asked = DataProcessing { output_filter: Some("$['id','SageMakerOutput']"), ..NOTHING };
    let joined = "{\"id\": 7, \"SageMakerOutput\": {\"score\": 0.5}}\n";
    bench_response(bencher, "application/jsonlines", asked, &json_lines(), "{\"score\": 0.5}", joined);
}
