//! Record framing: cuts a stream into records and puts records together again, incrementally and without looking at
//! what a record means (that is the format's affair). The law: the records of a [`Splitter`], concatenated, are its
//! input, however the input was cut into chunks.
//!
//! ```
//! use codecs::framing::{SplitType, Splitter};
//!
//! let mut splitter = Splitter::new(SplitType::Line);
//! splitter.feed(b"1,2\r\n3");
//! assert_eq!(splitter.next_record().unwrap().unwrap().bytes, b"1,2\r\n");
//! assert!(splitter.next_record().unwrap().is_none());
//! splitter.feed(b",4");
//! let last = splitter.finish().unwrap().unwrap();
//! assert_eq!((last.bytes, last.offset), (&b"3,4"[..], 5));
//! ```

mod crc32c;
mod ends;
mod line;
mod recordio;
mod tfrecord;

use crate::recordio::{PAYLOAD_BYTES_MAX, payload, write_frame};

pub use ends::RecordEnds;

/// What separates the records of an object. A record is yielded as it stands in the object:
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SplitType {
    /// Nothing: the whole object is one record (an empty object is none).
    #[default]
    None,
    /// Newlines. A record is a line with its `\n`; a carriage return before it stays; blank lines are records; what
    /// follows the last newline is a record too. Newlines inside CSV quotes are not known here.
    Line,
    /// RecordIO frames. A record keeps its headers and padding; the frames of a record in parts stay together.
    RecordIo,
    /// TFRecord frames. A record keeps its length and its two checksums, which have been verified.
    TfRecord,
}

/// The largest record unless [`Splitter::with_record_bytes_max`] says otherwise: the largest batch payload of the
/// API, 100 MiB, which a record must fit.
pub const RECORD_BYTES_MAX: usize = 100 << 20;

/// Why a stream is not records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// The bytes are not of the framing, or end within a record.
    #[error("record {record}, byte {byte}: expected {expected}, found {found}")]
    Malformed {
        /// The record, from 1.
        record: u64,
        /// The byte offset in the stream.
        byte: u64,
        /// What the framing asks for there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A record is, or says that it is, larger than the limit.
    #[error(
        "record {record}, byte {byte}: expected a record of at most {limit_bytes} bytes, found a larger one"
    )]
    TooLarge {
        /// The record, from 1.
        record: u64,
        /// Where it starts in the stream.
        byte: u64,
        /// The limit.
        limit_bytes: usize,
    },
}

/// What is wrong with a record, by its offset in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    Unexpected { at: usize, expected: &'static str, found: String },
    TooLarge { at: usize },
}

impl Fault {
    #[cold]
    pub(crate) fn unexpected(at: usize, expected: &'static str, found: String) -> Self {
        Self::Unexpected { at, expected, found }
    }

    /// The same, `by` bytes further on.
    #[cold]
    pub(crate) fn moved(mut self, by: usize) -> Self {
        let (Self::Unexpected { at, .. } | Self::TooLarge { at }) = &mut self;
        *at += by;
        self
    }
}

/// One record of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its bytes, framing included.
    pub bytes: &'a [u8],
    /// Where it starts in the stream.
    pub offset: u64,
}

/// Cuts a stream that arrives in chunks into records.
///
/// [`feed`](Self::feed) a chunk, take [`next_record`](Self::next_record) until it gives `None`, feed the next, and
/// [`finish`](Self::finish). It holds one unfinished record and one chunk at most. After an error it gives that error
/// again.
#[derive(Debug)]
pub struct Splitter {
    ends: RecordEnds,
    buffer: Vec<u8>,
    /// Where the next record starts in `buffer`.
    start: usize,
    failure: Option<FramingError>,
}

impl Splitter {
    /// A splitter with the limit [`RECORD_BYTES_MAX`].
    pub fn new(split_type: SplitType) -> Self {
        Self::with_record_bytes_max(split_type, RECORD_BYTES_MAX)
    }

    /// A splitter that refuses records of more than `record_bytes_max` bytes, framing included.
    pub fn with_record_bytes_max(split_type: SplitType, record_bytes_max: usize) -> Self {
        let ends = RecordEnds::at(split_type, record_bytes_max, 0, 0);
        Self { ends, buffer: Vec::new(), start: 0, failure: None }
    }

    /// Takes the next chunk of the stream.
    pub fn feed(&mut self, chunk: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole record; `None` when it needs another chunk.
    ///
    /// # Errors
    /// When the bytes are not of the framing or the record is too large.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, FramingError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let (open, offset) = (self.ends.open_bytes(), self.ends.byte());
        let found = self.ends.next_end(&self.buffer[self.start + open..]);
        let found = found.inspect_err(|failure| self.failure = Some(failure.clone()))?;
        Ok(found.map(|end| self.take(open + end, offset)))
    }

    /// Ends the stream, after `next_record` has given `None`: the last record, where a framing has one without an end
    /// ([`SplitType::Line`], [`SplitType::None`]).
    ///
    /// # Errors
    /// When the stream ends within a record.
    ///
    /// # Panics
    /// When whole records were left untaken.
    pub fn finish(&mut self) -> Result<Option<Record<'_>>, FramingError> {
        let untaken = self.next_record()?;
        assert_eq!(untaken, None, "records are taken before the stream is finished");
        let (open, offset) = (self.ends.open_bytes(), self.ends.byte());
        let is_record = self.ends.finish().inspect_err(|failure| self.failure = Some(failure.clone()))?;
        Ok(is_record.then(|| self.take(open, offset)))
    }

    /// The bytes held: of records not yet taken, and of the one not yet whole.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn take(&mut self, length: usize, offset: u64) -> Record<'_> {
        let start = self.start;
        self.start += length;
        Record { bytes: &self.buffer[start..self.start], offset }
    }
}

impl SplitType {
    /// Appends `content` to `out` as one record: the inverse of [`content`](Self::content). [`Line`](Self::Line) adds a
    /// newline unless `content` ends with one.
    ///
    /// # Errors
    /// When `content` is longer than a RecordIO frame can say (2^29 − 1 bytes).
    pub fn join(self, content: &[u8], out: &mut Vec<u8>) -> Result<(), FramingError> {
        match self {
            Self::None => out.extend_from_slice(content),
            Self::Line => {
                out.extend_from_slice(content);
                if content.last() != Some(&b'\n') {
                    out.push(b'\n');
                }
            }
            Self::RecordIo if content.len() > PAYLOAD_BYTES_MAX => {
                return Err(FramingError::TooLarge { record: 1, byte: 0, limit_bytes: PAYLOAD_BYTES_MAX });
            }
            Self::RecordIo => write_frame(out, |out| out.extend_from_slice(content)),
            Self::TfRecord => tfrecord::write(content, out),
        }
        Ok(())
    }

    /// The content of a `record` that a [`Splitter`] of this type gave: without frame, padding and newline. `joined`
    /// is room for a record in parts.
    pub fn content<'a>(self, record: &'a [u8], joined: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Self::None => record,
            Self::Line => record.strip_suffix(b"\n").unwrap_or(record),
            Self::RecordIo => payload(record, joined),
            Self::TfRecord => tfrecord::content(record),
        }
    }
}
