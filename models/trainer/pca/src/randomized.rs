//! Randomized mode: the sketch C = H·(X − mean) with random signs H, one pass; then, over files, subspace iterations Z = Σ·Q with Q
//! an orthonormal basis of what was found so far, and in the end Nyström's form Σ ≈ Z (QᵀZ)⁻¹ Zᵀ, whose eigenvectors are
//! the components (Halko, Martinsson, Tropp 2011; Tropp, Yurtsever, Udell, Cevher 2017).
//!
//! Since `E[CᵀC] = ℓ·Σ`, the singular values of the sketch alone are divided by √ℓ.

use std::ops::Range;

use estimator::{Job, Rows, TrainError};
use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, Dyn};
use rayon::prelude::*;

use crate::decompose::{Found, add_product, eigen, orthonormal};
use crate::pass::{self, Block, Sums, entries};
use crate::table::Settings;

/// Features that one task adds up. Reason: enough tasks for the threads of a machine, and few enough to cost nothing.
const STRIP_FEATURES: usize = 512;
/// Eigenvalues below this share of the largest are rounding, and are not divided by.
const NEGLIGIBLE: f64 = 1e-14;

/// Sums of one pass: features × width, row-major, and one number a column beside it.
struct Sketch {
    width: usize,
    /// Σ xᵢ·factors.
    sums: Vec<f64>,
    /// Σ factors, where the factors are the signs of a row, or its projections.
    factors: Vec<f64>,
}

/// `passes` passes over `rows`.
pub(crate) fn components(
    job: &Job,
    settings: &Settings,
    (sketch_rows, passes): (usize, usize),
    rows: &mut Rows,
    mut look: impl FnMut(&dmatrix::DMatrix),
) -> Result<(Sums, Found), TrainError> {
    let columns = settings.columns;
    let (mut sums, mut sketch) = (Sums::new(columns), Sketch::new(columns, sketch_rows));
    let mut signs = Signs { seed: settings.seed, host: job.cluster.rank() as u64, width: sketch_rows };
    let mut is_whole = pass::run(job, rows, &mut look, |block, place| {
        sums.add(block);
        let factors = signs.of(place, block_rows(block, columns));
        sketch.add(block, &factors);
    })?;
    sums.sum(job)?;
    sketch.sum(job)?;
    let mean = sums.mean(settings.subtracts_mean);
    let mut matrix = sketch.centred(&mean);
    let mut found = None;
    for iteration in 1..passes {
        // All hosts go on, or none does.
        if job.cluster.any(!is_whole)? {
            break;
        }
        job.log.info(&format!("subspace iteration {iteration} of {}", passes - 1));
        let (basis, _) = orthonormal(matrix.clone());
        let mut next = Sketch::new(columns, basis.ncols());
        is_whole = pass::run(job, rows, |_| {}, |block, _| next.add(block, &project(block, &basis, &mean)))?;
        if job.cluster.any(!is_whole)? {
            break;
        }
        next.sum(job)?;
        matrix = next.centred(&mean);
        found = Some(nystroem(&matrix, &basis)?);
    }
    let found = match found {
        Some(found) => found,
        None => of_sketch(matrix, sketch_rows)?,
    };
    Ok((sums, found))
}

fn block_rows(block: &Block<'_>, columns: usize) -> usize {
    match block {
        Block::Dense(values) => values.len() / columns,
        Block::Sparse(rows) => rows.rows(),
    }
}

/// Random signs by (seed, host, place of the row): the same however rows come in batches.
struct Signs {
    seed: u64,
    host: u64,
    width: usize,
}

impl Signs {
    /// rows × width, row-major, of the rows from `place` on.
    fn of(&mut self, place: u64, rows: usize) -> Vec<f64> {
        let width = self.width;
        let mut signs = vec![0.0; rows * width];
        signs.par_chunks_mut(width).enumerate().for_each(|(row, signs)| {
            let row = (self.host << 48) ^ (place + row as u64);
            // A generator's first numbers are close for close seeds: the seed is spread first.
            let spread =
                fastrand::Rng::with_seed(self.seed ^ row.wrapping_mul(0x9E37_79B9_7F4A_7C15)).u64(..);
            let mut random = fastrand::Rng::with_seed(spread);
            for part in signs.chunks_mut(64) {
                let bits = random.u64(..);
                for (place, sign) in part.iter_mut().enumerate() {
                    *sign = if bits >> place & 1 == 0 { 1.0 } else { -1.0 };
                }
            }
        });
        signs
    }
}

impl Sketch {
    fn new(columns: usize, width: usize) -> Self {
        Self { width, sums: vec![0.0; columns * width], factors: vec![0.0; width] }
    }

    /// Adds rows, each times its row of `factors` (rows × width, row-major).
    fn add(&mut self, block: &Block<'_>, factors: &[f64]) {
        let width = self.width;
        for row in factors.chunks_exact(width) {
            self.factors.iter_mut().zip(row).for_each(|(sum, factor)| *sum += factor);
        }
        let columns = self.sums.len() / width;
        self.sums.par_chunks_mut(STRIP_FEATURES * width).enumerate().for_each(|(strip, sums)| {
            let first = strip * STRIP_FEATURES;
            let features = first..first + sums.len() / width;
            match block {
                Block::Dense(values) => add_dense(sums, values, factors, &features, columns),
                Block::Sparse(rows) => {
                    for (row, factors) in factors.chunks_exact(width).enumerate() {
                        let (indices, values) = entries(rows, row, &features);
                        for (&index, &value) in indices.iter().zip(values) {
                            let start = (index as usize - first) * width;
                            add_times(&mut sums[start..start + width], factors, f64::from(value));
                        }
                    }
                }
            }
        });
    }

    /// Over all hosts.
    fn sum(&mut self, job: &Job) -> Result<(), TrainError> {
        job.cluster.sum(&mut self.sums)?;
        job.cluster.sum(&mut self.factors)
    }

    /// features × width, as if the mean had been taken from every row.
    fn centred(&self, mean: &[f64]) -> DMatrix<f64> {
        let mut matrix = DMatrix::from_row_slice(mean.len(), self.width, &self.sums);
        for (mut column, factor) in matrix.column_iter_mut().zip(&self.factors) {
            column.iter_mut().zip(mean).for_each(|(value, mean)| *value -= mean * factor);
        }
        matrix
    }
}

fn add_times(sums: &mut [f64], factors: &[f64], value: f64) {
    sums.iter_mut().zip(factors).for_each(|(sum, factor)| *sum += value * factor);
}

fn add_dense(sums: &mut [f64], values: &[f64], factors: &[f64], features: &Range<usize>, columns: usize) {
    let (rows, width, height) = (values.len() / columns, sums.len() / features.len(), features.len());
    let (one, row) = (Dyn(1), Dyn(columns));
    let left = DMatrixView::from_slice_with_strides_generic(
        &values[features.start..],
        Dyn(height),
        Dyn(rows),
        one,
        row,
    );
    let right = DMatrixView::from_slice_with_strides_generic(factors, Dyn(rows), Dyn(width), Dyn(width), one);
    let sums =
        DMatrixViewMut::from_slice_with_strides_generic(sums, Dyn(height), Dyn(width), Dyn(width), one);
    add_product(sums, &left, &right);
}

/// (x − mean)·Q of every row, row-major.
fn project(block: &Block<'_>, basis: &DMatrix<f64>, mean: &[f64]) -> Vec<f64> {
    let (columns, width) = basis.shape();
    let rows = block_rows(block, columns);
    let offset: Vec<f64> =
        basis.column_iter().map(|column| column.iter().zip(mean).map(|(q, mean)| q * mean).sum()).collect();
    // A row of the basis is what one entry of a row is multiplied by.
    let by_feature = basis.transpose();
    let by_feature = by_feature.as_slice();
    let mut projected = vec![0.0; rows * width];
    /// Rows of a task.
    const TASK_ROWS: usize = 256;
    projected.par_chunks_mut(TASK_ROWS * width).enumerate().for_each(|(task, projected)| {
        let first = task * TASK_ROWS;
        for row in projected.chunks_exact_mut(width) {
            row.iter_mut().zip(&offset).for_each(|(value, offset)| *value = -offset);
        }
        match block {
            Block::Dense(values) => {
                let count = projected.len() / width;
                let values = &values[first * columns..(first + count) * columns];
                let (one, row) = (Dyn(1), Dyn(columns));
                let left =
                    DMatrixView::from_slice_with_strides_generic(values, Dyn(count), Dyn(columns), row, one);
                let out = DMatrixViewMut::from_slice_with_strides_generic(
                    projected,
                    Dyn(count),
                    Dyn(width),
                    Dyn(width),
                    one,
                );
                let right = DMatrixView::from_slice_with_strides_generic(
                    by_feature,
                    Dyn(columns),
                    Dyn(width),
                    Dyn(width),
                    one,
                );
                add_product(out, &left, &right);
            }
            Block::Sparse(rows) => {
                for (row, projected) in projected.chunks_exact_mut(width).enumerate() {
                    let (indices, values) = entries(rows, first + row, &(0..columns));
                    for (&index, &value) in indices.iter().zip(values) {
                        let start = index as usize * width;
                        add_times(projected, &by_feature[start..start + width], f64::from(value));
                    }
                }
            }
        }
    });
    projected
}

/// The components of the sketch alone: the right singular vectors of C, `matrix` being its transpose.
fn of_sketch(matrix: DMatrix<f64>, sketch_rows: usize) -> Result<Found, TrainError> {
    left_singular(matrix, 1.0 / (sketch_rows as f64).sqrt())
}

/// The eigenvectors of Z (QᵀZ)⁻¹ Zᵀ: the left singular vectors of F = Z·V·Λ^(−1/2), where VΛVᵀ = QᵀZ.
fn nystroem(z: &DMatrix<f64>, basis: &DMatrix<f64>) -> Result<Found, TrainError> {
    let core = basis.transpose() * z;
    let (values, vectors) = eigen((&core + core.transpose()) * 0.5)?;
    let least = values.first().copied().unwrap_or(0.0).max(0.0) * NEGLIGIBLE;
    let mut factor = z * vectors;
    for (mut column, value) in factor.column_iter_mut().zip(&values) {
        let scale = if *value > least { 1.0 / value.sqrt() } else { 0.0 };
        column.iter_mut().for_each(|entry| *entry *= scale);
    }
    left_singular(factor, 1.0)
}

/// Left singular vectors and values (times `scale`) of a tall or a wide matrix.
fn left_singular(matrix: DMatrix<f64>, scale: f64) -> Result<Found, TrainError> {
    let (basis, rest) = orthonormal(matrix);
    let (values, vectors) = eigen(&rest * rest.transpose())?;
    let vectors = basis * vectors;
    Ok(Found {
        singular_values: values.iter().map(|value| value.max(0.0).sqrt() * scale).collect(),
        vectors: vectors.column_iter().map(|column| column.iter().copied().collect()).collect(),
    })
}
