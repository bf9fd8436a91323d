//! [`Control`]: what faces hold of the control plane.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Database;

/// The control plane. Its calls are in [`calls`](super::calls); each endpoint has a worker that makes them so.
#[derive(Debug)]
pub struct Control {
    pub(super) database: Database,
    /// By name in lower case, whom to wake when an endpoint's state changed.
    workers: Mutex<HashMap<String, Arc<Notify>>>,
}

impl Control {
    /// Over the state in `database`.
    pub fn new(database: Database) -> Arc<Self> {
        Arc::new(Self { database, workers: Mutex::default() })
    }

    /// Tells the endpoint's worker that its state changed.
    pub(super) fn wake(&self, name: &str) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.entry(name.to_ascii_lowercase()).or_default().notify_one();
    }
}
