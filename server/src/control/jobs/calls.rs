//! The calls on jobs that are the same for every kind.

use wire::Timestamp;

use super::JobStatus;
use super::state::{self, JobState};
use crate::control::record::Record;
use crate::control::{ControlError, Database};

/// Stores, by `change`, that the job of this name is to be stopped; `None` when it was before: asked twice is stopped once.
///
/// # Errors
/// `gone` when there is no such job, `ended` when it has ended.
pub(in crate::control) async fn stop<T: JobState>(
    database: &Database,
    name: &str,
    change: fn(&mut T, Timestamp),
    gone: fn(String) -> ControlError,
    ended: fn(&'static str) -> ControlError,
) -> Result<Option<(Record, T)>, ControlError> {
    let name = name.to_owned();
    let stopped = database.transact(move |transaction| {
        let found = state::find::<T>(transaction, &name)?;
        let (mut record, mut state) = found.ok_or_else(|| gone(name))?;
        match state.status() {
            JobStatus::Stopping => return Ok(None),
            status if status.has_ended() => return Err(ended(status.as_str())),
            _ => {}
        }
        let now = state::now(&record);
        change(&mut state, now);
        state.store(transaction, &mut record, now)?;
        Ok(Some((record, state)))
    });
    stopped.await
}
