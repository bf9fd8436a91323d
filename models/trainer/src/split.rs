//! A hold-out: a seeded share of the rows is kept from training and watched instead.

use dmatrix::DMatrix;

use crate::channel::select;
use crate::error::TrainError;

/// How rows are held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Holdout {
    /// The share of the rows, in (0, 1).
    pub(crate) share: f64,
    /// What decides which.
    pub(crate) seed: u64,
}

impl Holdout {
    /// Splits `rows` into those to train on and those held out, each in their old order.
    ///
    /// # Errors
    /// When either side would be empty.
    pub(crate) fn split(self, rows: &DMatrix) -> Result<(DMatrix, DMatrix), TrainError> {
        let held_count = (rows.rows() as f64 * self.share).round() as usize;
        if held_count == 0 || held_count == rows.rows() {
            return Err(TrainError::client(format!(
                "a hold-out of {} out of {} rows leaves one side empty",
                self.share,
                rows.rows()
            )));
        }
        let mut order: Vec<usize> = (0..rows.rows()).collect();
        fastrand::Rng::with_seed(self.seed).shuffle(&mut order);
        let (held, kept) = order.split_at_mut(held_count);
        held.sort_unstable();
        kept.sort_unstable();
        let take = |rows_of: &[usize]| {
            let chosen: Vec<(usize, usize)> = rows_of.iter().map(|&row| (0, row)).collect();
            select(&[rows], Some(&chosen))
        };
        Ok((take(kept), take(held)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten_rows() -> DMatrix {
        let mut rows = DMatrix::from_dense((0..10).map(|i| i as f32).collect(), 1);
        rows.labels_mut().extend((0..10).map(|i| i as f32));
        rows
    }

    #[test]
    fn every_row_is_on_one_side() {
        let (train, held) = Holdout { share: 0.3, seed: 7 }.split(&ten_rows()).expect("both sides");
        assert_eq!((train.rows(), held.rows()), (7, 3));
        let mut all: Vec<f32> = train.values().iter().chain(held.values()).copied().collect();
        all.sort_by(f32::total_cmp);
        assert_eq!(all, ten_rows().values());
        assert_eq!(train.values(), train.labels());
    }

    #[test]
    fn the_seed_decides() {
        let held = |seed| Holdout { share: 0.5, seed }.split(&ten_rows()).expect("both sides").1;
        assert_eq!(held(1), held(1));
        assert_ne!(held(1), held(2));
    }

    #[test]
    fn an_empty_side_is_refused() {
        for share in [0.01, 0.99] {
            let error = Holdout { share, seed: 0 }.split(&ten_rows()).expect_err("one side is empty");
            assert!(error.to_string().contains("leaves one side empty"), "{error}");
        }
    }
}
