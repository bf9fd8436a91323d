//! Everything that can go wrong with a request, by meaning, and the one table from meaning to HTTP. No other module
//! knows a status code.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use codecs::content_encoding::ContentEncodingError;
use codecs::{ContentTypeError, DecodeError};
use models::{LoadError, PredictError};

use crate::serving::ModelCache;
use crate::store::StoreError;

/// The status of what was taken in, to be done later; nothing on the data plane ends so.
pub const ACCEPTED: u16 = 202;

/// How a request ended: a closed set, for the wire, metrics and logs alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Answered.
    Ok,
    /// An empty body: nothing to predict.
    NoContent,
    /// A header, parameter or payload that is not what it should be.
    BadRequest,
    /// No such path, or no such model.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// No answer format that the client accepts.
    NotAcceptable,
    /// The body came too slowly.
    BodyTimeout,
    /// The model is loaded already.
    AlreadyLoaded,
    /// The body is over the limit, packed or unpacked.
    PayloadTooLarge,
    /// A media type or encoding that is not served, or a payload that is not of its type (XGBoost).
    UnsupportedMediaType,
    /// The prediction panicked, or we have a fault.
    Internal,
    /// The queue of predictions is full.
    QueueFull,
    /// No model is loaded yet, or the server drains.
    NotReady,
    /// The request's time was over before its answer.
    DeadlineExceeded,
    /// Requests still hold the model that should go.
    ModelInUse,
    /// The model does not fit into the memory that models may hold.
    OutOfMemory,
    /// The model is being loaded.
    ModelCold,
    /// As many requests are under way as the variant may have.
    Throttled,
}

impl Code {
    /// All, for tables of counters.
    pub const ALL: [Self; 18] = [
        Self::Ok,
        Self::NoContent,
        Self::BadRequest,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::BodyTimeout,
        Self::AlreadyLoaded,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::Internal,
        Self::QueueFull,
        Self::NotReady,
        Self::DeadlineExceeded,
        Self::ModelInUse,
        Self::OutOfMemory,
        Self::ModelCold,
        Self::Throttled,
    ];

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::NoContent => 204,
            Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::BodyTimeout => 408,
            Self::AlreadyLoaded => 409,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::ModelCold | Self::Throttled => 429,
            Self::Internal => 500,
            Self::QueueFull | Self::NotReady | Self::DeadlineExceeded | Self::ModelInUse => 503,
            Self::OutOfMemory => 507,
        }
    }

    /// The name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NoContent => "no_content",
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::BodyTimeout => "body_timeout",
            Self::AlreadyLoaded => "already_loaded",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Internal => "internal",
            Self::QueueFull => "queue_full",
            Self::NotReady => "not_ready",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::ModelInUse => "model_in_use",
            Self::OutOfMemory => "out_of_memory",
            Self::ModelCold => "model_cold",
            Self::Throttled => "throttled",
        }
    }

    /// How long a client should wait before it tries again; `None` where trying again does not help.
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::QueueFull
            | Self::NotReady
            | Self::DeadlineExceeded
            | Self::ModelInUse
            | Self::ModelCold
            | Self::Throttled => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// Why a request has no prediction for an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such path.
    #[error("path: expected {expected}, found {found:?}")]
    UnknownPath {
        /// What there is.
        expected: &'static str,
        /// What was asked for, shortened.
        found: String,
    },
    /// The path is right, the method is not.
    #[error("method: expected {allowed}, found {found:?}")]
    WrongMethod {
        /// The methods of the path, as `Allow` lists them.
        allowed: &'static str,
        /// The request's.
        found: String,
    },
    /// A header is not what it should be.
    #[error("header {name}: expected {expected}, found {found}")]
    Header {
        /// The header.
        name: &'static str,
        /// What it may hold.
        expected: &'static str,
        /// What it holds, described.
        found: String,
    },
    /// A query parameter or a JSON body of `/models` is not what it should be.
    #[error("{0}")]
    Parameter(String),
    /// No Content-Type; formats are never guessed.
    #[error("header content-type: expected a media type, found none")]
    ContentTypeMissing,
    /// A Content-Type that is not served.
    #[error("header content-type: {0}")]
    ContentType(#[source] ContentTypeError),
    /// No answer format that the client accepts.
    #[error("header accept: {0}")]
    Accept(#[source] ContentTypeError),
    /// A body that cannot be unpacked.
    #[error(transparent)]
    ContentEncoding(#[from] ContentEncodingError),
    /// The payload is not rows that the model takes.
    #[error("payload: {source}")]
    Decode {
        /// What was expected, found, and where.
        source: DecodeError,
        /// Whether the model's family reports this as an unsupported media type.
        is_unsupported: bool,
    },
    /// The model does not take the rows.
    #[error("payload: {0}")]
    Predict(#[from] PredictError),
    /// The body is over the limit.
    #[error("body: expected at most {limit_bytes} bytes, found more")]
    BodyTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The body came too slowly.
    #[error("body: expected its end in time, found {received_bytes} bytes")]
    BodyTimeout {
        /// What came.
        received_bytes: usize,
    },
    /// The body broke off or is not framed as HTTP frames it.
    #[error("body: expected its end, found {received_bytes} bytes and {reason}")]
    BodyBroken {
        /// What came.
        received_bytes: usize,
        /// What then happened.
        reason: String,
    },
    /// No model can answer yet.
    #[error("model: expected one that is ready, found {0}")]
    NotReady(String),
    /// Too many predictions wait.
    #[error("queue: expected fewer than {limit} predictions waiting, found it full")]
    QueueFull {
        /// The queue's length.
        limit: usize,
    },
    /// The bodies in flight take all the memory that they may.
    #[error("memory: expected bodies of at most {limit_bytes} bytes in flight, found more")]
    BodiesFull {
        /// What they may take.
        limit_bytes: usize,
    },
    /// The request's time is over.
    #[error("time: expected an answer within {} s, found the prediction not finished", limit.as_secs_f32())]
    DeadlineExceeded {
        /// What it had.
        limit: Duration,
    },
    /// A panic in a prediction.
    #[error("the prediction failed; the server's log has the reason")]
    Panicked,
    /// No such model in a multi-model server.
    #[error("model {0:?}: expected a loaded one, found none of this name")]
    ModelNotFound(String),
    /// The model is loaded already.
    #[error("model {0:?}: expected a new name, found it loaded")]
    ModelAlreadyLoaded(String),
    /// The model does not fit.
    #[error("memory: expected at most {free_bytes} of {limit_bytes} bytes, found a model of {needed_bytes}")]
    OutOfMemory {
        /// What the model takes.
        needed_bytes: u64,
        /// What is left.
        free_bytes: u64,
        /// What there is.
        limit_bytes: u64,
    },
    /// Requests still hold the model.
    #[error(
        "model {0:?}: expected its requests to end in time, found some running; its memory is freed when they end"
    )]
    ModelInUse(String),
    /// An artifact that cannot be loaded.
    #[error("artifact: {0}")]
    Load(#[from] LoadError),
    /// No such endpoint, or none that serves.
    #[error("endpoint {0:?}: expected one that serves, found none of this name")]
    EndpointNotFound(String),
    /// No variant of the TargetVariant's name.
    #[error("variant {0:?}: expected one of the endpoint, found none of this name")]
    VariantNotFound(String),
    /// A TargetModel where there is one model.
    #[error("target model: expected none, since the variant has one model, found {0:?}")]
    NotMultiModel(String),
    /// No TargetModel where there are many models.
    #[error("target model: expected one, since the variant has many models, found none")]
    TargetModelMissing,
    /// The model is not loaded: warm it, then invoke again.
    #[error("model of variant {:?}: expected it loaded, found it cold", String::from_utf8_lossy(variant))]
    ModelCold {
        /// The variant's name.
        variant: Bytes,
        /// Where it is to be loaded.
        cache: Arc<ModelCache>,
    },
    /// The object of a TargetModel cannot be had.
    #[error("model data s3://{bucket}/{key}: expected an object, found none")]
    ModelDataNotFound {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// Too many models are being loaded.
    #[error("loads: expected fewer than {limit} under way, found no less")]
    LoadsFull {
        /// How many may be.
        limit: usize,
    },
    /// As many requests are under way as the variant may have.
    #[error("requests under way: expected fewer than {limit}, found no less")]
    Throttled {
        /// How many may be.
        limit: u32,
    },
    /// The asynchronous queue is the only way to this endpoint, or no way.
    #[error("endpoint: expected {expected} invocations, found another kind")]
    WrongInvocation {
        /// `synchronous` or `asynchronous`.
        expected: &'static str,
    },
    /// The place where artifacts are kept does not answer.
    #[error("artifact: {0}")]
    Store(#[from] StoreError),
}

impl Error {
    /// What it means, in the closed set.
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownPath { .. } | Self::ModelNotFound(_) | Self::EndpointNotFound(_) => Code::NotFound,
            Self::WrongMethod { .. } => Code::MethodNotAllowed,
            Self::ContentTypeMissing | Self::ContentType(ContentTypeError::Unsupported { .. }) => {
                Code::UnsupportedMediaType
            }
            Self::Accept(ContentTypeError::Unsupported { .. }) => Code::NotAcceptable,
            Self::ContentEncoding(ContentEncodingError::Unsupported(_)) => Code::UnsupportedMediaType,
            Self::ContentEncoding(ContentEncodingError::TooLarge { .. }) | Self::BodyTooLarge { .. } => {
                Code::PayloadTooLarge
            }
            Self::Decode { source: DecodeError::Malformed { .. }, is_unsupported: true } => {
                Code::UnsupportedMediaType
            }
            // SageMaker's container answers 500 where an objective has no selectable answers.
            Self::Panicked | Self::Predict(PredictError::Unsupported(_)) => Code::Internal,
            Self::Header { .. }
            | Self::Parameter(_)
            | Self::ContentType(_)
            | Self::Accept(_)
            | Self::ContentEncoding(_)
            | Self::Decode { .. }
            | Self::Predict(_)
            | Self::BodyBroken { .. }
            | Self::Load(_)
            | Self::VariantNotFound(_)
            | Self::NotMultiModel(_)
            | Self::TargetModelMissing
            | Self::ModelDataNotFound { .. }
            | Self::WrongInvocation { .. } => Code::BadRequest,
            Self::BodyTimeout { .. } => Code::BodyTimeout,
            Self::NotReady(_) | Self::Store(_) => Code::NotReady,
            Self::ModelCold { .. } | Self::LoadsFull { .. } => Code::ModelCold,
            Self::Throttled { .. } => Code::Throttled,
            Self::QueueFull { .. } | Self::BodiesFull { .. } => Code::QueueFull,
            Self::DeadlineExceeded { .. } => Code::DeadlineExceeded,
            Self::ModelAlreadyLoaded(_) => Code::AlreadyLoaded,
            Self::OutOfMemory { .. } => Code::OutOfMemory,
            Self::ModelInUse(_) => Code::ModelInUse,
        }
    }

    /// The methods to list in `Allow`, when that is what the client got wrong.
    pub fn allowed(&self) -> Option<&'static str> {
        match self {
            Self::WrongMethod { allowed, .. } => Some(allowed),
            _ => None,
        }
    }
}

/// The most characters of foreign text in a message. Reason: enough to recognise it, too little to fill a log.
const FOUND_CHARS_MAX: usize = 120;

/// Foreign text, printable and short enough for a message.
pub fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(FOUND_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use codecs::{Expected, Place};

    use super::*;

    fn check(error: &Error, status: u16) {
        assert_eq!(error.code().status(), status, "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }

    fn malformed(is_unsupported: bool) -> Error {
        let expected = Expected::Phrase("a number");
        let source = DecodeError::Malformed { place: Place::default(), expected, found: "x".into() };
        Error::Decode { source, is_unsupported }
    }

    fn width(is_unsupported: bool) -> Error {
        let source =
            DecodeError::Width { place: Place::default(), expected: Expected::Features(2), found: 3 };
        Error::Decode { source, is_unsupported }
    }

    #[test]
    fn each_meaning_has_its_status() {
        let unsupported = || ContentTypeError::Unsupported { found: "a/b".into(), served: "text/csv" };
        let parameter = || ContentTypeError::Parameter {
            name: "label_size".into(),
            expected: "a count",
            found: "x".into(),
        };
        check(&Error::UnknownPath { expected: "/ping", found: "/".into() }, 404);
        check(&Error::WrongMethod { allowed: "GET", found: "PUT".into() }, 405);
        check(&Error::ContentTypeMissing, 415);
        check(&Error::ContentType(unsupported()), 415);
        check(&Error::ContentType(parameter()), 400);
        check(&Error::Accept(unsupported()), 406);
        check(&Error::Accept(parameter()), 400);
        check(&malformed(true), 415);
        check(&malformed(false), 400);
        check(&width(true), 400);
        check(&width(false), 400);
        check(&Error::Predict(PredictError::Width { expected: 1, found: 2 }), 400);
        check(&Error::Predict(PredictError::Unsupported(String::new())), 500);
        check(&Error::ContentEncoding(ContentEncodingError::Unsupported("x".into())), 415);
        check(&Error::ContentEncoding(ContentEncodingError::TooLarge { limit_bytes: 1 }), 413);
        check(
            &Error::ContentEncoding(ContentEncodingError::Damaged {
                encoding: "gzip",
                reason: "it ends".into(),
            }),
            400,
        );
        check(&Error::BodyTooLarge { limit_bytes: 1 }, 413);
        check(&Error::BodyTimeout { received_bytes: 1 }, 408);
        check(&Error::NotReady("none".into()), 503);
        check(&Error::QueueFull { limit: 1 }, 503);
        check(&Error::BodiesFull { limit_bytes: 1 }, 503);
        check(&Error::DeadlineExceeded { limit: Duration::from_secs(60) }, 503);
        check(&Error::Panicked, 500);
        check(&Error::ModelNotFound("a".into()), 404);
        check(&Error::ModelAlreadyLoaded("a".into()), 409);
        check(&Error::OutOfMemory { needed_bytes: 3, free_bytes: 1, limit_bytes: 2 }, 507);
        check(&Error::Load(LoadError::Unrecognised("x".into())), 400);
        check(&Error::EndpointNotFound("a".into()), 404);
        check(&Error::VariantNotFound("a".into()), 400);
        check(&Error::NotMultiModel("a".into()), 400);
        check(&Error::TargetModelMissing, 400);
        check(&Error::ModelDataNotFound { bucket: "b".into(), key: "k".into() }, 400);
        check(&Error::WrongInvocation { expected: "asynchronous" }, 400);
        check(&Error::LoadsFull { limit: 1 }, 429);
        check(&Error::Throttled { limit: 1 }, 429);
        check(&Error::Store(StoreError::Url { url: "s3:".into(), expected: "s3://bucket/key" }), 503);
    }

    #[test]
    fn every_code_is_listed_once_with_a_name_of_its_own() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        for (index, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index);
            assert_eq!(code.retry_after().is_some(), matches!(code.status(), 429 | 503));
        }
    }

    #[test]
    fn foreign_text_is_short_and_printable() {
        assert_eq!(shortened("a\r\nb"), "a\u{fffd}\u{fffd}b");
        assert_eq!(shortened(&"x".repeat(500)).len(), FOUND_CHARS_MAX);
    }
}
