//! How an object is cut: what its settings come to.

use codecs::framing::{FramingError, RECORD_BYTES_MAX, SplitType};
use codecs::{ContentType, Format};

use super::BatchError;
use crate::settings::{BatchStrategy, MIB, PayloadLimit, Settings};

/// A piece of an endless payload. Reason: small enough that its answer is soon there, large enough that a call's cost does not
/// count.
const PIECE_BYTES: usize = MIB;

/// The bytes of a run of single records, of which one may have more. Reason: a run is worked on by one task at a time, and small
/// ones spread over the window.
const SINGLE_RUN_BYTES: usize = 64 << 10;

/// The records of such a run. Reason: as many calls cost as much as a task, some microseconds.
const SINGLE_RUN_RECORDS: usize = 64;

/// What is held of a document that cannot be cut. Reason: the largest payload of the API.
const DOCUMENT_BYTES_MAX: usize = 100 * MIB;

/// How an object is cut into runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// What separates records.
    pub(super) split_type: SplitType,
    /// Whether a run is one call, or each of its records is.
    pub(super) strategy: BatchStrategy,
    /// The most bytes of a run of several records.
    pub(super) run_bytes_max: usize,
    /// The most records of a run.
    pub(super) run_records_max: usize,
    /// The most bytes of a record, framing included.
    pub(super) record_bytes_max: usize,
    /// The most bytes that are sent of a record.
    pub(super) payload_bytes_max: usize,
    /// Whether blank lines are no records.
    pub(super) skip_blank_lines: bool,
    /// Whether a pause of the input ends a run.
    pub(super) is_endless: bool,
    /// What an object is that is one document without a limit.
    pub(super) document: Option<String>,
}

impl Plan {
    pub(super) fn new(settings: &Settings) -> Self {
        let (limit, is_endless) = match settings.payload_limit {
            PayloadLimit::Bytes(bytes) => (bytes.clamp(1, RECORD_BYTES_MAX), false),
            PayloadLimit::Endless => (RECORD_BYTES_MAX, true),
        };
        match (settings.split_type, settings.strategy) {
            (SplitType::None, _) if is_endless => Self::endless_whole(settings),
            (SplitType::None, _) => Self::multiple(SplitType::None, limit, limit),
            (split_type, BatchStrategy::MultiRecord) => {
                let run_bytes_max = if is_endless { PIECE_BYTES } else { limit };
                let plan = Self::multiple(split_type, run_bytes_max, limit);
                Self { is_endless, ..plan }.with_blank_lines(settings)
            }
            (split_type, BatchStrategy::SingleRecord) => {
                let plan = Self::single(split_type, limit);
                Self { is_endless, ..plan }.with_blank_lines(settings)
            }
        }
    }

    /// An object that is one endless payload: cut between the records of its format, where it has such places.
    fn endless_whole(settings: &Settings) -> Self {
        let content_type = settings.content_type.as_deref().unwrap_or("text/csv");
        let split_type = match ContentType::parse(content_type) {
            // The header is the first piece's alone, so that no other may be read with this content type.
            Ok(ContentType { format: Format::Csv, header: Some(true), .. }) | Err(_) => SplitType::None,
            Ok(ContentType { format: Format::Json, .. }) => SplitType::None,
            Ok(ContentType { format: Format::Csv | Format::JsonLines | Format::LibSvm, .. }) => {
                SplitType::Line
            }
            Ok(ContentType { format: Format::RecordIo, .. }) => SplitType::RecordIo,
        };
        match split_type {
            SplitType::None => Self {
                document: Some(content_type.to_owned()),
                ..Self::multiple(SplitType::None, DOCUMENT_BYTES_MAX, DOCUMENT_BYTES_MAX)
            },
            split_type => {
                Self { is_endless: true, ..Self::multiple(split_type, PIECE_BYTES, RECORD_BYTES_MAX) }
            }
        }
    }

    fn multiple(split_type: SplitType, run_bytes_max: usize, record_bytes_max: usize) -> Self {
        Self {
            split_type,
            strategy: BatchStrategy::MultiRecord,
            run_bytes_max,
            run_records_max: usize::MAX,
            record_bytes_max,
            payload_bytes_max: record_bytes_max,
            skip_blank_lines: false,
            is_endless: false,
            document: None,
        }
    }

    /// Frames are taken off what is sent, so that a record may be larger than the limit by those.
    fn single(split_type: SplitType, limit: usize) -> Self {
        let record_bytes_max = match split_type {
            SplitType::None | SplitType::Line => limit,
            // A length of 8 bytes and two checksums of 4.
            SplitType::TfRecord => limit + 16,
            // A part of a record costs 8 bytes and up to 3 of padding, and gives back 4 where it is joined to another.
            SplitType::RecordIo => limit * 3 + 16,
        };
        Self {
            strategy: BatchStrategy::SingleRecord,
            run_records_max: SINGLE_RUN_RECORDS,
            payload_bytes_max: limit,
            ..Self::multiple(split_type, SINGLE_RUN_BYTES, record_bytes_max)
        }
    }

    fn with_blank_lines(self, settings: &Settings) -> Self {
        let skip_blank_lines = settings.skip_blank_lines && self.split_type == SplitType::Line;
        Self { skip_blank_lines, ..self }
    }

    /// Whether an object is one record.
    pub(super) fn is_whole(&self) -> bool {
        self.split_type == SplitType::None
    }

    /// What is said of a record that is larger than the limit.
    pub(super) fn too_large(&self, record: u64, byte: u64, size_bytes: Option<u64>) -> BatchError {
        let limit_bytes = self.payload_bytes_max;
        match &self.document {
            Some(content_type) => BatchError::Uncuttable { content_type: content_type.clone(), limit_bytes },
            None => BatchError::TooLarge { record, byte, size_bytes, limit_bytes },
        }
    }

    /// What is said of bytes that are no records.
    pub(super) fn refusal(&self, error: FramingError) -> BatchError {
        match error {
            FramingError::TooLarge { record, byte, .. } => self.too_large(record, byte, None),
            FramingError::Malformed { record, byte, expected, found } => {
                BatchError::Malformed { record, byte, expected, found }
            }
            other => unreachable!("framing knows two errors, not {other}"),
        }
    }
}
