//! Rows of several blocks put together as one: dense as long as all are, else sparse.

use dmatrix::{DMatrix, Row, Storage};

/// Puts rows together; of what storage and width shows by the rows, unless it is said before.
#[derive(Debug, Default)]
pub struct Gather {
    is_sparse: bool,
    columns: usize,
    rows: usize,
    values: Vec<f32>,
    indices: Vec<u32>,
    offsets: Vec<usize>,
    labels: Vec<f32>,
    weights: Vec<f32>,
    queries: Vec<u32>,
}

impl Gather {
    /// Rows of at least `columns` features.
    pub(crate) fn new(is_sparse: bool, columns: usize) -> Self {
        Self { is_sparse, columns, offsets: vec![0], ..Self::default() }
    }

    /// The same, in the buffers of `spent`.
    pub(crate) fn within(spent: &mut DMatrix, is_sparse: bool, columns: usize) -> Self {
        let (mut labels, mut weights, mut queries) = (
            std::mem::take(spent.labels_mut()),
            std::mem::take(spent.weights_mut()),
            std::mem::take(spent.queries_mut()),
        );
        labels.clear();
        weights.clear();
        queries.clear();
        let parts = spent.begin_sparse();
        let (values, indices, offsets) =
            (std::mem::take(parts.values), std::mem::take(parts.indices), std::mem::take(parts.offsets));
        spent.clear();
        Self { is_sparse, columns, rows: 0, values, indices, offsets, labels, weights, queries }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds row `row` of `block`.
    #[inline]
    pub(crate) fn push(&mut self, block: &DMatrix, row: usize) {
        match block.row(row) {
            Row::Dense(values) if !self.is_sparse => self.values.extend_from_slice(values),
            Row::Dense(values) => {
                self.indices.extend(0..values.len() as u32);
                self.values.extend_from_slice(values);
            }
            Row::Sparse { indices, values } => {
                self.make_sparse();
                self.indices.extend_from_slice(indices);
                self.values.extend_from_slice(values);
            }
        }
        self.rows += 1;
        self.columns = self.columns.max(block.columns());
        if self.is_sparse {
            self.offsets.push(self.indices.len());
        }
        self.labels.extend(block.labels().get(row));
        self.weights.extend(block.weights().get(row));
        self.queries.extend(block.queries().get(row));
    }

    /// Adds the rows `rows` of `block`, at once where that is possible.
    pub fn push_range(&mut self, block: &DMatrix, rows: std::ops::Range<usize>) {
        if self.is_sparse || block.storage() == Storage::Sparse {
            rows.for_each(|row| self.push(block, row));
            return;
        }
        let columns = block.columns();
        self.values.extend_from_slice(&block.values()[rows.start * columns..rows.end * columns]);
        self.rows += rows.len();
        self.columns = self.columns.max(columns);
        self.labels.extend_from_slice(block.labels().get(rows.clone()).unwrap_or_default());
        self.weights.extend_from_slice(block.weights().get(rows.clone()).unwrap_or_default());
        self.queries.extend_from_slice(block.queries().get(rows).unwrap_or_default());
    }

    /// The rows as one matrix.
    pub fn finish(self) -> DMatrix {
        let mut out = DMatrix::new();
        self.finish_into(&mut out);
        out
    }

    /// The same, into `out`.
    pub(crate) fn finish_into(self, out: &mut DMatrix) {
        if self.is_sparse {
            let parts = out.begin_sparse();
            (*parts.values, *parts.indices, *parts.offsets) = (self.values, self.indices, self.offsets);
            out.finish_sparse(self.columns);
        } else {
            *out.begin_dense() = self.values;
            // No row of no feature is dense: decoders refuse them.
            out.finish_dense(self.columns);
        }
        *out.labels_mut() = self.labels;
        *out.weights_mut() = self.weights;
        *out.queries_mut() = self.queries;
    }

    /// From here on rows are sparse; those that are there have all their values as entries.
    fn make_sparse(&mut self) {
        if self.is_sparse {
            return;
        }
        self.is_sparse = true;
        let columns = self.values.len().checked_div(self.rows).unwrap_or_default();
        self.offsets.clear();
        self.offsets.push(0);
        for row in 1..=self.rows {
            self.indices.extend(0..columns as u32);
            self.offsets.push(row * columns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(indices: &[u32], values: &[f32], columns: usize) -> DMatrix {
        let mut rows = DMatrix::new();
        let parts = rows.begin_sparse();
        parts.indices.extend_from_slice(indices);
        parts.values.extend_from_slice(values);
        parts.offsets.push(indices.len());
        rows.finish_sparse(columns);
        rows
    }

    #[test]
    fn dense_and_sparse_blocks_become_sparse() {
        let mut dense = DMatrix::from_dense(vec![1.0, 2.0, 3.0, 4.0], 2);
        dense.labels_mut().extend([7.0, 8.0]);
        let mut other = sparse(&[3], &[9.0], 4);
        other.labels_mut().push(6.0);
        // Also when a dense row comes first and nobody said that a sparse one will follow.
        let mut gathered = Gather::default();
        gathered.push_range(&dense, 0..2);
        gathered.push(&other, 0);
        let mut known = Gather::new(true, 4);
        known.push_range(&dense, 0..2);
        known.push_range(&other, 0..1);
        let expected = known.finish();
        assert_eq!(gathered.finish(), expected);
        assert_eq!((expected.rows(), expected.columns(), expected.labels()), (3, 4, &[7.0, 8.0, 6.0][..]));
        assert_eq!(expected.row(1), Row::Sparse { indices: &[0, 1], values: &[3.0, 4.0] });
        assert_eq!(expected.row(2), Row::Sparse { indices: &[3], values: &[9.0] });
    }

    #[test]
    fn buffers_are_used_again() {
        let dense = DMatrix::from_dense(vec![1.0, 2.0, 3.0, 4.0], 2);
        let mut batch = dense.clone();
        let before = batch.values().as_ptr();
        let mut gathered = Gather::within(&mut batch, false, 2);
        gathered.push(&dense, 1);
        gathered.finish_into(&mut batch);
        assert_eq!((batch.values(), batch.values().as_ptr()), (&[3.0, 4.0][..], before));
    }

    #[test]
    fn chosen_rows_come_in_their_order() {
        let dense = DMatrix::from_dense(vec![1.0, 2.0, 3.0], 1);
        let mut gathered = Gather::default();
        gathered.push(&dense, 2);
        gathered.push(&dense, 0);
        assert_eq!(gathered.finish().values(), [3.0, 1.0]);
    }
}
