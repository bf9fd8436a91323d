//! One pass over a channel: blocks of rows, dense ones as doubles, and the sums that both modes need.

use dmatrix::{DMatrix, Row, Storage};
use estimator::{Job, Order, Rows, TrainError};

/// The most values of a block of dense rows. Reason: 16 MiB of doubles, enough rows for matrix products at full speed.
pub(crate) const BLOCK_VALUES_MAX: usize = 1 << 21;
/// The most rows of a block. Reason: a block of few features need not be larger to be fast.
const BLOCK_ROWS_MAX: usize = 16_384;

/// The rows of a block: what `mini_batch_size` says does not matter to sums.
pub(crate) fn block_rows(columns: usize) -> usize {
    (BLOCK_VALUES_MAX / columns.max(1)).clamp(1, BLOCK_ROWS_MAX)
}

/// Rows that are added up together.
#[derive(Debug)]
pub(crate) enum Block<'a> {
    /// Row-major.
    Dense(&'a [f64]),
    /// As they came.
    Sparse(&'a DMatrix),
}

/// What both modes know of the rows.
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    /// Rows seen.
    pub(crate) records: f64,
    /// Σx, one a feature.
    pub(crate) columns: Vec<f64>,
}

impl Sums {
    pub(crate) fn new(columns: usize) -> Self {
        Self { records: 0.0, columns: vec![0.0; columns] }
    }

    pub(crate) fn add(&mut self, block: &Block<'_>) {
        let width = self.columns.len();
        match block {
            Block::Dense(values) => {
                self.records += (values.len() / width) as f64;
                for row in values.chunks_exact(width) {
                    self.columns.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
                }
            }
            Block::Sparse(rows) => {
                self.records += rows.rows() as f64;
                for (&index, &value) in rows.indices().iter().zip(rows.values()) {
                    self.columns[index as usize] += f64::from(value);
                }
            }
        }
    }

    /// Over all hosts.
    pub(crate) fn sum(&mut self, job: &Job) -> Result<(), TrainError> {
        let mut records = [self.records];
        job.cluster.sum(&mut records)?;
        self.records = records[0];
        job.cluster.sum(&mut self.columns)
    }

    /// What is taken from every row: the mean, or nothing.
    pub(crate) fn mean(&self, subtracts: bool) -> Vec<f64> {
        let factor = if subtracts { 1.0 / self.records } else { 0.0 };
        self.columns.iter().map(|sum| sum * factor).collect()
    }
}

/// Gives all blocks of one pass to `add`, with the place of the first row, and the rows as they came to `look`; ends early
/// when a stop is asked for. Whether it went to the end.
pub(crate) fn run(
    job: &Job,
    rows: &mut Rows,
    mut look: impl FnMut(&DMatrix),
    mut add: impl FnMut(&Block<'_>, u64),
) -> Result<bool, TrainError> {
    let mut pass = rows.pass(Order::AsRead)?;
    let (mut batch, mut doubles, mut place) = (DMatrix::new(), Vec::new(), 0);
    while pass.next(&mut batch)? {
        look(&batch);
        match batch.storage() {
            Storage::Sparse => add(&Block::Sparse(&batch), place),
            Storage::Dense => {
                doubles.clear();
                doubles.extend(batch.values().iter().map(|value| f64::from(*value)));
                add(&Block::Dense(&doubles), place);
            }
        }
        place += batch.rows() as u64;
        if job.stop.is_asked_for() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The entries of a sparse row whose features are in `features`.
pub(crate) fn entries<'a>(
    rows: &'a DMatrix,
    row: usize,
    features: &std::ops::Range<usize>,
) -> (&'a [u32], &'a [f32]) {
    let Row::Sparse { indices, values } = rows.row(row) else { return (&[], &[]) };
    let first = indices.partition_point(|index| (*index as usize) < features.start);
    let end = first + indices[first..].partition_point(|index| (*index as usize) < features.end);
    (&indices[first..end], &values[first..end])
}
