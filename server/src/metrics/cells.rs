//! What stands behind a counter's and a gauge's handle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use metrics::{CounterFn, GaugeFn};

use super::sharded::Sharded;

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct CounterCell(Sharded<AtomicU64>);

impl CounterCell {
    /// How many.
    pub(super) fn value(&self) -> u64 {
        self.0.iter().fold(0, |sum, shard| sum.wrapping_add(shard.load(Ordering::Relaxed)))
    }
}

impl CounterFn for CounterCell {
    fn increment(&self, value: u64) {
        self.0.local().fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        // Two that raise one counter at once would both add what is missing.
        static RAISING: Mutex<()> = Mutex::new(());
        let _raising = RAISING.lock().unwrap_or_else(PoisonError::into_inner);
        self.increment(value.saturating_sub(self.value()));
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub(super) struct GaugeCell(Sharded<Real>);

impl GaugeCell {
    /// What it is.
    pub(super) fn value(&self) -> f64 {
        self.0.iter().fold(0.0, |sum, shard| sum + shard.value())
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.0.local().add(value);
    }

    fn decrement(&self, value: f64) {
        self.0.local().add(-value);
    }

    /// The first shard holds `value`, the others zero. A change by another thread meanwhile counts as before or after.
    fn set(&self, value: f64) {
        let mut value = value;
        for shard in self.0.iter() {
            shard.set(value);
            value = 0.0;
        }
    }
}

/// An `f64` that threads share; its bits. Zero at first.
#[derive(Debug, Default)]
struct Real(AtomicU64);

impl Real {
    /// What it is.
    fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Adds `change`.
    fn add(&self, change: f64) {
        self.0.update(Ordering::Relaxed, Ordering::Relaxed, |bits| (f64::from_bits(bits) + change).to_bits());
    }

    /// Becomes `value`. What is so already is not written: its cache line stays where it is.
    fn set(&self, value: f64) {
        if self.0.load(Ordering::Relaxed) != value.to_bits() {
            self.0.store(value.to_bits(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_add_up() {
        let (counter, gauge) = (CounterCell::default(), GaugeCell::default());
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        counter.increment(2);
                        gauge.increment(3.0);
                        gauge.decrement(1.0);
                    }
                });
            }
        });
        assert_eq!(counter.value(), 4000);
        assert_eq!(gauge.value(), 4000.0);
    }

    #[test]
    fn a_set_gauge_forgets_what_every_thread_added() {
        let gauge = GaugeCell::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| gauge.increment(5.0));
            }
        });
        gauge.set(7.5);
        assert_eq!(gauge.value(), 7.5);
        gauge.decrement(0.5);
        assert_eq!(gauge.value(), 7.0);
        gauge.set(0.0);
        assert_eq!(gauge.value().to_bits(), 0);
    }

    #[test]
    fn an_absolute_value_raises_once_and_never_lowers() {
        let counter = CounterCell::default();
        counter.increment(3);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| counter.absolute(10));
            }
        });
        assert_eq!(counter.value(), 10);
        counter.absolute(4);
        assert_eq!(counter.value(), 10);
        counter.increment(1);
        assert_eq!(counter.value(), 11);
    }
}
