//! A channel: where rows come from, what they are, and which of them are read.

mod chunks;
mod content_type;
mod decoder;
mod files;
mod queries;
mod source;

use std::path::{Path, PathBuf};

use dmatrix::{DMatrix, Missing, Storage};

pub use self::content_type::{TrainingContent, training_content_type};
pub(crate) use self::source::Source;
use crate::gather::Gather;
use crate::pipe::Piped;
use crate::store::block_bytes;
use crate::{Job, Labels, Rows, Selection, TrainError};

/// Copies of the rows that a channel read as a whole makes in the end. Reason: what asks for all rows at once hands them to
/// a library that keeps its own.
const COPIES: u64 = 2;

/// Where rows come from.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name, as the algorithm's rule has it.
    pub name: &'static str,
    /// A file, a folder of files, or (by pipe) the path that `_0`, `_1`, … are added to.
    pub path: PathBuf,
    /// What the files hold.
    pub content_type: TrainingContent,
    /// Whether rows have labels.
    pub labels: Labels,
    /// How they arrive.
    pub mode: InputMode,
    /// Which of them are read.
    pub selection: Selection,
}

/// How a channel's bytes arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputMode {
    /// As files, which can be read again.
    #[default]
    File,
    /// By a pipe an epoch: what went by is gone.
    Pipe,
}

/// What an algorithm asks of the rows of a channel.
#[derive(Debug, Clone, Copy)]
pub struct RowRules {
    /// The width that rows must have; `None` takes that of the first, or (sparse rows) of the widest.
    pub columns: Option<usize>,
    /// What an empty cell means.
    pub missing: Missing,
    /// Whether the second CSV column is the row's weight.
    pub csv_weights: bool,
}

impl RowRules {
    /// Rows of `columns` finite values.
    pub fn finite(columns: Option<usize>) -> Self {
        Self { columns, missing: Missing::Refused, csv_weights: false }
    }
}

impl Channel {
    /// A channel of files, for the tests of algorithms.
    ///
    /// # Errors
    /// When the content type is not one.
    pub fn for_tests(
        name: &'static str,
        path: &Path,
        content_type: &str,
        labels: Labels,
    ) -> Result<Self, TrainError> {
        Ok(Self {
            name,
            path: path.into(),
            content_type: training_content_type(content_type, labels)?,
            labels,
            mode: InputMode::File,
            selection: Selection::All,
        })
    }

    /// Reads the whole channel into memory. With `csv_weights` the second CSV column is the row's weight; the query ids of
    /// libsvm (`qid:`) are in [`DMatrix::queries`].
    ///
    /// # Errors
    /// When there is no row, a row is not one, or the files differ in width; the message names file, row and column. When the
    /// rows and a library's copy would not fit the memory: before they are loaded, by the first rows. When a stop is asked for.
    pub fn read(&self, rules: &RowRules, job: &Job) -> Result<DMatrix, TrainError> {
        let memory_bytes = job.resources.memory_bytes;
        let (mut source, file_bytes) = match self.mode {
            InputMode::Pipe => return self.read_pipe(rules, job),
            InputMode::File => {
                let files = files::list(self.name, &self.path)?;
                (Source::of_files(self, rules, &job.stop)?, files::total_bytes(&files))
            }
        };
        let first = source.next()?.ok_or_else(|| Source::nothing(self))?;
        let share = file_bytes as f64 / source.bytes_read().max(1) as f64;
        let rows = (first.rows() as f64 * share.max(1.0)).ceil();
        let needed = (block_bytes(&first) as f64 * share.max(1.0)).ceil() as u64;
        self.check_memory(needed, rows, first.columns(), memory_bytes)?;
        let is_sparse = first.storage() == Storage::Sparse;
        let mut all = Gather::new(is_sparse, first.columns());
        if !is_sparse {
            all.reserve_values((rows * 1.01) as usize * first.columns());
        }
        let mut block = Some(first);
        while let Some(next) = block {
            all.push_range(&next, 0..next.rows());
            self.check_memory(all.bytes(), all.rows() as f64, next.columns(), memory_bytes)?;
            block = source.next()?;
        }
        Ok(all.finish())
    }

    /// Gives the rows once, block by block as they are decoded, to an algorithm that keeps them in a form of its own: nothing
    /// is kept here. By pipe it is the first epoch's.
    ///
    /// # Errors
    /// As [`open`](Self::open), and what `take` refuses.
    pub fn each_block(
        &self,
        rules: &RowRules,
        job: &Job,
        mut take: impl FnMut(&DMatrix) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        if self.mode == InputMode::Pipe {
            return take(&self.read_pipe(rules, job)?);
        }
        let mut source = Source::of_files(self, rules, &job.stop)?;
        let mut count = 0;
        while let Some(block) = source.next()? {
            count += block.rows();
            take(&block)?;
        }
        if count == 0 { Err(Source::nothing(self)) } else { Ok(()) }
    }

    /// Opens the channel to be read in batches of `batch_rows` rows, as often as epochs ask. Memory does not grow with the
    /// channel.
    ///
    /// # Errors
    /// When there is no row, or a row (by pipe: one of the first rows) is not as it should be.
    pub fn open(&self, rules: &RowRules, batch_rows: usize, job: &Job) -> Result<Rows, TrainError> {
        match self.mode {
            InputMode::File => Rows::of_files(self, rules, batch_rows, job),
            InputMode::Pipe => Ok(Rows::of_pipe(Piped::open(self, rules, &job.stop)?, batch_rows)),
        }
    }

    /// The whole of the first epoch's pipe.
    fn read_pipe(&self, rules: &RowRules, job: &Job) -> Result<DMatrix, TrainError> {
        let mut piped = Piped::open(self, rules, &job.stop)?;
        let (columns, is_sparse) = piped.shape();
        let mut all = Gather::new(is_sparse, columns);
        piped.begin()?;
        loop {
            let blocks = piped.next(1)?;
            let Some(block) = blocks.first() else { return Ok(all.finish()) };
            all.push_range(block, 0..block.rows());
            self.check_memory(all.bytes(), all.rows() as f64, columns, job.resources.memory_bytes)?;
        }
    }

    fn check_memory(&self, bytes: u64, rows: f64, columns: usize, memory: u64) -> Result<(), TrainError> {
        let needed = bytes.saturating_mul(COPIES);
        if needed <= memory {
            return Ok(());
        }
        let name = self.name;
        Err(TrainError::client(format!(
            "channel {name}: its about {rows} rows of {columns} features need {needed} bytes of memory ({COPIES} copies), and \
             the training has {memory}: use fewer rows or a larger machine"
        )))
    }
}

#[cfg(test)]
mod tests;
