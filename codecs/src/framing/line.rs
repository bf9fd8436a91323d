//! Lines: a record ends with its `\n`.

/// Finds the end of a line; nothing needs to be known of what came before.
#[derive(Debug)]
pub(super) struct LineScan;

impl LineScan {
    #[inline]
    pub(super) fn next_end(&self, chunk: &[u8]) -> Option<usize> {
        memchr::memchr(b'\n', chunk).map(|newline| newline + 1)
    }
}
