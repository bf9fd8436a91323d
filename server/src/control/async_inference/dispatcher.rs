//! Which request runs when: for each endpoint in order, as many at once as its instances may.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use wire::Timestamp;

use super::queue::{self, AsyncRequest, Enqueued, Queued};
use super::run::Runner;
use crate::control::endpoint::{EndpointState, Fleet};
use crate::control::record::{self, Kind};
use crate::control::{Database, StateError};
use crate::metrics::Backlog;

/// `MaxConcurrentInvocationsPerInstance`, where the configuration does not say. Reason: enough to fetch one input while
/// another is predicted, and little enough to keep a model's order of work.
const CONCURRENCY_DEFAULT: u64 = 4;

/// How often the queue is looked at without being told. Reason: requests grow old, and endpoints come into service, on
/// their own.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Finished requests that may wait to be noticed.
const FINISHED_MAX: usize = 1024;

/// Requests that are too old and are told so at once. Reason: each may write an object.
const EXPIRED_MAX: usize = 64;

/// What faces hold of the queue.
#[derive(Debug)]
pub struct Dispatcher {
    database: Database,
    has_work: Notify,
}

/// An endpoint's requests that run, and how many may.
#[derive(Debug, Default)]
struct Lane {
    slots: usize,
    running: HashSet<i64>,
}

/// An asynchronous endpoint that requests wait for, or could.
#[derive(Debug)]
struct Wanted {
    endpoint: String,
    /// How many may run at once.
    slots: usize,
    backlog: Backlog,
}

impl Dispatcher {
    /// A queue over the state file.
    pub fn new(database: Database) -> Arc<Self> {
        Arc::new(Self { database, has_work: Notify::new() })
    }

    /// Stores a request; it runs when it is its turn.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn enqueue(
        &self,
        request: AsyncRequest,
        body: Option<Vec<u8>>,
    ) -> Result<Enqueued, StateError> {
        let put = move |transaction: &rusqlite::Transaction<'_>| {
            queue::enqueue(transaction, &request, body.as_deref())
        };
        let enqueued = self.database.transact(put).await?;
        self.has_work.notify_one();
        Ok(enqueued)
    }

    /// Runs requests for ever.
    pub async fn run(self: Arc<Self>, runner: Runner) {
        let (finished, inbox) = mpsc::channel(FINISHED_MAX);
        let turns = Turns {
            database: self.database.clone(),
            runner: Arc::new(runner),
            finished,
            lanes: HashMap::new(),
        };
        turns.take(inbox, &self.has_work).await;
    }
}

/// The dispatcher at work.
struct Turns {
    database: Database,
    runner: Arc<Runner>,
    finished: mpsc::Sender<(String, i64)>,
    /// By endpoint.
    lanes: HashMap<String, Lane>,
}

impl Turns {
    async fn take(mut self, mut inbox: mpsc::Receiver<(String, i64)>, has_work: &Notify) {
        let mut next_look = Instant::now();
        loop {
            let mut done = Ok(());
            if Instant::now() >= next_look {
                next_look = Instant::now() + LOOK_INTERVAL;
                done = self.look(Timestamp::now()).await;
            }
            if let Err(error) = done.and(self.start_more().await) {
                tracing::error!(%error, "the asynchronous queue cannot be read");
            }
            tokio::select! {
                Some((endpoint, sequence)) = inbox.recv() => {
                    if let Some(lane) = self.lanes.get_mut(&endpoint) {
                        lane.running.remove(&sequence);
                    }
                }
                () = has_work.notified() => {}
                () = tokio::time::sleep_until(next_look) => {}
            }
        }
    }

    /// What changes on its own: which endpoints there are, what may run there, and what grew too old.
    async fn look(&mut self, now: Timestamp) -> Result<(), StateError> {
        let wanted = self.database.transact(move |transaction| wanted(transaction, now)).await?;
        for (gone, lane) in &mut self.lanes {
            if wanted.iter().all(|wanted| wanted.endpoint != *gone) {
                self.runner.metrics.set_backlog(gone, None);
                lane.slots = 0;
            }
        }
        for Wanted { endpoint, slots, backlog } in wanted {
            self.runner.metrics.set_backlog(&endpoint, Some(backlog));
            self.lanes.entry(endpoint).or_default().slots = slots;
        }
        // Wherever they wait, also where there is nothing to run them.
        let read =
            move |transaction: &rusqlite::Transaction<'_>| queue::expired(transaction, now, EXPIRED_MAX);
        for queued in self.database.transact(read).await? {
            let lane = self.lanes.entry(queued.request.endpoint.clone()).or_default();
            start(lane, queued, &self.runner, &self.finished);
        }
        self.lanes.retain(|_, lane| lane.slots > 0 || !lane.running.is_empty());
        Ok(())
    }

    async fn start_more(&mut self) -> Result<(), StateError> {
        for (endpoint, lane) in &mut self.lanes {
            // After a restart the endpoint may not be back in the data plane yet: its requests wait for it.
            if lane.running.len() >= lane.slots || !self.runner.serves(endpoint) {
                continue;
            }
            let (name, limit) = (endpoint.clone(), lane.slots);
            let read = move |transaction: &rusqlite::Transaction<'_>| queue::next(transaction, &name, limit);
            for queued in self.database.transact(read).await? {
                if lane.running.len() < lane.slots {
                    start(lane, queued, &self.runner, &self.finished);
                }
            }
        }
        Ok(())
    }
}

/// Runs `queued`, unless that is done already.
fn start(lane: &mut Lane, queued: Queued, runner: &Arc<Runner>, finished: &mpsc::Sender<(String, i64)>) {
    if !lane.running.insert(queued.sequence) {
        return;
    }
    let (runner, finished) = (Arc::clone(runner), finished.clone());
    tokio::spawn(async move {
        let (endpoint, sequence) = (queued.request.endpoint.clone(), queued.sequence);
        runner.run(queued).await;
        // The dispatcher ends with the process.
        let _ = finished.send((endpoint, sequence)).await;
    });
}

/// All asynchronous endpoints. What waits for an endpoint that is gone is taken out.
fn wanted(connection: &rusqlite::Connection, now: Timestamp) -> Result<Vec<Wanted>, StateError> {
    queue::remove_orphans(connection)?;
    let mut wanted = Vec::new();
    for endpoint in record::all(connection, Kind::Endpoint)? {
        let state = EndpointState::of_record(&endpoint)?;
        let Some(fleet) = state.fleet.as_ref().filter(|fleet| fleet.is_asynchronous()) else { continue };
        let instances = fleet.variants.iter().map(|variant| variant.current_instance_count).sum();
        let oldest = queue::oldest(connection, &endpoint.name)?;
        let oldest_age_seconds = oldest.map_or(0.0, |oldest| (now.0 - oldest.0).max(0) as f64 / 1e3);
        let size = queue::waiting(connection, &endpoint.name)?;
        let backlog = Backlog { size, oldest_age_seconds, instances };
        let slots = if state.status.serves() { slots(fleet, instances) } else { 0 };
        wanted.push(Wanted { endpoint: endpoint.name, slots, backlog });
    }
    Ok(wanted)
}

/// How many requests a fleet of so many instances may run at once.
fn slots(fleet: &Fleet, instances: u32) -> usize {
    let of_instance = fleet
        .config
        .config
        .get("AsyncInferenceConfig")
        .and_then(|config| config.get("ClientConfig")?.get("MaxConcurrentInvocationsPerInstance")?.as_u64())
        .unwrap_or(CONCURRENCY_DEFAULT);
    usize::try_from(of_instance.saturating_mul(instances.into())).unwrap_or(usize::MAX)
}
