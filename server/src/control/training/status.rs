//! `SecondaryStatus`: where a training job stands, told more finely.

use serde::{Deserialize, Serialize};

/// `SecondaryStatus`: those that are ever entered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecondaryStatus {
    /// Asked for, and being prepared.
    Starting,
    /// As many jobs as may run at once do.
    Pending,
    /// Its data is fetched.
    Downloading,
    /// Its programs run.
    Training,
    /// What they left is uploaded.
    Uploading,
    /// It is run again, as the server ended in the middle of it.
    Restarting,
    /// Its programs are asked to end.
    Stopping,
    /// It was stopped by a call.
    Stopped,
    /// It took longer than it may.
    MaxRuntimeExceeded,
    /// All is done.
    Completed,
    /// Something went wrong.
    Failed,
}

impl SecondaryStatus {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Pending => "Pending",
            Self::Downloading => "Downloading",
            Self::Training => "Training",
            Self::Uploading => "Uploading",
            Self::Restarting => "Restarting",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::MaxRuntimeExceeded => "MaxRuntimeExceeded",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_stored_as_on_the_wire() {
        use SecondaryStatus::{
            Completed, Downloading, Failed, MaxRuntimeExceeded, Pending, Restarting, Starting, Stopped,
            Stopping, Training, Uploading,
        };
        for status in [
            Starting,
            Pending,
            Downloading,
            Training,
            Uploading,
            Restarting,
            Stopping,
            Stopped,
            MaxRuntimeExceeded,
            Completed,
            Failed,
        ] {
            assert_eq!(json!(status), status.as_str());
        }
    }
}
