//! Signatures that were served already, for as long as their time is good: a request that comes twice is refused.
//!
//! Two requests may honestly have one signature: the time in it has whole seconds, and boto3 adds what tells its requests
//! apart (`amz-sdk-invocation-id`) without signing it. So a signature may come again within [`REPEAT_MS`] of the first time,
//! if the two say that they are different calls, once for each call; where a client signs that header, or sends none, every signature is good for
//! once.
//!
//! A signature is good for the allowed difference of the clocks around its own time. So signatures lie in generations by
//! that time, and a generation whose time is over goes as a whole. When there are more than fit, the oldest generation
//! goes early **and its time with it**: later requests of that time are refused. The window narrows; what was served is
//! never served later.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use wire::Timestamp;

use crate::digest::Digest;

/// Parts of the set, each under its own lock. Reason: threads rarely meet, and when a part's table grows, which copies
/// it, that is a few thousand entries: tens of microseconds.
const SHARDS: usize = 256;

/// The span of a generation.
const GENERATION_MS: i64 = 30_000;

/// Signatures that are remembered in all. Reason: 24 bytes each and room to grow, some 230 MB at the very most; at
/// 14,000 requests a second it is what comes in five minutes, and at more the window narrows.
pub const SIGNATURES_MAX: usize = 4 << 20;

/// How long after its first request a signature may come again. Reason: requests that are signed alike were signed within one
/// second; another for the way here.
pub const REPEAT_MS: u32 = 2_000;

/// The set.
#[derive(Debug)]
pub struct ReplayWindow {
    shards: Box<[Mutex<Shard>]>,
    skew_ms: i64,
    shard_max: usize,
}

/// What tells a request from others of the same signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The signature alone: what tells requests apart is signed, or there is nothing that does.
    Signed,
    /// Something that is not signed, hashed.
    Told(u32),
}

/// What became of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Never before, or so shortly before that it is another's.
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
    signatures: HashMap<(u64, u64), Served, BuildHasherDefault<Prefix>>,
}

/// A request that was served.
#[derive(Debug)]
struct Served {
    /// When, in milliseconds, the low bits: differences of hours are all that is asked.
    at_ms: u32,
    /// What told it from others; 0 when nothing did.
    told: u32,
}

impl Served {
    /// Whether another request of the same signature, now, may be an honest one.
    fn may_repeat(&self, now: Timestamp, identity: Identity) -> bool {
        // Clocks of two threads may be read in either order.
        let is_soon = (now.0 as u32).wrapping_sub(self.at_ms).cast_signed().unsigned_abs() <= REPEAT_MS;
        match identity {
            Identity::Signed => false,
            Identity::Told(told) => is_soon && told != self.told,
        }
    }
}

/// Signatures are as random as any hash of them.
#[derive(Debug, Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a key is two words");
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(32) ^ word;
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

    /// Takes note of a valid signature of `at`, in a request that came `now`.
    pub fn see(&self, signature: &Digest, at: Timestamp, now: Timestamp, identity: Identity) -> Seen {
        let word =
            |at: usize| u64::from_le_bytes(signature[at..at + 8].try_into().expect("it is eight bytes"));
        let shard = &self.shards[usize::from(signature[31]) % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        // A generation's last signature is of its end.
        let oldest = (now.0 - self.skew_ms).div_euclid(GENERATION_MS);
        shard.retire(oldest);
        let number = at.0.div_euclid(GENERATION_MS);
        if let Err(seen) = shard.make_room(number, self.shard_max) {
            return seen;
        }
        shard.see((word(0), word(8)), number, now, identity)
    }
}

/// Over all bits of a word; of nothing, never nothing.
fn spread(told: u32) -> u64 {
    (u64::from(told) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
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

    /// Forgets the oldest generation where the shard is full; refuses signatures of a forgotten time.
    fn make_room(&mut self, number: i64, entries_max: usize) -> Result<(), Seen> {
        if self.entries >= entries_max {
            self.forgotten = self.drop_oldest().max(self.forgotten);
        }
        let is_forgotten = self.forgotten.is_some_and(|forgotten| number <= forgotten);
        if is_forgotten { Err(Seen::Forgotten) } else { Ok(()) }
    }

    fn see(&mut self, signature: (u64, u64), number: i64, now: Timestamp, identity: Identity) -> Seen {
        let place = self.generations.partition_point(|generation| generation.number < number);
        if self.generations.get(place).is_none_or(|generation| generation.number != number) {
            self.generations.insert(place, Generation { number, signatures: HashMap::default() });
        }
        let signatures = &mut self.generations[place].signatures;
        let told = if let Identity::Told(told) = identity { told } else { 0 };
        let key = match signatures.get(&signature) {
            None => signature,
            // Another call of this signature: remembered beside the first, under what tells it from that.
            Some(first) if first.may_repeat(now, identity) => (signature.0 ^ spread(told), signature.1),
            Some(_) => return Seen::Before,
        };
        match signatures.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Served { at_ms: now.0 as u32, told });
                self.entries += 1;
                Seen::First
            }
            Entry::Occupied(_) => Seen::Before,
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
            assert_eq!(window.see(&one, at, start, Identity::Signed), Seen::First);
            // Until the last millisecond at which its time would still be accepted.
            let last = at.plus_millis(SKEW_MS);
            for now in [start, start.plus_millis(1), last.plus_millis(-1), last] {
                assert_eq!(
                    window.see(&one, at, now, Identity::Signed),
                    Seen::Before,
                    "{early_ms} {}",
                    now.0 - start.0
                );
            }
        }
    }

    #[test]
    fn requests_that_were_signed_alike_are_told_apart() {
        let start = Timestamp(1_700_000_000_000);
        let check = |first: Identity, second: Identity, later_ms: i64, expected: Seen| {
            let window = ReplayWindow::new(SKEW_MS);
            assert_eq!(window.see(&signature(1), start, start, first), Seen::First);
            let now = start.plus_millis(later_ms);
            assert_eq!(
                window.see(&signature(1), start, now, second),
                expected,
                "{first:?} {second:?} {later_ms}"
            );
        };
        use Identity::{Signed, Told};
        for later_ms in [-1, 0, 1, 2_000] {
            check(Told(1), Told(2), later_ms, Seen::First);
            check(Told(1), Told(1), later_ms, Seen::Before);
            check(Signed, Signed, later_ms, Seen::Before);
        }
        for later_ms in [2_001, 60_000, 300_000] {
            check(Told(1), Told(2), later_ms, Seen::Before);
            check(Signed, Told(1), later_ms, Seen::Before);
        }
    }

    #[test]
    fn each_of_the_calls_that_were_signed_alike_is_served_once() {
        let window = ReplayWindow::new(SKEW_MS);
        let start = Timestamp(1_700_000_000_000);
        let see = |told| window.see(&signature(1), start, start, Identity::Told(told));
        for told in 0..50 {
            assert_eq!(see(told), Seen::First, "{told}");
        }
        for told in 0..50 {
            assert_eq!(see(told), Seen::Before, "{told}");
        }
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let window = ReplayWindow::new(SKEW_MS);
        let start = Timestamp(1_700_000_000_000);
        for index in 0..100_000 {
            let now = start.plus_millis(index as i64 * 100);
            assert_eq!(window.see(&signature(index), now, now, Identity::Signed), Seen::First);
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
            if window.see(&signature(index), now, now, Identity::Signed) == Seen::First {
                served.push((index, now));
            }
        }
        assert!(served.len() > 5_000, "new requests are served: {}", served.len());
        let end = served.last().unwrap().1;
        for (index, at) in served {
            assert_ne!(window.see(&signature(index), at, end, Identity::Signed), Seen::First, "{index}");
        }
        let held: usize = window.shards.iter().map(|shard| shard.lock().unwrap().entries).sum();
        assert!(held <= SHARDS * 4, "{held}");
    }
}
