//! A budget of bytes for the models of a multi-model server: typed, checked before a model is loaded and again when
//! its loader has counted.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::metrics::machine_bytes;

/// How many quarters of the machine's memory models may hold by default. Reason: the rest is for requests.
const QUARTERS_FOR_MODELS: u64 = 3;

/// The budget where the machine does not say how much memory it has. Reason: the least memory of a machine that one
/// would serve many models on.
const BUDGET_BYTES_UNKNOWN: u64 = 1 << 30;

/// What models may hold, and what they hold.
#[derive(Debug)]
pub struct MemoryBudget {
    limit_bytes: u64,
    used_bytes: Mutex<u64>,
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

impl MemoryBudget {
    /// A budget of `limit_bytes`.
    pub fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self { limit_bytes, used_bytes: Mutex::new(0) })
    }

    /// Three quarters of what the control group, else the machine, has.
    pub fn of_machine() -> Arc<Self> {
        Self::new(group_bytes().map_or(BUDGET_BYTES_UNKNOWN, |bytes| bytes / 4 * QUARTERS_FOR_MODELS))
    }

    /// Takes `bytes` of the budget.
    ///
    /// # Errors
    /// When they are not left.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Error> {
        let mut reservation = Reservation { budget: Arc::clone(self), bytes: 0 };
        reservation.resize(bytes)?;
        Ok(reservation)
    }
}

/// The memory of the control group, else of the machine; `None` where neither says.
pub fn group_bytes() -> Option<u64> {
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse().ok());
    group.into_iter().chain(machine_bytes()).min()
}

impl Reservation {
    /// What it takes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Becomes a reservation of `bytes`.
    ///
    /// # Errors
    /// When they are not left; it then stays what it was.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Error> {
        let limit_bytes = self.budget.limit_bytes;
        let mut used = self.budget.used_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let free_bytes = limit_bytes.saturating_sub(*used - self.bytes);
        if bytes > free_bytes {
            return Err(Error::OutOfMemory { needed_bytes: bytes, free_bytes, limit_bytes });
        }
        *used = *used - self.bytes + bytes;
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        *self.budget.used_bytes.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_not_left_until_it_is_given_back() {
        let budget = MemoryBudget::new(100);
        let mut first = budget.reserve(60).unwrap();
        let error = budget.reserve(41).expect_err("too much");
        assert!(matches!(error, Error::OutOfMemory { needed_bytes: 41, free_bytes: 40, limit_bytes: 100 }));
        first.resize(90).unwrap();
        first.resize(101).expect_err("too much");
        budget.reserve(11).expect_err("ten are left");
        drop(first);
        budget.reserve(100).unwrap();
    }
}
