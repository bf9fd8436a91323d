//! One value a thread, more or less: threads that count do not share cache lines.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Shards of each value. Reason: two threads on one shard cost some 30 ns each; a shard costs 2 KiB a variant, which
/// a server of many models feels.
const SHARDS: usize = 8;

/// `SHARDS` values, each on cache lines of its own (pairs of them: CPUs fetch two).
#[derive(Debug)]
pub(super) struct Sharded<T>(Box<[Aligned<T>]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Aligned<T>(T);

thread_local! {
    static SHARD: Cell<usize> = Cell::new({
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    });
}

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Aligned::default()).collect())
    }
}

impl<T> Sharded<T> {
    /// The calling thread's.
    pub(super) fn local(&self) -> &T {
        &self.0[SHARD.get()].0
    }

    /// All.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}
