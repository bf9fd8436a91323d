//! CSV, libsvm and content encodings from outside: golden errors, naive twins, laws.

mod content_encoding;
mod csv;
mod laws;
mod libsvm;

use codecs::ContentType;
use dmatrix::{DMatrix, RowSchema};

/// Decodes into a matrix that held something else before.
fn decode(content_type: &str, schema: &RowSchema, body: &[u8]) -> Result<DMatrix, String> {
    let mut rows = used_matrix();
    let content_type = ContentType::parse(content_type).expect("a served type");
    codecs::decode(&content_type, schema, body, &mut rows).map_err(|error| error.to_string())?;
    Ok(rows)
}

fn used_matrix() -> DMatrix {
    let mut rows = DMatrix::new();
    let parts = rows.begin_sparse();
    parts.indices.extend([1, 2]);
    parts.values.extend([5.0, 6.0]);
    parts.offsets.push(2);
    rows.finish_sparse(9);
    rows.labels_mut().push(7.0);
    rows.weights_mut().push(8.0);
    rows
}

/// The bits of values, every NaN the same, so that NaN equals NaN and -0 does not equal 0.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}
