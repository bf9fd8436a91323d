//! What is stored of a run: that it began, how far it has come, and how it ended.

use std::time::{Duration, UNIX_EPOCH};

use training::{Ended, Outcome};
use wire::Timestamp;

use super::state::{Event, FinalMetric, TrainingJobState};
use super::{TrainingJobs, event};
use crate::control::StateError;
use crate::control::jobs::{JobState, state as job};
use crate::control::record::Record;

/// Values of `FinalMetricDataList`. Reason: its shape's limit.
const FINAL_METRICS_MAX: usize = 40;

impl TrainingJobs {
    /// The job of this name.
    pub(super) async fn read(&self, name: &str) -> Result<Option<(Record, TrainingJobState)>, StateError> {
        job::read(&self.control.database, name).await
    }

    /// That `what` happened to the job; its state then, unless it had ended or is gone.
    pub(super) async fn happened(
        &self,
        name: &str,
        what: Event,
    ) -> Result<Option<TrainingJobState>, StateError> {
        let changed = self.change(name, move |state, now| state.apply(what, now)).await?;
        let Some((record, state)) = changed else { return Ok(None) };
        self.control.tell(event::changed(&record, &state)).await;
        Ok(Some(state))
    }

    /// How long the job's programs have run. It is no change that anybody waits for.
    pub(super) async fn ran(&self, name: &str, ran: Duration) -> Result<(), StateError> {
        let ran_ms = millis(ran);
        let name = name.to_owned();
        let changed = self.control.database.transact(move |connection| {
            let found = job::find::<TrainingJobState>(connection, &name)?;
            let Some((mut record, mut state)) = found else { return Ok(()) };
            state.ran_ms = ran_ms;
            let modified = record.modified;
            state.store(connection, &mut record, modified)
        });
        changed.await
    }

    /// That the run ended, and how; `ran_before` is how long programs had run before it.
    pub(super) async fn settle(
        &self,
        name: &str,
        ended: Ended,
        ran_before: Duration,
    ) -> Result<(), StateError> {
        let ran = ended.training_started.and_then(|started| ended.ended.duration_since(started).ok());
        let ran_ms = millis(ran_before + ran.unwrap_or_default());
        let metrics: Vec<_> = ended.metrics.iter().take(FINAL_METRICS_MAX).map(FinalMetric::of).collect();
        if ended.outcome == Outcome::Suspended {
            let suspended = self.change(name, move |state, now| {
                state.ran_ms = ran_ms;
                state.apply(Event::Suspended, now);
            });
            return suspended.await.map(drop);
        }
        let changed = self.change(name, move |state, now| {
            state.ran_ms = ran_ms;
            state.model = ended.model;
            state.metrics = metrics;
            state.apply(Event::Ended(ended.outcome), now);
        });
        self.after(changed.await?).await;
        Ok(())
    }

    /// That the job ended before the engine ran.
    pub(super) async fn ended(&self, name: &str, outcome: Outcome) -> Result<(), StateError> {
        let changed = self.change(name, move |state, now| state.apply(Event::Ended(outcome), now));
        self.after(changed.await?).await;
        Ok(())
    }

    /// What is to be done when a job has ended.
    async fn after(&self, changed: Option<(Record, TrainingJobState)>) {
        let Some((record, state)) = changed else { return };
        tracing::info!(
            job = record.name,
            status = state.status.as_str(),
            reason = state.failure_reason,
            "training job ended"
        );
        self.metrics.trainings.end(state.status.as_str());
        self.control.tell(event::changed(&record, &state)).await;
        let folder = self.folder_of(&state.id);
        crate::rt::blocking(move || super::folders::remove(&folder)).await;
    }

    /// Stores what `change` makes of the state now; `None` when the job is gone, or had ended.
    async fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut TrainingJobState, Timestamp) + Send + 'static,
    ) -> Result<Option<(Record, TrainingJobState)>, StateError> {
        job::change(&self.control.database, name, change).await
    }
}

impl FinalMetric {
    fn of(metric: &training::FinalMetric) -> Self {
        Self { name: metric.name.clone(), value: metric.value, time: Timestamp(metric.at_ms) }
    }
}

/// How a run ended that never came to the engine's own end.
pub(super) fn fault(reason: &str) -> Ended {
    Ended {
        outcome: Outcome::Failed(reason.to_owned()),
        model: None,
        output: None,
        metrics: Vec::new(),
        metrics_refused: 0,
        started: UNIX_EPOCH,
        training_started: None,
        ended: UNIX_EPOCH,
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
