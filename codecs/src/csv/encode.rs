//! Predictions as CSV: one line a row, or all rows on one line, as the layout says.

use dmatrix::{CsvRows, CsvVectors, Field, FieldShape, Predictions};

use crate::number::{NonFinite, write_f32};

/// Appends `predictions` to `out`.
pub(crate) fn encode(predictions: &Predictions, is_verbose: bool, out: &mut Vec<u8>) {
    let layout = predictions.layout();
    for row in 0..predictions.rows() {
        if row > 0 && layout.csv_rows == CsvRows::OneLine {
            out.push(b',');
        }
        for (index, field) in predictions.shown(is_verbose).iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_field(field, row, layout.csv_vectors, out);
        }
        if layout.csv_rows == CsvRows::Lines {
            out.push(b'\n');
        }
    }
}

fn write_field(field: &Field, row: usize, vectors: CsvVectors, out: &mut Vec<u8>) {
    let (open, separator, close): (&[u8], &[u8], &[u8]) = match (field.shape, vectors) {
        (FieldShape::Scalar, _) | (_, CsvVectors::Flatten) => (b"", b",", b""),
        (_, CsvVectors::QuotedList) => (b"\"[", b", ", b"]\""),
        (_, CsvVectors::BareList) => (b"[", b", ", b"]"),
    };
    out.extend_from_slice(open);
    for (index, &value) in field.row(row).iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(separator);
        }
        write_f32(value, field.style, NonFinite::CSV, out);
    }
    out.extend_from_slice(close);
}

#[cfg(test)]
mod tests {
    use dmatrix::{NumberStyle, ResponseLayout};

    use super::*;

    /// Two rows of a whole-number label and three probabilities.
    fn check(csv_vectors: CsvVectors, csv_rows: CsvRows, expected: &str) {
        let fields = [
            Field::new("predicted_label", FieldShape::Scalar, NumberStyle::Integer),
            Field::new("probabilities", FieldShape::Vector(3), NumberStyle::Float),
        ];
        let layout = ResponseLayout { csv_vectors, csv_rows, ..ResponseLayout::default() };
        let mut predictions = Predictions::new();
        predictions.reset(2, &fields, &layout);
        predictions.fields_mut()[0].values.copy_from_slice(&[1.0, 2.0]);
        predictions.fields_mut()[1].values.copy_from_slice(&[0.1, 0.7, 0.2, 1.0, f32::NAN, 1.5e-9]);
        let mut out = Vec::new();
        encode(&predictions, false, &mut out);
        assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
    }

    #[test]
    fn layouts() {
        check(CsvVectors::Flatten, CsvRows::Lines, "1,0.1,0.7,0.2\n2,1.0,nan,1.5e-9\n");
        check(CsvVectors::Flatten, CsvRows::OneLine, "1,0.1,0.7,0.2,2,1.0,nan,1.5e-9");
        check(CsvVectors::QuotedList, CsvRows::Lines, "1,\"[0.1, 0.7, 0.2]\"\n2,\"[1.0, nan, 1.5e-9]\"\n");
        check(CsvVectors::BareList, CsvRows::Lines, "1,[0.1, 0.7, 0.2]\n2,[1.0, nan, 1.5e-9]\n");
    }

    #[test]
    fn no_rows_are_no_bytes() {
        let mut out = b"before".to_vec();
        encode(&Predictions::new(), false, &mut out);
        assert_eq!(out, b"before");
    }
}
