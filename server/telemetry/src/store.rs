//! The telemetry file: one SQLite connection behind a lock. Calls wait for it and for the disk, so whoever serves
//! requests calls from a thread that may block.
//!
//! WAL without a synchronisation for each commit: a loss of power may take the last seconds, never the file's
//! consistency; a killed process takes nothing that was committed.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Each entry brings the schema one version further; entries are only ever added.
const MIGRATIONS: &[&str] = &["CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        dimensions TEXT NOT NULL,
        unit TEXT NOT NULL,
        last INTEGER NOT NULL,
        UNIQUE (namespace, name, dimensions, unit)
    );
    CREATE TABLE points (
        series INTEGER NOT NULL,
        level INTEGER NOT NULL,
        start INTEGER NOT NULL,
        count REAL NOT NULL,
        sum REAL NOT NULL,
        min REAL NOT NULL,
        max REAL NOT NULL,
        buckets BLOB,
        PRIMARY KEY (series, level, start)
    ) WITHOUT ROWID;
    CREATE TABLE marks (level INTEGER PRIMARY KEY, until INTEGER NOT NULL);
    CREATE TABLE log_groups (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created INTEGER NOT NULL,
        retention_days INTEGER,
        bytes INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE log_streams (
        id INTEGER PRIMARY KEY,
        log_group INTEGER NOT NULL,
        name TEXT NOT NULL,
        created INTEGER NOT NULL,
        first_event INTEGER,
        last_event INTEGER,
        last_ingestion INTEGER,
        bytes INTEGER NOT NULL DEFAULT 0,
        UNIQUE (log_group, name)
    );
    CREATE TABLE log_events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        stream INTEGER NOT NULL,
        time INTEGER NOT NULL,
        ingested INTEGER NOT NULL,
        message TEXT NOT NULL
    );
    CREATE INDEX log_events_by_time ON log_events (stream, time, id);"];

/// How long a call waits for another process's lock. Reason: only a tool that looks into the file holds one, shortly.
const BUSY_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// Why telemetry could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// SQLite's reason.
    #[error("telemetry: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file was written by a later version.
    #[error("telemetry: expected schema version at most {expected}, found {found}")]
    Version {
        /// What this program knows.
        expected: usize,
        /// What it holds.
        found: usize,
    },
    /// No such log group.
    #[error("The specified log group does not exist.")]
    NoGroup,
    /// No such log stream.
    #[error("The specified log stream does not exist.")]
    NoStream,
    /// The log group is there already.
    #[error("The specified log group already exists")]
    GroupExists,
    /// The log stream is there already.
    #[error("The specified log stream already exists")]
    StreamExists,
    /// A token that this list did not give.
    #[error("The specified nextToken is invalid.")]
    Token,
    /// A limit of ours.
    #[error("telemetry: expected at most {limit} {of}, found more")]
    Full {
        /// The limit.
        limit: usize,
        /// Of what.
        of: &'static str,
    },
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Store(Mutex<Connection>);

impl Store {
    /// Opens or creates the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, TelemetryError> {
        Self::prepare(Connection::open(path)?)
    }

    /// In memory, for tests.
    pub(crate) fn in_memory() -> Result<Self, TelemetryError> {
        Self::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Self, TelemetryError> {
        connection.busy_timeout(BUSY_WAIT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.set_prepared_statement_cache_capacity(64);
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let found = usize::try_from(found).unwrap_or(usize::MAX);
        let expected = MIGRATIONS.len();
        if found > expected {
            return Err(TelemetryError::Version { expected, found });
        }
        for (version, migration) in MIGRATIONS.iter().enumerate().skip(found) {
            let transaction = connection.transaction()?;
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", version as i64 + 1)?;
            transaction.commit()?;
        }
        Ok(Self(Mutex::new(connection)))
    }

    /// Runs `work` in a transaction: committed when it returns `Ok`.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, TelemetryError>,
    ) -> Result<T, TelemetryError> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Runs `work` on one state of the file.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, TelemetryError>,
    ) -> Result<T, TelemetryError> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction()?;
        work(&transaction)
    }
}
