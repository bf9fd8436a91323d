//! Model files that are not what they should be.

use super::*;
use crate::manifest::PredictorType;

fn manifest() -> Manifest {
    Manifest { predictor_type: Some(PredictorType::Regressor), ..Manifest::new(Algorithm::LinearLearner) }
}

fn file(weight: &[f32], shape: &[usize], bias: &[f32]) -> Vec<u8> {
    tensors::write(&[
        ("bias", Dtype::F32, vec![bias.len()], tensors::single_bytes(bias)),
        ("weight", Dtype::F32, shape.to_vec(), tensors::single_bytes(weight)),
    ])
}

#[test]
fn hostile_files_are_refused() {
    let check = |weight: &[f32], shape: &[usize], bias: &[f32], expected: &str| {
        let bytes = file(weight, shape, bias);
        let found = LinearLearner::from_safetensors("f", &bytes, &manifest()).expect_err("refused");
        assert!(found.to_string().contains(expected), "{found}");
    };
    check(&[1.0, 2.0], &[1, 2], &[1.0, 2.0], "tensor bias: expected shape [1] as weight says, found [2]");
    check(&[1.0, 2.0], &[2], &[1.0], "weight");
    check(&[], &[1, 0], &[1.0], "none of them 0");
    check(&[], &[0, 2], &[], "none of them 0");
    check(&[1.0, f32::NAN], &[1, 2], &[1.0], "expected finite numbers, found NaN at position 1");
    check(&[1.0, 2.0], &[1, 2], &[f32::INFINITY], "expected finite numbers, found inf at position 0");
    check(&[1.0, 2.0], &[2, 1], &[1.0, 2.0], "expected multiclass_classifier for a model of 2 outputs");
}

#[test]
fn torn_files_are_refused() {
    let whole = file(&[1.0, 2.0], &[1, 2], &[3.0]);
    LinearLearner::from_safetensors("f", &whole, &manifest()).expect("a whole file");
    (0..whole.len()).for_each(|length| {
        LinearLearner::from_safetensors("f", &whole[..length], &manifest()).expect_err("a torn file");
    });
}

#[test]
fn manifests_of_other_models_are_refused() {
    let check = |change: fn(&mut Manifest), expected: &str| {
        let mut manifest = manifest();
        change(&mut manifest);
        let found = LinearLearner::new(&manifest, vec![1.0, 2.0], vec![3.0]).expect_err("refused");
        assert!(found.to_string().contains(expected), "{found}");
    };
    check(|manifest| manifest.feature_dim = Some(3), "feature_dim");
    check(|manifest| manifest.predictor_type = None, "predictor_type: expected");
    check(|manifest| manifest.loss = Some("logistic".into()), "loss: expected");
    check(|manifest| manifest.num_classes = Some(4), "num_classes: expected 1 as in the model file, found 4");
    check(|manifest| manifest.threshold = Some(0.5), "threshold: expected one for a binary_classifier only");
}
