//! A run: threads with a runtime each, connections opened first, one common start, tallies merged at the end.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::task::{JoinSet, LocalSet};

use crate::clock::RealClock;
use crate::connection::{Connection, Tls};
use crate::progress::Progress;
use crate::schedule::{Arrivals, Schedule};
use crate::tally::Tally;
use crate::target::Target;
use crate::worker::{Live, Span, Worker};

/// The most connections. Reason: two descriptors each (socket and timer) stay below common limits of 20,000 or more,
/// and one address pair has 28,000 ports.
pub(crate) const CONNECTIONS_MAX: usize = 10_000;

/// The most generator threads. Reason: more than cores only fight each other.
pub(crate) const THREADS_MAX: usize = 64;

/// How often the progress line is drawn again.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Load {
    /// As many as the connections carry.
    Closed,
    /// On a schedule.
    Open {
        /// How they are spread.
        arrivals: Arrivals,
        /// Requests a second.
        rate: f64,
    },
}

/// What to run.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Where to.
    pub(crate) target: Arc<Target>,
    /// Encryption, for https.
    pub(crate) tls: Option<Tls>,
    /// How.
    pub(crate) load: Load,
    /// Keep-alive connections.
    pub(crate) connections: usize,
    /// Generator threads.
    pub(crate) threads: usize,
    /// The counted time.
    pub(crate) duration: Duration,
    /// Sent before it, not counted.
    pub(crate) warm_up: Duration,
    /// Of one request, from its actual send.
    pub(crate) timeout: Duration,
    /// Seed of the Poisson schedule.
    pub(crate) seed: u64,
    /// Headers whose values are counted, lower case.
    pub(crate) watched: Arc<[String]>,
}

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The counts.
    pub(crate) tally: Tally,
    /// From the end of the warm-up to the last counted answer, at least the asked duration.
    pub(crate) elapsed: Duration,
    /// The rate that was asked for; none in a closed loop.
    pub(crate) rate_asked: Option<f64>,
    /// How many runs were added up.
    pub(crate) slices: usize,
}

impl Outcome {
    /// Answers a second.
    pub(crate) fn rate_achieved(&self) -> f64 {
        self.tally.answers() as f64 / self.elapsed.as_secs_f64()
    }

    /// Adds a later run of the same plan.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.elapsed += other.elapsed;
        self.slices += other.slices;
    }
}

/// What all threads of a run see.
struct Shared {
    plan: Plan,
    span: Span,
    schedule: Option<Mutex<Schedule>>,
    live: Live,
    ready: Barrier,
    start: OnceLock<Instant>,
}

/// Runs `plan` to its end, drawing `progress`.
///
/// # Errors
/// When a connection cannot be opened at the start.
pub(crate) fn run(plan: &Plan, progress: &mut Progress) -> anyhow::Result<Outcome> {
    let end = plan.warm_up + plan.duration;
    let (schedule, rate_asked) = match plan.load {
        Load::Closed => (None, None),
        Load::Open { arrivals, rate } => {
            (Some(Mutex::new(Schedule::new(arrivals, rate, end, plan.seed))), Some(rate))
        }
    };
    let threads = plan.threads.clamp(1, plan.connections.max(1));
    let shared = Arc::new(Shared {
        plan: plan.clone(),
        span: Span { warm_up: plan.warm_up, end, give_up: end + plan.timeout },
        schedule,
        live: Live::default(),
        ready: Barrier::new(threads),
        start: OnceLock::new(),
    });
    let mut tally = Tally::new(plan.watched.len());
    let mut elapsed = plan.duration;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(threads);
        for thread in 0..threads {
            let (shared, sender) = (&shared, sender.clone());
            scope.spawn(move || report(&sender, run_thread(shared, thread, threads)));
        }
        drop(sender);
        progress.begin(end);
        let mut results = Vec::new();
        loop {
            match receiver.recv_timeout(PROGRESS_EVERY) {
                Ok(result) => results.push(result),
                Err(RecvTimeoutError::Timeout) => progress.draw(&shared.live),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        progress.end();
        for result in results {
            let (part, took) = result?;
            tally.merge(&part);
            elapsed = elapsed.max(took.saturating_sub(plan.warm_up));
        }
        anyhow::Ok(())
    })?;
    Ok(Outcome { tally, elapsed, rate_asked, slices: 1 })
}

type ThreadResult = anyhow::Result<(Tally, Duration)>;

fn report(sender: &SyncSender<ThreadResult>, result: ThreadResult) {
    // The receiver lives until every sender is gone, and the channel has room for all.
    let _ = sender.send(result);
}

/// Opens this thread's connections, waits for the other threads, and runs them all to the end.
fn run_thread(shared: &Arc<Shared>, thread: usize, threads: usize) -> ThreadResult {
    let plan = &shared.plan;
    let tally = Rc::new(RefCell::new(Tally::new(plan.watched.len())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let opened = runtime.block_on(async {
        let mut connections = Vec::new();
        for index in (thread..plan.connections).step_by(threads) {
            let watched = Arc::clone(&plan.watched);
            let (target, tls) = (Arc::clone(&plan.target), plan.tls.clone());
            let mut connection = Connection::new(target, tls, plan.timeout, watched, Rc::clone(&tally));
            connection.open().await.map_err(|failure| anyhow!("{failure}")).with_context(|| {
                format!("connection {} of {} to {}", index + 1, plan.connections, plan.target.address)
            })?;
            connections.push((index, connection));
        }
        anyhow::Ok(connections)
    });
    // Reached on failure too: the others wait here.
    shared.ready.wait();
    let start = *shared.start.get_or_init(Instant::now);
    let elapsed = runtime.block_on(run_connections(shared, opened?, &tally, start))?;
    drop(runtime);
    Ok((Rc::into_inner(tally).expect("all workers are done").into_inner(), elapsed))
}

/// Runs one worker a connection; how long after `start` the last one ended.
async fn run_connections(
    shared: &Arc<Shared>,
    connections: Vec<(usize, Connection)>,
    tally: &Rc<RefCell<Tally>>,
    start: Instant,
) -> anyhow::Result<Duration> {
    let local = LocalSet::new();
    let mut workers = JoinSet::new();
    for (index, connection) in connections {
        let (shared, tally) = (Arc::clone(shared), Rc::clone(tally));
        workers.spawn_local_on(work(shared, index, connection, tally, start), &local);
    }
    local
        .run_until(async {
            while let Some(worker) = workers.join_next().await {
                worker.context("a worker panicked")??;
            }
            Ok(start.elapsed())
        })
        .await
}

async fn work(
    shared: Arc<Shared>,
    index: usize,
    connection: Connection,
    tally: Rc<RefCell<Tally>>,
    start: Instant,
) -> anyhow::Result<()> {
    let mut clock =
        RealClock::new(start).context("no timer for a connection: raise the limit of open files")?;
    let mut worker = Worker { connection, tally, live: &shared.live, span: shared.span };
    match &shared.schedule {
        Some(schedule) => worker.follow(schedule, &mut clock).await,
        None => worker.hammer(index as u64, shared.plan.connections as u64, &clock).await,
    }
    Ok(())
}
