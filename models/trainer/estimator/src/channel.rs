//! A channel's files to labelled rows: files in sorted order, decoded by the project's own codecs, joined.

use std::fs;
use std::path::{Path, PathBuf};

use codecs::{ContentType, Format};
use dmatrix::{DMatrix, LabelPolicy, Missing, Row, RowSchema, Storage};

use crate::{Job, Labels, Rows, Selection, TrainError};

/// The deepest folder below a channel. Reason: SageMaker's container reads three levels.
const FOLDER_DEPTH_MAX: usize = 3;
/// The most files of a channel. Reason: each is opened and decoded on its own; more is a mistaken path.
const FILES_MAX: usize = 100_000;
/// The most bytes of a channel. Reason: it is held in memory as f32 beside XGBoost's copy; 16 GiB of text is about
/// 8 GiB of values, what a large training machine holds twice.
const CHANNEL_BYTES_MAX: u64 = 16 << 30;

/// Where rows come from.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name, as the algorithm's rule has it.
    pub name: &'static str,
    /// A file, a folder of files, or (by pipe) the path that `_0`, `_1`, … are added to.
    pub path: PathBuf,
    /// What the files hold.
    pub content_type: ContentType,
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

/// Reads a training content type, with the short names of SageMaker's container. `labels` say what a `label_size` that is
/// not given is.
///
/// # Errors
/// When the type is not one that carries rows to train on.
pub fn training_content_type(name: &str, labels: Labels) -> Result<ContentType, TrainError> {
    const SERVED: &str = "text/csv, text/libsvm, text/x-libsvm, application/x-recordio-protobuf, csv, libsvm, \
                          recordio-protobuf";
    let full = match name.trim() {
        "parquet" | "application/x-parquet" => {
            return Err(TrainError::client(format!(
                "content type {name:?} is not read by this version: expected one of {SERVED}"
            )));
        }
        other => other,
    };
    let mut content_type = ContentType::parse(full)
        .map_err(|error| TrainError::client(format!("content type {name:?}: {error}")))?;
    match content_type.format {
        Format::Csv if content_type.label_size > 1 => Err(TrainError::client(format!(
            "content type {name:?}: expected label_size=1, found {}",
            content_type.label_size
        ))),
        Format::Csv => {
            let is_said = full.to_ascii_lowercase().contains("label_size");
            match labels {
                Labels::Required => content_type.label_size = 1,
                Labels::Optional if !is_said => content_type.label_size = 1,
                Labels::Optional | Labels::Ignored => {}
            }
            Ok(content_type)
        }
        Format::LibSvm | Format::RecordIo => Ok(content_type),
        Format::Json | Format::JsonLines => Err(TrainError::client(format!(
            "content type {name:?} carries no labels: expected one of {SERVED}"
        ))),
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

    /// Reads the whole channel into memory. With `csv_weights` the second CSV column is the row's weight.
    ///
    /// # Errors
    /// When there is no row, a row is not one, or the files differ in width; the message names file, row and column. When
    /// a stop is asked for.
    pub fn read(&self, rules: &RowRules, job: &Job) -> Result<DMatrix, TrainError> {
        let files = self.files()?;
        self.check_size(&files)?;
        let mut content_type = self.content_type;
        let weighted = rules.csv_weights && content_type.format == Format::Csv;
        content_type.label_size += usize::from(weighted);
        let mut joined = Joined::default();
        for file in &files {
            if job.stop.is_asked_for() {
                return Err(TrainError::Stopped);
            }
            let columns = rules.columns.or(joined.dense_width());
            let mut rows = self.decode(&content_type, rules, file, columns)?;
            if weighted {
                split_weights(&mut rows, file)?;
            }
            if self.labels == Labels::Required {
                check_labels(&rows, file)?;
            }
            joined.append(rows, file)?;
        }
        let rows = joined.finish();
        let rows = match &self.selection {
            Selection::All => rows,
            selection => {
                let kept = (0..rows.rows()).filter(|row| selection.keeps(*row as u64));
                let chosen: Vec<(usize, usize)> = kept.map(|row| (0, row)).collect();
                select(&[&rows], Some(&chosen))
            }
        };
        if rows.is_empty() {
            let (name, path) = (self.name, self.path.display());
            return Err(TrainError::client(format!("channel {name}: expected rows in {path}, found none")));
        }
        Ok(rows)
    }

    /// Opens the channel to be read in batches of `batch_rows` rows, as often as epochs ask. Memory does not grow with the
    /// channel.
    ///
    /// # Errors
    /// When there is no row, or the first rows are not as they should be.
    pub fn open(&self, rules: &RowRules, batch_rows: usize, job: &Job) -> Result<Rows, TrainError> {
        Ok(Rows::of(self.read(rules, job)?, batch_rows))
    }

    /// The channel's files in sorted order; names that start with a dot or an underscore are passed over.
    fn files(&self) -> Result<Vec<PathBuf>, TrainError> {
        let mut files = Vec::new();
        if self.path.is_file() {
            files.push(self.path.clone());
        } else {
            self.collect(&self.path, 0, &mut files)?;
        }
        files.sort();
        if files.is_empty() {
            let (name, path) = (self.name, self.path.display());
            return Err(TrainError::client(format!("channel {name}: expected files in {path}, found none")));
        }
        Ok(files)
    }

    fn collect(&self, folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), TrainError> {
        let fault = |error: std::io::Error| {
            TrainError::client(format!("channel {}: {}: {error}", self.name, folder.display()))
        };
        for entry in fs::read_dir(folder).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(['.', '_']) {
                continue;
            }
            match path.is_dir() {
                true if depth == FOLDER_DEPTH_MAX => {
                    return Err(TrainError::client(format!(
                        "channel {}: expected at most {FOLDER_DEPTH_MAX} folder levels, found more at {}",
                        self.name,
                        path.display()
                    )));
                }
                true => self.collect(&path, depth + 1, files)?,
                false => files.push(path),
            }
            if files.len() > FILES_MAX {
                return Err(TrainError::client(format!(
                    "channel {}: more than {FILES_MAX} files",
                    self.name
                )));
            }
        }
        Ok(())
    }

    /// Decodes one file; `columns` is the width that its rows must have.
    fn decode(
        &self,
        content_type: &ContentType,
        rules: &RowRules,
        file: &Path,
        columns: Option<usize>,
    ) -> Result<DMatrix, TrainError> {
        let bytes =
            fs::read(file).map_err(|error| TrainError::client(format!("{}: {error}", file.display())))?;
        let labels = match self.labels {
            Labels::Required => LabelPolicy::Required,
            // A record's label is passed over by a decoder that does not ask for it.
            Labels::Optional if content_type.label_size > 0 => LabelPolicy::Required,
            Labels::Optional | Labels::Ignored => LabelPolicy::Ignored,
        };
        let schema = RowSchema { columns, missing: rules.missing, labels, ..RowSchema::default() };
        let mut rows = DMatrix::new();
        codecs::decode(content_type, &schema, &bytes, &mut rows)
            .map_err(|error| TrainError::client(format!("{}: {error}", file.display())))?;
        Ok(rows)
    }

    fn check_size(&self, files: &[PathBuf]) -> Result<(), TrainError> {
        let size = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let bytes: u64 = files.iter().map(size).sum();
        if bytes > CHANNEL_BYTES_MAX {
            return Err(TrainError::client(format!(
                "channel {}: expected at most {CHANNEL_BYTES_MAX} bytes, found {bytes}",
                self.name
            )));
        }
        Ok(())
    }
}

/// Takes every second label as the row's weight.
fn split_weights(rows: &mut DMatrix, file: &Path) -> Result<(), TrainError> {
    let pairs: Vec<(f32, f32)> = rows.labels().chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    if let Some(row) = pairs.iter().position(|(_, weight)| !(weight.is_finite() && *weight >= 0.0)) {
        let (file, found) = (file.display(), pairs[row].1);
        let row = row + 1;
        return Err(TrainError::client(format!(
            "{file}: row {row}, column 2: expected a weight of at least 0, found {found}"
        )));
    }
    *rows.labels_mut() = pairs.iter().map(|(label, _)| *label).collect();
    *rows.weights_mut() = pairs.iter().map(|(_, weight)| *weight).collect();
    Ok(())
}

/// One finite label a row.
fn check_labels(rows: &DMatrix, file: &Path) -> Result<(), TrainError> {
    let file = file.display();
    let (found, expected) = (rows.labels().len(), rows.rows());
    if found != expected {
        return Err(TrainError::client(format!(
            "{file}: expected one label a row, found {found} for {expected} rows"
        )));
    }
    match rows.labels().iter().position(|label| !label.is_finite()) {
        Some(row) => Err(TrainError::client(format!(
            "{file}: row {}: expected a label, found a missing value",
            row + 1
        ))),
        None => Ok(()),
    }
}

/// The rows of several files, to be joined.
#[derive(Debug, Default)]
struct Joined {
    parts: Vec<DMatrix>,
}

impl Joined {
    /// The width that dense rows must have from now on.
    fn dense_width(&self) -> Option<usize> {
        self.parts.first().filter(|part| part.storage() == Storage::Dense).map(DMatrix::columns)
    }

    /// Adds the rows of `file`.
    fn append(&mut self, rows: DMatrix, file: &Path) -> Result<(), TrainError> {
        if rows.is_empty() {
            return Ok(());
        }
        if self.parts.first().is_some_and(|first| first.weights().is_empty() != rows.weights().is_empty()) {
            let file = file.display();
            return Err(TrainError::client(format!("{file}: expected weights in all files or in none")));
        }
        self.parts.push(rows);
        Ok(())
    }

    fn finish(mut self) -> DMatrix {
        if self.parts.len() < 2 {
            return self.parts.pop().unwrap_or_default();
        }
        if self.parts.iter().any(|part| part.storage() == Storage::Sparse) {
            self.parts.iter_mut().for_each(DMatrix::make_sparse);
        }
        select(&self.parts.iter().collect::<Vec<_>>(), None)
    }
}

/// The rows of `parts`, one after the other, as one matrix; only those `chosen` (part, row), if given.
pub fn select(parts: &[&DMatrix], chosen: Option<&[(usize, usize)]>) -> DMatrix {
    let everything = || {
        let rows = |(part, matrix): (usize, &&DMatrix)| {
            (0..matrix.rows()).map(move |row| (part, row)).collect::<Vec<_>>()
        };
        parts.iter().enumerate().flat_map(rows).collect::<Vec<_>>()
    };
    let all = chosen.map_or_else(everything, <[(usize, usize)]>::to_vec);
    let columns = parts.iter().map(|part| part.columns()).max().unwrap_or(0);
    let mut out = DMatrix::new();
    if parts.first().is_some_and(|part| part.storage() == Storage::Sparse) {
        let buffers = out.begin_sparse();
        for &(part, row) in &all {
            if let Row::Sparse { indices, values } = parts[part].row(row) {
                buffers.indices.extend_from_slice(indices);
                buffers.values.extend_from_slice(values);
            }
            buffers.offsets.push(buffers.indices.len());
        }
        out.finish_sparse(columns);
    } else {
        let buffer = out.begin_dense();
        for &(part, row) in &all {
            if let Row::Dense(values) = parts[part].row(row) {
                buffer.extend_from_slice(values);
            }
        }
        out.finish_dense(columns);
    }
    out.labels_mut().extend(all.iter().filter_map(|&(part, row)| parts[part].labels().get(row)));
    out.weights_mut().extend(all.iter().filter_map(|&(part, row)| parts[part].weights().get(row)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job::for_tests(&[], &[])
    }

    fn read(files: &[(&str, &str)], content_type: &str, csv_weights: bool) -> Result<DMatrix, String> {
        let folder = tempfile::tempdir().expect("a scratch folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let channel = Channel::for_tests("train", folder.path(), content_type, Labels::Required)
            .map_err(|error| error.to_string())?;
        let root = folder.path().display().to_string();
        let rules = RowRules { columns: None, missing: Missing::Allowed, csv_weights };
        channel.read(&rules, &job()).map_err(|error| error.to_string().replace(&root, ""))
    }

    #[test]
    fn files_are_joined_in_sorted_order() {
        let files = [("b.csv", "2,5,6\n"), ("a/x.csv", "1,3,4\n"), ("_SUCCESS", "no"), (".hidden", "no")];
        let rows = read(&files, "csv", false).expect("good files");
        assert_eq!((rows.rows(), rows.columns()), (2, 2));
        assert_eq!(rows.labels(), [1.0, 2.0]);
        assert_eq!(rows.values(), [3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn weights_are_the_second_column() {
        let rows = read(&[("a.csv", "1,0.5,3\n0,2,4\n")], "text/csv", true).expect("good files");
        assert_eq!(rows.labels(), [1.0, 0.0]);
        assert_eq!(rows.weights(), [0.5, 2.0]);
        assert_eq!(rows.values(), [3.0, 4.0]);
    }

    #[test]
    fn empty_cells_are_missing() {
        let rows = read(&[("a.csv", "1,,3\n")], "text/csv", false).expect("good files");
        assert!(rows.values()[0].is_nan());
    }

    #[test]
    fn libsvm_rows_are_as_wide_as_the_widest() {
        let rows = read(&[("a", "1 0:1 3:2\n"), ("b", "0 5:7\n")], "text/libsvm", false).expect("good files");
        assert_eq!((rows.rows(), rows.columns(), rows.storage()), (2, 6, Storage::Sparse));
        assert_eq!(rows.row(1), Row::Sparse { indices: &[5], values: &[7.0] });
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let check = |files: &[(&str, &str)], content_type, weights, expected: &[&str]| {
            let error = read(files, content_type, weights).expect_err("something is wrong");
            for part in expected {
                assert!(error.contains(part), "{part:?} is not in {error:?}");
            }
        };
        check(&[("a.csv", "1,2\n1,x\n")], "text/csv", false, &["/a.csv", "row 2", "column 2", "x"]);
        check(&[("a.csv", "1,2\n"), ("b.csv", "1,2,3\n")], "text/csv", false, &["/b.csv", "row 1"]);
        check(&[("a.csv", ",2\n")], "text/csv", false, &["/a.csv", "row 1", "label"]);
        check(&[("a.csv", "1,-1,2\n")], "text/csv", true, &["row 1, column 2", "weight of at least 0", "-1"]);
        check(&[("a.csv", "")], "text/csv", false, &["channel train: expected rows", "found none"]);
        check(&[("_a.csv", "1,2\n")], "text/csv", false, &["channel train: expected files", "found none"]);
        check(&[("a/b/c/d/e.csv", "1,2\n")], "text/csv", false, &["at most 3 folder levels", "/a/b/c/d"]);
        check(&[("a", "1 2:3\n")], "application/json", false, &["carries no labels"]);
        check(&[("a", "1 2:3\n")], "application/x-parquet", false, &["not read by this version"]);
        check(&[("a", "1 2:3\n")], "text/csv;label_size=2", false, &["expected label_size=1, found 2"]);
        check(&[("a", "1 2:3\n")], "image/png", false, &["image/png"]);
    }

    #[test]
    fn a_stop_request_ends_reading() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        fs::write(folder.path().join("a.csv"), "1,2\n").expect("a file");
        let job = job();
        job.stop.ask();
        let channel = Channel::for_tests("train", folder.path(), "csv", Labels::Required).expect("known");
        let rules = RowRules::finite(None);
        assert_eq!(channel.read(&rules, &job).expect_err("stopped").exit_code(), 143);
    }

    #[test]
    fn a_missing_folder_is_the_callers_mistake() {
        let channel =
            Channel::for_tests("train", Path::new("/nonexistent"), "csv", Labels::Required).expect("known");
        let error = channel.read(&RowRules::finite(None), &job()).expect_err("no folder");
        assert_eq!(error.exit_code(), 2);
    }
}
