//! Training jobs: durable, run in processes of their own, a few at once. The engine (`training`) runs one; here is what is asked,
//! what is stored, and whose turn it is.
//!
//! A job is a record with its state, and a task as long as it has not ended. Its folder (`DATA/training/<id>`) stands for
//! `/opt/ml` of its hosts. An orderly end of the server suspends jobs; whatever ended it, the next start ends what was left
//! running, and begins jobs again: from their checkpoints, where they have any.
//!
//! | module | is |
//! |---|---|
//! | `status`, `state` | what is stored of a job, and what happens to it, as a pure function |
//! | `describe` | how it is described |
//! | `request`, `channels`, `program`, `metrics` | what is asked, read and checked |
//! | `limits` | what a host may use |
//! | `calls` | create, stop, update and delete |
//! | `run` | one job, from its turn to its end |
//! | `recorder` | what it tells, into logs and series |
//! | `settle` | what is stored of a run |
//! | `folders` | the folders of jobs |
//! | `event` | what is told of it |

mod calls;
mod channels;
mod describe;
mod event;
mod folders;
mod limits;
mod metrics;
mod program;
mod recorder;
mod request;
mod run;
mod settle;
mod state;
mod status;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use telemetry::Telemetry;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use training::Stop;

use super::jobs::{JobStatus, JobTasks, run, state as job};
use super::{Control, StateError};
use crate::buckets::Buckets;
use crate::metrics::Metrics;
use crate::rt;

pub use limits::MachineLimits;
pub use program::Executors;
pub use state::TrainingJobState;
pub use status::SecondaryStatus;

/// What training jobs are run with.
#[derive(Debug)]
pub struct TrainingParts {
    /// The data directory.
    pub data: PathBuf,
    /// Where data and models are.
    pub buckets: Arc<Buckets>,
    /// Where lines and metrics go.
    pub telemetry: Arc<Telemetry>,
    /// The process's numbers.
    pub metrics: Arc<Metrics>,
    /// What runs programs.
    pub executors: Executors,
    /// What they may use.
    pub limits: MachineLimits,
    /// What of our own environment they get.
    pub inherited: BTreeMap<String, String>,
    /// Where the engine runs.
    pub runtime: Runtime,
}

/// The training jobs of this server.
#[derive(Debug)]
pub struct TrainingJobs {
    control: Arc<Control>,
    buckets: Arc<Buckets>,
    telemetry: Arc<Telemetry>,
    metrics: Arc<Metrics>,
    executors: Executors,
    limits: MachineLimits,
    inherited: BTreeMap<String, String>,
    /// Of the jobs' folders.
    folder: PathBuf,
    turns: Semaphore,
    tasks: Arc<JobTasks<Stop>>,
}

impl TrainingJobs {
    /// Ends what an earlier server left running, and goes on with the jobs that have not ended.
    ///
    /// # Errors
    /// When the state cannot be read, or the folder of jobs not be made.
    pub async fn start(control: Arc<Control>, parts: TrainingParts) -> Result<Arc<Self>, StateError> {
        let open = control.database.read(|connection| job::open::<TrainingJobState>(connection)).await?;
        let folder = parts.data.join("training");
        let (kept, place) = (open.iter().map(|(_, state)| state.id.clone()).collect(), folder.clone());
        rt::blocking(move || folders::clean(&place, &kept)).await?;
        let tasks = JobTasks::new(control.runtime.clone(), parts.runtime);
        let jobs = Arc::new(Self {
            control,
            buckets: parts.buckets,
            telemetry: parts.telemetry,
            metrics: parts.metrics,
            executors: parts.executors,
            turns: Semaphore::new(parts.limits.jobs_at_once),
            limits: parts.limits,
            inherited: parts.inherited,
            folder,
            tasks,
        });
        for (name, state) in open {
            let is_stopping = state.status == JobStatus::Stopping;
            jobs.begin(name, state.id, if is_stopping { Stop::Stop } else { Stop::Run });
        }
        Ok(jobs)
    }

    /// Ends all tasks for now: the next start goes on with their jobs.
    pub async fn suspend(&self) {
        self.tasks.suspend(Stop::Suspend).await;
    }

    /// Starts the task of a job, which hears `asked` first.
    fn begin(self: &Arc<Self>, name: String, id: String, asked: Stop) {
        let jobs = Arc::clone(self);
        self.tasks.begin(id, asked, |stop| run(jobs, name, stop));
    }

    /// The folder of the job of this id.
    fn folder_of(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }
}
