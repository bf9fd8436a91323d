//! A transform from its first object to its summary.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use object_store::path::Path;
use object_store::{MultipartId, ObjectStoreExt};
use tokio::task::JoinSet;

use super::budget::Budget;
use super::capture::Manifests;
use super::summary::{Counts, FAILURES_KEPT, Outcome, Summary, reason};
use super::{Job, Part, Stop};
use crate::input::{Found, InputObject, Listing, Outputs, Source};
use crate::journal::Done;
use crate::model::Model;
use crate::object::{ObjectError, Places, Task, Work, rejected_key, transform};
use crate::progress::{Failure, Progress};
use crate::read::{ReadOptions, ReadSpan};
use crate::settings::{BatchStrategy, MIB, PayloadLimit, Settings};
use crate::upload::{self, retried};

impl<M: Model> Job<M> {
    /// Transforms every object. Dropped before it ends, it leaves what a killed process would.
    pub async fn run(self) -> Summary {
        let started = SystemTime::now();
        self.listener.started(&settings_line(&self.settings));
        for warning in self.settings.warnings() {
            self.listener.warned(warning);
        }
        let mut running = Running::new(self);
        let ended = running.all().await;
        running.sum_up(started, ended).await
    }
}

/// The settings, as SageMaker's log has them.
fn settings_line(settings: &Settings) -> String {
    let payload = match settings.payload_limit {
        PayloadLimit::Bytes(bytes) => (bytes as f64 / MIB as f64).to_string(),
        PayloadLimit::Endless => "0".to_owned(),
    };
    let strategy = match settings.strategy {
        BatchStrategy::MultiRecord => "MULTI_RECORD",
        BatchStrategy::SingleRecord => "SINGLE_RECORD",
    };
    let concurrency = settings.concurrency;
    format!("MaxConcurrentTransforms={concurrency}, MaxPayloadInMB={payload}, BatchStrategy={strategy}")
}

/// An object that is through.
struct Ended {
    object: InputObject,
    result: Result<(), ObjectError>,
    is_share: bool,
}

/// A transform that runs.
struct Running<M> {
    job: Job<M>,
    work: Arc<Work<M>>,
    places: Arc<Places>,
    done: Arc<Done>,
    budget: Budget,
    objects: JoinSet<Ended>,
    captured: Option<Manifests>,
    /// Uploads that an earlier run was killed in before it could note them, by the keys that they are for.
    stale: HashMap<Path, Vec<MultipartId>>,
    failures: Vec<Failure>,
    has_failed: bool,
}

impl<M: Model> Running<M> {
    fn new(mut job: Job<M>) -> Self {
        let work = Work::new(
            job.id.clone(),
            job.settings.clone(),
            Arc::clone(&job.model),
            Arc::clone(&job.progress),
            Arc::clone(&job.listener),
            job.stop.clone(),
        );
        let places = Places {
            input: job.input.clone(),
            input_name: job.input_name.clone(),
            output: job.output.clone(),
            journal: job.journal.clone(),
            read: ReadOptions { progress: Some(Arc::clone(&job.progress)), ..ReadOptions::default() },
            part_sizes: job.part_sizes,
        };
        let done = Arc::new(std::mem::take(&mut job.done));
        let captured = job.capture.take().map(|capture| Manifests::new(capture, &job.id));
        Self {
            work: Arc::new(work),
            places: Arc::new(places),
            done,
            budget: Budget::new(),
            objects: JoinSet::new(),
            captured,
            stale: HashMap::new(),
            failures: Vec::new(),
            has_failed: false,
            job,
        }
    }

    /// Starts all objects and waits for them; an error ends the transform, of which nothing is to blame but what it says.
    async fn all(&mut self) -> Result<(), String> {
        let listed = self.start_all().await;
        while let Some(ended) = self.objects.join_next().await {
            self.end(ended).await?;
        }
        listed?;
        if let Some(captured) = &mut self.captured {
            captured.finish().await.map_err(ours)?;
        }
        let found = Counts::from(&*self.job.progress).objects_found;
        let is_all = self.job.shard.is_none() && self.work.stopped().is_none();
        if is_all && found == 0 && !self.has_failed {
            return Err(format!("ClientError: no objects {}", self.source()));
        }
        Ok(())
    }

    /// Lists the inputs and starts each when there is room for it.
    async fn start_all(&mut self) -> Result<(), String> {
        let client_error = |error: crate::input::InputError| format!("ClientError: {error}");
        let stopped = self.work.until_stopped();
        tokio::pin!(stopped);
        let job = &self.job;
        let outputs = Outputs {
            prefix: job.output_prefix.clone(),
            are_beside_inputs: job.input_name == job.output_name,
        };
        let mut listing = tokio::select! {
            biased;
            () = &mut stopped => return Ok(()),
            listing = Listing::begin(&job.input, &job.input_name, &job.source, outputs) => listing.map_err(client_error)?,
        };
        self.find_stale().await;
        loop {
            let found = tokio::select! {
                biased;
                () = &mut stopped => return Ok(()),
                found = listing.next() => found.map_err(client_error)?,
            };
            match found {
                None => return Ok(()),
                Some(Found::Object(object)) => self.plan(object).await?,
                Some(Found::Unusable { key, reason }) => {
                    Progress::add(&self.job.progress.objects_found, 1);
                    self.fail_key(&key, reason).await;
                }
                Some(Found::Warning(message)) => self.job.listener.warned(&message),
            }
        }
    }

    /// Starts what of `object` is this runner's and not done.
    async fn plan(&mut self, object: InputObject) -> Result<(), String> {
        let part = match self.job.shard {
            None => Part::Whole,
            Some(shard) => {
                let (prefix, id) = (&self.job.output_prefix, &self.job.id);
                match shard.part(&object, prefix, id, &self.job.settings) {
                    Ok(part) => part,
                    Err(error) => {
                        self.fail_key(object.path.as_ref(), error.to_string()).await;
                        return Ok(());
                    }
                }
            }
        };
        match part {
            Part::Nothing => Ok(()),
            Part::Whole => self.start(object, None).await,
            Part::Lines(span, output) => self.start(InputObject { output, ..object }, Some(span)).await,
        }
    }

    async fn start(&mut self, object: InputObject, share: Option<ReadSpan>) -> Result<(), String> {
        let size = share.map_or(object.size, |span| span.to.unwrap_or(object.size) - span.from);
        Progress::add(&self.job.progress.objects_found, 1);
        if let Some(captured) = &mut self.captured {
            captured.read(&object.path).await.map_err(ours)?;
        }
        self.end_stale(&object.output).await;
        let Some(permit) = self.admit(size).await? else { return Ok(()) };
        let (work, places, done) = (Arc::clone(&self.work), Arc::clone(&self.places), Arc::clone(&self.done));
        self.objects.spawn(async move {
            let _permit = permit;
            let (of, is_share) = (object.clone(), share.is_some());
            // A task of its own, so that a panic in it is this object's failure.
            let task = Task::spawn(async move {
                if stands(&places, &done, &of).await? {
                    Progress::add(&work.progress.objects_skipped, 1);
                    return Ok(());
                }
                // What is skipped is never read: counted, it would make the rest look longer than it is.
                Progress::add(&work.progress.bytes_found, size);
                transform(&work, &places, &done, &of, share).await
            });
            let result = task.await.unwrap_or_else(|panic| Err(ObjectError::Object(panic)));
            Ended { object, result, is_share }
        });
        Ok(())
    }

    /// Notes the unfinished uploads that nothing can go on with. Whose they are is known when their object comes: another
    /// transform may write beside this one.
    async fn find_stale(&mut self) {
        let kept = self.done.resumable();
        let found = match self.job.output.uploads.unfinished(self.job.output_prefix.as_ref()).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "unfinished uploads cannot be listed: some of a killed run may be left behind");
                return;
            }
        };
        for upload in found.into_iter().filter(|upload| !kept.contains(&upload.id)) {
            self.stale.entry(upload.path).or_default().push(upload.id);
        }
    }

    /// Ends what a killed run left of this output, and of what it put aside.
    async fn end_stale(&mut self, output: &Path) {
        if self.stale.is_empty() {
            return;
        }
        let rejected = Path::parse(rejected_key(output.as_ref())).ok();
        for key in [Some(output.clone()), rejected].into_iter().flatten() {
            for id in self.stale.remove(&key).into_iter().flatten() {
                if let Err(error) = self.job.output.parts.abort_multipart(&key, &id).await {
                    tracing::warn!(%key, %error, "an unfinished upload is left behind");
                }
            }
        }
    }

    /// Waits for room and takes in who is through meanwhile; `None` when it is stopped.
    async fn admit(&mut self, size: u64) -> Result<Option<tokio::sync::OwnedSemaphorePermit>, String> {
        let budget = self.budget.clone();
        let room = budget.admit(size, self.job.settings.compression);
        let stopped = self.work.until_stopped();
        tokio::pin!(room, stopped);
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(None),
                Some(ended) = self.objects.join_next() => self.end(ended).await?,
                permit = &mut room => return Ok(Some(permit)),
            }
        }
    }

    /// Takes in an object that is through.
    async fn end(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> Result<(), String> {
        let ended = ended.map_err(ours)?;
        match ended.result {
            Ok(()) => return self.succeed(&ended.object).await,
            Err(ObjectError::Stopped) => {}
            Err(error) => {
                let name = self.places.name(ended.object.path.as_ref());
                if let Some(mut failure) = error.failure(&name) {
                    // In a share, records are counted from its start.
                    failure.record = failure.record.filter(|_| !ended.is_share);
                    self.fail(failure).await;
                }
            }
        }
        Ok(())
    }

    async fn succeed(&mut self, object: &InputObject) -> Result<(), String> {
        Progress::add(&self.job.progress.objects_done, 1);
        match &mut self.captured {
            Some(captured) => captured.wrote(&object.output).await.map_err(ours),
            None => Ok(()),
        }
    }

    async fn fail_key(&mut self, key: &str, reason: String) {
        let name = self.places.name(key);
        if let Some(failure) = ObjectError::Object(reason).failure(&name) {
            self.fail(failure).await;
        }
    }

    async fn fail(&mut self, failure: Failure) {
        self.has_failed = true;
        Progress::add(&self.job.progress.objects_failed, 1);
        self.job.listener.failed(&failure);
        if let Err(error) = self.job.journal.failed(&failure).await {
            tracing::warn!(%error, "a failure is not in the journal");
        }
        if self.failures.len() < FAILURES_KEPT {
            self.failures.push(failure);
        }
    }

    async fn sum_up(mut self, started: SystemTime, ended: Result<(), String>) -> Summary {
        self.objects.shutdown().await;
        if self.work.stopped() != Some(Stop::Suspend) {
            self.end_old_uploads().await;
        }
        if let Err(error) = self.job.journal.flush().await {
            tracing::warn!(%error, "the journal is not flushed: what is done may be done again");
        }
        let (outcome, reason) = match ended {
            Err(reason) => (Outcome::Failed, Some(reason)),
            Ok(()) if self.work.stopped().is_some() => (Outcome::Stopped, None),
            Ok(()) if self.has_failed => (Outcome::Failed, Some(reason(&self.failures))),
            Ok(()) => (Outcome::Completed, None),
        };
        let counts = Counts::from(&*self.job.progress);
        Summary { outcome, reason, failures: self.failures, counts, started, ended: SystemTime::now() }
    }

    /// Ends uploads that earlier runs left and that this one has not gone on with: their objects are no more, or failed early.
    async fn end_old_uploads(&self) {
        let old = self.done.resumable();
        if old.is_empty() {
            return;
        }
        let prefix = self.job.output_prefix.as_ref();
        let swept = upload::sweep(&self.job.output, prefix, |left| old.contains(&left.id)).await;
        if let Err(error) = swept {
            tracing::warn!(%error, "unfinished uploads may be left behind");
        }
    }

    /// The source, for people.
    fn source(&self) -> String {
        let name = &self.job.input_name;
        match &self.job.source {
            Source::Prefix(prefix) => format!("whose keys begin with {name}/{prefix}"),
            Source::Object(key) => format!("at {name}/{key}"),
            Source::Manifest(key) => format!("in the manifest {name}/{key}"),
            Source::Listed { place, .. } => format!("in the manifest {place}"),
        }
    }
}

/// What ends a transform and is no fault of who asked for it.
fn ours(error: impl std::fmt::Display) -> String {
    format!("InternalServerError: {error}")
}

/// Whether an earlier run finished `object`, and its output is there: somebody may have removed it since, to have it anew.
async fn stands(places: &Places, done: &Done, object: &InputObject) -> Result<bool, ObjectError> {
    let Some(finished) = done.finished(object) else { return Ok(false) };
    match retried(0, || places.output.objects.head(&object.output)).await {
        Ok(found) => Ok(found.size == finished.bytes),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(ObjectError::Object(format!("{}: {error}", object.output))),
    }
}
