//! The one idea of the structured decoders (JSON, JSON Lines, RecordIO): a reader appends values, and for a sparse
//! row keys, to flat buffers; ending the row applies the schema's rules on width, shape and missing values. Rows are
//! dense until the first sparse one, then all are CSR.

use dmatrix::{DMatrix, Missing, RowSchema, RowTag, Storage};

use crate::width::DenseWidth;
use crate::{DecodeError, Place};

/// The most features of a sparse shape: indices are `u32`.
pub(crate) const FEATURES_MAX: u64 = u32::MAX as u64;

/// The rows of a matrix while they are read.
pub(crate) struct RowBuilder<'s> {
    schema: &'s RowSchema,
    /// The values of all rows; readers append the row's.
    pub(crate) values: Vec<f32>,
    /// The keys of sparse rows; readers append the row's, in any order, before [`end_row`](Self::end_row).
    pub(crate) indices: Vec<u32>,
    /// Labels, for readers that keep them.
    pub(crate) labels: Vec<f32>,
    offsets: Vec<usize>,
    tags: Vec<RowTag>,
    storage: Storage,
    width: DenseWidth,
    value_start: usize,
    index_start: usize,
    unsorted: Vec<(u32, f32)>,
}

/// Fills `matrix` with the rows that `read` gives, in the matrix's own buffers. On an error it is left empty.
pub(crate) fn fill(
    schema: &RowSchema,
    matrix: &mut DMatrix,
    read: impl FnOnce(&mut RowBuilder<'_>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut builder = RowBuilder::take_buffers(schema, matrix);
    let outcome = read(&mut builder);
    builder.give_back(matrix, outcome.is_ok());
    outcome
}

impl<'s> RowBuilder<'s> {
    fn take_buffers(schema: &'s RowSchema, matrix: &mut DMatrix) -> Self {
        matrix.clear();
        let (labels, tags) = (std::mem::take(matrix.labels_mut()), std::mem::take(matrix.tags_mut()));
        let parts = matrix.begin_sparse();
        let mut offsets = std::mem::take(parts.offsets);
        offsets.clear();
        Self {
            schema,
            values: std::mem::take(parts.values),
            indices: std::mem::take(parts.indices),
            labels,
            offsets,
            tags,
            storage: Storage::Dense,
            width: DenseWidth::new(schema),
            value_start: 0,
            index_start: 0,
            unsorted: Vec::new(),
        }
    }

    fn give_back(mut self, matrix: &mut DMatrix, is_whole: bool) {
        let columns = self.width.columns();
        let parts = matrix.begin_sparse();
        (*parts.indices, *parts.offsets) = (self.indices, self.offsets);
        if is_whole && self.storage == Storage::Sparse {
            *parts.values = self.values;
            matrix.finish_sparse(columns);
        } else {
            *matrix.begin_dense() = self.values;
            if is_whole {
                matrix.finish_dense(columns);
            }
        }
        if is_whole && !self.tags.is_empty() {
            self.tags.resize_with(self.width.rows(), RowTag::default);
        }
        *matrix.labels_mut() = self.labels;
        *matrix.tags_mut() = self.tags;
        if !is_whole {
            matrix.clear();
        }
    }

    /// What the schema says.
    pub(crate) fn schema(&self) -> &'s RowSchema {
        self.schema
    }

    /// The number of the row being read, from 1.
    pub(crate) fn row(&self) -> usize {
        self.width.rows() + 1
    }

    /// The values appended to the row being read.
    pub(crate) fn row_values(&self) -> &[f32] {
        &self.values[self.value_start..]
    }

    /// The keys appended to the row being read.
    pub(crate) fn row_keys(&self) -> &[u32] {
        &self.indices[self.index_start..]
    }

    /// The place of the value that comes next in the row.
    pub(crate) fn next_place(&self, byte: usize) -> Place {
        Place { row: Some(self.row()), column: Some(self.row_values().len() + 1), byte: Some(byte) }
    }

    /// Whether a missing value may stand at `place`.
    pub(crate) fn check_missing(&self, place: Place) -> Result<(), DecodeError> {
        match self.schema.missing {
            Missing::Refused => Err(DecodeError::MissingValue { place }),
            Missing::Allowed | Missing::Sentinel(_) => Ok(()),
        }
    }

    /// Ends the row whose values, and keys if it is sparse, have been appended. `shape` is the product of the shape's
    /// dimensions, where there was one; `byte` is where the row is. A row of neither values nor keys with a shape is
    /// sparse and has no entry.
    #[inline]
    pub(crate) fn end_row(&mut self, shape: Option<usize>, byte: usize) -> Result<(), DecodeError> {
        let (values, keys) = (self.values.len() - self.value_start, self.indices.len() - self.index_start);
        match shape {
            None if keys == 0 => self.end_dense(byte)?,
            Some(shape) if keys > 0 || values == 0 => self.end_sparse(shape, byte)?,
            Some(shape) if shape == values => self.end_dense(byte)?,
            shape => return Err(self.refuse_shape(shape, values, byte)),
        }
        self.value_start = self.values.len();
        self.index_start = self.indices.len();
        Ok(())
    }

    /// Keeps what the row that has just ended says of itself.
    pub(crate) fn tag_last_row(&mut self, tag: RowTag) {
        self.tags.resize_with(self.width.rows() - 1, RowTag::default);
        self.tags.push(tag);
    }

    #[inline]
    fn end_dense(&mut self, byte: usize) -> Result<(), DecodeError> {
        let row = self.row();
        let place = || Place { row: Some(row), column: None, byte: Some(byte) };
        self.width.end_row(&mut self.values, self.value_start, place)?;
        if self.storage == Storage::Sparse {
            let width = self.values.len() - self.value_start;
            self.indices.extend((0..width).map(|column| column as u32));
            self.offsets.push(self.indices.len());
        }
        Ok(())
    }

    fn end_sparse(&mut self, shape: usize, byte: usize) -> Result<(), DecodeError> {
        let (values, keys) = (self.row_values().len(), self.row_keys().len());
        if values != keys {
            return Err(self.refuse(
                byte,
                "as many values as keys",
                format!("{values} values for {keys} keys"),
            ));
        }
        if let Some(position) = self.row_keys().iter().position(|&key| key as usize >= shape) {
            let found = format!("{} for a shape of {shape}", self.row_keys()[position]);
            let place = Place { column: Some(position + 1), ..self.row_place(byte) };
            return Err(DecodeError::malformed(place, "a key below the shape", found));
        }
        self.make_sparse();
        self.sort_row(byte)?;
        self.width.end_sparse_row(shape, self.row_place(byte))?;
        self.offsets.push(self.indices.len());
        Ok(())
    }

    /// Turns the rows so far into CSR, before the one being read.
    fn make_sparse(&mut self) {
        if self.storage == Storage::Sparse {
            return;
        }
        self.storage = Storage::Sparse;
        self.offsets.push(0);
        let rows = self.width.rows();
        if rows == 0 {
            return;
        }
        let keys = self.indices.split_off(self.index_start);
        let width = self.value_start / rows;
        for row in 1..=rows {
            self.indices.extend((0..width).map(|column| column as u32));
            self.offsets.push(row * width);
        }
        self.index_start = self.indices.len();
        self.indices.extend(keys);
    }

    /// Puts the entries of a sparse row in the order of their keys, each of which may stand once.
    fn sort_row(&mut self, byte: usize) -> Result<(), DecodeError> {
        let keys = &mut self.indices[self.index_start..];
        if keys.windows(2).all(|pair| pair[0] < pair[1]) {
            return Ok(());
        }
        let values = &mut self.values[self.value_start..];
        self.unsorted.clear();
        self.unsorted.extend(keys.iter().copied().zip(values.iter().copied()));
        self.unsorted.sort_unstable_by_key(|&(key, _)| key);
        for (entry, (key, value)) in self.unsorted.iter().zip(keys.iter_mut().zip(values)) {
            (*key, *value) = *entry;
        }
        match keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]) {
            Some(key) => Err(self.refuse(byte, "each key once", format!("key {key} again"))),
            None => Ok(()),
        }
    }

    #[cold]
    fn refuse_shape(&self, shape: Option<usize>, values: usize, byte: usize) -> DecodeError {
        match shape {
            None => self.refuse(byte, "a shape beside the keys", "none".to_owned()),
            Some(shape) => {
                let found = format!("{shape} for {values} values");
                self.refuse(byte, "a shape that multiplies out to the number of values", found)
            }
        }
    }

    /// A refusal of the row being read.
    #[cold]
    pub(crate) fn refuse(&self, byte: usize, expected: &'static str, found: String) -> DecodeError {
        DecodeError::malformed(self.row_place(byte), expected, found)
    }

    fn row_place(&self, byte: usize) -> Place {
        Place { row: Some(self.row()), column: None, byte: Some(byte) }
    }
}

/// The product of a shape's dimensions, as they are read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape {
    product: Option<u64>,
}

impl Shape {
    /// Takes one more dimension; false when the product leaves the range of an index.
    pub(crate) fn push(&mut self, dimension: u64) -> bool {
        let product =
            self.product.unwrap_or(1).checked_mul(dimension).filter(|&product| product <= FEATURES_MAX);
        if product.is_some() {
            self.product = product;
        }
        product.is_some()
    }

    /// The product, if there was a dimension.
    pub(crate) fn features(self) -> Option<usize> {
        self.product.map(|product| product as usize)
    }
}
