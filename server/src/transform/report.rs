//! What a transform did, for programs: one JSON document; and for people: one line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use transform::{Failure, Outcome, PayloadLimit, Settings, Summary};

/// The report of a transform.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The job's name; `None`: a stream has none.
    pub job: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed, if it did.
    pub reason: Option<String>,
    /// What was asked for.
    pub request: Request,
    /// Objects by what became of them.
    pub objects: Objects,
    /// Records that were answered.
    pub records: u64,
    /// Records that were refused, and replaced or set aside.
    pub refused: u64,
    /// As they are stored.
    pub bytes_read: u64,
    /// Of outputs.
    pub bytes_written: u64,
    /// Calls of the model.
    pub calls: u64,
    /// Calls that were tried again.
    pub retries: u64,
    /// From start to end, without the load of the model.
    pub seconds: f64,
    /// Per second.
    pub records_per_second: f64,
    /// Read, in millions of bytes per second.
    pub mb_per_second: f64,
    /// The first of what failed.
    pub failures: Vec<Failure>,
}

/// What was asked for, resolved.
#[derive(Debug, Serialize)]
pub(super) struct Request {
    pub model: String,
    pub model_digest: String,
    pub input: String,
    pub output: String,
    /// `i/n`.
    pub shard: Option<String>,
    pub content_type: Option<String>,
    pub accept: Option<String>,
    pub compression: String,
    pub split_type: String,
    pub batch_strategy: String,
    /// 0: no limit.
    pub max_payload_bytes: u64,
    pub max_concurrent_transforms: usize,
    pub assemble_with: String,
    pub error_policy: String,
}

impl Request {
    /// Of `settings`; the names are filled in by who knows them.
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            model: String::new(),
            model_digest: String::new(),
            input: String::new(),
            output: String::new(),
            shard: None,
            content_type: settings.content_type.clone(),
            accept: settings.accept.clone(),
            compression: format!("{:?}", settings.compression),
            split_type: match settings.split_type {
                codecs::framing::SplitType::RecordIo => "RecordIO".to_owned(),
                codecs::framing::SplitType::TfRecord => "TFRecord".to_owned(),
                other => format!("{other:?}"),
            },
            batch_strategy: format!("{:?}", settings.strategy),
            max_payload_bytes: match settings.payload_limit {
                PayloadLimit::Bytes(bytes) => bytes as u64,
                PayloadLimit::Endless => 0,
            },
            max_concurrent_transforms: settings.concurrency,
            assemble_with: format!("{:?}", settings.assemble_with),
            error_policy: format!("{:?}", settings.error_policy).to_lowercase(),
        }
    }
}

/// Objects by what became of them.
#[derive(Debug, Serialize)]
pub(super) struct Objects {
    pub found: u64,
    /// With an output, those of earlier runs included.
    pub done: u64,
    /// Of these, those of earlier runs.
    pub skipped: u64,
    pub failed: u64,
}

impl Report {
    /// Of a transform that ended as `summary` says after `elapsed`.
    pub(super) fn new(job: Option<String>, request: Request, summary: Summary, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        let per_second = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        let counts = summary.counts;
        Self {
            job,
            outcome: summary.outcome,
            request,
            reason: summary.reason,
            objects: Objects {
                found: counts.objects_found,
                done: counts.objects_done,
                skipped: counts.objects_skipped,
                failed: counts.objects_failed,
            },
            records: counts.records,
            refused: counts.records_refused,
            bytes_read: counts.bytes_read,
            bytes_written: counts.bytes_written,
            calls: counts.calls,
            retries: counts.retries,
            seconds,
            records_per_second: per_second(counts.records as f64),
            mb_per_second: per_second(counts.bytes_read as f64 / 1e6),
            failures: summary.failures,
        }
    }

    /// Writes it to `path`, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(self).expect("a report has string keys and finite numbers");
        text.push(b'\n');
        let named = || format!("--report {}", path.display());
        // What is no file, such as a pipe or /dev/stderr, cannot be replaced.
        if path.exists() && !path.is_file() {
            return std::fs::write(path, text).with_context(named);
        }
        let beside = beside(path)?;
        std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).with_context(named)
    }

    /// Whether a report can be written to `path`: known before a transform of hours, not after it.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn try_path(path: &Path) -> anyhow::Result<()> {
        if path.is_dir() {
            anyhow::bail!("--report {}: expected a file, found a directory", path.display());
        }
        if path.exists() && !path.is_file() {
            return Ok(());
        }
        let beside = beside(path)?;
        let tried = std::fs::write(&beside, []).and_then(|()| std::fs::remove_file(&beside));
        tried.with_context(|| format!("--report {}", path.display()))
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Completed => "completed",
            Outcome::Failed => "failed",
            Outcome::Stopped => "stopped",
        };
        let mut line = outcome.to_owned();
        if let Some(reason) = &self.reason {
            line += &format!(" ({reason})");
        }
        line += &format!(": {} records", self.records);
        if self.refused > 0 {
            line += &format!(" ({} refused)", self.refused);
        }
        let objects = &self.objects;
        if self.job.is_some() {
            line += &format!(" of {} objects", objects.done);
        }
        if objects.skipped > 0 {
            line += &format!(" ({} of an earlier run)", objects.skipped);
        }
        if objects.failed > 0 {
            line += &format!(", {} objects failed", objects.failed);
        }
        let (seconds, records, mb) = (self.seconds, self.records_per_second, self.mb_per_second);
        line + &format!(" in {seconds:.1} s: {records:.0} records/s, {mb:.1} MB/s")
    }
}

/// Where a report for `path` is written before it takes its place.
fn beside(path: &Path) -> anyhow::Result<PathBuf> {
    let name = path.file_name().context("--report: expected a file's name, found none")?;
    Ok(path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id())))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use transform::job::Counts;

    use super::*;

    fn report(job: Option<&str>) -> Report {
        let mut counts = Counts { records: 100, bytes_read: 4_000_000, ..Counts::default() };
        if job.is_some() {
            counts.objects_found = 4;
            counts.objects_done = 3;
            counts.objects_skipped = 1;
            counts.objects_failed = 1;
        }
        let outcome = if job.is_some() { Outcome::Failed } else { Outcome::Completed };
        let (reason, failures, started, ended) = (None, Vec::new(), UNIX_EPOCH, UNIX_EPOCH);
        let summary = Summary { outcome, reason, failures, counts, started, ended };
        let request = Request::of(&Settings::default());
        Report::new(job.map(str::to_owned), request, summary, Duration::from_secs(2))
    }

    #[test]
    fn a_line_says_what_matters() {
        assert_eq!(report(None).line(), "completed: 100 records in 2.0 s: 50 records/s, 2.0 MB/s");
        assert_eq!(
            report(Some("j")).line(),
            "failed: 100 records of 3 objects (1 of an earlier run), 1 objects failed in 2.0 s: 50 records/s, 2.0 MB/s"
        );
    }

    #[test]
    fn it_is_written_whole_and_reads_back() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("report.json");
        std::fs::write(&path, "an old one").unwrap();
        report(Some("j")).write(&path).unwrap();
        let read: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!((&read["job"], &read["outcome"]), (&"j".into(), &"Failed".into()));
        assert_eq!((&read["objects"]["failed"], &read["records_per_second"]), (&1.into(), &50.0.into()));
        assert_eq!(read["request"]["max_payload_bytes"], 6 << 20);
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
        report(None).write(&scratch.path().join("no/such/folder")).expect_err("no folder");
    }
}
