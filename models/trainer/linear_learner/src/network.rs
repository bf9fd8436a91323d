//! One pass of a batch through all models: margins, losses, and the sums of derivatives.
//!
//! A batch is cut into chunks of rows by the size of the work alone; each chunk is a matrix product forth (rows × features ×
//! width) and one back, and chunks are added in their order. So the bits do not depend on threads. Sparse rows are only
//! divided by the deviations; that features are also shifted is made up for once a batch.

use std::ops::Range;

use dmatrix::{DMatrix, Row, Storage};
use nalgebra::{DMatrixView, DMatrixViewMut, Dyn};
use rayon::prelude::*;

use crate::loss::Objective;
use crate::scaler::Scaler;
use crate::weights::Weights;

/// Multiplications of a chunk, one way. Reason: some 50 µs, against 5 µs for handing it to a thread.
const CHUNK_PRODUCTS: usize = 1 << 18;
/// Weights from which a batch is one chunk. Reason: every chunk has derivatives of its own, and adding 4 MB costs more than
/// the rows of a usual batch.
const WEIGHTS_FOR_ONE_CHUNK: usize = 1 << 20;
/// The narrowest matrix that the blocked product is used for; below, its packing costs more than it saves.
const BLOCKED_WIDTH_MIN: usize = 8;

/// What every chunk needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network<'a> {
    pub(crate) scaler: &'a Scaler,
    pub(crate) objective: &'a Objective,
}

/// Sums over the rows of a batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    /// Features × width.
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    /// A model.
    pub(crate) losses: Vec<f64>,
}

/// Buffers of the chunks, kept from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    chunks: Vec<Chunk>,
}

#[derive(Debug, Default)]
struct Chunk {
    /// Rows × features, scaled.
    scaled: Vec<f32>,
    /// Rows × width: margins, then derivatives.
    margins: Vec<f32>,
    /// A model: losses of some rows.
    partial: Vec<f32>,
    sums: Sums,
}

impl Network<'_> {
    /// The sums over `batch`, in the buffers' first chunk.
    pub(crate) fn derive<'b>(
        &self,
        weights: &Weights,
        batch: &DMatrix,
        buffers: &'b mut Buffers,
    ) -> &'b mut Sums {
        let count = self.run(weights, batch, buffers, true);
        let (first, others) = buffers.chunks[..count].split_first_mut().expect("a batch has rows");
        for other in others.iter() {
            first.sums.add(&other.sums);
        }
        if batch.storage() == Storage::Sparse {
            self.shift_back(&mut first.sums);
        }
        &mut first.sums
    }

    /// The losses of `batch`, a model.
    pub(crate) fn losses(&self, weights: &Weights, batch: &DMatrix, buffers: &mut Buffers) -> Vec<f64> {
        let count = self.run(weights, batch, buffers, false);
        let mut losses = vec![0.0; weights.width / self.objective.outputs];
        for chunk in &buffers.chunks[..count] {
            losses.iter_mut().zip(&chunk.sums.losses).for_each(|(sum, loss)| *sum += loss);
        }
        losses
    }

    /// The margins of `rows`, rows × width.
    pub(crate) fn margins(&self, weights: &Weights, rows: &DMatrix) -> Vec<f32> {
        let offsets = self.offsets(weights, rows);
        let step = self.chunk_rows(weights, rows);
        let starts: Vec<usize> = (0..rows.rows()).step_by(step).collect();
        let parts = starts.into_par_iter().map(|start| {
            let mut chunk = Chunk::default();
            self.forth(weights, rows, start..(start + step).min(rows.rows()), &offsets, &mut chunk);
            chunk.margins
        });
        parts.collect::<Vec<_>>().concat()
    }

    /// The loss of every row, rows × models.
    pub(crate) fn row_losses(&self, weights: &Weights, rows: &DMatrix) -> Vec<f64> {
        let mut margins = self.margins(weights, rows);
        let models = weights.width / self.objective.outputs;
        let mut losses = vec![0.0; rows.rows() * models];
        let mut single = vec![0.0; models];
        let each = margins.chunks_exact_mut(weights.width).zip(losses.chunks_exact_mut(models));
        for ((margins, losses), label) in each.zip(rows.labels()) {
            single.fill(0.0);
            self.objective.row(self.scaler.label(*label), margins, &mut single);
            losses.iter_mut().zip(&single).for_each(|(loss, value)| *loss = f64::from(*value));
        }
        losses
    }

    fn run(&self, weights: &Weights, batch: &DMatrix, buffers: &mut Buffers, derives: bool) -> usize {
        let step = self.chunk_rows(weights, batch);
        let count = batch.rows().div_ceil(step);
        if buffers.chunks.len() < count {
            buffers.chunks.resize_with(count, Chunk::default);
        }
        let offsets = self.offsets(weights, batch);
        let one = |(index, chunk): (usize, &mut Chunk)| {
            let rows = index * step..((index + 1) * step).min(batch.rows());
            self.forth(weights, batch, rows.clone(), &offsets, chunk);
            self.settle(weights, batch, rows.clone(), chunk);
            if derives {
                self.back(weights, batch, rows, chunk);
            }
        };
        if count == 1 {
            one((0, &mut buffers.chunks[0]));
        } else {
            buffers.chunks[..count].par_iter_mut().enumerate().for_each(one);
        }
        count
    }

    fn chunk_rows(&self, weights: &Weights, batch: &DMatrix) -> usize {
        if weights.weight.len() >= WEIGHTS_FOR_ONE_CHUNK {
            return batch.rows().max(1);
        }
        let values = match batch.storage() {
            Storage::Dense => batch.columns(),
            Storage::Sparse => batch.values().len() / batch.rows().max(1) + 1,
        };
        // Losses cost as some features do.
        (CHUNK_PRODUCTS / ((values + 16) * weights.width)).max(64)
    }

    /// What margins begin at: biases, and what shifted features come to where rows are sparse.
    fn offsets(&self, weights: &Weights, batch: &DMatrix) -> Vec<f32> {
        let mut offsets = weights.bias.clone();
        if batch.storage() == Storage::Sparse && !self.scaler.shift.is_empty() {
            let mut sums = vec![0.0_f64; weights.width];
            let rows = weights.weight.chunks_exact(weights.width);
            for ((row, shift), factor) in rows.zip(&self.scaler.shift).zip(&self.scaler.factor) {
                let shift = f64::from(*shift) * f64::from(*factor);
                sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += shift * f64::from(*weight));
            }
            offsets.iter_mut().zip(&sums).for_each(|(offset, sum)| *offset -= *sum as f32);
        }
        offsets
    }

    /// Margins of the rows of a chunk.
    fn forth(
        &self,
        weights: &Weights,
        batch: &DMatrix,
        rows: Range<usize>,
        offsets: &[f32],
        chunk: &mut Chunk,
    ) {
        let width = weights.width;
        chunk.margins.clear();
        for _ in rows.clone() {
            chunk.margins.extend_from_slice(offsets);
        }
        match batch.storage() {
            Storage::Dense => {
                self.scale(batch, rows, &mut chunk.scaled);
                multiply_forth(&chunk.scaled, &weights.weight, &mut chunk.margins, width);
            }
            Storage::Sparse => {
                for (index, margins) in rows.zip(chunk.margins.chunks_exact_mut(width)) {
                    let Row::Sparse { indices, values } = batch.row(index) else { continue };
                    for (index, value) in indices.iter().zip(values) {
                        let index = *index as usize;
                        let value = value * self.scaler.factor[index];
                        add_product(margins, value, &weights.weight[index * width..(index + 1) * width]);
                    }
                }
            }
        }
    }

    fn scale(&self, batch: &DMatrix, rows: Range<usize>, scaled: &mut Vec<f32>) {
        let columns = batch.columns();
        let values = &batch.values()[rows.start * columns..rows.end * columns];
        scaled.clear();
        for row in values.chunks_exact(columns) {
            if self.scaler.shift.is_empty() {
                scaled.extend(row.iter().zip(&self.scaler.factor).map(|(value, factor)| value * factor));
            } else {
                let scales = self.scaler.shift.iter().zip(&self.scaler.factor);
                scaled
                    .extend(row.iter().zip(scales).map(|(value, (shift, factor))| (value - shift) * factor));
            }
        }
    }

    /// Turns margins into derivatives, and sums up losses.
    fn settle(&self, weights: &Weights, batch: &DMatrix, rows: Range<usize>, chunk: &mut Chunk) {
        let width = weights.width;
        let sums = &mut chunk.sums;
        sums.losses.clear();
        sums.losses.resize(width / self.objective.outputs, 0.0);
        let labels = batch.labels()[rows].iter().map(|label| self.scaler.label(*label));
        self.objective.rows(labels, &mut chunk.margins, &mut sums.losses, &mut chunk.partial);
    }

    /// The sums of derivatives by weights and biases.
    fn back(&self, weights: &Weights, batch: &DMatrix, rows: Range<usize>, chunk: &mut Chunk) {
        let width = weights.width;
        let sums = &mut chunk.sums;
        sums.bias.clear();
        sums.bias.resize(width, 0.0);
        for derivatives in chunk.margins.chunks_exact(width) {
            sums.bias.iter_mut().zip(derivatives).for_each(|(sum, derivative)| *sum += derivative);
        }
        sums.weight.resize(weights.weight.len(), 0.0);
        match batch.storage() {
            Storage::Dense => multiply_back(&chunk.scaled, &chunk.margins, &mut sums.weight, width),
            Storage::Sparse => {
                sums.weight.fill(0.0);
                for (index, derivatives) in rows.zip(chunk.margins.chunks_exact(width)) {
                    let Row::Sparse { indices, values } = batch.row(index) else { continue };
                    for (index, value) in indices.iter().zip(values) {
                        let index = *index as usize;
                        let value = value * self.scaler.factor[index];
                        add_product(&mut sums.weight[index * width..(index + 1) * width], value, derivatives);
                    }
                }
            }
        }
    }

    /// Takes from the derivatives of sparse rows what the shift of their features comes to.
    fn shift_back(&self, sums: &mut Sums) {
        let width = sums.bias.len();
        let rows = sums.weight.chunks_exact_mut(width);
        for ((row, shift), factor) in rows.zip(&self.scaler.shift).zip(&self.scaler.factor) {
            add_product(row, -shift * factor, &sums.bias);
        }
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.weight.iter_mut().zip(&other.weight).for_each(|(sum, value)| *sum += value);
        self.bias.iter_mut().zip(&other.bias).for_each(|(sum, value)| *sum += value);
        self.losses.iter_mut().zip(&other.losses).for_each(|(sum, value)| *sum += value);
    }
}

fn add_product(sums: &mut [f32], factor: f32, values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

/// Adds `rows` (rows × features) times `weights` (features × width) to `margins` (rows × width).
fn multiply_forth(rows: &[f32], weights: &[f32], margins: &mut [f32], width: usize) {
    let (count, columns) = (margins.len() / width, weights.len() / width);
    if width >= BLOCKED_WIDTH_MIN {
        // Row-major is the transposed column-major: marginsᵀ += weightsᵀ · rowsᵀ.
        let weights = DMatrixView::from_slice(weights, width, columns);
        let rows = DMatrixView::from_slice(rows, columns, count);
        DMatrixViewMut::from_slice(margins, width, count).gemm(1.0, &weights, &rows, 1.0);
    } else if width == 1 {
        for (row, margin) in rows.chunks_exact(columns).zip(margins) {
            *margin += dot(row, weights);
        }
    } else {
        for (row, margins) in rows.chunks_exact(columns).zip(margins.chunks_exact_mut(width)) {
            for (value, weights) in row.iter().zip(weights.chunks_exact(width)) {
                add_product(margins, *value, weights);
            }
        }
    }
}

/// `rows`ᵀ times `derivatives` (rows × width) into `sums` (features × width).
fn multiply_back(rows: &[f32], derivatives: &[f32], sums: &mut [f32], width: usize) {
    let (count, columns) = (derivatives.len() / width, sums.len() / width);
    if width >= BLOCKED_WIDTH_MIN {
        let derivatives = DMatrixView::from_slice(derivatives, width, count);
        let strides = (Dyn(columns), Dyn(1));
        let rows = DMatrixView::from_slice_with_strides_generic(
            rows,
            Dyn(count),
            Dyn(columns),
            strides.0,
            strides.1,
        );
        DMatrixViewMut::from_slice(sums, width, columns).gemm(1.0, &derivatives, &rows, 0.0);
        return;
    }
    sums.fill(0.0);
    if width == 1 {
        for (row, derivative) in rows.chunks_exact(columns).zip(derivatives) {
            add_product(sums, *derivative, row);
        }
    } else {
        for (row, derivatives) in rows.chunks_exact(columns).zip(derivatives.chunks_exact(width)) {
            for (value, sums) in row.iter().zip(sums.chunks_exact_mut(width)) {
                add_product(sums, *value, derivatives);
            }
        }
    }
}

/// A dot product in eight lanes.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (left_blocks, left_rest) = left.as_chunks::<8>();
    let (right_blocks, right_rest) = right.as_chunks::<8>();
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..8 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    lanes.iter().sum::<f32>() + rest
}
