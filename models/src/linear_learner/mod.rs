//! Linear learner: binary and multi-class classifiers and regressors, one weight a feature (and class), in raw units.
//!
//! A score is `w·x + b`, summed in double precision in eight lanes (feature index modulo 8) that are added in one fixed
//! order; what is absent from a sparse row is 0. So the bits depend neither on the batch nor on how the row is held.
//!
//! | predictor | `score` | `predicted_label` |
//! |---|---|---|
//! | binary, logistic | probability of class 1 | 1 when the score is above `threshold` (default 0.5) |
//! | binary, hinge | the margin itself | 1 when the score is above `threshold` (default 0) |
//! | multi-class | softmax, one value a class | the class of the greatest margin; of equal ones, the first |
//! | regressor | the value | none |

mod kind;

use dmatrix::{DMatrix, Predictions, Row};
use safetensors::Dtype;

use crate::lanes::{dot, dot_sparse};
use crate::manifest::{Algorithm, Manifest};
use crate::rows::{begin, check_sparse_values, check_values};
use crate::tensors::{self, Tensors, refuse};
use crate::{Input, LoadError, Model, PredictError, Signature};

use kind::Kind;

/// Weights in memory.
#[derive(Debug)]
pub struct LinearLearner {
    signature: Signature,
    kind: Kind,
    /// outputs × columns, row-major.
    weight: Vec<f32>,
    /// One an output.
    bias: Vec<f32>,
    columns: usize,
}

impl LinearLearner {
    /// A model of `weight` (one row of features an output, row-major) and `bias` (one an output), in raw feature units.
    /// The manifest says what it predicts.
    ///
    /// # Errors
    /// When the numbers are not finite, not whole rows, or not what the manifest describes.
    pub fn new(manifest: &Manifest, weight: Vec<f32>, bias: Vec<f32>) -> Result<Self, LoadError> {
        Self::checked("weight", manifest, weight, bias)
    }

    /// Reads `model.safetensors`: `weight` [1 or classes, features] and `bias` [1 or classes] of f32.
    ///
    /// # Errors
    /// When the file is damaged, or is not what the manifest describes.
    pub fn from_safetensors(file: &str, bytes: &[u8], manifest: &Manifest) -> Result<Self, LoadError> {
        let tensors = Tensors::read(file, bytes, &["weight", "bias"])?;
        let ([outputs, _], weight) = tensors.single::<2>("weight")?;
        let ([biases], bias) = tensors.single::<1>("bias")?;
        if biases != outputs {
            let reason = format!("tensor bias: expected shape [{outputs}] as weight says, found [{biases}]");
            return Err(refuse(file, reason));
        }
        Self::checked(file, manifest, weight, bias)
    }

    /// The weights: one row of features an output, row-major, in raw feature units.
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// One bias an output.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// The members of its artifact beside the manifest.
    pub fn to_members(&self) -> Vec<(String, Vec<u8>)> {
        let outputs = self.bias.len();
        let tensors = [
            ("bias", Dtype::F32, vec![outputs], tensors::single_bytes(&self.bias)),
            ("weight", Dtype::F32, vec![outputs, self.columns], tensors::single_bytes(&self.weight)),
        ];
        vec![(tensors::FILE_NAME.to_owned(), tensors::write(&tensors))]
    }

    fn checked(file: &str, manifest: &Manifest, weight: Vec<f32>, bias: Vec<f32>) -> Result<Self, LoadError> {
        let outputs = bias.len();
        if outputs == 0 || weight.is_empty() || !weight.len().is_multiple_of(outputs) {
            let found = weight.len();
            return Err(refuse(
                file,
                format!("expected whole rows of weights for {outputs} biases, found {found} values"),
            ));
        }
        tensors::check_finite(file, "weight", &weight)?;
        tensors::check_finite(file, "bias", &bias)?;
        let columns = weight.len() / outputs;
        manifest.check_width(columns)?;
        let kind = Kind::of(manifest, outputs)?;
        let signature = Signature::of_rows(Algorithm::LinearLearner, manifest, columns, kind.fields());
        Ok(Self { signature, kind, weight, bias, columns })
    }

    /// The margins of one row, one an output.
    fn margins(&self, row: Row<'_>, margins: &mut [f64]) {
        let outputs = self.weight.chunks_exact(self.columns).zip(&self.bias);
        for (margin, (weight, bias)) in margins.iter_mut().zip(outputs) {
            let product = match row {
                Row::Dense(values) => dot(values, weight),
                Row::Sparse { indices, values } => dot_sparse(indices, values, weight),
            };
            *margin = product + f64::from(*bias);
        }
    }

    fn score(&self, rows: &DMatrix, predictions: &mut Predictions) -> Result<(), PredictError> {
        let mut margins = vec![0.0; self.bias.len()];
        for index in 0..rows.rows() {
            let row = rows.row(index);
            match row {
                Row::Dense(values) => check_values(index, values)?,
                Row::Sparse { indices, values } => check_sparse_values(index, indices, values)?,
            }
            self.margins(row, &mut margins);
            if !self.kind.answer(index, &mut margins, predictions.fields_mut()) {
                return Err(PredictError::Overflow { row: index + 1 });
            }
        }
        Ok(())
    }
}

impl Model for LinearLearner {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, input: Input<'_>, predictions: &mut Predictions) -> Result<(), PredictError> {
        let rows = begin(input, &self.signature, predictions)?;
        self.score(rows, predictions)
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.weight.as_slice()) + size_of_val(self.bias.as_slice())
    }
}

#[cfg(test)]
mod tests;
