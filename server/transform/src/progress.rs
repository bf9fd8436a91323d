//! What is counted, what failed, and who is told.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Counters of a transform that runs; read at any time.
#[derive(Debug, Default)]
pub struct Progress {
    /// Objects found so far.
    pub objects_found: AtomicU64,
    /// Bytes of the objects found so far, without those that are skipped.
    pub bytes_found: AtomicU64,
    /// Objects whose output is there, those skipped included.
    pub objects_done: AtomicU64,
    /// Of these, those that an earlier run had done.
    pub objects_skipped: AtomicU64,
    /// Objects that failed.
    pub objects_failed: AtomicU64,
    /// Records answered.
    pub records: AtomicU64,
    /// Records that were refused and replaced or quarantined.
    pub records_refused: AtomicU64,
    /// Bytes read, as they are stored.
    pub bytes_read: AtomicU64,
    /// Bytes written.
    pub bytes_written: AtomicU64,
    /// Calls of the model.
    pub calls: AtomicU64,
    /// Calls that were tried again.
    pub retries: AtomicU64,
}

impl Progress {
    /// Adds to one of its counters.
    pub fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

/// What went wrong with an object or a record of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The object, as `bucket/key` or a path.
    pub object: String,
    /// Where the record starts in the object, unpacked; `None` where no record is to blame.
    pub byte: Option<u64>,
    /// The record, from 1.
    pub record: Option<u64>,
    /// What the model answered (an HTTP status); `None` where it was not the model.
    pub status: Option<u16>,
    /// How often it was tried.
    pub attempts: u32,
    /// What was expected, found, and where.
    pub reason: String,
}

/// Who is told what happens. Called from the pipeline: it must not block.
pub trait Listener: Send + Sync + 'static {
    /// The settings are settled.
    fn started(&self, line: &str) {
        let _ = line;
    }
    /// Something that a person should know.
    fn warned(&self, message: &str) {
        let _ = message;
    }
    /// An object, or a record, failed.
    fn failed(&self, failure: &Failure) {
        let _ = failure;
    }
}
