//! [`Control`]: what faces hold of the control plane.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::endpoint::EndpointState;
use super::hosting::{Hosting, HostingParts};
use super::record::{self, Kind};
use super::worker::Worker;
use super::{ControlError, Database, StateError};
use crate::rt;

/// The control plane. Its calls are in [`calls`](super::calls); each endpoint has a worker that makes them so.
#[derive(Debug)]
pub struct Control {
    pub(super) database: Database,
    pub(super) hosting: Arc<Hosting>,
    pub(super) runtime: tokio::runtime::Handle,
    /// By name in lower case, whom to wake when an endpoint's state changed.
    workers: Mutex<HashMap<String, Arc<Notify>>>,
    /// Endpoints that served before a restart and do not yet again, by name.
    restoring: Mutex<HashSet<String>>,
    /// For the workers that a call starts.
    this: std::sync::Weak<Self>,
}

impl Control {
    /// Over the state in `database`: starts the workers of all endpoints, which restore what served, and go on with what
    /// was under way.
    ///
    /// # Errors
    /// When the state cannot be read, or the folders not be made.
    pub async fn start(
        database: Database,
        parts: HostingParts,
        runtime: tokio::runtime::Handle,
    ) -> Result<Arc<Self>, StateError> {
        let hosting = rt::blocking(move || Hosting::new(parts)).await?;
        let control = Arc::new_cyclic(|this| Self {
            database,
            hosting,
            runtime,
            workers: Mutex::default(),
            restoring: Mutex::default(),
            this: this.clone(),
        });
        let names = control.database.transact(|connection| {
            let mut names = Vec::new();
            for record in record::all(connection, Kind::Endpoint)? {
                let state = EndpointState::of_record(&record)?;
                names.push((record.name, state.fleet.is_some()));
            }
            Ok::<_, StateError>(names)
        });
        let names = names.await?;
        // Before anything can be asked: what is on its way is not "unknown".
        control
            .restoring()
            .extend(names.iter().filter(|(_, has_fleet)| *has_fleet).map(|(name, _)| name.clone()));
        let artifacts = Arc::clone(control.hosting.models.artifacts());
        rt::blocking(move || artifacts.clean_scratch()).await;
        control.sweep().await;
        for (name, _) in &names {
            control.wake(name);
        }
        Ok(control)
    }

    /// Whether the endpoint served before a restart and does not yet again: it is unavailable, not unknown.
    pub fn is_restoring(&self, name: &str) -> bool {
        self.restoring().contains(name)
    }

    /// Writes an event of another part beside those of endpoints, in a while; nobody waits for it.
    pub fn record_event(&self, event: &serde_json::Value) {
        let (hosting, event) = (Arc::clone(&self.hosting), event.clone());
        self.runtime.spawn(rt::blocking(move || hosting.journal.record(&event)));
    }

    /// The endpoint serves again, or never will.
    pub(super) fn restored(&self, name: &str) {
        self.restoring().remove(name);
    }

    /// Tells the endpoint's worker that its state, or its tags, changed; starts one if there is none.
    pub fn wake(&self, name: &str) {
        let key = name.to_ascii_lowercase();
        let mut workers = self.workers();
        if let Some(worker) = workers.get(&key) {
            worker.notify_one();
            return;
        }
        let Some(control) = self.this.upgrade() else { return };
        let wake = Arc::new(Notify::new());
        workers.insert(key.clone(), Arc::clone(&wake));
        let worker = Worker::new(control, name.to_owned(), wake);
        let this = self.this.clone();
        self.runtime.spawn(async move {
            worker.run().await;
            if let Some(control) = this.upgrade() {
                control.forget_worker(&key).await;
            }
        });
    }

    /// The endpoint was gone when its worker looked. One of the same name may have been made since, and the call that
    /// made it may have woken this worker.
    async fn forget_worker(&self, key: &str) {
        self.workers().remove(key);
        let name = key.to_owned();
        let found = self.database.transact(move |connection| {
            Ok::<_, ControlError>(record::find(connection, Kind::Endpoint, &name)?.map(|record| record.name))
        });
        match found.await {
            Ok(Some(name)) => self.wake(&name),
            Ok(None) => {}
            // It is tried again by the next call.
            Err(error) => tracing::error!(%error, "the state cannot be read"),
        }
    }

    fn workers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restoring(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.restoring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
