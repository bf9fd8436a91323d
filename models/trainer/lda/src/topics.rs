//! Topics out of rank-one parts: α_r = 4α0(α0+1)/((α0+2)²λ_r²), β_r ∝ max(0, (α0+2)/2 · λ_r · U diag(e^½) v_r), where
//! λ_r = T(v_r, v_r, v_r) is made positive by the sign of v_r.

use estimator::TrainError;
use nalgebra::DMatrix;

use crate::decomposition::{Decomposition, at};
use crate::table::Settings;
use crate::whitening::Whitening;

/// The least share of the greatest λ that a part's has to be. Reason: α grows with its inverse square, so that a part which is
/// not there would be the greatest topic.
const STRENGTH_MIN: f64 = 1e-6;

/// Topics in descending order of α.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Topics {
    /// One a topic; they sum to α0.
    pub(crate) alpha: Vec<f32>,
    /// topics × words, row-major; each row sums to 1.
    pub(crate) beta: Vec<f32>,
}

impl Topics {
    /// Those of `num_topics` parts with the greatest α.
    ///
    /// # Errors
    /// When fewer parts are topics: the others have no weight, or no word of positive probability.
    pub(crate) fn of(
        tensor: &DMatrix<f64>,
        found: &Decomposition,
        whitening: &Whitening,
        settings: &Settings,
    ) -> Result<Self, TrainError> {
        let size = tensor.ncols();
        let alpha0 = settings.alpha0;
        let vectors = found
            .vectors
            .column_iter()
            .map(|vector| DMatrix::from_column_slice(size, 1, vector.clone_owned().as_slice()));
        let parts: Vec<(f64, DMatrix<f64>)> = vectors.map(|vector| (at(tensor, &vector), vector)).collect();
        let strongest = parts.iter().map(|(strength, _)| strength.abs()).fold(0.0, f64::max);
        let unwhitening = whitening.unwhitening();
        let topic = |(strength, vector): &(f64, DMatrix<f64>)| {
            if strength.is_nan() || strength.abs() <= STRENGTH_MIN * strongest {
                return None;
            }
            let alpha = 4.0 * alpha0 * (alpha0 + 1.0) / ((alpha0 + 2.0) * strength).powi(2);
            let words = &unwhitening * vector * strength.signum();
            let total: f64 = words.iter().map(|value| value.max(0.0)).sum();
            (total > 0.0).then(|| (alpha, words.iter().map(|value| value.max(0.0) / total).collect()))
        };
        let mut topics: Vec<(f64, Vec<f64>)> = parts.iter().filter_map(topic).collect();
        if topics.len() < settings.topics {
            return Err(TrainError::Algorithm(format!(
                "expected num_topics = {} topics, found {} in the documents' moments; ask for fewer topics",
                settings.topics,
                topics.len()
            )));
        }
        topics.sort_by(|left, right| right.0.total_cmp(&left.0));
        topics.truncate(settings.topics);
        let total: f64 = topics.iter().map(|(alpha, _)| alpha).sum();
        Ok(Self {
            alpha: topics.iter().map(|(alpha, _)| (alpha / total * alpha0) as f32).collect(),
            beta: topics.iter().flat_map(|(_, words)| words.iter().map(|value| *value as f32)).collect(),
        })
    }
}
