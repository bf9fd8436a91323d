//! The vocabulary that codecs and models share: [`DMatrix`] carries rows of features in, [`Predictions`] carries rows
//! of named fields out, [`RowSchema`] says what a decoder may not guess. Standard library only: no format, no model,
//! no I/O.
//!
//! ```
//! use dmatrix::{DMatrix, Row};
//!
//! let mut rows = DMatrix::new();
//! rows.begin_dense().extend_from_slice(&[1.0, 2.0, 3.0, 4.0]);
//! rows.finish_dense(2);
//! assert_eq!(rows.rows(), 2);
//! assert_eq!(rows.row(1), Row::Dense(&[3.0, 4.0]));
//! ```

mod matrix;
mod predictions;
mod schema;

pub use matrix::{DMatrix, Row, RowTag, SparseParts, Storage};
pub use predictions::{CsvRows, CsvVectors, Field, FieldShape, NumberStyle, Predictions, ResponseLayout};
pub use schema::{CsvHeader, IndexBase, LabelPolicy, Missing, NarrowRows, ROWS_MAX, RowSchema};
