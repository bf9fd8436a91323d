//! One value a thread, more or less: threads that count do not share cache lines.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Shards of each value. Reason: two threads on one shard cost some 30 ns each; a shard costs 2 KiB a variant, which
/// a server of many models feels.
const SHARDS: usize = 8;

/// `SHARDS` values, each on cache lines of its own (pairs of them: CPUs fetch two).
#[derive(Debug, Default)]
pub(super) struct Sharded<T>([Aligned<T>; SHARDS]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Aligned<T>(T);

thread_local! {
    /// The thread's shard; none before the thread first counts. A constant at first, so that reading it is one
    /// instruction.
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl<T> Sharded<T> {
    /// The calling thread's.
    pub(super) fn local(&self) -> &T {
        let shard = SHARD.get();
        &self.0[if shard < SHARDS { shard } else { choose() }].0
    }

    /// All.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}

/// Gives the calling thread its shard.
#[cold]
fn choose() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let shard = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    SHARD.set(shard);
    shard
}
