//! TFRecord frames: `u64 length | u32 masked CRC-32C of the length | data | u32 masked CRC-32C of the data`,
//! little-endian.

use super::Fault;
use super::crc32c::{Crc32c, masked};

const LENGTH_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;
const HEADER_BYTES: usize = LENGTH_BYTES + CHECKSUM_BYTES;

/// Finds the end of a record in a stream, and sums it up on the way.
#[derive(Debug, Default)]
pub(super) struct TfRecordScan {
    header: [u8; HEADER_BYTES],
    /// The length of the whole frame, once its header has been verified.
    frame_bytes: Option<usize>,
    data: Crc32c,
    checksum: [u8; CHECKSUM_BYTES],
}

impl TfRecordScan {
    /// Where the record, of which `open` bytes came before `chunk`, ends in it.
    pub(super) fn next_end(
        &mut self,
        chunk: &[u8],
        open: usize,
        record_bytes_max: usize,
    ) -> Result<Option<usize>, Fault> {
        let (mut seen, mut rest) = (open, chunk);
        if self.frame_bytes.is_none() {
            let taken = fill(&mut self.header, seen, &mut rest);
            seen += taken;
            if seen < HEADER_BYTES {
                return Ok(None);
            }
            self.frame_bytes = Some(parse_header(&self.header, record_bytes_max)?);
        }
        let frame_bytes = self.frame_bytes.expect("the header has been verified");
        let data_end = frame_bytes - CHECKSUM_BYTES;
        let (data, behind) = rest.split_at(rest.len().min(data_end.saturating_sub(seen)));
        self.data.update(data);
        (seen, rest) = (seen + data.len(), behind);
        if seen < data_end {
            return Ok(None);
        }
        seen += fill(&mut self.checksum, seen - data_end, &mut rest);
        if seen < frame_bytes {
            return Ok(None);
        }
        let (stored, computed) = (u32::from_le_bytes(self.checksum), self.data.masked());
        if stored != computed {
            return Err(wrong_checksum(data_end, "the checksum of the data", stored, computed));
        }
        *self = Self::default();
        Ok(Some(chunk.len() - rest.len()))
    }

    /// What the end of the stream cuts off, behind `open` bytes of a record.
    pub(super) fn truncation(&self, open: usize) -> Fault {
        match self.frame_bytes {
            Some(all) => {
                Fault::unexpected(open, "a whole record", format!("the end after {open} of its {all} bytes"))
            }
            None => Fault::unexpected(open, "a header of 12 bytes", format!("the end after {open} of them")),
        }
    }
}

/// Fills `field`, of which `filled` bytes are there, from the front of `rest`; how many it took.
fn fill(field: &mut [u8], filled: usize, rest: &mut &[u8]) -> usize {
    let (taken, behind) = rest.split_at(rest.len().min(field.len() - filled));
    field[filled..filled + taken.len()].copy_from_slice(taken);
    *rest = behind;
    taken.len()
}

fn parse_header(header: &[u8; HEADER_BYTES], record_bytes_max: usize) -> Result<usize, Fault> {
    let (length, checksum) =
        header.split_first_chunk::<LENGTH_BYTES>().expect("a header starts with a length");
    let checksum = u32::from_le_bytes(*checksum.first_chunk().expect("a header ends with a checksum"));
    let computed = masked(length);
    if checksum != computed {
        return Err(wrong_checksum(LENGTH_BYTES, "the checksum of the length", checksum, computed));
    }
    usize::try_from(u64::from_le_bytes(*length))
        .ok()
        .and_then(|length| length.checked_add(HEADER_BYTES + CHECKSUM_BYTES))
        .filter(|&frame_bytes| frame_bytes <= record_bytes_max)
        .ok_or(Fault::TooLarge { at: 0 })
}

#[cold]
fn wrong_checksum(at: usize, expected: &'static str, found: u32, computed: u32) -> Fault {
    Fault::unexpected(at, expected, format!("{found:#010X} where {computed:#010X} was computed"))
}

/// The data of a whole frame.
pub(super) fn content(frame: &[u8]) -> &[u8] {
    &frame[HEADER_BYTES..frame.len() - CHECKSUM_BYTES]
}

/// Appends a frame with `data`.
pub(super) fn write(data: &[u8], out: &mut Vec<u8>) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked(&length).to_le_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(&masked(data).to_le_bytes());
}
