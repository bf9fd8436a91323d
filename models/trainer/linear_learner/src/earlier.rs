//! An earlier artifact to go on from: weights in raw units, checked against what the job is about.

use std::path::{Path, PathBuf};

use estimator::TrainError;
use models::linear_learner::LinearLearner;
use models::manifest::{Algorithm, PredictorType};
use models::{Artifact, LoadError};

use crate::settings::Settings;
use crate::weights::RawModel;

/// The name of a packed artifact in a channel.
const ARCHIVE: &str = "model.tar.gz";

/// Reads the weights of the artifact at `path`: packed, in a folder, or unpacked in it.
///
/// # Errors
/// When it is no linear learner, or one of other features, outputs or another loss.
pub(crate) fn read(
    path: &Path,
    scratch: &Path,
    settings: &Settings,
    columns: usize,
) -> Result<RawModel, TrainError> {
    let fault = |error: LoadError| TrainError::client(format!("channel model: {error}"));
    let artifact = Artifact::open(&packed(path), scratch).map_err(fault)?;
    let manifest = artifact.manifest();
    let differs = |what: &str, expected: &str, found: &str| {
        Err(TrainError::client(format!("channel model: {what}: expected {expected}, found {found}")))
    };
    if manifest.algorithm != Algorithm::LinearLearner {
        return differs("algorithm", Algorithm::LinearLearner.name(), manifest.algorithm.name());
    }
    if manifest.predictor_type != Some(settings.predictor) {
        let found = manifest.predictor_type.map_or("none", PredictorType::name);
        return differs("predictor_type", settings.predictor.name(), found);
    }
    let loss = manifest.loss.as_deref().unwrap_or("none");
    if loss != settings.loss.name() {
        return differs("loss", settings.loss.name(), loss);
    }
    let (file, bytes) = artifact.read_only_file().map_err(fault)?;
    let model = LinearLearner::from_safetensors(file, &bytes, manifest).map_err(fault)?;
    let (weight, bias) = (model.weight().to_vec(), model.bias().to_vec());
    if bias.len() != settings.outputs {
        return differs("num_classes", &settings.outputs.to_string(), &bias.len().to_string());
    }
    if weight.len() != columns * bias.len() {
        let found = (weight.len() / bias.len()).to_string();
        return differs("feature_dim", &columns.to_string(), &found);
    }
    Ok(RawModel { weight, bias })
}

fn packed(path: &Path) -> PathBuf {
    let inside = path.join(ARCHIVE);
    if inside.is_file() { inside } else { path.to_path_buf() }
}
