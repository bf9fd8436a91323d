//! What is stored of a run: that it began, what it is held to, and how it ended.

use wire::Timestamp;

use super::state::TransformJobState;
use super::{TransformJobs, event};
use crate::control::StateError;
use crate::control::endpoint::PinnedArtifact;
use crate::control::jobs::JobStatus;
use crate::control::record::{self, Kind, Record};
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
        let name = name.to_owned();
        let read = self.control.database.read(move |connection| {
            let found = record::find(connection, Kind::TransformJob, &name)?;
            found.map(|record| record.read().map(|state| (record, state))).transpose()
        });
        read.await
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
        self.tell(event::changed(&record, &state)).await;
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
        let name = name.to_owned();
        let changed = self.control.database.transact(move |connection| {
            let Some(mut record) = record::find(connection, Kind::TransformJob, &name)? else {
                return Ok(None);
            };
            let mut state: TransformJobState = record.read()?;
            if state.status.has_ended() {
                return Ok(None);
            }
            // A clock that is set back must not make a job end before it began.
            let now = Timestamp::now().max(record.modified);
            change(&mut state, now);
            state.store(connection, &mut record, now)?;
            Ok(Some((record, state)))
        });
        changed.await
    }
}
