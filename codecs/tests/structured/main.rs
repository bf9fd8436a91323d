//! The structured formats (JSON, JSON Lines, RecordIO-protobuf) and record framing, through the public interface.

mod answers;
mod framing;
mod hostile;
mod json;
mod json_oracle;
mod laws;
mod record;
mod record_oracle;

use codecs::{ContentType, Format};
use dmatrix::{DMatrix, Missing, NarrowRows, Row, RowSchema, Storage};

/// What a row comes to, NaN as itself.
#[derive(Debug, Clone, PartialEq)]
enum Decoded {
    Dense(Vec<f32>),
    Sparse(Vec<(u32, f32)>),
}

fn decode_matrix(format: Format, schema: &RowSchema, body: &[u8]) -> Result<DMatrix, String> {
    let mut rows = DMatrix::new();
    codecs::decode(&ContentType::new(format), schema, body, &mut rows).map_err(|error| error.to_string())?;
    Ok(rows)
}

fn decode(format: Format, schema: &RowSchema, body: &[u8]) -> Result<Vec<Decoded>, String> {
    let matrix = decode_matrix(format, schema, body)?;
    let rows = (0..matrix.rows()).map(|row| match matrix.row(row) {
        Row::Dense(values) => Decoded::Dense(values.to_vec()),
        Row::Sparse { indices, values } => {
            Decoded::Sparse(indices.iter().copied().zip(values.iter().copied()).collect())
        }
    });
    Ok(rows.collect())
}

fn dense(values: &[f32]) -> Decoded {
    Decoded::Dense(values.to_vec())
}

fn sparse(entries: &[(u32, f32)]) -> Decoded {
    Decoded::Sparse(entries.to_vec())
}

/// Equal to the bit, save that every NaN is missing.
fn assert_rows(found: &[Decoded], expected: &[Decoded], context: &str) {
    let bits = |value: f32| if value.is_nan() { u32::MAX } else { value.to_bits() };
    let plain = |rows: &[Decoded]| -> Vec<(Option<Vec<u32>>, Vec<u32>)> {
        rows.iter()
            .map(|row| match row {
                Decoded::Dense(values) => (None, values.iter().map(|&value| bits(value)).collect()),
                Decoded::Sparse(entries) => (
                    Some(entries.iter().map(|entry| entry.0).collect()),
                    entries.iter().map(|entry| bits(entry.1)).collect(),
                ),
            })
            .collect()
    };
    assert_eq!(plain(found), plain(expected), "{context}: {found:?} is not {expected:?}");
}

fn missing_allowed(schema: &RowSchema) -> RowSchema {
    RowSchema { missing: Missing::Allowed, ..schema.clone() }
}

fn narrow_allowed(columns: usize) -> RowSchema {
    RowSchema { narrow_rows: NarrowRows::FillMissing, ..missing_allowed(&RowSchema::exactly(columns)) }
}

/// A refused body leaves nothing behind, and a matrix keeps its buffers from body to body.
#[test]
fn buffers_are_reused_and_errors_leave_no_rows() {
    let json = ContentType::new(Format::Json);
    let mut rows = DMatrix::new();
    let mut decode = |body: &str| {
        let outcome = codecs::decode(&json, &RowSchema::default(), body.as_bytes(), &mut rows);
        (outcome.is_ok(), rows.rows(), rows.columns(), rows.storage(), rows.values().as_ptr())
    };
    let sparse =
        r#"{"instances": [[1, 2, 3], {"data": {"features": {"keys": [1], "shape": [3], "values": [5]}}}]}"#;
    let (.., buffer) = decode("[[1, 2], [3, 4], [5, 6]]");
    assert_eq!(decode(sparse), (true, 2, 3, Storage::Sparse, buffer));
    assert_eq!(decode("[[1, 2], [3]]"), (false, 0, 0, Storage::Dense, buffer));
    assert_eq!(decode("[[7]]"), (true, 1, 1, Storage::Dense, buffer));
}
