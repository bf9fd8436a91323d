//! Signatures that were served already, for as long as their time is good: a request that comes twice is refused.
//!
//! A signature is good for the allowed difference of the clocks around its own time. So signatures lie in generations by
//! that time, and a generation whose time is over goes as a whole. When there are more than fit, the oldest generation
//! goes early **and its time with it**: later requests of that time are refused. The window narrows; nothing that was
//! served is ever served again.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use wire::Timestamp;

use crate::digest::Digest;

/// Parts of the set, each under its own lock. Reason: threads rarely meet, and when a part's table grows, which copies
/// it, that is a few thousand entries: tens of microseconds.
const SHARDS: usize = 256;

/// The span of a generation.
const GENERATION_MS: i64 = 30_000;

/// Signatures that are remembered in all. Reason: 16 bytes each and room to grow, some 250 MB at the very most; at
/// 20,000 requests a second that is the last 400 s, more than the clocks may differ.
pub const SIGNATURES_MAX: usize = 8 << 20;

/// The set.
#[derive(Debug)]
pub struct ReplayWindow {
    shards: Box<[Mutex<Shard>]>,
    skew_ms: i64,
    shard_max: usize,
}

/// What became of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Never before.
    First,
    /// It was served.
    Before,
    /// Nobody knows: its time was forgotten to make room.
    Forgotten,
}

#[derive(Debug, Default)]
struct Shard {
    /// Ascending by time.
    generations: VecDeque<Generation>,
    entries: usize,
    /// Generations up to this were forgotten early.
    forgotten: Option<i64>,
}

#[derive(Debug)]
struct Generation {
    number: i64,
    signatures: HashSet<u128, BuildHasherDefault<Prefix>>,
}

/// Signatures are as random as any hash of them.
#[derive(Debug, Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.rotate_left(5) ^ u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

impl ReplayWindow {
    /// An empty one, for signatures that are good `skew_ms` before and after their time.
    pub fn new(skew_ms: i64) -> Self {
        Self::with_limit(skew_ms, SIGNATURES_MAX)
    }

    fn with_limit(skew_ms: i64, signatures_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, skew_ms, shard_max: (signatures_max / SHARDS).max(1) }
    }

    /// Takes note of a valid signature of `at`.
    pub fn see(&self, signature: &Digest, at: Timestamp, now: Timestamp) -> Seen {
        let (entry, _) = signature.split_first_chunk::<16>().expect("a digest is longer");
        let shard = &self.shards[usize::from(signature[31]) % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        // A generation's last signature is of its end.
        let oldest = (now.0 - self.skew_ms).div_euclid(GENERATION_MS);
        shard.retire(oldest);
        shard.see(u128::from_le_bytes(*entry), at.0.div_euclid(GENERATION_MS), self.shard_max)
    }
}

impl Shard {
    fn retire(&mut self, oldest: i64) {
        while self.generations.front().is_some_and(|generation| generation.number < oldest) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> Option<i64> {
        let generation = self.generations.pop_front()?;
        self.entries -= generation.signatures.len();
        Some(generation.number)
    }

    fn see(&mut self, entry: u128, number: i64, entries_max: usize) -> Seen {
        if self.forgotten.is_some_and(|forgotten| number <= forgotten) {
            return Seen::Forgotten;
        }
        if self.entries >= entries_max {
            self.forgotten = self.drop_oldest().max(self.forgotten);
            if self.forgotten.is_some_and(|forgotten| number <= forgotten) {
                return Seen::Forgotten;
            }
        }
        let place = self.generations.partition_point(|generation| generation.number < number);
        if self.generations.get(place).is_none_or(|generation| generation.number != number) {
            self.generations.insert(place, Generation { number, signatures: HashSet::default() });
        }
        if self.generations[place].signatures.insert(entry) {
            self.entries += 1;
            Seen::First
        } else {
            Seen::Before
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;

    const SKEW_MS: i64 = 300_000;

    fn signature(index: u64) -> Digest {
        sha256(&index.to_le_bytes())
    }

    #[test]
    fn a_signature_is_served_once_while_it_is_good() {
        let window = ReplayWindow::new(SKEW_MS);
        let start = Timestamp(1_700_000_000_000);
        for early_ms in [-SKEW_MS, 0, SKEW_MS] {
            let (one, at) = (signature(early_ms as u64), start.plus_millis(early_ms));
            assert_eq!(window.see(&one, at, start), Seen::First);
            // Until the last millisecond at which its time would still be accepted.
            let last = at.plus_millis(SKEW_MS);
            for now in [start, start.plus_millis(1), last.plus_millis(-1), last] {
                assert_eq!(window.see(&one, at, now), Seen::Before, "{early_ms} {}", now.0 - start.0);
            }
        }
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let window = ReplayWindow::new(SKEW_MS);
        let start = Timestamp(1_700_000_000_000);
        for index in 0..100_000 {
            let now = start.plus_millis(index as i64 * 100);
            assert_eq!(window.see(&signature(index), now, now), Seen::First);
        }
        let held: usize = window.shards.iter().map(|shard| shard.lock().unwrap().entries).sum();
        // Three thousand in the window of five minutes, and what lies in the parts that nobody looked at since.
        assert!((3_000..5_000).contains(&held), "{held}");
    }

    #[test]
    fn a_full_set_narrows_the_window_and_never_serves_twice() {
        let window = ReplayWindow::with_limit(SKEW_MS, SHARDS * 4);
        let start = Timestamp(1_700_000_000_000);
        let mut served = Vec::new();
        for index in 0..20_000 {
            let now = start.plus_millis(index as i64 * 10);
            if window.see(&signature(index), now, now) == Seen::First {
                served.push((index, now));
            }
        }
        assert!(served.len() > 5_000, "new requests are served: {}", served.len());
        let end = served.last().unwrap().1;
        for (index, at) in served {
            assert_ne!(window.see(&signature(index), at, end), Seen::First, "{index}");
        }
        let held: usize = window.shards.iter().map(|shard| shard.lock().unwrap().entries).sum();
        assert!(held <= SHARDS * 4, "{held}");
    }
}
