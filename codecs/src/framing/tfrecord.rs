//! TFRecord frames: `u64 length | u32 masked CRC-32C of the length | data | u32 masked CRC-32C of the data`,
//! little-endian.

use super::Fault;
use super::crc32c::masked;

const LENGTH_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;
const HEADER_BYTES: usize = LENGTH_BYTES + CHECKSUM_BYTES;

/// Finds the end of the record at the start of a buffer that may still grow.
#[derive(Debug, Default)]
pub(super) struct TfRecordScan {
    /// The length of the whole frame, once its header has been verified.
    frame_bytes: Option<usize>,
}

impl TfRecordScan {
    pub(super) fn advance(
        &mut self,
        pending: &[u8],
        record_bytes_max: usize,
    ) -> Result<Option<usize>, Fault> {
        let frame_bytes = match (self.frame_bytes, pending.first_chunk()) {
            (Some(frame_bytes), _) => frame_bytes,
            (None, Some(header)) => parse_header(header, record_bytes_max)?,
            (None, None) => return Ok(None),
        };
        self.frame_bytes = Some(frame_bytes);
        let Some(frame) = pending.get(..frame_bytes) else { return Ok(None) };
        let checksum = u32::from_le_bytes(*frame.last_chunk().expect("a frame ends with a checksum"));
        let computed = masked(content(frame));
        if checksum != computed {
            let at = frame_bytes - CHECKSUM_BYTES;
            return Err(wrong_checksum(at, "the checksum of the data", checksum, computed));
        }
        self.frame_bytes = None;
        Ok(Some(frame_bytes))
    }

    /// What the end of the data cuts off.
    pub(super) fn truncation(&self, pending: &[u8]) -> Fault {
        let (at, found) = (pending.len(), pending.len());
        match self.frame_bytes {
            Some(all) => {
                Fault::unexpected(at, "a whole record", format!("the end after {found} of its {all} bytes"))
            }
            None => Fault::unexpected(at, "a header of 12 bytes", format!("the end after {found} of them")),
        }
    }
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
