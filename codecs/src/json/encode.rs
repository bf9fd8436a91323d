//! Answers in JSON and JSON Lines, spaced as Python's `json.dumps` spaces them.

use dmatrix::{Field, FieldShape, Predictions};

use crate::number::{NonFinite, write_f32};

/// Appends `{"predictions": [{..}, ..]}` under the layout's own key.
pub(crate) fn write_envelope(predictions: &Predictions, is_verbose: bool, out: &mut Vec<u8>) {
    out.push(b'{');
    write_string(predictions.layout().envelope, out);
    out.extend_from_slice(b": [");
    write_rows(predictions, is_verbose, b", ", b"", out);
    out.extend_from_slice(b"]}");
}

/// Appends one object a line.
pub(crate) fn write_lines(predictions: &Predictions, is_verbose: bool, out: &mut Vec<u8>) {
    write_rows(predictions, is_verbose, b"", b"\n", out);
}

fn write_rows(predictions: &Predictions, is_verbose: bool, between: &[u8], after: &[u8], out: &mut Vec<u8>) {
    let fields = predictions.shown(is_verbose);
    let keys = fields.iter().map(|field| {
        let mut key = Vec::with_capacity(field.name.len() + 4);
        write_string(&field.name, &mut key);
        key.extend_from_slice(b": ");
        key
    });
    let keys: Vec<Vec<u8>> = keys.collect();
    for row in 0..predictions.rows() {
        out.extend_from_slice(if row == 0 { b"" } else { between });
        out.push(b'{');
        for (position, (field, key)) in fields.iter().zip(&keys).enumerate() {
            out.extend_from_slice(if position == 0 { b"" } else { b", " });
            out.extend_from_slice(key);
            write_field(field, row, out);
        }
        out.push(b'}');
        out.extend_from_slice(after);
    }
}

fn write_field(field: &Field, row: usize, out: &mut Vec<u8>) {
    let values = field.row(row);
    match field.shape {
        FieldShape::Scalar => write_f32(values[0], field.style, NonFinite::JSON, out),
        FieldShape::Vector(_) => {
            out.push(b'[');
            for (position, &value) in values.iter().enumerate() {
                out.extend_from_slice(if position == 0 { b"" } else { b", " });
                write_f32(value, field.style, NonFinite::JSON, out);
            }
            out.push(b']');
        }
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1F => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
