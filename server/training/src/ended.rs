//! `ended.json`: that the programs of a job have ended, and how, so that a run after the server was ended in the middle of an upload
//! uploads, and does not train again.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::outcome::{FinalMetric, Outcome};

/// The file's name, in the job's folder.
const FILE_NAME: &str = "ended.json";

/// How the programs ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// By themselves, and well.
    Completed,
    /// They were asked to.
    Stopped,
    /// They took too long.
    MaxRuntimeExceeded,
}

impl From<How> for Outcome {
    fn from(how: How) -> Self {
        match how {
            How::Completed => Self::Completed,
            How::Stopped => Self::Stopped,
            How::MaxRuntimeExceeded => Self::MaxRuntimeExceeded,
        }
    }
}

/// What is left to know once programs have ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trained {
    pub(crate) how: How,
    /// The job's own times, in milliseconds since 1970.
    started_ms: u64,
    training_started_ms: u64,
    metrics: Vec<(String, f64, i64)>,
    pub(crate) metrics_refused: u64,
}

impl Trained {
    /// Programs were started at `training_started`, of a run that began at `started`.
    pub(crate) fn new(
        how: How,
        started: SystemTime,
        training_started: SystemTime,
        (metrics, metrics_refused): (&[FinalMetric], u64),
    ) -> Self {
        let metrics =
            metrics.iter().map(|metric| (metric.name.clone(), metric.value, metric.at_ms)).collect();
        let (started_ms, training_started_ms) = (milliseconds(started), milliseconds(training_started));
        Self { how, started_ms, training_started_ms, metrics, metrics_refused }
    }

    /// What an earlier run left, if programs had ended. Blocks.
    pub(crate) fn read(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(folder.join(FILE_NAME)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => Ok(Some(serde_json::from_str(&text?)?)),
        }
    }

    /// Writes it, whole or not at all. Blocks.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let partial = folder.join(format!("{FILE_NAME}.partial"));
        fs::write(&partial, serde_json::to_vec(self)?)?;
        fs::rename(partial, folder.join(FILE_NAME))
    }

    pub(crate) fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.started_ms)
    }

    pub(crate) fn training_started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.training_started_ms)
    }

    pub(crate) fn metrics(&self) -> Vec<FinalMetric> {
        let metric = |(name, value, at_ms): &(String, f64, i64)| FinalMetric {
            name: name.clone(),
            value: *value,
            at_ms: *at_ms,
        };
        self.metrics.iter().map(metric).collect()
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
