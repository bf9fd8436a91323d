//! The features a booster reads, and how a row becomes a compact one: only those features, in ascending order. A model
//! over 100,000 columns that splits on 200 of them walks rows of 256 values.
//!
//! A compact row has two halves. In the first, a missing value is NaN, which is not at or above any threshold: it goes
//! left. The second is the same row with infinity for NaN: it goes right. A split looks into the half that its default
//! direction names, so that no walk ever asks whether a value is missing.

use dmatrix::Row;

/// Features below this have a direct entry in the table from feature to slot; those above are looked up by bisection.
/// Reason: 1 MiB of table covers nearly every model, and a hostile feature index of four billion costs nothing.
const TABLE_FEATURES_MAX: usize = 1 << 18;

/// In the table: the feature is not read.
const UNREAD: u32 = u32::MAX;

/// The most features that are read. Reason: a place in a compact row has 30 bits, one of them for the half.
const READ_MAX: usize = 1 << 28;

/// The features that are read. Slot `i` of each half of a compact row holds feature `read[i]`.
#[derive(Debug)]
pub(super) struct Features {
    read: Vec<u32>,
    table: Vec<u32>,
    is_prefix: bool,
    width: usize,
}

impl Features {
    /// `features` may hold duplicates, in any order.
    pub(super) fn new(mut features: Vec<u32>) -> Self {
        features.sort_unstable();
        features.dedup();
        let in_table =
            features.iter().take_while(|&&feature| (feature as usize) < TABLE_FEATURES_MAX).count();
        let mut table = vec![UNREAD; features[..in_table].last().map_or(0, |&feature| feature as usize + 1)];
        for (slot, &feature) in features[..in_table].iter().enumerate() {
            table[feature as usize] = slot as u32;
        }
        let is_prefix = features.last().is_none_or(|&feature| feature as usize + 1 == features.len());
        let width = features.len().max(1);
        Self { read: features, table, is_prefix, width }
    }

    /// Values of a compact row, both halves.
    pub(super) fn stride(&self) -> usize {
        2 * self.width
    }

    /// Where a split on `feature` finds its value, when it is read.
    pub(super) fn place(&self, feature: u32, missing_right: bool) -> Option<u32> {
        let slot = self.slot(feature).filter(|_| self.width <= READ_MAX)?;
        Some(if missing_right { slot + self.width as u32 } else { slot })
    }

    fn slot(&self, feature: u32) -> Option<u32> {
        match self.table.get(feature as usize) {
            Some(&UNREAD) => None,
            Some(&slot) => Some(slot),
            None => self.read.binary_search(&feature).ok().map(|slot| slot as u32),
        }
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        (self.read.capacity() + self.table.capacity()) * size_of::<u32>()
    }

    /// Fills `compact` (of [`stride`](Self::stride) values) from `row`; a row that ends early is missing the rest.
    #[inline]
    pub(super) fn gather(&self, row: Row<'_>, compact: &mut [f32]) {
        let (first, second) = compact.split_at_mut(self.width);
        let first = &mut first[..self.read.len()];
        match row {
            Row::Dense(values) => self.gather_dense(values, first),
            Row::Sparse { indices, values } => self.gather_sparse(indices, values, first),
        }
        for (second, first) in second.iter_mut().zip(first) {
            *second = if first.is_nan() { f32::INFINITY } else { *first };
        }
    }

    #[inline]
    fn gather_dense(&self, values: &[f32], compact: &mut [f32]) {
        if self.is_prefix && values.len() >= compact.len() {
            compact.copy_from_slice(&values[..compact.len()]);
            return;
        }
        for (slot, &feature) in compact.iter_mut().zip(&self.read) {
            *slot = values.get(feature as usize).copied().unwrap_or(f32::NAN);
        }
    }

    #[inline]
    fn gather_sparse(&self, indices: &[u32], values: &[f32], compact: &mut [f32]) {
        compact.fill(f32::NAN);
        for (&index, &value) in indices.iter().zip(values) {
            if let Some(slot) = self.slot(index) {
                compact[slot as usize] = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(read: &[u32], row: Row<'_>, expected: &[f32]) {
        let features = Features::new(read.to_vec());
        let mut compact = vec![0.0; features.stride()];
        features.gather(row, &mut compact);
        let mirrored = expected.iter().map(|value| if value.is_nan() { f32::INFINITY } else { *value });
        let expected: Vec<u32> = expected.iter().copied().chain(mirrored).map(f32::to_bits).collect();
        assert_eq!(compact.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_read_features_are_kept() {
        const NAN: f32 = f32::NAN;
        check(&[0, 1, 2], Row::Dense(&[1.0, 2.0, 3.0, 4.0]), &[1.0, 2.0, 3.0]);
        check(&[3, 1, 3], Row::Dense(&[1.0, 2.0, 3.0, 4.0]), &[2.0, 4.0]);
        check(&[0, 5], Row::Dense(&[1.0, 2.0]), &[1.0, NAN]);
        check(&[1], Row::Dense(&[NAN, 2.0, NAN]), &[2.0]);
        check(&[0, 2], Row::Sparse { indices: &[1, 2], values: &[8.0, 9.0] }, &[NAN, 9.0]);
        check(&[], Row::Dense(&[1.0]), &[0.0]);
        let far = u32::MAX - 1;
        check(&[7, far], Row::Sparse { indices: &[7, far], values: &[8.0, 9.0] }, &[8.0, 9.0]);
    }
}
