//! Blocks of rows: in memory up to a budget, in a file beyond it. The file has no name any more when it is written to, so that
//! no end of the process leaves it behind. A block is read back as a whole.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use dmatrix::{DMatrix, Storage};

use crate::TrainError;

/// Numbers the files of this process.
static NEXT_FILE: AtomicU64 = AtomicU64::new(0);

/// Blocks, numbered from 0.
#[derive(Debug)]
pub(crate) struct Store {
    slots: Vec<Slot>,
    kept_bytes: u64,
    budget_bytes: u64,
    scratch: PathBuf,
    spill: Option<(File, u64)>,
    /// The block to be written, as bytes.
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Slot {
    Kept(DMatrix),
    Spilled(Spilled),
}

/// Where a block lies in the file, and the lengths of its parts.
#[derive(Debug, Clone, Copy)]
struct Spilled {
    offset: u64,
    storage: Storage,
    rows: usize,
    columns: usize,
    values: usize,
    labels: usize,
    weights: usize,
    queries: usize,
}

impl Store {
    /// Keeps `budget_bytes` in memory, and the rest in the folder `scratch`.
    pub(crate) fn new(budget_bytes: u64, scratch: &Path) -> Self {
        Self {
            slots: Vec::new(),
            kept_bytes: 0,
            budget_bytes,
            scratch: scratch.into(),
            spill: None,
            buffer: Vec::new(),
        }
    }

    /// Adds a block.
    pub(crate) fn push(&mut self, block: DMatrix) -> Result<(), TrainError> {
        let bytes = block_bytes(&block);
        if self.kept_bytes + bytes <= self.budget_bytes {
            self.kept_bytes += bytes;
            self.slots.push(Slot::Kept(block));
            return Ok(());
        }
        let spilled = self.write(&block)?;
        self.slots.push(Slot::Spilled(spilled));
        Ok(())
    }

    /// The number of blocks.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The memory that block `index` takes when it is loaded: nothing, when it is there.
    pub(crate) fn load_bytes(&self, index: usize) -> u64 {
        match &self.slots[index] {
            Slot::Kept(_) => 0,
            Slot::Spilled(spilled) => spilled.bytes() as u64,
        }
    }

    /// Bytes in memory and bytes in the file.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (u64, u64) {
        (self.kept_bytes, self.spill.as_ref().map_or(0, |(_, end)| *end))
    }

    /// Block `index`.
    pub(crate) fn load(&self, index: usize) -> Result<Cow<'_, DMatrix>, TrainError> {
        match &self.slots[index] {
            Slot::Kept(block) => Ok(Cow::Borrowed(block)),
            Slot::Spilled(spilled) => {
                let (file, _) = self.spill.as_ref().expect("a spilled block is in the file");
                let mut bytes = vec![0; spilled.bytes()];
                file.read_exact_at(&mut bytes, spilled.offset).map_err(|error| self.fault(&error))?;
                Ok(Cow::Owned(spilled.parse(&bytes)))
            }
        }
    }

    fn write(&mut self, block: &DMatrix) -> Result<Spilled, TrainError> {
        let (file, end) = match self.spill.take() {
            Some(spill) => spill,
            None => (nameless_file(&self.scratch).map_err(|error| self.fault(&error))?, 0),
        };
        let spilled = Spilled {
            offset: end,
            storage: block.storage(),
            rows: block.rows(),
            columns: block.columns(),
            values: block.values().len(),
            labels: block.labels().len(),
            weights: block.weights().len(),
            queries: block.queries().len(),
        };
        self.buffer.clear();
        for floats in [block.values(), block.labels(), block.weights()] {
            self.buffer.extend(floats.iter().flat_map(|value| value.to_le_bytes()));
        }
        self.buffer.extend(block.queries().iter().flat_map(|query| query.to_le_bytes()));
        if block.storage() == Storage::Sparse {
            self.buffer.extend(block.indices().iter().flat_map(|index| index.to_le_bytes()));
            self.buffer.extend(block.offsets().iter().flat_map(|offset| (*offset as u64).to_le_bytes()));
        }
        assert_eq!(self.buffer.len(), spilled.bytes(), "a block is as long as its parts");
        file.write_all_at(&self.buffer, end).map_err(|error| self.fault(&error))?;
        self.spill = Some((file, end + self.buffer.len() as u64));
        Ok(spilled)
    }

    fn fault(&self, error: &std::io::Error) -> TrainError {
        let scratch = self.scratch.display();
        TrainError::Internal(format!("rows beyond the memory's share cannot be kept in {scratch}: {error}"))
    }
}

impl Spilled {
    /// Bytes in the file, and nearly as many in memory.
    fn bytes(&self) -> usize {
        let sparse = match self.storage {
            Storage::Dense => 0,
            Storage::Sparse => self.values * 4 + (self.rows + 1) * 8,
        };
        (self.values + self.labels + self.weights + self.queries) * 4 + sparse
    }

    fn parse(&self, bytes: &[u8]) -> DMatrix {
        let (values, rest) = bytes.split_at(self.values * 4);
        let (labels, rest) = rest.split_at(self.labels * 4);
        let (weights, rest) = rest.split_at(self.weights * 4);
        let (queries, rest) = rest.split_at(self.queries * 4);
        let mut block = match self.storage {
            Storage::Dense => DMatrix::from_dense(floats(values), self.columns),
            Storage::Sparse => {
                let (indices, offsets) = rest.split_at(self.values * 4);
                let mut block = DMatrix::new();
                let parts = block.begin_sparse();
                *parts.values = floats(values);
                *parts.indices = wholes(indices);
                let eights = offsets.as_chunks::<8>().0.iter();
                *parts.offsets = eights.map(|eight| u64::from_le_bytes(*eight) as usize).collect();
                block.finish_sparse(self.columns);
                block
            }
        };
        *block.labels_mut() = floats(labels);
        *block.weights_mut() = floats(weights);
        *block.queries_mut() = wholes(queries);
        block
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

fn wholes(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four)).collect()
}

/// The memory of a block.
pub(crate) fn block_bytes(block: &DMatrix) -> u64 {
    let fours = block.values().len() + block.indices().len() + block.labels().len() + block.weights().len();
    ((fours + block.queries().len()) * 4 + block.offsets().len() * 8) as u64
}

/// A file in `folder` that is gone when it is closed.
fn nameless_file(folder: &Path) -> std::io::Result<File> {
    let number = NEXT_FILE.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".clary-train-{}-{number}.rows", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_as_they_were() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let mut store = Store::new(20, folder.path());
        let mut dense = DMatrix::from_dense(vec![1.0, f32::NAN, 3.0, 4.0], 2);
        dense.labels_mut().extend([0.5, 1.5]);
        dense.weights_mut().extend([2.0, 3.0]);
        dense.queries_mut().extend([8, 9]);
        let mut sparse = DMatrix::from_dense(vec![1.0, 2.0, 3.0, 4.0], 2);
        sparse.make_sparse();
        let small = DMatrix::from_dense(vec![5.0], 1);
        for block in [&dense, &small, &sparse] {
            store.push(block.clone()).expect("a writable folder");
        }
        for (index, block) in [&dense, &small, &sparse].into_iter().enumerate() {
            let loaded = store.load(index).expect("a readable file");
            assert_eq!(format!("{loaded:?}"), format!("{block:?}"));
        }
        assert_eq!(store.sizes(), (4, block_bytes(&dense) + block_bytes(&sparse)));
        assert_eq!((store.load_bytes(0), store.load_bytes(1)), (block_bytes(&dense), 0));
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0, "the file has no name");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let mut store = Store::new(0, Path::new("/nonexistent"));
        let error = store.push(DMatrix::from_dense(vec![1.0], 1)).expect_err("no folder");
        assert!(error.to_string().contains("/nonexistent"), "{error}");
    }
}
