//! A symmetric tensor as a sum of rank-one tensors, by alternating least squares (Kolda and Bader, SIAM Review 51, 2009).
//!
//! A = T₍₁₎(C⊙B)[(BᵀB)∗(CᵀC)]⁺ and cyclic, columns to length 1; from random orthonormal factors, several times, keeping what
//! leaves least.

use estimator::Stop;
use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::table::Settings;
use crate::whitening::random;

/// The least singular value of a pseudo-inverse.
const SINGULAR_MIN: f64 = 1e-12;

/// Rank-one parts.
#[derive(Debug, Clone)]
pub(crate) struct Decomposition {
    /// size × parts, columns of length 1.
    pub(crate) vectors: DMatrix<f64>,
    /// ‖T − Σ‖ / ‖T‖.
    pub(crate) residual: f64,
    /// How many starts were tried.
    pub(crate) restarts: usize,
}

/// Decomposes a tensor (a + k·b, c) into k parts. A stop leaves out starts that have not begun, but for the first, and steps.
pub(crate) fn decompose(tensor: &DMatrix<f64>, settings: &Settings, stop: &Stop) -> Decomposition {
    let norm = tensor.norm();
    let start = |restart: usize| {
        if restart > 0 && stop.is_asked_for() {
            return None;
        }
        let seed = settings.seed.wrapping_mul(1 << 20).wrapping_add(3 * restart as u64);
        Some(alternate(tensor, norm, seed, settings, stop))
    };
    let found: Vec<Option<(DMatrix<f64>, f64)>> = (0..settings.restarts).into_par_iter().map(start).collect();
    let tried = found.into_iter().flatten().collect::<Vec<_>>();
    let restarts = tried.len();
    // The first of equally good ones; a residual that is not a number is the worst.
    let rank = |residual: f64| if residual.is_nan() { f64::INFINITY } else { residual };
    let best = tried.into_iter().min_by(|left, right| rank(left.1).total_cmp(&rank(right.1)));
    let (vectors, residual) = best.expect("the first start is always tried");
    Decomposition { vectors, residual, restarts }
}

/// One start: the last factor, and the residual.
fn alternate(
    tensor: &DMatrix<f64>,
    norm: f64,
    seed: u64,
    settings: &Settings,
    stop: &Stop,
) -> (DMatrix<f64>, f64) {
    let size = tensor.ncols();
    let mut factors = [0, 1, 2].map(|mode| random(size, size, seed.wrapping_add(mode)));
    let mut residual = f64::INFINITY;
    for _ in 0..settings.iterations_max {
        let mut now = residual;
        for mode in 0..3 {
            let (left, right) = (&factors[(mode + 1) % 3], &factors[(mode + 2) % 3]);
            let image = contract(tensor, left, right);
            let gram = left.tr_mul(left).component_mul(&right.tr_mul(right));
            let mut factor = solve(&image, &gram);
            now = remainder(norm, &image, &gram, &factor);
            factor.column_iter_mut().for_each(|mut column| {
                let length = column.norm();
                if length > 0.0 {
                    column /= length;
                }
            });
            factors[mode] = factor;
        }
        let change = (residual - now).abs();
        residual = now;
        if change < settings.tolerance || stop.is_asked_for() {
            break;
        }
    }
    let [_, _, last] = factors;
    (last, residual)
}

/// T₍ₘ₎(C⊙B): column r is T(·, b_r, c_r); the tensor is symmetric, so that the mode does not matter.
fn contract(tensor: &DMatrix<f64>, left: &DMatrix<f64>, right: &DMatrix<f64>) -> DMatrix<f64> {
    let size = tensor.ncols();
    let slices = tensor * right;
    let mut image = DMatrix::zeros(size, size);
    for (part, mut column) in image.column_iter_mut().enumerate() {
        let slice = slices.column(part);
        for (b, factor) in left.column(part).iter().enumerate() {
            column.axpy(*factor, &slice.rows(b * size, size), 1.0);
        }
    }
    image
}

/// image · gram⁺.
fn solve(image: &DMatrix<f64>, gram: &DMatrix<f64>) -> DMatrix<f64> {
    if let Some(cholesky) = gram.clone().cholesky() {
        return cholesky.solve(&image.transpose()).transpose();
    }
    let inverse = gram.clone().pseudo_inverse(SINGULAR_MIN).expect("the least singular value is positive");
    image * inverse
}

/// ‖T − Σ‖ / ‖T‖, of what is known anyway: ‖T‖² − 2⟨T, Σ⟩ + ‖Σ‖².
fn remainder(norm: f64, image: &DMatrix<f64>, gram: &DMatrix<f64>, factor: &DMatrix<f64>) -> f64 {
    let shared = image.dot(factor);
    let own = gram.dot(&factor.tr_mul(factor));
    (norm * norm - 2.0 * shared + own).max(0.0).sqrt() / norm.max(f64::MIN_POSITIVE)
}

/// T(v, v, v).
pub(crate) fn at(tensor: &DMatrix<f64>, vector: &DMatrix<f64>) -> f64 {
    let size = tensor.ncols();
    let slice = tensor * vector;
    let square = DMatrix::from_column_slice(size, size, slice.as_slice());
    (vector.transpose() * square * vector)[(0, 0)]
}

#[cfg(test)]
mod tests {
    use estimator::Job;

    use super::*;

    #[test]
    fn orthogonal_parts_are_found() {
        let size = 6;
        let vectors = random(size, size, 11);
        let mut tensor = DMatrix::zeros(size * size, size);
        for part in 0..size {
            let vector = vectors.column(part);
            for (b, c) in (0..size * size).map(|place| (place / size, place % size)) {
                for a in 0..size {
                    tensor[(a + size * b, c)] += (part + 1) as f64 * vector[a] * vector[b] * vector[c];
                }
            }
        }
        let given = [("num_topics", "6"), ("feature_dim", "25"), ("mini_batch_size", "10")];
        let settings = Settings::of(&Job::for_tests(&given, &[])).expect("sound");
        let found = decompose(&tensor, &settings, &Stop::never());
        assert!(found.residual < 1e-4, "{}", found.residual);
        assert_eq!(found.restarts, 10);
        let mut strengths: Vec<f64> = found
            .vectors
            .column_iter()
            .map(|vector| {
                at(&tensor, &vector.into_owned().reshape_generic(nalgebra::Dyn(6), nalgebra::Dyn(1))).abs()
            })
            .collect();
        strengths.sort_by(f64::total_cmp);
        for (found, expected) in strengths.iter().zip(1..) {
            assert!((found - f64::from(expected)).abs() < 1e-3, "{strengths:?}");
        }
    }
}
