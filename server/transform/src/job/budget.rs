//! How many objects are under way at once: many small ones, few large ones.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::settings::Compression;

/// Large objects under way at once. Reason: one fills the window of calls; the second is there so that the end of the first (its
/// last calls, its last parts) leaves no gap.
pub const LARGE_AT_ONCE: u32 = 2;

/// Objects under way at once, however small. Reason: more than the 100 calls at once that a transform may ask for, when each
/// object is one call; each takes its own bytes and little else.
pub const OBJECTS_AT_ONCE: u32 = 128;

/// The bytes that weigh as much as one object of [`OBJECTS_AT_ONCE`]. Reason: a large object, of 16 MiB and more, is read in
/// several ranges and written in several parts; so the small ones together weigh no more than the large ones.
const UNIT_BYTES: u64 = 256 << 10;

/// How much larger a packed object may be than its bytes say. Reason: gzip of tables; one that is larger still is bounded as
/// every object is.
const UNPACKED_FACTOR: u64 = 16;

/// What is left for further objects.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { units: Arc::new(Semaphore::new(OBJECTS_AT_ONCE as usize)) }
    }

    /// Waits until there is room for an object of `size` bytes; it is taken until the permit is dropped.
    pub(super) async fn admit(&self, size: u64, compression: Compression) -> OwnedSemaphorePermit {
        let units = Arc::clone(&self.units);
        units.acquire_many_owned(weight(size, compression)).await.expect("it is never closed")
    }
}

/// How much an object weighs.
fn weight(size: u64, compression: Compression) -> u32 {
    let unpacked = match compression {
        Compression::None => size,
        Compression::Gzip => size.saturating_mul(UNPACKED_FACTOR),
    };
    let large = OBJECTS_AT_ONCE / LARGE_AT_ONCE;
    u32::try_from(unpacked / UNIT_BYTES).unwrap_or(large).clamp(1, large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights() {
        let check = |size, expected| assert_eq!(weight(size, Compression::None), expected, "{size}");
        check(0, 1);
        check(256 << 10, 1);
        check(1 << 20, 4);
        check(16 << 20, 64);
        check(1 << 40, 64);
        check(u64::MAX, 64);
        assert_eq!(weight(1 << 20, Compression::Gzip), 64);
    }
}
