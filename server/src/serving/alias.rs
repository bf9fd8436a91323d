//! Weighted choice in constant time: Walker's alias table, built by Vose's method.
//!
//! Every column holds the same share of the draws and belongs to at most two arms: below its threshold the one it is
//! named for, above it its alias. One draw of 64 bits gives both the column (the high word of draw × columns) and the
//! place in it (the low word), so a choice is a multiplication, a load and a comparison, whatever the number of arms.

/// The most arms of a table. Reason: ten variants in two fleets, with room; far below where 64 bits of a draw would
/// no longer hold a column and a place in it.
pub const ARMS_MAX: usize = 64;

/// Weights that cannot be drawn by.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightError {
    /// None, or more than a table holds.
    #[error("weights: expected 1 to {ARMS_MAX}, found {0}")]
    Count(usize),
    /// One is not a share.
    #[error("weight {index}: expected a finite number of at least 0, found {found}")]
    Weight {
        /// Which, from 0.
        index: usize,
        /// What it is.
        found: f64,
    },
    /// None is above 0.
    #[error("weights: expected at least one above 0, found none")]
    Zero,
}

/// The table; immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasTable(Box<[Column]>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column {
    /// Places below it belong to the column's own arm, the others to `alias`.
    threshold: u64,
    alias: u32,
}

impl AliasTable {
    /// A table of these weights.
    ///
    /// # Errors
    /// When there is none or too many, one is negative or not finite, or none is above 0.
    pub fn new(weights: &[f64]) -> Result<Self, WeightError> {
        if weights.is_empty() || weights.len() > ARMS_MAX {
            return Err(WeightError::Count(weights.len()));
        }
        for (index, &found) in weights.iter().enumerate() {
            if !(found >= 0.0 && found.is_finite()) {
                return Err(WeightError::Weight { index, found });
            }
        }
        let most = weights.iter().copied().fold(0.0, f64::max);
        if most == 0.0 {
            return Err(WeightError::Zero);
        }
        // By the largest first, so that no sum overflows.
        let total: f64 = weights.iter().map(|weight| weight / most).sum();
        let columns = weights.len() as f64;
        Ok(Self::of_shares(weights.iter().map(|weight| weight / most / total * columns).collect()))
    }

    /// `shares` in columns: their sum is their number.
    fn of_shares(mut shares: Vec<f64>) -> Self {
        let own = |arm: usize| Column { threshold: u64::MAX, alias: arm as u32 };
        let mut columns: Vec<_> = (0..shares.len()).map(own).collect();
        let (mut below, mut above): (Vec<_>, Vec<_>) = (0..shares.len()).partition(|&arm| shares[arm] < 1.0);
        while let (Some(&small), Some(&large)) = (below.last(), above.last()) {
            below.pop();
            // A cast to an integer saturates; 2^64 times a share below 1 is rounded towards 0.
            columns[small] = Column { threshold: (shares[small] * TWO_TO_64) as u64, alias: large as u32 };
            shares[large] -= 1.0 - shares[small];
            if shares[large] < 1.0 {
                above.pop();
                below.push(large);
            }
        }
        // What is left of either list is a whole column but for rounding, and belongs to its own arm.
        Self(columns.into())
    }

    /// The arm of a uniform `draw`.
    #[inline]
    pub fn choose(&self, draw: u64) -> usize {
        let product = u128::from(draw) * self.0.len() as u128;
        let (index, place) = ((product >> 64) as usize, product as u64);
        let column = self.0[index];
        if place < column.threshold { index } else { column.alias as usize }
    }
}

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

#[cfg(test)]
mod tests {
    use super::super::draw::draw;
    use super::*;

    const DRAWS: u64 = 1_000_000;

    /// The values of χ² that one in a thousand exceeds, by degrees of freedom.
    const CHI_SQUARED_999: [f64; 10] =
        [0.0, 10.828, 13.816, 16.266, 18.467, 20.515, 22.458, 24.322, 26.124, 27.877];

    fn counts(weights: &[f64], seed: u64) -> Vec<u64> {
        let table = AliasTable::new(weights).unwrap();
        let mut counts = vec![0; weights.len()];
        (0..DRAWS).for_each(|count| counts[table.choose(draw(seed, count))] += 1);
        counts
    }

    /// The split of a million draws is that of the weights: p > 0.001.
    fn check(weights: &[f64]) {
        let most = weights.iter().copied().fold(0.0, f64::max);
        let total: f64 = weights.iter().map(|weight| weight / most).sum();
        let counts = counts(weights, 42);
        let (mut chi_squared, mut cells) = (0.0, 0);
        for (&weight, &count) in weights.iter().zip(&counts) {
            let expected = weight / most / total * DRAWS as f64;
            if weight == 0.0 {
                assert_eq!(count, 0, "{weights:?}: {counts:?}");
            } else {
                chi_squared += (count as f64 - expected).powi(2) / expected;
                cells += 1;
            }
        }
        assert!(chi_squared <= CHI_SQUARED_999[cells - 1], "{weights:?}: {counts:?}, χ² {chi_squared}");
    }

    #[test]
    fn a_million_draws_split_by_weight() {
        check(&[1.0]);
        check(&[1.0, 1.0]);
        check(&[0.0, 1.0]);
        check(&[1.0, 0.0]);
        check(&[1e-6, 1.0]);
        check(&[25.0, 75.0]);
        check(&[2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0]);
        check(&[0.0, 3.0, 0.0, 1.0, 0.0]);
        check(&[f64::MAX, f64::MAX]);
        check(&[0.1; 10]);
    }

    #[test]
    fn the_same_seed_gives_the_same_sequence_and_another_gives_another() {
        let table = AliasTable::new(&[2.0, 3.0, 5.0]).unwrap();
        let sequence = |seed| (0..1000).map(|count| table.choose(draw(seed, count))).collect::<Vec<_>>();
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
    }

    /// Every column holds the same share, so the shares of the arms can be added up exactly.
    #[test]
    fn the_table_holds_each_weights_share() {
        for seed in 0..200 {
            let count = 1 + draw(seed, 0) as usize % ARMS_MAX;
            let mut weights: Vec<_> = (1..=count as u64).map(|arm| (draw(seed, arm) % 1000) as f64).collect();
            weights[0] += 1.0;
            let table = AliasTable::new(&weights).unwrap();
            let mut shares = vec![0.0; count];
            for (arm, column) in table.0.iter().enumerate() {
                let own = column.threshold as f64 / TWO_TO_64;
                shares[arm] += own;
                shares[column.alias as usize] += 1.0 - own;
            }
            let total: f64 = weights.iter().sum();
            for (share, weight) in shares.iter().zip(&weights) {
                let expected = weight / total * count as f64;
                assert!((share - expected).abs() < 1e-9, "{weights:?}: {shares:?}");
                assert!(*weight > 0.0 || *share == 0.0, "{weights:?}: {shares:?}");
            }
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        let refused = |weights: &[f64]| AliasTable::new(weights).expect_err("refused").to_string();
        let many = [1.0; ARMS_MAX + 1];
        for (weights, expected) in [
            (&[][..], "weights: expected 1 to 64, found 0"),
            (&many, "weights: expected 1 to 64, found 65"),
            (&[0.0, 0.0], "weights: expected at least one above 0, found none"),
            (&[1.0, f64::NAN], "weight 1: expected a finite number of at least 0, found NaN"),
            (&[f64::INFINITY], "weight 0: expected a finite number of at least 0, found inf"),
            (&[1.0, -1.0], "weight 1: expected a finite number of at least 0, found -1"),
        ] {
            assert_eq!(refused(weights), expected);
        }
    }
}
