//! The structured formats to f32 rows and back, in bytes a second of the body; prost and serde_json beside them. Every
//! answer is compared with the rows that made the body before anything is timed.

use std::hint::black_box;

use codecs::framing::{SplitType, Splitter};
use codecs::record::{Kind, Record};
use codecs::{ContentType, Format};
use divan::Bencher;
use divan::counter::BytesCount;
use dmatrix::{DMatrix, Field, FieldShape, NumberStyle, Predictions, ResponseLayout, RowSchema};
use prost::Message;

fn main() {
    divan::main();
}

/// Values in each body: about 250 kB of text.
const VALUES: usize = 30_000;

/// Row-major values whose decimals have six to nine digits, and their text.
fn values() -> Vec<(f32, String)> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut one = || {
        let (digits, places) = (random.i32(100_000..1_000_000_000), random.usize(3..7));
        let text = format!("{:.places$}", f64::from(digits) / 10_f64.powi(places as i32) - 50.0);
        (text.parse().expect("a decimal is a number"), text)
    };
    (0..VALUES).map(|_| one()).collect()
}

fn text_body(format: Format, columns: usize) -> Vec<u8> {
    let rows = values();
    let rows = rows.chunks(columns).map(|row| {
        let texts: Vec<&str> = row.iter().map(|(_, text)| text.as_str()).collect();
        format!("{{\"features\": [{}]}}", texts.join(", "))
    });
    let rows: Vec<String> = rows.collect();
    match format {
        Format::Json => format!("{{\"instances\": [{}]}}", rows.join(", ")).into_bytes(),
        _ => rows.join("\n").into_bytes(),
    }
}

fn record_body(columns: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for row in values().chunks(columns) {
        let record = Record::dense(row.iter().map(|(value, _)| *value).collect());
        SplitType::RecordIo.join(&record.to_bytes(), &mut body).expect("a row fits a frame");
    }
    body
}

/// Decodes once and compares, then measures.
fn bench_decode(bencher: Bencher<'_, '_>, format: Format, columns: usize, body: &[u8]) {
    let (content_type, schema) = (ContentType::new(format), RowSchema::exactly(columns));
    let mut rows = DMatrix::new();
    codecs::decode(&content_type, &schema, body, &mut rows).expect("the body is rows");
    assert!(rows.values().iter().zip(values()).all(|(found, (value, _))| found.to_bits() == value.to_bits()));
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        codecs::decode(&content_type, &schema, black_box(body), &mut rows).expect("the body is rows");
        assert_eq!(rows.rows(), VALUES / columns);
    });
}

#[divan::bench(args = [30, 1000])]
fn json(bencher: Bencher<'_, '_>, columns: usize) {
    bench_decode(bencher, Format::Json, columns, &text_body(Format::Json, columns));
}

#[divan::bench(args = [30, 1000])]
fn json_lines(bencher: Bencher<'_, '_>, columns: usize) {
    bench_decode(bencher, Format::JsonLines, columns, &text_body(Format::JsonLines, columns));
}

#[divan::bench(args = [30])]
fn json_by_serde_json(bencher: Bencher<'_, '_>, columns: usize) {
    #[derive(serde::Deserialize)]
    struct Body {
        instances: Vec<Instance>,
    }
    #[derive(serde::Deserialize)]
    struct Instance {
        features: Vec<f32>,
    }
    let body = String::from_utf8(text_body(Format::Json, columns)).expect("JSON is text");
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        let body: Body = serde_json::from_str(black_box(&body)).expect("the body is instances");
        assert_eq!(body.instances.iter().map(|instance| instance.features.len()).sum::<usize>(), VALUES);
    });
}

#[divan::bench(args = [30, 1000])]
fn recordio(bencher: Bencher<'_, '_>, columns: usize) {
    bench_decode(bencher, Format::RecordIo, columns, &record_body(columns));
}

#[divan::bench(args = [30, 1000])]
fn recordio_by_prost(bencher: Bencher<'_, '_>, columns: usize) {
    let body = record_body(columns);
    let mut rows: Vec<f32> = Vec::new();
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        rows.clear();
        let mut rest = black_box(body.as_slice());
        while !rest.is_empty() {
            let length = u32::from_le_bytes(rest[4..8].try_into().expect("four bytes")) as usize;
            let record = Record::decode(&rest[8..8 + length]).expect("a frame holds a record");
            let Some(Kind::Float32Tensor(tensor)) = &record.features["values"].value else {
                panic!("no tensor")
            };
            rows.extend_from_slice(&tensor.values);
            rest = &rest[8 + length.next_multiple_of(4)..];
        }
        assert_eq!(rows.len(), VALUES);
    });
}

fn predictions() -> Predictions {
    let field = Field::new("score", FieldShape::Scalar, NumberStyle::Float);
    let mut predictions = Predictions::new();
    predictions.reset(VALUES, &[field], &ResponseLayout::default());
    for (slot, (value, _)) in predictions.fields_mut()[0].values.iter_mut().zip(values()) {
        *slot = value;
    }
    predictions
}

#[divan::bench(args = [Format::Json, Format::JsonLines, Format::RecordIo])]
fn encode(bencher: Bencher<'_, '_>, format: Format) {
    let (predictions, content_type) = (predictions(), ContentType::new(format));
    let mut out = Vec::new();
    codecs::encode(&content_type, &predictions, &[], &mut out);
    let length = out.len();
    bencher.counter(BytesCount::new(length)).bench_local(|| {
        out.clear();
        codecs::encode(&content_type, black_box(&predictions), &[], &mut out);
        assert_eq!(out.len(), length);
    });
}

/// The records of a stream in chunks of 64 KiB.
#[divan::bench(args = [SplitType::Line, SplitType::RecordIo, SplitType::TfRecord])]
fn split(bencher: Bencher<'_, '_>, split_type: SplitType) {
    let mut stream = Vec::new();
    for row in values().chunks(30) {
        let line: String = row.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(",");
        split_type.join(line.as_bytes(), &mut stream).expect("a line fits a frame");
    }
    bencher.counter(BytesCount::new(stream.len())).bench_local(|| {
        let mut splitter = Splitter::new(split_type);
        let mut records = 0;
        for chunk in black_box(&stream).chunks(1 << 16) {
            splitter.feed(chunk);
            while let Some(record) = splitter.next_record().expect("the stream is records") {
                black_box(record.bytes);
                records += 1;
            }
        }
        assert_eq!((records, splitter.finish()), (VALUES / 30, Ok(None)));
    });
}
