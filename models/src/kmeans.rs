//! K-means: the nearest of k centroids, and how far it is.
//!
//! The squared distance is summed in double precision in eight lanes (feature index modulo 8) that are then added in
//! one fixed order, so the bits do not depend on the batch, nor on whether the row came dense or sparse.

use dmatrix::{DMatrix, Field, FieldShape, NumberStyle, Predictions, Row};
use safetensors::Dtype;

use crate::lanes::squared_distance;
use crate::manifest::{Algorithm, Manifest};
use crate::rows::{Dense, begin, check_values};
use crate::tensors::{self, Tensors, refuse};
use crate::{Input, LoadError, Model, PredictError, Signature};

/// The most centroids. Reason: the answer is an f32, which counts exactly up to here.
const CENTROIDS_MAX: usize = 1 << 24;

/// Centroids in memory.
#[derive(Debug)]
pub struct Kmeans {
    signature: Signature,
    /// k × columns, row-major.
    centroids: Vec<f32>,
    columns: usize,
    /// The training weight of each centroid, or empty; for training that goes on.
    counts: Vec<f64>,
}

impl Kmeans {
    /// A model over `centroids`, row-major, of `columns` features each.
    ///
    /// # Errors
    /// When the centroids are not whole rows of finite numbers, or are not those the manifest describes.
    pub fn new(manifest: &Manifest, centroids: Vec<f32>, columns: usize) -> Result<Self, LoadError> {
        Self::checked("centroids", manifest, centroids, columns)
    }

    /// Reads `model.safetensors`: `centroids`, k × d of f32, and optionally `counts`, k of f64.
    ///
    /// # Errors
    /// When the file is damaged, or is not what the manifest describes.
    pub fn from_safetensors(file: &str, bytes: &[u8], manifest: &Manifest) -> Result<Self, LoadError> {
        let tensors = Tensors::read(file, bytes, &["centroids", "counts"])?;
        let ([k, columns], centroids) = tensors.single::<2>("centroids")?;
        let counts = tensors.doubles("counts", k)?.unwrap_or_default();
        Ok(Self { counts, ..Self::checked(file, manifest, centroids, columns)? })
    }

    /// The members of its artifact beside the manifest. `counts` is the training weight of each centroid, or empty.
    pub fn to_members(&self, counts: &[f64]) -> Vec<(String, Vec<u8>)> {
        let k = self.k();
        let mut members =
            vec![("centroids", Dtype::F32, vec![k, self.columns], tensors::single_bytes(&self.centroids))];
        if counts.len() == k {
            let bytes = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
            members.push(("counts", Dtype::F64, vec![k], bytes));
        }
        vec![(tensors::FILE_NAME.to_owned(), tensors::write(&members))]
    }

    /// The number of centroids.
    pub fn k(&self) -> usize {
        self.centroids.len() / self.columns
    }

    /// The centroids, row-major.
    pub fn centroids(&self) -> &[f32] {
        &self.centroids
    }

    /// The number of features.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// What each centroid stands for, when the artifact says.
    pub fn counts(&self) -> Option<&[f64]> {
        (!self.counts.is_empty()).then_some(&*self.counts)
    }

    fn checked(
        file: &str,
        manifest: &Manifest,
        centroids: Vec<f32>,
        columns: usize,
    ) -> Result<Self, LoadError> {
        if columns == 0 || centroids.is_empty() || !centroids.len().is_multiple_of(columns) {
            let reason =
                format!("expected whole centroids of {columns} features, found {} values", centroids.len());
            return Err(refuse(file, reason));
        }
        tensors::check_finite(file, "centroids", &centroids)?;
        manifest.check_width(columns)?;
        let k = centroids.len() / columns;
        if k > CENTROIDS_MAX {
            return Err(refuse(file, format!("expected at most {CENTROIDS_MAX} centroids, found {k}")));
        }
        if let Some(stated) = manifest.k.filter(|&stated| stated != k) {
            return Err(LoadError::Manifest(format!(
                "k: expected {k} centroids as in the model file, found {stated}"
            )));
        }
        Ok(Self { signature: signature(manifest, columns), centroids, columns, counts: Vec::new() })
    }

    /// The nearest centroid and its distance; of equally near ones, the first.
    fn nearest(&self, row: &[f32]) -> (usize, f64) {
        let mut nearest = (0, f64::INFINITY);
        for (index, centroid) in self.centroids.chunks_exact(self.columns).enumerate() {
            let distance = squared_distance(row, centroid);
            if distance < nearest.1 {
                nearest = (index, distance);
            }
        }
        (nearest.0, nearest.1.sqrt())
    }

    fn score(&self, rows: &DMatrix, predictions: &mut Predictions) -> Result<(), PredictError> {
        let [closest, distances] = predictions.fields_mut() else {
            unreachable!("the signature has two fields")
        };
        let mut dense = Dense::default();
        for index in 0..rows.rows() {
            let row = match rows.row(index) {
                Row::Dense(row) => row,
                Row::Sparse { indices, values } => dense.fill(self.columns, indices, values),
            };
            check_values(index, row)?;
            let (nearest, distance) = self.nearest(row);
            closest.values[index] = nearest as f32;
            distances.values[index] = distance as f32;
            if !distances.values[index].is_finite() {
                return Err(PredictError::Overflow { row: index + 1 });
            }
        }
        Ok(())
    }
}

impl Model for Kmeans {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, input: Input<'_>, predictions: &mut Predictions) -> Result<(), PredictError> {
        let rows = begin(input, &self.signature, predictions)?;
        self.score(rows, predictions)
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.centroids) + size_of_val(&*self.counts)
    }
}

fn signature(manifest: &Manifest, columns: usize) -> Signature {
    Signature::of_rows(
        Algorithm::Kmeans,
        manifest,
        columns,
        vec![
            Field::new("closest_cluster", FieldShape::Scalar, NumberStyle::Float),
            Field::new("distance_to_cluster", FieldShape::Scalar, NumberStyle::Float),
        ],
    )
}
