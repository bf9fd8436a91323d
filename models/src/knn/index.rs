//! The vectors, list after list, and the search through them.
//!
//! A flat index is one list. Vectors are compared in single precision first; what that cannot rule out, with its rounding
//! error allowed for, is compared in double precision, which alone decides. The error of a sum of `d` products of singles in
//! 16 lanes is at most `(d/16 + 24)·2⁻²³` of the sum of their magnitudes (twice Higham's bound, for safety).

use super::best::{Best, Neighbour};
use super::parts::{Parts, Store};
use super::quantizer::Quantizer;
use super::settings::{Metric, Settings, default_nprobe};
use crate::lanes::{dot, squared_distance};

/// Lanes of sums in single precision. Reason: four vector registers hide the latency of an addition.
const LANES: usize = 16;
/// Values of a block of vectors that all queries are held against. Reason: 64 KiB stay in the second-level cache.
const BLOCK_VALUES: usize = 1 << 14;

/// The lists and what is in them.
#[derive(Debug)]
pub(super) struct Index {
    metric: Metric,
    columns: usize,
    entries: Entries,
    /// The vector of each entry, as training numbered them.
    ids: Vec<u32>,
    offsets: Vec<usize>,
    centroids: Vec<f32>,
    nprobe: usize,
}

/// What lists hold, in their order.
#[derive(Debug)]
enum Entries {
    Vectors { values: Vec<f32>, length_max: f64 },
    Codes(Quantizer),
}

impl Index {
    /// Over checked parts.
    pub(super) fn new(parts: Parts, settings: &Settings) -> Self {
        let (n, columns) = (parts.labels.len(), parts.columns);
        let (ids, offsets, centroids) = match parts.lists {
            None => ((0..n as u32).collect(), vec![0, n], Vec::new()),
            Some(lists) => {
                let offsets = lists.offsets.iter().map(|offset| *offset as usize).collect();
                (lists.ids, offsets, lists.centroids)
            }
        };
        let entries = match parts.store {
            Store::Vectors(vectors) => {
                let values = if centroids.is_empty() { vectors } else { gather(&vectors, columns, &ids) };
                let length = |vector: &[f32]| dot(vector, vector).sqrt();
                let length_max = values.chunks_exact(columns).map(length).fold(0.0, f64::max);
                Entries::Vectors { values, length_max }
            }
            Store::Codes { m, codebooks, codes } => {
                let codes = gather(&codes, m, &ids);
                Entries::Codes(Quantizer::new(m, codebooks, codes, &centroids, &offsets))
            }
        };
        let nlist = offsets.len() - 1;
        let nprobe = settings.nprobe.unwrap_or_else(|| default_nprobe(nlist)).min(nlist);
        Self { metric: settings.metric, columns, entries, ids, offsets, centroids, nprobe }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// The nearest of each query.
    pub(super) fn search(&self, queries: &[f32], best: &mut [Best]) {
        match &self.entries {
            Entries::Vectors { values, length_max } if self.centroids.is_empty() => {
                let rows = (BLOCK_VALUES / self.columns).max(1);
                for (block, values) in values.chunks(rows * self.columns).enumerate() {
                    for (query, best) in queries.chunks_exact(self.columns).zip(&mut *best) {
                        self.scan(query, values, block * rows, *length_max, best);
                    }
                }
            }
            entries => {
                let mut lists = Vec::new();
                let mut table = Vec::new();
                for (query, best) in queries.chunks_exact(self.columns).zip(best) {
                    self.rank_lists(query, &mut lists);
                    if let Entries::Codes(quantizer) = entries {
                        quantizer.fill_table(query, &mut table);
                    }
                    for (visited, (distance, list)) in lists.iter().enumerate() {
                        // Lists that are short of neighbours let further ones in.
                        if visited >= self.nprobe && best.is_full() {
                            break;
                        }
                        self.visit(query, *list as usize, *distance, &table, best);
                    }
                }
            }
        }
    }

    fn visit(&self, query: &[f32], list: usize, distance: f64, table: &[f64], best: &mut Best) {
        let entries = self.offsets[list]..self.offsets[list + 1];
        match &self.entries {
            Entries::Vectors { values, length_max } => {
                let values = &values[entries.start * self.columns..entries.end * self.columns];
                self.scan(query, values, entries.start, *length_max, best);
            }
            Entries::Codes(quantizer) => {
                for entry in entries {
                    let distance = quantizer.distance(entry, distance, table);
                    best.push(Neighbour { distance, place: self.ids[entry] });
                }
            }
        }
    }

    /// All lists, the nearest first; of equally near ones, the first.
    fn rank_lists(&self, query: &[f32], lists: &mut Vec<(f64, u32)>) {
        lists.clear();
        let centroids = self.centroids.chunks_exact(self.columns).enumerate();
        lists.extend(centroids.map(|(list, centroid)| (self.distance(query, centroid), list as u32)));
        lists.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    }

    /// What decides.
    fn distance(&self, query: &[f32], vector: &[f32]) -> f64 {
        match self.metric {
            Metric::L2 => squared_distance(query, vector),
            Metric::InnerProduct | Metric::Cosine => -dot(query, vector),
        }
    }

    /// Holds a query against vectors, the first of which is entry `first`.
    fn scan(&self, query: &[f32], vectors: &[f32], first: usize, length_max: f64, best: &mut Best) {
        let error = (self.columns as f64 / LANES as f64 + 24.0) * f64::from(f32::EPSILON);
        let vectors = vectors.chunks_exact(self.columns).enumerate();
        if self.metric == Metric::L2 {
            // Squares too small for a single add nothing: allowed for by the second term.
            let allow = |worst: f64| (worst * (1.0 + error) + 1e-37 * self.columns as f64) as f32;
            let mut bound = allow(best.worst());
            for (index, vector) in vectors {
                if squared_distance_single(query, vector) > bound {
                    continue;
                }
                self.compare(query, vector, first + index, best);
                bound = allow(best.worst());
            }
        } else {
            let margin = error * dot(query, query).sqrt() * length_max + 1e-37 * self.columns as f64;
            // A margin beyond singles rules nothing out: their sums may have overflowed on the way.
            let margin = if margin < 1e30 { margin } else { f64::INFINITY };
            let allow = |worst: f64| (-worst - margin - worst.abs() * f64::from(f32::EPSILON)) as f32;
            let mut bound = allow(best.worst());
            for (index, vector) in vectors {
                if dot_single(query, vector) < bound {
                    continue;
                }
                self.compare(query, vector, first + index, best);
                bound = allow(best.worst());
            }
        }
    }

    #[inline(never)]
    fn compare(&self, query: &[f32], vector: &[f32], entry: usize, best: &mut Best) {
        best.push(Neighbour { distance: self.distance(query, vector), place: self.ids[entry] });
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let entries = match &self.entries {
            Entries::Vectors { values, .. } => size_of_val(&**values),
            Entries::Codes(quantizer) => quantizer.memory_bytes(),
        };
        entries + size_of_val(&*self.ids) + size_of_val(&*self.offsets) + size_of_val(&*self.centroids)
    }
}

/// The rows of `ids`, in their order.
fn gather<T: Copy>(values: &[T], width: usize, ids: &[u32]) -> Vec<T> {
    ids.iter().flat_map(|id| &values[*id as usize * width..(*id as usize + 1) * width]).copied().collect()
}

/// A sum over features in single precision, in lanes.
#[inline(always)]
fn sum_single(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..LANES {
            lanes[lane] += term(left[lane], right[lane]);
        }
    }
    for (lane, (left, right)) in lanes.iter_mut().zip(left_rest.iter().zip(right_rest)) {
        *lane += term(*left, *right);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

fn squared_distance_single(left: &[f32], right: &[f32]) -> f32 {
    sum_single(left, right, |left, right| (left - right) * (left - right))
}

fn dot_single(left: &[f32], right: &[f32]) -> f32 {
    sum_single(left, right, |left, right| left * right)
}
