//! From an object's bytes to runs of records: what one task carries to the model.
//!
//! [`Batcher`] is synchronous and knows no store. It is fed what comes and gives runs; where they are cut follows from the
//! bytes alone, so that whoever starts again at the end of a run gets the same runs, however the bytes come in pieces.

mod batcher;
mod pending;
mod plan;

use std::ops::Range;

use bytes::Bytes;
use codecs::framing::SplitType;
use serde::{Deserialize, Serialize};

pub use batcher::Batcher;

use crate::settings::{BatchStrategy, Settings};
use plan::Plan;

/// A place in an object (unpacked), between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Bytes before it.
    pub byte: u64,
    /// Records before it.
    pub record: u64,
}

/// Why an object's bytes are no runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// They are not of the framing, or end within a record.
    #[error("record {record}, byte {byte}: expected {expected}, found {found}")]
    Malformed {
        /// The record, from 1.
        record: u64,
        /// The byte offset in the object.
        byte: u64,
        /// What the framing asks for there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// One record alone is larger than a payload may be.
    #[error(
        "record {record}, byte {byte}: expected a record of at most {limit_bytes} bytes (MaxPayloadInMB), found {}",
        size_bytes.map_or("a larger one".to_owned(), |size| format!("one of {size}"))
    )]
    TooLarge {
        /// The record, from 1.
        record: u64,
        /// Where it starts in the object.
        byte: u64,
        /// Its size, where that is known: a record of `SplitType` `None` is the object.
        size_bytes: Option<u64>,
        /// The largest payload.
        limit_bytes: usize,
    },
    /// A document has no place where it can be cut, and is too large to hold.
    #[error(
        "expected at most {limit_bytes} bytes of {content_type}, which cannot be cut into pieces (MaxPayloadInMB 0 without \
         SplitType), found more"
    )]
    Uncuttable {
        /// What it is.
        content_type: String,
        /// What is held of it.
        limit_bytes: usize,
    },
}

impl BatchError {
    /// The record that is to blame, from 1, and where it (or what is wrong with it) stands in the object.
    pub fn place(&self) -> Option<(u64, u64)> {
        match *self {
            Self::Malformed { record, byte, .. } | Self::TooLarge { record, byte, .. } => {
                Some((record, byte))
            }
            Self::Uncuttable { .. } => None,
        }
    }
}

/// Records that stand side by side in an object. With `MultiRecord` it is one call; with `SingleRecord` each record is one, and a
/// run only spares a task for each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run {
    /// The records as they stand in the object, with the blank lines between them where those are no records.
    pub bytes: Bytes,
    /// Where each ends in `bytes`; ascending, the last is the length.
    pub ends: Vec<u32>,
    /// Where it starts in the object.
    pub start: Position,
    /// What frames its records.
    pub split_type: SplitType,
    /// Whether its records are one call, or one each.
    pub strategy: BatchStrategy,
    /// Whether blank lines may stand before a record, which are no part of it.
    pub has_blank_lines: bool,
}

impl Run {
    /// Where it ends in the object.
    pub fn end(&self) -> Position {
        Position {
            byte: self.start.byte + self.bytes.len() as u64,
            record: self.start.record + self.ends.len() as u64,
        }
    }

    /// How many records it has.
    pub fn records(&self) -> usize {
        self.ends.len()
    }

    /// How many calls it makes.
    pub fn calls(&self) -> usize {
        match self.strategy {
            BatchStrategy::MultiRecord => 1,
            BatchStrategy::SingleRecord => self.records(),
        }
    }

    /// The bytes of the record at `index`, framing included.
    pub fn record(&self, index: usize) -> Bytes {
        self.bytes.slice(self.range(index))
    }

    /// How many bytes the record at `index` has, framing included.
    pub fn record_bytes(&self, index: usize) -> usize {
        self.range(index).len()
    }

    /// Where the record at `index` starts in the object.
    pub fn position(&self, index: usize) -> Position {
        Position {
            byte: self.start.byte + self.range(index).start as u64,
            record: self.start.record + index as u64,
        }
    }

    /// What is sent for all its records together (`MultiRecord`): they as they stand, without blank lines between them.
    pub fn payload(&self) -> Bytes {
        if !self.has_blank_lines {
            return self.bytes.clone();
        }
        let mut payload = Vec::with_capacity(self.bytes.len());
        (0..self.records()).for_each(|index| payload.extend_from_slice(&self.bytes[self.range(index)]));
        payload.into()
    }

    /// What is sent for the record at `index` alone (`SingleRecord`): without the frame of RecordIO or TFRecord; a line keeps
    /// its end.
    pub fn content(&self, index: usize) -> Bytes {
        let record = self.record(index);
        if matches!(self.split_type, SplitType::None | SplitType::Line) {
            return record;
        }
        let mut joined = Vec::new();
        let content = self.split_type.content(&record, &mut joined);
        let is_part_of_record = record.as_ptr_range().contains(&content.as_ptr());
        if is_part_of_record { record.slice_ref(content) } else { Bytes::copy_from_slice(content) }
    }

    /// Some of its records, as a run: half of one that was refused, say.
    pub fn part(&self, records: Range<usize>) -> Self {
        let (first, last) = (self.range(records.start).start, self.ends[records.end - 1] as usize);
        Self {
            bytes: self.bytes.slice(first..last),
            ends: self.ends[records.clone()].iter().map(|end| end - first as u32).collect(),
            start: self.position(records.start),
            split_type: self.split_type,
            strategy: self.strategy,
            has_blank_lines: self.has_blank_lines,
        }
    }

    /// Where the record at `index` lies in `bytes`, without blank lines before it.
    fn range(&self, index: usize) -> Range<usize> {
        let from = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        let to = self.ends[index] as usize;
        let blank = if self.has_blank_lines { blank_lines(&self.bytes[from..to]) } else { 0 };
        from + blank..to
    }
}

/// What is sent in the call at `index` of those that `run` makes.
///
/// # Panics
/// When there is no such call.
pub fn payload(run: &Run, index: usize) -> Bytes {
    assert!(index < run.calls(), "a run makes as many calls as it says");
    match run.strategy {
        BatchStrategy::MultiRecord => run.payload(),
        BatchStrategy::SingleRecord => run.content(index),
    }
}

/// Holds an object of so many (unpacked) bytes to the limit where it is one payload: it need not be read to be refused.
///
/// # Errors
/// When it is too large.
pub fn check_object_bytes(settings: &Settings, bytes: u64) -> Result<(), BatchError> {
    let plan = Plan::new(settings);
    match plan.is_whole() && bytes > plan.record_bytes_max as u64 {
        true => Err(plan.too_large(1, 0, Some(bytes))),
        false => Ok(()),
    }
}

/// Whether an object is cut into calls of several records that no limit cuts: an endless payload, wherever its records end.
pub(crate) fn is_cut_at_will(settings: &Settings) -> bool {
    let plan = Plan::new(settings);
    plan.is_endless && plan.strategy == BatchStrategy::MultiRecord
}

/// How many bytes at the start of `text` are whole blank lines: a newline, or a carriage return and a newline.
fn blank_lines(text: &[u8]) -> usize {
    let mut blank = 0;
    loop {
        match &text[blank..] {
            [b'\n', ..] => blank += 1,
            [b'\r', b'\n', ..] => blank += 2,
            _ => return blank,
        }
    }
}

#[cfg(test)]
mod tests;
