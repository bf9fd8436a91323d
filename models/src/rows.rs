//! What the families that take no missing values share: checks of the input, and a dense view of sparse rows.

use dmatrix::{DMatrix, Predictions};

use crate::{Input, PredictError, Signature};

/// The rows of an input, if they are as wide as `signature` says, with room for their answers made.
pub(crate) fn begin<'a>(
    input: Input<'a>,
    signature: &Signature,
    predictions: &mut Predictions,
) -> Result<&'a DMatrix, PredictError> {
    let Input::Rows(rows) = input;
    let expected = signature.rows.columns.expect("these families know their width");
    if !rows.is_empty() && rows.columns() != expected {
        return Err(PredictError::Width { expected, found: rows.columns() });
    }
    predictions.reset(rows.rows(), &signature.fields, &signature.layout);
    Ok(rows)
}

/// Refuses the first value of a dense row (`row` from 0) that is not finite.
pub(crate) fn check_values(row: usize, values: &[f32]) -> Result<(), PredictError> {
    // A finite sum of absolute values would do, but this form is a plain vector loop, too.
    if values.iter().fold(true, |finite, value| finite & value.is_finite()) {
        return Ok(());
    }
    let feature = values.iter().position(|value| !value.is_finite()).unwrap_or_default();
    Err(not_finite(row, feature, values[feature]))
}

/// Refuses the first value of a sparse row that is not finite.
pub(crate) fn check_sparse_values(row: usize, indices: &[u32], values: &[f32]) -> Result<(), PredictError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(entry) => Err(not_finite(row, indices[entry] as usize, values[entry])),
    }
}

fn not_finite(row: usize, feature: usize, value: f32) -> PredictError {
    PredictError::Value {
        row: row + 1,
        feature: feature + 1,
        reason: format!("expected a finite number, found {value}"),
    }
}

/// A dense row that sparse rows are spread into, one after the other; what is absent is 0.
#[derive(Debug, Default)]
pub(crate) struct Dense {
    row: Vec<f32>,
    filled: Vec<u32>,
}

impl Dense {
    /// The dense form of a sparse row.
    pub(crate) fn fill(&mut self, columns: usize, indices: &[u32], values: &[f32]) -> &[f32] {
        self.row.resize(columns, 0.0);
        for index in self.filled.drain(..) {
            self.row[index as usize] = 0.0;
        }
        for (&index, &value) in indices.iter().zip(values) {
            self.row[index as usize] = value;
        }
        self.filled.extend_from_slice(indices);
        &self.row
    }
}
