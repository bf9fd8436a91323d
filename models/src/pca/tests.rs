//! Answers against the plain formula, dense against sparse, and files that are refused.

use serde_json::{Value, json};

use super::*;

fn manifest(details: &[(&str, Value)]) -> Manifest {
    let mut manifest = Manifest::new(Algorithm::Pca);
    manifest.details = details.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    manifest
}

fn components() -> Components {
    Components {
        mean: vec![1.0, 2.0, 3.0],
        singular_values: vec![5.0, 4.0],
        vectors: vec![1.0, 0.0, 0.0, 0.0, 0.6, 0.8],
    }
}

fn project(model: &Pca, rows: &DMatrix) -> Result<Vec<f32>, PredictError> {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(rows), &mut predictions)?;
    Ok(predictions.fields()[0].values.clone())
}

#[test]
fn rows_are_centred_and_projected() {
    let model = Pca::new(&manifest(&[]), components()).expect("sound");
    let rows = DMatrix::from_dense(vec![1.0, 2.0, 3.0, 3.0, 3.0, 5.0], 3);
    let found = project(&model, &rows).expect("finite");
    for (found, expected) in found.iter().zip([0.0, 0.0, 2.0, 2.2]) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    assert_eq!(model.signature().layout.envelope, "projections");
}

#[test]
fn an_artifact_is_read_back() {
    let model = Pca::new(&manifest(&[]), components()).expect("sound");
    let [(file, bytes)] = model.to_members().try_into().expect("one member");
    let again = Pca::from_safetensors(&file, &bytes, &manifest(&[("order", json!("descending"))]));
    assert_eq!(again.expect("its own file").components(), &components());
}

#[test]
fn sparse_is_dense_in_any_batch_to_the_bit() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut draw = |count| (0..count).map(|_| random.f32() - 0.5).collect::<Vec<f32>>();
    let (columns, k) = (21, 4);
    let model = Components { mean: draw(columns), singular_values: vec![1.0; k], vectors: draw(columns * k) };
    let model = Pca::new(&manifest(&[]), model).expect("sound");
    let mut values = draw(columns * 9);
    values.iter_mut().step_by(3).for_each(|value| *value = 0.0);
    let whole = project(&model, &DMatrix::from_dense(values.clone(), columns)).expect("finite");
    for (row, expected) in values.chunks_exact(columns).zip(whole.chunks_exact(k)) {
        let mut sparse = DMatrix::new();
        let parts = sparse.begin_sparse();
        for (index, value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            parts.indices.push(index as u32);
            parts.values.push(*value);
        }
        parts.offsets.push(parts.indices.len());
        sparse.finish_sparse(columns);
        let alone = project(&model, &DMatrix::from_dense(row.to_vec(), columns)).expect("finite");
        assert_eq!((alone.as_slice(), project(&model, &sparse).as_deref()), (expected, Ok(expected)));
    }
}

#[test]
fn bad_rows_are_refused() {
    let model = Pca::new(&manifest(&[]), components()).expect("sound");
    let check = |values: Vec<f32>, columns, expected: &str| {
        let error = project(&model, &DMatrix::from_dense(values, columns)).expect_err("bad").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(vec![1.0, 2.0], 2, "expected rows of 3 features, found 2");
    check(vec![1.0, f32::NAN, 2.0], 3, "row 1, feature 2: expected a finite number");
    check(vec![0.0, f32::MAX, f32::MAX], 3, "row 1: the score of these values is beyond single precision");
}

#[test]
fn bad_models_are_refused() {
    let check = |details: &[(&str, Value)], change: fn(&mut Components), expected: &str| {
        let mut components = components();
        change(&mut components);
        let error = Pca::new(&manifest(details), components).expect_err("bad").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let same: fn(&mut Components) = |_| {};
    check(&[], |it| it.mean.clear(), "expected 2 components of 0 features, found 6 values");
    check(&[], |it| it.vectors.truncate(5), "found 5 values");
    check(&[], |it| it.vectors[4] = f32::NAN, "tensor v: expected finite numbers, found NaN at position 4");
    check(&[], |it| it.singular_values[1] = -1.0, "tensor s: expected numbers of at least 0, found -1");
    check(&[("order", json!("ascending"))], same, "order: expected the order of tensor s");
    check(&[("order", json!(1))], same, "order: expected \"descending\" or \"ascending\", found 1");
    check(&[("algorithm_mode", json!("fast"))], same, "algorithm_mode: expected");
    check(&[("n", json!(0))], same, "n: expected a whole number from 1, found 0");
}

#[test]
fn damaged_files_never_panic() {
    let model = Pca::new(&manifest(&[]), components()).expect("sound");
    let bytes = model.to_members().remove(0).1;
    for length in 0..bytes.len() {
        assert!(Pca::from_safetensors("m", &bytes[..length], &manifest(&[])).is_err(), "cut at {length}");
    }
    for place in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[place] ^= 0x5A;
        drop(Pca::from_safetensors("m", &bytes, &manifest(&[])));
    }
}
