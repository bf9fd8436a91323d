//! The index: which objects, buckets and uploads there are, in one SQLite file. It alone decides what exists; the files beside
//! it are only bytes.
//!
//! A change is durable when its transaction is. What then remains to be done with files stands in the same transaction as
//! chores, so that a start after a crash finishes them.

pub(crate) mod buckets;
pub(crate) mod chores;
pub(crate) mod listing;
pub(crate) mod objects;
pub(crate) mod uploads;

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{Error, Result};

/// Connections that read. Reason: as many as file jobs that can make use of a core at once.
const READERS: usize = 4;

/// SQLite's page cache of a connection, in KiB. Reason: inner pages of an index of a million keys; five of them are 10 MiB.
const CACHE_KIB: i64 = 2048;

/// How long a statement waits for another process's lock. Reason: there is one process a directory; only a person with
/// `sqlite3` holds one, briefly.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// The version of the tables.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE buckets (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL,
    location TEXT NOT NULL);
CREATE TABLE objects (bucket INTEGER NOT NULL, key BLOB NOT NULL, generation INTEGER NOT NULL, size INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL, etag TEXT NOT NULL, details TEXT NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE uploads (id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, created_ms INTEGER NOT NULL,
    details TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX uploads_by_key ON uploads (bucket, key, id);
CREATE TABLE parts (upload TEXT NOT NULL, number INTEGER NOT NULL, generation INTEGER NOT NULL, size INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL, md5 TEXT NOT NULL, checksums TEXT NOT NULL, PRIMARY KEY (upload, number)) WITHOUT ROWID;
CREATE TABLE chores (generation INTEGER NOT NULL, is_removal INTEGER NOT NULL, bucket TEXT NOT NULL, key BLOB NOT NULL,
    PRIMARY KEY (generation, is_removal)) WITHOUT ROWID;
CREATE TABLE counter (generation INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
";

/// The index.
#[derive(Debug)]
pub(crate) struct Index {
    writer: Mutex<Connection>,
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
    next_generation: AtomicU64,
    done: Mutex<Vec<(u64, bool)>>,
}

impl Index {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let writer = Connection::open(path)?;
        writer.busy_timeout(BUSY_WAIT)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        // FULL: a commit is on the disk before it is answered.
        writer.pragma_update(None, "synchronous", "FULL")?;
        writer.pragma_update(None, "cache_size", -CACHE_KIB)?;
        match writer.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? {
            0 => {
                writer.execute_batch(&format!("BEGIN;{TABLES}PRAGMA user_version = {VERSION};COMMIT"))?;
            }
            VERSION => {}
            found => {
                let expected = "an index of version 1";
                return Err(Error::Argument { name: "index.sqlite", expected, found: found.to_string() });
            }
        }
        let last: i64 = writer.query_row("SELECT generation FROM counter", [], |row| row.get(0))?;
        let reader = || -> Result<_> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let reader = Connection::open_with_flags(path, flags)?;
            reader.busy_timeout(BUSY_WAIT)?;
            reader.pragma_update(None, "cache_size", -CACHE_KIB)?;
            Ok(Mutex::new(reader))
        };
        Ok(Self {
            writer: Mutex::new(writer),
            readers: (0..READERS).map(|_| reader()).collect::<Result<_>>()?,
            next_reader: AtomicUsize::new(0),
            next_generation: AtomicU64::new(unsigned(last) + 1),
            done: Mutex::default(),
        })
    }

    /// A number that no version of an object has had.
    pub(crate) fn generation(&self) -> u64 {
        self.next_generation.fetch_add(1, Ordering::Relaxed)
    }

    /// Reads: `work` sees every write that was answered before it began.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed);
        for offset in 0..READERS {
            if let Ok(reader) = self.readers[(turn + offset) % READERS].try_lock() {
                return work(&reader);
            }
        }
        work(&lock(&self.readers[turn % READERS]))
    }

    /// Writes: durable when this returns, undone when `work` fails.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut writer = lock(&self.writer);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        let done = std::mem::take(&mut *lock(&self.done));
        let last = self.next_generation.load(Ordering::Relaxed) - 1;
        let finished = chores::forget(&transaction, &done)
            .and_then(|()| Ok(transaction.execute("UPDATE counter SET generation = ?1", [signed(last)])?))
            .and_then(|_| Ok(transaction.commit()?));
        if let Err(error) = finished {
            // They stay chores, to be done again: doing one twice changes nothing.
            lock(&self.done).extend(done);
            return Err(error);
        }
        Ok(value)
    }

    /// A chore that is done: the next write forgets it.
    pub(crate) fn done(&self, generation: u64, is_removal: bool) {
        lock(&self.done).push((generation, is_removal));
    }
}

/// SQLite's integers are signed; sizes and generations stay far below their end.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A panic while a lock was held left no half change behind: transactions undo themselves.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
