//! Models that real versions of XGBoost wrote, in every format, against what those versions' own CPU predictors answer:
//! margins to the bit, predictions within 1e-6 of their size. `tests/golden/xgboost/generate.py` writes the corpus.

mod sparse;

use std::fs;
use std::path::{Path, PathBuf};

use dmatrix::{DMatrix, Predictions};
use models::xgboost::booster::Booster;
use models::xgboost::naive::Naive;
use models::xgboost::{XgboostModel, reader};
use models::{Input, LoadOptions, Model};
use serde_json::Value;

/// Predictions may be off by this much of their size.
const TOLERANCE: f32 = 1e-6;

/// What a version of XGBoost answers.
struct Answers {
    margins: Vec<f32>,
    predictions: Vec<f32>,
}

struct Case {
    name: String,
    columns: usize,
    inputs: Vec<f32>,
    all_trees: Answers,
    best_trees: Option<Answers>,
    files: Vec<PathBuf>,
}

fn floats(value: &Value) -> Vec<f32> {
    let bits = value["bits"].as_array().expect("an array of bits");
    bits.iter().map(|bits| f32::from_bits(bits.as_u64().expect("bits") as u32)).collect()
}

fn answers(value: &Value) -> Answers {
    Answers { margins: floats(&value["margins"]), predictions: floats(&value["predictions"]) }
}

fn read_case(folder: &Path) -> Case {
    let text = fs::read_to_string(folder.join("case.json")).expect("a case is a readable file");
    let case: Value = serde_json::from_str(&text).expect("a case is JSON");
    let rows = case["inputs"].as_array().expect("rows");
    let values = rows.iter().flat_map(|row| row.as_array().expect("a row"));
    let inputs = values.map(|bits| bits.as_u64().map_or(f32::NAN, |bits| f32::from_bits(bits as u32)));
    let files = case["files"].as_object().expect("files").keys().map(|name| folder.join(name));
    Case {
        name: folder.display().to_string(),
        columns: case["features"].as_u64().expect("a number of features") as usize,
        inputs: inputs.collect(),
        all_trees: answers(&case),
        best_trees: case["best"].is_object().then(|| answers(&case["best"])),
        files: files.collect(),
    }
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/xgboost");
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).expect("a folder of the corpus");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.retain(|path| path.is_dir());
        paths.sort();
        paths
    };
    folders(&root).iter().flat_map(|version| folders(version)).map(|folder| read_case(&folder)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn is_close(found: f32, expected: f32) -> bool {
    found == expected || (found - expected).abs() <= TOLERANCE * expected.abs()
}

fn check(case: &Case, place: &str, booster: &Booster, expected: &Answers) {
    let files = vec![("xgboost-model".to_owned(), booster.clone())];
    let model = XgboostModel::new(files, XgboostModel::default_rows(), &LoadOptions::default())
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    let dense = DMatrix::from_dense(case.inputs.clone(), case.columns);
    let sparse = sparse::csr(&case.inputs, case.columns);
    for (rows, storage) in [(&dense, "dense"), (&sparse, "sparse")] {
        let margins = model.margins(rows).expect("the rows fit");
        assert_eq!(
            bits(&margins),
            bits(&expected.margins),
            "{place}, {storage}: {margins:?} {:?}",
            expected.margins
        );
        let mut predictions = Predictions::new();
        model.predict(Input::Rows(rows), &mut predictions).expect("the rows fit");
        let found = &predictions.fields()[0].values;
        assert_eq!(found.len(), expected.predictions.len(), "{place}, {storage}");
        for (found, expected) in found.iter().zip(&expected.predictions) {
            assert!(
                is_close(*found, *expected),
                "{place}, {storage}: found {found:?}, expected {expected:?}"
            );
        }
    }
}

/// A model without early stopping, or with the record of it removed, sums every tree.
#[test]
fn every_model_of_every_version_scores_as_that_version_scores_it() {
    let mut files = 0;
    for case in cases() {
        for path in &case.files {
            let place = path.display().to_string();
            let bytes = fs::read(path).expect("a model is a readable file");
            let mut booster = reader::read(&place, &bytes).unwrap_or_else(|error| panic!("{place}: {error}"));
            if let Some(best) = &case.best_trees {
                check(&case, &place, &booster, best);
            }
            booster.attributes.retain(|(name, _)| !name.starts_with("best_"));
            check(&case, &place, &booster, &case.all_trees);
            let naive = Naive::new(&booster);
            let rows = case.inputs.chunks_exact(case.columns);
            let margins: Vec<f32> = rows.flat_map(|row| naive.margins(row)).collect();
            assert_eq!(bits(&margins), bits(&case.all_trees.margins), "{place}: the oracle");
            files += 1;
        }
    }
    assert!(files >= 600, "the corpus has {files} model files");
}

#[test]
fn the_corpus_shows_early_stopping() {
    let cases = cases();
    let stopped: Vec<&Case> = cases.iter().filter(|case| case.best_trees.is_some()).collect();
    assert!(stopped.len() >= 12);
    let differ = |case: &&Case| {
        case.best_trees.as_ref().is_some_and(|best| bits(&best.margins) != bits(&case.all_trees.margins))
    };
    let same: Vec<&str> =
        stopped.iter().filter(|case| !differ(case)).map(|case| case.name.as_str()).collect();
    assert!(same.is_empty(), "no tree beyond the best one: {same:?}");
}
