//! One plain function for each parser of foreign bytes. A function never fails on bad bytes (they are refused, that
//! is fine); it panics when a parser panics, or when what was accepted breaks a promise.
//!
//! `fuzz_targets/` hands these to cargo-fuzz; the end-to-end tests include this file and run it on seeds and damaged
//! seeds.

mod calls;
mod families;
mod processing;
mod signatures;
mod transforms;

use std::io::Write;

use codecs::content_encoding::{ContentEncoding, ContentEncodingError};
use codecs::framing::{SplitType, Splitter};
use codecs::{ContentType, Format};
use dmatrix::{DMatrix, Missing, NarrowRows, Predictions, Row, RowSchema};
use models::archive::{Limits, unpack_within};
use models::xgboost::{XgboostModel, reader};
use models::{Input, LoadOptions, Manifest, Model};

pub use calls::{call_shape, event_message, query_form};
pub use families::family;
pub use processing::{json_path, processing};
pub use signatures::{aws_chunked, credentials, signature};
pub use transforms::{batches, gunzip};

/// A target by name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 26] = [
    ("archive", archive),
    ("aws_chunked", aws_chunked),
    ("batches", batches),
    ("call_shape", call_shape),
    ("content_encoding", content_encoding),
    ("content_type", content_type),
    ("credentials", credentials),
    ("csv", csv),
    ("event_message", event_message),
    ("family", family),
    ("framing", framing),
    ("gunzip", gunzip),
    ("json", json),
    ("json_lines", json_lines),
    ("json_path", json_path),
    ("libsvm", libsvm),
    ("manifest", manifest),
    ("manifest_input", manifest_input),
    ("processing", processing),
    ("query_form", query_form),
    ("recordio", recordio),
    ("signature", signature),
    ("xgboost_binary", xgboost_binary),
    ("xgboost_json", xgboost_json),
    ("xgboost_pickle", xgboost_pickle),
    ("xgboost_ubjson", xgboost_ubjson),
];

/// The schemas a payload is read with: what a decoder does differs by them.
fn schemas() -> [RowSchema; 4] {
    let sentinel = Missing::Sentinel(-1.0);
    [
        RowSchema::default(),
        RowSchema::exactly(3),
        RowSchema {
            missing: Missing::Allowed,
            narrow_rows: NarrowRows::FillMissing,
            ..RowSchema::exactly(4)
        },
        RowSchema { missing: sentinel, libsvm_index_base: dmatrix::IndexBase::One, ..RowSchema::exactly(4) },
    ]
}

/// Decodes by every schema; what is accepted must be of the schema's width, finite or missing, with ascending indices.
fn decode(format: Format, body: &[u8]) {
    let mut rows = DMatrix::new();
    for schema in schemas() {
        if codecs::decode(&ContentType::new(format), &schema, body, &mut rows).is_err() {
            continue;
        }
        if let (Some(columns), false) = (schema.columns, rows.is_empty()) {
            assert_eq!(rows.columns(), columns, "rows are as wide as the model");
        }
        assert!(rows.values().iter().all(|value| !value.is_infinite()), "values are finite or missing");
        let takes_missing = schema.missing != Missing::Refused;
        assert!(takes_missing || rows.values().iter().all(|value| !value.is_nan()), "no missing values");
        for row in 0..rows.rows() {
            if let Row::Sparse { indices, values } = rows.row(row) {
                assert_eq!(indices.len(), values.len());
                assert!(indices.windows(2).all(|pair| pair[0] < pair[1]), "indices ascend");
                assert!(indices.last().is_none_or(|last| (*last as usize) < rows.columns()));
            }
        }
    }
}

/// text/csv.
pub fn csv(body: &[u8]) {
    decode(Format::Csv, body);
}

/// application/json.
pub fn json(body: &[u8]) {
    decode(Format::Json, body);
}

/// application/jsonlines.
pub fn json_lines(body: &[u8]) {
    decode(Format::JsonLines, body);
}

/// text/libsvm.
pub fn libsvm(body: &[u8]) {
    decode(Format::LibSvm, body);
}

/// application/x-recordio-protobuf.
pub fn recordio(body: &[u8]) {
    decode(Format::RecordIo, body);
}

/// The records of `body` cut into pieces of `piece` bytes: their bytes, or none when the stream is refused.
fn records(split_type: SplitType, body: &[u8], piece: usize) -> Option<Vec<Vec<u8>>> {
    let mut splitter = Splitter::with_record_bytes_max(split_type, 1 << 20);
    let mut records = Vec::new();
    for piece in body.chunks(piece) {
        splitter.feed(piece);
        while let Some(record) = splitter.next_record().ok()? {
            records.push(record.bytes.to_vec());
        }
    }
    records.extend(splitter.finish().ok()?.map(|record| record.bytes.to_vec()));
    Some(records)
}

/// Record framing: the same records however the stream is cut, and together they are the stream.
pub fn framing(body: &[u8]) {
    for split_type in [SplitType::None, SplitType::Line, SplitType::RecordIo, SplitType::TfRecord] {
        let whole = records(split_type, body, body.len().max(1));
        for piece in [1, 7] {
            assert_eq!(records(split_type, body, piece), whole, "{split_type:?} in pieces of {piece}");
        }
        if let Some(records) = whole {
            assert_eq!(records.concat(), body, "{split_type:?} loses nothing");
        }
    }
}

/// Content encodings: nothing over the cap is accepted, and what is refused has not grown far beyond it.
pub fn content_encoding(body: &[u8]) {
    const LIMIT_BYTES: usize = 1 << 16;
    /// What a decoder may have unpacked before it saw that the cap is passed.
    const STEP_BYTES_MAX: usize = 1 << 18;
    let mut out = Vec::new();
    for encoding in
        [ContentEncoding::Gzip, ContentEncoding::Deflate, ContentEncoding::Brotli, ContentEncoding::Zstd]
    {
        let result = encoding.decode(body, LIMIT_BYTES, &mut out);
        let most = if result.is_ok() { LIMIT_BYTES } else { LIMIT_BYTES + STEP_BYTES_MAX };
        assert!(out.len() <= most, "{encoding:?}: {} bytes", out.len());
        if let Err(ContentEncodingError::TooLarge { limit_bytes }) = result {
            assert_eq!(limit_bytes, LIMIT_BYTES);
        }
    }
}

/// Content-Type, Accept and Content-Encoding headers.
pub fn content_type(header: &[u8]) {
    let Ok(header) = std::str::from_utf8(header) else { return };
    if let Ok(content_type) = ContentType::parse(header) {
        let again =
            ContentType::parse(content_type.as_str()).expect("the name of a format is a content type");
        assert_eq!(again.format, content_type.format);
    }
    if let Ok(accept) = ContentType::from_accept(Some(header), ContentType::new(Format::Csv)) {
        assert_ne!(accept.format, Format::LibSvm, "libsvm is no answer format");
        codecs::encode(&accept, &Predictions::new(), &[], &mut Vec::new());
    }
    let _ = ContentEncoding::parse(header);
}

/// Reads a model; one that is accepted must predict any row of its width, and the same twice.
fn xgboost(file: &'static str, bytes: &[u8]) {
    /// The most features a row is made for. Reason: a hostile model may say a billion; the reader may accept that.
    const COLUMNS_MAX: usize = 10_000;
    let Ok(booster) = reader::read(file, bytes) else { return };
    let model = XgboostModel::new(
        vec![(file.to_owned(), booster)],
        XgboostModel::default_rows(),
        &LoadOptions::default(),
    );
    let Ok(model) = model else { return };
    let columns = model.signature().rows.columns.expect("a booster knows its width");
    if columns == 0 || columns > COLUMNS_MAX {
        return;
    }
    let values = (0..3 * columns).map(|n| match n % 4 {
        0 => f32::NAN,
        1 => -1.5,
        2 => (n % 7) as f32,
        _ => f32::MAX,
    });
    let rows = DMatrix::from_dense(values.collect(), columns);
    let predict = || {
        let mut predictions = Predictions::new();
        let result = model.predict(Input::Rows(&rows), &mut predictions);
        let fields =
            predictions.fields().iter().flat_map(|field| field.values.iter().map(|value| value.to_bits()));
        (result, fields.collect::<Vec<u32>>())
    };
    assert_eq!(predict(), predict(), "a score is a function of its row");
}

/// XGBoost's JSON.
pub fn xgboost_json(bytes: &[u8]) {
    xgboost("model.json", bytes);
}

/// XGBoost's UBJSON.
pub fn xgboost_ubjson(bytes: &[u8]) {
    xgboost("model.ubj", bytes);
}

/// XGBoost's legacy binary.
pub fn xgboost_binary(bytes: &[u8]) {
    xgboost("model.bin", bytes);
}

/// A pickled Booster.
pub fn xgboost_pickle(bytes: &[u8]) {
    xgboost("model.pkl", bytes);
}

/// `model.tar.gz`: whatever it says, files land in a fresh directory below the scratch one and nowhere else.
pub fn archive(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for a test");
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).expect("a folder for a test");
    let path = folder.path().join("model.tar.gz");
    let mut file = std::fs::File::create_new(&path).expect("a file for a test");
    file.write_all(bytes).expect("a file for a test");
    let limits = Limits { unpacked_bytes_max: 1 << 20, ..Limits::default() };
    if let Ok(unpacked) = unpack_within(&path, &scratch, limits) {
        assert!(unpacked.directory().starts_with(&scratch));
        for member in unpacked.members() {
            let place = unpacked.directory().join(&member.name);
            let real = place.canonicalize().expect("a member is there");
            assert!(real.starts_with(scratch.canonicalize().expect("it is there")), "{real:?}");
        }
    }
    let names = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).expect("it is there");
        entries.map(|entry| entry.expect("it is there").file_name()).collect::<Vec<_>>()
    };
    assert_eq!(names(folder.path()).len(), 2, "nothing beside the scratch folder");
    assert!(names(&scratch).is_empty(), "nothing is left behind");
}

/// `manifest.json`: what is read is written and read back the same.
pub fn manifest(bytes: &[u8]) {
    let Ok((manifest, _)) = Manifest::from_json(bytes) else { return };
    let written = manifest.to_json();
    let (again, unknown) = Manifest::from_json(&written).expect("what is written is readable");
    assert_eq!(again, manifest);
    assert!(unknown.is_empty(), "every key that is written is known: {unknown:?}");
}

/// A transform's manifest of inputs: what is read has keys, each once, none longer than the store allows; and nothing is left out.
pub fn manifest_input(bytes: &[u8]) {
    let Ok(manifest) = transform::input::Manifest::parse(bytes) else { return };
    assert!(!manifest.bucket.is_empty() && !manifest.keys.is_empty());
    let mut keys = manifest.keys.clone();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), manifest.keys.len(), "each key is there once");
    assert!(keys.iter().all(|key| !key.is_empty() && manifest.prefix.len() + key.len() <= 1024));
    let mut items = serde_json::Deserializer::from_slice(bytes).into_iter::<Vec<serde_json::Value>>();
    let items = items.next().and_then(Result::ok).expect("what was accepted is an array");
    assert_eq!(items.len(), 1 + manifest.keys.len() + manifest.duplicates);
}
