//! What is stored of a run: that it began, what it is held to, and how it ended.

use wire::Timestamp;

use super::state::TransformJobState;
use super::{TransformJobs, event};
use crate::control::StateError;
use crate::control::endpoint::PinnedArtifact;
use crate::control::jobs::{JobStatus, state as job};
use crate::control::record::Record;
use crate::control::worker::shortened;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// Every object has its output.
    Completed,
    /// Why not.
    Failed(String),
    /// It was stopped.
    Stopped,
}

impl TransformJobs {
    /// The job of this name.
    pub(super) async fn read(&self, name: &str) -> Result<Option<(Record, TransformJobState)>, StateError> {
        job::read(&self.control.database, name).await
    }

    /// That the job began, unless it had before; when it did.
    pub(super) async fn began(&self, name: &str) -> Result<Timestamp, StateError> {
        let changed = self.change(name, |state, now| state.started = Some(state.started.unwrap_or(now)));
        Ok(changed.await?.and_then(|(_, state)| state.started).unwrap_or_else(Timestamp::now))
    }

    /// That the job is held to this artifact from now on.
    pub(super) async fn pinned(&self, name: &str, pin: PinnedArtifact) -> Result<(), StateError> {
        self.change(name, move |state, _| state.artifact = Some(pin)).await.map(drop)
    }

    /// That the job ended, and how; and what is of no more use then.
    pub(super) async fn ended(&self, name: &str, ended: Ended) -> Result<(), StateError> {
        let changed = self.change(name, move |state, now| {
            // Who was told that it stops sees it stopped, whatever came first.
            let ended = if state.status == JobStatus::Stopping { Ended::Stopped } else { ended };
            (state.status, state.failure_reason) = match ended {
                Ended::Completed => (JobStatus::Completed, None),
                Ended::Failed(reason) => (JobStatus::Failed, Some(shortened(reason))),
                Ended::Stopped => (JobStatus::Stopped, None),
            };
            state.ended = Some(now);
        });
        let Some((record, state)) = changed.await? else { return Ok(()) };
        self.metrics.transforms.end(state.status.as_str());
        self.control.tell(event::changed(&record, &state)).await;
        let journal = self.journal(&state.id);
        let removed = crate::rt::blocking(move || std::fs::remove_file(&journal)).await;
        if let Err(error) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(job = name, %error, "a journal cannot be removed; the next start does");
        }
        self.control.sweep().await;
        Ok(())
    }

    /// Stores what `change` makes of the state now; `None` when the job is gone, or had ended.
    async fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut TransformJobState, Timestamp) + Send + 'static,
    ) -> Result<Option<(Record, TransformJobState)>, StateError> {
        job::change(&self.control.database, name, change).await
    }
}
