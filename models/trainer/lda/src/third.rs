//! The whitened third moment M3(W, W, W), streamed: E3 itself is never formed.
//!
//! With y = Wᵀc, E3(W,W,W) is the average of (y⊗y⊗y − Σ_v c_v (w_v⊗w_v⊗y and its permutations) + 2Σ_v c_v w_v⊗w_v⊗w_v) /
//! (L(L−1)(L−2)), where w_v is row v of W: the first sum is taken a document, the others a word, when all documents are read.
//! M3 subtracts α0/(α0+2) of WᵀE2W ⊗ μ and its permutations, μ = WᵀM1, and adds 2α0²/((α0+1)(α0+2)) μ⊗μ⊗μ.
//!
//! All is symmetric, so that sums are kept for indices a ≤ b ≤ c alone, in that order.

use estimator::{Job, Rows, TrainError};
use nalgebra::DMatrix;

use crate::sweep::{Document, PARTS, sweep};
use crate::whitening::Whitening;

/// One part's sums.
struct Sums {
    /// Σ y⊗y⊗y/(…), packed.
    cubes: Vec<f64>,
    /// words × k, row-major: Σ c_v y/(…).
    images: Vec<f64>,
    /// Σ c_v/(…) of every word.
    weights: Vec<f64>,
    image: Vec<f64>,
}

/// The tensor, a symmetric cube of side k: (a + k·b, c).
///
/// # Errors
/// When a stop is asked for.
pub(crate) fn third_moment(
    job: &Job,
    rows: &mut Rows,
    whitening: &Whitening,
    alpha0: f64,
) -> Result<DMatrix<f64>, TrainError> {
    let matrix = whitening.whitening();
    let (words, size) = matrix.shape();
    let vectors: Vec<f64> = matrix.transpose().as_slice().to_vec();
    let empty = || Sums {
        cubes: vec![0.0; size * (size + 1) * (size + 2) / 6],
        images: vec![0.0; words * size],
        weights: vec![0.0; words],
        image: vec![0.0; size],
    };
    let mut parts: Vec<Sums> = (0..PARTS).map(|_| empty()).collect();
    let seen = sweep(job, rows, &mut parts, |sums, document| sums.add(document, &vectors))?;
    let mut total = parts.remove(0);
    for part in &parts {
        total.merge(part);
    }
    let Sums { mut cubes, images, weights, .. } = total;
    for ((own, image), weight) in vectors.chunks_exact(size).zip(images.chunks_exact(size)).zip(weights) {
        subtract_word(&mut cubes, own, image, weight);
    }
    let documents = (seen.documents - seen.dropped).max(1) as f64;
    cubes.iter_mut().for_each(|sum| *sum /= documents);
    let mean = matrix.tr_mul(&whitening.mean);
    subtract_prior(&mut cubes, mean.as_slice(), alpha0);
    Ok(unpacked(&cubes, size))
}

impl Sums {
    fn add(&mut self, document: &Document, vectors: &[f64]) {
        let size = self.image.len();
        let length = document.length;
        let weight = 1.0 / (length * (length - 1.0) * (length - 2.0));
        self.image.fill(0.0);
        for &(word, count) in &document.counts {
            let vector = &vectors[word * size..(word + 1) * size];
            self.image.iter_mut().zip(vector).for_each(|(sum, value)| *sum += count * value);
        }
        for &(word, count) in &document.counts {
            self.weights[word] += weight * count;
            let sums = self.images[word * size..(word + 1) * size].iter_mut();
            sums.zip(&self.image).for_each(|(sum, value)| *sum += weight * count * value);
        }
        let image = &self.image;
        each_run(&mut self.cubes, size, |a, b, run| {
            let factor = weight * image[a] * image[b];
            run.iter_mut().zip(&image[b..]).for_each(|(sum, value)| *sum += factor * value);
        });
    }

    fn merge(&mut self, other: &Self) {
        let pairs = [
            (&mut self.cubes, &other.cubes),
            (&mut self.images, &other.images),
            (&mut self.weights, &other.weights),
        ];
        for (sums, others) in pairs {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        }
    }
}

/// Calls with every a ≤ b and the sums of (a, b, b), (a, b, b + 1), …
fn each_run(packed: &mut [f64], size: usize, mut call: impl FnMut(usize, usize, &mut [f64])) {
    let mut rest = packed;
    for a in 0..size {
        for b in a..size {
            let (run, after) = rest.split_at_mut(size - b);
            call(a, b, run);
            rest = after;
        }
    }
}

/// Σ_docs of what a word's own repetition put into the cubes: w⊗w⊗a and its permutations, less 2g·w⊗w⊗w.
fn subtract_word(packed: &mut [f64], own: &[f64], image: &[f64], weight: f64) {
    if weight == 0.0 {
        return;
    }
    each_run(packed, own.len(), |a, b, run| {
        let square = own[a] * own[b];
        let cross = own[a] * image[b] + image[a] * own[b] - 2.0 * weight * square;
        let pairs = run.iter_mut().zip(own[b..].iter().zip(&image[b..]));
        pairs.for_each(|(sum, (own, image))| *sum -= square * image + cross * own);
    });
}

/// The terms of α0. WᵀE2W is I + α0/(α0+1) μμᵀ, since W whitens M2.
fn subtract_prior(packed: &mut [f64], mean: &[f64], alpha0: f64) {
    let (first, second) = (alpha0 / (alpha0 + 1.0), alpha0 / (alpha0 + 2.0));
    let third = 2.0 * alpha0 * alpha0 / ((alpha0 + 1.0) * (alpha0 + 2.0));
    let pair = |a: usize, b: usize| f64::from(u8::from(a == b)) + first * mean[a] * mean[b];
    each_run(packed, mean.len(), |a, b, run| {
        for (place, sum) in run.iter_mut().enumerate() {
            let c = b + place;
            let mixed = pair(a, b) * mean[c] + pair(a, c) * mean[b] + pair(b, c) * mean[a];
            *sum += third * mean[a] * mean[b] * mean[c] - second * mixed;
        }
    });
}

fn unpacked(packed: &[f64], size: usize) -> DMatrix<f64> {
    let mut tensor = DMatrix::zeros(size * size, size);
    let mut values = packed.iter();
    for a in 0..size {
        for b in a..size {
            for c in b..size {
                let value = *values.next().expect("as many as were packed");
                for [i, j, k] in [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
                    tensor[(i + size * j, k)] = value;
                }
            }
        }
    }
    tensor
}
