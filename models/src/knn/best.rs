//! The k best of many candidates: a heap whose top is the worst of them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A vector and how far it is; for inner products, minus the product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Neighbour {
    pub(super) distance: f64,
    pub(super) place: u32,
}

impl Eq for Neighbour {}

impl Ord for Neighbour {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then(self.place.cmp(&other.place))
    }
}

impl PartialOrd for Neighbour {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The nearest so far.
#[derive(Debug)]
pub(super) struct Best {
    count: usize,
    heap: BinaryHeap<Neighbour>,
    sorted: Vec<Neighbour>,
}

impl Best {
    /// The nearest `count`.
    pub(super) fn new(count: usize) -> Self {
        Self { count, heap: BinaryHeap::with_capacity(count), sorted: Vec::with_capacity(count) }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.heap.clear();
    }

    /// Whether there are as many as are asked for.
    pub(super) fn is_full(&self) -> bool {
        self.heap.len() == self.count
    }

    /// What a candidate's distance must not be above.
    pub(super) fn worst(&self) -> f64 {
        match self.heap.peek() {
            Some(worst) if self.is_full() => worst.distance,
            _ => f64::INFINITY,
        }
    }

    /// Takes a candidate in, if it is one of the nearest.
    pub(super) fn push(&mut self, candidate: Neighbour) {
        if !self.is_full() {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    /// All of them, the nearest first; none are left.
    pub(super) fn sorted(&mut self) -> &[Neighbour] {
        self.sorted.clear();
        self.sorted.extend(self.heap.drain());
        self.sorted.sort_unstable();
        &self.sorted
    }
}
