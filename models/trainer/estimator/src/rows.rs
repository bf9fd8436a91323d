//! The rows of a channel in batches, pass after pass.
//!
//! Files are decoded once, when the channel is opened, into blocks of about a mebibyte of file. Blocks stay in memory up to
//! a share of what the training may use, and go to a file without a name in the scratch folder beyond that. By pipe, nothing
//! is kept: every pass is the next epoch's pipe.
//!
//! Memory, with M for the bytes that the training may use:
//!
//! | of a channel | by file | by pipe |
//! |---|---|---|
//! | blocks kept | ≤ 3/8 · M for `train`, ≤ 1/16 · M for others | – |
//! | blocks read back for a shuffled pass | ≤ 1/32 · M and one block | – |
//! | their order | 8 bytes a row of the window | 8 bytes a row of the buffer |
//! | rows to shuffle | – | 10 · batch rows and one block |
//! | pieces while they are decoded | ≤ 18 MiB a thread (usually 5) | the same |
//! | a batch | batch rows · (4 bytes a value, 8 if sparse) | the same |
//!
//! With `train`, `validation` and `test` open at once that is less than 0.6 · M and the pieces; the rest is the algorithm's.
//!
//! A shuffled pass takes the blocks in a random order, as many at a time as the window holds, and their rows in a random
//! order. What is in memory needs no room of the window: data that fit are shuffled as a whole. The order depends on the seed
//! and on which blocks fit, so on M for data beyond it; never on threads.

use std::borrow::Cow;
use std::collections::VecDeque;

use dmatrix::{DMatrix, Storage};
use fastrand::Rng;

use crate::channel::Source;
use crate::gather::Gather;
use crate::pipe::{Piped, SHUFFLED_BATCHES};
use crate::store::Store;
use crate::{Channel, Job, RowRules, TrainError};

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
    columns: usize,
    batch_rows: usize,
    /// Whether any block is: then all batches are.
    is_sparse: bool,
    from: From,
}

#[derive(Debug)]
enum From {
    Store { store: Store, count: u64, window_bytes: u64 },
    Pipe(Box<Piped>),
}

/// One pass over the rows.
#[derive(Debug)]
pub struct Pass<'a> {
    feed: Feed<'a>,
    batch_rows: usize,
    columns: usize,
    is_sparse: bool,
    /// The blocks at hand.
    window: Vec<Cow<'a, DMatrix>>,
    /// Their rows in a random order, if there is one: (block, row).
    order: Vec<(u32, u32)>,
    random: Option<Rng>,
    /// How many rows of the window were given.
    next: usize,
    /// Rows of the window.
    window_rows: usize,
}

/// Where a pass gets its windows.
#[derive(Debug)]
enum Feed<'a> {
    Store { store: &'a Store, windows: VecDeque<Vec<usize>> },
    Pipe(&'a mut Piped),
}

impl Rows {
    /// Over a channel of files.
    pub(crate) fn of_files(
        channel: &Channel,
        rules: &RowRules,
        batch_rows: usize,
        job: &Job,
    ) -> Result<Self, TrainError> {
        let memory = job.resources.memory_bytes;
        let kept_bytes = if channel.name == "train" { memory / 8 * 3 } else { memory / 16 };
        let mut store = Store::new(kept_bytes, &job.resources.scratch);
        let mut source = Source::of_files(channel, rules, &job.stop)?;
        let (mut columns, mut count, mut is_sparse) = (rules.columns.unwrap_or(0), 0, false);
        while let Some(block) = source.next()? {
            columns = columns.max(block.columns());
            count += block.rows() as u64;
            is_sparse |= block.storage() == Storage::Sparse;
            store.push(block)?;
        }
        if count == 0 {
            return Err(Source::nothing(channel));
        }
        let from = From::Store { store, count, window_bytes: memory / 32 };
        Ok(Self { columns, batch_rows, is_sparse, from })
    }

    /// Over a channel that comes by pipe.
    pub(crate) fn of_pipe(piped: Piped, batch_rows: usize) -> Self {
        let (columns, is_sparse) = piped.shape();
        Self { columns, batch_rows, is_sparse, from: From::Pipe(Box::new(piped)) }
    }

    /// The number of features of every row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The number of rows, once a pass has seen them all.
    pub fn count(&self) -> Option<u64> {
        match &self.from {
            From::Store { count, .. } => Some(*count),
            From::Pipe(piped) => piped.count(),
        }
    }

    /// Begins a pass over all rows. By pipe, every pass is the next epoch's pipe.
    ///
    /// # Errors
    /// When the channel cannot be read again.
    pub fn pass(&mut self, order: Order) -> Result<Pass<'_>, TrainError> {
        let mut random = match order {
            Order::AsRead => None,
            Order::Shuffled { seed } => Some(Rng::with_seed(seed)),
        };
        let feed = match &mut self.from {
            From::Store { store, window_bytes, .. } => {
                Feed::Store { windows: windows(store, *window_bytes, random.as_mut()), store }
            }
            From::Pipe(piped) => {
                piped.begin()?;
                Feed::Pipe(piped)
            }
        };
        Ok(Pass {
            feed,
            batch_rows: self.batch_rows.max(1),
            columns: self.columns,
            is_sparse: self.is_sparse,
            window: Vec::new(),
            order: Vec::new(),
            random,
            next: 0,
            window_rows: 0,
        })
    }
}

/// Which blocks are at hand together: one after the other, or in a random order as many as may be loaded.
fn windows(store: &Store, window_bytes: u64, random: Option<&mut Rng>) -> VecDeque<Vec<usize>> {
    let Some(random) = random else { return (0..store.len()).map(|block| vec![block]).collect() };
    let mut blocks: Vec<usize> = (0..store.len()).collect();
    random.shuffle(&mut blocks);
    let (mut windows, mut window, mut loaded) = (VecDeque::new(), Vec::new(), 0);
    for block in blocks {
        let bytes = store.load_bytes(block);
        if loaded > 0 && loaded + bytes > window_bytes {
            windows.push_back(std::mem::take(&mut window));
            loaded = 0;
        }
        loaded += bytes;
        window.push(block);
    }
    if !window.is_empty() {
        windows.push_back(window);
    }
    windows
}

impl Pass<'_> {
    /// The next batch into `batch`; false when there is none. All but the last have as many rows as was asked for.
    ///
    /// # Errors
    /// When a row is not as it should be: the message names file, row and column.
    pub fn next(&mut self, batch: &mut DMatrix) -> Result<bool, TrainError> {
        let mut gathered = Gather::within(batch, self.is_sparse, self.columns);
        while gathered.rows() < self.batch_rows {
            if self.next == self.window_rows && !self.next_window()? {
                break;
            }
            let count = (self.batch_rows - gathered.rows()).min(self.window_rows - self.next);
            self.give(count, &mut gathered);
            self.next += count;
        }
        let any = gathered.rows() > 0;
        gathered.finish_into(batch);
        Ok(any)
    }

    /// Adds the next `count` rows of the window.
    fn give(&self, count: usize, gathered: &mut Gather) {
        let end = self.next + count;
        if self.random.is_some() {
            for &(block, row) in &self.order[self.next..end] {
                gathered.push(&self.window[block as usize], row as usize);
            }
            return;
        }
        let mut before = 0;
        for block in &self.window {
            let (start, stop) = (self.next.max(before), end.min(before + block.rows()));
            if start < stop {
                gathered.push_range(block, start - before..stop - before);
            }
            before += block.rows();
        }
    }

    /// Takes the next blocks to hand; false when there are none.
    fn next_window(&mut self) -> Result<bool, TrainError> {
        self.window.clear();
        (self.next, self.window_rows) = (0, 0);
        match &mut self.feed {
            Feed::Store { store, windows } => {
                let Some(blocks) = windows.pop_front() else { return Ok(false) };
                let store = *store;
                for block in blocks {
                    self.window.push(store.load(block)?);
                }
            }
            Feed::Pipe(piped) => {
                let rows_min = if self.random.is_some() { SHUFFLED_BATCHES * self.batch_rows } else { 1 };
                self.window.extend(piped.next(rows_min)?.into_iter().map(Cow::Owned));
            }
        }
        self.window_rows = self.window.iter().map(|block| block.rows()).sum();
        if let Some(random) = &mut self.random {
            self.order.clear();
            for (place, block) in self.window.iter().enumerate() {
                self.order.extend((0..block.rows() as u32).map(|row| (place as u32, row)));
            }
            random.shuffle(&mut self.order);
        }
        Ok(self.window_rows > 0)
    }
}

#[cfg(test)]
mod tests;
