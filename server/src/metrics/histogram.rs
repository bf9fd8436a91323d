//! A histogram of times with fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in nanoseconds: 1 µs, where a decode lies, to 60 s, where a request ends.
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

/// Counts of times in buckets, and their sum.
#[derive(Debug, Default)]
pub struct Histogram {
    /// The last bucket holds what is above every bound.
    buckets: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

/// A histogram's numbers at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Counts, not yet cumulated.
    pub(super) buckets: [u64; BOUNDS_NS.len() + 1],
    /// Nanoseconds.
    pub(super) sum_ns: u64,
}

impl Histogram {
    /// Counts `time`.
    pub fn record(&self, time: Duration) {
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|&bound_ns| bound_ns < time_ns);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(time_ns, Ordering::Relaxed);
    }

    /// What was counted.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed)),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
        }
    }
}

impl Snapshot {
    /// The sum of several.
    pub(super) fn sum(parts: impl Iterator<Item = Self>) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            for (into, from) in sum.buckets.iter_mut().zip(part.buckets) {
                *into += from;
            }
            sum.sum_ns = sum.sum_ns.wrapping_add(part.sum_ns);
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(time_ns: u64, bucket: usize) {
        let histogram = Histogram::default();
        histogram.record(Duration::from_nanos(time_ns));
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.buckets.iter().position(|&count| count == 1), Some(bucket), "{time_ns} ns");
        assert_eq!(snapshot.sum_ns, time_ns);
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        check(0, 0);
        check(1_000, 0);
        check(1_001, 1);
        check(60_000_000_000, 23);
        check(60_000_000_001, 24);
    }
}
