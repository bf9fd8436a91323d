//! application/jsonlines: one instance of [`json`] a line, and answers of one object a line.

use dmatrix::{DMatrix, Predictions, RowSchema};

use crate::{DecodeError, json};

pub(crate) fn decode(schema: &RowSchema, body: &[u8], rows: &mut DMatrix) -> Result<(), DecodeError> {
    json::decode_lines(schema, body, rows)
}

pub(crate) fn encode(predictions: &Predictions, is_verbose: bool, out: &mut Vec<u8>) {
    json::encode_lines(predictions, is_verbose, out);
}
