//! One row is one row: the same values come out of every format to the bit, dense and sparse.

use codecs::Format;
use codecs::record::{Float32Tensor, Float64Tensor, Kind, Record};
use dmatrix::RowSchema;
use proptest::prelude::*;

use crate::record::framed;
use crate::{Decoded, assert_rows, decode};

fn finite() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("finite", |value| value.is_finite())
}

fn joined(values: &[f32], separator: &str) -> String {
    values.iter().map(f32::to_string).collect::<Vec<_>>().join(separator)
}

proptest! {
    #[test]
    fn every_format_gives_the_same_dense_rows(
        rows in (1_usize..8).prop_flat_map(|width| prop::collection::vec(prop::collection::vec(finite(), width), 1..6)),
    ) {
        let lines = |line: fn(&[f32]) -> String| rows.iter().map(|row| line(row)).collect::<Vec<_>>();
        let json = lines(|row| format!("[{}]", joined(row, ", ")));
        let singles = rows.iter().map(|row| Record::dense(row.clone()).to_bytes()).collect::<Vec<_>>();
        let doubles = rows.iter().map(|row| {
            let values = row.iter().map(|&value| f64::from(value)).collect();
            Record::with_features(Kind::Float64Tensor(Float64Tensor { values, ..Float64Tensor::default() })).to_bytes()
        });
        let bodies = [
            (Format::Csv, lines(|row| joined(row, ",")).join("\n").into_bytes()),
            (Format::Json, format!("[{}]", json.join(",")).into_bytes()),
            (Format::JsonLines, json.join("\n").into_bytes()),
            (Format::RecordIo, framed(&singles)),
            (Format::RecordIo, framed(&doubles.collect::<Vec<_>>())),
        ];
        let expected: Vec<Decoded> = rows.iter().map(|row| Decoded::Dense(row.clone())).collect();
        for (format, body) in bodies {
            let found = decode(format, &RowSchema::exactly(rows[0].len()), &body).expect("the body is rows");
            assert_rows(&found, &expected, "dense");
        }
    }

    #[test]
    fn every_format_gives_the_same_sparse_rows(
        row in prop::collection::btree_map(0_u32..20, finite(), 1..10),
    ) {
        let (keys, values): (Vec<u32>, Vec<f32>) = row.iter().map(|(&key, &value)| (key, value)).unzip();
        let pairs = row.iter().map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>().join(" ");
        let values_json = joined(&values, ",");
        let json = format!(r#"{{"data": {{"features": {{"keys": {keys:?}, "shape": [20], "values": [{values_json}]}}}}}}"#);
        let keys = keys.into_iter().map(u64::from).collect();
        let record = Record::with_features(Kind::Float32Tensor(Float32Tensor { values, keys, shape: vec![20] }));
        let bodies = [
            (Format::LibSvm, pairs.into_bytes()),
            (Format::JsonLines, json.into_bytes()),
            (Format::RecordIo, framed(&[record.to_bytes()])),
        ];
        for (format, body) in bodies {
            let found = decode(format, &RowSchema::exactly(20), &body).expect("the body is a row");
            assert_rows(&found, &[Decoded::Sparse(row.clone().into_iter().collect())], "sparse");
        }
    }
}
