//! A hold-out: a seeded share of the training rows is kept from training and watched instead.

use std::sync::Arc;

use dmatrix::{DMatrix, Missing};
use estimator::{Channel, Job, Order, RowRules, Selection, TrainError};

/// Rows at once while they are counted.
const BATCH_ROWS: usize = 10_000;

/// How rows are held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Holdout {
    /// The share of the rows, in (0, 1).
    pub(crate) share: f64,
    /// What decides which.
    pub(crate) seed: u64,
}

impl Holdout {
    /// Two views of `channel`: the rows to train on, and those held out.
    ///
    /// # Errors
    /// When either side would be empty, or a row cannot be read.
    pub(crate) fn split(self, channel: &Channel, job: &Job) -> Result<(Channel, Channel), TrainError> {
        let held = self.marks(count(channel, job)?)?;
        let kept: Arc<[bool]> = held.iter().map(|held| !held).collect();
        let view = |marks| Channel { selection: Selection::Marked(marks), ..channel.clone() };
        Ok((view(kept), Channel { name: "validation", ..view(held.into()) }))
    }

    /// Which of `rows` rows are held out.
    fn marks(self, rows: usize) -> Result<Vec<bool>, TrainError> {
        let held_count = (rows as f64 * self.share).round() as usize;
        if held_count == 0 || held_count == rows {
            return Err(TrainError::client(format!(
                "a hold-out of {} out of {rows} rows leaves one side empty",
                self.share
            )));
        }
        let mut order: Vec<usize> = (0..rows).collect();
        fastrand::Rng::with_seed(self.seed).shuffle(&mut order);
        let mut held = vec![false; rows];
        order[..held_count].iter().for_each(|row| held[*row] = true);
        Ok(held)
    }
}

fn count(channel: &Channel, job: &Job) -> Result<usize, TrainError> {
    let rules = RowRules { columns: None, missing: Missing::Allowed, csv_weights: false };
    let mut rows = channel.open(&rules, BATCH_ROWS, job)?;
    let mut pass = rows.pass(Order::AsRead)?;
    let (mut count, mut batch) = (0, DMatrix::new());
    while pass.next(&mut batch)? {
        count += batch.rows();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_which_rows() {
        let held = |seed| Holdout { share: 0.3, seed }.marks(10).expect("both sides");
        assert_eq!(held(7).iter().filter(|held| **held).count(), 3);
        assert_eq!(held(1), held(1));
        assert_ne!(held(1), held(2));
    }

    #[test]
    fn an_empty_side_is_refused() {
        for share in [0.01, 0.99] {
            let error = Holdout { share, seed: 0 }.marks(10).expect_err("one side is empty");
            assert!(error.to_string().contains("leaves one side empty"), "{error}");
        }
    }
}
