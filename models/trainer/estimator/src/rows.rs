//! The rows of a channel in batches, pass after pass.

use dmatrix::DMatrix;

use crate::{TrainError, select};

/// In which order a pass gives the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they stand.
    AsRead,
    /// Another one for every seed.
    Shuffled {
        /// What decides.
        seed: u64,
    },
}

/// The rows of a channel.
#[derive(Debug)]
pub struct Rows {
    all: DMatrix,
    batch_rows: usize,
}

/// One pass over the rows.
#[derive(Debug)]
pub struct Pass<'a> {
    rows: &'a Rows,
    order: Vec<usize>,
    next: usize,
}

impl Rows {
    /// Over rows that are in memory.
    pub fn of(all: DMatrix, batch_rows: usize) -> Self {
        Self { all, batch_rows }
    }

    /// The number of features of every row.
    pub fn columns(&self) -> usize {
        self.all.columns()
    }

    /// The number of rows, once a pass has seen them all.
    pub fn count(&self) -> Option<u64> {
        Some(self.all.rows() as u64)
    }

    /// Begins a pass over all rows. By pipe, every pass is the next epoch's pipe.
    ///
    /// # Errors
    /// When the channel cannot be read again.
    pub fn pass(&mut self, order: Order) -> Result<Pass<'_>, TrainError> {
        let mut rows: Vec<usize> = (0..self.all.rows()).collect();
        if let Order::Shuffled { seed } = order {
            fastrand::Rng::with_seed(seed).shuffle(&mut rows);
        }
        Ok(Pass { rows: self, order: rows, next: 0 })
    }
}

impl Pass<'_> {
    /// The next batch into `batch`; false when there is none. All but the last have as many rows as was asked for.
    ///
    /// # Errors
    /// When a row is not as it should be: the message names file, row and column.
    pub fn next(&mut self, batch: &mut DMatrix) -> Result<bool, TrainError> {
        let end = (self.next + self.rows.batch_rows).min(self.order.len());
        if end == self.next {
            return Ok(false);
        }
        let chosen: Vec<(usize, usize)> = self.order[self.next..end].iter().map(|&row| (0, row)).collect();
        *batch = select(&[&self.rows.all], Some(&chosen));
        self.next = end;
        Ok(true)
    }
}
