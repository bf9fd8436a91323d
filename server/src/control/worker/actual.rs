//! What is: the endpoint's fleets in memory, what the data plane was last given, and what is still on its way.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::control::capture;
use crate::control::endpoint::Fleet;
use crate::control::hosting::Hosting;
use crate::control::provision::{FleetError, LoadedFleet};
use crate::control::table::{Published, Table};

/// How a fleet stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// On its way.
    Loading,
    /// In memory.
    Ready,
    /// It cannot be had.
    Failed(String),
}

/// What is, of one endpoint.
pub(super) struct Actual {
    hosting: Arc<Hosting>,
    endpoint: String,
    fleets: Vec<LoadedFleet>,
    failed: HashMap<i64, String>,
    loading: Vec<i64>,
    loads: JoinSet<(i64, Result<LoadedFleet, FleetError>)>,
    published: Option<Published>,
    /// Snapshots that were replaced and are still held by requests.
    draining: FuturesUnordered<oneshot::Receiver<()>>,
}

impl Actual {
    pub(super) fn new(hosting: Arc<Hosting>, endpoint: String) -> Self {
        Self {
            hosting,
            endpoint,
            fleets: Vec::new(),
            failed: HashMap::new(),
            loading: Vec::new(),
            loads: JoinSet::new(),
            published: None,
            draining: FuturesUnordered::new(),
        }
    }

    /// How `fleet` stands; it begins to load if it does not stand at all.
    pub(super) fn ensure(&mut self, fleet: &Fleet) -> Standing {
        while let Some(ended) = self.loads.try_join_next() {
            self.take_in(ended);
        }
        if let Some(reason) = self.failed.get(&fleet.id) {
            return Standing::Failed(reason.clone());
        }
        if self.loaded(fleet.id).is_some() {
            return Standing::Ready;
        }
        if !self.loading.contains(&fleet.id) {
            self.loading.push(fleet.id);
            let (hosting, endpoint, fleet) =
                (Arc::clone(&self.hosting), self.endpoint.clone(), fleet.clone());
            self.loads.spawn(async move { (fleet.id, hosting.load_fleet(&endpoint, &fleet).await) });
        }
        Standing::Loading
    }

    /// The fleet in memory.
    pub(super) fn loaded(&self, id: i64) -> Option<&LoadedFleet> {
        self.fleets.iter().find(|fleet| fleet.id == id)
    }

    /// The next [`ensure`](Self::ensure) of it tries again.
    pub(super) fn forget_failure(&mut self, id: i64) {
        self.failed.remove(&id);
    }

    /// Lets go of all other fleets; their requests still finish.
    pub(super) fn retain(&mut self, ids: &[i64]) {
        self.fleets.retain(|fleet| ids.contains(&fleet.id));
        self.failed.retain(|id, _| ids.contains(id));
        if self.loading.iter().any(|id| !ids.contains(id)) {
            self.loading.clear();
            self.loads.abort_all();
            self.loads = JoinSet::new();
        }
    }

    /// Publishes `table` by one store, unless it is what is published; `false` when a fleet of it is not in memory.
    pub(super) fn show(&mut self, table: &Table<'_>, attribute: Option<&str>) -> bool {
        let identity = table.identity(attribute);
        if self.published.as_ref() == Some(&identity) {
            return true;
        }
        let capture = capture::plan(&self.endpoint, table.config(), &self.hosting.capture);
        match table.endpoint(&self.fleets, attribute, self.hosting.threads, capture) {
            None => false,
            Some(Ok(endpoint)) => {
                self.hosting.capture.flush(&self.endpoint);
                self.draining.push(self.hosting.server.publish(&self.endpoint, Some(endpoint)));
                self.published = Some(identity);
                true
            }
            Some(Err(error)) => {
                // Weights are checked before they are stored.
                tracing::error!(endpoint = self.endpoint, %error, "the stored weights cannot be served");
                false
            }
        }
    }

    /// Takes the endpoint out of the data plane.
    pub(super) fn leave(&mut self) {
        if self.published.take().is_some() {
            self.draining.push(self.hosting.server.publish(&self.endpoint, None));
            self.hosting.capture.flush(&self.endpoint);
        }
        self.retain(&[]);
    }

    /// Whether no request holds a replaced snapshot any more.
    pub(super) fn is_drained(&mut self) -> bool {
        loop {
            match futures_util::FutureExt::now_or_never(self.draining.next()) {
                // One is over (or the reaper is gone with the process).
                Some(Some(_)) => {}
                Some(None) => return true,
                None => return false,
            }
        }
    }

    /// Waits until a load ends or a replaced snapshot is free.
    pub(super) async fn event(&mut self) {
        tokio::select! {
            Some(ended) = self.loads.join_next() => self.take_in(ended),
            Some(_) = self.draining.next() => {}
            else => std::future::pending().await,
        }
    }

    fn take_in(&mut self, ended: Result<(i64, Result<LoadedFleet, FleetError>), tokio::task::JoinError>) {
        match ended {
            Ok((id, loaded)) => {
                self.loading.retain(|loading| *loading != id);
                match loaded {
                    Ok(fleet) => self.fleets.push(fleet),
                    Err(error) => {
                        self.failed.insert(id, error.to_string());
                    }
                }
            }
            // A fault of ours: each fleet that was on its way counts as refused, so that nobody waits for it.
            Err(error) if error.is_panic() => {
                for id in self.loading.drain(..) {
                    self.failed.insert(id, "the loader failed; the server's log has the reason".to_owned());
                }
            }
            Err(_) => {}
        }
    }
}
