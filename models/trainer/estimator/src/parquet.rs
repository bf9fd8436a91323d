//! Parquet files as rows: flat columns of numbers, of which the first is the label and, with `csv_weights`, the second the
//! row's weight. Layout: <https://github.com/apache/parquet-format>.
//!
//! Read here are: booleans, integers of all widths, floats and doubles; pages of both versions, plain, with dictionaries,
//! deltas or byte streams; without compression or with snappy, gzip or zstd.
//!
//! Memory: one row group as numbers (4 bytes a value), and one of its columns as it stands in the file. It does not grow
//! with the file. The rows come in blocks of about a mebibyte.

mod compression;
mod encodings;
mod metadata;
mod pages;
mod thrift;

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dmatrix::{DMatrix, Missing};

use self::metadata::{Metadata, RowGroup};
use crate::{Labels, RowRules, TrainError};

/// The most values of a row group. Reason: half a gibibyte of numbers; writers end groups at a million rows.
const GROUP_VALUES_MAX: usize = 128 << 20;
/// About how many values a block has. Reason: a mebibyte, as of other formats.
const BLOCK_VALUES: usize = 256 << 10;

/// Reads the files of one channel, one after the other.
pub(crate) struct Parquet {
    files: VecDeque<PathBuf>,
    /// Columns before the features: the label, the weight.
    leading: usize,
    is_weighted: bool,
    missing: Missing,
    /// The number of features, once it is known.
    features: Option<usize>,
    open: Option<Open>,
}

/// A file, and its row group at hand.
struct Open {
    path: Arc<Path>,
    file: File,
    metadata: Metadata,
    next_group: usize,
    rows_before: usize,
    group: Option<Group>,
}

/// A row group's columns; blocks are made of them.
struct Group {
    columns: Vec<Vec<f32>>,
    rows: usize,
    given: usize,
}

impl Parquet {
    /// Over `files`.
    pub(crate) fn new(files: Vec<PathBuf>, labels: Labels, rules: &RowRules) -> Self {
        let is_labelled = labels != Labels::Ignored;
        let is_weighted = is_labelled && rules.csv_weights;
        Self {
            files: files.into(),
            leading: usize::from(is_labelled) + usize::from(is_weighted),
            is_weighted,
            missing: rules.missing,
            features: rules.columns,
            open: None,
        }
    }

    /// The next block and its file; `None` at the end.
    ///
    /// # Errors
    /// When a file is not Parquet, has columns of other things than numbers or of another number, or a value is not one.
    pub(crate) fn next(&mut self) -> Result<Option<(Arc<Path>, DMatrix)>, TrainError> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(path) = self.files.pop_front() else { return Ok(None) };
                let opened = self.open_file(&path);
                self.open = Some(opened.map_err(|reason| fault(&path, &reason))?);
                continue;
            };
            let path = Arc::clone(&open.path);
            if open.group.as_ref().is_some_and(|group| group.given < group.rows) {
                let block = self.block().map_err(|reason| fault(&path, &reason))?;
                return Ok(Some((path, block)));
            }
            open.rows_before += open.group.take().map_or(0, |group| group.rows);
            if open.next_group == open.metadata.groups.len() {
                self.open = None;
                continue;
            }
            let place = open.next_group;
            let group = open.read_group();
            let group = group.map_err(|reason| fault(&path, &format!("row group {place}: {reason}")))?;
            open.next_group += 1;
            open.group = Some(group);
        }
    }

    fn open_file(&mut self, path: &Path) -> Result<Open, String> {
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        let metadata = Metadata::read(&mut file)?;
        let (found, leading) = (metadata.columns.len(), self.leading);
        if found <= leading {
            let leading = ["", "a label", "a label, a weight"][leading];
            return Err(format!("expected {leading} and features, found {found} columns"));
        }
        let expected = *self.features.get_or_insert(found - leading);
        if found - leading != expected {
            return Err(format!("expected {expected} features, found {}", found - leading));
        }
        Ok(Open { path: path.into(), file, metadata, next_group: 0, rows_before: 0, group: None })
    }

    /// The next rows of the row group at hand.
    fn block(&mut self) -> Result<DMatrix, String> {
        let open = self.open.as_mut().expect("a file is open");
        let group = open.group.as_mut().expect("a row group is at hand");
        let (leading, features) = (self.leading, group.columns.len() - self.leading);
        let start = group.given;
        let end = group.rows.min(start + (BLOCK_VALUES / features).max(1));
        group.given = end;
        let mut values = vec![0.0; (end - start) * features];
        let place =
            |row: usize, column: usize| format!("row {}, column {}", open.rows_before + row + 1, column + 1);
        for (at, column) in group.columns.iter().enumerate() {
            for (row, &found) in (start..end).zip(&column[start..end]) {
                if found.is_infinite() {
                    return Err(format!(
                        "{}: expected a number in single precision, found {found}",
                        place(row, at)
                    ));
                }
                if at >= leading {
                    let missing = matches!(self.missing, Missing::Sentinel(sentinel) if sentinel == found);
                    values[(row - start) * features + at - leading] = if missing { f32::NAN } else { found };
                    if found.is_nan() && matches!(self.missing, Missing::Refused) {
                        return Err(format!("{}: expected a number, found a missing value", place(row, at)));
                    }
                } else if found.is_nan() {
                    let what = ["label", "weight"][at];
                    return Err(format!("{}: expected a {what}, found a missing value", place(row, at)));
                } else if at == 1 && found < 0.0 {
                    return Err(format!(
                        "{}: expected a weight of at least 0, found {found}",
                        place(row, at)
                    ));
                }
            }
        }
        let mut block = DMatrix::from_dense(values, features);
        if leading > 0 {
            block.labels_mut().extend_from_slice(&group.columns[0][start..end]);
        }
        if self.is_weighted {
            block.weights_mut().extend_from_slice(&group.columns[1][start..end]);
        }
        Ok(block)
    }
}

impl Open {
    fn read_group(&mut self) -> Result<Group, String> {
        let RowGroup { rows, chunks } = &self.metadata.groups[self.next_group];
        let columns = &self.metadata.columns;
        if rows.checked_mul(columns.len()).is_none_or(|values| values > GROUP_VALUES_MAX) {
            return Err(format!(
                "expected at most {GROUP_VALUES_MAX} values, found {rows} rows of {}: write smaller row groups",
                columns.len()
            ));
        }
        let read = columns.iter().zip(chunks).map(|(column, chunk)| {
            let values = pages::read(&mut self.file, column, chunk, *rows);
            values.map_err(|reason| format!("column {:?}: {reason}", column.name))
        });
        Ok(Group { columns: read.collect::<Result<_, _>>()?, rows: *rows, given: 0 })
    }
}

fn fault(path: &Path, reason: &str) -> TrainError {
    TrainError::client(format!("{}: {reason}", path.display()))
}

#[cfg(test)]
mod tests;
