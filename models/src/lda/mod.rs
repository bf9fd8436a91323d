//! Latent Dirichlet allocation: the mixture of topics of a document.
//!
//! A document is the counts c of its words, L of them. Its mixture θ maximises Σ_v c_v log(θᵀβ)_v on the simplex, found by the
//! fixed point of expectation-maximisation, θ_k ← θ_k/L · Σ_v c_v β_kv/(θᵀβ)_v, from equal shares on: a concave function, each
//! step of which climbs. Sums are of doubles in the order of the words, words without a count are passed over, so the bits
//! depend neither on the batch nor on how the row is held. A document without words is `alpha` over its sum.
//!
//! The number of topics is that of the tensors' rows, not of the manifest: an artifact from which topics were taken out serves.
//! Its manifest's own keys, shown and not needed: `alpha0` (what `alpha` summed to), `residual` (what the decomposition left,
//! as a share), `restarts` (how many were tried).

use dmatrix::{DMatrix, Field, FieldShape, NumberStyle, Predictions, Row};
use safetensors::Dtype;

use crate::manifest::{Algorithm, Manifest};
use crate::rows::begin;
use crate::tensors::{self, Tensors, refuse};
use crate::{Input, LoadError, Model, PredictError, Signature};

/// The keys of its manifest.
pub(crate) const DETAILS: &[&str] = &["alpha0", "residual", "restarts"];

/// The most steps of the fixed point. Reason: on short documents it moves less than 10⁻³ after 100.
const ITERATIONS_MAX: usize = 100;
/// A step that moves the mixture by less than this (sum of absolute values) is the last.
const TOLERANCE: f64 = 1e-6;
/// The least probability of a word in a topic, so that every word has some.
const PROBABILITY_MIN: f32 = 1e-10;

/// Topics in memory.
#[derive(Debug)]
pub struct Lda {
    signature: Signature,
    /// One a topic.
    alpha: Vec<f32>,
    /// The probabilities of a word in the topics, word after word: what the fixed point reads together lies together.
    by_word: Vec<f32>,
}

/// The buffers of one document after another.
struct Scratch {
    /// Words that occur, and how often.
    counts: Vec<(usize, f64)>,
    mixture: Vec<f64>,
    next: Vec<f64>,
}

impl Lda {
    /// A model of `alpha` (one a topic) and `beta` (one row of word probabilities a topic, row-major).
    ///
    /// # Errors
    /// When the numbers are not finite and at least 0, not as many as they should be, or not what the manifest describes.
    pub fn new(manifest: &Manifest, alpha: Vec<f32>, beta: &[f32]) -> Result<Self, LoadError> {
        Self::checked("beta", manifest, alpha, beta)
    }

    /// Reads `model.safetensors`: `alpha`, a number a topic, and `beta`, topics × words, of f32.
    ///
    /// # Errors
    /// When the file is damaged, or is not what the manifest describes.
    pub fn from_safetensors(file: &str, bytes: &[u8], manifest: &Manifest) -> Result<Self, LoadError> {
        let tensors = Tensors::read(file, bytes, &["alpha", "beta"])?;
        let ([topics], alpha) = tensors.single::<1>("alpha")?;
        let ([rows, _], beta) = tensors.single::<2>("beta")?;
        if rows != topics {
            let reason = format!("tensor beta: expected {topics} rows as alpha says, found {rows}");
            return Err(refuse(file, reason));
        }
        Self::checked(file, manifest, alpha, &beta)
    }

    /// The members of the artifact of `alpha` and `beta` beside the manifest.
    pub fn to_members(alpha: &[f32], beta: &[f32]) -> Vec<(String, Vec<u8>)> {
        let columns = beta.len() / alpha.len().max(1);
        let tensors = [
            ("alpha", Dtype::F32, vec![alpha.len()], tensors::single_bytes(alpha)),
            ("beta", Dtype::F32, vec![alpha.len(), columns], tensors::single_bytes(beta)),
        ];
        vec![(tensors::FILE_NAME.to_owned(), tensors::write(&tensors))]
    }

    /// The number of topics.
    pub fn topics(&self) -> usize {
        self.alpha.len()
    }

    /// Σ_v c_v log(θᵀβ)_v of a document under a mixture, and L, its words.
    pub fn log_likelihood(&self, row: Row<'_>, mixture: &[f32]) -> (f64, f64) {
        let mixture: Vec<f64> = mixture.iter().map(|share| f64::from(*share)).collect();
        let (mut sum, mut words) = (0.0, 0.0);
        for (word, count) in entries(row).filter(|(_, count)| *count > 0.0) {
            sum += f64::from(count) * dot(&mixture, self.word(word)).ln();
            words += f64::from(count);
        }
        (sum, words)
    }

    fn checked(file: &str, manifest: &Manifest, alpha: Vec<f32>, beta: &[f32]) -> Result<Self, LoadError> {
        let topics = alpha.len();
        if topics == 0 || beta.is_empty() || !beta.len().is_multiple_of(topics) {
            let found = beta.len();
            return Err(refuse(
                file,
                format!("expected whole rows of words for {topics} topics, found {found} values"),
            ));
        }
        for (name, values) in [("alpha", alpha.as_slice()), ("beta", beta)] {
            tensors::check_finite(file, name, values)?;
            if let Some(index) = values.iter().position(|value| *value < 0.0) {
                let found = values[index];
                return Err(refuse(
                    file,
                    format!(
                        "tensor {name}: expected numbers of at least 0, found {found} at position {index}"
                    ),
                ));
            }
        }
        if alpha.iter().all(|value| *value == 0.0) {
            return Err(refuse(file, "tensor alpha: expected a number above 0, found zeros only"));
        }
        let columns = beta.len() / topics;
        manifest.check_width(columns)?;
        check_details(manifest)?;
        let word =
            |word: usize| (0..topics).map(move |topic| beta[topic * columns + word].max(PROBABILITY_MIN));
        let by_word = (0..columns).flat_map(word).collect();
        Ok(Self { signature: signature(manifest, columns, topics), alpha, by_word })
    }

    /// The probabilities of a word in the topics.
    fn word(&self, word: usize) -> &[f32] {
        let topics = self.alpha.len();
        &self.by_word[word * topics..(word + 1) * topics]
    }

    /// Writes the mixture of the document in `scratch.counts` to `scratch.mixture`.
    fn infer(&self, scratch: &mut Scratch) {
        let Scratch { counts, mixture, next } = scratch;
        let words: f64 = counts.iter().map(|(_, count)| count).sum();
        if words == 0.0 {
            let total: f64 = self.alpha.iter().map(|value| f64::from(*value)).sum();
            mixture.iter_mut().zip(&self.alpha).for_each(|(share, value)| *share = f64::from(*value) / total);
            return;
        }
        mixture.fill(1.0 / self.alpha.len() as f64);
        for _ in 0..ITERATIONS_MAX {
            next.fill(0.0);
            for &(word, count) in counts.iter() {
                let probabilities = self.word(word);
                let weight = count / dot(mixture, probabilities);
                for (sum, probability) in next.iter_mut().zip(probabilities) {
                    *sum += weight * f64::from(*probability);
                }
            }
            let mut moved = 0.0;
            for (share, sum) in mixture.iter_mut().zip(next.iter()) {
                let new = *share * sum / words;
                moved += (new - *share).abs();
                *share = new;
            }
            if moved < TOLERANCE {
                break;
            }
        }
    }

    fn score(&self, rows: &DMatrix, predictions: &mut Predictions) -> Result<(), PredictError> {
        let topics = self.alpha.len();
        let mut scratch = Scratch { counts: Vec::new(), mixture: vec![0.0; topics], next: vec![0.0; topics] };
        for index in 0..rows.rows() {
            read_counts(index, rows.row(index), &mut scratch.counts)?;
            self.infer(&mut scratch);
            let answer = &mut predictions.fields_mut()[0].values[index * topics..(index + 1) * topics];
            answer.iter_mut().zip(&scratch.mixture).for_each(|(answer, share)| *answer = *share as f32);
        }
        Ok(())
    }
}

impl Model for Lda {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, input: Input<'_>, predictions: &mut Predictions) -> Result<(), PredictError> {
        let rows = begin(input, &self.signature, predictions)?;
        self.score(rows, predictions)
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.alpha.as_slice()) + size_of_val(self.by_word.as_slice())
    }
}

/// Σ_k θ_k β_k of one word.
fn dot(mixture: &[f64], probabilities: &[f32]) -> f64 {
    mixture.iter().zip(probabilities).map(|(share, probability)| share * f64::from(*probability)).sum()
}

/// The entries of a row: (word, count).
fn entries(row: Row<'_>) -> impl Iterator<Item = (usize, f32)> {
    let (indices, values) = match row {
        Row::Dense(values) => (None, values),
        Row::Sparse { indices, values } => (Some(indices), values),
    };
    let place = move |entry: usize| indices.map_or(entry, |indices| indices[entry] as usize);
    values.iter().enumerate().map(move |(entry, value)| (place(entry), *value))
}

/// The counts of a row (`index` from 0) that are not 0.
fn read_counts(index: usize, row: Row<'_>, counts: &mut Vec<(usize, f64)>) -> Result<(), PredictError> {
    counts.clear();
    for (word, count) in entries(row) {
        if !(count.is_finite() && count >= 0.0) {
            let reason = format!("expected a count of at least 0, found {count}");
            return Err(PredictError::Value { row: index + 1, feature: word + 1, reason });
        }
        if count > 0.0 {
            counts.push((word, f64::from(count)));
        }
    }
    Ok(())
}

/// The manifest's own keys are numbers of at least 0.
fn check_details(manifest: &Manifest) -> Result<(), LoadError> {
    for (key, value) in &manifest.details {
        if !value.as_f64().is_some_and(|number| number >= 0.0) {
            return Err(LoadError::Manifest(format!(
                "{key}: expected a number of at least 0, found {value}"
            )));
        }
    }
    Ok(())
}

fn signature(manifest: &Manifest, columns: usize, topics: usize) -> Signature {
    Signature::of_rows(
        Algorithm::Lda,
        manifest,
        columns,
        vec![Field::new("topic_mixture", FieldShape::Vector(topics), NumberStyle::Float)],
    )
}

#[cfg(test)]
mod tests;
