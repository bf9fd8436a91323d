//! What an AWS service answers when it does not do what it was asked: a closed set of codes, and the one table from
//! code to HTTP status.

use serde_json::{Map, Value};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $status:literal,)*) => {
        /// The code of an error, as clients match it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant,)* }

        impl ErrorCode {
            /// As it stands on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// The HTTP status, where the protocol does not have its own rule (JSON services answer 400 to every
            /// client error).
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

codes! {
    /// A member that is not what it should be, an unknown resource, a wrong state (SageMaker's control plane).
    ValidationException = 400,
    /// The same in SageMaker Runtime, CloudWatch and IAM.
    ValidationError = 400,
    /// Unknown tuning job, model package and the like.
    ResourceNotFound = 400,
    /// A job's name that is taken.
    ResourceInUse = 400,
    /// A quota.
    ResourceLimitExceeded = 400,
    /// Unknown log group or stream.
    ResourceNotFoundException = 400,
    /// A log group or stream that exists already.
    ResourceAlreadyExistsException = 400,
    /// A parameter of Logs.
    InvalidParameterException = 400,
    /// Unknown scalable target or policy.
    ObjectNotFoundException = 400,
    /// Too many policies, actions or alarms.
    LimitExceededException = 400,
    /// A token that this list did not give.
    InvalidNextTokenException = 400,
    /// The same in CloudWatch.
    InvalidNextToken = 400,
    /// A value of CloudWatch's parameters.
    InvalidParameterValue = 400,
    /// Parameters of CloudWatch that exclude each other.
    InvalidParameterCombination = 400,
    /// A parameter of CloudWatch that is missing.
    MissingParameter = 400,
    /// Unknown alarm.
    ResourceNotFoundError = 404,
    /// The service has no such operation here.
    UnknownOperationException = 400,
    /// The same of a Query service.
    InvalidAction = 400,
    /// A body that is not what its protocol says.
    SerializationException = 400,
    /// Too fast.
    ThrottlingException = 400,
    /// The caller may not.
    AccessDeniedException = 403,
    /// The same of a Query service.
    AccessDenied = 403,
    /// A signature that does not fit.
    InvalidSignatureException = 403,
    /// The same of a Query service, and of S3.
    SignatureDoesNotMatch = 403,
    /// No signature at all.
    MissingAuthenticationToken = 403,
    /// An Authorization header that is not one.
    IncompleteSignature = 400,
    /// The same of a JSON service.
    IncompleteSignatureException = 400,
    /// The same as `MissingAuthenticationToken`, of a JSON service.
    MissingAuthenticationTokenException = 403,
    /// An unknown key (JSON services, Runtime).
    UnrecognizedClientException = 403,
    /// An unknown key (Query services).
    InvalidClientTokenId = 403,
    /// An `Authorization` that is not one, or of another region or service (S3).
    AuthorizationHeaderMalformed = 400,
    /// The same in a presigned URL (S3).
    AuthorizationQueryParametersError = 400,
    /// A way to ask that is not served (S3).
    InvalidRequest = 400,
    /// An unknown key (S3).
    InvalidAccessKeyId = 403,
    /// A session token that is not the key's (S3).
    InvalidToken = 400,
    /// A request of another time (S3).
    RequestTimeTooSkewed = 403,
    /// A body that is not the one that was signed (S3).
    XAmzContentSHA256Mismatch = 400,
    /// A body that is not framed as its head says (S3).
    IncompleteBody = 400,
    /// Too fast (Query services).
    Throttling = 400,
    /// Too fast (S3).
    SlowDown = 503,
    /// The model answered with an error, or not in time.
    ModelError = 424,
    /// The model is still being loaded.
    ModelNotReadyException = 429,
    /// No capacity.
    ServiceUnavailable = 503,
    /// A store or another service did not answer.
    InternalDependencyException = 530,
    /// A fault of ours.
    InternalFailure = 500,
    /// The same in S3.
    InternalError = 500,
    /// Something of S3 that is not here.
    NotImplemented = 501,
}

/// Why a service did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct AwsError {
    /// What clients match.
    pub code: ErrorCode,
    /// What people read: expected, found, where.
    pub message: String,
    /// Further members of the error's shape (`OriginalStatusCode` …).
    pub members: Map<String, Value>,
}

impl AwsError {
    /// An error of this code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), members: Map::new() }
    }

    /// With a further member of its shape.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// `ValidationException`.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ValidationException, message)
    }

    /// `InternalFailure`: the cause goes to the log, not to the client.
    pub fn internal() -> Self {
        Self::new(ErrorCode::InternalFailure, "the server failed; its log has the reason")
    }

    /// `UnknownOperationException`, naming the operation.
    pub fn unknown_operation(service: &str, operation: &str) -> Self {
        let message =
            format!("{service} has no operation {operation:?} here; the documentation lists those it has");
        Self::new(ErrorCode::UnknownOperationException, message)
    }
}
