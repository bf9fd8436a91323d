//! From an object's bytes to runs of records: what one task carries to the model.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A place in an object (unpacked), between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Bytes before it.
    pub byte: u64,
    /// Records before it.
    pub record: u64,
}

/// Records that stand side by side in an object. With `MultiRecord` it is one call; with `SingleRecord` each record is one, and a
/// run only spares a task for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The records as they stand in the object.
    pub bytes: Bytes,
    /// Where each ends in `bytes`; ascending, the last is the length.
    pub ends: Vec<u32>,
    /// Where it starts in the object.
    pub start: Position,
}

impl Run {
    /// Where it ends in the object.
    pub fn end(&self) -> Position {
        Position {
            byte: self.start.byte + self.bytes.len() as u64,
            record: self.start.record + self.ends.len() as u64,
        }
    }

    /// The bytes of the record at `index`.
    pub fn record(&self, index: usize) -> Bytes {
        let from = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        self.bytes.slice(from..self.ends[index] as usize)
    }
}
