//! Regular mode: S = Σ xᵀx over all rows and hosts, the covariance Σ = S − (1/n)·sᵀs (not divided by n), its eigenvectors.
//! The singular values are the roots of its eigenvalues: those of the centred rows.

use dmatrix::{DMatrix, Row};
use estimator::{Job, Rows, TrainError};
use nalgebra::{DMatrixView, DMatrixViewMut, Dyn};
use rayon::prelude::*;

use crate::decompose::{Found, add_product, symmetric};
use crate::pass::{self, Block, Sums, entries};
use crate::table::Settings;

/// Rows of S that one task adds up. Reason: 256 rows of 256 doubles stay in the cache of a core.
const STRIP_ROWS: usize = 256;
/// Sums side by side while S is one strip, each over every fourth part of a block: something to do for four threads.
const LANES: usize = 4;

/// S while it grows.
struct Gram {
    columns: usize,
    lanes: usize,
    /// lanes × columns × columns; of each row, what lies left of its strip is not filled in.
    sums: Vec<f64>,
}

/// One pass over `rows`.
pub(crate) fn components(
    job: &Job,
    settings: &Settings,
    rows: &mut Rows,
    look: impl FnMut(&DMatrix),
) -> Result<(Sums, Found), TrainError> {
    let columns = settings.columns;
    let (mut sums, mut gram) = (Sums::new(columns), Gram::new(columns));
    pass::run(job, rows, look, |block, _| {
        sums.add(block);
        gram.add(block);
    })?;
    sums.sum(job)?;
    let mut covariance = gram.finish();
    job.cluster.sum(&mut covariance)?;
    if settings.subtracts_mean {
        subtract_mean(&mut covariance, &sums);
    }
    Ok((sums, symmetric(covariance, columns)?))
}

fn subtract_mean(covariance: &mut [f64], sums: &Sums) {
    for (row, left) in covariance.chunks_exact_mut(sums.columns.len()).zip(&sums.columns) {
        for (value, right) in row.iter_mut().zip(&sums.columns) {
            *value -= left * right / sums.records;
        }
    }
}

impl Gram {
    fn new(columns: usize) -> Self {
        let lanes = if columns <= STRIP_ROWS { LANES } else { 1 };
        Self { columns, lanes, sums: vec![0.0; lanes * columns * columns] }
    }

    /// Each task has its strip of S to itself, so that nothing depends on who is done first.
    fn add(&mut self, block: &Block<'_>) {
        let (columns, lanes) = (self.columns, self.lanes);
        let strips = columns.div_ceil(STRIP_ROWS);
        let tasks =
            self.sums.chunks_mut(columns * columns).flat_map(|lane| lane.chunks_mut(STRIP_ROWS * columns));
        let tasks: Vec<(usize, &mut [f64])> = tasks.enumerate().collect();
        tasks.into_par_iter().for_each(|(task, strip)| {
            let (lane, first) = (task / strips, task % strips * STRIP_ROWS);
            match block {
                Block::Dense(values) => {
                    add_dense(strip, lane_of(values, lane, lanes, columns), columns, first);
                }
                Block::Sparse(rows) => add_sparse(strip, rows, (lane, lanes), columns, first),
            }
        });
    }

    /// The whole of S, row-major.
    fn finish(self) -> Vec<f64> {
        let columns = self.columns;
        let mut whole = self.sums;
        let (first, others) = whole.split_at_mut(columns * columns);
        for lane in others.chunks_exact(columns * columns) {
            first.iter_mut().zip(lane).for_each(|(sum, value)| *sum += value);
        }
        whole.truncate(columns * columns);
        for row in 0..columns {
            for column in 0..row {
                whole[row * columns + column] = whole[column * columns + row];
            }
        }
        whole
    }
}

/// The rows of a block that belong to a lane.
fn lane_of(values: &[f64], lane: usize, lanes: usize, columns: usize) -> &[f64] {
    let rows = values.len() / columns;
    &values[lane * rows / lanes * columns..(lane + 1) * rows / lanes * columns]
}

/// Adds to rows `first`… of S the products of the block, right of its diagonal.
fn add_dense(strip: &mut [f64], values: &[f64], columns: usize, first: usize) {
    let (rows, height, width) = (values.len() / columns, strip.len() / columns, columns - first);
    if rows == 0 {
        return;
    }
    // Row-major rows are what nalgebra calls a matrix with strides: no copy is made.
    let (row, one) = (Dyn(columns), Dyn(1));
    let block = &values[first..];
    let left = DMatrixView::from_slice_with_strides_generic(block, Dyn(height), Dyn(rows), one, row);
    let right = DMatrixView::from_slice_with_strides_generic(block, Dyn(rows), Dyn(width), row, one);
    let sum = DMatrixViewMut::from_slice_with_strides_generic(
        &mut strip[first..],
        Dyn(height),
        Dyn(width),
        row,
        one,
    );
    add_product(sum, &left, &right);
}

fn add_sparse(strip: &mut [f64], rows: &DMatrix, lane: (usize, usize), columns: usize, first: usize) {
    let features = first..first + strip.len() / columns;
    let (lane, lanes) = lane;
    for row in lane * rows.rows() / lanes..(lane + 1) * rows.rows() / lanes {
        let (indices, values) = entries(rows, row, &features);
        let Row::Sparse { indices: all, values: factors } = rows.row(row) else { continue };
        for (&index, &value) in indices.iter().zip(values) {
            let start = (index as usize - first) * columns;
            let sums = &mut strip[start..start + columns];
            for (&other, &factor) in all.iter().zip(factors) {
                sums[other as usize] += f64::from(value) * f64::from(factor);
            }
        }
    }
}
