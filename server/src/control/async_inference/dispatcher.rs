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

/// An endpoint's requests that run, by their place in the queue.
type Running = HashSet<i64>;

/// An asynchronous endpoint that requests wait for, or could.
#[derive(Debug)]
struct Wanted {
    endpoint: String,
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
    /// By endpoint: those there are, and those of which some still runs.
    lanes: HashMap<String, Running>,
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
                    if let Some(running) = self.lanes.get_mut(&endpoint) {
                        running.remove(&sequence);
                    }
                }
                () = has_work.notified() => {}
                () = tokio::time::sleep_until(next_look) => {}
            }
        }
    }

    /// What changes on its own: which endpoints there are, how much waits for them, and what grew too old.
    async fn look(&mut self, now: Timestamp) -> Result<(), StateError> {
        let wanted = self.database.transact(move |transaction| wanted(transaction, now)).await?;
        self.lanes.retain(|name, running| {
            let is_there = wanted.iter().any(|wanted| wanted.endpoint == *name);
            if !is_there {
                self.runner.metrics.set_backlog(name, None);
            }
            is_there || !running.is_empty()
        });
        for Wanted { endpoint, backlog } in wanted {
            self.runner.metrics.set_backlog(&endpoint, Some(backlog));
            self.lanes.entry(endpoint).or_default();
        }
        // Wherever they wait, also where there is nothing to run them.
        let read =
            move |transaction: &rusqlite::Transaction<'_>| queue::expired(transaction, now, EXPIRED_MAX);
        for queued in self.database.transact(read).await? {
            let running = self.lanes.entry(queued.request.endpoint.clone()).or_default();
            start(running, queued, &self.runner, &self.finished);
        }
        Ok(())
    }

    async fn start_more(&mut self) -> Result<(), StateError> {
        for (endpoint, running) in &mut self.lanes {
            // After a restart the endpoint may not be back in the data plane yet: its requests wait for it.
            if !self.runner.serves(endpoint) {
                continue;
            }
            let (name, count) = (endpoint.clone(), running.len());
            let read = move |transaction: &rusqlite::Transaction<'_>| startable(transaction, &name, count);
            let (slots, next) = self.database.transact(read).await?;
            for queued in next {
                if running.len() < slots {
                    start(running, queued, &self.runner, &self.finished);
                }
            }
        }
        Ok(())
    }
}

/// Runs `queued`, unless that is done already.
fn start(
    running: &mut Running,
    queued: Queued,
    runner: &Arc<Runner>,
    finished: &mpsc::Sender<(String, i64)>,
) {
    if !running.insert(queued.sequence) {
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

/// How many requests of `endpoint`, of which `running` run, may run now, and the first so many. Its state is read only where
/// something waits.
fn startable(
    connection: &rusqlite::Connection,
    endpoint: &str,
    running: usize,
) -> Result<(usize, Vec<Queued>), StateError> {
    if queue::waiting(connection, endpoint)? <= running as u64 {
        return Ok((0, Vec::new()));
    }
    let Some(record) = record::find(connection, Kind::Endpoint, endpoint)? else {
        return Ok((0, Vec::new()));
    };
    let slots = slots(&EndpointState::of_record(&record)?);
    let next = if slots > running { queue::next(connection, endpoint, slots)? } else { Vec::new() };
    Ok((slots, next))
}

/// All asynchronous endpoints. What waits for an endpoint that is gone is taken out.
fn wanted(connection: &rusqlite::Connection, now: Timestamp) -> Result<Vec<Wanted>, StateError> {
    queue::remove_orphans(connection)?;
    let mut wanted = Vec::new();
    for endpoint in record::all(connection, Kind::Endpoint)? {
        let state = EndpointState::of_record(&endpoint)?;
        let Some(fleet) = state.fleet.as_ref().filter(|fleet| fleet.is_asynchronous()) else { continue };
        let instances = instances(fleet);
        let oldest = queue::oldest(connection, &endpoint.name)?;
        let oldest_age_seconds = oldest.map_or(0.0, |oldest| (now.0 - oldest.0).max(0) as f64 / 1e3);
        let size = queue::waiting(connection, &endpoint.name)?;
        let backlog = Backlog { size, oldest_age_seconds, instances };
        wanted.push(Wanted { endpoint: endpoint.name, backlog });
    }
    Ok(wanted)
}

fn instances(fleet: &Fleet) -> u32 {
    fleet.variants.iter().map(|variant| variant.current_instance_count).sum()
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
    usize::try_from(of_instance.saturating_mul(instances(fleet).into())).unwrap_or(usize::MAX)
}
