//! Rows made ready to be looked for: dense, reduced, of length 1 where the metric asks, filled to the index's width.

use dmatrix::{DMatrix, Row};

use super::reduction::Reduction;
use super::settings::Metric;
use crate::PredictError;
use crate::lanes::dot;
use crate::rows::{Dense, check_sparse_values, check_values};

/// The queries of some rows; keeps its buffers.
#[derive(Debug)]
pub(super) struct Queries<'a> {
    reduction: Option<&'a Reduction>,
    metric: Metric,
    columns: usize,
    dense: Dense,
    buffer: Vec<f64>,
    values: Vec<f32>,
}

impl<'a> Queries<'a> {
    /// For an index of `columns` dimensions.
    pub(super) fn new(reduction: Option<&'a Reduction>, metric: Metric, columns: usize) -> Self {
        Self { reduction, metric, columns, dense: Dense::default(), buffer: Vec::new(), values: Vec::new() }
    }

    /// Takes `count` rows from `start`.
    pub(super) fn fill(&mut self, rows: &DMatrix, start: usize, count: usize) -> Result<(), PredictError> {
        self.values.clear();
        for index in start..start + count {
            let row = match rows.row(index) {
                Row::Dense(row) => {
                    check_values(index, row)?;
                    row
                }
                Row::Sparse { indices, values } => {
                    check_sparse_values(index, indices, values)?;
                    self.dense.fill(rows.columns(), indices, values)
                }
            };
            let begin = self.values.len();
            match self.reduction {
                None => self.values.extend_from_slice(row),
                Some(reduction) => reduction.apply(row, &mut self.buffer, &mut self.values),
            }
            if self.metric == Metric::Cosine {
                normalise(&mut self.values[begin..]);
            }
            if !self.values[begin..].iter().all(|value| value.is_finite()) {
                return Err(PredictError::Overflow { row: index + 1 });
            }
            self.values.resize(begin + self.columns, 0.0);
        }
        Ok(())
    }

    /// Row-major, one query a row.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Makes a vector's length 1; one of length 0 stays.
pub(super) fn normalise(values: &mut [f32]) {
    let length = dot(values, values).sqrt();
    if length > 0.0 {
        values.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
}
