//! Models that SageMaker's own containers trained with MXNet: `model_algo-1`, read only.
//!
//! | algorithm | the file is | arrays |
//! |---|---|---|
//! | k-means | a list of one array | centroids `[k, d]` |
//! | PCA | a dictionary | `mean` `[1, d]`, `s` `[k]`, `v` `[d, k]` |
//! | LDA | a list of two arrays | alpha `[k]`, beta `[k, V]` |
//! | linear learner | a zip of a module | `fc0_weight` `[C, d]`, `fc0_bias` `[C]` |
//! | factorization machines | a zip of a module | `w0_weight` `[1, 1]`, `w1_weight` `[d, 1]`, `v` `[d, f]` |
//!
//! A module is `*-symbol.json` and `*-0000.params`; its output layer says what is predicted, unless a `manifest.json` beside
//! the file does. The layouts are those that AWS's examples read with `mx.nd.load` and `mx.mod.Module.load`; the reader is held
//! to files of MXNet 1.9.1. The one idea: what is read becomes the tensors of our own artifacts, so that each family has one
//! reader.

mod arrays;
mod module;
mod zip;

use safetensors::Dtype;

use crate::LoadError;
use crate::manifest::{Algorithm, Manifest, PredictorType};
use crate::tensors::{self, refuse};

use arrays::Array;

/// The member's name.
pub(crate) const FILE_NAME: &str = "model_algo-1";

/// What to do instead, for the reader of an error.
const SUPPORTED: &str = "served of SageMaker's own MXNet models are k-means (one array [k, d]), PCA (mean, s, v), LDA (alpha, \
                         beta), and zips of a module of linear learner (fc0_weight, fc0_bias) or factorization machines \
                         (w0_weight, w1_weight, v)";

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// Whose it is.
    pub(crate) algorithm: Algorithm,
    tensors: Vec<(&'static str, Vec<usize>, Vec<f32>)>,
    /// What a module's output layer says.
    predictor: Option<PredictorType>,
}

impl Foreign {
    /// Reads `model_algo-1`.
    ///
    /// # Errors
    /// When it is none of the layouts above, or is damaged.
    pub(crate) fn read(file: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        if zip::is_zip(bytes) {
            let (arrays, predictor) = module::read(file, bytes)?;
            return Self::of_module(file, &arrays, predictor);
        }
        Self::of_list(file, arrays::read(file, bytes)?)
    }

    /// The file of our own that says the same.
    pub(crate) fn to_safetensors(&self) -> Vec<u8> {
        let tensors: Vec<_> = self
            .tensors
            .iter()
            .map(|(name, shape, values)| (*name, Dtype::F32, shape.clone(), tensors::single_bytes(values)))
            .collect();
        tensors::write(&tensors)
    }

    /// `manifest`, with what only the file knows.
    pub(crate) fn complete(&self, file: &str, manifest: &Manifest) -> Result<Manifest, LoadError> {
        let mut manifest = manifest.clone();
        if matches!(self.algorithm, Algorithm::LinearLearner | Algorithm::FactorizationMachines) {
            manifest.predictor_type = manifest.predictor_type.or(self.predictor);
            if manifest.predictor_type.is_none() {
                return Err(refuse(
                    file,
                    "expected an output layer LogisticRegressionOutput, SoftmaxOutput or LinearRegressionOutput, or \
                     manifest.json with predictor_type beside the file, found neither",
                ));
            }
        }
        Ok(manifest)
    }

    fn of_list(file: &str, arrays: Vec<Array>) -> Result<Self, LoadError> {
        let names: Vec<String> = arrays.iter().map(|array| array.name.clone()).collect();
        let named = |arrays: Vec<Array>, name: &str| arrays.into_iter().find(|array| array.name == name);
        let (algorithm, tensors) = match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [""] => {
                let [centroids] = take(arrays);
                (Algorithm::Kmeans, vec![centroids.matrix(file, "centroids")?])
            }
            ["", ""] => {
                let [alpha, beta] = take(arrays);
                (Algorithm::Lda, vec![alpha.vector(file, "alpha")?, beta.matrix(file, "beta")?])
            }
            _ if ["mean", "s", "v"].iter().all(|name| names.iter().any(|known| known == name)) => {
                let one = |name: &'static str| named(arrays.clone(), name).expect("just found");
                let tensors = vec![
                    one("mean").vector(file, "mean")?,
                    one("s").vector(file, "s")?,
                    one("v").matrix(file, "v")?,
                ];
                (Algorithm::Pca, tensors)
            }
            _ => {
                let found = names.join(", ");
                return Err(refuse(
                    file,
                    format!("expected known arrays, found {} ({found}); {SUPPORTED}", names.len()),
                ));
            }
        };
        Ok(Self { algorithm, tensors, predictor: None })
    }

    fn of_module(file: &str, arrays: &[Array], predictor: Option<PredictorType>) -> Result<Self, LoadError> {
        let find = |name: &str| arrays.iter().find(|array| array.name == name).cloned();
        if let (Some(weight), Some(bias)) = (find("fc0_weight"), find("fc0_bias")) {
            let tensors = vec![weight.matrix(file, "weight")?, bias.vector(file, "bias")?];
            return Ok(Self { algorithm: Algorithm::LinearLearner, tensors, predictor });
        }
        if let (Some(w0), Some(w1), Some(v)) = (find("w0_weight"), find("w1_weight"), find("v")) {
            let tensors =
                vec![w0.matrix(file, "w0_weight")?, w1.matrix(file, "w1_weight")?, v.matrix(file, "v")?];
            return Ok(Self { algorithm: Algorithm::FactorizationMachines, tensors, predictor });
        }
        let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
        Err(refuse(file, format!("expected known arrays, found {}; {SUPPORTED}", names.join(", "))))
    }
}

/// As many arrays as the caller has counted.
fn take<const N: usize>(arrays: Vec<Array>) -> [Array; N] {
    arrays.try_into().expect("the names were counted")
}
