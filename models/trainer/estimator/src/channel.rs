//! A channel: where rows come from, what they are, and which of them are read.

mod chunks;
mod content_type;
mod decoder;
mod files;
mod queries;
mod source;

use std::path::{Path, PathBuf};

use dmatrix::{DMatrix, Missing};

pub use self::content_type::{TrainingContent, training_content_type};
pub(crate) use self::source::Source;
use crate::pipe::Piped;
use crate::{Job, Labels, Rows, Selection, TrainError};

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

    /// Gives the rows once, block by block as they are decoded, to an algorithm that keeps them in a form of its own: nothing
    /// is kept here. By pipe it is the first epoch's. The query ids of libsvm (`qid:`) are in [`DMatrix::queries`].
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
            let mut piped = Piped::open(self, rules, &job.stop)?;
            piped.begin()?;
            loop {
                let blocks = piped.next(1)?;
                if blocks.is_empty() {
                    return Ok(());
                }
                blocks.iter().try_for_each(&mut take)?;
            }
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
}

#[cfg(test)]
impl Channel {
    /// All rows in one, for the tests of this crate.
    pub(crate) fn read(&self, rules: &RowRules, job: &Job) -> Result<DMatrix, TrainError> {
        let mut all = crate::Gather::default();
        self.each_block(rules, job, |block| {
            all.push_range(block, 0..block.rows());
            Ok(())
        })?;
        Ok(all.finish())
    }
}

#[cfg(test)]
mod tests;
