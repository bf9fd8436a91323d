//! How often: a token bucket in one word. It holds a second's worth of requests, and its state is the moment at which it
//! will be full again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use wire::Timestamp;

/// Buckets of one caller, one a variant. Reason: more variants than a machine serves; full buckets, of which nothing is
/// known that a new one would not know, make room.
const VARIANTS_MAX: usize = 1024;

/// A bucket that will be full later than this was filled before the clock was set back, and starts anew. Reason: far more
/// than the clocks of two requests differ by, and short enough that nobody is held up for long.
const CLOCK_STEP_NS: i64 = 10_000_000_000;

const NANOS_A_SECOND: f64 = 1e9;

/// A token bucket.
#[derive(Debug)]
pub struct Bucket {
    interval_ns: i64,
    burst_ns: i64,
    full_at_ns: AtomicI64,
}

impl Bucket {
    /// Of this many requests a second, of which a second's worth (one at least) may come at once.
    pub fn new(requests_per_second: f64) -> Self {
        let interval_ns = (NANOS_A_SECOND / requests_per_second).max(1.0) as i64;
        let burst_ns = (requests_per_second.max(1.0) * interval_ns as f64) as i64;
        Self { interval_ns, burst_ns, full_at_ns: AtomicI64::new(i64::MIN) }
    }

    /// Takes a token; `false` when there is none.
    pub fn take(&self, now: Timestamp) -> bool {
        let now_ns = now.0.saturating_mul(1_000_000);
        let taken = self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at_ns| {
            let is_of_another_clock = full_at_ns > now_ns + self.burst_ns + CLOCK_STEP_NS;
            let full_at_ns = if is_of_another_clock { now_ns } else { full_at_ns.max(now_ns) };
            let next = full_at_ns + self.interval_ns;
            (next <= now_ns + self.burst_ns).then_some(next)
        });
        taken.is_ok()
    }

    fn is_full(&self, now: Timestamp) -> bool {
        self.full_at_ns.load(Ordering::Relaxed) <= now.0.saturating_mul(1_000_000)
    }
}

/// An endpoint and one of its variants.
type Name = (Box<str>, Box<str>);

/// A bucket for each name, all of one rate.
#[derive(Debug)]
pub struct Buckets {
    requests_per_second: f64,
    by_name: RwLock<HashMap<Name, Arc<Bucket>>>,
}

impl Buckets {
    /// Each of this rate.
    pub fn new(requests_per_second: f64) -> Self {
        Self { requests_per_second, by_name: RwLock::default() }
    }

    /// Takes a token of `variant` of `endpoint`; `false` when there is none.
    pub fn take(&self, endpoint: &str, variant: &str, now: Timestamp) -> bool {
        let key = (Box::from(endpoint), Box::from(variant));
        let known = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        known.unwrap_or_else(|| self.add(key, now)).take(now)
    }

    fn add(&self, key: Name, now: Timestamp) -> Arc<Bucket> {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        if by_name.len() >= VARIANTS_MAX {
            by_name.retain(|_, bucket| !bucket.is_full(now));
        }
        if by_name.len() >= VARIANTS_MAX {
            // All are in use: the new name shares one with the others that do not fit.
            return Arc::clone(by_name.entry(Default::default()).or_insert_with(|| self.bucket()));
        }
        Arc::clone(by_name.entry(key).or_insert_with(|| self.bucket()))
    }

    fn bucket(&self) -> Arc<Bucket> {
        Arc::new(Bucket::new(self.requests_per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `tries` at `now` get a token.
    fn taken(bucket: &Bucket, tries: usize, now_ms: i64) -> usize {
        (0..tries).filter(|_| bucket.take(Timestamp(now_ms))).count()
    }

    #[test]
    fn a_bucket_holds_a_second_and_fills_at_its_rate() {
        let bucket = Bucket::new(10.0);
        let start = 1_700_000_000_000;
        assert_eq!(taken(&bucket, 100, start), 10);
        assert_eq!(taken(&bucket, 100, start + 99), 0);
        assert_eq!(taken(&bucket, 100, start + 100), 1);
        assert_eq!(taken(&bucket, 100, start + 600), 5);
        assert_eq!(taken(&bucket, 100, start + 60_000), 10);
    }

    #[test]
    fn slow_rates_hold_one() {
        let bucket = Bucket::new(0.5);
        assert_eq!(taken(&bucket, 5, 10_000), 1);
        assert_eq!(taken(&bucket, 5, 11_999), 0);
        assert_eq!(taken(&bucket, 5, 12_000), 1);
    }

    #[test]
    fn a_clock_set_back_does_not_hold_a_bucket_empty() {
        let bucket = Bucket::new(10.0);
        assert_eq!(taken(&bucket, 20, 100_000), 10);
        assert_eq!(taken(&bucket, 20, 99_999), 0, "a request that looked at its clock a little earlier");
        assert_eq!(taken(&bucket, 20, 50_000), 10, "a clock that was set");
        assert_eq!(taken(&bucket, 20, 50_100), 1);
    }

    #[test]
    fn variants_have_buckets_of_their_own_within_a_limit() {
        let buckets = Buckets::new(1.0);
        let now = Timestamp(5_000);
        assert!(buckets.take("e", "a", now) && buckets.take("e", "b", now) && buckets.take("f", "a", now));
        assert!(!buckets.take("e", "a", now) && !buckets.take("f", "a", now));
        for index in 0..2 * VARIANTS_MAX {
            buckets.take("g", &index.to_string(), now);
        }
        let held = || buckets.by_name.read().unwrap().len();
        assert!(held() <= VARIANTS_MAX + 1);
        assert!(!buckets.take("e", "a", now), "its bucket was not lost");
        buckets.take("h", "a", now.plus_millis(10_000));
        assert_eq!(held(), 1, "full ones made room");
    }
}
