//! The times of one period, to be taken away when it ends: exact count, sum, minimum and maximum, and buckets that are
//! fine enough for percentiles.

use std::array;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::sharded::Sharded;

/// Buckets between a power of two and the next, as bits. Reason: a value is told to within 1/32 of itself, and a shard
/// takes 2 KiB.
const FINE_BITS: u32 = 4;

/// Times from here on share the last bucket: 2^36 ns are 69 s, longer than a request may take.
const BITS_MAX: u32 = 36;

const BUCKETS: usize = ((BITS_MAX - FINE_BITS + 1) << FINE_BITS) as usize;

/// Times that are recorded by many threads and taken by one.
#[derive(Debug, Default)]
pub(super) struct PeriodTimes(Sharded<Shard>);

#[derive(Debug)]
struct Shard {
    buckets: [AtomicU32; BUCKETS],
    sum_ns: AtomicU64,
    min_ns: AtomicU64,
    max_ns: AtomicU64,
}

/// What a period held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// All together, in nanoseconds.
    pub sum_ns: u64,
    /// The shortest; `u64::MAX` when there was none.
    pub min_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// The middle of each bucket that holds something, and how many it holds.
    pub buckets: Vec<(u64, u64)>,
}

impl Default for Times {
    fn default() -> Self {
        Self { count: 0, sum_ns: 0, min_ns: u64::MAX, max_ns: 0, buckets: Vec::new() }
    }
}

impl Default for Shard {
    fn default() -> Self {
        let buckets = array::from_fn(|_| AtomicU32::new(0));
        Self { buckets, sum_ns: 0.into(), min_ns: u64::MAX.into(), max_ns: 0.into() }
    }
}

/// How a shard's numbers are read.
struct Reading {
    bucket: fn(&AtomicU32) -> u32,
    /// Given what the number is when there is nothing.
    number: fn(&AtomicU64, u64) -> u64,
}

/// Read, they are back at nothing.
const TAKE: Reading = Reading {
    // Mostly zero: a load leaves the cache line where it is.
    bucket: |bucket| if bucket.load(Ordering::Relaxed) == 0 { 0 } else { bucket.swap(0, Ordering::Acquire) },
    number: |number, nothing| number.swap(nothing, Ordering::Relaxed),
};

/// Read, they stay.
const LOOK: Reading = Reading {
    bucket: |bucket| bucket.load(Ordering::Acquire),
    number: |number, _| number.load(Ordering::Relaxed),
};

impl PeriodTimes {
    /// Counts one.
    pub(super) fn record(&self, time_ns: u64) {
        let shard = self.0.local();
        shard.sum_ns.fetch_add(time_ns, Ordering::Relaxed);
        if time_ns < shard.min_ns.load(Ordering::Relaxed) {
            shard.min_ns.fetch_min(time_ns, Ordering::Relaxed);
        }
        if time_ns > shard.max_ns.load(Ordering::Relaxed) {
            shard.max_ns.fetch_max(time_ns, Ordering::Relaxed);
        }
        // Last: who takes the count sees the rest of it too.
        shard.buckets[bucket_of(time_ns)].fetch_add(1, Ordering::Release);
    }

    /// Takes what was counted. What is being counted meanwhile belongs to this period or to the next; over both, count
    /// and sum are exact.
    pub(super) fn take(&self) -> Times {
        self.read(&TAKE)
    }

    /// What was counted since it was taken last, and goes on.
    pub(super) fn look(&self) -> Times {
        self.read(&LOOK)
    }

    fn read(&self, reading: &Reading) -> Times {
        let mut counts = [0_u64; BUCKETS];
        let mut taken = Times::default();
        for shard in self.0.iter() {
            let mut in_shard = 0;
            for (count, bucket) in counts.iter_mut().zip(&shard.buckets) {
                let found = u64::from((reading.bucket)(bucket));
                *count += found;
                in_shard += found;
            }
            if in_shard > 0 {
                taken.count += in_shard;
                taken.sum_ns += (reading.number)(&shard.sum_ns, 0);
                taken.min_ns = taken.min_ns.min((reading.number)(&shard.min_ns, u64::MAX));
                taken.max_ns = taken.max_ns.max((reading.number)(&shard.max_ns, 0));
            }
        }
        let held = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        taken.buckets = held.map(|(bucket, count)| (middle_of(bucket), *count)).collect();
        // One that was only half counted by a drain before has lost its bounds to it.
        if let (Some(first), true) = (taken.buckets.first(), taken.min_ns > taken.max_ns) {
            (taken.min_ns, taken.max_ns) = (first.0, taken.buckets.last().map_or(first.0, |last| last.0));
        }
        taken
    }
}

/// Up to `2^FINE_BITS` exact; then by the highest bit and the `FINE_BITS` below it.
fn bucket_of(time_ns: u64) -> usize {
    let bits = (u64::BITS - 1).saturating_sub(time_ns.leading_zeros());
    if bits < FINE_BITS {
        return time_ns as usize;
    }
    if bits >= BITS_MAX {
        return BUCKETS - 1;
    }
    let fine = (time_ns >> (bits - FINE_BITS)) as usize - (1 << FINE_BITS);
    ((bits - FINE_BITS + 1) << FINE_BITS) as usize + fine
}

fn middle_of(bucket: usize) -> u64 {
    let (coarse, fine) = ((bucket >> FINE_BITS) as u32, (bucket & ((1 << FINE_BITS) - 1)) as u64);
    if coarse == 0 {
        return fine;
    }
    let width = 1_u64 << (coarse - 1);
    ((1 << FINE_BITS) + fine) * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_tells_a_time_to_within_a_thirty_second() {
        let mut time_ns = 0_u64;
        while time_ns < 1 << BITS_MAX {
            let middle = middle_of(bucket_of(time_ns)) as f64;
            assert!((middle - time_ns as f64).abs() <= time_ns as f64 / 32.0, "{time_ns}: {middle}");
            time_ns += 1 + time_ns / 7;
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn buckets_are_in_the_order_of_times() {
        let buckets: Vec<_> = (0..BUCKETS).map(middle_of).collect();
        assert!(buckets.is_sorted_by(|a, b| a < b));
        assert!((0..BUCKETS).all(|bucket| bucket_of(middle_of(bucket)) == bucket));
    }

    #[test]
    fn what_is_taken_is_gone_and_what_is_looked_at_stays() {
        let times = PeriodTimes::default();
        [5_000, 7_000, 5_000].into_iter().for_each(|time_ns| times.record(time_ns));
        let seen = times.look();
        assert_eq!((seen.count, times.look()), (3, seen.clone()));
        let taken = times.take();
        assert_eq!(taken, seen);
        assert_eq!((taken.count, taken.sum_ns, taken.min_ns, taken.max_ns), (3, 17_000, 5_000, 7_000));
        assert_eq!(taken.buckets.iter().map(|(_, count)| count).sum::<u64>(), 3);
        assert_eq!(times.take(), Times::default());
    }

    #[test]
    fn nothing_is_lost_between_periods() {
        const EACH: u64 = 20_000;
        let times = PeriodTimes::default();
        let (mut count, mut sum_ns) = (0, 0);
        let mut add = |taken: Times| {
            count += taken.count;
            sum_ns += taken.sum_ns;
            if taken.count > 0 {
                assert!(taken.min_ns <= taken.max_ns, "{taken:?}");
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| (1..=EACH).for_each(|time_ns| times.record(time_ns))))
                .collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                add(times.take());
            }
        });
        add(times.take());
        assert_eq!((count, sum_ns), (3 * EACH, 3 * EACH * (EACH + 1) / 2));
    }
}
