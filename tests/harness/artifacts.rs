//! Makers of small artifacts.

use std::path::Path;

use models::kmeans::Kmeans;
use models::linear_learner::LinearLearner;
use models::manifest::PredictorType;
use models::{Algorithm, Manifest, archive};

use crate::forest::Forest;

/// `model.tar.gz` of `members` and their manifest.
pub fn pack(manifest: &Manifest, members: &[(String, Vec<u8>)]) -> Vec<u8> {
    archive::pack(manifest, members, Vec::new()).unwrap()
}

/// `model.tar.gz` of an ensemble, with a manifest.
pub fn xgboost(forest: Forest) -> Vec<u8> {
    let mut manifest = Manifest::new(Algorithm::Xgboost);
    manifest.feature_dim = Some(forest.features);
    pack(&manifest, &[("xgboost-model".to_owned(), forest.to_json())])
}

/// `model.tar.gz` of an ensemble without a manifest, as SageMaker's own container writes it.
pub fn bare_xgboost(forest: Forest) -> Vec<u8> {
    crate::hostile::tar_gz(&[crate::hostile::Entry::file("xgboost-model", &forest.to_json())])
}

/// `model.tar.gz` of a k-means of `centroids`, row-major.
pub fn kmeans(centroids: &[f32], columns: usize) -> Vec<u8> {
    let manifest = Manifest::new(Algorithm::Kmeans);
    let model = Kmeans::new(&manifest, centroids.to_vec(), columns).unwrap();
    pack(&manifest, &model.to_members(&[]))
}

/// `model.tar.gz` of a linear regressor.
pub fn regressor(weight: &[f32], bias: f32) -> Vec<u8> {
    let mut manifest = Manifest::new(Algorithm::LinearLearner);
    manifest.predictor_type = Some(PredictorType::Regressor);
    let model = LinearLearner::new(&manifest, weight.to_vec(), vec![bias]).unwrap();
    pack(&manifest, &model.to_members())
}

/// Puts `bytes` at `path` as deployment tools do: written beside it, then renamed over it.
pub fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, bytes).unwrap();
    std::fs::rename(&beside, path).unwrap();
}
