//! json.
use dmatrix::{DMatrix, Predictions, RowSchema};

use crate::DecodeError;

pub(crate) fn decode(_: &RowSchema, _: &[u8], _: &mut DMatrix) -> Result<(), DecodeError> {
    todo!()
}

pub(crate) fn encode(_: &Predictions, _: &mut Vec<u8>) {
    todo!()
}
