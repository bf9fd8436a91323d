//! What became of a transform.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::progress::{Failure, Progress};

/// Failures that a summary keeps. Reason: a person reads the first few; the rest is in the log.
pub const FAILURES_KEPT: usize = 100;

/// How a transform ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Every object has its output.
    Completed,
    /// Some have none.
    Failed,
    /// It was stopped.
    Stopped,
}

/// What became of a transform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed, if it did: whose fault it is, a colon, and what to do.
    pub reason: Option<String>,
    /// The first failures, at most [`FAILURES_KEPT`]; all went to the listener.
    pub failures: Vec<Failure>,
    /// What was counted.
    pub counts: Counts,
    /// When it began.
    pub started: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
}

/// The counters of a transform at one time. See [`Progress`].
#[expect(missing_docs, reason = "they are told of where they are counted")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub objects_found: u64,
    pub bytes_found: u64,
    pub objects_done: u64,
    pub objects_skipped: u64,
    pub objects_failed: u64,
    pub records: u64,
    pub records_refused: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub calls: u64,
    pub retries: u64,
}

impl From<&Progress> for Counts {
    fn from(progress: &Progress) -> Self {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            objects_found: count(&progress.objects_found),
            bytes_found: count(&progress.bytes_found),
            objects_done: count(&progress.objects_done),
            objects_skipped: count(&progress.objects_skipped),
            objects_failed: count(&progress.objects_failed),
            records: count(&progress.records),
            records_refused: count(&progress.records_refused),
            bytes_read: count(&progress.bytes_read),
            bytes_written: count(&progress.bytes_written),
            calls: count(&progress.calls),
            retries: count(&progress.retries),
        }
    }
}

/// Who is to blame for `failures`, in the form of the API's `FailureReason`; they are all there is, or the first of many.
pub(super) fn reason(failures: &[Failure]) -> String {
    let is_models = failures.iter().any(|failure| failure.status.is_some_and(|status| status >= 500));
    let blamed = if is_models { "AlgorithmError" } else { "ClientError" };
    format!("{blamed}: See job logs for more information")
}
