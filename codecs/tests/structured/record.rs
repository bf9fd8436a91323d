//! RecordIO-protobuf requests: every kind of tensor, labels, tags, and every refusal word by word.

use codecs::Format;
use codecs::framing::SplitType;
use codecs::record::{Bytes, Float64Tensor, Int32Tensor, Kind, Record, Value};
use dmatrix::{LabelPolicy, Missing, RowSchema, RowTag};
use prost::Message;

use crate::{Decoded, assert_rows, decode, decode_matrix, dense, missing_allowed, narrow_allowed, sparse};

pub(crate) fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for payload in payloads {
        SplitType::RecordIo.join(payload, &mut body).expect("the payload is short");
    }
    body
}

fn body(records: &[Record]) -> Vec<u8> {
    framed(&records.iter().map(Record::to_bytes).collect::<Vec<_>>())
}

fn check(schema: &RowSchema, body: &[u8], expected: &[Decoded]) {
    let found = decode(Format::RecordIo, schema, body).unwrap_or_else(|error| panic!("{error}"));
    assert_rows(&found, expected, "records");
}

fn check_error(schema: &RowSchema, body: &[u8], expected: &str) {
    assert_eq!(decode(Format::RecordIo, schema, body), Err(expected.to_owned()));
}

fn any() -> RowSchema {
    RowSchema::default()
}

fn float64(values: &[f64]) -> Record {
    Record::with_features(Kind::Float64Tensor(Float64Tensor {
        values: values.to_vec(),
        ..Float64Tensor::default()
    }))
}

fn int32(values: &[i32]) -> Record {
    Record::with_features(Kind::Int32Tensor(Int32Tensor {
        values: values.to_vec(),
        ..Int32Tensor::default()
    }))
}

#[test]
fn every_kind_of_tensor_is_read() {
    check(&any(), &[], &[]);
    let rows = [dense(&[1.5, -2.0]), dense(&[0.1, 1e30]), dense(&[7.0, -3.0])];
    let records = [Record::dense(vec![1.5, -2.0]), float64(&[0.1, 1e30]), int32(&[7, -3])];
    check(&any(), &body(&records), &rows);
    check(&RowSchema::exactly(2), &body(&records), &rows);
    check(
        &any(),
        &body(&[int32(&[i32::MIN, i32::MAX, 16_777_217])]),
        &[dense(&[-2_147_483_648.0, 2_147_483_648.0, 16_777_216.0])],
    );
}

#[test]
fn sparse_records() {
    let record = Record::sparse(vec![4.0, 1.0], vec![9, 3], vec![5, 2]);
    check(&any(), &body(&[record]), &[sparse(&[(3, 1.0), (9, 4.0)])]);
    check(&RowSchema::exactly(5), &body(&[Record::sparse(vec![], vec![], vec![5])]), &[sparse(&[])]);
    let mixed = [Record::dense(vec![1.0, 2.0]), Record::sparse(vec![5.0], vec![1], vec![2])];
    check(&any(), &body(&mixed), &[sparse(&[(0, 1.0), (1, 2.0)]), sparse(&[(1, 5.0)])]);
    check(&narrow_allowed(9), &body(&[Record::sparse(vec![5.0], vec![1], vec![2])]), &[sparse(&[(1, 5.0)])]);
    let shaped = Record::sparse(vec![1.0, 2.0], vec![], vec![2, 1]);
    check(&any(), &body(&[shaped]), &[dense(&[1.0, 2.0])]);
}

/// As [`codecs::record::Float32Tensor`], one field a value.
#[derive(Clone, PartialEq, Message)]
struct Unpacked {
    #[prost(float, repeated, packed = "false", tag = "1")]
    values: Vec<f32>,
    #[prost(uint64, repeated, packed = "false", tag = "2")]
    keys: Vec<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "3")]
    shape: Vec<u64>,
    /// A field that no schema has.
    #[prost(string, tag = "99")]
    unknown: String,
}

#[derive(Clone, PartialEq, Message)]
struct UnpackedDouble {
    #[prost(double, repeated, packed = "false", tag = "1")]
    values: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct UnpackedInt {
    #[prost(int32, repeated, packed = "false", tag = "1")]
    values: Vec<i32>,
}

/// A field that holds `content`, length-delimited.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut out);
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// A record whose feature `values` is `tensor`, in field `kind` of its value.
fn record_with(kind: u32, tensor: &[u8]) -> Vec<u8> {
    field(1, &[field(1, b"values"), field(2, &field(kind, tensor))].concat())
}

#[test]
fn unpacked_values_and_unknown_fields() {
    let unpacked =
        Unpacked { values: vec![2.0, 1.0], keys: vec![5, 3], shape: vec![2, 3], unknown: "x".to_owned() };
    check(&any(), &framed(&[record_with(2, &unpacked.encode_to_vec())]), &[sparse(&[(3, 1.0), (5, 2.0)])]);
    let double = UnpackedDouble { values: vec![0.5, -1.5] }.encode_to_vec();
    check(&any(), &framed(&[record_with(3, &double)]), &[dense(&[0.5, -1.5])]);
    let int = UnpackedInt { values: vec![1, -1] }.encode_to_vec();
    check(&any(), &framed(&[record_with(7, &int)]), &[dense(&[1.0, -1.0])]);
    // Packed twice: repeated fields concatenate.
    let twice =
        [field(1, &1_f32.to_le_bytes()), field(1, &[2_f32.to_le_bytes(), 3_f32.to_le_bytes()].concat())]
            .concat();
    check(&any(), &framed(&[record_with(2, &twice)]), &[dense(&[1.0, 2.0, 3.0])]);
}

#[test]
fn an_entry_may_hold_its_value_before_its_key() {
    let tensor = field(1, &1_f32.to_le_bytes());
    let entry = [field(2, &field(2, &tensor)), field(1, b"values")].concat();
    check(&any(), &framed(&[[field(77, b"unknown"), field(1, &entry)].concat()]), &[dense(&[1.0])]);
}

#[test]
fn a_record_in_parts_is_one_row() {
    let magic = f32::from_le_bytes(0xCED7_230A_u32.to_le_bytes());
    let payload = Record::dense(vec![1.0, magic, 2.0]).to_bytes();
    let cut = payload
        .windows(4)
        .position(|bytes| bytes == 0xCED7_230A_u32.to_le_bytes())
        .expect("the magic is there");
    let mut first = framed(&[payload[..cut].to_vec()]);
    first[7] |= 1 << 5;
    let mut last = framed(&[payload[cut + 4..].to_vec()]);
    last[7] |= 3 << 5;
    check(&any(), &[first, last].concat(), &[dense(&[1.0, magic, 2.0])]);
}

#[test]
fn labels_are_passed_over_or_kept() {
    let records = [Record::dense(vec![1.0]).with_label(3.0), Record::dense(vec![2.0]).with_label(4.0)];
    let required = RowSchema { labels: LabelPolicy::Required, ..any() };
    assert!(decode_matrix(Format::RecordIo, &any(), &body(&records)).unwrap().labels().is_empty());
    assert_eq!(decode_matrix(Format::RecordIo, &required, &body(&records)).unwrap().labels(), [3.0, 4.0]);
    let mut int_label = Record::dense(vec![1.0]);
    let kind = Kind::Int32Tensor(Int32Tensor { values: vec![1, 2], ..Int32Tensor::default() });
    int_label.label.insert("values".to_owned(), Value { value: Some(kind) });
    assert_eq!(
        decode_matrix(Format::RecordIo, &required, &body(&[int_label.clone()])).unwrap().labels(),
        [1.0, 2.0]
    );
    check_error(&required, &body(&[Record::dense(vec![1.0])]), "row 1, byte 8: expected a label, found none");
    check_error(
        &required,
        &body(&[records[0].clone(), int_label]),
        "row 2, byte 56: expected as many labels as in the first row, found 2",
    );
    check_error(
        &required,
        &body(&[Record::dense(vec![1.0]).with_label(f32::NAN)]),
        "row 1, byte 44: expected a finite number within the range of f32, found NaN",
    );
    let mut other = Record::dense(vec![1.0]);
    other.label.insert("y".to_owned(), Value::float32(vec![1.0]));
    check_error(
        &required,
        &body(&[other.clone()]),
        "row 1, byte 30: expected the label \"values\", found \"y\"",
    );
    check(&any(), &body(&[other]), &[dense(&[1.0])]);
}

#[test]
fn tags_are_kept_when_a_record_has_some() {
    let plain = Record::dense(vec![1.0]);
    let uid = |uid: &str| Some(uid.to_owned());
    let tagged = Record { uid: uid("a"), metadata: uid("{}"), configuration: uid("{}"), ..plain.clone() };
    let named = Record { uid: uid("b"), ..plain.clone() };
    let tags =
        |records: &[Record]| decode_matrix(Format::RecordIo, &any(), &body(records)).unwrap().tags().to_vec();
    assert_eq!(tags(&[plain.clone(), plain.clone()]), []);
    let expected = [
        RowTag::default(),
        RowTag { uid: uid("a"), metadata: uid("{}") },
        RowTag { uid: uid("b"), metadata: None },
        RowTag::default(),
    ];
    assert_eq!(tags(&[plain.clone(), tagged, named, plain]), expected);
}

#[test]
fn values_are_finite_or_missing() {
    let nan = body(&[Record::dense(vec![1.0]), Record::dense(vec![f32::NAN])]);
    check(&missing_allowed(&any()), &nan, &[dense(&[1.0]), dense(&[f32::NAN])]);
    check_error(
        &any(),
        &nan,
        "row 2, column 1, byte 52: expected a number, found a missing value, which this model does not take",
    );
    let sentinel = RowSchema { missing: Missing::Sentinel(-1.0), ..any() };
    check(&sentinel, &body(&[int32(&[-1, 2])]), &[dense(&[f32::NAN, 2.0])]);
    let range = "expected a finite number within the range of f32";
    let infinite = body(&[Record::dense(vec![1.0, f32::NEG_INFINITY])]);
    check_error(
        &missing_allowed(&any()),
        &infinite,
        &format!("row 1, column 2, byte 28: {range}, found -inf"),
    );
    check_error(
        &any(),
        &body(&[float64(&[1.0, 2.0, 1e39])]),
        &format!("row 1, column 3, byte 40: {range}, found 1e39"),
    );
}

#[test]
fn widths_and_shapes() {
    check_error(
        &RowSchema::exactly(2),
        &body(&[Record::dense(vec![1.0])]),
        "row 1, byte 8: expected 2 features, found 1",
    );
    check_error(
        &any(),
        &body(&[Record::dense(vec![])]),
        "row 1, byte 8: expected at least one feature, found none",
    );
    check_error(
        &any(),
        &body(&[Record::sparse(vec![1.0, 2.0], vec![], vec![3])]),
        "row 1, byte 8: expected a shape that multiplies out to the number of values, found 3 for 2 values",
    );
    check_error(
        &any(),
        &body(&[Record::sparse(vec![1.0], vec![1], vec![])]),
        "row 1, byte 8: expected a shape beside the keys, found none",
    );
    check_error(
        &any(),
        &body(&[Record::sparse(vec![1.0, 1.0], vec![0, 7], vec![7])]),
        "row 1, column 2, byte 8: expected a key below the shape, found 7 for a shape of 7",
    );
    check_error(
        &any(),
        &body(&[Record::sparse(vec![1.0, 1.0], vec![3, 3], vec![7])]),
        "row 1, byte 8: expected each key once, found key 3 again",
    );
    check_error(
        &any(),
        &body(&[Record::sparse(vec![1.0], vec![0, 7], vec![8])]),
        "row 1, byte 8: expected as many values as keys, found 1 values for 2 keys",
    );
    check_error(
        &any(),
        &body(&[Record::sparse(vec![1.0], vec![1 << 32], vec![7])]),
        "row 1, column 1, byte 30: expected a key of at most 4294967295, found 4294967296",
    );
    check_error(
        &any(),
        &body(&[Record::sparse(vec![1.0], vec![1], vec![1 << 16, 1 << 16])]),
        "row 1, byte 36: expected a shape of at most 4294967295 features, found a larger one",
    );
}

#[test]
fn what_is_not_a_row_is_named() {
    check_error(&any(), &framed(&[vec![]]), "row 1, byte 8: expected the feature \"values\", found none");
    let mut other = Record::default();
    other.features.insert("image".to_owned(), Value::float32(vec![1.0]));
    check_error(&any(), &body(&[other]), "row 1, byte 10: expected the feature \"values\", found \"image\"");
    let bytes = Record::with_features(Kind::Bytes(Bytes { value: vec![vec![1]], content_type: None }));
    check_error(
        &any(),
        &body(&[bytes]),
        "row 1, byte 20: expected a float32, float64 or int32 tensor, found bytes",
    );
    let empty = field(1, &[field(1, b"values"), field(2, b"")].concat());
    check_error(
        &any(),
        &framed(&[empty]),
        "row 1, byte 20: expected a float32, float64 or int32 tensor, found none",
    );
    let no_value = field(1, &field(1, b"values"));
    check_error(&any(), &framed(&[no_value]), "row 1, byte 10: expected a value beside the key, found none");
    let one = record_with(2, &field(1, &1_f32.to_le_bytes()));
    check_error(
        &any(),
        &framed(&[[one.clone(), one].concat()]),
        "row 1, byte 30: expected \"values\" once, found \"values\" again",
    );
    let two = [field(2, b""), field(2, b"")].concat();
    let two = field(1, &[field(1, b"values"), field(2, &two)].concat());
    check_error(&any(), &framed(&[two]), "row 1, byte 22: expected one tensor in a value, found another");
    check_error(
        &any(),
        &framed(&[record_with(2, &field(1, &[0; 6]))]),
        "row 1, byte 24: expected packed values of 4 bytes each, found 6 bytes",
    );
    check_error(
        &any(),
        &framed(&[record_with(3, &field(1, &[0; 12]))]),
        "row 1, byte 24: expected packed values of 8 bytes each, found 12 bytes",
    );
    check_error(
        &any(),
        &framed(&[vec![0x08, 0x01]]),
        "row 1, byte 8: expected a length-delimited field, found a varint field",
    );
    check_error(
        &any(),
        &framed(&[record_with(2, &[0x08, 0x01])]),
        "row 1, byte 22: expected values of the tensor's type, found a varint field",
    );
    check_error(&any(), &framed(&[vec![0x0F]]), "row 1, byte 8: expected a wire type from 0 to 5, found 7");
    check_error(
        &any(),
        &framed(&[vec![0x02, 0x00]]),
        "row 1, byte 8: expected a field number from 1 to 536870911, found 0",
    );
    check_error(
        &any(),
        &framed(&[vec![0x0A, 0x7F, 0x00]]),
        "row 1, byte 10: expected a whole field, found 1 of the 127 bytes that its length says",
    );
    let uid = [record_with(2, &field(1, &[0; 4])), field(3, b"\xFF")].concat();
    check_error(&any(), &framed(&[uid]), "row 1, byte 30: expected UTF-8, found \"\u{fffd}\"");
}
