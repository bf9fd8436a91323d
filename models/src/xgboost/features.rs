//! The features a booster reads, and how a row becomes a compact one: only those features, in ascending order, NaN
//! where a value is missing. A model over 100,000 columns that splits on 200 of them walks rows of 256 values.

use dmatrix::Row;

/// Features below this have a direct entry in the table from feature to slot; those above are looked up by bisection.
/// Reason: 1 MiB of table covers nearly every model, and a hostile feature index of four billion costs nothing.
const TABLE_FEATURES_MAX: usize = 1 << 18;

/// In the table: the feature is not read.
const UNREAD: u32 = u32::MAX;

/// The features that are read. Slot `i` of a compact row holds feature `read[i]`.
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
        let width = features.len().max(1).next_power_of_two();
        Self { read: features, table, is_prefix, width }
    }

    /// Values of a compact row: a power of two, at least one. Those beyond the last feature are never read.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The slot of `feature`, when it is read.
    pub(super) fn slot(&self, feature: u32) -> Option<u32> {
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

    /// Fills `compact` (of [`width`](Self::width) values) from `row`; a row that ends early is missing the rest.
    /// Says whether anything is missing.
    #[inline]
    pub(super) fn gather(&self, row: Row<'_>, compact: &mut [f32]) -> bool {
        let compact = &mut compact[..self.read.len()];
        match row {
            Row::Dense(values) => self.gather_dense(values, compact),
            Row::Sparse { indices, values } => self.gather_sparse(indices, values, compact),
        }
        compact.iter().fold(false, |missing, value| missing | value.is_nan())
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

    fn check(read: &[u32], row: Row<'_>, expected: &[f32], missing: bool) {
        let features = Features::new(read.to_vec());
        let mut compact = vec![0.0; features.width()];
        assert_eq!(features.gather(row, &mut compact), missing);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&compact[..expected.len()]), bits(expected));
    }

    #[test]
    fn only_read_features_are_kept() {
        const NAN: f32 = f32::NAN;
        check(&[0, 1, 2], Row::Dense(&[1.0, 2.0, 3.0, 4.0]), &[1.0, 2.0, 3.0], false);
        check(&[3, 1, 3], Row::Dense(&[1.0, 2.0, 3.0, 4.0]), &[2.0, 4.0], false);
        check(&[0, 5], Row::Dense(&[1.0, 2.0]), &[1.0, NAN], true);
        check(&[1], Row::Dense(&[NAN, 2.0, NAN]), &[2.0], false);
        check(&[0, 2], Row::Sparse { indices: &[1, 2], values: &[8.0, 9.0] }, &[NAN, 9.0], true);
        check(&[], Row::Dense(&[1.0]), &[], false);
        let far = u32::MAX - 1;
        check(&[7, far], Row::Sparse { indices: &[7, far], values: &[8.0, 9.0] }, &[8.0, 9.0], false);
    }
}
