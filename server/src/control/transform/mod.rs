//! Transform jobs: durable, run beside the data plane on a runtime and a pool of their own, a few at once. Only records are worked
//! on there, behind all else in priority; what a job shares with endpoints and calls, it does on the control runtime.
//!
//! A job is a record with its state, and a task as long as it has not ended. What is done of it stands in its journal
//! (`DATA/transform/<id>.jsonl`), so that a restart of the server goes on where the last one was; the model's artifact is held to
//! the bytes of its first load, so that what is added is of the same model.
//!
//! | module | is |
//! |---|---|
//! | `state` | what is stored of a job |
//! | `request` | what is asked, read and checked |
//! | `manifest` | what is asked by a list, read |
//! | `model` | the job's model, with its variables |
//! | `calls` | create and stop |
//! | `run` | one job, from its turn to its end |
//! | `give_up` | what is left of one that was not completed |
//! | `settle` | what is stored of a run |
//! | `log`, `event` | what is told of it |

mod calls;
mod event;
mod give_up;
mod log;
mod manifest;
mod model;
mod request;
mod run;
mod settle;
mod state;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use transform::job::Stop;

use super::jobs::{JobTasks, run, state as job};
use super::{Control, StateError};
use crate::buckets::Buckets;
use crate::metrics::Metrics;
use crate::rt;
use crate::transform::BatchServer;

pub use state::TransformJobState;

/// Jobs that run at once; more wait for their turn. Reason: they share one pool, so that more at once only slow each other, and
/// each holds its payloads in memory; a few let a small job pass by a large one.
const TRANSFORM_JOBS_AT_ONCE: usize = 4;

/// What transform jobs are run with.
#[derive(Debug)]
pub struct TransformParts {
    /// The data directory.
    pub data: PathBuf,
    /// Where inputs and outputs are.
    pub buckets: Arc<Buckets>,
    /// The models that they ask.
    pub batch: Arc<BatchServer>,
    /// The process's numbers.
    pub metrics: Arc<Metrics>,
    /// What records are worked on with.
    pub runtime: Runtime,
}

/// The transform jobs of this server.
#[derive(Debug)]
pub struct TransformJobs {
    control: Arc<Control>,
    buckets: Arc<Buckets>,
    batch: Arc<BatchServer>,
    metrics: Arc<Metrics>,
    /// Of the journals.
    folder: PathBuf,
    turns: Semaphore,
    tasks: Arc<JobTasks<Stop>>,
}

impl TransformJobs {
    /// Goes on with the jobs that have not ended.
    ///
    /// # Errors
    /// When the state cannot be read, or the folder of journals not be made.
    pub async fn start(control: Arc<Control>, parts: TransformParts) -> Result<Arc<Self>, StateError> {
        let read = |connection: &rusqlite::Transaction<'_>| {
            let open = job::open::<TransformJobState>(connection)?.into_iter();
            Ok::<Vec<_>, StateError>(open.map(|(name, state)| (name, state.id)).collect())
        };
        let open = control.database.read(read).await?;
        let folder = parts.data.join("transform");
        let (kept, place) = (open.iter().map(|(_, id)| id.clone()).collect(), folder.clone());
        rt::blocking(move || clean(&place, &kept)).await?;
        let tasks = JobTasks::new(control.runtime.clone(), parts.runtime);
        let jobs = Arc::new(Self {
            control,
            buckets: parts.buckets,
            batch: parts.batch,
            metrics: parts.metrics,
            folder,
            turns: Semaphore::new(TRANSFORM_JOBS_AT_ONCE),
            tasks,
        });
        for (name, id) in open {
            jobs.begin(name, id);
        }
        Ok(jobs)
    }

    /// Ends all tasks for now: the next start goes on with their jobs.
    pub async fn suspend(&self) {
        self.tasks.suspend(Stop::Suspend).await;
    }

    /// Starts the task of a job.
    fn begin(self: &Arc<Self>, name: String, id: String) {
        let jobs = Arc::clone(self);
        self.tasks.begin(id, Stop::Run, |stop| run(jobs, name, stop));
    }

    /// The journal of the job of this id.
    fn journal(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.jsonl"))
    }
}

/// The digests that transform jobs are held to.
///
/// # Errors
/// When the state cannot be read.
pub(super) fn referenced(connection: &Connection) -> Result<HashSet<String>, StateError> {
    let pins =
        job::open::<TransformJobState>(connection)?.into_iter().filter_map(|(_, state)| state.artifact);
    Ok(pins.map(|pin| pin.sha256).collect())
}

/// Makes the folder of journals, and removes those of jobs that have ended.
fn clean(folder: &std::path::Path, kept: &HashSet<String>) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let id = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        if id.is_some_and(|id| kept.contains(&id)) {
            continue;
        }
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "a leftover cannot be removed");
        }
    }
    Ok(())
}
