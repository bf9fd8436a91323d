//! A training job's durable state: what was asked, how far it has come, and what happens to it, as a pure function of what
//! happened and when.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use training::{Outcome, Phase};
use wire::Timestamp;

use super::status::SecondaryStatus;
use crate::control::jobs::{JobState, JobStatus};
use crate::control::record::Kind;
use crate::control::worker::shortened;

/// Changes of the secondary status that are kept. Reason: a job has some seven, and a few more for each restart; the oldest but
/// the first go, so that a document stays small.
const TRANSITIONS_MAX: usize = 100;

/// What the secondary statuses say, where nothing more is known.
const STARTING: &str = "Starting the training job";
const PENDING: &str = "Waiting for other training jobs to end";
const DOWNLOADING: &str = "Downloading input data";
const TRAINING: &str = "Training image download completed. Training in progress.";
const UPLOADING: &str = "Uploading generated training model";
const STOPPING: &str = "Stopping the training job";
const STOPPED: &str = "Training job stopped";
const MAX_RUNTIME_EXCEEDED: &str = "Training job runtime exceeded MaxRuntimeInSeconds";
const COMPLETED: &str = "Training job completed";

/// A training job: the document of a [`Kind::TrainingJob`] record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingJobState {
    /// Tells it apart from every other job: its folder is named by it.
    pub id: String,
    /// Where it stands.
    pub status: JobStatus,
    /// Where it stood when, oldest first; never empty.
    pub transitions: Vec<Transition>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// What `CreateTrainingJob` was given, but for its tags.
    pub request: Map<String, Value>,
    /// How often it was begun, runs that an orderly end of the server cut not counted.
    pub attempts: u32,
    /// How long its programs ran in runs that were cut, and in this one as of the last look.
    pub ran_ms: i64,
    /// When it first began to run.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Where its model is.
    pub model: Option<String>,
    /// The last value of each metric.
    pub metrics: Vec<FinalMetric>,
}

/// A stay in a secondary status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// In which.
    pub status: SecondaryStatus,
    /// From when.
    pub start: Timestamp,
    /// Until when; `None` for the last one while it goes on.
    pub end: Option<Timestamp>,
    /// For people.
    pub message: String,
}

/// The last value of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalMetric {
    /// Of which.
    pub name: String,
    /// The value.
    pub value: f64,
    /// When the line that held it was written.
    pub time: Timestamp,
}

/// Something that happens to a job.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// It is not its turn yet.
    Waits,
    /// It begins to run, the first time or again.
    Begins,
    /// The run is in another phase.
    Phase(Phase),
    /// It was asked to stop.
    StopAsked,
    /// An orderly end of the server cut the run.
    Suspended,
    /// It ended.
    Ended(Outcome),
}

impl JobState for TrainingJobState {
    const KIND: Kind = Kind::TrainingJob;

    fn status(&self) -> JobStatus {
        self.status
    }
}

impl TrainingJobState {
    /// A job that was asked for at `now`; `notice` is what it is told of its request.
    pub fn new(id: String, request: Map<String, Value>, notice: Option<&str>, now: Timestamp) -> Self {
        let message = notice.map_or_else(|| STARTING.to_owned(), |notice| format!("{STARTING}. {notice}"));
        let first = Transition { status: SecondaryStatus::Starting, start: now, end: None, message };
        Self {
            id,
            status: JobStatus::InProgress,
            transitions: vec![first],
            failure_reason: None,
            request,
            attempts: 0,
            ran_ms: 0,
            started: None,
            ended: None,
            model: None,
            metrics: Vec::new(),
        }
    }

    /// `SecondaryStatus`.
    pub fn secondary(&self) -> SecondaryStatus {
        self.transitions.last().map_or(SecondaryStatus::Starting, |last| last.status)
    }

    /// Makes `event` so, at `now`. What has ended stays as it is.
    pub(super) fn apply(&mut self, event: Event, now: Timestamp) {
        if self.status.has_ended() {
            return;
        }
        match event {
            Event::Waits => self.enter(SecondaryStatus::Pending, PENDING.to_owned(), now),
            Event::Begins => self.begin(now),
            Event::Phase(phase) => self.enter_phase(phase, now),
            Event::StopAsked => {
                self.status = JobStatus::Stopping;
                self.transition(SecondaryStatus::Stopping, STOPPING.to_owned(), now);
            }
            Event::Suspended => self.attempts = self.attempts.saturating_sub(1),
            Event::Ended(outcome) => self.end(outcome, now),
        }
    }

    fn begin(&mut self, now: Timestamp) {
        self.attempts = self.attempts.saturating_add(1);
        if self.started.is_some() {
            let message = "Restarting the training job, as the server was restarted".to_owned();
            self.enter(SecondaryStatus::Restarting, message, now);
        } else if self.secondary() == SecondaryStatus::Pending {
            self.enter(SecondaryStatus::Starting, STARTING.to_owned(), now);
        }
        self.started = self.started.or(Some(now));
    }

    fn enter_phase(&mut self, phase: Phase, now: Timestamp) {
        match phase {
            // It is, or it says why it is so again.
            Phase::Starting => {}
            Phase::Downloading => self.enter(SecondaryStatus::Downloading, DOWNLOADING.to_owned(), now),
            Phase::Training => self.enter(SecondaryStatus::Training, TRAINING.to_owned(), now),
            Phase::Uploading => self.enter(SecondaryStatus::Uploading, UPLOADING.to_owned(), now),
        }
    }

    fn end(&mut self, outcome: Outcome, now: Timestamp) {
        // Who was told that it stops sees it stopped, whatever came first.
        let outcome = if self.status == JobStatus::Stopping { Outcome::Stopped } else { outcome };
        let (status, secondary, message) = match outcome {
            Outcome::Completed => (JobStatus::Completed, SecondaryStatus::Completed, COMPLETED.to_owned()),
            Outcome::Failed(reason) => {
                let reason = shortened(reason);
                self.failure_reason = Some(reason.clone());
                (JobStatus::Failed, SecondaryStatus::Failed, reason)
            }
            Outcome::Stopped => (JobStatus::Stopped, SecondaryStatus::Stopped, STOPPED.to_owned()),
            Outcome::MaxRuntimeExceeded => {
                let message = MAX_RUNTIME_EXCEEDED.to_owned();
                (JobStatus::Stopped, SecondaryStatus::MaxRuntimeExceeded, message)
            }
            // It is no end.
            Outcome::Suspended => return,
        };
        self.status = status;
        self.transition(secondary, message, now);
        if let Some(last) = self.transitions.last_mut() {
            last.end = Some(now);
        }
        self.ended = Some(now);
    }

    /// Enters `status`, unless it is stopping: then nothing else is of interest.
    fn enter(&mut self, status: SecondaryStatus, message: String, now: Timestamp) {
        if self.status == JobStatus::InProgress && self.secondary() != status {
            self.transition(status, message, now);
        }
    }

    fn transition(&mut self, status: SecondaryStatus, message: String, now: Timestamp) {
        if let Some(last) = self.transitions.last_mut() {
            last.end = Some(now);
        }
        if self.transitions.len() >= TRANSITIONS_MAX {
            self.transitions.remove(1);
        }
        self.transitions.push(Transition { status, start: now, end: None, message });
    }
}

#[cfg(test)]
mod tests;
