//! Why an operation is not done, in the words that clients look for.

use wire::{AwsError, ErrorCode, Scope};

use crate::control::tags::TagError;
use crate::control::{ControlError, Kind, StateError};

/// What is answered instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) AwsError);

impl Refusal {
    /// A request that cannot be done: expected, found, where.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self(AwsError::validation(message))
    }

    /// There is no resource of this kind and name.
    pub(super) fn not_found(scope: &Scope, kind: Kind, name: &str) -> Self {
        match kind {
            Kind::TransformJob => {
                return Self::validation(format!("Could not find requested job with name: {name}."));
            }
            Kind::TrainingJob => return Self::validation("Requested resource not found."),
            _ => {}
        }
        let arn = scope.sagemaker(kind.as_str(), name);
        Self::validation(format!("Could not find {} \"{arn}\".", words(kind)))
    }

    /// There is one already.
    pub(super) fn taken(scope: &Scope, kind: Kind, name: &str) -> Self {
        let arn = scope.sagemaker(kind.as_str(), name);
        Self::validation(format!("Cannot create already existing {} \"{arn}\".", words(kind)))
    }

    /// What the control plane says.
    pub(super) fn control(scope: &Scope, error: ControlError) -> Self {
        let endpoint = |name: &str| scope.sagemaker(Kind::Endpoint.as_str(), name);
        match error {
            ControlError::NoEndpoint(name) => Self::not_found(scope, Kind::Endpoint, &name),
            ControlError::NoEndpointConfig(name) => Self::not_found(scope, Kind::EndpointConfig, &name),
            ControlError::NoModel(name) => Self::not_found(scope, Kind::Model, &name),
            ControlError::NoVariant { endpoint: name, variant } => {
                Self::validation(format!("Variant {variant} not found for endpoint \"{}\".", endpoint(&name)))
            }
            ControlError::EndpointTaken(name) => Self::taken(scope, Kind::Endpoint, &name),
            ControlError::InProgress(name) => {
                Self::validation(format!("Cannot update in-progress endpoint \"{}\".", endpoint(&name)))
            }
            ControlError::NoTransformJob(name) => Self::not_found(scope, Kind::TransformJob, &name),
            ControlError::NoTrainingJob(name) => Self::not_found(scope, Kind::TrainingJob, &name),
            ControlError::TrainingJobStatus(status) => Self::validation(format!(
                "The request was rejected because the training job is in status {status}."
            )),
            ControlError::TransformJobTaken(arn) | ControlError::TrainingJobTaken(arn) => {
                Self(AwsError::new(
                    ErrorCode::ResourceInUse,
                    format!(
                        "Job name must be unique within an AWS account and region, and a job with this name already \
                     exists ({arn})"
                    ),
                ))
            }
            ControlError::TransformJobEnded(status) => Self::validation(format!(
                "The request was rejected because the transform job is in status {status}."
            )),
            ControlError::Limit(message) => Self(AwsError::new(ErrorCode::ResourceLimitExceeded, message)),
            ControlError::State(error) => error.into(),
            other => Self::validation(other.to_string()),
        }
    }
}

/// A kind as error messages call it.
const fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::EndpointConfig => "endpoint configuration",
        other => other.as_str(),
    }
}

impl From<AwsError> for Refusal {
    fn from(error: AwsError) -> Self {
        Self(error)
    }
}

impl From<StateError> for Refusal {
    fn from(error: StateError) -> Self {
        if matches!(error, StateError::Busy) {
            return Self(AwsError::new(ErrorCode::ServiceUnavailable, error.to_string()));
        }
        tracing::error!(%error, "the state could not be read or written");
        Self(AwsError::internal())
    }
}

impl From<TagError> for Refusal {
    fn from(error: TagError) -> Self {
        match error {
            TagError::State(error) => error.into(),
            other => Self::validation(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: ControlError, expected: &str) {
        let scope = Scope { region: "us-east-1".into(), account: "000000000000".into() };
        let Refusal(refused) = Refusal::control(&scope, error);
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn each_meaning_has_awss_words() {
        let name = || "a".to_owned();
        let arn = |kind: &str| format!("\"arn:aws:sagemaker:us-east-1:000000000000:{kind}/a\"");
        let not_found =
            |words: &str, kind: &str| format!("ValidationException: Could not find {words} {}.", arn(kind));
        check(ControlError::NoEndpoint(name()), &not_found("endpoint", "endpoint"));
        check(
            ControlError::NoEndpointConfig(name()),
            &not_found("endpoint configuration", "endpoint-config"),
        );
        check(ControlError::NoModel(name()), &not_found("model", "model"));
        let taken =
            format!("ValidationException: Cannot create already existing endpoint {}.", arn("endpoint"));
        check(ControlError::EndpointTaken(name()), &taken);
        let busy = format!("ValidationException: Cannot update in-progress endpoint {}.", arn("endpoint"));
        check(ControlError::InProgress(name()), &busy);
        let variant = format!("ValidationException: Variant v not found for endpoint {}.", arn("endpoint"));
        check(ControlError::NoVariant { endpoint: name(), variant: "v".into() }, &variant);
        check(ControlError::Refused("no".into()), "ValidationException: no");
        let no_job = "ValidationException: Could not find requested job with name: a.";
        check(ControlError::NoTransformJob(name()), no_job);
        for taken in
            [ControlError::TransformJobTaken("arn:j".into()), ControlError::TrainingJobTaken("arn:j".into())]
        {
            check(
                taken,
                "ResourceInUse: Job name must be unique within an AWS account and region, and a job with this name already \
                 exists (arn:j)",
            );
        }
        check(ControlError::NoTrainingJob(name()), "ValidationException: Requested resource not found.");
        check(
            ControlError::TrainingJobStatus("Completed"),
            "ValidationException: The request was rejected because the training job is in status Completed.",
        );
        check(
            ControlError::TransformJobEnded("Completed"),
            "ValidationException: The request was rejected because the transform job is in status Completed.",
        );
        check(ControlError::Limit("full".into()), "ResourceLimitExceeded: full");
        check(
            ControlError::State(StateError::Busy),
            "ServiceUnavailable: state: expected fewer than 4096 waiting transactions, found more",
        );
    }
}
