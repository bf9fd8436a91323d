//! How many requests are in flight: now, at most, and on average over time.
//!
//! **The idea.** The integral of the number in flight is the sum of (end − begin) of what is over, plus (now − begin) of
//! what is not. So a begin subtracts its time and an end adds its own, and no clock is read that was not read anyway. A
//! reader needs the sum of times and the number in flight *of one moment*: both are kept in one word. Each begin also
//! adds [`OPEN`], each end takes it off, and `OPEN` is so much larger than any time that one division tells them apart.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::sharded::Sharded;

/// What a request in flight adds beside its time. Reason: times are below half of it for four years of 1,024 ns ticks,
/// and the word holds 32,767 requests in flight, more than a server has sockets.
const OPEN: i64 = 1 << 48;

/// A tick is 2^10 ns. Reason: a shift in the place of a division; begins and ends are both rounded down, so that the
/// mean of many requests is not moved.
const TICK_BITS: u32 = 10;

/// Requests in flight.
#[derive(Debug)]
pub(super) struct Concurrency {
    base: Instant,
    words: Sharded<Word>,
    period: Mutex<Period>,
}

#[derive(Debug, Default)]
struct Word {
    /// Σ over requests in flight of (`OPEN` − begin), plus the time of those that are over and not yet drained.
    packed: AtomicI64,
    /// The most in flight of this shard since the last drain.
    peak: AtomicU32,
}

/// The period that was drained last.
#[derive(Debug)]
struct Period {
    since_ticks: i64,
    last: Level,
}

/// How many were in flight during a period.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Level {
    /// The time-weighted mean.
    pub mean: f64,
    /// The most; where several threads serve, the sum of each one's most, which may lie above.
    pub max: u32,
}

impl Concurrency {
    /// From now on.
    pub(super) fn new(base: Instant) -> Self {
        let period = Mutex::new(Period { since_ticks: 0, last: Level::default() });
        Self { base, words: Sharded::default(), period }
    }

    /// A request began at `started`.
    pub(super) fn begin(&self, started: Instant) {
        let word = self.words.local();
        let change = OPEN - self.ticks(started);
        let packed = word.packed.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        // A float divides faster than an integer, and is near enough to be rounded.
        let inflight = (packed as f64 / change as f64 + 0.5) as u32;
        if inflight > word.peak.load(Ordering::Relaxed) {
            word.peak.fetch_max(inflight, Ordering::Relaxed);
        }
    }

    /// And it ended.
    pub(super) fn end(&self, ended: Instant) {
        self.words.local().packed.fetch_add(self.ticks(ended) - OPEN, Ordering::Relaxed);
    }

    /// How many are in flight at `now`.
    pub(super) fn inflight(&self, now: Instant) -> u32 {
        let packed =
            self.words.iter().fold(0_i64, |sum, word| sum.wrapping_add(word.packed.load(Ordering::Relaxed)));
        u32::try_from(unpack(packed, self.ticks(now)).0).unwrap_or(0)
    }

    /// The period that was drained last.
    pub(super) fn last(&self) -> Level {
        self.period.lock().unwrap_or_else(PoisonError::into_inner).last
    }

    /// What the period that goes on is like until `now`.
    pub(super) fn look(&self, now: Instant) -> Level {
        let period = self.period.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.ticks(now);
        let (mut max, mut integral) = (0_u32, 0_i64);
        for word in self.words.iter() {
            let (inflight, time) = unpack(word.packed.load(Ordering::Relaxed), now);
            integral += time;
            max += word.peak.load(Ordering::Relaxed).max(u32::try_from(inflight).unwrap_or(0));
        }
        Level { mean: mean(integral, now - period.since_ticks), max }
    }

    /// Ends a period at `now`, and says what it was like.
    pub(super) fn drain(&self, now: Instant) -> Level {
        let mut period = self.period.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.ticks(now);
        let (mut max, mut integral, mut is_crossed) = (0_u32, 0_i64, false);
        for word in self.words.iter() {
            let (inflight, time) = unpack(word.packed.load(Ordering::Relaxed), now);
            word.packed.fetch_sub(time, Ordering::Relaxed);
            integral += time;
            is_crossed |= inflight < 0;
            let still = u32::try_from(inflight).unwrap_or(0);
            max += word.peak.swap(still, Ordering::Relaxed).max(still);
        }
        if is_crossed {
            self.gather(now);
        }
        let length = now - period.since_ticks;
        if length > 0 {
            *period = Period { since_ticks: now, last: Level { mean: mean(integral, length), max } };
        }
        period.last
    }

    /// Requests that began on one thread and ended on another leave one shard too high and another too low: the first
    /// takes all.
    fn gather(&self, now: i64) {
        let mut moved = 0_i64;
        for word in self.words.iter() {
            let (inflight, _) = unpack(word.packed.load(Ordering::Relaxed), now);
            let change = inflight * (OPEN - now);
            word.packed.fetch_sub(change, Ordering::Relaxed);
            moved += change;
        }
        if let Some(first) = self.words.iter().next() {
            first.packed.fetch_add(moved, Ordering::Relaxed);
        }
    }

    fn ticks(&self, moment: Instant) -> i64 {
        let since = moment.saturating_duration_since(self.base);
        (since.as_nanos() as u64 >> TICK_BITS).cast_signed()
    }
}

/// Over a period of this length; zero of none.
fn mean(integral: i64, length: i64) -> f64 {
    if length > 0 { (integral as f64 / length as f64).max(0.0) } else { 0.0 }
}

/// The number in flight, and the ticks they and those before them took.
fn unpack(packed: i64, now: i64) -> (i64, i64) {
    let each = OPEN - now;
    let inflight = (packed as f64 / each as f64).round() as i64;
    (inflight, packed.wrapping_sub(inflight * each))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Requests as (begin, end) in milliseconds, looked at after `length`; expected: the mean, and those left.
    fn check(requests: &[(u32, u32)], length: u32, mean: f64, left: u32) {
        let base = Instant::now();
        let concurrency = Concurrency::new(base);
        let mut moments: Vec<_> =
            requests.iter().flat_map(|&(begin, end)| [(begin, true), (end, false)]).collect();
        moments.sort_unstable();
        for (at, is_begin) in moments.into_iter().filter(|(at, _)| *at <= length) {
            let at = base + MS * at;
            if is_begin { concurrency.begin(at) } else { concurrency.end(at) }
        }
        let now = base + MS * length;
        assert_eq!(concurrency.inflight(now), left, "{requests:?}");
        let seen = concurrency.look(now);
        let found = concurrency.drain(now);
        assert_eq!(seen, found);
        assert!((found.mean - mean).abs() < 1e-3, "expected {mean}, found {found:?} of {requests:?}");
        assert_eq!(concurrency.last(), found);
    }

    #[test]
    fn the_mean_is_weighted_by_time() {
        check(&[], 10_000, 0.0, 0);
        check(&[(0, 10_000)], 10_000, 1.0, 0);
        check(&[(2_000, 7_000)], 10_000, 0.5, 0);
        check(&[(0, 1), (1, 2), (2, 3)], 10, 0.3, 0);
        check(&[(0, 5_000), (0, 5_000), (5_000, 99_000)], 10_000, 1.5, 1);
        check(&[(9_000, 20_000); 100], 10_000, 10.0, 100);
    }

    #[test]
    fn a_request_counts_in_each_period_that_it_lasts() {
        let base = Instant::now();
        let concurrency = Concurrency::new(base);
        concurrency.begin(base + MS * 5_000);
        concurrency.begin(base + MS * 5_000);
        assert_eq!(concurrency.drain(base + MS * 10_000).max, 2);
        concurrency.end(base + MS * 15_000);
        let second = concurrency.drain(base + MS * 20_000);
        assert!((second.mean - 1.5).abs() < 1e-3, "{second:?}");
        let third = concurrency.drain(base + MS * 30_000);
        assert!((third.mean - 1.0).abs() < 1e-3, "{third:?}");
        assert_eq!((second.max, third.max), (2, 1));
        concurrency.end(base + MS * 30_000);
        // It was there when the period began.
        assert_eq!(concurrency.drain(base + MS * 40_000), Level { mean: 0.0, max: 1 });
        assert_eq!(concurrency.drain(base + MS * 50_000), Level { mean: 0.0, max: 0 });
    }

    #[test]
    fn long_uptimes_and_many_requests_are_told_apart() {
        let base = Instant::now();
        let concurrency = Concurrency::new(base);
        let year = Duration::from_secs(365 * 24 * 3600);
        concurrency.drain(base + year);
        for _ in 0..20_000 {
            concurrency.begin(base + year);
        }
        let now = base + year + Duration::from_secs(10);
        assert_eq!(concurrency.inflight(now), 20_000);
        let level = concurrency.drain(now);
        assert_eq!(level.max, 20_000);
        assert!((level.mean - 20_000.0).abs() < 10.0, "{level:?}");
    }

    #[test]
    fn a_request_may_end_on_another_thread() {
        let base = Instant::now();
        let concurrency = Concurrency::new(base);
        for period in 1..=50 {
            for _ in 0..20 {
                concurrency.begin(base + MS * (10 * period - 10));
            }
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..5).for_each(|_| concurrency.end(base + MS * (10 * period - 5))));
                }
            });
            let level = concurrency.drain(base + MS * (10 * period));
            assert!((level.mean - 10.0).abs() < 0.1, "{level:?}");
            assert!(level.max >= 20 && level.max <= 40, "{level:?}");
            assert_eq!(concurrency.inflight(base + MS * (10 * period)), 0);
        }
    }
}
