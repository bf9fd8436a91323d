//! Whether the server can answer, and what last went wrong: what `/ping` says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The state behind `/ping`.
#[derive(Debug, Default)]
pub struct Health {
    is_ready: AtomicBool,
    is_draining: AtomicBool,
    problem: Mutex<Option<String>>,
}

impl Health {
    /// A model was published, or none is needed; nothing is wrong.
    pub fn ready(&self) {
        *self.lock() = None;
        self.is_ready.store(true, Ordering::Release);
    }

    /// An artifact was refused; a model that serves goes on serving.
    pub fn failed(&self, problem: String) {
        *self.lock() = Some(problem);
    }

    /// The server is about to end.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Whether the server is about to end.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Whether requests can be answered, and what is to say: nothing when all is well.
    pub fn report(&self) -> (bool, String) {
        if self.is_draining.load(Ordering::Acquire) {
            return (false, "draining: the server is about to end\n".into());
        }
        let problem = self.lock().clone();
        match (self.is_ready.load(Ordering::Acquire), problem) {
            (true, None) => (true, String::new()),
            (true, Some(problem)) => {
                (true, format!("the new artifact is refused, the old model serves: {problem}\n"))
            }
            (false, Some(problem)) => (false, format!("the model is not loaded: {problem}\n")),
            (false, None) => (false, "the model is loading\n".into()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_from_the_first_model_until_it_drains() {
        let health = Health::default();
        assert_eq!(health.report(), (false, "the model is loading\n".into()));
        health.failed("broken".into());
        assert_eq!(health.report(), (false, "the model is not loaded: broken\n".into()));
        health.ready();
        assert_eq!(health.report(), (true, String::new()));
        health.failed("broken".into());
        let (is_ready, text) = health.report();
        assert!(is_ready && text.contains("broken") && text.contains("old model serves"));
        health.ready();
        assert_eq!(health.report(), (true, String::new()));
        health.drain();
        assert!(!health.report().0);
    }
}
