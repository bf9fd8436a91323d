//! Product quantization: a vector is its list's centroid `c` and, for each of m sub-vectors of the residual, one of 256
//! centroids `p`.
//!
//! `‖q-c-p‖² = ‖q-c‖² + (‖p‖² + 2c·p) - 2q·p`: the first term is the list's, the second is the vector's and is summed up
//! when the model is loaded, the third is m look-ups in a table that is made once a query.

use super::parts::CODEWORDS;
use crate::lanes::dot;

/// Codes in the order of the lists.
#[derive(Debug)]
pub(super) struct Quantizer {
    m: usize,
    /// m × 256 × width.
    codebooks: Vec<f32>,
    width: usize,
    codes: Vec<u8>,
    /// `‖p‖² + 2c·p` of each vector.
    constants: Vec<f64>,
}

impl Quantizer {
    /// Over checked parts, the codes in the order of the lists.
    pub(super) fn new(
        m: usize,
        codebooks: Vec<f32>,
        codes: Vec<u8>,
        centroids: &[f32],
        offsets: &[usize],
    ) -> Self {
        let width = codebooks.len() / (m * CODEWORDS);
        let mut quantizer = Self { m, codebooks, width, codes, constants: Vec::new() };
        let mut constants = Vec::with_capacity(offsets.last().copied().unwrap_or_default());
        for (list, centroid) in offsets.windows(2).zip(centroids.chunks_exact(m * width)) {
            constants.extend((list[0]..list[1]).map(|entry| quantizer.constant(entry, centroid)));
        }
        quantizer.constants = constants;
        quantizer
    }

    fn constant(&self, entry: usize, centroid: &[f32]) -> f64 {
        let codes = &self.codes[entry * self.m..(entry + 1) * self.m];
        let parts = codes.iter().zip(centroid.chunks_exact(self.width)).enumerate();
        parts
            .map(|(part, (code, centroid))| {
                let word = self.word(part, usize::from(*code));
                dot(word, word) + 2.0 * dot(centroid, word)
            })
            .sum()
    }

    fn word(&self, part: usize, code: usize) -> &[f32] {
        let start = (part * CODEWORDS + code) * self.width;
        &self.codebooks[start..start + self.width]
    }

    /// Twice the inner product of each part of the query with each of its centroids.
    pub(super) fn fill_table(&self, query: &[f32], table: &mut Vec<f64>) {
        table.clear();
        let parts = query.chunks_exact(self.width).zip(self.codebooks.chunks_exact(CODEWORDS * self.width));
        for (query, words) in parts {
            table.extend(words.chunks_exact(self.width).map(|word| 2.0 * dot(query, word)));
        }
    }

    /// The squared distance of an entry of a list whose centroid is `to_list` away.
    pub(super) fn distance(&self, entry: usize, to_list: f64, table: &[f64]) -> f64 {
        let codes = &self.codes[entry * self.m..(entry + 1) * self.m];
        let parts = codes.iter().zip(table.as_chunks::<CODEWORDS>().0);
        let product: f64 = parts.map(|(code, table)| table[usize::from(*code)]).sum();
        (to_list + self.constants[entry] - product).max(0.0)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.codebooks) + self.codes.len() + size_of_val(&*self.constants)
    }
}
