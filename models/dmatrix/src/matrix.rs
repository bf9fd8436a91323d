//! Rows of f32 features, dense or compressed sparse rows (CSR), in buffers that are reused from request to request.

/// How a [`DMatrix`] holds its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// Row-major, every feature present; a missing value is NaN.
    #[default]
    Dense,
    /// Compressed sparse rows, indices ascending within a row; an absent feature has no entry.
    Sparse,
}

/// One row of a [`DMatrix`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Row<'a> {
    /// One value a feature; NaN is missing.
    Dense(&'a [f32]),
    /// Feature indices, strictly ascending, and their values. What an absent feature means is the model's to say.
    Sparse {
        /// Zero-based feature indices.
        indices: &'a [u32],
        /// The value of each index.
        values: &'a [f32],
    },
}

/// What a RecordIO record says of itself beside its features; answers echo it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowTag {
    /// The record's `uid`.
    pub uid: Option<String>,
    /// The record's `metadata`.
    pub metadata: Option<String>,
}

/// The CSR buffers while a decoder fills them: push indices and values, then close the row by pushing
/// `indices.len()` to `offsets`. `offsets` starts as `[0]`.
#[derive(Debug)]
pub struct SparseParts<'a> {
    /// Zero-based feature indices, strictly ascending within a row.
    pub indices: &'a mut Vec<u32>,
    /// One value an index.
    pub values: &'a mut Vec<f32>,
    /// The end of each row in `indices`, after a leading 0.
    pub offsets: &'a mut Vec<usize>,
}

/// Rows × features of f32, with optional labels. Keeps its allocations when it is filled anew.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DMatrix {
    storage: Storage,
    rows: usize,
    columns: usize,
    values: Vec<f32>,
    indices: Vec<u32>,
    offsets: Vec<usize>,
    labels: Vec<f32>,
    weights: Vec<f32>,
    queries: Vec<u32>,
    tags: Vec<RowTag>,
}

impl DMatrix {
    /// An empty dense matrix.
    pub fn new() -> Self {
        Self::default()
    }

    /// A dense matrix over row-major `values`.
    ///
    /// # Panics
    /// When `values` is not a whole number of rows of `columns` values.
    pub fn from_dense(values: Vec<f32>, columns: usize) -> Self {
        let mut matrix = Self { values, ..Self::default() };
        matrix.finish_dense(columns);
        matrix
    }

    /// Removes all rows, labels and tags; capacities stay.
    pub fn clear(&mut self) {
        self.storage = Storage::Dense;
        self.rows = 0;
        self.columns = 0;
        self.values.clear();
        self.indices.clear();
        self.offsets.clear();
        self.labels.clear();
        self.weights.clear();
        self.queries.clear();
        self.tags.clear();
    }

    /// Starts a dense matrix: append row-major values, then call [`finish_dense`](Self::finish_dense).
    pub fn begin_dense(&mut self) -> &mut Vec<f32> {
        self.clear();
        &mut self.values
    }

    /// Ends what [`begin_dense`](Self::begin_dense) started.
    ///
    /// # Panics
    /// When the values are not a whole number of rows of `columns` values: a decoder's invariant.
    pub fn finish_dense(&mut self, columns: usize) {
        let rows = self.values.len().checked_div(columns).unwrap_or_default();
        assert_eq!(rows * columns, self.values.len(), "a dense matrix is whole rows");
        self.storage = Storage::Dense;
        self.rows = rows;
        self.columns = columns;
    }

    /// Starts a CSR matrix: fill the parts, then call [`finish_sparse`](Self::finish_sparse).
    pub fn begin_sparse(&mut self) -> SparseParts<'_> {
        self.clear();
        self.offsets.push(0);
        SparseParts { indices: &mut self.indices, values: &mut self.values, offsets: &mut self.offsets }
    }

    /// Ends what [`begin_sparse`](Self::begin_sparse) started.
    ///
    /// # Panics
    /// When the parts do not describe rows of strictly ascending indices below `columns`: a decoder's invariant.
    pub fn finish_sparse(&mut self, columns: usize) {
        assert_eq!(self.indices.len(), self.values.len(), "one value an index");
        assert_eq!(self.offsets.last(), Some(&self.indices.len()), "the last row is closed");
        debug_assert!(self.offsets.windows(2).all(|row| {
            let row = &self.indices[row[0]..row[1]];
            row.windows(2).all(|pair| pair[0] < pair[1]) && row.last().is_none_or(|&i| (i as usize) < columns)
        }));
        self.storage = Storage::Sparse;
        self.rows = self.offsets.len() - 1;
        self.columns = columns;
    }

    /// Lets sparse rows be rows of more features, which are absent from all of them.
    ///
    /// # Panics
    /// When the rows are dense, or are of more features already.
    pub fn widen(&mut self, columns: usize) {
        assert!(self.storage == Storage::Sparse && columns >= self.columns, "sparse rows may become wider");
        self.columns = columns;
    }

    /// The label buffer: row by row, the same number of labels in each, or empty.
    pub fn labels_mut(&mut self) -> &mut Vec<f32> {
        &mut self.labels
    }

    /// Labels read beside the features; empty when there were none.
    pub fn labels(&self) -> &[f32] {
        &self.labels
    }

    /// The buffer of instance weights: one a row, or empty.
    pub fn weights_mut(&mut self) -> &mut Vec<f32> {
        &mut self.weights
    }

    /// Instance weights read beside the labels; empty when there were none.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The buffer of query ids: one a row, or empty. Rows of a query stand together.
    pub fn queries_mut(&mut self) -> &mut Vec<u32> {
        &mut self.queries
    }

    /// The query that each row answers (libsvm's `qid:`), for learning to rank; empty when there were none.
    pub fn queries(&self) -> &[u32] {
        &self.queries
    }

    /// The tag buffer: one a row, or empty when no record carried any.
    pub fn tags_mut(&mut self) -> &mut Vec<RowTag> {
        &mut self.tags
    }

    /// What records said of themselves; empty when none did.
    pub fn tags(&self) -> &[RowTag] {
        &self.tags
    }

    /// How the values are held.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The number of features of every row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values: row-major when dense, in entry order when sparse.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// As [`values`](Self::values), to rewrite in place (a sentinel of the missing value, for one).
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The feature index of every entry of a sparse matrix.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The row boundaries of a sparse matrix, `rows() + 1` of them.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Row `index`.
    ///
    /// # Panics
    /// When `index` is not below [`rows`](Self::rows).
    pub fn row(&self, index: usize) -> Row<'_> {
        match self.storage {
            Storage::Dense => Row::Dense(&self.values[index * self.columns..(index + 1) * self.columns]),
            Storage::Sparse => {
                let entries = self.offsets[index]..self.offsets[index + 1];
                Row::Sparse { indices: &self.indices[entries.clone()], values: &self.values[entries] }
            }
        }
    }

    /// Turns a dense matrix into the CSR one with the same entries, NaN ones included, so that sparse rows can follow.
    pub fn make_sparse(&mut self) {
        if self.storage == Storage::Sparse {
            return;
        }
        self.indices.clear();
        self.offsets.clear();
        self.offsets.push(0);
        for row in 1..=self.rows {
            self.indices.extend((0..self.columns).map(|column| column as u32));
            self.offsets.push(row * self.columns);
        }
        self.storage = Storage::Sparse;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_rows_are_read_back() {
        let mut matrix = DMatrix::new();
        let parts = matrix.begin_sparse();
        parts.indices.extend([1, 4]);
        parts.values.extend([0.5, -1.0]);
        parts.offsets.extend([2, 2]);
        matrix.finish_sparse(6);
        assert_eq!(matrix.rows(), 2);
        assert_eq!(matrix.row(0), Row::Sparse { indices: &[1, 4], values: &[0.5, -1.0] });
        assert_eq!(matrix.row(1), Row::Sparse { indices: &[], values: &[] });
    }

    #[test]
    fn dense_becomes_sparse_with_the_same_entries() {
        let mut matrix = DMatrix::from_dense(vec![1.0, 2.0, 3.0, 4.0], 2);
        matrix.make_sparse();
        assert_eq!(matrix.row(1), Row::Sparse { indices: &[0, 1], values: &[3.0, 4.0] });
    }

    #[test]
    fn refilling_keeps_the_allocation() {
        let mut matrix = DMatrix::from_dense(vec![0.0; 64], 8);
        let before = matrix.values().as_ptr();
        matrix.begin_dense().extend_from_slice(&[1.0; 32]);
        matrix.finish_dense(4);
        assert_eq!((matrix.rows(), matrix.columns(), matrix.values().as_ptr()), (8, 4, before));
    }

    #[test]
    #[should_panic(expected = "whole rows")]
    fn a_ragged_dense_matrix_is_a_bug() {
        DMatrix::from_dense(vec![1.0; 5], 2);
    }
}
