//! Bytes that wait to be a run: given as a part of the chunk in which they came where they lie in one.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Chunks shorter than this are copied together. Reason: a chunk costs more than that to keep, and it may be a small part of a
/// large buffer that it would hold on to.
const SMALL_BYTES: usize = 4 << 10;

/// Where such a collection is closed. Reason: the usual size of a read.
const COLLECTION_BYTES: usize = 64 << 10;

/// A queue of bytes.
#[derive(Debug, Default)]
pub(super) struct Pending {
    chunks: VecDeque<Bytes>,
    small: BytesMut,
}

impl Pending {
    /// Adds `chunk` at the end.
    pub(super) fn push(&mut self, chunk: Bytes) {
        if chunk.len() >= SMALL_BYTES {
            self.close_collection();
            self.chunks.push_back(chunk);
            return;
        }
        self.small.extend_from_slice(&chunk);
        if self.small.len() >= COLLECTION_BYTES {
            self.close_collection();
        }
    }

    /// Takes `count` bytes from the front, which are there.
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        self.close_collection();
        match self.chunks.front_mut() {
            None => {
                assert_eq!(count, 0, "what is taken has been pushed");
                Bytes::new()
            }
            Some(first) if first.len() > count => first.split_to(count),
            Some(first) if first.len() == count => self.chunks.pop_front().unwrap_or_default(),
            Some(_) => self.join(count),
        }
    }

    fn join(&mut self, count: usize) -> Bytes {
        let mut joined = Vec::with_capacity(count);
        while let Some(first) = self.chunks.front_mut() {
            let missing = count - joined.len();
            if first.len() > missing {
                joined.extend_from_slice(&first.split_to(missing));
                break;
            }
            joined.extend_from_slice(first);
            self.chunks.pop_front();
        }
        assert_eq!(joined.len(), count, "what is taken has been pushed");
        joined.into()
    }

    fn close_collection(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push_back(self.small.split().freeze());
        }
    }
}
