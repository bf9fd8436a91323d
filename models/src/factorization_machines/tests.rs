//! The identity of pairs against its O(d²) sum, sparse against dense, answers, and files that are refused.

use super::*;

fn random(length: usize, seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| random.f32() * 2.0 - 1.0).collect()
}

fn manifest(kind: PredictorType) -> Manifest {
    Manifest { predictor_type: Some(kind), ..Manifest::new(Algorithm::FactorizationMachines) }
}

fn model(kind: PredictorType, columns: usize, factors: usize) -> FactorizationMachines {
    let (linear, factors) = (random(columns, 1), random(columns * factors, 2));
    FactorizationMachines::new(&manifest(kind), 0.25, linear, factors).expect("sound numbers")
}

fn answers(model: &FactorizationMachines, rows: &DMatrix) -> Vec<Vec<f32>> {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(rows), &mut predictions).expect("sound rows");
    predictions.fields().iter().map(|field| field.values.clone()).collect()
}

#[test]
fn the_identity_is_the_sum_over_pairs() {
    for (columns, factors) in [(1, 1), (7, 3), (40, 16), (50, 37)] {
        let model = model(PredictorType::Regressor, columns, factors);
        let row = random(columns, 3);
        let factor = |i: usize, f: usize| f64::from(model.factors[i * factors + f]);
        let value = |i: usize| f64::from(row[i]);
        let mut expected = 0.25 + (0..columns).map(|i| f64::from(model.linear[i]) * value(i)).sum::<f64>();
        for i in 0..columns {
            for j in i + 1..columns {
                let product: f64 = (0..factors).map(|f| factor(i, f) * factor(j, f)).sum();
                expected += product * value(i) * value(j);
            }
        }
        let found = f64::from(answers(&model, &DMatrix::from_dense(row.clone(), columns))[0][0]);
        assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{found} is not {expected}");
    }
}

#[test]
fn sparse_is_dense_to_the_bit_alone_and_in_a_batch() {
    let model = model(PredictorType::BinaryClassifier, 60, 20);
    let mut dense = random(180, 5);
    (0..180).filter(|i| i % 3 != 0).for_each(|i| dense[i] = if i % 2 == 0 { 0.0 } else { -0.0 });
    let mut sparse = DMatrix::new();
    let parts = sparse.begin_sparse();
    for row in dense.chunks(60) {
        for (index, value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            parts.indices.push(index as u32);
            parts.values.push(*value);
        }
        parts.offsets.push(parts.indices.len());
    }
    sparse.finish_sparse(60);
    let together = answers(&model, &DMatrix::from_dense(dense.clone(), 60));
    assert_eq!(together, answers(&model, &sparse));
    for (row, values) in dense.chunks(60).enumerate() {
        assert_eq!(
            answers(&model, &DMatrix::from_dense(values.to_vec(), 60))[0][0].to_bits(),
            together[0][row].to_bits()
        );
    }
}

#[test]
fn a_score_of_a_half_is_class_one() {
    let build = |bias| {
        FactorizationMachines::new(
            &manifest(PredictorType::BinaryClassifier),
            bias,
            vec![1.0, 0.0],
            vec![0.0; 2],
        )
    };
    let check = |bias: f32, label: f32| {
        let found = answers(&build(bias).expect("sound"), &DMatrix::from_dense(vec![0.0, 3.0], 2));
        assert_eq!(found[1][0], label, "{found:?}");
    };
    check(0.0, 1.0);
    check(-0.1, 0.0);
    check(0.1, 1.0);
    // Beyond what e^x holds, a probability still is one.
    check(-1e6, 0.0);
    check(1e6, 1.0);
}

#[test]
fn values_that_cannot_be_scored_are_refused() {
    let model = model(PredictorType::Regressor, 2, 2);
    let check = |values: Vec<f32>, columns: usize, expected: &str| {
        let rows = DMatrix::from_dense(values, columns);
        let error =
            model.predict(Input::Rows(&rows), &mut Predictions::new()).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(vec![1.0, 2.0, 3.0, f32::NAN], 2, "row 2, feature 2: expected a finite number, found NaN");
    check(vec![1.0, 2.0, 3.0], 3, "expected rows of 2 features, found 3");
    check(vec![f32::MAX, f32::MAX], 2, "beyond single precision");
}

#[test]
fn what_is_written_is_read_back() {
    let manifest = manifest(PredictorType::Regressor);
    let model = model(PredictorType::Regressor, 9, 4);
    let members = model.to_members();
    let again = FactorizationMachines::from_safetensors(&members[0].0, &members[0].1, &manifest)
        .expect("its own file");
    assert_eq!((again.columns(), again.num_factors()), (9, 4));
    assert_eq!(again.into_parts(), model.into_parts());
}

#[test]
fn hostile_files_are_refused() {
    let tensor = |name: &'static str, shape: &[usize], value: f32| {
        let count = shape.iter().product();
        (name, Dtype::F32, shape.to_vec(), tensors::single_bytes(&vec![value; count]))
    };
    let check = |w0: &[usize], w1: &[usize], v: &[usize], value: f32, kind, expected: &str| {
        let bytes = tensors::write(&[
            tensor("w0_weight", w0, 0.0),
            tensor("w1_weight", w1, value),
            tensor("v", v, 0.0),
        ]);
        let manifest = Manifest { predictor_type: kind, ..manifest(PredictorType::Regressor) };
        let found = FactorizationMachines::from_safetensors("f", &bytes, &manifest).expect_err("refused");
        assert!(found.to_string().contains(expected), "{found}");
    };
    let regressor = Some(PredictorType::Regressor);
    check(&[1, 2], &[3, 1], &[3, 2], 0.0, regressor, "w0_weight: expected shape [1, 1]");
    check(
        &[1, 1],
        &[2, 1],
        &[3, 2],
        0.0,
        regressor,
        "w1_weight: expected shape [3, 1] as v says, found [2, 1]",
    );
    check(&[1, 1], &[3, 1], &[3], 0.0, regressor, "tensor v: expected 2 sides");
    check(&[1, 1], &[3, 1], &[3, 2], f32::INFINITY, regressor, "expected finite numbers, found inf");
    check(&[1, 1], &[3, 1], &[3, 2], 0.0, None, "predictor_type: expected");
    let multiclass = Some(PredictorType::MulticlassClassifier);
    check(&[1, 1], &[3, 1], &[3, 2], 0.0, multiclass, "found multiclass_classifier");
    let whole = model(PredictorType::Regressor, 3, 2).to_members().remove(0).1;
    for length in 0..whole.len() {
        let manifest = manifest(PredictorType::Regressor);
        FactorizationMachines::from_safetensors("f", &whole[..length], &manifest).expect_err("a torn file");
    }
}
