//! csv.
use dmatrix::{DMatrix, Predictions, RowSchema};

use crate::{ContentType, DecodeError};

pub(crate) fn decode(_: &ContentType, _: &RowSchema, _: &[u8], _: &mut DMatrix) -> Result<(), DecodeError> {
    todo!()
}

pub(crate) fn encode(_: &Predictions, _: &mut Vec<u8>) {
    todo!()
}
