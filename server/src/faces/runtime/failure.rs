//! What the failures of an invocation are called on the wire.

use std::sync::Arc;
use std::time::Duration;

use wire::{AwsError, ErrorCode, Scope};

use crate::error::{Code, Error};

/// The longest `OriginalMessage`, as SageMaker Runtime has it.
const ORIGINAL_MESSAGE_CHARS_MAX: usize = 2048;

/// Why an invocation has no prediction for an answer.
#[derive(Debug)]
pub enum Refusal {
    /// What the data plane says.
    Data(Error),
    /// Why a model that was not there could not be loaded, as all who waited for it hear.
    Load(Arc<Error>),
    /// A body that a serverless variant does not take.
    Oversize,
    /// What the data plane never heard of: a header that breaks the service's rules, or something that is not served.
    Request(AwsError),
}

impl Refusal {
    /// What it means, in the closed set.
    pub fn code(&self) -> Code {
        match self {
            Self::Data(error) => error.code(),
            Self::Load(error) => error.code(),
            Self::Oversize => Code::PayloadTooLarge,
            Self::Request(_) => Code::BadRequest,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Data(error)
    }
}

impl From<AwsError> for Refusal {
    fn from(error: AwsError) -> Self {
        Self::Request(error)
    }
}

/// Where an error of an invocation is told: names for its text.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The endpoint.
    pub endpoint: &'a str,
    /// Region and account.
    pub scope: &'a Scope,
    /// The request's id.
    pub request_id: &'a str,
}

/// What an invocation's failure is on the wire.
#[derive(Debug, PartialEq, Eq)]
pub enum WireError {
    /// An error with a code, and when to try again.
    Coded(AwsError, Option<Duration>),
    /// A body over the limit: 413 without a code.
    TooLarge(String),
}

impl Place<'_> {
    /// What `refusal` is on the wire.
    pub fn wire_error(&self, refusal: &Refusal) -> WireError {
        match refusal {
            Refusal::Request(error) => WireError::Coded(error.clone(), None),
            Refusal::Oversize => {
                let message = format!("Request {} has oversize body.", self.request_id);
                WireError::Coded(AwsError::new(ErrorCode::ValidationError, message), None)
            }
            Refusal::Data(Error::BodyTooLarge { limit_bytes }) => {
                WireError::TooLarge(format!("HTTP content length exceeded {limit_bytes} bytes."))
            }
            Refusal::Data(error) => self.coded_with_wait(error),
            Refusal::Load(error) => self.coded_with_wait(error),
        }
    }

    fn coded_with_wait(&self, error: &Error) -> WireError {
        use ErrorCode::{ModelNotReadyException, ServiceUnavailable, ThrottlingException};
        let coded = self.coded(error);
        let waits = matches!(coded.code, ModelNotReadyException | ServiceUnavailable | ThrottlingException);
        WireError::Coded(coded, error.code().retry_after().filter(|_| waits))
    }

    fn coded(&self, error: &Error) -> AwsError {
        let Self { endpoint, scope: Scope { account, .. }, .. } = self;
        let validation = |message: String| AwsError::new(ErrorCode::ValidationError, message);
        match error {
            Error::EndpointNotFound(_) => {
                validation(format!("Endpoint {endpoint} of account {account} not found."))
            }
            Error::VariantNotFound(name) => {
                validation(format!("Variant {name} not found for Endpoint {endpoint} of account {account}."))
            }
            Error::NotMultiModel(_) => validation(format!(
                "Endpoint {endpoint} is not a multi-model endpoint and does not support target model header."
            )),
            Error::TargetModelMissing => validation(format!(
                "Endpoint {endpoint} is a multi-model endpoint and requires target model header."
            )),
            Error::ModelDataNotFound { bucket, key } => validation(format!(
                "Failed to download model data(bucket: {bucket}, key: {key}). Please ensure that there is an object \
                 located at the URL and that the role passed to CreateModel has permissions to download the object."
            )),
            Error::WrongInvocation { expected: "asynchronous" } => validation(format!(
                "Endpoint {endpoint} of account {account} is an asynchronous endpoint; use InvokeEndpointAsync"
            )),
            Error::WrongInvocation { .. } => validation(format!(
                "Endpoint {endpoint} of account {account} is not an asynchronous endpoint; use InvokeEndpoint"
            )),
            // A parameter is the name of a target model: what it names is not looked for.
            Error::Header { .. }
            | Error::Parameter(_)
            | Error::BodyTimeout { .. }
            | Error::BodyBroken { .. } => validation(error.to_string()),
            Error::Throttled { .. } => AwsError::new(ErrorCode::ThrottlingException, "Rate exceeded"),
            Error::Store(_) => AwsError::new(ErrorCode::InternalDependencyException, error.to_string()),
            _ => match error.code() {
                Code::ModelCold => AwsError::new(ErrorCode::ModelNotReadyException, error.to_string()),
                Code::QueueFull | Code::NotReady => {
                    AwsError::new(ErrorCode::ServiceUnavailable, error.to_string())
                }
                _ => self.model_error(error),
            },
        }
    }

    /// The model answered with an error, or not in time.
    fn model_error(&self, error: &Error) -> AwsError {
        let (status, text) = match error {
            Error::DeadlineExceeded { .. } => (0, TIMED_OUT.to_owned()),
            // An artifact that cannot be loaded is no fault of the request's.
            Error::Load(_) => (Code::Internal.status(), error.to_string()),
            _ => (error.code().status(), error.to_string()),
        };
        let text: String = text.chars().take(ORIGINAL_MESSAGE_CHARS_MAX).collect();
        let Self { endpoint, scope: Scope { region, account }, .. } = self;
        let message = if status == 0 {
            text.clone()
        } else {
            let side = if (400..500).contains(&status) { "client" } else { "server" };
            format!(
                "Received {side} error ({status}) from primary with message \"{text}\". See \
                 https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group=\
                 /aws/sagemaker/Endpoints/{endpoint} in account {account} for more information."
            )
        };
        AwsError::new(ErrorCode::ModelError, message)
            .with("OriginalStatusCode", status)
            .with("OriginalMessage", text)
            .with(
                "LogStreamArn",
                format!("arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/Endpoints/{endpoint}"),
            )
    }
}

const TIMED_OUT: &str = "Your invocation timed out while waiting for a response from container primary. Review the \
                         latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again.";

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope { region: "eu-west-1".into(), account: "000000000000".into() }
    }

    fn check(error: Error, code: ErrorCode, message: &str) {
        let (scope, shown) = (scope(), error.to_string());
        let place = Place { endpoint: "e", scope: &scope, request_id: "i" };
        let WireError::Coded(found, _) = place.wire_error(&Refusal::Data(error)) else { panic!("{shown}") };
        assert_eq!(found.code, code, "{shown}");
        assert!(found.message.contains(message), "{message} in {found}");
    }

    #[test]
    fn each_failure_has_its_code_and_text() {
        use ErrorCode::{
            InternalDependencyException, ModelError, ModelNotReadyException, ServiceUnavailable,
            ThrottlingException, ValidationError,
        };
        check(
            Error::EndpointNotFound("e".into()),
            ValidationError,
            "Endpoint e of account 000000000000 not found.",
        );
        check(
            Error::VariantNotFound("v".into()),
            ValidationError,
            "Variant v not found for Endpoint e of account 000000000000.",
        );
        check(Error::NotMultiModel("m".into()), ValidationError, "does not support target model header.");
        check(Error::TargetModelMissing, ValidationError, "requires target model header.");
        check(
            Error::ModelDataNotFound { bucket: "b".into(), key: "k".into() },
            ValidationError,
            "Failed to download model data(bucket: b, key: k). Please ensure that there is an object located at",
        );
        check(
            Error::WrongInvocation { expected: "asynchronous" },
            ValidationError,
            "use InvokeEndpointAsync",
        );
        check(Error::WrongInvocation { expected: "synchronous" }, ValidationError, "use InvokeEndpoint");
        check(Error::Throttled { limit: 1 }, ThrottlingException, "Rate exceeded");
        check(Error::QueueFull { limit: 1 }, ServiceUnavailable, "queue");
        check(Error::LoadsFull { limit: 1 }, ModelNotReadyException, "loads");
        check(
            Error::Store(crate::store::StoreError::Url { url: "s3:".into(), expected: "s3://bucket/key" }),
            InternalDependencyException,
            "s3:",
        );
        check(
            Error::ContentTypeMissing,
            ModelError,
            "Received client error (415) from primary with message \"header content-type: expected a media type, \
             found none\". See https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1\
             #logEventViewer:group=/aws/sagemaker/Endpoints/e in account 000000000000 for more information.",
        );
        check(Error::Panicked, ModelError, "Received server error (500) from primary");
        check(
            Error::DeadlineExceeded { limit: Duration::from_secs(1) },
            ModelError,
            "Your invocation timed out",
        );
    }

    #[test]
    fn a_model_error_carries_what_the_model_said() {
        let scope = scope();
        let place = Place { endpoint: "e", scope: &scope, request_id: "i" };
        let members = |error: &Error| place.model_error(error).members;
        let found = members(&Error::ContentTypeMissing);
        assert_eq!(found["OriginalStatusCode"], 415);
        assert_eq!(found["OriginalMessage"], "header content-type: expected a media type, found none");
        assert_eq!(
            found["LogStreamArn"],
            "arn:aws:logs:eu-west-1:000000000000:log-group:/aws/sagemaker/Endpoints/e"
        );
        assert_eq!(members(&Error::DeadlineExceeded { limit: Duration::ZERO })["OriginalStatusCode"], 0);
        let long = members(&Error::Load(models::LoadError::Unrecognised("x".repeat(5000))));
        assert_eq!(long["OriginalMessage"].as_str().map(str::len), Some(ORIGINAL_MESSAGE_CHARS_MAX));
    }

    #[test]
    fn who_should_come_again_hears_when() {
        let scope = scope();
        let place = Place { endpoint: "e", scope: &scope, request_id: "i" };
        let wait = |error| match place.wire_error(&Refusal::Data(error)) {
            WireError::Coded(_, wait) => wait,
            WireError::TooLarge(_) => None,
        };
        assert!(
            wait(Error::QueueFull { limit: 1 }).is_some() && wait(Error::Throttled { limit: 1 }).is_some()
        );
        assert!(wait(Error::LoadsFull { limit: 1 }).is_some());
        assert!(wait(Error::DeadlineExceeded { limit: Duration::ZERO }).is_none());
        assert!(wait(Error::EndpointNotFound("e".into())).is_none());
        let text = place.wire_error(&Refusal::Data(Error::BodyTooLarge { limit_bytes: 6_291_456 }));
        assert_eq!(text, WireError::TooLarge("HTTP content length exceeded 6291456 bytes.".into()));
    }
}
