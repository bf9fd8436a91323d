//! Artifacts of every shape: what they are taken for, what is assumed, what is refused, and the digest.

use std::fs;
use std::path::{Path, PathBuf};

use dmatrix::{DMatrix, IndexBase, Predictions};
use models::kmeans::Kmeans;
use models::linear_learner::LinearLearner;
use models::manifest::PredictorType;
use models::{Algorithm, Artifact, Input, LoadError, LoadOptions, Manifest, Model, archive};

/// A scratch folder with room for artifacts beside it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, bytes).expect("a file");
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, path: &Path) -> Result<Artifact, LoadError> {
        Artifact::open(path, &self.path("scratch"))
    }

    /// The error of opening what `path` names, or of loading it.
    fn refusal(&self, path: &str) -> String {
        let opened = self.open(&self.path(path)).and_then(|artifact| artifact.load(&LoadOptions::default()));
        opened.expect_err("a refusal").to_string()
    }
}

fn kmeans() -> (Manifest, Vec<(String, Vec<u8>)>) {
    let mut manifest = Manifest::new(Algorithm::Kmeans);
    manifest.feature_dim = Some(2);
    manifest.k = Some(3);
    let centroids = vec![0.0, 0.0, 10.0, 0.0, 0.0, 10.0];
    let members = Kmeans::new(&manifest, centroids, 2).expect("a model").to_members(&[4.0, 5.0, 6.0]);
    (manifest, members)
}

fn write_directory(
    place: &Place,
    folder: &str,
    manifest: &Manifest,
    members: &[(String, Vec<u8>)],
) -> PathBuf {
    place.write(&format!("{folder}/manifest.json"), &manifest.to_json());
    for (name, bytes) in members {
        place.write(&format!("{folder}/{name}"), bytes);
    }
    place.path(folder)
}

fn score(model: &dyn Model, rows: Vec<f32>, columns: usize) -> Vec<Vec<f32>> {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(&DMatrix::from_dense(rows, columns)), &mut predictions).expect("predictions");
    predictions.fields().iter().map(|field| field.values.clone()).collect()
}

#[test]
fn a_directory_loads_and_scores() {
    let place = Place::new();
    let (manifest, members) = kmeans();
    let artifact = place.open(&write_directory(&place, "model", &manifest, &members)).expect("an artifact");
    assert_eq!(artifact.manifest().algorithm, Algorithm::Kmeans);
    assert_eq!(artifact.assumptions(), [] as [String; 0]);
    let names: Vec<_> = artifact.members().iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["manifest.json", "model.safetensors"]);
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    assert_eq!(score(&*model, vec![1.0, 0.0, 3.0, 10.0], 2), [[0.0, 2.0], [1.0, 3.0]]);
}

#[test]
fn an_archive_is_what_was_packed_and_leaves_nothing() {
    let place = Place::new();
    let (manifest, members) = kmeans();
    let packed = archive::pack(&manifest, &members, Vec::new()).expect("an archive");
    assert_eq!(packed, archive::pack(&manifest, &members, Vec::new()).expect("an archive"), "reproducible");
    let path = place.write("model.tar.gz", &packed);
    let artifact = place.open(&path).expect("an artifact");
    assert_eq!(artifact.manifest().sha256.len(), 1);
    assert_eq!(artifact.digest().len(), 64);
    assert_eq!(fs::read_dir(place.path("scratch")).expect("scratch").count(), 1);
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    assert_eq!(model.signature().fields[0].name, "closest_cluster");
    drop(artifact);
    assert_eq!(fs::read_dir(place.path("scratch")).expect("scratch").count(), 0);
}
