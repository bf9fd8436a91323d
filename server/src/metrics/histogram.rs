//! A histogram of times with fixed buckets: its memory does not grow with what it records.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::HistogramFn;

use super::sharded::Sharded;

/// The upper bounds of the buckets, in nanoseconds: 1 µs, where a decode lies, to 60 s, where a request ends. Each is
/// at least twice the one before: [`bucket_of`] counts on it.
pub(super) const BOUNDS_NS: [u64; 24] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// By its number of bits, the bucket of the shortest time that has as many.
const BUCKETS_OF_BITS: [u8; 65] = {
    let mut buckets = [0; 65];
    let mut bits = 1;
    while bits <= 64 {
        let mut bucket = buckets[bits - 1];
        while (bucket as usize) < BOUNDS_NS.len() && BOUNDS_NS[bucket as usize] < 1 << (bits - 1) {
            bucket += 1;
        }
        buckets[bits] = bucket;
        bits += 1;
    }
    buckets
};

/// Counts of times in buckets, and their sum. Times come in seconds and are kept in nanoseconds, which one addition
/// sums up where a float would be read, added and put back.
#[derive(Debug, Default)]
pub(super) struct HistogramCell(Sharded<Shard>);

#[derive(Debug, Default)]
struct Shard {
    /// The last bucket holds what is above every bound.
    buckets: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

/// A histogram's numbers at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// Counts, not yet cumulated.
    pub(super) buckets: [u64; BOUNDS_NS.len() + 1],
    /// Nanoseconds.
    pub(super) sum_ns: u64,
}

impl HistogramCell {
    /// What was counted.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut sum = Snapshot::default();
        for shard in self.0.iter() {
            for (into, from) in sum.buckets.iter_mut().zip(&shard.buckets) {
                *into += from.load(Ordering::Relaxed);
            }
            sum.sum_ns = sum.sum_ns.wrapping_add(shard.sum_ns.load(Ordering::Relaxed));
        }
        sum
    }
}

impl HistogramFn for HistogramCell {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    /// What is below zero or not a number counts as no time.
    fn record_many(&self, value: f64, count: usize) {
        // The cast rounds down and stops at the bounds of its type.
        let time_ns = ((value * 1e9 + 0.5) as i64).max(0).cast_unsigned();
        let shard = self.0.local();
        shard.buckets[bucket_of(time_ns)].fetch_add(count as u64, Ordering::Relaxed);
        shard.sum_ns.fetch_add(time_ns.wrapping_mul(count as u64), Ordering::Relaxed);
    }
}

/// The first bucket whose bound is not below `time_ns`. Times of as many bits differ by less than a factor of two:
/// there is at most one bound among them.
fn bucket_of(time_ns: u64) -> usize {
    let bucket = usize::from(BUCKETS_OF_BITS[(u64::BITS - time_ns.leading_zeros()) as usize]);
    bucket + usize::from(BOUNDS_NS.get(bucket).is_some_and(|&bound_ns| bound_ns < time_ns))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(time_ns: u64) {
        let histogram = HistogramCell::default();
        histogram.record(Duration::from_nanos(time_ns).as_secs_f64());
        let snapshot = histogram.snapshot();
        let expected = BOUNDS_NS.iter().position(|&bound_ns| time_ns <= bound_ns).unwrap_or(BOUNDS_NS.len());
        assert_eq!(snapshot.buckets.iter().position(|&count| count == 1), Some(expected), "{time_ns} ns");
        assert_eq!(snapshot.sum_ns, time_ns);
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        for bound_ns in BOUNDS_NS {
            check(bound_ns - 1);
            check(bound_ns);
            check(bound_ns + 1);
        }
    }

    #[test]
    fn every_size_of_time_finds_its_bucket() {
        check(0);
        for bits in 0..50 {
            check(1 << bits);
            check((2 << bits) - 1);
            check(3 << bits);
        }
    }

    #[test]
    fn bounds_grow_at_least_twofold() {
        assert!(BOUNDS_NS.is_sorted_by(|below, above| below * 2 <= *above));
    }

    #[test]
    fn many_are_one_many_times() {
        let (many, one) = (HistogramCell::default(), HistogramCell::default());
        many.record_many(0.25, 3);
        (0..3).for_each(|_| one.record(0.25));
        assert_eq!(many.snapshot(), one.snapshot());
    }

    #[test]
    fn what_is_no_time_counts_as_none() {
        let (odd, zero) = (HistogramCell::default(), HistogramCell::default());
        for value in [f64::NAN, -1.0, f64::NEG_INFINITY] {
            odd.record(value);
            zero.record(0.0);
        }
        assert_eq!(odd.snapshot(), zero.snapshot());
        odd.record(f64::INFINITY);
        assert_eq!(odd.snapshot().buckets[BOUNDS_NS.len()], 1);
    }
}
