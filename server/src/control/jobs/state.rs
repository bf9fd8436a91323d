//! What is stored of a job, whatever its kind: a record whose document is its state, changed in one transaction as long as it has
//! not ended.

use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::Timestamp;

use super::JobStatus;
use crate::control::record::{self, Kind, Record};
use crate::control::{Database, StateError};

/// The state of a job: the document of its record.
pub trait JobState: Serialize + DeserializeOwned + Send + 'static {
    /// Of which records.
    const KIND: Kind;

    /// Where the job stands.
    fn status(&self) -> JobStatus;

    /// The record of this state, named `name`, made at `now`.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    fn record(&self, name: String, arn: String, now: Timestamp) -> Result<Record, StateError> {
        let status = self.status().as_str().to_owned();
        Ok(Record { name, arn, created: now, modified: now, status, document: record::document(self)? })
    }

    /// Stores this as the state of `record`, changed at `now`.
    ///
    /// # Errors
    /// When the state cannot be written.
    fn store(&self, connection: &Connection, record: &mut Record, now: Timestamp) -> Result<(), StateError> {
        self.status().as_str().clone_into(&mut record.status);
        record.modified = now;
        record.document = record::document(self)?;
        record::update(connection, Self::KIND, record).map(drop)
    }
}

/// Now, as it is stored of a change of `record`: a clock that is set back must not make a job end before it began.
pub(in crate::control) fn now(record: &Record) -> Timestamp {
    Timestamp::now().max(record.modified)
}

/// The job of this name.
pub(in crate::control) fn find<T: JobState>(
    connection: &Connection,
    name: &str,
) -> Result<Option<(Record, T)>, StateError> {
    let found = record::find(connection, T::KIND, name)?;
    found.map(|record| record.read().map(|state| (record, state))).transpose()
}

/// The jobs that have not ended, oldest first. The others, of which there may be thousands, are not looked at.
pub(in crate::control) fn open<T: JobState>(connection: &Connection) -> Result<Vec<(String, T)>, StateError> {
    let statuses = JobStatus::ALL.into_iter().filter(|status| !status.has_ended());
    let statuses: Vec<_> = statuses.map(JobStatus::as_str).collect();
    let open = record::of_statuses(connection, T::KIND, &statuses)?;
    open.into_iter().map(|record| record.read().map(|state| (record.name, state))).collect()
}

/// The job of this name, as it is now.
pub(in crate::control) async fn read<T: JobState>(
    database: &Database,
    name: &str,
) -> Result<Option<(Record, T)>, StateError> {
    let name = name.to_owned();
    database.read(move |connection| find(connection, &name)).await
}

/// Stores what `change` makes of the state now; `None` when the job is gone, or had ended.
pub(in crate::control) async fn change<T: JobState>(
    database: &Database,
    name: &str,
    change: impl FnOnce(&mut T, Timestamp) + Send + 'static,
) -> Result<Option<(Record, T)>, StateError> {
    let name = name.to_owned();
    let changed = database.transact(move |connection| {
        let Some((mut record, mut state)) = find::<T>(connection, &name)? else { return Ok(None) };
        if state.status().has_ended() {
            return Ok(None);
        }
        let now = now(&record);
        change(&mut state, now);
        state.store(connection, &mut record, now)?;
        Ok(Some((record, state)))
    });
    changed.await
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct State {
        status: JobStatus,
        at: Timestamp,
    }

    impl JobState for State {
        const KIND: Kind = Kind::TrainingJob;

        fn status(&self) -> JobStatus {
            self.status
        }
    }

    /// Stores a job of this name and status, made at `created`.
    async fn store(database: &Database, name: &'static str, status: JobStatus, created: Timestamp) {
        let record = State { status, at: created }.record(name.into(), format!("arn:{name}"), created);
        let record = record.expect("JSON");
        let stored =
            database.transact(move |connection| record::insert(connection, Kind::TrainingJob, &record));
        assert!(stored.await.expect("a database"), "{name}");
    }

    #[tokio::test]
    async fn what_has_ended_is_not_changed() {
        let database = Database::in_memory().expect("a database");
        for status in JobStatus::ALL {
            store(&database, status.as_str(), status, Timestamp(1)).await;
            let changed = change(&database, status.as_str(), |state: &mut State, now| {
                (state.status, state.at) = (JobStatus::Failed, now);
            });
            let changed = changed.await.expect("a database");
            assert_eq!(changed.is_none(), status.has_ended(), "{status:?}");
            let (record, state) =
                read::<State>(&database, status.as_str()).await.expect("a database").expect("it");
            let expected = if status.has_ended() { status } else { JobStatus::Failed };
            assert_eq!((state.status, record.status.as_str()), (expected, expected.as_str()));
            assert_eq!(record.modified, state.at, "{status:?}");
        }
        let gone = change(&database, "gone", |state: &mut State, _| state.status = JobStatus::Failed);
        assert!(gone.await.expect("a database").is_none());
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_is_not_followed() {
        let database = Database::in_memory().expect("a database");
        let later = Timestamp(Timestamp::now().0 + 3_600_000);
        store(&database, "j", JobStatus::InProgress, later).await;
        let changed = change(&database, "j", |state: &mut State, now| state.at = now).await;
        let (record, state) = changed.expect("a database").expect("it goes on");
        assert_eq!((record.modified, state.at), (later, later));
    }

    #[tokio::test]
    async fn open_jobs_are_those_that_have_not_ended() {
        let database = Database::in_memory().expect("a database");
        for (created, status) in (0..).zip(JobStatus::ALL.into_iter().rev()) {
            store(&database, status.as_str(), status, Timestamp(created)).await;
        }
        let found = database.read(|connection| open::<State>(connection)).await.expect("a database");
        let names: Vec<_> = found.iter().map(|(name, state)| (name.as_str(), state.status)).collect();
        assert_eq!(names, [("Stopping", JobStatus::Stopping), ("InProgress", JobStatus::InProgress)]);
    }
}
