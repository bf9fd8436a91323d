//! A variant's share of compute: how many of its predictions run at once on the pool, and how many may be under way.
//!
//! An instance is a share of compute, not a process: its slots say how many threads of the pool may work for the variant
//! at the same moment. Both numbers change while requests run. Predictions short enough for a connection's own thread
//! need no slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::error::Error;

/// No cap on the requests under way.
const UNCAPPED: u32 = u32::MAX;

/// The numbers, shared by all snapshots that the variant stands in.
#[derive(Debug)]
pub struct Capacity {
    id: u64,
    slots: AtomicU32,
    concurrency_max: AtomicU32,
    in_flight: AtomicU32,
}

impl Capacity {
    /// `slots` predictions at once on the pool; no cap on the requests under way.
    pub fn new(slots: u32) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            slots: AtomicU32::new(slots),
            concurrency_max: AtomicU32::new(UNCAPPED),
            in_flight: AtomicU32::new(0),
        })
    }

    /// At most `concurrency_max` requests under way (a serverless variant's `MaxConcurrency`), each with a slot.
    pub fn serverless(concurrency_max: u32) -> Arc<Self> {
        let capacity = Self::new(concurrency_max);
        capacity.set_concurrency_max(Some(concurrency_max));
        capacity
    }

    /// Predictions that may run at once on the pool.
    pub fn slots(&self) -> u32 {
        self.slots.load(Ordering::Relaxed)
    }

    /// From now on `slots` at once; those that run go on.
    pub fn set_slots(&self, slots: u32) {
        self.slots.store(slots, Ordering::Relaxed);
    }

    /// The most requests under way; `None` is no cap.
    pub fn concurrency_max(&self) -> Option<u32> {
        Some(self.concurrency_max.load(Ordering::Relaxed)).filter(|&max| max != UNCAPPED)
    }

    /// From now on at most `max` requests under way; those that are go on.
    pub fn set_concurrency_max(&self, max: Option<u32>) {
        self.concurrency_max.store(max.unwrap_or(UNCAPPED), Ordering::Relaxed);
    }

    /// Requests under way that count against the cap; always 0 without one.
    #[cfg(test)]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whose lane of the pool this is.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Takes a place among the requests under way. Without a cap that is one look at a line that nobody writes.
    ///
    /// # Errors
    /// When all are taken.
    #[inline]
    pub(super) fn enter(self: &Arc<Self>) -> Result<Place, Error> {
        match self.concurrency_max.load(Ordering::Relaxed) {
            UNCAPPED => Ok(Place(None)),
            max => self.enter_capped(max),
        }
    }

    fn enter_capped(self: &Arc<Self>, max: u32) -> Result<Place, Error> {
        let below = |count: u32| (count < max).then_some(count + 1);
        match self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Relaxed, below) {
            Ok(_) => Ok(Place(Some(Arc::clone(self)))),
            Err(_) => Err(Error::Throttled { limit: max }),
        }
    }

    fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A place among the requests under way, given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Option<Arc<Capacity>>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(capacity) = &self.0 {
            capacity.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_cap_nothing_is_counted() {
        let capacity = Capacity::new(2);
        let _places: Vec<_> = (0..100).map(|_| capacity.enter().unwrap()).collect();
        assert_eq!((capacity.in_flight(), capacity.concurrency_max(), capacity.slots()), (0, None, 2));
    }

    #[test]
    fn a_cap_refuses_until_a_place_is_free_and_follows_a_change() {
        let capacity = Capacity::serverless(2);
        let (one, _two) = (capacity.enter().unwrap(), capacity.enter().unwrap());
        assert!(matches!(capacity.enter(), Err(Error::Throttled { limit: 2 })));
        capacity.set_concurrency_max(Some(3));
        let three = capacity.enter().unwrap();
        drop((one, three));
        assert_eq!(capacity.in_flight(), 1);
        capacity.set_concurrency_max(Some(1));
        assert!(matches!(capacity.enter(), Err(Error::Throttled { limit: 1 })));
    }
}
