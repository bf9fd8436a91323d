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
        Self::of_list(file, &arrays::read(file, bytes)?)
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

    fn of_list(file: &str, arrays: &[Array]) -> Result<Self, LoadError> {
        let is_list = arrays.iter().all(|array| array.name.is_empty());
        let (algorithm, tensors) = match arrays {
            [centroids] if is_list => (Algorithm::Kmeans, vec![centroids.matrix(file, "centroids")?]),
            [alpha, beta] if is_list => {
                (Algorithm::Lda, vec![alpha.vector(file, "alpha")?, beta.matrix(file, "beta")?])
            }
            _ => {
                let [mean, s, v] = find(arrays, ["mean", "s", "v"]).ok_or_else(|| unknown(file, arrays))?;
                let tensors = vec![mean.vector(file, "mean")?, s.vector(file, "s")?, v.matrix(file, "v")?];
                (Algorithm::Pca, tensors)
            }
        };
        Ok(Self { algorithm, tensors, predictor: None })
    }

    fn of_module(file: &str, arrays: &[Array], predictor: Option<PredictorType>) -> Result<Self, LoadError> {
        let (algorithm, tensors) = if let Some([weight, bias]) = find(arrays, ["fc0_weight", "fc0_bias"]) {
            (Algorithm::LinearLearner, vec![weight.matrix(file, "weight")?, bias.vector(file, "bias")?])
        } else {
            let names = ["w0_weight", "w1_weight", "v"];
            let found = find(arrays, names).ok_or_else(|| unknown(file, arrays))?;
            let tensors = found.iter().zip(names).map(|(array, name)| array.matrix(file, name));
            (Algorithm::FactorizationMachines, tensors.collect::<Result<_, _>>()?)
        };
        Ok(Self { algorithm, tensors, predictor })
    }
}

/// The arrays of these names, if all are there.
fn find<'a, const N: usize>(arrays: &'a [Array], names: [&str; N]) -> Option<[&'a Array; N]> {
    let found: Option<Vec<&Array>> =
        names.iter().map(|name| arrays.iter().find(|array| array.name == *name)).collect();
    found?.try_into().ok()
}

/// A file of other arrays.
fn unknown(file: &str, arrays: &[Array]) -> LoadError {
    let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
    refuse(file, format!("expected known arrays, found {} ({}); {SUPPORTED}", names.len(), names.join(", ")))
}
