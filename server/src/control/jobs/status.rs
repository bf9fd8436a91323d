//! `TransformJobStatus` and `TrainingJobStatus`: the same five.

use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// It waits for its turn, or runs.
    InProgress,
    /// Everything asked for is stored.
    Completed,
    /// Something went wrong.
    Failed,
    /// It is being stopped.
    Stopping,
    /// It was stopped, by a call or by its time.
    Stopped,
}

impl JobStatus {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::InProgress, Self::Completed, Self::Failed, Self::Stopping, Self::Stopped];

    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
        }
    }

    /// Whether nothing more happens to it.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_stored_as_on_the_wire() {
        for status in JobStatus::ALL {
            assert_eq!(json!(status), status.as_str());
            let goes_on = matches!(status, JobStatus::InProgress | JobStatus::Stopping);
            assert_eq!(status.has_ended(), !goes_on);
        }
    }
}
