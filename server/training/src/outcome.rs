//! How a job ends, and who may end it early.

use std::time::SystemTime;

/// Characters of a failure's reason. Reason: `FailureReason`'s own limit.
pub const REASON_CHARACTERS_MAX: usize = 1024;

/// Whether a job should end before its programs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    Run,
    /// `StopTrainingJob`: programs are asked to end, and what they leave is uploaded.
    Stop,
    /// We end ourselves: programs are asked to end, and the folder is kept for another run.
    Suspend,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// `ModelArtifacts.S3ModelArtifacts`: the URI of `model.tar.gz`, or of the folder of an uncompressed model. `None` where
    /// nothing was published.
    pub model: Option<String>,
    /// The URI of `output.tar.gz` (or of the uncompressed folder), if there is one.
    pub output: Option<String>,
    /// The last value of each metric, in the order of the definitions.
    pub metrics: Vec<FinalMetric>,
    /// Values that were no finite numbers: counted, not kept.
    pub metrics_refused: u64,
    /// When the job's run began.
    pub started: SystemTime,
    /// When programs were started; `None` where they never were.
    pub training_started: Option<SystemTime>,
    /// When all was uploaded, or the failure was seen.
    pub ended: SystemTime,
}

/// The ways to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All hosts ended well, and what they left is uploaded.
    Completed,
    /// Something went wrong: `FailureReason`, of at most [`REASON_CHARACTERS_MAX`] characters.
    Failed(String),
    /// It was asked to stop, and did.
    Stopped,
    /// It took longer than it may, and was stopped.
    MaxRuntimeExceeded,
    /// It is to run again.
    Suspended,
}

/// The last value of a metric (`FinalMetricDataList`).
#[derive(Debug, Clone, PartialEq)]
pub struct FinalMetric {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// When it was written, in milliseconds since 1970.
    pub at_ms: i64,
}
