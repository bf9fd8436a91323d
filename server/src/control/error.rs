//! Why the control plane does not do what it was asked, by meaning; a face turns it into AWS's words.

use super::StateError;

/// Why a durable call changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No endpoint of this name.
    #[error("endpoint {0:?} does not exist")]
    NoEndpoint(String),
    /// No endpoint configuration of this name.
    #[error("endpoint configuration {0:?} does not exist")]
    NoEndpointConfig(String),
    /// No model of this name.
    #[error("model {0:?} does not exist")]
    NoModel(String),
    /// The endpoint has no variant of this name.
    #[error("variant {variant:?} of endpoint {endpoint:?} does not exist")]
    NoVariant {
        /// The endpoint.
        endpoint: String,
        /// What was asked for.
        variant: String,
    },
    /// An endpoint of this name exists.
    #[error("endpoint {0:?} exists already")]
    EndpointTaken(String),
    /// The endpoint is being created or changed.
    #[error("endpoint {0:?} is being changed")]
    InProgress(String),
    /// No transform job of this name.
    #[error("transform job {0:?} does not exist")]
    NoTransformJob(String),
    /// A transform job of this name exists; its ARN.
    #[error("transform job {0} exists already")]
    TransformJobTaken(String),
    /// The transform job has ended, in this status.
    #[error("the transform job is in status {0}")]
    TransformJobEnded(&'static str),
    /// No training job of this name.
    #[error("training job {0:?} does not exist")]
    NoTrainingJob(String),
    /// A training job of this name exists, or has existed; its ARN.
    #[error("training job {0} exists already")]
    TrainingJobTaken(String),
    /// The training job is not in a status in which this can be done, but in this one.
    #[error("the training job is in status {0}")]
    TrainingJobStatus(&'static str),
    /// There are as many as there may be.
    #[error("{0}")]
    Limit(String),
    /// Something uses it still.
    #[error("{0} is in use")]
    InUse(String),
    /// Expected, found, where: for people.
    #[error("{0}")]
    Refused(String),
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}
