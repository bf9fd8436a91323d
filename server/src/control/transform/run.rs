//! One job, from its turn to its end: the model loaded, the journal opened, the engine run, and its summary made a status.

use std::sync::Arc;

use object_store::path::Path;
use tokio::sync::{SemaphorePermit, watch};
use transform::job::{Capture, Job, Outcome, Stop, Summary};
use transform::journal::{Done, Journal, Place};
use transform::settings::{ExecutionParameters, MIB, PAYLOAD_MB_DEFAULT, Resolved, Settings};
use transform::upload::PartSizes;
use transform::{BatchStrategy, Listener, PayloadLimit, Progress, Store};
use wire::Timestamp;

use super::TransformJobs;
use super::log::JobLog;
use super::model::{Servable, failure_reason};
use super::request::TransformRequest;
use super::settle::Ended;
use super::state::TransformJobState;
use crate::control::jobs::{FAULT, JobStatus, Jobs};
use crate::control::record::{Kind, Record};
use crate::control::shared_models::SharedModel;
use crate::control::{ControlError, StateError};
use crate::transform::BatchModel;
use crate::transform::fit::fit;

/// Calls at once of one job, over all its instances. Reason: some times the threads of a large machine; more only wait, and each
/// holds a payload and an answer.
const CALLS_AT_ONCE_MAX: usize = 64;

/// Bytes of the payloads of those calls. Reason: twice what one instance may have; a few jobs run beside each other and beside
/// the models of endpoints.
const CALLS_BYTES_MAX: usize = 256 * MIB;

/// Why a run came to no end of its own.
pub(super) enum Halt {
    /// The state cannot be read or written.
    State(StateError),
    /// It stopped, or was suspended, before the engine ran.
    Asked(Stop),
    /// It cannot run, and why.
    Failed(String),
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::State(error) => write!(f, "{error}"),
            Self::Asked(_) => write!(f, "the job was stopped"),
            Self::Failed(reason) => write!(f, "{reason}"),
        }
    }
}

impl From<StateError> for Halt {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// A job that runs.
pub(super) struct Running<'a> {
    pub(super) jobs: &'a TransformJobs,
    record: Record,
    pub(super) state: TransformJobState,
    pub(super) log: Arc<JobLog>,
    /// Whether the engine ran, which ends by itself what it began.
    pub(super) has_run: bool,
    stop: watch::Receiver<Stop>,
}

impl Jobs for TransformJobs {
    type Stop = Stop;
    const KIND: Kind = Kind::TransformJob;
    const SUSPEND: Stop = Stop::Suspend;

    async fn run_once(&self, name: &str, mut stop: watch::Receiver<Stop>) -> Result<(), StateError> {
        let turn = self.turn(name, &mut stop).await?;
        let Some((record, state)) = self.read(name).await? else { return Ok(()) };
        if state.status.has_ended() {
            return Ok(());
        }
        let log = Arc::new(JobLog::new(Arc::clone(&self.control.hosting), &record));
        let mut running = Running { jobs: self, record, state, log, has_run: false, stop };
        let carried = match turn {
            Some(_) => running.carry().await,
            None if *running.stop.borrow() == Stop::Suspend => Err(Halt::Asked(Stop::Suspend)),
            // It was stopped, now or before a restart.
            None => Err(Halt::Asked(Stop::Abort)),
        };
        let ended = match carried {
            Ok(ended) => ended,
            Err(Halt::State(error)) => return Err(error),
            Err(Halt::Failed(reason)) => Ended::Failed(reason),
            Err(Halt::Asked(Stop::Abort)) => Ended::Stopped,
            Err(Halt::Asked(_)) => return Ok(()),
        };
        if ended != Ended::Completed {
            running.give_up().await;
        }
        match &ended {
            Ended::Completed => running.log.say("transform job completed"),
            Ended::Failed(reason) => running.log.say(&format!("transform job failed: {reason}")),
            Ended::Stopped => running.log.say("transform job stopped"),
        }
        self.ended(name, ended).await
    }

    async fn fail(&self, name: &str, reason: &str) -> Result<(), StateError> {
        self.ended(name, Ended::Failed(reason.to_owned())).await
    }
}

impl TransformJobs {
    /// Its turn, unless there is nothing to run or it is stopped before. What waits is nothing but a name: thousands may.
    async fn turn(
        &self,
        name: &str,
        stop: &mut watch::Receiver<Stop>,
    ) -> Result<Option<SemaphorePermit<'_>>, StateError> {
        let status = self.read(name).await?.map(|(_, state)| state.status);
        if status != Some(JobStatus::InProgress) {
            return Ok(None);
        }
        let _waiting = self.metrics.transforms.wait();
        Ok(tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop != Stop::Run) => None,
            turn = self.turns.acquire() => Some(turn.expect("it is never closed")),
        })
    }

    /// What `work` gives, done on the jobs' own runtime: all else of a job holds locks and turns that endpoints and calls wait
    /// for, and so stays where they are.
    async fn behind<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Halt> {
        let Some(task) = self.tasks.spawn(work) else {
            return Err(Halt::Asked(Stop::Suspend));
        };
        task.await.map_err(|error| {
            tracing::error!(%error, "a transform failed");
            Halt::Failed(FAULT.to_owned())
        })
    }
}

impl Running<'_> {
    /// Runs, as it is its turn.
    async fn carry(&mut self) -> Result<Ended, Halt> {
        let jobs = self.jobs;
        let progress = Arc::new(Progress::default());
        let _counted = jobs.metrics.transforms.run(self.log.host().to_owned(), Arc::clone(&progress));
        let started = jobs.began(&self.record.name).await?;
        let verb = if self.state.started.is_some() { "resumed" } else { "started" };
        self.state.started = Some(started);
        self.log.say(&format!("transform job {verb}"));
        let request = self.request(started)?;
        let model = self.load().await?;
        let request = self.unless_stopped(request.with_manifest(&jobs.buckets)).await?;
        let request = request.map_err(|error| Halt::Failed(format!("ClientError: {error}")))?;
        self.has_run = true;
        self.transform(request, started, &model, progress).await
    }

    /// The model, in memory.
    async fn load(&mut self) -> Result<Arc<SharedModel>, Halt> {
        let servable =
            Servable::of(&self.state).map_err(|error| Halt::Failed(format!("ClientError: {error}")))?;
        let jobs = self.jobs;
        let pin = self.state.artifact.clone();
        let models = &jobs.control.hosting.models;
        let loaded = self.unless_stopped(servable.load(models, pin.as_ref())).await?;
        let (model, pin) = loaded.map_err(|error| Halt::Failed(failure_reason(&error)))?;
        self.log.say(&format!("model {} loaded: {}, SHA-256 {}", self.model_name(), pin.url, pin.sha256));
        if self.state.artifact.as_ref() != Some(&pin) {
            jobs.pinned(&self.record.name, pin.clone()).await?;
            self.state.artifact = Some(pin);
        }
        Ok(model)
    }

    /// The engine's part.
    async fn transform(
        &self,
        request: TransformRequest,
        started: Timestamp,
        model: &Arc<SharedModel>,
        progress: Arc<Progress>,
    ) -> Result<Ended, Halt> {
        let settings = fit(self.settings(&request)?, &model.model);
        let settings = settings.map_err(|error| Halt::Failed(format!("ClientError: {error}")))?;
        let (content_type, accept) = (settings.content_type.as_deref(), settings.accept.as_deref());
        let asked = self.jobs.batch.model(&self.record.name, Arc::clone(&model.model), content_type, accept);
        let asked: BatchModel = asked.map_err(|error| Halt::Failed(format!("ClientError: {error}")))?;
        let job = self.job(&request, settings, started, asked, progress).await?;
        let summary = self.jobs.behind(job.run()).await?;
        let counts = summary.counts;
        self.log.say(&format!(
            "{} of {} objects done, {} failed; {} records, {} calls, {} of them again",
            counts.objects_done,
            counts.objects_found,
            counts.objects_failed,
            counts.records,
            counts.calls,
            counts.retries
        ));
        match (summary.outcome, *self.stop.borrow()) {
            (Outcome::Completed, _) => Ok(Ended::Completed),
            (Outcome::Failed, _) => Ok(Ended::Failed(reason_of(&summary))),
            (Outcome::Stopped, Stop::Suspend) => Err(Halt::Asked(Stop::Suspend)),
            (Outcome::Stopped, _) => Ok(Ended::Stopped),
        }
    }

    pub(super) fn request(&self, started: Timestamp) -> Result<TransformRequest, Halt> {
        TransformRequest::parse(&self.state.request, started).map_err(refused)
    }

    /// What is done with records, with so many calls at once as all instances have.
    fn settings(&self, request: &TransformRequest) -> Result<Settings, Halt> {
        let Resolved { mut settings, notice } =
            request.resolve(self.jobs.batch.workers()).map_err(refused)?;
        if let Some(notice) = notice {
            self.log.warned(&notice);
        }
        let instances = usize::try_from(request.instance_count).unwrap_or(usize::MAX);
        let asked = settings.concurrency.saturating_mul(instances);
        settings.concurrency = calls_at_once(asked, settings.payload_limit);
        if settings.concurrency < asked {
            self.log.warned(&format!(
                "{} instances make {asked} calls at once: expected at most {CALLS_AT_ONCE_MAX}, and {CALLS_BYTES_MAX} bytes \
                 of payloads together; it is {} calls",
                request.instance_count, settings.concurrency
            ));
        }
        Ok(settings)
    }

    /// The engine's job, with its journal.
    async fn job(
        &self,
        request: &TransformRequest,
        settings: Settings,
        started: Timestamp,
        model: BatchModel,
        progress: Arc<Progress>,
    ) -> Result<Job<BatchModel>, Halt> {
        let (input, output) = (self.store(&request.input_bucket)?, self.store(&request.output_bucket)?);
        let (journal, done) = self.open_journal(&settings).await?;
        Ok(Job {
            id: self.state.id.clone(),
            settings,
            input,
            input_name: request.input_bucket.clone(),
            source: request.source.clone(),
            output,
            output_name: request.output_bucket.clone(),
            output_prefix: request.output_prefix.clone(),
            part_sizes: PartSizes::default(),
            shard: None,
            capture: request
                .capture
                .as_ref()
                .map(|place| self.capture(request, place, started))
                .transpose()?,
            journal,
            done,
            model: Arc::new(model),
            model_digest: self.model_digest().to_owned(),
            progress,
            listener: Arc::clone(&self.log) as Arc<dyn Listener>,
            stop: self.stop.clone(),
        })
    }

    pub(super) async fn open_journal(&self, settings: &Settings) -> Result<(Journal, Done), Halt> {
        let digest = settings.digest(&self.state.id, self.model_digest());
        let place = Place::File(self.jobs.journal(&self.state.id));
        let opened = Journal::open(place, &self.state.id, &digest).await;
        opened.map_err(|error| Halt::Failed(format!("InternalServerError: {error}")))
    }

    fn model_digest(&self) -> &str {
        self.state.artifact.as_ref().map_or("", |pin| &pin.sha256)
    }

    fn capture(
        &self,
        request: &TransformRequest,
        (bucket, prefix): &(String, Path),
        started: Timestamp,
    ) -> Result<Capture, Halt> {
        Ok(Capture {
            store: self.store(bucket)?,
            prefix: prefix.clone(),
            hour: started.format("%Y/%m/%d/%H"),
            input_uri: format!("s3://{}/", request.input_bucket),
            output_uri: format!("s3://{}/", request.output_bucket),
        })
    }

    pub(super) fn store(&self, bucket: &str) -> Result<Store, Halt> {
        self.jobs.buckets.store(bucket).map_err(|error| Halt::Failed(format!("ClientError: {error}")))
    }

    /// What `work` gives, unless the job is asked to stop first.
    async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Halt> {
        tokio::select! {
            biased;
            asked = self.stop.wait_for(|stop| *stop != Stop::Run) => {
                // Who would say so is gone: the server ends.
                Err(Halt::Asked(asked.map_or(Stop::Suspend, |stop| *stop)))
            }
            done = work => Ok(done),
        }
    }

    fn model_name(&self) -> &str {
        self.state.request.get("ModelName").and_then(|name| name.as_str()).unwrap_or_default()
    }
}

fn refused(error: ControlError) -> Halt {
    match error {
        ControlError::State(error) => Halt::State(error),
        error => Halt::Failed(format!("ClientError: {error}")),
    }
}

fn calls_at_once(asked: usize, payload: PayloadLimit) -> usize {
    let by_bytes = match payload {
        PayloadLimit::Bytes(bytes) => CALLS_BYTES_MAX / bytes.max(1),
        PayloadLimit::Endless => CALLS_AT_ONCE_MAX,
    };
    asked.min(CALLS_AT_ONCE_MAX).min(by_bytes).max(1)
}

impl TransformRequest {
    /// What is done with records, for a model whose pool has so many threads.
    ///
    /// # Errors
    /// When members are out of range, or do not go together.
    pub(super) fn resolve(&self, threads: usize) -> Result<Resolved, ControlError> {
        let model = ExecutionParameters {
            max_concurrent_transforms: Some(threads as u64),
            batch_strategy: Some(BatchStrategy::MultiRecord),
            max_payload_in_mb: Some(PAYLOAD_MB_DEFAULT as u64),
        };
        self.requested.clone().resolve(model).map_err(|error| ControlError::Refused(error.to_string()))
    }
}

/// `FailureReason` of a job: what the engine says, and the first object that failed.
fn reason_of(summary: &Summary) -> String {
    let reason =
        summary.reason.as_deref().unwrap_or("InternalServerError: See job logs for more information");
    let Some(first) = summary.failures.first() else { return reason.to_owned() };
    let record = first.record.map(|record| format!(", record {record}")).unwrap_or_default();
    format!("{reason}. {}{record}: {}", first.object, first.reason.trim_end())
}

#[cfg(test)]
mod tests {
    use transform::Failure;

    use super::*;

    #[test]
    fn calls_at_once_have_limits() {
        let check = |asked, megabytes: usize, expected| {
            assert_eq!(calls_at_once(asked, PayloadLimit::Bytes(megabytes * MIB)), expected);
        };
        check(1, 6, 1);
        check(16, 6, 16);
        check(100, 6, 42);
        check(1000, 1, 64);
        check(3, 100, 2);
        assert_eq!(calls_at_once(1000, PayloadLimit::Endless), 64);
    }

    #[test]
    fn a_failure_names_its_object() {
        let check = |reason: Option<&str>, record: Option<u64>, is_failed: bool, expected: &str| {
            let (object, reason_of_it) = ("b/k".to_owned(), "no number\n".to_owned());
            let failure =
                Failure { object, byte: None, record, status: None, attempts: 1, reason: reason_of_it };
            let summary = Summary {
                outcome: Outcome::Failed,
                reason: reason.map(str::to_owned),
                failures: if is_failed { vec![failure.clone(), failure] } else { Vec::new() },
                counts: transform::job::Counts::default(),
                started: std::time::SystemTime::UNIX_EPOCH,
                ended: std::time::SystemTime::UNIX_EPOCH,
            };
            assert_eq!(reason_of(&summary), expected);
        };
        check(Some("ClientError: no objects"), None, false, "ClientError: no objects");
        check(Some("ClientError: See"), None, true, "ClientError: See. b/k: no number");
        check(Some("ClientError: See"), Some(2), true, "ClientError: See. b/k, record 2: no number");
        check(None, None, false, "InternalServerError: See job logs for more information");
    }
}
