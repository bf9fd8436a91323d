//! The state file: one SQLite connection that writes and one that reads, each owned by a thread, transactions one after another.
//!
//! A caller hands over a closure and awaits its result; the result comes after the commit, so that what is answered is
//! stored. WAL with full synchronisation: safe against a kill and against a loss of power. A read sees all that was committed
//! when it began, and does not wait for the disk of one who writes.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::rt;

/// Transactions that may wait for each of the two threads. Reason: each takes a millisecond or so; a caller beyond hears that the server is busy.
const WAITING_MAX: usize = 4096;

/// Each entry brings the schema one version further; entries are only ever added.
const MIGRATIONS: &[&str] = &[
    "CREATE TABLE resources (
        kind TEXT NOT NULL,
        name TEXT NOT NULL COLLATE NOCASE,
        arn TEXT NOT NULL,
        created INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        status TEXT NOT NULL DEFAULT '',
        document TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID;
    CREATE INDEX resources_by_time ON resources (kind, created, name);
    CREATE TABLE tags (
        arn TEXT NOT NULL COLLATE NOCASE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (arn, key)
    ) WITHOUT ROWID;",
    super::async_inference::queue::MIGRATION,
    super::autoscaling::activity::MIGRATION,
    super::async_inference::queue::MIGRATION_EXPIRY,
];

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// SQLite's reason.
    #[error("state: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored document that is not what it should be.
    #[error("state: {0}")]
    Document(#[from] serde_json::Error),
    /// The state file was written by a later version.
    #[error("state {path}: expected schema version at most {expected}, found {found}")]
    Version {
        /// The file.
        path: PathBuf,
        /// What this program knows.
        expected: usize,
        /// What it holds.
        found: usize,
    },
    /// The thread could not be started, or the directory not be made.
    #[error("state: {0}")]
    Io(#[from] std::io::Error),
    /// Too many transactions wait, or the writer has ended.
    #[error("state: expected fewer than {WAITING_MAX} waiting transactions, found more")]
    Busy,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The state file; clones share it.
#[derive(Debug, Clone)]
pub struct Database {
    writer: SyncSender<Job>,
    reader: SyncSender<Job>,
}

impl Database {
    /// Opens or creates the state file at `path`, and brings its schema up to date.
    ///
    /// # Errors
    /// When it cannot be opened, or is of a later version.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let mut connection = Connection::open(path)?;
        prepare(&mut connection, path)?;
        let reader = Connection::open_with_flags(path, OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self { writer: own("state", connection)?, reader: own("state-reads", reader)? })
    }

    /// A database in memory, for tests: its one connection also reads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn in_memory() -> Result<Self, StateError> {
        let mut connection = Connection::open_in_memory()?;
        prepare(&mut connection, Path::new(":memory:"))?;
        let writer = own("state", connection)?;
        Ok(Self { reader: writer.clone(), writer })
    }

    /// Runs `work` in a transaction of its own: committed when it returns `Ok`, rolled back otherwise. The answer comes
    /// after the commit.
    ///
    /// # Errors
    /// Those of `work`, and when the commit fails.
    pub async fn transact<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StateError> + Send + 'static,
    {
        run(&self.writer, TransactionBehavior::Immediate, work).await
    }

    /// Runs `work` on one state of the file, which it must not change.
    ///
    /// # Errors
    /// Those of `work`, and SQLite's when it writes.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StateError> + Send + 'static,
    {
        run(&self.reader, TransactionBehavior::Deferred, work).await
    }
}

/// The inbox of a new thread that owns `connection`.
fn own(thread: &str, mut connection: Connection) -> Result<SyncSender<Job>, StateError> {
    let (jobs, inbox) = sync_channel::<Job>(WAITING_MAX);
    rt::spawn_thread(thread, move || {
        for job in inbox {
            job(&mut connection);
        }
    })?;
    Ok(jobs)
}

/// Has the thread behind `jobs` run `work`.
async fn run<T, E>(
    jobs: &SyncSender<Job>,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StateError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        // A caller that left is no reason to stop: the work may matter to others.
        let _ = reply.send(in_transaction(connection, behavior, work));
    });
    match jobs.try_send(job) {
        Ok(()) => answer.await.unwrap_or_else(|_| Err(StateError::Busy.into())),
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(StateError::Busy.into()),
    }
}

fn in_transaction<T, E: From<StateError>>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let sqlite = |error| E::from(StateError::Sqlite(error));
    let transaction = connection.transaction_with_behavior(behavior).map_err(sqlite)?;
    let value = work(&transaction)?;
    transaction.commit().map_err(sqlite)?;
    Ok(value)
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StateError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    let expected = MIGRATIONS.len();
    if found > expected {
        return Err(StateError::Version { path: path.to_owned(), expected, found });
    }
    for (version, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", version as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn count(transaction: &Transaction<'_>) -> Result<i64, StateError> {
        Ok(transaction.query_row("SELECT count(*) FROM tags", [], |row| row.get(0))?)
    }

    fn insert(transaction: &Transaction<'_>) -> Result<(), StateError> {
        transaction.execute("INSERT INTO tags VALUES (hex(randomblob(8)), 'k', 'v')", [])?;
        Ok(())
    }

    #[tokio::test]
    async fn a_read_waits_for_no_writer_and_sees_what_is_answered() {
        let data = tempfile::tempdir().unwrap();
        let database = Database::open(&data.path().join("state.sqlite")).unwrap();
        database.transact(insert).await.unwrap();
        assert_eq!(database.read(count).await.unwrap(), 1);
        let (go_on, may_go_on) = channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let writing = database.transact(move |transaction| {
            insert(transaction)?;
            begun.send(()).expect("the test waits");
            may_go_on.recv().expect("the test goes on");
            Ok::<_, StateError>(())
        });
        let reading = async {
            has_begun.await.unwrap();
            let found = database.read(count).await.unwrap();
            go_on.send(()).unwrap();
            found
        };
        let (written, found) = tokio::join!(writing, reading);
        written.unwrap();
        assert_eq!(found, 1, "what is not committed is not seen");
        assert_eq!(database.read(count).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_read_cannot_write() {
        let data = tempfile::tempdir().unwrap();
        let database = Database::open(&data.path().join("state.sqlite")).unwrap();
        let error = database.read(insert).await.expect_err("it writes").to_string();
        assert!(error.contains("readonly"), "{error}");
        assert_eq!(database.read(count).await.unwrap(), 0);
    }
}
