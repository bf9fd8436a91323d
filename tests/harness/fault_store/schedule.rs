//! When a request fails, and how: drawn from a seed.

use std::collections::HashMap;

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// 500, and nothing is done.
    InternalError,
    /// 503, and nothing is done.
    SlowDown,
    /// The connection breaks before the request is read.
    ResetBefore,
    /// The connection breaks when half of the request's body was passed on.
    CutRequest,
    /// The request is done; the connection breaks before its answer.
    ResetAfter,
    /// The answer's body ends too early.
    ShortAnswer,
    /// The answer comes, piece by piece.
    Slow,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::InternalError,
        Self::SlowDown,
        Self::ResetBefore,
        Self::CutRequest,
        Self::ResetAfter,
        Self::ShortAnswer,
        Self::Slow,
    ];
}

/// How often one request fails in a row. Reason: below the attempts that any of the clients makes, so that what fails for
/// good is the client's mistake and not the dice's.
const IN_A_ROW_MAX: u32 = 2;

/// Who fails next.
#[derive(Debug)]
pub(super) struct Schedule {
    random: fastrand::Rng,
    /// Of a thousand requests, so many fail.
    per_mille: u32,
    /// How often each request failed since it last succeeded.
    failed: HashMap<String, u32>,
    /// How often each fault was served.
    pub(super) served: HashMap<Fault, u64>,
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            per_mille: 0,
            failed: HashMap::new(),
            served: HashMap::new(),
        }
    }

    pub(super) fn set_per_mille(&mut self, per_mille: u32) {
        self.per_mille = per_mille;
    }

    /// What becomes of the next request, which is known by `name`.
    pub(super) fn draw(&mut self, name: &str) -> Option<Fault> {
        let failures = self.failed.get(name).copied().unwrap_or(0);
        if self.random.u32(..1000) >= self.per_mille || failures >= IN_A_ROW_MAX {
            self.failed.remove(name);
            return None;
        }
        let fault = Fault::ALL[self.random.usize(..Fault::ALL.len())];
        if fault != Fault::Slow {
            self.failed.insert(name.to_owned(), failures + 1);
        }
        *self.served.entry(fault).or_default() += 1;
        Some(fault)
    }
}
