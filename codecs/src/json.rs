//! application/json: rows from the layouts of SageMaker's row models, and answers. Strict RFC 8259, scanned straight
//! into the matrix: no tree, no strings.
//!
//! A body is `{"instances": [instance, ..]}`, an array of arrays of numbers, or an array of numbers (one row). An
//! instance is `[1, 2]`, `{"features": [1, 2]}` or `{"data": {"features": {"values": [1, 2]}}}`, the last one sparse
//! when it has `keys` and `shape`. Other keys are passed over; ours may stand once. `null` is a missing value.

mod encode;
mod instances;
mod scanner;

use dmatrix::{DMatrix, LabelPolicy, Predictions, RowSchema};

use crate::{DecodeError, Place, rows};
use scanner::Scanner;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Decodes a body.
pub(crate) fn decode(schema: &RowSchema, body: &[u8], rows: &mut DMatrix) -> Result<(), DecodeError> {
    rows::fill(schema, rows, |builder| {
        if body.is_empty() {
            return Ok(());
        }
        check_start(schema, body)?;
        instances::read_body(&mut Scanner::new(body, 0, "the end of the body"), builder)
    })
}

/// Decodes a body of one instance a line. Blank lines may only stand at its end.
pub(crate) fn decode_lines(schema: &RowSchema, body: &[u8], rows: &mut DMatrix) -> Result<(), DecodeError> {
    rows::fill(schema, rows, |builder| {
        let body = without_white_end(body);
        if body.is_empty() {
            return Ok(());
        }
        check_start(schema, body)?;
        let mut start = 0;
        while start < body.len() {
            let end = memchr::memchr(b'\n', &body[start..]).map_or(body.len(), |length| start + length);
            let mut scanner = Scanner::new(&body[..end], start, "the end of the line");
            instances::read_instance(&mut scanner, builder)?;
            scanner.expect_end()?;
            start = end + 1;
        }
        Ok(())
    })
}

/// Appends an answer: one object under the key of its layout.
pub(crate) fn encode(predictions: &Predictions, is_verbose: bool, out: &mut Vec<u8>) {
    encode::write_envelope(predictions, is_verbose, out);
}

/// Appends an answer: one object a line.
pub(crate) fn encode_lines(predictions: &Predictions, is_verbose: bool, out: &mut Vec<u8>) {
    encode::write_lines(predictions, is_verbose, out);
}

/// `body` without the white space of JSON at its end.
fn without_white_end(body: &[u8]) -> &[u8] {
    let end = body.iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    &body[..end.map_or(0, |last| last + 1)]
}

/// Refuses what cannot be rows from the start: a byte order mark, and labels asked of a format that has none.
fn check_start(schema: &RowSchema, body: &[u8]) -> Result<(), DecodeError> {
    let place = Place { byte: Some(0), ..Place::default() };
    if schema.labels == LabelPolicy::Required {
        let expected = "a format with labels: CSV, libsvm or RecordIO-protobuf";
        return Err(DecodeError::malformed(place, expected, "JSON"));
    }
    if body.starts_with(BYTE_ORDER_MARK) {
        return Err(DecodeError::malformed(
            place,
            "JSON without a byte order mark",
            "a UTF-8 byte order mark",
        ));
    }
    Ok(())
}
