//! XGBoost artifacts: every file XGBoost has written is recognised by its bytes, under any name; manifests and boosters
//! agree or are refused; several files vote.

use std::fs;
use std::path::{Path, PathBuf};

use dmatrix::{DMatrix, IndexBase, Missing, NarrowRows, Predictions};
use models::{Algorithm, Artifact, Input, LoadError, LoadOptions, Manifest, Model, archive};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/xgboost").join(name)
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Writes a member of the artifact.
    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.0.path().join("model")).expect("a directory");
        fs::write(self.0.path().join("model").join(name), bytes).expect("a file");
    }

    fn load_with(&self, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        Artifact::open(&self.0.path().join("model"), &self.0.path().join("scratch"))?.load(options)
    }

    fn load(&self) -> Result<Box<dyn Model>, LoadError> {
        self.load_with(&LoadOptions::default())
    }
}

fn feature_names() -> Vec<u8> {
    fs::read(golden("3.2.0/feature_names/model.ubj")).expect("a golden model")
}

fn score(model: &dyn Model, rows: &DMatrix) -> Vec<f32> {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(rows), &mut predictions).expect("predictions");
    predictions.fields()[0].values.clone()
}

#[test]
fn every_golden_file_is_recognised_by_its_bytes() {
    let place = Place::new();
    let mut count = 0;
    for version in
        fs::read_dir(golden("")).expect("the versions").map(|entry| entry.expect("an entry").path())
    {
        let case = version.join("binary_logistic");
        for file in fs::read_dir(&case).into_iter().flatten().map(|entry| entry.expect("an entry").path()) {
            if file.ends_with("case.json") {
                continue;
            }
            let artifact = Artifact::open(&file, &place.0.path().join("scratch"));
            let artifact = artifact.unwrap_or_else(|error| panic!("{file:?}: {error}"));
            assert_eq!(artifact.manifest(), &Manifest::new(Algorithm::Xgboost), "{file:?}");
            let model = artifact.load(&LoadOptions::default());
            let model = model.unwrap_or_else(|error| panic!("{file:?}: {error}"));
            let scores = score(&*model, &artifact.warm_up_rows(model.signature()));
            assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{file:?}: {scores:?}");
            count += 1;
        }
    }
    assert!(count >= 30, "all versions and formats, not {count} files");
}

#[test]
fn without_a_manifest_the_rows_are_sagemakers() {
    let place = Place::new();
    place.write("xgboost-model", &feature_names());
    let model = place.load().expect("a model");
    let rows = &model.signature().rows;
    assert_eq!(
        (rows.columns, rows.missing, rows.narrow_rows),
        (Some(6), Missing::Allowed, NarrowRows::FillMissing)
    );
    assert_eq!(rows.libsvm_index_base, IndexBase::Zero);
    assert_eq!(model.signature().feature_names[..2], ["age", "length_of_stay"]);
    let options = LoadOptions { xgboost_libsvm_one_based: true, ..LoadOptions::default() };
    let model = place.load_with(&options).expect("a model");
    assert_eq!(model.signature().rows.libsvm_index_base, IndexBase::One);
}

#[test]
fn the_manifest_sets_the_rows() {
    let mut manifest = Manifest::new(Algorithm::Xgboost);
    manifest.feature_dim = Some(6);
    manifest.libsvm_index_base = IndexBase::One;
    manifest.missing = Missing::Sentinel(-1.0);
    manifest.narrow_rows = NarrowRows::Refuse;
    manifest.warm_up = vec![vec![Some(1.0), None, Some(-1.0), Some(0.0), Some(0.0), Some(0.0)]];
    let members = [("xgboost-model".to_owned(), feature_names())];
    let packed = archive::pack(&manifest, &members, Vec::new()).expect("an archive");
    let place = Place::new();
    let path = place.0.path().join("model.tar.gz");
    fs::write(&path, packed).expect("a file");
    let artifact = Artifact::open(&path, &place.0.path().join("scratch")).expect("an artifact");
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    let rows = &model.signature().rows;
    assert_eq!((rows.columns, rows.missing), (Some(6), Missing::Sentinel(-1.0)));
    assert_eq!((rows.libsvm_index_base, rows.narrow_rows), (IndexBase::One, NarrowRows::Refuse));
    let warm_up = artifact.warm_up_rows(model.signature());
    let missing: Vec<_> = warm_up.values().iter().map(|value| value.is_nan()).collect();
    assert_eq!(missing, [false, true, true, false, false, false], "null and the sentinel");
    assert_eq!(score(&*model, &warm_up).len(), 1);
}

#[test]
fn manifests_that_contradict_the_booster_are_refused() {
    for (text, expected) in [
        (
            r#""feature_dim": 7"#,
            "manifest.json: feature_dim: expected 6 features as in the model file, found 7",
        ),
        (
            r#""features": ["age", "b", "c", "d", "e", "f"]"#,
            "manifest.json: features[1]: expected \"length_of_stay\" as xgboost-model says, found \"b\"",
        ),
    ] {
        let place = Place::new();
        place.write("xgboost-model", &feature_names());
        place.write("manifest.json", format!("{{\"algorithm\": \"xgboost\", {text}}}").as_bytes());
        assert_eq!(place.load().expect_err("a refusal").to_string(), expected);
    }
}

#[test]
fn names_that_only_the_manifest_has_are_the_models() {
    let place = Place::new();
    place.write("my.json", &fs::read(golden("3.2.0/squarederror/model.json")).expect("a golden model"));
    let width = place.load().expect("a model").signature().rows.columns.expect("a width");
    let names: Vec<String> = (0..width).map(|index| format!("column {index}")).collect();
    let mut manifest = Manifest::new(Algorithm::Xgboost);
    manifest.features.clone_from(&names);
    place.write("manifest.json", &manifest.to_json());
    assert_eq!(place.load().expect("a model").signature().feature_names, names);
}

#[test]
fn several_files_vote_and_may_be_refused() {
    let place = Place::new();
    let files = ["3.2.0/squarederror/model.ubj", "3.4.1/squarederror/model.json"];
    let bytes = files.map(|file| fs::read(golden(file)).expect("a golden model"));
    let alone = bytes.clone().map(|bytes| {
        let place = Place::new();
        place.write("xgboost-model", &bytes);
        place.load().expect("a model")
    });
    place.write("xgboost-model-0", &bytes[0]);
    place.write("xgboost-model-1", &bytes[1]);
    let together = place.load().expect("an ensemble");
    let columns = together.signature().rows.columns.expect("a width");
    let rows = DMatrix::from_dense((0..columns * 8).map(|value| value as f32 * 0.01).collect(), columns);
    let [first, second] = alone.map(|model| score(&*model, &rows));
    for (mean, (first, second)) in score(&*together, &rows).iter().zip(first.iter().zip(&second)) {
        assert!((mean - (first + second) / 2.0).abs() <= 1e-6 * mean.abs(), "the mean");
    }
    let options = LoadOptions { ensemble_disabled: true, ..LoadOptions::default() };
    place.load_with(&options).expect_err("ensembles are switched off");
}

#[test]
fn a_damaged_model_is_refused_with_its_file_named() {
    let place = Place::new();
    let bytes = feature_names();
    place.write("xgboost-model", &bytes[..bytes.len() / 2]);
    let error = place.load().expect_err("a refusal");
    assert!(matches!(&error, LoadError::Model { file, .. } if file == "xgboost-model"), "{error}");
}
