//! A stop request (SIGTERM, SIGINT) as a flag that training reads between rounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// What the shell reports of a process that SIGTERM ended.
const EXIT_ON_SECOND_SIGNAL: i32 = 143;

/// Whether training was asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens for SIGTERM and SIGINT: the first sets the flag, the second ends the process at once.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn on_signals() -> std::io::Result<Self> {
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

    /// A request that comes only by [`ask`](Self::ask).
    pub fn never() -> Self {
        Self::default()
    }

    /// Whether it came.
    pub fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes it come.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
