//! The sets of categorical splits: the categories that go right, each set as a bit field where that is small, else as
//! a sorted list (one category of sixteen million would take two megabytes of bits).

use super::rules::InvalidCategory;

/// Bit fields have at most this many words, that is categories below 2,048. Reason: 256 bytes a split.
const WORDS_MAX: usize = 64;

/// The first value that single precision cannot tell from its successor: no category.
const CATEGORY_END: f32 = 16_777_216.0;

#[derive(Debug, Clone, Copy)]
struct Set {
    /// Where it starts in `words`.
    start: u32,
    /// Words of a bit field, or categories of a list.
    length: u32,
    /// Categories from here on are beyond XGBoost's own bit field.
    end: u32,
    is_bits: bool,
}

/// All sets of a forest.
#[derive(Debug)]
pub(super) struct Categories {
    sets: Vec<Set>,
    words: Vec<u32>,
    invalid: InvalidCategory,
}

impl Categories {
    pub(super) fn new(invalid: InvalidCategory) -> Self {
        Self { sets: Vec::new(), words: Vec::new(), invalid }
    }

    /// Adds a set and returns its index.
    pub(super) fn add(&mut self, categories: &[u32]) -> u32 {
        let start = self.words.len();
        let words = categories.iter().max().map_or(0, |&largest| largest as usize / 32 + 1);
        let is_bits = words <= WORDS_MAX;
        if is_bits {
            self.words.resize(start + words, 0);
            for &category in categories {
                self.words[start + category as usize / 32] |= 1 << (category % 32);
            }
        } else {
            self.words.extend_from_slice(categories);
            self.words[start..].sort_unstable();
        }
        let length = (self.words.len() - start) as u32;
        self.sets.push(Set { start: start as u32, length, end: (words as u32).saturating_mul(32), is_bits });
        (self.sets.len() - 1) as u32
    }

    /// Whether `value` goes right at the split with set `set`.
    pub(super) fn goes_right(&self, set: u32, value: f32, missing_right: bool) -> bool {
        if value.is_nan() {
            return missing_right;
        }
        let set = self.sets[set as usize];
        match self.invalid {
            // A cast to a signed integer, as XGBoost had it: -0.5 is category 0.
            InvalidCategory::Truncated => {
                u32::try_from(value as i32).is_ok_and(|category| self.contains(set, category))
            }
            InvalidCategory::Default if !(0.0..CATEGORY_END).contains(&value) || value >= set.end as f32 => {
                missing_right
            }
            InvalidCategory::Left if !(0.0..CATEGORY_END).contains(&value) => false,
            InvalidCategory::Default | InvalidCategory::Left => self.contains(set, value as u32),
        }
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.sets.capacity() * size_of::<Set>() + self.words.capacity() * size_of::<u32>()
    }

    fn contains(&self, set: Set, category: u32) -> bool {
        let words = &self.words[set.start as usize..][..set.length as usize];
        if set.is_bits {
            words.get(category as usize / 32).is_some_and(|word| word >> (category % 32) & 1 == 1)
        } else {
            words.binary_search(&category).is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(invalid: InvalidCategory, categories: &[u32], value: f32, missing_right: bool, right: bool) {
        let mut sets = Categories::new(invalid);
        sets.add(&[7]);
        let set = sets.add(categories);
        assert_eq!(sets.goes_right(set, value, missing_right), right, "{invalid:?} {categories:?} {value}");
    }

    #[test]
    fn a_listed_category_goes_right() {
        for invalid in [InvalidCategory::Truncated, InvalidCategory::Default, InvalidCategory::Left] {
            for categories in [&[2, 33][..], &[2, 33, 9_000_000]] {
                check(invalid, categories, 2.0, false, true);
                check(invalid, categories, 33.9, false, true);
                check(invalid, categories, 3.0, true, false);
                check(invalid, categories, f32::NAN, true, true);
                check(invalid, categories, f32::NAN, false, false);
            }
        }
    }

    #[test]
    fn a_value_that_is_no_category_goes_as_its_version_says() {
        use InvalidCategory::{Default, Left, Truncated};
        check(Truncated, &[0], -0.5, false, true);
        check(Truncated, &[0], -1.0, true, false);
        check(Truncated, &[0], 3e9, true, false);
        check(Default, &[0], -0.5, true, true);
        check(Default, &[0], -0.5, false, false);
        check(Default, &[0], 31.0, true, false);
        check(Default, &[0], 32.0, true, true);
        check(Left, &[0], -0.5, true, false);
        check(Left, &[0], 32.0, true, false);
        check(Left, &[0], 2e7, true, false);
    }

    #[test]
    fn an_empty_set_holds_nothing() {
        check(InvalidCategory::Left, &[], 0.0, true, false);
    }
}
