//! Random cut forest (Guha, Mishra, Roy, Schrijvers, ICML 2016): how far a row is from all others.
//!
//! A row's score in a tree is what it would be worth there if it were inserted: the expected height at which a cut would
//! part it from the rest (`compiled`). The score is the mean over the trees, in their order, in double precision; so its bits
//! depend neither on the batch nor on how the row is held. Typical rows score 0.6 to 1, and none more than log2(n + 1)
//! in trees of n rows.
//!
//! | key of the manifest | values | when absent |
//! |---|---|---|
//! | `num_trees` | the number of trees in the model file | the model file's |
//! | `num_samples_per_tree` | a whole number from 1, rows of the largest tree | the model file's |
//! | `seed` | a whole number; shown, never interpreted | none |
//! | `sampling` | `partition` or `independent`; shown, never interpreted | none |

mod compiled;
mod forest;

use dmatrix::{DMatrix, Field, FieldShape, NumberStyle, Predictions, ResponseLayout, Row, Storage};

use crate::manifest::{Algorithm, Manifest};
use crate::rows::{begin, check_values};
use crate::{Input, LoadError, Model, PredictError, Signature, tensors};

use compiled::Compiled;
pub use compiled::{BOX_BYTES_MAX, box_bytes};
pub use forest::{Forest, LEAF};

/// The keys of its manifest.
pub(crate) const DETAILS: &[&str] = &["num_trees", "num_samples_per_tree", "seed", "sampling"];

/// Rows that go through a tree together. Reason: a tree of 256 rows and its boxes stay in the cache for as many.
const BLOCK_ROWS: usize = 64;

/// Trees in memory.
#[derive(Debug)]
pub struct RandomCutForest {
    signature: Signature,
    forest: Compiled,
}

impl RandomCutForest {
    /// A model of `forest`.
    ///
    /// # Errors
    /// When the arrays are not those of trees, or not what the manifest describes.
    pub fn new(manifest: &Manifest, forest: &Forest) -> Result<Self, LoadError> {
        Self::checked("forest", manifest, forest)
    }

    /// Reads `model.safetensors`; [`Forest`] says what it holds.
    ///
    /// # Errors
    /// When the file is damaged, or is not what the manifest describes.
    pub fn from_safetensors(file: &str, bytes: &[u8], manifest: &Manifest) -> Result<Self, LoadError> {
        Self::checked(file, manifest, &Forest::read(file, bytes)?)
    }

    /// The number of trees.
    pub fn trees(&self) -> usize {
        self.forest.trees()
    }

    fn checked(file: &str, manifest: &Manifest, forest: &Forest) -> Result<Self, LoadError> {
        let compiled = Compiled::new(file, forest)?;
        manifest.check_width(forest.columns)?;
        check_details(manifest, forest)?;
        Ok(Self { signature: signature(manifest, forest.columns), forest: compiled })
    }

    fn score(&self, rows: &DMatrix, predictions: &mut Predictions) -> Result<(), PredictError> {
        let columns = self.forest.columns();
        let [field] = predictions.fields_mut() else { unreachable!("the signature has one field") };
        let mut spread = Vec::new();
        for (block, scores) in field.values.chunks_mut(BLOCK_ROWS).enumerate() {
            let (first, count) = (block * BLOCK_ROWS, scores.len());
            let values = match rows.storage() {
                Storage::Dense => &rows.values()[first * columns..(first + count) * columns],
                Storage::Sparse => spread_rows(rows, first, count, &mut spread),
            };
            for (row, values) in values.chunks_exact(columns).enumerate() {
                check_values(first + row, values)?;
            }
            let mut sums = [0.0; BLOCK_ROWS];
            self.forest.add_scores(values, &mut sums[..count]);
            for (score, sum) in scores.iter_mut().zip(sums) {
                *score = (sum / self.forest.trees() as f64) as f32;
            }
        }
        Ok(())
    }
}

impl Model for RandomCutForest {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, input: Input<'_>, predictions: &mut Predictions) -> Result<(), PredictError> {
        let rows = begin(input, &self.signature, predictions)?;
        self.score(rows, predictions)
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.forest.memory_bytes()
    }
}

/// Sparse rows with their zeros; what is absent is 0.
fn spread_rows<'a>(rows: &DMatrix, first: usize, count: usize, spread: &'a mut Vec<f32>) -> &'a [f32] {
    let columns = rows.columns();
    spread.clear();
    spread.resize(count * columns, 0.0);
    for (row, out) in spread.chunks_exact_mut(columns).enumerate() {
        if let Row::Sparse { indices, values } = rows.row(first + row) {
            indices.iter().zip(values).for_each(|(index, value)| out[*index as usize] = *value);
        }
    }
    spread
}

fn check_details(manifest: &Manifest, forest: &Forest) -> Result<(), LoadError> {
    let check = |key: &str, expected: &str, is_so: &dyn Fn(&serde_json::Value) -> bool| match manifest
        .details
        .get(key)
    {
        Some(found) if !is_so(found) => {
            Err(LoadError::Manifest(format!("{key}: expected {expected}, found {found}")))
        }
        _ => Ok(()),
    };
    let trees = forest.trees() as u64;
    check("num_trees", &format!("{trees} as in the model file"), &|found| found.as_u64() == Some(trees))?;
    let rows = u64::from(forest.largest_mass());
    let expected = format!("{rows} as in the model file");
    check("num_samples_per_tree", &expected, &|found| found.as_u64() == Some(rows))?;
    check("seed", "a whole number", &|found| found.as_u64().is_some())?;
    let words = ["partition", "independent"];
    check("sampling", "\"partition\" or \"independent\"", &|found| {
        found.as_str().is_some_and(|found| words.contains(&found))
    })
}

fn signature(manifest: &Manifest, columns: usize) -> Signature {
    Signature {
        layout: ResponseLayout { envelope: "scores", ..ResponseLayout::default() },
        ..Signature::of_rows(
            Algorithm::RandomCutForest,
            manifest,
            columns,
            vec![Field::new("score", FieldShape::Scalar, NumberStyle::Float)],
        )
    }
}

impl Forest {
    /// The members of its artifact beside the manifest.
    pub fn to_members(&self) -> Vec<(String, Vec<u8>)> {
        vec![(tensors::FILE_NAME.to_owned(), self.write())]
    }
}

#[cfg(test)]
mod tests;
