//! A stop request (SIGTERM, SIGINT) as a flag that training reads between rounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// What the shell reports of a process that SIGTERM ended.
const EXIT_ON_SECOND_SIGNAL: i32 = 143;

/// Whether training was asked to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens for SIGTERM and SIGINT: the first sets the flag, the second ends the process at once.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(crate) fn on_signals() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag unset, and the second finds it set.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                EXIT_ON_SECOND_SIGNAL,
                Arc::clone(&flag),
            )?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// A request that never comes, for tests.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        Self::default()
    }

    /// Whether it came.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes it come.
    #[cfg(test)]
    pub(crate) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
