//! What is encoded decodes to the same bits, and a row is the same row in every text format.

use codecs::{ContentType, Format};
use dmatrix::{Field, FieldShape, Missing, NumberStyle, Predictions, ResponseLayout, Row, RowSchema};
use proptest::prelude::*;

use crate::{bits, decode};

fn value() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits).prop_filter("finite or NaN", |value| !value.is_infinite())
}

proptest! {
    #[test]
    fn csv_reads_back_what_csv_wrote(scores in prop::collection::vec(value(), 0..40)) {
        let fields = [
            Field::new("label", FieldShape::Scalar, NumberStyle::Float),
            Field::new("scores", FieldShape::Vector(3), NumberStyle::Float),
        ];
        let rows = scores.len() / 4;
        let mut predictions = Predictions::new();
        predictions.reset(rows, &fields, &ResponseLayout::default());
        for (row, scores) in scores.chunks_exact(4).enumerate() {
            predictions.fields_mut()[0].values[row] = scores[0];
            predictions.fields_mut()[1].values[3 * row..3 * row + 3].copy_from_slice(&scores[1..]);
        }
        let mut body = Vec::new();
        codecs::encode(&ContentType::new(Format::Csv), &predictions, &[], &mut body);
        let schema = RowSchema { missing: Missing::Allowed, ..RowSchema::exactly(4) };
        let read = decode("text/csv", &schema, &body).expect("our own text");
        prop_assert_eq!(bits(read.values()), bits(&scores[..4 * rows]));
    }

    #[test]
    fn csv_and_libsvm_give_the_same_row(rows in prop::collection::vec(prop::collection::vec(value(), 5), 1..8)) {
        let csv: String = rows.iter().map(|row| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n").collect();
        let libsvm: String = rows
            .iter()
            .map(|row| row.iter().enumerate().map(|(index, value)| format!("{index}:{value} ")).collect::<String>() + "\n")
            .collect();
        let schema = RowSchema { missing: Missing::Allowed, ..RowSchema::exactly(5) };
        let dense = decode("text/csv", &schema, csv.as_bytes()).expect("CSV");
        let mut as_sparse = dense.clone();
        as_sparse.make_sparse();
        let sparse = decode("text/libsvm", &schema, libsvm.as_bytes()).expect("libsvm");
        prop_assert_eq!(sparse.rows(), dense.rows());
        for row in 0..sparse.rows() {
            let (Row::Sparse { indices, values }, Row::Sparse { indices: same_indices, values: same }) =
                (sparse.row(row), as_sparse.row(row))
            else {
                panic!("both are sparse")
            };
            prop_assert_eq!(indices, same_indices);
            prop_assert_eq!(bits(values), bits(same));
        }
    }
}
