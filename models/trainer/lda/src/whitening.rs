//! The leading eigenvectors of M2, as many as are above its noise, and the whitening that they are.
//!
//! Where there are few words, M2 is formed: a block of unit vectors. Else a random block is multiplied again and again
//! (subspace iteration, Rayleigh–Ritz in it), each time by one reading of the documents. The noise is read off the other end of
//! the spectrum, so that a part of the block goes there: it is multiplied by M2 − σ, σ the first eigenvalue that is not looked
//! for, and kept orthogonal to the rest.

use estimator::{Job, Rows, TrainError};
use fastrand::Rng;
use nalgebra::{DMatrix, DVector, SymmetricEigen};

use crate::second::Second;
use crate::sweep::Seen;
use crate::table::{OVERSAMPLING, Settings};

/// The most readings. Reason: the directions of topics stand out of the noise by factors, and are there after a few.
const PASSES_MAX: usize = 12;
/// A reading that changes no eigenvalue that is looked for by more than this share of the greatest is the last.
const TOLERANCE: f64 = 1e-4;
/// Nor does it, when it changes the lowest eigenvalue by more than this share of itself.
const NOISE_TOLERANCE: f64 = 0.03;
/// The least share of the greatest eigenvalue that an extra one must have.
const FLOOR: f64 = 1e-3;
/// How far above the most negative eigenvalue's size an extra one must be: M2 has no negative ones but by noise, which is as
/// large on the other side of 0.
const NOISE: f64 = 2.0;

/// Leading eigenvectors and eigenvalues of M2, and M1.
#[derive(Debug)]
pub(crate) struct Whitening {
    /// words × kept, orthonormal columns.
    pub(crate) vectors: DMatrix<f64>,
    /// Descending, all above 0.
    pub(crate) values: DVector<f64>,
    pub(crate) mean: DVector<f64>,
    pub(crate) seen: Seen,
}

impl Whitening {
    /// Finds them.
    ///
    /// # Errors
    /// When the documents do not tell as many topics apart as are asked for, or as [`Second::of`].
    pub(crate) fn of(job: &Job, rows: &mut Rows, settings: &Settings) -> Result<Self, TrainError> {
        let (words, width) = (settings.words, settings.block());
        let is_whole = width == words;
        let mut block =
            if is_whole { DMatrix::identity(words, words) } else { random(words, width, settings.seed) };
        let mut before: Option<(Vec<f64>, f64)> = None;
        for pass in 1.. {
            let Second { mean, product, seen } = Second::of(job, rows, &block, settings.alpha0)?;
            let small = block.tr_mul(&product);
            let (values, small_vectors) = sorted(&SymmetricEigen::new((&small + small.transpose()) * 0.5));
            let (looked_for, lowest) = (&values[..settings.candidates().min(width)], values[width - 1]);
            let is_still = before.as_ref().is_some_and(|(before, lowest_before)| {
                let changes = looked_for.iter().zip(before).map(|(now, then)| (now - then).abs());
                let moved = changes.fold(0.0, f64::max);
                moved < TOLERANCE * values[0].abs()
                    && (lowest - lowest_before).abs() < NOISE_TOLERANCE * lowest.abs()
            });
            if is_whole || pass == PASSES_MAX || is_still {
                let kept = kept(&values, settings)?;
                let vectors = &block * small_vectors.columns(0, kept);
                return Ok(Self { vectors, values: DVector::from_column_slice(&values[..kept]), mean, seen });
            }
            before = Some((looked_for.to_vec(), lowest));
            let mut next = product * &small_vectors;
            let low = (settings.candidates() + OVERSAMPLING) / 2;
            let (vectors, shift) = (&block * &small_vectors, values[settings.candidates()].max(0.0));
            next.columns_mut(width - low, low).zip_apply(&vectors.columns(width - low, low), |image, own| {
                *image -= shift * own;
            });
            block = next.qr().q();
        }
        unreachable!("the last pass returns")
    }

    /// W = U·diag(e^−½): words × kept.
    pub(crate) fn whitening(&self) -> DMatrix<f64> {
        self.scaled(|value| 1.0 / value.sqrt())
    }

    /// U·diag(e^½): words × kept.
    pub(crate) fn unwhitening(&self) -> DMatrix<f64> {
        self.scaled(f64::sqrt)
    }

    fn scaled(&self, factor: impl Fn(f64) -> f64) -> DMatrix<f64> {
        let mut matrix = self.vectors.clone();
        matrix.column_iter_mut().zip(&self.values).for_each(|(mut column, value)| column *= factor(*value));
        matrix
    }
}

/// How many of the descending eigenvalues are whitened: what is asked for, and of the extra ones those above the noise.
fn kept(values: &[f64], settings: &Settings) -> Result<usize, TrainError> {
    let positive = values.iter().filter(|value| **value > 0.0).count();
    if positive < settings.topics {
        return Err(TrainError::client(format!(
            "channel train: expected documents that tell num_topics = {} topics apart, found {positive} directions in which \
             they differ; ask for fewer topics",
            settings.topics
        )));
    }
    let negative = values.last().copied().unwrap_or_default().min(0.0).abs();
    let floor = (FLOOR * values[0]).max(NOISE * negative);
    let above = values.iter().take_while(|value| **value > floor).count();
    Ok(above.min(settings.candidates()).max(settings.topics))
}

/// Eigenvalues, descending, and their vectors.
fn sorted(eigen: &SymmetricEigen<f64, nalgebra::Dyn>) -> (Vec<f64>, DMatrix<f64>) {
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|left, right| eigen.eigenvalues[*right].total_cmp(&eigen.eigenvalues[*left]));
    let values = order.iter().map(|place| eigen.eigenvalues[*place]).collect();
    (values, eigen.eigenvectors.select_columns(&order))
}

/// Orthonormal columns in random directions.
pub(crate) fn random(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut random = Rng::with_seed(seed);
    let mut normal = || {
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * random.f64()).cos()
    };
    DMatrix::from_fn(rows, columns, |_, _| normal()).qr().q()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_directions_are_kept_above_the_noise_only() {
        let given = [("num_topics", "4"), ("feature_dim", "25"), ("mini_batch_size", "10")];
        let settings = Settings::of(&Job::for_tests(&given, &[])).expect("sound");
        let check = |values: &[f64], expected: Result<usize, &str>| match (kept(values, &settings), expected)
        {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{values:?}"),
            (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found}"),
            (found, expected) => panic!("{values:?}: {found:?} is not {expected:?}"),
        };
        check(&[1.0, 0.9, 0.8, 0.7, 0.6, 0.5, -0.1], Ok(5));
        check(&[1.0, 0.9, 0.8, 0.7, 0.1, 0.05, -0.06], Ok(4));
        check(&[1.0, 0.9, 0.8, 0.7, 0.0009, 0.0001], Ok(4));
        check(&[1.0, 0.9, 0.8, 0.0001, 0.00009, -0.001], Ok(4));
        check(&[1.0, 0.9, 0.8, -0.1, -0.2], Err("found 3 directions"));
    }
}
