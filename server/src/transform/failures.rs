//! Who is told what fails: the person at the terminal, in few lines, and a file, of everything.

use std::fs::File;
use std::io::{self, LineWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use transform::{Failure, Listener};

use super::console::Console;

/// Failures that are shown. Reason: a screen; all of them are in the file of --failures.
const SHOWN_MAX: u64 = 20;

/// Tells a person and a file.
pub(super) struct Teller {
    console: Arc<Console>,
    /// A local file, whose lines are as short as a log's: writing one does not hold the pipeline up.
    file: Option<Mutex<LineWriter<File>>>,
    shown: AtomicU64,
}

impl Teller {
    /// Failures go to `file` too, which is made anew.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(console: Arc<Console>, file: Option<&Path>) -> anyhow::Result<Self> {
        let create = |path| File::create(path).with_context(|| format!("--failures {}", Path::display(path)));
        let file = file.map(create).transpose()?.map(|file| Mutex::new(LineWriter::new(file)));
        Ok(Self { console, file, shown: AtomicU64::new(0) })
    }
}

impl Listener for Teller {
    fn started(&self, line: &str) {
        self.console.say(line);
    }

    fn warned(&self, message: &str) {
        self.console.say(&format!("warning: {message}"));
    }

    fn failed(&self, failure: &Failure) {
        let mut line = serde_json::to_vec(failure).expect("a failure has string keys");
        line.push(b'\n');
        if let Err(error) = self.write(&line) {
            tracing::error!(%error, "a failure is not in the file of failures");
        }
        self.show(failure);
    }
}

impl Teller {
    /// Tells of a record of a stream that was refused and put aside: `line`, which has its bytes, goes to the file.
    ///
    /// # Errors
    /// When it cannot be written: the record would be lost.
    pub(super) fn rejected(&self, failure: &Failure, line: &[u8]) -> Result<(), String> {
        self.write(line).map_err(|error| format!("the file of failures: {error}"))?;
        self.show(failure);
        Ok(())
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line)
    }

    fn show(&self, failure: &Failure) {
        let shown = self.shown.fetch_add(1, Ordering::Relaxed);
        if shown < SHOWN_MAX {
            self.console.say(&format!("failed: {}", sentence(failure)));
        } else if shown == SHOWN_MAX {
            self.console.say("more failed; the file of --failures has all of them");
        }
    }
}

/// A failure for people: object, place, what was answered, why.
pub(super) fn sentence(failure: &Failure) -> String {
    use std::fmt::Write;
    let mut text = failure.object.clone();
    if let (Some(record), Some(byte)) = (failure.record, failure.byte) {
        let _ = write!(text, ": record {record} at byte {byte}");
    }
    if let Some(status) = failure.status {
        let _ = write!(text, ": status {status}");
    }
    if failure.attempts > 1 {
        let _ = write!(text, " after {} attempts", failure.attempts);
    }
    let _ = write!(text, ": {}", failure.reason.trim_end());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::transform::ProgressKind;

    fn failure(object: &str) -> Failure {
        let (byte, record, status) = (Some(12), Some(3), Some(400));
        Failure { object: object.into(), byte, record, status, attempts: 2, reason: "no number\n".into() }
    }

    #[test]
    fn a_failure_reads_as_a_sentence() {
        let full = failure("bucket/a.csv");
        assert_eq!(
            sentence(&full),
            "bucket/a.csv: record 3 at byte 12: status 400 after 2 attempts: no number"
        );
        let bare = Failure { byte: None, record: None, status: None, attempts: 1, ..full };
        assert_eq!(sentence(&bare), "bucket/a.csv: no number");
    }

    #[test]
    fn the_file_has_every_failure() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("failures.jsonl");
        let console = Arc::new(Console::start(ProgressKind::None));
        let teller = Teller::new(console, Some(&path)).unwrap();
        let count = SHOWN_MAX as usize + 5;
        (0..count).for_each(|number| teller.failed(&failure(&format!("object-{number}"))));
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<Failure> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read.len(), count);
        assert_eq!(read[count - 1], failure(&format!("object-{}", count - 1)));
    }
}
