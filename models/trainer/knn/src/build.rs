//! The index of a sample: inverted lists around the centers of k-means, codes around those of each sub-vector.

use fit_kmeans::{Lloyd, Nearest, Seeding};
use models::knn::{IndexKind, Lists, Metric, Parts, Reduction, Store};
use rayon::prelude::*;

use crate::sample::Sample;
use crate::table::Settings;

/// Centroids of a sub-vector. Reason: a code is one byte.
const CODEWORDS: usize = 256;
/// The most vectors that a centroid is trained on. Reason: FAISS's; more do not make it better.
const TRAINED_ON_MAX: usize = 256;
/// Rounds of k-means for lists and for codes. Reason: the loss stands by then; FAISS does 10 and 25.
const LIST_ROUNDS: usize = 20;
const CODE_ROUNDS: usize = 25;

/// The parts of the model.
pub(crate) fn build(settings: &Settings, sample: Sample, reduction: Option<Reduction>) -> Parts {
    let Sample { labels, vectors, .. } = sample;
    let width = vectors.len() / labels.len();
    let columns = width.next_multiple_of(settings.m.unwrap_or(1));
    let vectors = if columns == width { vectors } else { fill(&vectors, width, columns) };
    if settings.model.kind == IndexKind::Flat {
        return Parts { labels, columns, store: Store::Vectors(vectors), lists: None, reduction };
    }
    let n = labels.len();
    let nlist = settings.nlist.unwrap_or_else(|| settings.sample_size.min(n).isqrt()).clamp(1, n);
    let (lists, of_vector) = lists(settings, &vectors, columns, nlist);
    let store = match settings.m {
        None => Store::Vectors(vectors),
        Some(m) => codes(settings, &vectors, columns, m, &lists.centroids, &of_vector),
    };
    Parts { labels, columns, store, lists: Some(lists), reduction }
}

/// Vectors of `width` dimensions with zeros up to `columns`.
fn fill(vectors: &[f32], width: usize, columns: usize) -> Vec<f32> {
    let mut filled = Vec::with_capacity(vectors.len() / width * columns);
    for vector in vectors.chunks_exact(width) {
        filled.extend_from_slice(vector);
        filled.resize(filled.len() + columns - width, 0.0);
    }
    filled
}

/// The lists, and the list of each vector.
fn lists(settings: &Settings, vectors: &[f32], columns: usize, nlist: usize) -> (Lists, Vec<u32>) {
    let centroids = centers(vectors, columns, nlist, LIST_ROUNDS, settings.seed);
    let nearest = match settings.model.metric {
        Metric::L2 => Nearest::new(&centroids, columns),
        Metric::InnerProduct | Metric::Cosine => Nearest::by_product(&centroids, columns),
    };
    let of_vector: Vec<u32> = nearest.of_points(vectors).into_iter().map(|nearby| nearby.center).collect();
    let mut offsets = vec![0u64; nlist + 1];
    of_vector.iter().for_each(|list| offsets[*list as usize + 1] += 1);
    (0..nlist).for_each(|list| offsets[list + 1] += offsets[list]);
    let mut next = offsets.clone();
    let mut ids = vec![0u32; of_vector.len()];
    for (id, list) in of_vector.iter().enumerate() {
        let place = &mut next[*list as usize];
        ids[*place as usize] = id as u32;
        *place += 1;
    }
    (Lists { centroids, offsets, ids }, of_vector)
}

/// What is left of each vector beside its list's centroid, in codes.
fn codes(
    settings: &Settings,
    vectors: &[f32],
    columns: usize,
    m: usize,
    centroids: &[f32],
    of_vector: &[u32],
) -> Store {
    let (n, width) = (of_vector.len(), columns / m);
    let one = |part: usize| {
        let range = part * width..(part + 1) * width;
        let residuals: Vec<f32> = vectors
            .chunks_exact(columns)
            .zip(of_vector)
            .flat_map(|(vector, list)| {
                let centroid = &centroids[*list as usize * columns..(*list as usize + 1) * columns];
                vector[range.clone()]
                    .iter()
                    .zip(&centroid[range.clone()])
                    .map(|(value, center)| value - center)
            })
            .collect();
        let seed = settings.seed.wrapping_add(1 + part as u64);
        let mut words = centers(&residuals, width, CODEWORDS.min(n), CODE_ROUNDS, seed);
        let codes: Vec<u8> = Nearest::new(&words, width)
            .of_points(&residuals)
            .iter()
            .map(|nearby| nearby.center as u8)
            .collect();
        // Fewer vectors than codes: the others are never used.
        words.resize(CODEWORDS * width, 0.0);
        (words, codes)
    };
    let parts: Vec<(Vec<f32>, Vec<u8>)> = (0..m).into_par_iter().map(one).collect();
    let mut codes = vec![0; n * m];
    for (part, (_, of_part)) in parts.iter().enumerate() {
        of_part.iter().enumerate().for_each(|(vector, code)| codes[vector * m + part] = *code);
    }
    Store::Codes { m, codebooks: parts.into_iter().flat_map(|(words, _)| words).collect(), codes }
}

/// The centers of k-means over at most [`TRAINED_ON_MAX`] points each.
fn centers(points: &[f32], columns: usize, k: usize, rounds: usize, seed: u64) -> Vec<f32> {
    let n = points.len() / columns;
    let count = n.min(k * TRAINED_ON_MAX);
    let mut chosen: Vec<usize> = match count == n {
        true => (0..n).collect(),
        false => fastrand::Rng::with_seed(seed).choose_multiple(0..n, count),
    };
    chosen.sort_unstable();
    let taken: Vec<f32> =
        chosen.iter().flat_map(|row| &points[row * columns..(row + 1) * columns]).copied().collect();
    let lloyd =
        Lloyd { k, seeding: Seeding::Random, trials: 1, iterations_max: rounds, tolerance: 0.0, seed };
    lloyd.run(&taken, &vec![1.0; count], |_, _| true).centers
}
