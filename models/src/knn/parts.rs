//! What a k-NN model is made of, as its file holds it.
//!
//! | tensor | shape | with |
//! |---|---|---|
//! | `labels` | `[n] f32` | all |
//! | `vectors` | `[n, t] f32`, of length 1 for `COSINE` | `faiss.Flat`, `faiss.IVFFlat` |
//! | `ivf.centroids`, `ivf.offsets`, `ivf.ids` | `[nlist, t] f32`, `[nlist + 1] u64`, `[n] u32` | `faiss.IVFFlat`, `faiss.IVFPQ` |
//! | `pq.codebooks`, `pq.codes` | `[m, 256, t/m] f32`, `[n, m] u8` | `faiss.IVFPQ` |
//! | `reduction.signs` | `[d, t] i8` or `[p] i8` | `sign`, `fjlt` |
//! | `reduction.perm` | `[t] u32` | `fjlt` |

use super::query::normalise;
use super::reduction::Reduction;
use super::settings::{IndexKind, Settings};
use crate::LoadError;
use crate::tensors::{check_finite, refuse};

/// Centroids of a sub-vector. Reason: a code is one byte.
pub(super) const CODEWORDS: usize = 256;

/// The vectors, or what stands for them.
#[derive(Debug, Clone)]
pub enum Store {
    /// Themselves, row-major.
    Vectors(Vec<f32>),
    /// Codes of what is left of them beside the centroid of their list.
    Codes {
        /// Sub-vectors of a vector.
        m: usize,
        /// m × 256 centroids of sub-vectors.
        codebooks: Vec<f32>,
        /// n × m.
        codes: Vec<u8>,
    },
}

/// Inverted lists.
#[derive(Debug, Clone)]
pub struct Lists {
    /// One a list, row-major.
    pub centroids: Vec<f32>,
    /// Where each list begins in `ids`, and the end.
    pub offsets: Vec<u64>,
    /// The vectors of each list.
    pub ids: Vec<u32>,
}

/// A whole model.
#[derive(Debug, Clone)]
pub struct Parts {
    /// One a vector.
    pub labels: Vec<f32>,
    /// Dimensions of the index.
    pub columns: usize,
    /// The vectors.
    pub store: Store,
    /// The lists, if there are.
    pub lists: Option<Lists>,
    /// The map of rows to vectors, if there is.
    pub reduction: Option<Reduction>,
}

impl Parts {
    /// Makes a vector's length 1, as for `COSINE`; one of length 0 stays.
    pub fn normalise(vector: &mut [f32]) {
        normalise(vector);
    }

    /// Whether the parts fit each other and the settings.
    pub(super) fn check(&self, file: &str, settings: &Settings) -> Result<(), LoadError> {
        let (n, columns) = (self.labels.len(), self.columns);
        if n == 0 || columns == 0 || u32::try_from(n).is_err() {
            return Err(refuse(file, format!("expected from 1 to {} vectors, found {n}", u32::MAX)));
        }
        check_finite(file, "labels", &self.labels)?;
        let expects_lists = settings.kind != IndexKind::Flat;
        if self.lists.is_some() != expects_lists {
            return Err(refuse(file, format!("expected inverted lists: {expects_lists}, found otherwise")));
        }
        match &self.store {
            Store::Vectors(vectors) if settings.kind != IndexKind::IvfPq => {
                check_length(file, "vectors", vectors.len(), n.checked_mul(columns))?;
                check_finite(file, "vectors", vectors)?;
            }
            Store::Codes { m, codebooks, codes } if settings.kind == IndexKind::IvfPq => {
                if *m == 0 || !columns.is_multiple_of(*m) {
                    return Err(refuse(
                        file,
                        format!("pq.codes: expected a divisor of {columns} codes a vector, found {m}"),
                    ));
                }
                check_length(file, "pq.codes", codes.len(), n.checked_mul(*m))?;
                check_length(file, "pq.codebooks", codebooks.len(), columns.checked_mul(CODEWORDS))?;
                check_finite(file, "pq.codebooks", codebooks)?;
            }
            _ => return Err(refuse(file, "expected the tensors of the manifest's index, found another's")),
        }
        self.lists.as_ref().map_or(Ok(()), |lists| self.check_lists(file, lists))?;
        self.reduction.as_ref().map_or(Ok(()), |reduction| self.check_reduction(file, reduction))
    }

    fn check_lists(&self, file: &str, lists: &Lists) -> Result<(), LoadError> {
        let (n, nlist) = (self.labels.len(), lists.offsets.len().saturating_sub(1));
        check_length(file, "ivf.centroids", lists.centroids.len(), nlist.checked_mul(self.columns))?;
        check_finite(file, "ivf.centroids", &lists.centroids)?;
        check_length(file, "ivf.ids", lists.ids.len(), Some(n))?;
        let ascends = lists.offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        if nlist == 0
            || !ascends
            || lists.offsets.first() != Some(&0)
            || lists.offsets.last() != Some(&(n as u64))
        {
            return Err(refuse(file, format!("ivf.offsets: expected ascending places from 0 to {n}")));
        }
        let mut is_listed = vec![false; n];
        for id in &lists.ids {
            match is_listed.get_mut(*id as usize) {
                Some(listed) if !*listed => *listed = true,
                _ => {
                    return Err(refuse(
                        file,
                        format!("ivf.ids: expected each vector below {n} once, found {id}"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_reduction(&self, file: &str, reduction: &Reduction) -> Result<(), LoadError> {
        reduction.check(file)?;
        match reduction.target() <= self.columns {
            true => Ok(()),
            false => Err(refuse(
                file,
                format!(
                    "reduction: expected at most {} dimensions, found {}",
                    self.columns,
                    reduction.target()
                ),
            )),
        }
    }
}

fn check_length(file: &str, name: &str, found: usize, expected: Option<usize>) -> Result<(), LoadError> {
    match expected {
        Some(expected) if expected == found => Ok(()),
        _ => Err(refuse(
            file,
            format!("tensor {name}: expected {} values, found {found}", expected.unwrap_or(usize::MAX)),
        )),
    }
}
