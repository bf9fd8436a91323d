//! Whether the server can answer, and what last went wrong: what `/ping` says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The state behind `/ping`.
#[derive(Debug, Default)]
pub struct Health {
    is_ready: AtomicBool,
    is_draining: AtomicBool,
    problems: Mutex<Problems>,
}

/// What is wrong now.
#[derive(Debug, Default, Clone)]
struct Problems {
    /// With the artifact that is there.
    refused: Option<String>,
    /// With the place where it should be.
    unreachable: Option<String>,
}

impl Health {
    /// A model was published, or none is needed; nothing is wrong.
    pub fn ready(&self) {
        *self.lock() = Problems::default();
        self.is_ready.store(true, Ordering::Release);
    }

    /// An artifact was refused; a model that serves goes on serving.
    pub fn refused(&self, problem: String) {
        self.lock().refused = Some(problem);
    }

    /// The artifact's place cannot be looked at.
    pub fn unreachable(&self, problem: String) {
        self.lock().unreachable = Some(problem);
    }

    /// The artifact's place was looked at.
    pub fn reached(&self) {
        self.lock().unreachable = None;
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
        let Problems { refused, unreachable } = self.lock().clone();
        let problem = unreachable.or(refused);
        match (self.is_ready.load(Ordering::Acquire), problem) {
            (true, None) => (true, String::new()),
            (true, Some(problem)) => {
                (true, format!("no new artifact can be loaded, the old model serves: {problem}\n"))
            }
            (false, Some(problem)) => (false, format!("the model is not loaded: {problem}\n")),
            (false, None) => (false, "the model is loading\n".into()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Problems> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_from_the_first_model_until_it_drains() {
        let health = Health::default();
        assert_eq!(health.report(), (false, "the model is loading\n".into()));
        health.refused("broken".into());
        assert_eq!(health.report(), (false, "the model is not loaded: broken\n".into()));
        health.ready();
        assert_eq!(health.report(), (true, String::new()));
        health.refused("broken".into());
        let (is_ready, text) = health.report();
        assert!(is_ready && text.contains("broken") && text.contains("old model serves"));
        health.unreachable("absent".into());
        assert!(health.report().1.contains("absent"));
        health.reached();
        assert!(health.report().1.contains("broken"), "what is there is still refused");
        health.ready();
        assert_eq!(health.report(), (true, String::new()));
        health.drain();
        assert!(!health.report().0);
    }
}
