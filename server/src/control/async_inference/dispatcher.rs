//! Which request runs when: for each endpoint in order, as many at once as its instances may.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use wire::Timestamp;

use super::queue::{self, AsyncRequest, Enqueued, Queued};
use super::run::Runner;
use crate::control::endpoint::EndpointState;
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

/// An endpoint's requests that run.
#[derive(Debug, Default)]
struct Lane {
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
        let runner = Arc::new(runner);
        let (finished, mut inbox) = mpsc::channel::<(String, i64)>(FINISHED_MAX);
        let mut lanes: HashMap<String, Lane> = HashMap::new();
        loop {
            if let Err(error) = self.start_more(&mut lanes, &runner, &finished).await {
                tracing::error!(%error, "the asynchronous queue cannot be read");
            }
            tokio::select! {
                Some((endpoint, sequence)) = inbox.recv() => {
                    if let Some(lane) = lanes.get_mut(&endpoint) {
                        lane.running.remove(&sequence);
                    }
                }
                () = self.has_work.notified() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    async fn start_more(
        &self,
        lanes: &mut HashMap<String, Lane>,
        runner: &Arc<Runner>,
        finished: &mpsc::Sender<(String, i64)>,
    ) -> Result<(), StateError> {
        let now = Timestamp::now();
        let wanted = self.database.transact(move |transaction| wanted(transaction, now)).await?;
        for gone in lanes.keys().filter(|name| wanted.iter().all(|wanted| wanted.endpoint != **name)) {
            runner.metrics.set_backlog(gone, None);
        }
        for Wanted { endpoint, slots, backlog } in wanted {
            runner.metrics.set_backlog(&endpoint, Some(backlog));
            let lane = lanes.entry(endpoint.clone()).or_default();
            let free = slots.saturating_sub(lane.running.len());
            // After a restart the endpoint may not be back in the data plane yet: its requests wait for it.
            if free == 0 || !runner.serves(&endpoint) || backlog.size == lane.running.len() as u64 {
                continue;
            }
            let (name, limit) = (endpoint.clone(), free + lane.running.len());
            let read =
                move |transaction: &rusqlite::Transaction<'_>| queue::next(transaction, &name, 0, limit);
            let next: Vec<Queued> = self.database.transact(read).await?;
            for queued in next {
                if lane.running.len() < slots {
                    start(lane, queued, runner, finished);
                }
            }
        }
        // Wherever they wait, also where there is nothing to run them.
        let read =
            move |transaction: &rusqlite::Transaction<'_>| queue::expired(transaction, now, EXPIRED_MAX);
        for queued in self.database.transact(read).await? {
            let lane = lanes.entry(queued.request.endpoint.clone()).or_default();
            start(lane, queued, runner, finished);
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
    let mut wanted = Vec::new();
    let endpoints = record::all(connection, Kind::Endpoint)?;
    for name in queue::endpoints(connection)? {
        if endpoints.iter().all(|endpoint| endpoint.name != name) {
            queue::remove_all(connection, &name)?;
        }
    }
    for endpoint in endpoints {
        let state = EndpointState::of_record(&endpoint)?;
        let Some(fleet) = state.fleet.as_ref().filter(|fleet| fleet.is_asynchronous()) else { continue };
        let instances = fleet.variants.iter().map(|variant| variant.current_instance_count).sum();
        let (size, oldest) = queue::waiting(connection, &endpoint.name)?;
        let oldest_age_seconds = oldest.map_or(0.0, |oldest| (now.0 - oldest.0).max(0) as f64 / 1e3);
        let backlog = Backlog { size, oldest_age_seconds, instances };
        wanted.push(Wanted { endpoint: endpoint.name.clone(), slots: slots(&state), backlog });
    }
    Ok(wanted)
}

/// How many requests an endpoint may run at once.
fn slots(state: &EndpointState) -> usize {
    let Some(fleet) = state.fleet.as_ref().filter(|_| state.status.serves()) else { return 0 };
    let of_instance = fleet
        .config
        .config
        .get("AsyncInferenceConfig")
        .and_then(|config| config.get("ClientConfig")?.get("MaxConcurrentInvocationsPerInstance")?.as_u64())
        .unwrap_or(CONCURRENCY_DEFAULT);
    let instances: u64 = fleet.variants.iter().map(|variant| u64::from(variant.current_instance_count)).sum();
    usize::try_from(of_instance * instances).unwrap_or(usize::MAX)
}
