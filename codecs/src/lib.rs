//! Bytes to rows and rows to bytes, in every payload format of SageMaker's row models. Pure and synchronous: no I/O,
//! no clock, no environment, no model.
//!
//! One file per format. [`decode`] goes straight from bytes to the f32 buffers of a [`DMatrix`];
//! [`encode`] goes from [`Predictions`] to bytes. Nothing is guessed: what a payload does not
//! say comes from a [`RowSchema`], and what does not fit is refused with its place.

mod content_type;
mod csv;
mod error;
mod json;
mod json_lines;
mod libsvm;
mod number;
mod recordio;
mod rows;
mod text;
mod width;

pub mod content_encoding;
pub mod framing;
pub mod record;

pub use content_type::{ContentType, ContentTypeError, Format};
pub use error::{DecodeError, Expected, Place};

use dmatrix::{DMatrix, Missing, Predictions, RowSchema, RowTag};

/// Decodes `body` into `rows`, whose buffers are reused. An empty body is zero rows.
///
/// Every dense row comes out exactly `schema.columns` wide when that is known. Values are finite or NaN (missing):
/// a number beyond f32's range is refused. On an error `rows` holds nothing meaningful.
///
/// # Errors
/// What was expected, what was found, and where.
pub fn decode(
    content_type: &ContentType,
    schema: &RowSchema,
    body: &[u8],
    rows: &mut DMatrix,
) -> Result<(), DecodeError> {
    match content_type.format {
        Format::Csv => csv::decode(content_type, schema, body, rows),
        Format::Json => json::decode(schema, body, rows),
        Format::JsonLines => json_lines::decode(schema, body, rows),
        Format::LibSvm => libsvm::decode(schema, body, rows),
        Format::RecordIo => record::decode(schema, body, rows),
    }?;
    if let Missing::Sentinel(sentinel) = schema.missing {
        rows.values_mut().iter_mut().filter(|value| **value == sentinel).for_each(|value| *value = f32::NAN);
    }
    Ok(())
}

/// Appends `predictions` to `out` as `accept` asks; `tags` (one a row, or none) are echoed where the format can.
pub fn encode(accept: &ContentType, predictions: &Predictions, tags: &[RowTag], out: &mut Vec<u8>) {
    match accept.format {
        Format::Csv => csv::encode(predictions, accept.verbose, out),
        Format::Json => json::encode(predictions, accept.verbose, out),
        Format::JsonLines => json_lines::encode(predictions, accept.verbose, out),
        Format::RecordIo => record::encode(predictions, accept.verbose, tags, out),
        Format::LibSvm => {
            unreachable!("libsvm is not an answer format: ContentType::from_accept never returns it")
        }
    }
}
