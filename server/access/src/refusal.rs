//! Why a request is refused: a closed set of reasons, and the one table from reason and protocol to AWS's codes.

use wire::{AwsError, ErrorCode, Timestamp};

/// How the addressed service writes errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// AWS JSON 1.0 and 1.1.
    Json,
    /// SageMaker Runtime's REST.
    Runtime,
    /// Query: forms in, XML out.
    Query,
    /// S3.
    S3,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither signature nor token nor certificate.
    #[error("authentication: expected a Signature Version 4{}, found none", also(*takes_tokens))]
    Unsigned {
        /// Whether tokens and certificates would do.
        takes_tokens: bool,
    },
    /// What stands in `Authorization` or in the query is not a signature.
    #[error("{place}: expected {expected}, found {found}")]
    Malformed {
        /// Where: `Authorization` or a parameter of the query.
        place: &'static str,
        /// What should stand there.
        expected: &'static str,
        /// What stands there, described.
        found: String,
    },
    /// A way to sign that is not served.
    #[error("authorization: expected AWS4-HMAC-SHA256, found {0:?}, which is not served")]
    Unsupported(String),
    /// An access key that nobody here has.
    #[error("The AWS Access Key Id {0:?} is not one of this server's")]
    UnknownKey(String),
    /// A bearer token or client certificate that nobody here has.
    #[error("the {0} is not one of this server's")]
    UnknownBearer(&'static str),
    /// A session token that is not the key's.
    #[error("The security token included in the request is invalid")]
    WrongToken,
    /// A signature for another service, region or day.
    #[error("Credential should be scoped to {expected}, found {found:?}")]
    WrongScope {
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A request from too long ago, or from the future.
    #[error(
        "Signature not current: the request is of {}, the server's time is {}, and they may differ by {skew_s} s",
        at.iso8601(), now.iso8601()
    )]
    Skewed {
        /// The request's time.
        at: Timestamp,
        /// The server's.
        now: Timestamp,
        /// The limit.
        skew_s: i64,
    },
    /// A presigned URL after its end.
    #[error("Request has expired: it was good until {}, and it is {}", until.iso8601(), now.iso8601())]
    Expired {
        /// Its end.
        until: Timestamp,
        /// The server's time.
        now: Timestamp,
    },
    /// A header that had to be signed and was not.
    #[error("There were headers present in the request which were not signed: {0}")]
    UnsignedHeader(String),
    /// The signature does not fit the request.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method"
    )]
    Mismatch,
    /// The body is not the one that was signed.
    #[error("body: expected what was signed, found {0}")]
    Body(String),
    /// A body that is not framed as the head says.
    #[error("aws-chunked body: expected {expected}, found {found}")]
    BadBody {
        /// What should come.
        expected: String,
        /// What came.
        found: String,
    },
    /// The same signature a second time.
    #[error("Signature was used before: a request is served once")]
    Replayed,
    /// The allow list does not have it.
    #[error("User: {who} is not authorized to perform: {action} on resource: {resource}")]
    NotAllowed {
        /// Who.
        who: String,
        /// What they wanted.
        action: String,
        /// On what.
        resource: String,
    },
    /// Too many requests.
    #[error("Rate exceeded")]
    Throttled,
}

fn also(takes_tokens: bool) -> &'static str {
    if takes_tokens { ", a bearer token or a client certificate" } else { "" }
}

impl Refusal {
    /// The code that clients of `protocol` know this by.
    pub fn code(&self, protocol: Protocol) -> ErrorCode {
        use ErrorCode as Code;
        use Protocol::{Json, Query, Runtime, S3};
        match (self, protocol) {
            (Self::Unsigned { .. }, Json) => Code::MissingAuthenticationTokenException,
            (Self::Unsigned { .. }, Runtime | Query) => Code::MissingAuthenticationToken,
            (Self::Unsigned { .. }, S3) => Code::AccessDenied,
            (Self::Malformed { .. } | Self::Unsupported(_), Json) => Code::IncompleteSignatureException,
            (Self::Malformed { .. } | Self::Unsupported(_), Runtime | Query) => Code::IncompleteSignature,
            (Self::Malformed { place, .. }, S3) if place.starts_with("query") => {
                Code::AuthorizationQueryParametersError
            }
            (Self::Malformed { .. }, S3) => Code::AuthorizationHeaderMalformed,
            (Self::Unsupported(_), S3) => Code::InvalidRequest,
            (Self::UnknownKey(_) | Self::WrongToken, Json | Runtime) => Code::UnrecognizedClientException,
            (Self::UnknownKey(_) | Self::WrongToken, Query) => Code::InvalidClientTokenId,
            (Self::UnknownKey(_), S3) => Code::InvalidAccessKeyId,
            (Self::WrongToken, S3) => Code::InvalidToken,
            (Self::UnknownBearer(_), Json | Runtime) => Code::AccessDeniedException,
            (Self::WrongScope { .. }, S3) => Code::AuthorizationHeaderMalformed,
            (Self::Skewed { .. }, S3) => Code::RequestTimeTooSkewed,
            (Self::Expired { .. }, S3) => Code::AccessDenied,
            (Self::Body(_), S3) => Code::XAmzContentSHA256Mismatch,
            (Self::BadBody { .. }, S3) => Code::IncompleteBody,
            (Self::UnsignedHeader(_) | Self::Replayed, S3) => Code::AccessDenied,
            (Self::Mismatch, S3) => Code::SignatureDoesNotMatch,
            (
                Self::WrongScope { .. }
                | Self::Skewed { .. }
                | Self::Expired { .. }
                | Self::UnsignedHeader(_)
                | Self::Mismatch
                | Self::Body(_)
                | Self::BadBody { .. }
                | Self::Replayed,
                Json | Runtime,
            ) => Code::InvalidSignatureException,
            (
                Self::WrongScope { .. }
                | Self::Skewed { .. }
                | Self::Expired { .. }
                | Self::UnsignedHeader(_)
                | Self::Mismatch
                | Self::Body(_)
                | Self::BadBody { .. }
                | Self::Replayed,
                Query,
            ) => Code::SignatureDoesNotMatch,
            (Self::NotAllowed { .. }, Json | Runtime) => Code::AccessDeniedException,
            (Self::NotAllowed { .. } | Self::UnknownBearer(_), Query | S3) => Code::AccessDenied,
            (Self::Throttled, Json | Runtime) => Code::ThrottlingException,
            (Self::Throttled, Query) => Code::Throttling,
            (Self::Throttled, S3) => Code::SlowDown,
        }
    }

    /// What the face of `protocol` answers.
    pub fn to_error(&self, protocol: Protocol) -> AwsError {
        AwsError::new(self.code(protocol), self.to_string())
    }
}
