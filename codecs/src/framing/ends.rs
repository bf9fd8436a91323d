//! Where records end in a stream, found without holding any of it: each byte is looked at once, in whatever chunks it comes.

use super::line::LineScan;
use super::recordio::FrameScan;
use super::tfrecord::TfRecordScan;
use super::{Fault, FramingError, RECORD_BYTES_MAX, SplitType};

/// What is known of the record that is open.
#[derive(Debug)]
enum Scan {
    Whole,
    Line(LineScan),
    RecordIo(FrameScan),
    TfRecord(TfRecordScan),
}

/// Finds the ends of records in a stream that is given chunk by chunk.
///
/// ```
/// use codecs::framing::{RecordEnds, SplitType};
///
/// let mut ends = RecordEnds::new(SplitType::Line);
/// assert_eq!(ends.next_end(b"1,2\n3"), Ok(Some(4)));
/// assert_eq!(ends.next_end(b"3"), Ok(None));
/// assert_eq!(ends.next_end(b",4\n"), Ok(Some(3)));
/// assert_eq!(ends.finish(), Ok(false));
/// ```
#[derive(Debug)]
pub struct RecordEnds {
    scan: Scan,
    record_bytes_max: usize,
    /// Bytes seen of the record that is open.
    open: usize,
    /// Where it starts in the stream.
    byte: u64,
    /// Records before it.
    records: u64,
}

impl RecordEnds {
    /// With the limit [`RECORD_BYTES_MAX`], at the start of a stream.
    pub fn new(split_type: SplitType) -> Self {
        Self::at(split_type, RECORD_BYTES_MAX, 0, 0)
    }

    /// With a limit on records, framing included, behind the first `byte` bytes of a stream, which are `records` records: errors
    /// count from the stream's start.
    pub fn at(split_type: SplitType, record_bytes_max: usize, byte: u64, records: u64) -> Self {
        let scan = match split_type {
            SplitType::None => Scan::Whole,
            SplitType::Line => Scan::Line(LineScan),
            SplitType::RecordIo => Scan::RecordIo(FrameScan::default()),
            SplitType::TfRecord => Scan::TfRecord(TfRecordScan::default()),
        };
        Self { scan, record_bytes_max, open: 0, byte, records }
    }

    /// Where in `chunk`, which follows what was passed over before, the open record ends; what is behind that end is to be given
    /// again. `None`: it does not end there, and the chunk is passed over.
    ///
    /// # Errors
    /// When the bytes are not of the framing or the record is too large; it is not to be used after that.
    #[inline]
    pub fn next_end(&mut self, chunk: &[u8]) -> Result<Option<usize>, FramingError> {
        let found = match &mut self.scan {
            Scan::Whole => Ok(None),
            Scan::Line(scan) => Ok(scan.next_end(chunk)),
            Scan::RecordIo(scan) => scan.next_end(chunk, self.open, self.record_bytes_max),
            Scan::TfRecord(scan) => scan.next_end(chunk, self.open, self.record_bytes_max),
        };
        let found = found.map_err(|fault| self.refusal(fault))?;
        let passed = found.unwrap_or(chunk.len());
        if self.open + passed > self.record_bytes_max {
            return Err(self.refusal(Fault::TooLarge { at: 0 }));
        }
        self.open += passed;
        if found.is_some() {
            self.close();
        }
        Ok(found)
    }

    /// Ends the stream: whether what is left open is a last record, as framings have that need no end ([`SplitType::Line`],
    /// [`SplitType::None`]).
    ///
    /// # Errors
    /// When the stream ends within a record.
    pub fn finish(&mut self) -> Result<bool, FramingError> {
        if self.open == 0 {
            return Ok(false);
        }
        let truncation = match &self.scan {
            Scan::Whole | Scan::Line(_) => None,
            Scan::RecordIo(scan) => Some(scan.truncation(self.open)),
            Scan::TfRecord(scan) => Some(scan.truncation(self.open)),
        };
        if let Some(fault) = truncation {
            return Err(self.refusal(fault));
        }
        self.close();
        Ok(true)
    }

    /// Bytes seen of the record that is open.
    pub fn open_bytes(&self) -> usize {
        self.open
    }

    /// Where the open record starts in the stream.
    pub fn byte(&self) -> u64 {
        self.byte
    }

    fn close(&mut self) {
        self.byte += self.open as u64;
        self.records += 1;
        self.open = 0;
    }

    #[cold]
    fn refusal(&self, fault: Fault) -> FramingError {
        let record = self.records + 1;
        match fault {
            Fault::Unexpected { at, expected, found } => {
                FramingError::Malformed { record, byte: self.byte + at as u64, expected, found }
            }
            Fault::TooLarge { at } => {
                let byte = self.byte + at as u64;
                FramingError::TooLarge { record, byte, limit_bytes: self.record_bytes_max }
            }
        }
    }
}
