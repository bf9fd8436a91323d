//! The durable calls on training jobs: each is one transaction; then the job's task is started, or told.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Map, Value};
use training::Stop;
use wire::{Scope, Timestamp};

use super::request::TrainingRequest;
use super::state::{Event, TrainingJobState};
use super::{TrainingJobs, event};
use crate::control::jobs::{JobState, JobStatus, calls, state as job};
use crate::control::record::{self, Kind, Record};
use crate::control::tags::{self, Tags};
use crate::control::{ControlError, ids};

/// Training jobs that are kept, ended ones included. Reason: a list of all of them is a hundred pages. None is forgotten by
/// itself, since its name stays taken: `DeleteTrainingJob` makes room.
const JOBS_MAX: usize = 10_000;

/// What may be changed of a job that runs: it is stored and echoed, as at creation.
const UPDATABLE: [&str; 3] = ["ProfilerConfig", "ProfilerRuleConfigurations", "RemoteDebugConfig"];

impl TrainingJobs {
    /// Stores a new job and begins to run it, when it is its turn; its ARN. `request` has its shape.
    ///
    /// # Errors
    /// When the name is taken, or what is asked is not served or contradicts itself.
    pub async fn create(
        self: &Arc<Self>,
        scope: &Scope,
        mut request: Map<String, Value>,
    ) -> Result<String, ControlError> {
        let tags = Tags::parse(request.remove("Tags").as_ref())?;
        let parsed = TrainingRequest::parse(&request)?;
        self.executors.admit(&parsed.wanted)?;
        let name = request.get("TrainingJobName").and_then(Value::as_str).unwrap_or_default().to_owned();
        let arn = scope.sagemaker(Kind::TrainingJob.as_str(), &name).0;
        let notice = TrainingRequest::notice(&request);
        let now = Timestamp::now();
        let state = TrainingJobState::new(ids::uuid(), request, notice.as_deref(), now);
        let record = state.record(name.clone(), arn.clone(), now)?;
        let id = state.id.clone();
        let stored = self.control.database.transact(move |transaction| {
            insert(transaction, &record, &tags)?;
            Ok::<_, ControlError>(record)
        });
        let record = stored.await?;
        self.control.tell(event::changed(&record, &state)).await;
        self.begin(name, id, Stop::Run);
        Ok(arn)
    }

    /// Stores that the job is to be stopped, and stops it.
    ///
    /// # Errors
    /// When there is no such job, or it has ended.
    pub async fn stop(&self, name: &str) -> Result<(), ControlError> {
        let stopped = calls::stop(
            &self.control.database,
            name,
            |state: &mut TrainingJobState, now| state.apply(Event::StopAsked, now),
            ControlError::NoTrainingJob,
            ControlError::TrainingJobStatus,
        );
        if let Some((record, state)) = stopped.await? {
            self.control.tell(event::changed(&record, &state)).await;
            self.tasks.signal(&state.id, Stop::Stop);
        }
        Ok(())
    }

    /// Forgets a job that has ended, whose name is free then. What it wrote stays.
    ///
    /// # Errors
    /// When there is no such job, or it has not ended.
    pub async fn delete(&self, name: &str) -> Result<(), ControlError> {
        let asked = name.to_owned();
        let deleted = self.control.database.transact(move |transaction| {
            let (record, state) = found(transaction, &asked)?;
            if !state.status.has_ended() {
                return Err(ControlError::TrainingJobStatus(state.status.as_str()));
            }
            record::remove(transaction, Kind::TrainingJob, &record.name)?;
            Ok(())
        });
        deleted.await
    }

    /// Stores other profiling and debugging members of a job that runs; its ARN. They are echoed, and nothing else.
    ///
    /// # Errors
    /// When there is no such job, it does not run, or more is asked.
    pub async fn update(&self, name: &str, mut request: Map<String, Value>) -> Result<String, ControlError> {
        if request.contains_key("ResourceConfig") {
            return Err(ControlError::Refused(
                "ResourceConfig: expected none, as there are no warm pools here, found one".to_owned(),
            ));
        }
        request.retain(|member, _| UPDATABLE.contains(&member.as_str()));
        let asked = name.to_owned();
        let updated = self.control.database.transact(move |transaction| {
            let (mut record, mut state) = found(transaction, &asked)?;
            if state.status != JobStatus::InProgress {
                return Err(ControlError::TrainingJobStatus(state.status.as_str()));
            }
            state.request.extend(request);
            let now = job::now(&record);
            state.store(transaction, &mut record, now)?;
            Ok(record.arn)
        });
        updated.await
    }
}

fn found(connection: &Connection, name: &str) -> Result<(Record, TrainingJobState), ControlError> {
    let found = job::find(connection, name)?;
    found.ok_or_else(|| ControlError::NoTrainingJob(name.to_owned()))
}

fn insert(connection: &Connection, record: &Record, tags: &Tags) -> Result<(), ControlError> {
    if let Some(taken) = record::find(connection, Kind::TrainingJob, &record.name)? {
        return Err(ControlError::TrainingJobTaken(taken.arn));
    }
    if record::count(connection, Kind::TrainingJob)? >= JOBS_MAX {
        return Err(ControlError::Limit(format!(
            "expected at most {JOBS_MAX} training jobs, ended ones included, found one more: DeleteTrainingJob makes room"
        )));
    }
    record::insert(connection, Kind::TrainingJob, record)?;
    tags::put(connection, &record.arn, tags)?;
    Ok(())
}
