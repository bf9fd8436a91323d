//! The logs of a transform job, in the group of all of them: a stream as a container would write it, and one of what became of
//! objects, in the form that tools look for.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use transform::{Failure, Listener};
use wire::Timestamp;

use crate::control::hosting::Hosting;
use crate::control::instance;
use crate::control::record::Record;

/// The log group of all transform jobs.
const GROUP: &str = "/aws/sagemaker/TransformJobs";

/// Failures that are told of in a job's log. Reason: a job that replaces refused records may refuse millions; a person reads the
/// first, and tools read the lines of quarantined records beside the outputs.
const FAILURES_MAX: usize = 10_000;

/// The most of a model's message that is shown. Reason: what an endpoint answers is a line; a model may echo a payload.
const MESSAGE_CHARS_MAX: usize = 1024;

/// Where a job logs.
pub(super) struct JobLog {
    hosting: Arc<Hosting>,
    /// `<job>/<instance>`.
    host: String,
    /// The stream of the model; the platform's own is below it.
    stream: String,
    failures: AtomicUsize,
}

impl JobLog {
    /// Of the job of `record`: the same after a restart.
    pub(super) fn new(hosting: Arc<Hosting>, record: &Record) -> Self {
        let host = format!("{}/{}", record.name, instance::id(&record.name, record.created.0, "transform"));
        let stream = format!("{host}-{}", record.created.0 / 1000);
        Self { hosting, host, stream, failures: AtomicUsize::new(0) }
    }

    /// `<job>/<instance>`.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// A line of the model's stream.
    pub(super) fn say(&self, message: &str) {
        tracing::info!(host = self.host, "{message}");
        self.hosting.journal.log_line(GROUP.to_owned(), self.stream.clone(), message.to_owned());
    }

    /// A line of the platform's stream.
    fn tell(&self, message: &str) {
        let line =
            format!("{}:[sagemaker logs]: {message}", Timestamp::now().format("%Y-%m-%dT%H:%M:%S.%3f"));
        self.hosting.journal.log_line(GROUP.to_owned(), format!("{}/data-log", self.stream), line);
    }
}

impl Listener for JobLog {
    fn started(&self, line: &str) {
        self.tell(line);
    }

    fn warned(&self, message: &str) {
        tracing::warn!(host = self.host, "{message}");
        self.tell(message);
    }

    fn failed(&self, failure: &Failure) {
        match self.failures.fetch_add(1, Ordering::Relaxed) {
            before if before < FAILURES_MAX => lines(failure).iter().for_each(|line| self.tell(line)),
            FAILURES_MAX => self.tell(&format!(
                "expected at most {FAILURES_MAX} failures, found more: the rest is not logged"
            )),
            _ => {}
        }
    }
}

/// What is said of a failure: what was answered, what it said, and whose fault it is.
fn lines(failure: &Failure) -> Vec<String> {
    let Failure { object, status, .. } = failure;
    let place = place(failure);
    let reason = shortened(&failure.reason);
    match status {
        None => vec![format!("{object}: ClientError: {reason}{place}")],
        Some(status) => {
            let blame = if *status >= 500 { "AlgorithmError" } else { "ClientError" };
            vec![
                format!("{object}: Bad HTTP status received from algorithm: {status}{place}"),
                format!("{object}: Message: {reason}"),
                format!("{object}: {blame}: {status}"),
            ]
        }
    }
}

/// Which record, where in the object, and how often it was tried.
fn place(failure: &Failure) -> String {
    let mut parts = Vec::new();
    parts.extend(failure.record.map(|record| format!("record {record}")));
    parts.extend(failure.byte.map(|byte| format!("byte {byte}")));
    if failure.attempts > 1 {
        parts.push(format!("{} attempts", failure.attempts));
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// In one line, within the limit.
fn shortened(message: &str) -> String {
    let mut line = String::new();
    for letter in message.trim_end().chars().take(MESSAGE_CHARS_MAX) {
        if letter.is_control() {
            // A String takes what it is given.
            let _ = write!(line, "{}", letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    if message.trim_end().chars().nth(MESSAGE_CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Option<u16>, record: Option<u64>, attempts: u32, expected: &[&str]) {
        let byte = record.map(|record| record * 10);
        let reason = "no\nnumber\n".to_owned();
        assert_eq!(
            lines(&Failure { object: "b/k".into(), byte, record, status, attempts, reason }),
            expected
        );
    }

    #[test]
    fn a_failure_is_told_in_the_form_that_tools_look_for() {
        check(None, None, 1, &[r"b/k: ClientError: no\nnumber"]);
        check(None, Some(3), 1, &[r"b/k: ClientError: no\nnumber (record 3, byte 30)"]);
        let refused = [
            "b/k: Bad HTTP status received from algorithm: 413",
            r"b/k: Message: no\nnumber",
            "b/k: ClientError: 413",
        ];
        check(Some(413), None, 1, &refused);
        let broken = [
            "b/k: Bad HTTP status received from algorithm: 500 (record 7, byte 70, 4 attempts)",
            r"b/k: Message: no\nnumber",
            "b/k: AlgorithmError: 500",
        ];
        check(Some(500), Some(7), 4, &broken);
    }

    #[test]
    fn a_long_message_is_cut() {
        assert_eq!(shortened(&"é".repeat(2000)).chars().count(), MESSAGE_CHARS_MAX + 1);
        assert_eq!(shortened("short"), "short");
    }
}
