//! Rows that do not fit in memory: written once to a file of the scratch folder, read back batch by batch.
//!
//! The file has no name once it is open, so that nothing is left behind whatever ends the process. It is read by the process
//! that wrote it alone, and so in the machine's own byte order.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use dmatrix::{DMatrix, Storage};
use estimator::TrainError;

use crate::collect::counted_bytes;
use crate::ffi::{Batches, LibraryError};

/// Bytes that are read or written at once. Reason: large enough for a disk, small beside a batch.
const BUFFER_BYTES: usize = 1 << 20;

/// Batches in a file.
#[derive(Debug)]
pub(crate) struct Spill {
    file: BufReader<File>,
    batch: DMatrix,
    /// Whether dense batches are given as sparse ones, since others are.
    as_sparse: bool,
    columns: usize,
    /// How many bytes of parts are given at once, unless one part has more.
    page_bytes: u64,
    /// The head of the part that the last page had no room for.
    pending: Option<Head>,
}

/// What a part begins with.
#[derive(Debug, Clone, Copy)]
struct Head {
    is_sparse: bool,
    rows: usize,
    columns: usize,
    values: usize,
}

/// A file that batches are still added to.
#[derive(Debug)]
pub(crate) struct SpillWriter {
    file: BufWriter<File>,
}

impl SpillWriter {
    /// A new file in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn new(folder: &Path, channel: &str) -> Result<Self, TrainError> {
        let path =
            folder.join(format!("xgboost-{channel}-{}-{:x}.rows", std::process::id(), fastrand::u64(..)));
        let fault = |error: std::io::Error| TrainError::io(&path, &error);
        fs::create_dir_all(folder).map_err(fault)?;
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(fault)?;
        fs::remove_file(&path).map_err(fault)?;
        Ok(Self { file: BufWriter::with_capacity(BUFFER_BYTES, file) })
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// When the disk is full.
    pub(crate) fn push(&mut self, rows: &DMatrix) -> std::io::Result<()> {
        let is_sparse = rows.storage() == Storage::Sparse;
        let head =
            [u64::from(is_sparse), rows.rows() as u64, rows.columns() as u64, rows.values().len() as u64];
        head.iter().try_for_each(|number| self.file.write_all(&number.to_ne_bytes()))?;
        if is_sparse {
            rows.offsets().iter().try_for_each(|offset| self.file.write_all(&offset.to_ne_bytes()))?;
            rows.indices().iter().try_for_each(|index| self.file.write_all(&index.to_ne_bytes()))?;
        }
        rows.values().iter().try_for_each(|value| self.file.write_all(&value.to_ne_bytes()))
    }

    /// Ends writing. All batches will have `columns` features, and be sparse if `as_sparse`.
    ///
    /// # Errors
    /// When the disk is full.
    pub(crate) fn finish(self, columns: usize, as_sparse: bool) -> std::io::Result<Spill> {
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Spill { file, batch: DMatrix::new(), as_sparse, columns, page_bytes: 0, pending: None })
    }
}

impl Spill {
    /// Whether its batches are sparse.
    pub(crate) fn is_sparse(&self) -> bool {
        self.as_sparse
    }

    /// Lets as many parts be one batch as have `page_bytes`.
    pub(crate) fn set_page_bytes(&mut self, page_bytes: u64) {
        self.page_bytes = page_bytes;
    }

    /// The next part's head, `None` at the end of the file.
    fn head(&mut self) -> std::io::Result<Option<Head>> {
        if let Some(head) = self.pending.take() {
            return Ok(Some(head));
        }
        let Some(is_sparse) = read_number(&mut self.file)? else { return Ok(None) };
        let mut number = || {
            let number = read_number(&mut self.file)?;
            number.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
        };
        let (rows, columns, values) = (number()? as usize, number()? as usize, number()? as usize);
        Ok(Some(Head { is_sparse: is_sparse == 1, rows, columns, values }))
    }

    /// Reads the next page, of which `first` begins the first part.
    fn page(&mut self, first: Head) -> std::io::Result<()> {
        // Parts are read one behind the other: the head of a second is known only once the first is read.
        let mut bytes = counted_bytes(first.rows, first.values);
        // The last page is freed before this one is read.
        self.batch = DMatrix::new();
        let (mut values, mut indices, mut offsets) = (Vec::new(), Vec::new(), vec![0]);
        let mut head = first;
        loop {
            if head.is_sparse {
                let before = values.len();
                let mut own = Vec::new();
                read_all(&mut self.file, head.rows + 1, usize::from_ne_bytes, &mut own)?;
                offsets.extend(own[1..].iter().map(|offset| before + offset));
                read_all(&mut self.file, head.values, u32::from_ne_bytes, &mut indices)?;
            }
            read_all(&mut self.file, head.values, f32::from_ne_bytes, &mut values)?;
            let Some(next) = self.head()? else { break };
            bytes += counted_bytes(next.rows, next.values);
            let is_alike =
                next.is_sparse == first.is_sparse && (next.is_sparse || next.columns == first.columns);
            if !is_alike || bytes > self.page_bytes {
                self.pending = Some(next);
                break;
            }
            head = next;
        }
        if first.is_sparse {
            let parts = self.batch.begin_sparse();
            (*parts.indices, *parts.values, *parts.offsets) = (indices, values, offsets);
            self.batch.finish_sparse(self.columns);
        } else {
            self.batch = DMatrix::from_dense(values, first.columns);
            if self.as_sparse {
                self.batch.make_sparse();
                self.batch.widen(self.columns);
            }
        }
        Ok(())
    }

    /// Lets its sparse rows be of more features.
    pub(crate) fn widen(&mut self, columns: usize) {
        self.columns = columns;
    }
}

impl Batches for Spill {
    fn restart(&mut self) -> Result<(), LibraryError> {
        self.file.seek(SeekFrom::Start(0))?;
        self.pending = None;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<&DMatrix>, LibraryError> {
        let Some(first) = self.head()? else { return Ok(None) };
        self.page(first)?;
        Ok(Some(&self.batch))
    }
}

/// The next number, or `None` at the end of the file.
fn read_number(file: &mut impl Read) -> std::io::Result<Option<u64>> {
    let mut bytes = [0; 8];
    match file.read(&mut bytes[..1])? {
        0 => Ok(None),
        _ => {
            file.read_exact(&mut bytes[1..])?;
            Ok(Some(u64::from_ne_bytes(bytes)))
        }
    }
}

/// Appends `count` values of `N` bytes.
fn read_all<T, const N: usize>(
    file: &mut impl Read,
    count: usize,
    convert: fn([u8; N]) -> T,
    into: &mut Vec<T>,
) -> std::io::Result<()> {
    let mut left = count * N;
    let mut buffer = vec![0; left.min(BUFFER_BYTES)];
    while left > 0 {
        let some = left.min(BUFFER_BYTES);
        file.read_exact(&mut buffer[..some])?;
        into.extend(buffer[..some].as_chunks::<N>().0.iter().map(|bytes| convert(*bytes)));
        left -= some;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(columns: usize) -> DMatrix {
        let mut rows = DMatrix::new();
        let parts = rows.begin_sparse();
        parts.indices.extend([1, 0, 2]);
        parts.values.extend([0.5, f32::NAN, -1.0]);
        parts.offsets.extend([1, 1, 3]);
        rows.finish_sparse(columns);
        rows
    }

    #[test]
    fn what_was_written_is_read_as_often_as_asked() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let mut writer = SpillWriter::new(folder.path(), "train").expect("a writable folder");
        let dense = DMatrix::from_dense((0..6).map(|value| value as f32).collect(), 2);
        writer.push(&dense).expect("space");
        writer.push(&sparse(3)).expect("space");
        let mut spill = writer.finish(4, true).expect("space");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0, "the file has no name");
        for _ in 0..2 {
            spill.restart().expect("a file");
            let first = spill.next().expect("a file").expect("a batch");
            assert_eq!((first.rows(), first.columns(), first.storage()), (3, 4, Storage::Sparse));
            assert_eq!(first.values(), dense.values());
            let second = spill.next().expect("a file").expect("a batch");
            assert_eq!((second.offsets(), second.indices()), (sparse(3).offsets(), sparse(3).indices()));
            assert!(second.values()[1].is_nan());
            assert!(spill.next().expect("a file").is_none());
        }
    }
}
