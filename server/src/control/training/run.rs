//! One job, from its turn to its end: what it asks resolved for this machine, the engine run, and what it tells stored as it is
//! told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use object_store::ObjectStore;
use tokio::sync::{SemaphorePermit, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use training::{Ended, Job, Limits, Listener, Outcome, Phase, Place, Program, Stop, StoreError, Stores};

use super::TrainingJobs;
use super::recorder::{self, Record as Told};
use super::request::TrainingRequest;
use super::settle::fault;
use super::state::{Event, TrainingJobState};
use crate::buckets::{Buckets, key_path};
use crate::control::jobs::{FAULT, JobStatus, Jobs, STATE_PAUSE};
use crate::control::record::{Kind, Record};
use crate::control::{StateError, instance};
use crate::rt;

/// How often what a job told is written. Reason: who follows a log sees a line at once, and a transaction holds many lines.
const WRITE_PERIOD: Duration = Duration::from_millis(250);

/// The least time that programs get, of a job whose time is over when it is begun again. Reason: the engine then ends it in the
/// usual way, and uploads what there is.
const RUNTIME_LEAST: Duration = Duration::from_secs(1);

/// Why a run came to no end of its own.
enum Halt {
    /// The state cannot be read or written.
    State(StateError),
    /// It was stopped before the engine ran.
    Stopped,
    /// The server ends: the next one goes on.
    Suspended,
    /// It cannot run, and why.
    Failed(String),
}

impl From<StateError> for Halt {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// The buckets, as the engine asks for them.
struct BucketStores(Arc<Buckets>);

#[async_trait]
impl Stores for BucketStores {
    async fn store(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let refuse =
            |error: crate::store::StoreError| StoreError { bucket: bucket.into(), reason: error.to_string() };
        self.0.of(bucket).map_err(refuse)
    }
}

impl Jobs for TrainingJobs {
    type Stop = Stop;
    const KIND: Kind = Kind::TrainingJob;
    const SUSPEND: Stop = Stop::Suspend;

    async fn run_once(&self, name: &str, mut stop: watch::Receiver<Stop>) -> Result<(), StateError> {
        match self.carry(name, &mut stop).await {
            Ok(()) | Err(Halt::Suspended) => Ok(()),
            Err(Halt::State(error)) => Err(error),
            Err(Halt::Stopped) => self.ended(name, Outcome::Stopped).await,
            Err(Halt::Failed(reason)) => self.ended(name, Outcome::Failed(reason)).await,
        }
    }

    async fn fail(&self, name: &str, reason: &str) -> Result<(), StateError> {
        self.ended(name, Outcome::Failed(reason.to_owned())).await
    }
}

impl TrainingJobs {
    async fn carry(&self, name: &str, stop: &mut watch::Receiver<Stop>) -> Result<(), Halt> {
        let Some((_, state)) = self.read(name).await? else { return Ok(()) };
        if state.status.has_ended() {
            return Ok(());
        }
        // One that was being stopped when the server ended has nothing to wait for, unless there may be something to upload.
        let is_stopping = state.status == JobStatus::Stopping;
        if is_stopping && state.started.is_none() {
            return Err(Halt::Stopped);
        }
        let request = request(&state)?;
        // What can never run does not wait.
        let program = self.executors.program(request.wanted.clone()).map_err(Halt::Failed)?;
        let _turn = self.turn(name, &request, stop, is_stopping).await?;
        if !is_stopping {
            self.check_attempts(&state, &request)?;
        }
        let Some(begun) = self.happened(name, Event::Begins).await? else { return Ok(()) };
        let _running = self.metrics.trainings.run();
        if let Err(halt) = self.check_output(&request).await {
            // What was asked while it was looked is what counts.
            return if *stop.borrow() == Stop::Suspend { self.suspended(name).await } else { Err(halt) };
        }
        let Some((record, _)) = self.read(name).await? else { return Ok(()) };
        let ran_before = Duration::from_millis(u64::try_from(begun.ran_ms).unwrap_or(0));
        let job = self.job(&record, &begun, request, program, ran_before);
        let ended = self.engine(&record, job, ran_before, stop.clone()).await?;
        self.settle_surely(name, ended, ran_before, stop).await
    }

    /// Stores how a run ended: what is done is not done again because the state could not be written at once.
    async fn settle_surely(
        &self,
        name: &str,
        ended: Ended,
        ran_before: Duration,
        stop: &watch::Receiver<Stop>,
    ) -> Result<(), Halt> {
        loop {
            let Err(error) = self.settle(name, ended.clone(), ran_before).await else { return Ok(()) };
            tracing::error!(job = name, %error, "the job's end cannot be stored; trying again");
            if *stop.borrow() == Stop::Suspend {
                return Err(Halt::State(error));
            }
            tokio::time::sleep(STATE_PAUSE).await;
        }
    }

    /// That an orderly end of the server cut a run before its programs were started.
    async fn suspended(&self, name: &str) -> Result<(), Halt> {
        self.happened(name, Event::Suspended).await?;
        Err(Halt::Suspended)
    }

    /// Its turn, unless it is stopped before; one `is_stopping` is no more stopped than it is.
    async fn turn(
        &self,
        name: &str,
        request: &TrainingRequest,
        stop: &mut watch::Receiver<Stop>,
        is_stopping: bool,
    ) -> Result<SemaphorePermit<'_>, Halt> {
        let is_heard = |stop: Stop| stop == Stop::Suspend || (stop == Stop::Stop && !is_stopping);
        let asked = *stop.borrow();
        if let Some(halt) = halted(asked).filter(|_| is_heard(asked)) {
            return Err(halt);
        }
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        self.happened(name, Event::Waits).await?;
        let _waiting = self.metrics.trainings.wait();
        let pending = request.pending.unwrap_or(Duration::MAX);
        tokio::select! {
            biased;
            asked = stop.wait_for(|stop| is_heard(*stop)) => {
                // Who would say so is gone: the server ends.
                let asked = asked.map_or(Stop::Suspend, |stop| *stop);
                Err(halted(asked).unwrap_or(Halt::Suspended))
            }
            turn = self.turns.acquire() => Ok(turn.expect("it is never closed")),
            () = tokio::time::sleep(pending) => {
                tracing::info!(job = name, "the training job was pending for MaxPendingTimeInSeconds");
                Err(Halt::Stopped)
            }
        }
    }

    /// A job that the server died of again and again is not begun again.
    fn check_attempts(&self, state: &TrainingJobState, request: &TrainingRequest) -> Result<(), Halt> {
        if state.attempts < request.attempts_max {
            return Ok(());
        }
        Err(Halt::Failed(format!(
            "InternalServerError: the server ended while the job ran, {} times: it is not begun again",
            state.attempts
        )))
    }

    /// A model that could not be written is not trained.
    async fn check_output(&self, request: &TrainingRequest) -> Result<(), Halt> {
        let uri = &request.output.uri;
        let fail = |reason: String| {
            Halt::Failed(format!("ClientError: OutputDataConfig.S3OutputPath {uri}: {reason}"))
        };
        let place = Place::parse(uri).unwrap_or(Place { bucket: String::new(), key: String::new() });
        let prefix = key_path(place.key.trim_matches('/'));
        let prefix = prefix.ok_or_else(|| fail("expected a prefix whose folders have names".into()))?;
        let store = self.buckets.of(&place.bucket).map_err(|error| fail(error.to_string()))?;
        match store.list(Some(&prefix)).next().await {
            None | Some(Ok(_)) => Ok(()),
            Some(Err(object_store::Error::NotFound { .. })) => {
                Err(fail(format!("expected the bucket {} to be there, found none", place.bucket)))
            }
            Some(Err(error)) => Err(fail(error.to_string())),
        }
    }

    /// What the engine is to do.
    fn job(
        &self,
        record: &Record,
        state: &TrainingJobState,
        request: TrainingRequest,
        program: Program,
        ran_before: Duration,
    ) -> Job {
        // A built-in algorithm is told by its hyperparameters alone: variables also say which code a program loads.
        let environment = match program {
            Program::Builtin { .. } => BTreeMap::new(),
            _ => request.environment,
        };
        let region = record.arn.split(':').nth(3).unwrap_or_default().to_owned();
        Job {
            name: record.name.clone(),
            arn: record.arn.clone(),
            region,
            folder: self.folder_of(&state.id),
            program,
            hosts: request.hosts,
            limits: Limits {
                memory_bytes: self.limits.memory_bytes(request.hosts),
                cpus: self.limits.cpus(instance::slots(&request.instance_type), request.hosts),
                runtime: request.runtime.saturating_sub(ran_before).max(RUNTIME_LEAST),
                volume_bytes: request.volume_bytes,
                grace: training::job::GRACE_DEFAULT,
            },
            instance_type: request.instance_type,
            hyperparameters: request.hyperparameters,
            environment,
            inherited: self.inherited.clone(),
            channels: request.channels,
            output: request.output,
            checkpoints: request.checkpoints,
            metric_definitions: request.metric_definitions,
            intermediate: request.intermediate,
        }
    }

    /// Runs the engine, and stores what it tells.
    async fn engine(
        &self,
        record: &Record,
        job: Job,
        ran_before: Duration,
        stop: watch::Receiver<Stop>,
    ) -> Result<Ended, Halt> {
        let (recorder, told) = recorder::queue(Arc::clone(&self.telemetry), &record.name, record.created);
        let stores = Arc::new(BucketStores(Arc::clone(&self.buckets)));
        let listener: Arc<dyn Listener> = Arc::new(recorder);
        let run = job.run(stores, listener, stop);
        let Some(run) = self.tasks.spawn(run) else {
            self.suspended(&record.name).await?;
            return Err(Halt::Suspended);
        };
        self.follow(&record.name, run, told, ran_before).await
    }

    async fn follow(
        &self,
        name: &str,
        mut run: JoinHandle<Ended>,
        mut told: Told,
        ran_before: Duration,
    ) -> Result<Ended, Halt> {
        let mut ticks = interval(WRITE_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut training_since = None;
        let mut is_open = true;
        let ended = loop {
            tokio::select! {
                biased;
                phase = told.phases.recv(), if is_open => match phase {
                    Some(phase) => self.enter(name, phase, &mut training_since).await,
                    None => is_open = false,
                },
                ended = &mut run => break ended,
                _ = ticks.tick() => {
                    let has_usage;
                    (told, has_usage) = written(told).await;
                    if let (true, Some(since)) = (has_usage, training_since) {
                        self.keep_time(name, ran_before + Instant::elapsed(&since)).await;
                    }
                }
            }
        };
        while let Ok(phase) = told.phases.try_recv() {
            self.enter(name, phase, &mut training_since).await;
        }
        written(told).await;
        Ok(ended.unwrap_or_else(|error| {
            tracing::error!(job = name, %error, "a training job's engine failed");
            fault(FAULT)
        }))
    }

    /// A phase that cannot be stored is told of in the log: the run goes on, and its end is stored in any case.
    async fn enter(&self, name: &str, phase: Phase, training_since: &mut Option<Instant>) {
        if phase == Phase::Training {
            *training_since = Some(Instant::now());
        }
        if let Err(error) = self.happened(name, Event::Phase(phase)).await {
            tracing::error!(job = name, ?phase, %error, "a phase could not be stored");
        }
    }

    async fn keep_time(&self, name: &str, ran: Duration) {
        if let Err(error) = self.ran(name, ran).await {
            tracing::error!(job = name, %error, "the time that a job has run could not be stored");
        }
    }
}

/// Writes out what was told so far; whether there was a look at what the job uses.
async fn written(mut told: Told) -> (Told, bool) {
    rt::blocking(move || {
        let has_usage = told.write();
        (told, has_usage)
    })
    .await
}

/// What was asked, which was checked when it was; an update of the server may have made it stricter.
fn request(state: &TrainingJobState) -> Result<TrainingRequest, Halt> {
    TrainingRequest::parse(&state.request).map_err(|error| Halt::Failed(format!("ClientError: {error}")))
}

fn halted(asked: Stop) -> Option<Halt> {
    match asked {
        Stop::Run => None,
        Stop::Stop => Some(Halt::Stopped),
        Stop::Suspend => Some(Halt::Suspended),
    }
}
