//! The width of dense rows: the model's, or that of the first row; what is narrower is refused or padded, what is wider
//! is always refused.

use dmatrix::{NarrowRows, ROWS_MAX, RowSchema};

use crate::{DecodeError, Expected, Place};

/// The most values of one dense payload, padding included. Reason: 100 MiB (the largest batch payload of the API) of
/// two-byte cells is 52 million; only padding of narrow rows goes beyond, and this caps it at 256 MiB.
pub(crate) const VALUES_MAX: usize = 64 << 20;

/// The rule for the width of every dense row of a payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DenseWidth {
    columns: Option<usize>,
    narrow_rows: NarrowRows,
    rows: usize,
}

impl DenseWidth {
    /// The rule of `schema`.
    pub(crate) fn new(schema: &RowSchema) -> Self {
        Self { columns: schema.columns, narrow_rows: schema.narrow_rows, rows: 0 }
    }

    /// The width of all rows; 0 where nothing is known and no row has come.
    pub(crate) fn columns(&self) -> usize {
        self.columns.unwrap_or(0)
    }

    /// The rows ended so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Ends the row whose values stand in `values` from `start` on; `place` says where it is.
    #[inline]
    pub(crate) fn end_row(
        &mut self,
        values: &mut Vec<f32>,
        start: usize,
        place: impl FnOnce() -> Place,
    ) -> Result<(), DecodeError> {
        let found = values.len() - start;
        if self.columns != Some(found) || self.rows == ROWS_MAX {
            self.settle_row(values, found, place())?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Ends a sparse row whose shape says `features`: as a dense one of that width, but nothing is filled.
    pub(crate) fn end_sparse_row(&mut self, features: usize, place: Place) -> Result<(), DecodeError> {
        self.settle_columns(features, place)?;
        self.rows += 1;
        Ok(())
    }

    /// Ends a dense row that is the first, narrow, wide or one too many.
    #[inline(never)]
    fn settle_row(&mut self, values: &mut Vec<f32>, found: usize, place: Place) -> Result<(), DecodeError> {
        let columns = self.settle_columns(found, place)?;
        if columns > found {
            let length = values.len() + (columns - found);
            if length > VALUES_MAX {
                let expected = Expected::ValuesAtMost(VALUES_MAX);
                return Err(DecodeError::Malformed { place, expected, found: "more".to_owned() });
            }
            values.resize(length, f32::NAN);
        }
        Ok(())
    }

    /// The width that a row of `found` features must have or, where narrow rows are filled, come to.
    fn settle_columns(&mut self, found: usize, place: Place) -> Result<usize, DecodeError> {
        if self.rows == ROWS_MAX {
            let found = "more".to_owned();
            return Err(DecodeError::Malformed { place, expected: Expected::RowsAtMost(ROWS_MAX), found });
        }
        let Some(columns) = self.columns else {
            if found == 0 {
                return Err(DecodeError::malformed(place, "at least one feature", "none"));
            }
            self.columns = Some(found);
            return Ok(found);
        };
        let expected = match self.narrow_rows {
            _ if found == columns => return Ok(columns),
            NarrowRows::FillMissing if found < columns => return Ok(columns),
            NarrowRows::FillMissing => Expected::FeaturesAtMost(columns),
            NarrowRows::Refuse => Expected::Features(columns),
        };
        Err(DecodeError::Width { place, expected, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends rows of these widths and tells how many values come out, or why not.
    fn check(schema: &RowSchema, widths: &[usize], expected: Result<usize, &str>) {
        let mut width = DenseWidth::new(schema);
        let mut values = Vec::new();
        let result = widths.iter().enumerate().try_for_each(|(row, &count)| {
            let start = values.len();
            values.resize(start + count, 1.0);
            width.end_row(&mut values, start, || Place { row: Some(row + 1), ..Place::default() })
        });
        let found = result.map(|()| values.len()).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn widths_are_exact_or_those_of_the_first_row() {
        check(&RowSchema::exactly(3), &[3, 3], Ok(6));
        check(&RowSchema::exactly(3), &[3, 2], Err("row 2: expected 3 features, found 2"));
        check(&RowSchema::exactly(3), &[4], Err("row 1: expected 3 features, found 4"));
        check(&RowSchema::default(), &[4, 4, 4], Ok(12));
        check(&RowSchema::default(), &[4, 5], Err("row 2: expected 4 features, found 5"));
        check(&RowSchema::default(), &[0], Err("row 1: expected at least one feature, found none"));
    }

    #[test]
    fn narrow_rows_are_padded_within_a_limit() {
        let schema = RowSchema { narrow_rows: NarrowRows::FillMissing, ..RowSchema::exactly(3) };
        check(&schema, &[3, 1, 0], Ok(9));
        check(&schema, &[4], Err("row 1: expected at most 3 features, found 4"));
        let schema = RowSchema { columns: Some(VALUES_MAX + 1), ..schema };
        check(&schema, &[1], Err("row 1: expected at most 67108864 values in all rows together, found more"));
    }
}
