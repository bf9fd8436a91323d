//! What must hold of sums of derivatives and of whole trainings.

use codecs::framing::SplitType;
use codecs::record::Record;
use dmatrix::{DMatrix, Storage};
use estimator::{Channel, Job};

use super::{Files, binary, blobs, channel, fit, linear_rows, model, regression};
use crate::loss::{Loss, Objective};
use crate::network::{Buffers, Network, Sums};
use crate::scaler::Scaler;
use crate::settings::{Initial, Spread};
use crate::weights::Weights;

fn scaler(columns: usize) -> Scaler {
    Scaler {
        shift: (0..columns).map(|column| 3.0 * column as f32).collect(),
        factor: (0..columns).map(|column| 1.0 / (column + 1) as f32).collect(),
        label_shift: 0.0,
        label_scale: 1.0,
        class_rows: Vec::new(),
    }
}

fn batch(count: usize, columns: usize, labels: impl Fn(usize) -> f32) -> DMatrix {
    let rows = linear_rows(count, columns, 5);
    let mut values: Vec<f32> = rows.into_iter().flat_map(|row| row.1).collect();
    // Zeros, so that a sparse matrix has something to leave out.
    values.iter_mut().step_by(3).for_each(|value| *value = 0.0);
    let mut batch = DMatrix::from_dense(values, columns);
    batch.labels_mut().extend((0..count).map(labels));
    batch
}

/// The same rows without their zeros.
fn sparse(rows: &DMatrix) -> DMatrix {
    let mut out = DMatrix::new();
    let parts = out.begin_sparse();
    for row in rows.values().chunks_exact(rows.columns()) {
        for (column, value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            parts.indices.push(column as u32);
            parts.values.push(*value);
        }
        parts.offsets.push(parts.indices.len());
    }
    out.finish_sparse(rows.columns());
    out.labels_mut().extend_from_slice(rows.labels());
    out
}

fn derive(objective: &Objective, weights: &Weights, rows: &DMatrix) -> Sums {
    let scaler = scaler(rows.columns());
    let network = Network { scaler: &scaler, objective };
    network.derive(weights, rows, &mut Buffers::default()).clone()
}

fn objective(loss: Loss, models: usize, outputs: usize) -> Objective {
    Objective { loss, outputs, positive: vec![1.0; models], class_weights: Vec::new() }
}

fn weights(columns: usize, models: usize, outputs: usize) -> Weights {
    Weights::drawn(columns, models, outputs, Initial { bias: 0.1, spread: Spread::Uniform(0.5) }, 3)
}

#[test]
fn sums_of_derivatives_are_those_of_finite_differences() {
    // Narrow and wide: the plain loops, and the blocked product.
    for (loss, models, outputs) in
        [(Loss::Logistic, 1, 1), (Loss::Logistic, 3, 1), (Loss::Logistic, 12, 1), (Loss::Softmax, 4, 3)]
    {
        let objective = objective(loss, models, outputs);
        let rows = batch(40, 7, |row| if outputs == 1 { (row % 2) as f32 } else { (row % 3) as f32 });
        let start = weights(7, models, outputs);
        let sums = derive(&objective, &start, &rows);
        for place in 0..start.weight.len() {
            let shifted = |by: f32| {
                let mut moved = start.clone();
                moved.weight[place] += by;
                derive(&objective, &moved, &rows).losses.iter().sum::<f64>()
            };
            let slope = (shifted(0.01) - shifted(-0.01)) / 0.02;
            let found = f64::from(sums.weight[place]);
            assert!((slope - found).abs() < 1e-2 * (1.0 + slope.abs()), "{loss:?} {place}: {slope} {found}");
        }
        let shifted = |by: f32| {
            let mut moved = start.clone();
            moved.bias[0] += by;
            derive(&objective, &moved, &rows).losses[0]
        };
        let slope = (shifted(0.01) - shifted(-0.01)) / 0.02;
        assert!((slope - f64::from(sums.bias[0])).abs() < 1e-2 * (1.0 + slope.abs()));
    }
}

fn close(left: &[f32], right: &[f32], tolerance: f32) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert!((left - right).abs() <= tolerance * (1.0 + left.abs()), "{left} is not {right}");
    }
}

#[test]
fn sparse_rows_are_worth_what_dense_ones_are() {
    for models in [1, 2, 32] {
        let objective = objective(Loss::Logistic, models, 1);
        let dense = batch(300, 9, |row| (row % 2) as f32);
        let sparse = sparse(&dense);
        assert_eq!(sparse.storage(), Storage::Sparse);
        let start = weights(9, models, 1);
        let (left, right) = (derive(&objective, &start, &dense), derive(&objective, &start, &sparse));
        close(&left.weight, &right.weight, 1e-3);
        close(&left.bias, &right.bias, 1e-3);
    }
}

#[test]
fn the_sums_of_two_hosts_are_those_of_one() {
    let objective = objective(Loss::Squared, 32, 1);
    let all = batch(2000, 30, |row| row as f32 / 1000.0);
    let start = weights(30, 32, 1);
    let part = |rows: std::ops::Range<usize>| {
        let mut some = estimator::Gather::default();
        some.push_range(&all, rows);
        derive(&objective, &start, &some.finish())
    };
    let (whole, left, right) = (derive(&objective, &start, &all), part(0..700), part(700..2000));
    let sum: Vec<f32> = left.weight.iter().zip(&right.weight).map(|(left, right)| left + right).collect();
    close(&whole.weight, &sum, 1e-4);
}

#[test]
fn bits_do_not_depend_on_threads() {
    let files = Files::new();
    let path = files.write("train.csv", &binary(3000, 1));
    let given = [("predictor_type", "binary_classifier"), ("epochs", "3"), ("mini_batch_size", "1500")];
    let bytes = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let job = Job::for_tests(&given, &[channel("train", &path)]);
        let fitted = pool.install(|| fit(&job)).expect("good data");
        (fitted.manifest.to_json(), fitted.members)
    };
    assert_eq!(bytes(1), bytes(3));
}

fn recordio(path: &std::path::Path, rows: &[(f32, Vec<f32>)], is_sparse: bool) -> Channel {
    let mut bytes = Vec::new();
    for (label, values) in rows {
        let entries = values.iter().enumerate().filter(|(_, value)| **value != 0.0);
        let record = if is_sparse {
            let (keys, kept) = entries.map(|(key, value)| (key as u64, *value)).unzip();
            Record::sparse(kept, keys, vec![values.len() as u64])
        } else {
            Record::dense(values.clone())
        };
        let record = record.with_label(*label).to_bytes();
        SplitType::RecordIo.join(&record, &mut bytes).expect("a short record");
    }
    std::fs::write(path, bytes).expect("a file");
    let content_type = "application/x-recordio-protobuf";
    Channel::for_tests("train", path, content_type, estimator::Labels::Required).expect("known")
}

#[test]
fn sparse_records_train_the_same_model() {
    let mut rows = regression(600, 0.5, 3);
    for (index, (_, values)) in rows.iter_mut().enumerate() {
        values[index % 4] = 0.0;
    }
    let files = Files::new();
    let weights = |is_sparse| {
        let channel = recordio(&files.folder().join("rows"), &rows, is_sparse);
        let given = [
            ("predictor_type", "regressor"),
            ("unbias_data", "true"),
            ("mini_batch_size", "100"),
            ("num_models", "2"),
        ];
        let job = Job::for_tests(&given, &[channel]);
        model(&fit(&job).expect("good data")).weight().to_vec()
    };
    close(&weights(false), &weights(true), 1e-3);
}

#[test]
fn many_classes_train_in_one_matrix() {
    let files = Files::new();
    let path = files.write("train.csv", &blobs(300, 1));
    let given = [
        ("predictor_type", "multiclass_classifier"),
        ("num_classes", "3"),
        ("mini_batch_size", "50"),
        ("balance_multiclass_weights", "true"),
    ];
    let fitted = fit(&Job::for_tests(&given, &[channel("train", &path)])).expect("good data");
    assert_eq!(fitted.manifest.num_classes, Some(3));
    assert!(fitted.manifest.metrics["train:multiclass_accuracy"].as_f64().expect("a number") > 0.98);
}
