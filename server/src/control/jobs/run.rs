//! The run of a job, whatever its kind: again until its end is stored, or until the server ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::control::StateError;
use crate::control::record::Kind;

/// The pause before the state is read or written again when it could not be. Reason: a full disk or a busy writer passes.
pub(in crate::control) const STATE_PAUSE: Duration = Duration::from_secs(1);

/// `FailureReason` of a job that a fault of ours ended.
pub(in crate::control) const FAULT: &str = "InternalServerError: the server's log has the reason";

/// The jobs of one kind: how one of them runs.
pub(in crate::control) trait Jobs: Send + Sync + 'static {
    /// What a job is told.
    type Stop: Copy + PartialEq + Send + Sync + 'static;
    /// Of which kind they are.
    const KIND: Kind;
    /// What a job is told when the server ends: the next one goes on.
    const SUSPEND: Self::Stop;

    /// Runs the job of this name from where it stands, and stores how it ended, unless it is suspended.
    fn run_once(
        &self,
        name: &str,
        stop: watch::Receiver<Self::Stop>,
    ) -> impl Future<Output = Result<(), StateError>> + Send;

    /// Stores that the job failed, and why.
    fn fail(&self, name: &str, reason: &str) -> impl Future<Output = Result<(), StateError>> + Send;
}

/// Runs the job to its end, or until it is suspended.
pub(in crate::control) async fn run<J: Jobs>(jobs: Arc<J>, name: String, stop: watch::Receiver<J::Stop>) {
    run_again(jobs, name, stop, STATE_PAUSE).await;
}

async fn run_again<J: Jobs>(jobs: Arc<J>, name: String, stop: watch::Receiver<J::Stop>, pause: Duration) {
    let kind = J::KIND.as_str();
    loop {
        let (of_task, asked, heard) = (Arc::clone(&jobs), name.clone(), stop.clone());
        // In a task of its own, so that a fault of ours is the job's failure and not its silence.
        let run = tokio::spawn(async move { of_task.run_once(&asked, heard).await });
        let settled = match run.await {
            Ok(settled) => settled,
            Err(error) => {
                tracing::error!(kind, job = name, %error, "a job's task failed");
                jobs.fail(&name, FAULT).await
            }
        };
        let Err(error) = settled else { return };
        tracing::error!(kind, job = name, %error, "the job's state cannot be had; trying again");
        tokio::time::sleep(pause).await;
        if *stop.borrow() == J::SUSPEND {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use training::Stop;

    use super::*;

    /// What a run does.
    #[derive(Debug, Clone, Copy)]
    enum Run {
        Ends,
        Panics,
        /// The state cannot be had.
        Errs,
    }

    /// Jobs whose runs go as they are told, the last one first, and what was done of them.
    struct Told {
        runs: Mutex<Vec<Run>>,
        done: Mutex<Vec<String>>,
    }

    impl Jobs for Told {
        type Stop = Stop;
        const KIND: Kind = Kind::TrainingJob;
        const SUSPEND: Stop = Stop::Suspend;

        async fn run_once(&self, name: &str, _: watch::Receiver<Stop>) -> Result<(), StateError> {
            self.done.lock().expect("no fault").push(format!("run {name}"));
            let run = self.runs.lock().expect("no fault").pop().expect("a run that is expected");
            match run {
                Run::Ends => Ok(()),
                Run::Panics => panic!("as it is told"),
                Run::Errs => Err(StateError::Busy),
            }
        }

        async fn fail(&self, name: &str, reason: &str) -> Result<(), StateError> {
            self.done.lock().expect("no fault").push(format!("fail {name}: {reason}"));
            Ok(())
        }
    }

    async fn check(runs: &[Run], asked: Stop, expected: &[&str]) {
        let runs = Mutex::new(runs.iter().rev().copied().collect());
        let jobs = Arc::new(Told { runs, done: Mutex::default() });
        let (_stop, stopped) = watch::channel(asked);
        run_again(Arc::clone(&jobs), "j".into(), stopped, Duration::ZERO).await;
        assert_eq!(*jobs.done.lock().expect("no fault"), expected);
    }

    #[tokio::test]
    async fn a_job_runs_until_its_end_is_stored() {
        use Run::{Ends, Errs, Panics};
        let failed = "fail j: InternalServerError: the server's log has the reason";
        check(&[Ends], Stop::Run, &["run j"]).await;
        check(&[Ends], Stop::Suspend, &["run j"]).await;
        check(&[Panics], Stop::Run, &["run j", failed]).await;
        check(&[Errs, Errs, Ends], Stop::Run, &["run j", "run j", "run j"]).await;
        check(&[Errs, Panics], Stop::Stop, &["run j", "run j", failed]).await;
        check(&[Errs], Stop::Suspend, &["run j"]).await;
    }
}
