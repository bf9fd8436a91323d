//! Lines: a record ends with its `\n`.

use super::Fault;

/// Finds the end of the line at the start of a buffer that may still grow, looking at each byte once.
#[derive(Debug, Default)]
pub(super) struct LineScan {
    /// Bytes that hold no newline.
    scanned: usize,
}

impl LineScan {
    pub(super) fn advance(
        &mut self,
        pending: &[u8],
        record_bytes_max: usize,
    ) -> Result<Option<usize>, Fault> {
        let found = memchr::memchr(b'\n', &pending[self.scanned..]);
        let length = found.map_or(pending.len(), |at| self.scanned + at + 1);
        if length > record_bytes_max {
            return Err(Fault::TooLarge { at: 0 });
        }
        self.scanned = if found.is_some() { 0 } else { length };
        Ok(found.map(|_| length))
    }
}
