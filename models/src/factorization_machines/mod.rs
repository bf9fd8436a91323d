//! Factorization machines (Rendle, ICDM 2010): a linear model plus interactions of all pairs of features, each the dot
//! product of the two features' factors.
//!
//! ŷ = w₀ + Σᵢ wᵢxᵢ + ½ Σ_f [(Σᵢ vᵢ_f xᵢ)² − Σᵢ vᵢ_f² xᵢ²], in time proportional to entries × factors: features that are 0 are
//! passed over, in dense rows too. Sums are of doubles, in the order of the features, a block of factors at a time on the
//! stack; so the bits depend neither on the batch nor on how the row is held, and nothing is allocated.
//!
//! | predictor | `score` | `predicted_label` |
//! |---|---|---|
//! | binary | 1 / (1 + e^−ŷ) | 1 when the score is at least 0.5 |
//! | regressor | ŷ | none |
//!
//! The manifest has to say `predictor_type`; its own details are none.

use dmatrix::{DMatrix, Field, FieldShape, NumberStyle, Predictions, Row};
use safetensors::Dtype;

use crate::lanes::{dot, dot_sparse};
use crate::manifest::{Algorithm, Manifest, PredictorType};
use crate::mxnet::{self, Foreign};
use crate::rows::{begin, check_sparse_values, check_values};
use crate::tensors::{self, Tensors, refuse};
use crate::{Input, LoadError, Model, PredictError, Signature};

/// The keys of its manifest.
pub(crate) const DETAILS: &[&str] = &[];

/// What it takes: the formats of SageMaker's own container, which reads neither CSV nor libsvm.
const MEDIA_TYPES: &str = "application/json, application/jsonlines, application/x-recordio-protobuf";

/// Factors that are summed at once. Reason: two sums each fill the vector registers of AVX-512, and a cache line of f32 is one
/// block.
const BLOCK: usize = 16;

/// A score of at least this is class 1.
const THRESHOLD: f32 = 0.5;

/// Weights in memory.
#[derive(Debug)]
pub struct FactorizationMachines {
    signature: Signature,
    is_classifier: bool,
    /// w₀.
    bias: f32,
    /// One a feature.
    linear: Vec<f32>,
    /// features × factors, row-major.
    factors: Vec<f32>,
    num_factors: usize,
}

impl FactorizationMachines {
    /// A model of a bias, a weight a feature, and a row of factors a feature (row-major). The manifest says what it predicts.
    ///
    /// # Errors
    /// When the numbers are not finite, not as many as they should be, or not what the manifest describes.
    pub fn new(
        manifest: &Manifest,
        bias: f32,
        linear: Vec<f32>,
        factors: Vec<f32>,
    ) -> Result<Self, LoadError> {
        Self::checked("factors", manifest, bias, linear, factors)
    }

    /// Reads `model.safetensors`: `w0_weight` [1, 1], `w1_weight` [features, 1] and `v` [features, factors] of f32.
    ///
    /// # Errors
    /// When the file is damaged, or is not what the manifest describes.
    pub fn from_safetensors(file: &str, bytes: &[u8], manifest: &Manifest) -> Result<Self, LoadError> {
        let tensors = Tensors::read(file, bytes, &["w0_weight", "w1_weight", "v"])?;
        let (shape, bias) = tensors.single::<2>("w0_weight")?;
        if shape != [1, 1] {
            return Err(refuse(file, format!("tensor w0_weight: expected shape [1, 1], found {shape:?}")));
        }
        let ([columns, _], factors) = tensors.single::<2>("v")?;
        let (shape, linear) = tensors.single::<2>("w1_weight")?;
        if shape != [columns, 1] {
            let reason =
                format!("tensor w1_weight: expected shape [{columns}, 1] as v says, found {shape:?}");
            return Err(refuse(file, reason));
        }
        Self::checked(file, manifest, bias[0], linear, factors)
    }

    /// Reads the model file of an artifact, ours or of SageMaker's own container; to train on from it.
    ///
    /// # Errors
    /// As [`from_safetensors`](Self::from_safetensors).
    pub fn from_member(file: &str, bytes: &[u8], manifest: &Manifest) -> Result<Self, LoadError> {
        if file != mxnet::FILE_NAME {
            return Self::from_safetensors(file, bytes, manifest);
        }
        let foreign = Foreign::read(file, bytes)?;
        Self::from_safetensors(file, &foreign.to_safetensors(), &foreign.complete(file, manifest)?)
    }

    /// The members of its artifact beside the manifest.
    pub fn to_members(&self) -> Vec<(String, Vec<u8>)> {
        let columns = self.linear.len();
        let tensors = [
            ("v", Dtype::F32, vec![columns, self.num_factors], tensors::single_bytes(&self.factors)),
            ("w0_weight", Dtype::F32, vec![1, 1], tensors::single_bytes(&[self.bias])),
            ("w1_weight", Dtype::F32, vec![columns, 1], tensors::single_bytes(&self.linear)),
        ];
        vec![(tensors::FILE_NAME.to_owned(), tensors::write(&tensors))]
    }

    /// The number of features.
    pub fn columns(&self) -> usize {
        self.linear.len()
    }

    /// The number of factors of a feature.
    pub fn num_factors(&self) -> usize {
        self.num_factors
    }

    /// What it predicts.
    pub fn predictor_type(&self) -> PredictorType {
        if self.is_classifier { PredictorType::BinaryClassifier } else { PredictorType::Regressor }
    }

    /// Bias, weights of the features, factors of the features; to train on from here.
    pub fn into_parts(self) -> (f32, Vec<f32>, Vec<f32>) {
        (self.bias, self.linear, self.factors)
    }

    fn checked(
        file: &str,
        manifest: &Manifest,
        bias: f32,
        linear: Vec<f32>,
        factors: Vec<f32>,
    ) -> Result<Self, LoadError> {
        let columns = linear.len();
        if columns == 0 || factors.is_empty() || !factors.len().is_multiple_of(columns) {
            let found = factors.len();
            return Err(refuse(
                file,
                format!("expected whole rows of factors for {columns} features, found {found} values"),
            ));
        }
        tensors::check_finite(file, "w0_weight", &[bias])?;
        tensors::check_finite(file, "w1_weight", &linear)?;
        tensors::check_finite(file, "v", &factors)?;
        manifest.check_width(columns)?;
        let is_classifier = is_classifier(manifest)?;
        let num_factors = factors.len() / columns;
        let signature = signature(manifest, columns, is_classifier);
        Ok(Self { signature, is_classifier, bias, linear, factors, num_factors })
    }

    /// ŷ of one row.
    fn margin(&self, row: Row<'_>) -> f64 {
        let linear = match row {
            Row::Dense(values) => dot(values, &self.linear),
            Row::Sparse { indices, values } => dot_sparse(indices, values, &self.linear),
        };
        let mut pairs = 0.0;
        for first in (0..self.num_factors).step_by(BLOCK) {
            pairs += self.pairs_of_block(row, first);
        }
        f64::from(self.bias) + linear + 0.5 * pairs
    }

    /// Σ_f [(Σᵢ vᵢ_f xᵢ)² − Σᵢ vᵢ_f² xᵢ²] over the block of factors that begins at `first`.
    fn pairs_of_block(&self, row: Row<'_>, first: usize) -> f64 {
        let count = BLOCK.min(self.num_factors - first);
        let (mut sums, mut squares) = ([0.0; BLOCK], [0.0; BLOCK]);
        let mut add = |feature: usize, value: f32| {
            let start = feature * self.num_factors + first;
            let factors = &self.factors[start..start + count];
            for ((sum, square), factor) in sums.iter_mut().zip(&mut squares).zip(factors) {
                let product = f64::from(*factor) * f64::from(value);
                *sum += product;
                *square += product * product;
            }
        };
        match row {
            Row::Dense(values) => {
                values.iter().enumerate().filter(|(_, value)| **value != 0.0).for_each(|(i, v)| add(i, *v));
            }
            Row::Sparse { indices, values } => {
                let entries = indices.iter().zip(values).filter(|(_, value)| **value != 0.0);
                entries.for_each(|(index, value)| add(*index as usize, *value));
            }
        }
        sums.iter().zip(&squares).map(|(sum, square)| sum * sum - square).sum()
    }

    fn score(&self, rows: &DMatrix, predictions: &mut Predictions) -> Result<(), PredictError> {
        for index in 0..rows.rows() {
            let row = rows.row(index);
            match row {
                Row::Dense(values) => check_values(index, values)?,
                Row::Sparse { indices, values } => check_sparse_values(index, indices, values)?,
            }
            let margin = self.margin(row);
            let score = if self.is_classifier { 1.0 / (1.0 + (-margin).exp()) } else { margin } as f32;
            if !(margin.is_finite() && score.is_finite()) {
                return Err(PredictError::Overflow { row: index + 1 });
            }
            let fields = predictions.fields_mut();
            fields[0].values[index] = score;
            if self.is_classifier {
                fields[1].values[index] = f32::from(u8::from(score >= THRESHOLD));
            }
        }
        Ok(())
    }
}

impl Model for FactorizationMachines {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, input: Input<'_>, predictions: &mut Predictions) -> Result<(), PredictError> {
        let rows = begin(input, &self.signature, predictions)?;
        self.score(rows, predictions)
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.linear.as_slice()) + size_of_val(self.factors.as_slice())
    }
}

fn is_classifier(manifest: &Manifest) -> Result<bool, LoadError> {
    match manifest.predictor_type {
        Some(PredictorType::BinaryClassifier) => Ok(true),
        Some(PredictorType::Regressor) => Ok(false),
        other => Err(LoadError::Manifest(format!(
            "predictor_type: expected \"binary_classifier\" or \"regressor\", found {}",
            other.map_or("no such key", PredictorType::name)
        ))),
    }
}

fn signature(manifest: &Manifest, columns: usize, is_classifier: bool) -> Signature {
    let mut fields = vec![Field::new("score", FieldShape::Scalar, NumberStyle::Float)];
    if is_classifier {
        fields.push(Field::new("predicted_label", FieldShape::Scalar, NumberStyle::Integer));
    }
    Signature {
        media_types: Some(MEDIA_TYPES),
        ..Signature::of_rows(Algorithm::FactorizationMachines, manifest, columns, fields)
    }
}

#[cfg(test)]
mod tests;
