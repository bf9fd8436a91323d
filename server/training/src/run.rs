//! A job from its start to its end: the phases, one behind the other, and what ends them early.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::channel::InputMode;
use crate::container::Containers;
use crate::ended::{How, Trained};
use crate::failure::Failure;
use crate::host::{Host, remove_all};
use crate::input::Budget;
use crate::job::Job;
use crate::listener::{Listener, Phase};
use crate::metrics::Metrics;
use crate::mirror::Mirror;
use crate::outcome::{Ended, FinalMetric, Outcome, Stop};
use crate::pipe::Pipe;
use crate::prepare::{self, CheckpointFolder};
use crate::publish::{Published, Publisher};
use crate::stores::Stores;
use crate::training::{End, Training, blocking};

impl Job {
    /// Runs the job to its end, or until `stop` says otherwise. Run on a runtime with time and I/O; what blocks is done by its
    /// blocking threads.
    ///
    /// A job that is run in a folder in which it was run before goes on from what it finds there: from its checkpoints, or, where
    /// programs had ended, from the upload.
    pub async fn run(
        mut self,
        stores: Arc<dyn Stores>,
        listener: Arc<dyn Listener>,
        stop: watch::Receiver<Stop>,
    ) -> Ended {
        // Programs run elsewhere than we do.
        self.folder = std::path::absolute(&self.folder).unwrap_or(self.folder);
        let hosts = (1..=self.hosts).map(|number| Host::new(&self.folder, number)).collect();
        let deadline = Instant::now() + self.limits.runtime;
        let result = Known {
            started: SystemTime::now(),
            training_started: None,
            metrics: Vec::new(),
            metrics_refused: 0,
            published: Published::default(),
        };
        let run = Run { job: Arc::new(self), hosts, stores, listener, stop, deadline, known: result };
        run.whole().await
    }
}

/// A job that runs.
struct Run {
    job: Arc<Job>,
    hosts: Vec<Host>,
    stores: Arc<dyn Stores>,
    listener: Arc<dyn Listener>,
    stop: watch::Receiver<Stop>,
    deadline: Instant,
    known: Known,
}

/// What is known of how it goes.
struct Known {
    started: SystemTime,
    training_started: Option<SystemTime>,
    metrics: Vec<FinalMetric>,
    metrics_refused: u64,
    published: Published,
}

/// What is there before programs start.
struct Prepared {
    checkpoints: Vec<CheckpointFolder>,
    pipes: Vec<Vec<Pipe>>,
    mirrors: Vec<Mirror>,
    metrics: Arc<Metrics>,
}

/// Why a job ends before its upload.
enum Halt {
    Failed(Failure),
    Asked(Stop),
    MaxRuntime,
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Run {
    async fn whole(mut self) -> Ended {
        let outcome = match self.carry().await {
            Ok(outcome) => outcome,
            Err(Halt::Failed(failure)) => Outcome::Failed(failure.reason()),
            Err(Halt::Asked(Stop::Suspend)) => Outcome::Suspended,
            Err(Halt::Asked(_)) => Outcome::Stopped,
            Err(Halt::MaxRuntime) => Outcome::MaxRuntimeExceeded,
        };
        self.clear(&outcome).await;
        let Known { started, training_started, metrics, metrics_refused, published } = self.known;
        Ended {
            outcome,
            model: published.model,
            output: published.output,
            metrics,
            metrics_refused,
            started,
            training_started,
            ended: SystemTime::now(),
        }
    }

    async fn carry(&mut self) -> Result<Outcome, Halt> {
        let folder = self.job.folder.clone();
        let found = blocking(move || Trained::read(&folder)).await?;
        let found = found.map_err(|error| Failure::Internal(format!("ended.json: {error}")))?;
        if let Some(trained) = found {
            self.known.started = trained.started();
            self.known.training_started = Some(trained.training_started());
            (self.known.metrics, self.known.metrics_refused) = (trained.metrics(), trained.metrics_refused);
            return self.upload(trained.how).await;
        }
        self.listener.phase(Phase::Starting, "Preparing folders and configuration");
        let prepared = self.prepare().await?;
        let how = self.train(prepared).await?;
        self.upload(how).await
    }

    /// What `work` gives, unless the job is asked to end or out of time before. Whatever `work` had begun is given up.
    async fn unless_ended<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Halt> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            Ok(asked) = stop.wait_for(|stop| *stop != Stop::Run) => Err(Halt::Asked(*asked)),
            () = sleep_until(self.deadline) => Err(Halt::MaxRuntime),
            done = work => Ok(done?),
        }
    }

    async fn prepare(&self) -> Result<Prepared, Halt> {
        let (job, hosts) = (&self.job, &self.hosts);
        // To its end: what makes folders cannot be called back, and must not make them behind our removal.
        let checkpoints = prepare::folders(job, hosts).await?;
        let (definitions, folder) = (Arc::clone(job), job.folder.clone());
        let metrics = blocking(move || Metrics::new(&definitions.metric_definitions, &folder)).await?;
        let metrics = metrics.map_err(|error| Failure::Internal(format!("metrics.jsonl: {error}")))?;
        if job.channels.iter().any(|channel| channel.mode == InputMode::File) {
            self.listener.phase(Phase::Downloading, "Downloading input data");
        }
        let budgets: Vec<_> = hosts.iter().map(|_| Budget::new(job.limits.volume_bytes)).collect();
        let fetch = async {
            let pipes = prepare::channels(job, hosts, &*self.stores, &self.listener, &budgets).await?;
            Ok((pipes, self.mirrors(&checkpoints, &budgets).await?))
        };
        let (pipes, mirrors) = self.unless_ended(fetch).await?;
        Ok(Prepared { checkpoints, pipes, mirrors, metrics: Arc::new(metrics) })
    }

    /// What is mirrored while programs run, with the checkpoints that are there already.
    async fn mirrors(
        &self,
        checkpoints: &[CheckpointFolder],
        budgets: &[Budget],
    ) -> Result<Vec<Mirror>, Failure> {
        let (job, stores) = (&self.job, &*self.stores);
        let mut mirrors = Vec::new();
        for (index, host) in self.hosts.iter().enumerate() {
            if let Some(wanted) = &job.checkpoints {
                let mut mirror = Mirror::new(stores, &wanted.uri, &checkpoints[index].path, true).await?;
                mirror.copy_in(stores, &budgets[index]).await?;
                mirrors.push(mirror);
            }
            if let Some(uri) = &job.intermediate {
                let uri = format!("{}/{}/output/intermediate", uri.trim_end_matches('/'), job.name);
                mirrors.push(Mirror::new(stores, &uri, &host.intermediate(), false).await?);
            }
        }
        Ok(mirrors)
    }

    async fn train(&mut self, prepared: Prepared) -> Result<How, Halt> {
        let Prepared { checkpoints, pipes, mirrors, metrics } = prepared;
        let (ends, has_ended) = watch::channel(false);
        let mut mirroring = JoinSet::new();
        for mirror in mirrors {
            mirroring.spawn(mirror.keep(has_ended.clone()));
        }
        self.listener.phase(Phase::Training, "Training in progress");
        let training_started = SystemTime::now();
        self.known.training_started = Some(training_started);
        let checkpoints: Vec<PathBuf> = checkpoints.into_iter().map(|folder| folder.path).collect();
        let training = Training {
            job: &self.job,
            hosts: &self.hosts,
            checkpoints: &checkpoints,
            listener: Arc::clone(&self.listener),
            metrics: Arc::clone(&metrics),
            containers: Containers::of(&self.job),
            deadline: self.deadline,
        };
        let end = training.run(pipes, &mut self.stop).await;
        (self.known.metrics, self.known.metrics_refused) = blocking(move || metrics.last()).await?;
        ends.send_replace(true);
        let mirrored = mirrored(mirroring).await;
        let how = match end {
            End::Completed => How::Completed,
            End::Stopped => How::Stopped,
            End::MaxRuntime => How::MaxRuntimeExceeded,
            End::Suspended => return Err(Halt::Asked(Stop::Suspend)),
            End::Failed(failure) => return Err(self.failed(failure).await),
        };
        if let Err(failure) = mirrored {
            return Err(self.failed(failure).await);
        }
        self.remember(how, training_started).await?;
        Ok(how)
    }

    /// Writes down that programs have ended.
    async fn remember(&self, how: How, training_started: SystemTime) -> Result<(), Failure> {
        let metrics = (&self.known.metrics[..], self.known.metrics_refused);
        let trained = Trained::new(how, self.known.started, training_started, metrics);
        let folder = self.job.folder.clone();
        let written = blocking(move || trained.write(&folder)).await?;
        written.map_err(|error| Failure::Internal(format!("ended.json: {error}")))
    }

    /// Publishes what a failed job left besides a model; whether that goes well is of no matter any more.
    async fn failed(&mut self, failure: Failure) -> Halt {
        match self.publisher().output().await {
            Ok(output) => self.known.published.output = output,
            Err(error) => {
                tracing::warn!(job = self.job.name, %error, "a failed job's output cannot be uploaded");
            }
        }
        Halt::Failed(failure)
    }

    fn publisher(&self) -> Publisher<'_> {
        Publisher { job: &self.job, hosts: &self.hosts, stores: &*self.stores, listener: &self.listener }
    }

    /// Uploads what programs left, unless the server ends before.
    async fn upload(&mut self, how: How) -> Result<Outcome, Halt> {
        self.listener.phase(Phase::Uploading, "Uploading the model");
        let mut stop = self.stop.clone();
        let published = tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop == Stop::Suspend) => return Err(Halt::Asked(Stop::Suspend)),
            published = async { self.publisher().all().await } => published?,
        };
        self.known.published = published;
        // A job that was asked to stop while its model was uploaded has stopped, with its model.
        let how = if how == How::Completed && *self.stop.borrow() == Stop::Stop { How::Stopped } else { how };
        Ok(how.into())
    }

    /// Removes the job's folder; of a suspended job, what is fetched anew anyway.
    async fn clear(&self, outcome: &Outcome) {
        let (folder, hosts) = (self.job.folder.clone(), self.hosts.clone());
        let is_suspended = *outcome == Outcome::Suspended;
        let removed = blocking(move || match is_suspended {
            true => hosts.iter().try_for_each(|host| {
                remove_all(&host.data())?;
                remove_all(&host.scratch())
            }),
            false => remove_all(&folder),
        });
        match removed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(job = self.job.name, %error, "a job's folder cannot be removed"),
            Err(error) => tracing::warn!(job = self.job.name, %error, "a job's folder cannot be removed"),
        }
    }
}

/// The first failure of mirrors that have ended.
async fn mirrored(mut mirroring: JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    let mut first = Ok(());
    while let Some(ended) = mirroring.join_next().await {
        let ended =
            ended.unwrap_or_else(|error| Err(Failure::Internal(format!("a mirror was lost: {error}"))));
        first = first.and(ended);
    }
    first
}
