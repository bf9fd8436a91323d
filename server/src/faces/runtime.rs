//! SageMaker Runtime: what the headers of an invocation may hold, how it runs, and what its failures are called.
//!
//! An invocation costs here what it costs `clary serve`: nothing is formatted or kept unless it fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use codecs::{ContentType, Format};
use wire::{AwsError, ErrorCode, Scope};

use super::container::{InvocationHeaders, Payload, RequestClock};
use crate::error::{Code, Error, shortened};
use crate::metrics::Phases;
use crate::platform::Platform;
use crate::serving::capture::CapturePlan;
use crate::serving::{Endpoint, Invocation, Invoked, ModelCache, ON_DEMAND};

/// The longest names and ids of an invocation, as SageMaker Runtime has them.
const NAME_CHARS_MAX: usize = 63;
const ID_CHARS_MAX: usize = 64;
const SESSION_CHARS_MAX: usize = 256;
const TARGET_MODEL_CHARS_MAX: usize = 1024;

/// The longest `OriginalMessage`, as SageMaker Runtime has it.
const ORIGINAL_MESSAGE_CHARS_MAX: usize = 2048;

/// The format of a payload whose request names none, or only says that it is bytes. Reason: plain clients send no
/// Content-Type, and every model takes CSV; what a payload looks like is never asked.
pub const CONTENT_TYPE_DEFAULT: ContentType = ContentType::new(Format::Csv);

/// What a client says that knows no better.
const ANY_BYTES: &str = "application/octet-stream";

/// The headers of an invocation, as text.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuntimeHeaders<'a> {
    /// Those that the model sees.
    pub of_model: InvocationHeaders<'a>,
    /// `X-Amzn-SageMaker-Target-Variant`.
    pub target_variant: Option<&'a str>,
    /// `X-Amzn-SageMaker-Target-Model`.
    pub target_model: Option<&'a str>,
    /// `X-Amzn-SageMaker-Target-Container-Hostname`.
    pub target_container: Option<&'a str>,
    /// `X-Amzn-SageMaker-Inference-Component`.
    pub inference_component: Option<&'a str>,
    /// `X-Amzn-SageMaker-Inference-Id`.
    pub inference_id: Option<&'a str>,
    /// `X-Amzn-SageMaker-Enable-Explanations`.
    pub explanations: Option<&'a str>,
    /// `X-Amzn-SageMaker-Session-Id`.
    pub session_id: Option<&'a str>,
    /// `X-Amzn-SageMaker-Prefix-Aware-Id`: a hint for caches that copies of one model in one process do not have.
    pub prefix_aware_id: Option<&'a str>,
    /// `X-Clary-Assignment-Key`.
    pub assignment_key: Option<&'a str>,
}

/// Which endpoint is asked, and by which request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The endpoint's name.
    pub endpoint: &'a str,
    /// What the headers say.
    pub headers: RuntimeHeaders<'a>,
    /// When it began, and its draw among variants.
    pub clock: RequestClock,
}

/// Why an invocation has no prediction for an answer.
#[derive(Debug)]
pub enum Refusal {
    /// What the data plane says.
    Data(Error),
    /// Why a model that was not there could not be loaded, as all who waited for it hear.
    Load(Arc<Error>),
    /// What the data plane never heard of: a header that breaks the service's rules, or something that is not served.
    Request(AwsError),
}

impl Refusal {
    /// What it means, in the closed set.
    pub fn code(&self) -> Code {
        match self {
            Self::Data(error) => error.code(),
            Self::Load(error) => error.code(),
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

/// A prediction, and who made it.
#[derive(Debug)]
pub struct Predicted {
    /// The answer's body.
    pub body: Bytes,
    /// The media type of `body`.
    pub content_type: &'static str,
    /// The variant that was asked.
    pub variant: Option<Bytes>,
    /// The artifact that was asked.
    pub digest: Option<Bytes>,
    /// How long its parts took.
    pub phases: Phases,
    /// What is to be captured of it, when it was drawn for that.
    pub capture: Option<Arc<CapturePlan>>,
}

/// An invocation that failed, and which variant had been chosen for it.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub refusal: Refusal,
    /// The variant that was asked, when it came so far.
    pub variant: Option<Bytes>,
}

impl<T: Into<Refusal>> From<T> for Failed {
    fn from(refusal: T) -> Self {
        Self { refusal: refusal.into(), variant: None }
    }
}

/// Checks everything that does not need the body, in the service's order: the endpoint, then the headers.
///
/// # Errors
/// When there is no such endpoint, or a header is not what it should be or asks for what is not served.
pub fn admit(platform: &Platform, asked: &Asked<'_>) -> Result<Payload, Refusal> {
    let headers = &asked.headers;
    if !platform.server.contains(asked.endpoint) {
        if platform.control.is_restoring(asked.endpoint) {
            return Err(Error::NotReady("it is being restored".to_owned()).into());
        }
        return Err(Error::EndpointNotFound(asked.endpoint.to_owned()).into());
    }
    headers.check(asked.endpoint)?;
    if let Some(target) = headers.target_variant {
        let endpoint = platform.server.endpoint(asked.endpoint);
        let is_there = |endpoint: &Arc<Endpoint>| endpoint.arms().iter().any(|arm| arm.name == target);
        // One that was taken away just now is noticed again when it is invoked.
        if endpoint.as_ref().is_some_and(|endpoint| !is_there(endpoint)) {
            return Err(Error::VariantNotFound(target.to_owned()).into());
        }
    }
    let of_model = InvocationHeaders {
        content_type: headers.of_model.content_type.filter(|text| *text != ANY_BYTES),
        ..headers.of_model
    };
    Ok(of_model.check()?)
}

/// Runs an invocation that was [admitted](admit); a model that is not loaded is waited for.
///
/// # Errors
/// When there is no prediction.
pub async fn invoke(
    platform: &Platform,
    asked: &Asked<'_>,
    payload: &Payload,
    body: Bytes,
) -> Result<Predicted, Failed> {
    let headers = &asked.headers;
    let given = payload.content_type.unwrap_or(CONTENT_TYPE_DEFAULT);
    let mut invocation = Invocation {
        endpoint: asked.endpoint,
        // Nothing is CSV without rows, whatever it is called.
        content_type: if body.is_empty() { CONTENT_TYPE_DEFAULT } else { given },
        encoding: payload.encoding.filter(|_| !body.is_empty()),
        accept: headers.of_model.accept,
        point: asked.clock.point,
        assignment_key: headers.assignment_key,
        custom_attributes: headers.of_model.custom_attributes,
        target_variant: headers.target_variant,
        target_model: headers.target_model,
        is_asynchronous: false,
        is_warmed: false,
        started: asked.clock.started,
        deadline: asked.clock.started + platform.request_timeout,
    };
    let invoked = platform.server.invoke(&invocation, body.clone()).await;
    match invoked.result {
        Err(Error::ModelCold { variant, cache }) => {
            let warmed = warm(platform, invocation.target_model, variant, Arc::clone(&cache));
            if let Err(failed) = Box::pin(warmed).await {
                cache.give_up(invocation.started, failed.refusal.code());
                return Err(failed);
            }
            invocation.is_warmed = true;
            // The time of the load is not the request's.
            invocation.deadline = Instant::now() + platform.request_timeout;
            predicted(platform.server.invoke(&invocation, body).await)
        }
        _ => predicted(invoked),
    }
}

fn predicted(invoked: Invoked) -> Result<Predicted, Failed> {
    let Invoked { digest, variant, capture, result } = invoked;
    match result {
        Ok(prediction) => {
            let (body, content_type) = (prediction.body, prediction.content_type);
            Ok(Predicted { body, content_type, variant, digest, phases: prediction.phases, capture })
        }
        Err(error) => Err(Failed { refusal: error.into(), variant }),
    }
}

/// Loads a model that was found cold, or waits for whoever loads it.
async fn warm(
    platform: &Platform,
    target_model: Option<&str>,
    variant: Bytes,
    cache: Arc<ModelCache>,
) -> Result<(), Failed> {
    let model = target_model.unwrap_or(ON_DEMAND).to_owned();
    let of_load = Arc::clone(&cache);
    // On the control runtime, where it goes on when this request has waited long enough.
    let load = platform.runtime.spawn(async move { of_load.warm(&model).await });
    let refusal = match tokio::time::timeout(platform.cold_wait, load).await {
        Ok(Ok(Ok(()))) => return Ok(()),
        Ok(Ok(Err(error))) => Refusal::Load(error),
        Ok(Err(_)) => Refusal::Data(Error::Panicked),
        Err(_) => Refusal::Data(Error::ModelCold { variant: variant.clone(), cache }),
    };
    Err(Failed { refusal, variant: Some(variant) })
}

impl RuntimeHeaders<'_> {
    /// Holds the headers to the service's rules, and refuses what is not served.
    fn check(&self, endpoint: &str) -> Result<(), AwsError> {
        if let Some(name) = self.target_variant {
            check_name("targetVariant", name)?;
        }
        if let Some(name) = self.target_model {
            check_length("targetModel", name, TARGET_MODEL_CHARS_MAX)?;
        }
        if let Some(id) = self.inference_id {
            check_length("inferenceId", id, ID_CHARS_MAX)?;
        }
        if let Some(id) = self.prefix_aware_id {
            check_length("prefixAwareId", id, ID_CHARS_MAX)?;
        }
        if let Some(key) = self.assignment_key {
            check_length("assignmentKey", key, SESSION_CHARS_MAX)?;
        }
        self.check_served(endpoint)
    }

    /// What SageMaker serves and we do not.
    fn check_served(&self, endpoint: &str) -> Result<(), AwsError> {
        let refused = |what: String| Err(AwsError::new(ErrorCode::ValidationError, what));
        if let Some(name) = self.target_container {
            check_name("targetContainerHostname", name)?;
            return refused(format!(
                "Endpoint {endpoint} is not a multi-container endpoint and does not support target container hostname header."
            ));
        }
        if let Some(name) = self.inference_component {
            check_name("inferenceComponentName", name)?;
            return refused(format!("Inference Component {name} not found for Endpoint {endpoint}."));
        }
        if let Some(expression) = self.explanations {
            check_length("enableExplanations", expression, ID_CHARS_MAX)?;
            return refused(format!(
                "Endpoint {endpoint} has no explainer and does not support the enable explanations header."
            ));
        }
        if let Some(id) = self.session_id {
            check_length("sessionId", id, SESSION_CHARS_MAX)?;
            return refused(format!(
                "Endpoint {endpoint} has no stateful model and does not support the session id header."
            ));
        }
        Ok(())
    }
}

fn check_length(member: &str, value: &str, most: usize) -> Result<(), AwsError> {
    if value.is_empty() {
        return Err(violation(member, value, "Member must have length greater than or equal to 1"));
    }
    if value.len() > most {
        let constraint = format!("Member must have length less than or equal to {most}");
        return Err(violation(member, value, &constraint));
    }
    Ok(())
}

/// Letters and digits with hyphens between them.
fn check_name(member: &str, value: &str) -> Result<(), AwsError> {
    check_length(member, value, NAME_CHARS_MAX)?;
    let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_plain && !value.starts_with('-') && !value.ends_with('-') {
        return Ok(());
    }
    let constraint = "Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*$";
    Err(violation(member, value, constraint))
}

fn violation(member: &str, value: &str, constraint: &str) -> AwsError {
    let message = format!(
        "1 validation error detected: Value '{}' at '{member}' failed to satisfy constraint: {constraint}",
        shortened(value)
    );
    AwsError::new(ErrorCode::ValidationError, message)
}

/// Where an error of an invocation is told: names for its text.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The endpoint.
    pub endpoint: &'a str,
    /// Region and account.
    pub scope: &'a Scope,
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
        let Self { endpoint, scope: Scope { account, .. } } = self;
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
            Error::Header { .. } | Error::BodyTimeout { .. } | Error::BodyBroken { .. } => {
                validation(error.to_string())
            }
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
        let Self { endpoint, scope: Scope { region, account } } = self;
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

    fn refused(headers: RuntimeHeaders<'_>, text: &str) {
        let error = headers.check("e").expect_err(text);
        assert_eq!(error.code, ErrorCode::ValidationError);
        assert!(error.message.contains(text), "{text} in {error}");
    }

    #[test]
    fn headers_are_held_to_the_services_rules() {
        let none = RuntimeHeaders::default();
        none.check("e").expect("nothing to refuse");
        let long = "x".repeat(1025);
        RuntimeHeaders { target_variant: Some("a-1"), inference_id: Some("i 1"), ..none }
            .check("e")
            .expect("fine");
        refused(
            RuntimeHeaders { target_variant: Some("a_1"), ..none },
            "1 validation error detected: Value 'a_1' at 'targetVariant' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*$",
        );
        refused(RuntimeHeaders { target_variant: Some("a-"), ..none }, "regular expression");
        refused(RuntimeHeaders { target_variant: Some(&long[..64]), ..none }, "less than or equal to 63");
        refused(RuntimeHeaders { target_model: Some(""), ..none }, "greater than or equal to 1");
        refused(RuntimeHeaders { target_model: Some(&long), ..none }, "less than or equal to 1024");
        refused(RuntimeHeaders { inference_id: Some(&long[..65]), ..none }, "'inferenceId'");
        refused(RuntimeHeaders { prefix_aware_id: Some(""), ..none }, "'prefixAwareId'");
        refused(RuntimeHeaders { assignment_key: Some(&long[..257]), ..none }, "less than or equal to 256");
        refused(RuntimeHeaders { target_container: Some("b"), ..none }, "not a multi-container endpoint");
        refused(RuntimeHeaders { inference_component: Some("b"), ..none }, "Inference Component b not found");
        refused(RuntimeHeaders { explanations: Some("`true`"), ..none }, "no explainer");
        refused(RuntimeHeaders { session_id: Some("NEW_SESSION"), ..none }, "session id");
    }

    fn scope() -> Scope {
        Scope { region: "eu-west-1".into(), account: "000000000000".into() }
    }

    fn check(error: Error, code: ErrorCode, message: &str) {
        let (scope, shown) = (scope(), error.to_string());
        let place = Place { endpoint: "e", scope: &scope };
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
        let place = Place { endpoint: "e", scope: &scope };
        let members = |error: &Error| place.model_error(error).members;
        let found = members(&Error::ContentTypeMissing);
        assert_eq!(found["OriginalStatusCode"], 415);
        assert_eq!(found["OriginalMessage"], "header content-type: expected a media type, found none");
        assert_eq!(
            found["LogStreamArn"],
            "arn:aws:logs:eu-west-1:000000000000:log-group:/aws/sagemaker/Endpoints/e"
        );
        assert_eq!(members(&Error::DeadlineExceeded { limit: Duration::ZERO })["OriginalStatusCode"], 0);
        let long = members(&Error::Parameter("x".repeat(5000)));
        assert_eq!(long["OriginalMessage"].as_str().map(str::len), Some(ORIGINAL_MESSAGE_CHARS_MAX));
    }

    #[test]
    fn who_should_come_again_hears_when() {
        let scope = scope();
        let place = Place { endpoint: "e", scope: &scope };
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
