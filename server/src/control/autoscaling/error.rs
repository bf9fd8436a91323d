//! Why autoscaling does not do what it was asked, by meaning; the face turns it into AWS's words.

use scaling::{ScheduleError, StepError, TrackingError};

use super::TargetKey;
use crate::control::alarms::AlarmError;
use crate::control::tags::TagError;
use crate::control::{ControlError, StateError};

/// Why a call changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AutoscalingError {
    /// A dimension that is not served.
    #[error(
        "ScalableDimension: expected sagemaker:variant:DesiredInstanceCount or \
         sagemaker:variant:DesiredProvisionedConcurrency, found {0:?}, which is not served"
    )]
    Dimension(String),
    /// Not the name of a variant.
    #[error("ResourceId: expected endpoint/<endpoint>/variant/<variant>, found {0:?}")]
    ResourceId(String),
    /// Nothing is registered under this key.
    #[error("No scalable target registered for {0}")]
    NoTarget(TargetKey),
    /// The target has no policy of this name.
    #[error("No scaling policy found for {key}, policy name: {name}")]
    NoPolicy {
        /// The target.
        key: TargetKey,
        /// What was asked for.
        name: String,
    },
    /// The target has no scheduled action of this name.
    #[error("No scheduled action found for {key}, scheduled action name: {name}")]
    NoAction {
        /// The target.
        key: TargetKey,
        /// What was asked for.
        name: String,
    },
    /// No scalable target has this ARN.
    #[error("no scalable target has the ARN {0}")]
    NoArn(String),
    /// Too many of them.
    #[error("{of}: expected at most {limit}, found one more")]
    Limit {
        /// Of what.
        of: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// Expected, found, where.
    #[error("{0}")]
    Refused(String),
    /// A target-tracking configuration that contradicts itself.
    #[error("TargetTrackingScalingPolicyConfiguration: {0}")]
    Tracking(#[from] TrackingError),
    /// Steps that contradict each other.
    #[error("StepScalingPolicyConfiguration: {0}")]
    Step(#[from] StepError),
    /// Not a schedule.
    #[error("Schedule: {0}")]
    Schedule(#[from] ScheduleError),
    /// Tags that are not taken.
    #[error(transparent)]
    Tags(#[from] TagError),
    /// An alarm that cannot be made.
    #[error(transparent)]
    Alarm(#[from] AlarmError),
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<AutoscalingError> for ControlError {
    fn from(error: AutoscalingError) -> Self {
        match error {
            AutoscalingError::State(error) => Self::State(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<rusqlite::Error> for AutoscalingError {
    fn from(error: rusqlite::Error) -> Self {
        Self::State(error.into())
    }
}

impl From<serde_json::Error> for AutoscalingError {
    fn from(error: serde_json::Error) -> Self {
        Self::State(error.into())
    }
}
