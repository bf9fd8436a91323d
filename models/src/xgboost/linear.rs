//! gblinear: a bias, the base score, then the features in order; a missing feature adds nothing.

use dmatrix::Row;

use super::booster::Linear;

/// A linear booster.
#[derive(Debug)]
pub(super) struct LinearScorer {
    /// `features × outputs`, feature by feature.
    weights: Vec<f32>,
    biases: Vec<f32>,
}

impl LinearScorer {
    /// # Errors
    /// When there are not `(features + 1) × outputs` weights.
    pub(super) fn new(linear: &Linear, features: usize, outputs: usize) -> Result<Self, String> {
        let expected = features * outputs;
        if linear.weights.len() != expected + outputs {
            let found = linear.weights.len();
            return Err(format!(
                "expected {} weights ({features} features and a bias, {outputs} outputs), found {found}",
                expected + outputs
            ));
        }
        let (weights, biases) = linear.weights.split_at(expected);
        Ok(Self { weights: weights.to_vec(), biases: biases.to_vec() })
    }

    /// Adds the row's score to each margin, which holds the base score. XGBoost adds the bias to the base score first.
    pub(super) fn add(&self, row: Row<'_>, margins: &mut [f32]) {
        let outputs = self.biases.len();
        for (margin, bias) in margins.iter_mut().zip(&self.biases) {
            *margin += bias;
        }
        let mut add = |feature: usize, value: f32| {
            if let Some(weights) = self.weights.get(feature * outputs..(feature + 1) * outputs)
                && !value.is_nan()
            {
                for (margin, weight) in margins.iter_mut().zip(weights) {
                    *margin += value * weight;
                }
            }
        };
        match row {
            Row::Dense(values) => values.iter().enumerate().for_each(|(feature, &value)| add(feature, value)),
            Row::Sparse { indices, values } => {
                indices.iter().zip(values).for_each(|(&feature, &value)| add(feature as usize, value));
            }
        }
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        (self.weights.capacity() + self.biases.capacity()) * size_of::<f32>()
    }
}
