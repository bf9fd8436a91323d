//! The compute pool as the page shows it: how busy its threads are, and how long the oldest job has waited. Both are kept
//! where jobs come and go, so that a reader waits for nobody and nobody for a reader.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::concurrency::Concurrency;

/// The pool's numbers.
#[derive(Debug)]
pub struct Pool {
    busy: Concurrency,
    threads: AtomicU32,
    base: Instant,
    /// Since when the oldest job waits, in nanoseconds since `base`, plus one; 0 is none.
    oldest: AtomicU64,
}

impl Pool {
    /// Without threads.
    pub(super) fn new(base: Instant) -> Self {
        Self { busy: Concurrency::new(base), threads: AtomicU32::new(0), base, oldest: AtomicU64::new(0) }
    }

    /// How many threads it has from now on.
    pub fn set_threads(&self, count: usize) {
        self.threads.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// How many threads it has.
    pub fn threads(&self) -> u32 {
        self.threads.load(Ordering::Relaxed)
    }

    /// One of its threads begins a job.
    pub fn begin(&self, now: Instant) {
        self.busy.begin(now);
    }

    /// And has ended it.
    pub fn end(&self, now: Instant) {
        self.busy.end(now);
    }

    /// Since when the oldest job that waits has waited.
    pub fn set_oldest(&self, since: Option<Instant>) {
        let nanos = |since: Instant| since.saturating_duration_since(self.base).as_nanos() as u64 + 1;
        self.oldest.store(since.map_or(0, nanos), Ordering::Relaxed);
    }

    /// How long the oldest job that waits has waited; zero when none does.
    pub fn oldest(&self, now: Instant) -> Duration {
        match self.oldest.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            nanos => now.saturating_duration_since(self.base).saturating_sub(Duration::from_nanos(nanos - 1)),
        }
    }

    /// The share of its threads that was busy, as a mean over the period that was drained last.
    pub fn busy_ratio(&self) -> f64 {
        self.busy.last().mean / f64::from(self.threads().max(1))
    }

    pub(super) fn drain(&self, now: Instant) {
        self.busy.drain(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_busy_by_the_time_that_jobs_take() {
        let base = Instant::now();
        let at = |seconds| base + Duration::from_secs(seconds);
        let pool = Pool::new(base);
        pool.set_threads(4);
        pool.begin(at(0));
        pool.begin(at(5));
        pool.end(at(8));
        pool.drain(at(10));
        assert!((pool.busy_ratio() - 13.0 / 40.0).abs() < 1e-3, "{}", pool.busy_ratio());
        pool.drain(at(20));
        assert!((pool.busy_ratio() - 0.25).abs() < 1e-3, "{}", pool.busy_ratio());
    }

    #[test]
    fn the_oldest_waits_until_it_is_gone() {
        let base = Instant::now();
        let pool = Pool::new(base);
        assert_eq!(pool.oldest(base + Duration::from_secs(9)), Duration::ZERO);
        pool.set_oldest(Some(base));
        assert_eq!(pool.oldest(base + Duration::from_secs(9)), Duration::from_secs(9));
        pool.set_oldest(None);
        assert_eq!(pool.oldest(base + Duration::from_secs(9)), Duration::ZERO);
    }
}
