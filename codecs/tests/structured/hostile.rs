//! Bodies meant to harm: each is refused with a short message, without deep recursion and without memory that the body
//! does not back.

use codecs::Format;
use dmatrix::RowSchema;

use crate::record::framed;
use crate::{decode, narrow_allowed};

/// Longer than any message of ours.
const MESSAGE_BYTES_MAX: usize = 300;

fn check(format: Format, schema: &RowSchema, body: &[u8], expected: &str) {
    let error = decode(format, schema, body).expect_err("the body is hostile");
    assert!(error.contains(expected), "{error}");
    assert!(error.len() < MESSAGE_BYTES_MAX, "{error}");
}

fn check_json(body: impl AsRef<[u8]>, expected: &str) {
    check(Format::Json, &RowSchema::default(), body.as_ref(), expected);
    check(Format::Json, &RowSchema::exactly(3), body.as_ref(), expected);
}

fn check_payload(payload: &[u8], expected: &str) {
    check(Format::RecordIo, &RowSchema::default(), &framed(&[payload.to_vec()]), expected);
}

#[test]
fn deep_nesting_is_refused() {
    let deep = |open: &str| format!("{{\"x\": {}", open.repeat(1_000_000));
    check_json(deep("["), "expected at most 128 values within each other, found an array");
    check_json(deep("{\"a\":"), "expected at most 128 values within each other, found an object");
    check_json("[".repeat(1_000_000), "row 1, column 1, byte 2: expected a number, found an array");
    let fine = format!("{{\"x\": {}{}, \"instances\": []}}", "[".repeat(127), "]".repeat(127));
    assert_eq!(decode(Format::Json, &RowSchema::default(), fine.as_bytes()), Ok(Vec::new()));
}

#[test]
fn long_tokens_are_shortened_in_messages() {
    check_json(format!("[\"{}\"]", "x".repeat(1_000_000)), "found the string \"xxx");
    check_json(format!("[{}]", "x".repeat(1_000_000)), "expected a number, found \"xxx");
    check_json(format!("[1{}e999]", "0".repeat(1_000_000)), "within the range of f32");
    check_json(format!("{{\"{}", "k".repeat(1_000_000)), "expected a closing quote");
}

#[test]
fn every_truncation_of_a_body_is_refused() {
    let body = br#"{"instances": [{"data": {"features": {"keys": [1], "shape": [3], "values": [-1.5e2]}}}, [1, 2, 3]]}"#;
    assert!(decode(Format::Json, &RowSchema::default(), body).is_ok());
    for cut in 1..body.len() {
        assert!(decode(Format::Json, &RowSchema::default(), &body[..cut]).is_err(), "cut at {cut}");
    }
    let body = framed(&[codecs::record::Record::sparse(vec![1.0, 2.0], vec![1, 2], vec![3]).to_bytes()]);
    for cut in 1..body.len() {
        assert!(decode(Format::RecordIo, &RowSchema::default(), &body[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn shapes_do_not_allocate() {
    let tensor = |shape: &str| {
        format!(
            r#"{{"instances": [{{"data": {{"features": {{"keys": [1], "shape": {shape}, "values": [1]}}}}}}]}}"#
        )
    };
    assert!(decode(Format::Json, &RowSchema::default(), tensor("[4294967295]").as_bytes()).is_ok());
    check_json(tensor("[4294967295, 2]"), "expected a shape of at most 4294967295 features");
    check_json(tensor("[65536, 65536, 65536, 65536]"), "expected a shape of at most 4294967295 features");
    check(
        Format::Json,
        &RowSchema::exactly(3),
        tensor("[4294967295]").as_bytes(),
        "expected 3 features, found 4294967295",
    );
}

#[test]
fn narrow_rows_do_not_unpack_to_gigabytes() {
    let body = format!("[[1]{}]", ",[]".repeat(1000));
    check(Format::Json, &narrow_allowed(1_000_000), body.as_bytes(), "expected at most 67108864 values");
    let record = codecs::record::Record::dense(vec![1.0]).to_bytes();
    check(
        Format::RecordIo,
        &narrow_allowed(1_000_000),
        &framed(&vec![record; 1000]),
        "expected at most 67108864 values",
    );
}

#[test]
fn lengths_that_lie_are_refused() {
    let lie = [&0xCED7_230A_u32.to_le_bytes()[..], &0x1FFF_FFFF_u32.to_le_bytes(), b"abc"].concat();
    check(
        Format::RecordIo,
        &RowSchema::default(),
        &lie,
        "expected a whole frame, found the end after 11 of its 536870920 bytes",
    );
    check_payload(
        b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
        "found 0 of the 18446744073709551615 bytes",
    );
    check_payload(b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", "expected a varint of at most 64 bits");
    check_payload(b"\x0A\x80\x80\x80\x80\x02x", "found 1 of the 536870912 bytes");
    check_payload(&[0x80; 1000], "expected a varint of at most 64 bits, found a longer varint");
}

#[test]
fn groups_do_not_recurse_without_end() {
    check_payload(&[0x0B; 100_000], "expected at most 32 groups within each other");
    check_payload(&[0x0C; 10], "found the end of a group that has not begun");
}

#[test]
fn keys_again_and_again() {
    let body = format!(r#"{{"instances": [{{{}"features": [1]}}]}}"#, r#""features": [1], "#.repeat(10_000));
    check_json(body, "expected one \"features\" in an object");
    let keys = "1, ".repeat(100_000) + "1";
    let tensor =
        format!(r#"{{"data": {{"features": {{"keys": [{keys}], "shape": [9], "values": [{keys}]}}}}}}"#);
    check(
        Format::JsonLines,
        &RowSchema::default(),
        tensor.as_bytes(),
        "expected each key once, found key 1 again",
    );
}

#[test]
fn frames_without_end() {
    let mut first = framed(&[Vec::new()]);
    first[7] |= 1 << 5;
    let mut middle = framed(&[Vec::new()]);
    middle[7] |= 2 << 5;
    let body = [first, middle.repeat(100_000)].concat();
    check(
        Format::RecordIo,
        &RowSchema::default(),
        &body,
        "expected the last part of a record, found the end",
    );
    let empty = framed(&vec![Vec::new(); 100_000]);
    check(
        Format::RecordIo,
        &RowSchema::default(),
        &empty,
        "row 1, byte 8: expected the feature \"values\", found none",
    );
}
