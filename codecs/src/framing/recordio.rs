//! RecordIO frames of a stream. What a frame is stands in [`crate::recordio`].

use super::Fault;
use crate::recordio::{HEADER_BYTES, Header, check_begun_magic, check_order, truncation};

/// Finds the end of a record: of one whole frame, or of the last of those that are its parts.
#[derive(Debug, Default)]
pub(super) struct FrameScan {
    /// Where the frame starts in the record.
    start: usize,
    header: [u8; HEADER_BYTES],
    /// Bytes of the frame seen.
    seen: usize,
    /// What the header says, once it is whole.
    parsed: Option<Header>,
    /// Whether a first part waits for its last.
    is_open: bool,
}

impl FrameScan {
    /// Where the record, of which `open` bytes came before `chunk`, ends in it.
    pub(super) fn next_end(
        &mut self,
        chunk: &[u8],
        open: usize,
        record_bytes_max: usize,
    ) -> Result<Option<usize>, Fault> {
        debug_assert_eq!(open, self.start + self.seen, "what came before is parts of this record");
        let mut at = 0;
        while at < chunk.len() {
            let header = match self.parsed {
                Some(header) => header,
                None => match self.take_header(&chunk[at..], record_bytes_max)? {
                    (taken, Some(header)) => {
                        at += taken;
                        header
                    }
                    (_, None) => return Ok(None),
                },
            };
            let passed = (header.frame_bytes() - self.seen).min(chunk.len() - at);
            self.check_padding(header, &chunk[at..at + passed])?;
            (self.seen, at) = (self.seen + passed, at + passed);
            if self.seen < header.frame_bytes() {
                return Ok(None);
            }
            if header.part.is_last() {
                *self = Self::default();
                return Ok(Some(at));
            }
            *self = Self { start: self.start + self.seen, is_open: true, ..Self::default() };
        }
        Ok(None)
    }

    /// Takes what `bytes` have of the header, and checks what there is of it.
    fn take_header(
        &mut self,
        bytes: &[u8],
        record_bytes_max: usize,
    ) -> Result<(usize, Option<Header>), Fault> {
        let taken = bytes.len().min(HEADER_BYTES - self.seen);
        self.header[self.seen..self.seen + taken].copy_from_slice(&bytes[..taken]);
        self.seen += taken;
        if self.seen < HEADER_BYTES {
            check_begun_magic(&self.header[..self.seen]).map_err(|fault| fault.moved(self.start))?;
            return Ok((taken, None));
        }
        let header = Header::parse(&self.header).map_err(|fault| fault.moved(self.start))?;
        check_order(header.part, self.is_open).map_err(|fault| fault.moved(self.start))?;
        if self.start + header.frame_bytes() > record_bytes_max {
            return Err(Fault::TooLarge { at: 0 });
        }
        self.parsed = Some(header);
        Ok((taken, Some(header)))
    }

    /// Holds the padding among `bytes`, the next of the frame, to zeros.
    fn check_padding(&self, header: Header, bytes: &[u8]) -> Result<(), Fault> {
        let payload_left = (HEADER_BYTES + header.length).saturating_sub(self.seen);
        let padding = bytes.get(payload_left..).unwrap_or_default();
        header.check_padding(padding).map_err(|fault| fault.moved(self.start))
    }

    /// What the end of the stream cuts off, behind `open` bytes of a record.
    pub(super) fn truncation(&self, open: usize) -> Fault {
        truncation(open, self.seen, self.parsed)
    }
}
