//! The durable calls on transform jobs: each is one transaction; then the job's task is started, or told.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Map, Value};
use transform::job::Stop;
use wire::{Scope, Timestamp};

use super::model::Servable;
use super::request::TransformRequest;
use super::state::TransformJobState;
use super::{TransformJobs, event};
use crate::control::jobs::{JobState, JobStatus, calls};
use crate::control::record::{self, Kind};
use crate::control::tags::{self, Tags};
use crate::control::{ControlError, StateError, ids};

/// Transform jobs that are kept, ended ones included. Reason: no operation deletes one; beyond this the oldest that has ended is
/// forgotten for each new one. A list of all of them is a hundred pages.
const JOBS_MAX: usize = 10_000;

impl TransformJobs {
    /// Stores a new job and begins to run it, when it is its turn; its ARN. `request` has its shape.
    ///
    /// # Errors
    /// When the name is taken, the model does not exist or is not served, or what is asked contradicts itself.
    pub async fn create(
        self: &Arc<Self>,
        scope: &Scope,
        mut request: Map<String, Value>,
    ) -> Result<String, ControlError> {
        let tags = Tags::parse(request.remove("Tags").as_ref())?;
        let now = Timestamp::now();
        let parsed = TransformRequest::parse(&request, now)?;
        // What could not be done with records is refused now.
        parsed.resolve(self.batch.workers())?;
        let name = request.get("TransformJobName").and_then(Value::as_str).unwrap_or_default().to_owned();
        let arn = scope.sagemaker(Kind::TransformJob.as_str(), &name).0;
        let new =
            NewJob { name: name.clone(), arn: arn.clone(), model_name: parsed.model_name, request, tags };
        let stored = self.control.database.transact(move |transaction| insert(transaction, new, now)).await?;
        let (record, state) = stored;
        self.control.tell(event::changed(&record, &state)).await;
        self.begin(name, state.id);
        Ok(arn)
    }

    /// Stores that the job is to be stopped, and stops it. What is finished stays.
    ///
    /// # Errors
    /// When there is no such job, or it has ended.
    pub async fn stop(&self, name: &str) -> Result<(), ControlError> {
        let stopped = calls::stop(
            &self.control.database,
            name,
            |state: &mut TransformJobState, _| state.status = JobStatus::Stopping,
            ControlError::NoTransformJob,
            ControlError::TransformJobEnded,
        );
        if let Some((record, state)) = stopped.await? {
            self.control.tell(event::changed(&record, &state)).await;
            self.tasks.signal(&state.id, Stop::Abort);
        }
        Ok(())
    }
}

/// What is stored of a call.
struct NewJob {
    name: String,
    arn: String,
    model_name: String,
    request: Map<String, Value>,
    tags: Tags,
}

fn insert(
    connection: &Connection,
    new: NewJob,
    now: Timestamp,
) -> Result<(record::Record, TransformJobState), ControlError> {
    if let Some(taken) = record::find(connection, Kind::TransformJob, &new.name)? {
        return Err(ControlError::TransformJobTaken(taken.arn));
    }
    let model = record::find(connection, Kind::Model, &new.model_name)?;
    let model = model.ok_or(ControlError::NoModel(new.model_name))?;
    let state = TransformJobState::new(ids::uuid(), new.request, Value::Object(model.document));
    // What can never run is refused, instead of made to fail.
    Servable::of(&state)
        .map_err(|reason| ControlError::Refused(format!("model {:?}: {reason}", model.name)))?;
    make_room(connection)?;
    let record = state.record(new.name, new.arn, now)?;
    record::insert(connection, Kind::TransformJob, &record)?;
    tags::put(connection, &record.arn, &new.tags)?;
    Ok((record, state))
}

/// Forgets the oldest job that has ended, when there are as many as are kept.
fn make_room(connection: &Connection) -> Result<(), ControlError> {
    if record::count(connection, Kind::TransformJob)? < JOBS_MAX {
        return Ok(());
    }
    let oldest = oldest_ended(connection)?;
    let oldest = oldest.ok_or_else(|| {
        ControlError::Limit(format!(
            "expected at most {JOBS_MAX} transform jobs that have not ended, found one more"
        ))
    })?;
    record::remove(connection, Kind::TransformJob, &oldest)?;
    Ok(())
}

fn oldest_ended(connection: &Connection) -> Result<Option<String>, StateError> {
    let ended = JobStatus::ALL.into_iter().filter(|status| status.has_ended());
    let mut oldest: Option<record::Record> = None;
    for status in ended {
        let filter = record::ListFilter {
            is_ascending: true,
            status_equals: Some(status.as_str().to_owned()),
            limit: 1,
            ..record::ListFilter::default()
        };
        for found in record::list(connection, Kind::TransformJob, &filter)?.records {
            if oldest.as_ref().is_none_or(|oldest| found.created < oldest.created) {
                oldest = Some(found);
            }
        }
    }
    Ok(oldest.map(|record| record.name))
}
