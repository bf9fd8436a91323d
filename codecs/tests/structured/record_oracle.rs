//! prost as the reference: a record that is read is one that prost reads, with the same values, and the other way
//! round, on valid and on damaged records.

use codecs::Format;
use codecs::record::{Float32Tensor, Float64Tensor, Int32Tensor, Kind, Record, Value};
use dmatrix::{LabelPolicy, RowSchema};
use proptest::prelude::*;
use prost::Message;

use crate::record::framed;
use crate::{Decoded, assert_rows, decode, missing_allowed};

fn schema() -> RowSchema {
    missing_allowed(&RowSchema { labels: LabelPolicy::Required, ..RowSchema::default() })
}

/// Values as f32 (`None` when one is out of range), keys and shape.
fn tensor(value: &Value) -> Option<(Vec<f32>, &[u64], &[u64])> {
    let (values, keys, shape) = match value.value.as_ref()? {
        Kind::Float32Tensor(tensor) => (tensor.values.clone(), &tensor.keys, &tensor.shape),
        Kind::Float64Tensor(tensor) => {
            (tensor.values.iter().map(|&value| value as f32).collect(), &tensor.keys, &tensor.shape)
        }
        Kind::Int32Tensor(tensor) => {
            (tensor.values.iter().map(|&value| value as f32).collect(), &tensor.keys, &tensor.shape)
        }
        Kind::Bytes(_) => return None,
    };
    (!values.iter().any(|value| value.is_infinite())).then_some((values, keys, shape))
}

/// The row that a record is by the plain rules, if it is one.
fn naive_row(record: &Record) -> Option<Decoded> {
    let only = |map: &std::collections::BTreeMap<String, Value>| {
        (map.len() == 1).then(|| map.get("values").cloned())
    };
    let (features, label) = (only(&record.features)??, only(&record.label)??);
    let (labels, label_keys, label_shape) = tensor(&label)?;
    let product = |shape: &[u64]| {
        shape.iter().try_fold(1_u64, |product, &dimension| {
            product.checked_mul(dimension).filter(|&p| p <= u32::MAX.into())
        })
    };
    product(label_shape)?;
    if labels.is_empty() || !label_keys.is_empty() || labels.iter().any(|label| label.is_nan()) {
        return None;
    }
    let (values, keys, shape) = tensor(&features)?;
    let product = product(shape)?;
    let is_all_zero = values.is_empty() && !shape.is_empty();
    if keys.is_empty() && !is_all_zero {
        let is_row = !values.is_empty() && (shape.is_empty() || product == values.len() as u64);
        return is_row.then_some(Decoded::Dense(values));
    }
    let mut entries: Vec<(u64, f32)> = keys.iter().copied().zip(values.iter().copied()).collect();
    entries.sort_by_key(|entry| entry.0);
    let is_row = keys.len() == values.len()
        && !shape.is_empty()
        && product > 0
        && entries.windows(2).all(|pair| pair[0].0 < pair[1].0)
        && entries.last().is_none_or(|last| last.0 < product);
    is_row.then(|| Decoded::Sparse(entries.iter().map(|&(key, value)| (key as u32, value)).collect()))
}

fn assert_agreement(payload: &[u8]) {
    let expected = Record::decode(payload).ok().and_then(|record| naive_row(&record));
    let found = decode(Format::RecordIo, &schema(), &framed(&[payload.to_vec()]));
    match (&found, &expected) {
        (Ok(found), Some(expected)) => assert_rows(found, std::slice::from_ref(expected), "a record"),
        (Err(_), None) => {}
        // What repeats is merged or replaced by prost, and refused here.
        (Err(message), Some(_)) if message.ends_with("again") || message.ends_with("another") => {}
        _ => panic!("{payload:?}: {found:?}, but the reference says {expected:?}"),
    }
}

fn kind(width: usize, is_sparse: bool) -> impl Strategy<Value = Kind> {
    let keys = prop::sample::subsequence((0..width as u64).collect::<Vec<_>>(), 0..=width).prop_shuffle();
    let doubles = prop::collection::vec(prop_oneof![9 => -1e6..1e6, 1 => any::<f64>()], width);
    (keys, doubles, 0..3_u8, any::<bool>()).prop_map(move |(keys, mut values, kind, has_shape)| {
        let shape = if is_sparse || has_shape { vec![1, width as u64] } else { Vec::new() };
        let keys = if is_sparse { keys } else { Vec::new() };
        values.truncate(if is_sparse { keys.len() } else { width });
        match kind {
            0 => Kind::Float32Tensor(Float32Tensor {
                values: values.iter().map(|&value| value as f32).collect(),
                keys,
                shape,
            }),
            1 => Kind::Float64Tensor(Float64Tensor { values, keys, shape }),
            _ => Kind::Int32Tensor(Int32Tensor {
                values: values.iter().map(|&value| value as i32).collect(),
                keys,
                shape,
            }),
        }
    })
}

fn record() -> impl Strategy<Value = Record> {
    let text = prop::option::of("[a-zé]{0,5}");
    (1_usize..8, any::<bool>())
        .prop_flat_map(|(width, is_sparse)| (kind(width, is_sparse), kind(1, false)))
        .prop_flat_map(move |(features, label)| {
            (Just(features), Just(label), text.clone(), text.clone(), text.clone())
        })
        .prop_map(|(features, label, uid, metadata, configuration)| {
            let label = [("values".to_owned(), Value { value: Some(label) })].into();
            Record { label, uid, metadata, configuration, ..Record::with_features(features) }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn valid_records_are_read_as_prost_reads_them(record in record()) {
        assert_agreement(&record.to_bytes());
    }

    #[test]
    fn damaged_records_are_refused_when_prost_refuses_them(
        record in record(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let mut payload = record.to_bytes();
        for (index, byte, kind) in &damages {
            if payload.is_empty() {
                break;
            }
            let at = index.index(payload.len());
            match kind {
                0 => payload[at] = *byte,
                1 => payload[at] ^= 1 << (byte % 8),
                2 => drop(payload.remove(at)),
                _ => payload.insert(at, *byte),
            }
            assert_agreement(&payload);
        }
    }

    #[test]
    fn random_bytes_are_read_as_prost_reads_them(payload in prop::collection::vec(any::<u8>(), 0..40)) {
        assert_agreement(&payload);
    }
}
