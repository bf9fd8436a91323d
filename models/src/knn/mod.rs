//! k-NN: the most frequent label of the nearest of many vectors, or the mean of their labels.
//!
//! An answer is defined by distances in double precision, the nearer vector first and of equally near ones the first; a
//! scan in single precision only rules out what cannot be among the nearest. So the bits do not depend on the batch.
//!
//! | key of the manifest | values | when absent |
//! |---|---|---|
//! | `k` | a whole number from 1; may be edited after training | needed |
//! | `predictor_type` | `classifier`, `regressor`; may be edited after training | needed |
//! | `index` | `faiss.Flat`, `faiss.IVFFlat`, `faiss.IVFPQ` | `faiss.Flat` |
//! | `metric` | `L2`, `INNER_PRODUCT`, `COSINE` | `L2` |
//! | `nlist`, `pq_m` | the model file's, kept for the reader | the model file's |
//! | `nprobe` | how many inverted lists are visited, from 1; may be edited | an eighth of them |
//! | `dimension_reduction` | `{"type": "sign" or "fjlt", "seed", "target_dim", "input_dim"}` | none |
//! | `normalize` | whether vectors have length 1, as `COSINE` says | as `metric` says |
//! | `version` | kept | none |
//!
//! `distances` are squared Euclidean ones for `L2`, else inner products; they and `labels` are shown where Accept says
//! `verbose=true`. Where there are fewer vectors than k, all of them are neighbours.

mod best;
mod file;
mod index;
mod parts;
mod quantizer;
mod query;
mod reduction;
mod settings;
mod vote;

#[cfg(test)]
mod tests;

use dmatrix::{DMatrix, Field, FieldShape, NumberStyle, Predictions};

use crate::manifest::{Algorithm, Manifest};
use crate::rows::begin;
use crate::{Input, LoadError, Model, PredictError, Signature};

pub use parts::{Lists, Parts, Store};
pub use reduction::Reduction;
pub use settings::{IndexKind, Metric, Predictor, Settings, default_nprobe};

use best::Best;
use index::Index;
use query::Queries;
use vote::Vote;

/// The keys of its manifest.
pub(crate) const DETAILS: &[&str] = &[
    "k",
    "predictor_type",
    "index",
    "metric",
    "nlist",
    "nprobe",
    "pq_m",
    "dimension_reduction",
    "normalize",
    "version",
];

/// Rows that are looked for together. Reason: each block of vectors is then read from memory once for all of them.
const ROWS_TOGETHER: usize = 16;

/// A model in memory.
#[derive(Debug)]
pub struct Knn {
    signature: Signature,
    settings: Settings,
    reduction: Option<Reduction>,
    index: Index,
    labels: Vec<f32>,
}

impl Knn {
    /// A model of these parts; the manifest says what it predicts.
    ///
    /// # Errors
    /// When the parts do not fit each other, or are not what the manifest describes.
    pub fn new(manifest: &Manifest, parts: Parts) -> Result<Self, LoadError> {
        Self::checked("parts", manifest, parts)
    }

    /// Reads `model.safetensors`: see [`Parts`] for the tensors.
    ///
    /// # Errors
    /// When the file is damaged, or is not what the manifest describes.
    pub fn from_safetensors(file: &str, bytes: &[u8], manifest: &Manifest) -> Result<Self, LoadError> {
        let settings = Settings::of(manifest)?;
        Self::checked(file, manifest, file::read(file, bytes, &settings, manifest)?)
    }

    fn checked(file: &str, manifest: &Manifest, parts: Parts) -> Result<Self, LoadError> {
        let settings = Settings::of(manifest)?;
        parts.check(file, &settings)?;
        let columns = parts.reduction.as_ref().map(Reduction::input).or(manifest.feature_dim);
        let columns = columns.unwrap_or(parts.columns);
        manifest.check_width(columns)?;
        if parts.columns < columns && parts.reduction.is_none() {
            return Err(LoadError::Manifest(format!(
                "feature_dim: expected at most {} as in the model file, found {columns}",
                parts.columns
            )));
        }
        let neighbours = settings.k.min(parts.labels.len());
        let signature = signature(manifest, columns, neighbours);
        let labels = parts.labels.iter().map(|label| label + 0.0).collect();
        let reduction = parts.reduction.clone();
        Ok(Self { signature, index: Index::new(parts, &settings), settings, reduction, labels })
    }

    fn score(&self, rows: &DMatrix, predictions: &mut Predictions) -> Result<(), PredictError> {
        let neighbours = self.settings.k.min(self.labels.len());
        let mut queries = Queries::new(self.reduction.as_ref(), self.settings.metric, self.index.columns());
        let mut best: Vec<Best> = Vec::new();
        let mut vote = Vote::default();
        for start in (0..rows.rows()).step_by(ROWS_TOGETHER) {
            let count = ROWS_TOGETHER.min(rows.rows() - start);
            queries.fill(rows, start, count)?;
            best.iter_mut().for_each(Best::clear);
            best.resize_with(count, || Best::new(neighbours));
            self.index.search(queries.values(), &mut best);
            for (row, best) in best.iter_mut().enumerate() {
                self.answer(start + row, best, &mut vote, predictions.fields_mut())?;
            }
        }
        Ok(())
    }

    fn answer(
        &self,
        row: usize,
        best: &mut Best,
        vote: &mut Vote,
        fields: &mut [Field],
    ) -> Result<(), PredictError> {
        let [predicted, distances, labels] = fields else { unreachable!("the signature has three fields") };
        let neighbours = best.sorted();
        let width = neighbours.len();
        let distances = &mut distances.values[row * width..(row + 1) * width];
        let labels = &mut labels.values[row * width..(row + 1) * width];
        for ((neighbour, distance), label) in neighbours.iter().zip(&mut *distances).zip(&mut *labels) {
            *distance = self.settings.metric.shown(neighbour.distance);
            *label = self.labels[neighbour.place as usize];
        }
        predicted.values[row] = match self.settings.predictor {
            Predictor::Classifier => vote.most_frequent(labels),
            Predictor::Regressor => vote::mean(labels),
        };
        match distances.iter().all(|distance| distance.is_finite()) {
            true => Ok(()),
            false => Err(PredictError::Overflow { row: row + 1 }),
        }
    }
}

impl Model for Knn {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, input: Input<'_>, predictions: &mut Predictions) -> Result<(), PredictError> {
        let rows = begin(input, &self.signature, predictions)?;
        self.score(rows, predictions)
    }

    fn memory_bytes(&self) -> usize {
        let reduction = self.reduction.as_ref().map_or(0, Reduction::memory_bytes);
        size_of::<Self>() + self.index.memory_bytes() + size_of_val(&*self.labels) + reduction
    }
}

fn signature(manifest: &Manifest, columns: usize, neighbours: usize) -> Signature {
    let list = |name| Field::new(name, FieldShape::Vector(neighbours), NumberStyle::Float).verbose();
    Signature::of_rows(
        Algorithm::Knn,
        manifest,
        columns,
        vec![
            Field::new("predicted_label", FieldShape::Scalar, NumberStyle::Float),
            list("distances"),
            list("labels"),
        ],
    )
}
