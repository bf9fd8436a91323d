//! Models that the real MXNet wrote, as SageMaker's own containers do (`mxnet/make.py`), loaded and held to NumPy's answers.

use std::fs;
use std::path::{Path, PathBuf};

use dmatrix::{DMatrix, Predictions};
use models::{Algorithm, Artifact, Input, LoadOptions};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mxnet")
}

fn answers() -> Value {
    let text = fs::read_to_string(fixtures().join("answers.json")).expect("the answers");
    serde_json::from_str(&text).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().expect("a number") as f32],
    }
}

/// The first field of the answers to `rows` of the fixture `name`.
fn score(name: &str, algorithm: Algorithm, rows: &Value) -> Vec<f32> {
    let artifact = Artifact::open(&fixtures().join(name), &std::env::temp_dir()).expect("an artifact");
    assert_eq!(artifact.manifest().algorithm, algorithm, "{name}");
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    let mut predictions = Predictions::new();
    let rows = DMatrix::from_dense(numbers(rows), 4);
    model.predict(Input::Rows(&rows), &mut predictions).expect("answers");
    predictions.fields()[0].values.clone()
}

#[track_caller]
fn check(name: &str, algorithm: Algorithm) {
    let answers = answers();
    let (found, expected) = (score(name, algorithm, &answers["rows"]), numbers(&answers[name]));
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (found - expected).abs() <= 1e-5 * expected.abs().max(1.0),
            "{name}: {found} is not {expected}"
        );
    }
}

#[test]
fn models_trained_by_sagemakers_own_containers_answer_as_numpy_does() {
    check("linear_binary", Algorithm::LinearLearner);
    check("linear_multiclass", Algorithm::LinearLearner);
    check("linear_regressor", Algorithm::LinearLearner);
    check("pca", Algorithm::Pca);
    check("fm_binary", Algorithm::FactorizationMachines);
    check("fm_regressor", Algorithm::FactorizationMachines);
}

#[test]
fn topics_of_lda_are_read() {
    let answers = answers();
    let mixtures = score("lda", Algorithm::Lda, &answers["counts"]);
    assert_eq!(mixtures.len(), 6);
    for mixture in mixtures.chunks_exact(2) {
        assert!((mixture.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{mixture:?}");
    }
    // Four times the second word: the topic that has more of it.
    let topics = numbers(&answers["lda_topics"]);
    let likelier = usize::from(topics[5] > topics[1]);
    assert!(mixtures[2 + likelier] > 0.99, "{mixtures:?}");
}

/// Every cut and every flipped byte of every fixture is refused or loads; nothing panics.
#[test]
fn damaged_files_are_refused_or_load() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let path = scratch.path().join("model_algo-1");
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a file");
        Artifact::open(scratch.path(), &std::env::temp_dir())
            .and_then(|artifact| artifact.load(&LoadOptions::default()).map(drop))
    };
    for name in ["pca", "lda", "linear_binary", "fm_binary"] {
        let good = fs::read(fixtures().join(name).join("model_algo-1")).expect("a fixture");
        open(&good).expect("whole");
        for length in 0..good.len() {
            assert!(open(&good[..length]).is_err(), "{name} cut at {length}");
        }
        for place in 0..good.len() {
            let mut bytes = good.clone();
            bytes[place] ^= 0xA5;
            drop(open(&bytes));
        }
    }
}
