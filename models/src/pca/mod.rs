//! PCA: the projection of a row onto principal components, y = (x − mean)·V.
//!
//! The components are held as rows, and y_j is summed as x·v_j − mean·v_j in double precision in eight lanes (feature index
//! modulo 8) that are added in one fixed order; mean·v_j is a number of the model. So what is absent from a sparse row costs
//! nothing, and the bits depend neither on the batch nor on how the row is held.
//!
//! | key of the manifest | values | when absent |
//! |---|---|---|
//! | `order` | `descending` or `ascending`: of the singular values | as the file has them |
//! | `algorithm_mode` | `regular` or `randomized`; shown, never interpreted | none |
//! | `n` | a whole number from 1, the records trained on; shown, never interpreted | none |

use dmatrix::{DMatrix, Field, FieldShape, NumberStyle, Predictions, ResponseLayout, Row};
use safetensors::Dtype;

use crate::lanes::{dot, dot_sparse};
use crate::manifest::{Algorithm, Manifest};
use crate::rows::{begin, check_sparse_values, check_values};
use crate::tensors::{self, Tensors, refuse};
use crate::{Input, LoadError, Model, PredictError, Signature};

/// The keys of its manifest.
pub(crate) const DETAILS: &[&str] = &["order", "algorithm_mode", "n"];

/// What is learnt, in the order of the answer's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    /// What is taken from every row, one a feature.
    pub mean: Vec<f32>,
    /// One a component.
    pub singular_values: Vec<f32>,
    /// components × features, row-major: one unit vector a component.
    pub vectors: Vec<f32>,
}

/// Components in memory.
#[derive(Debug)]
pub struct Pca {
    signature: Signature,
    components: Components,
    /// mean·v_j.
    offsets: Vec<f64>,
    columns: usize,
}

impl Pca {
    /// A model of these components.
    ///
    /// # Errors
    /// When the numbers are not finite, not as many as they should be, or not what the manifest describes.
    pub fn new(manifest: &Manifest, components: Components) -> Result<Self, LoadError> {
        Self::checked("components", manifest, components)
    }

    /// Reads `model.safetensors`: `mean`, d values, `s`, k values, and `v`, d × k, of f32.
    ///
    /// # Errors
    /// When the file is damaged, or is not what the manifest describes.
    pub fn from_safetensors(file: &str, bytes: &[u8], manifest: &Manifest) -> Result<Self, LoadError> {
        let tensors = Tensors::read(file, bytes, &["mean", "s", "v"])?;
        let ([columns], mean) = tensors.single::<1>("mean")?;
        let ([k], singular_values) = tensors.single::<1>("s")?;
        let (shape, v) = tensors.single::<2>("v")?;
        if shape != [columns, k] {
            let reason =
                format!("tensor v: expected shape [{columns}, {k}] as mean and s say, found {shape:?}");
            return Err(refuse(file, reason));
        }
        let vectors = transposed(&v, columns, k);
        Self::checked(file, manifest, Components { mean, singular_values, vectors })
    }

    /// The members of its artifact beside the manifest.
    pub fn to_members(&self) -> Vec<(String, Vec<u8>)> {
        let Components { mean, singular_values, vectors } = &self.components;
        let (columns, k) = (self.columns, singular_values.len());
        let v = transposed(vectors, k, columns);
        let tensors = [
            ("mean", Dtype::F32, vec![columns], tensors::single_bytes(mean)),
            ("s", Dtype::F32, vec![k], tensors::single_bytes(singular_values)),
            ("v", Dtype::F32, vec![columns, k], tensors::single_bytes(&v)),
        ];
        vec![(tensors::FILE_NAME.to_owned(), tensors::write(&tensors))]
    }

    /// What was learnt.
    pub fn components(&self) -> &Components {
        &self.components
    }

    fn checked(file: &str, manifest: &Manifest, components: Components) -> Result<Self, LoadError> {
        let Components { mean, singular_values, vectors } = &components;
        let (columns, k) = (mean.len(), singular_values.len());
        if columns == 0 || k == 0 || Some(vectors.len()) != columns.checked_mul(k) {
            let found = vectors.len();
            return Err(refuse(
                file,
                format!("expected {k} components of {columns} features, found {found} values"),
            ));
        }
        for (name, values) in [("mean", mean), ("s", singular_values), ("v", vectors)] {
            tensors::check_finite(file, name, values)?;
        }
        if let Some(place) = singular_values.iter().position(|value| *value < 0.0) {
            let found = singular_values[place];
            return Err(refuse(
                file,
                format!("tensor s: expected numbers of at least 0, found {found} at position {place}"),
            ));
        }
        manifest.check_width(columns)?;
        check_details(manifest, singular_values)?;
        let signature = signature(manifest, columns, k);
        let offsets = vectors.chunks_exact(columns).map(|vector| dot(mean, vector)).collect();
        Ok(Self { signature, offsets, columns, components })
    }

    fn score(&self, rows: &DMatrix, predictions: &mut Predictions) -> Result<(), PredictError> {
        let k = self.offsets.len();
        let [field] = predictions.fields_mut() else { unreachable!("the signature has one field") };
        for (index, answer) in field.values.chunks_exact_mut(k).enumerate() {
            let row = rows.row(index);
            match row {
                Row::Dense(values) => check_values(index, values)?,
                Row::Sparse { indices, values } => check_sparse_values(index, indices, values)?,
            }
            let vectors = self.components.vectors.chunks_exact(self.columns);
            for ((value, vector), offset) in answer.iter_mut().zip(vectors).zip(&self.offsets) {
                let product = match row {
                    Row::Dense(values) => dot(values, vector),
                    Row::Sparse { indices, values } => dot_sparse(indices, values, vector),
                };
                *value = (product - offset) as f32;
            }
            if !answer.iter().all(|value| value.is_finite()) {
                return Err(PredictError::Overflow { row: index + 1 });
            }
        }
        Ok(())
    }
}

impl Model for Pca {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, input: Input<'_>, predictions: &mut Predictions) -> Result<(), PredictError> {
        let rows = begin(input, &self.signature, predictions)?;
        self.score(rows, predictions)
    }

    fn memory_bytes(&self) -> usize {
        let Components { mean, singular_values, vectors } = &self.components;
        let singles = [mean, singular_values, vectors].map(|values| size_of_val(values.as_slice()));
        size_of::<Self>() + singles.iter().sum::<usize>() + size_of_val(self.offsets.as_slice())
    }
}

/// `values`, row-major with `columns` columns, with rows and columns swapped.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

fn check_details(manifest: &Manifest, singular_values: &[f32]) -> Result<(), LoadError> {
    let fault = |key: &str, expected: &str| {
        let found = &manifest.details[key];
        LoadError::Manifest(format!("{key}: expected {expected}, found {found}"))
    };
    let text = |key: &str| manifest.details.get(key).map(|value| value.as_str().unwrap_or_default());
    let is_sorted = match text("order") {
        None => true,
        Some("descending") => singular_values.is_sorted_by(|left, right| left >= right),
        Some("ascending") => singular_values.is_sorted(),
        Some(_) => return Err(fault("order", "\"descending\" or \"ascending\"")),
    };
    if !is_sorted {
        return Err(fault("order", "the order of tensor s"));
    }
    if text("algorithm_mode").is_some_and(|mode| !["regular", "randomized"].contains(&mode)) {
        return Err(fault("algorithm_mode", "\"regular\" or \"randomized\""));
    }
    match manifest.details.get("n") {
        Some(records) if records.as_u64().is_none_or(|records| records == 0) => {
            Err(fault("n", "a whole number from 1"))
        }
        _ => Ok(()),
    }
}

fn signature(manifest: &Manifest, columns: usize, k: usize) -> Signature {
    Signature {
        layout: ResponseLayout { envelope: "projections", ..ResponseLayout::default() },
        ..Signature::of_rows(
            Algorithm::Pca,
            manifest,
            columns,
            vec![Field::new("projection", FieldShape::Vector(k), NumberStyle::Float)],
        )
    }
}

#[cfg(test)]
mod tests;
