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
