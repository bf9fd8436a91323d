//! The hosting contract of a SageMaker container: `/ping`, `/invocations`, `/execution-parameters`, `/metrics`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use codecs::ContentType;
use codecs::content_encoding::ContentEncoding;
use serde::Serialize;

use super::multi_model::MultiModel;
use super::{Answer, TEXT};
use crate::error::{Code, Error, shortened};
use crate::metrics::{Metrics, Phases};
use crate::serving::{Health, Invocation, Invoked, ModelServer};

/// The endpoint of a server of one model.
pub const ENDPOINT: &str = "model";

/// The longest header value, as SageMaker Runtime has it.
const HEADER_CHARS_MAX: usize = 1024;

/// What batch transform may have in flight altogether, in MiB: `MaxPayloadInMB` × `MaxConcurrentTransforms`.
const BATCH_IN_FLIGHT_MIB_MAX: usize = 100;

/// The container: what its routes need.
#[derive(Debug)]
pub struct Container {
    /// The data plane.
    pub server: Arc<ModelServer>,
    /// What `/ping` says.
    pub health: Arc<Health>,
    /// What `/metrics` says.
    pub metrics: Arc<Metrics>,
    /// The models of a multi-model server; `None` serves one.
    pub models: Option<Arc<MultiModel>>,
    /// Threads that predict.
    pub workers: usize,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// From a request's head to its answer.
    pub request_timeout: Duration,
}

/// The headers of an invocation, as text.
#[derive(Debug, Clone, Copy, Default)]
pub struct InvocationHeaders<'a> {
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Content-Encoding`.
    pub content_encoding: Option<&'a str>,
    /// `X-Amzn-SageMaker-Custom-Attributes`: passed through, and echoed.
    pub custom_attributes: Option<&'a str>,
}

/// What the headers say of the body, checked before it is read.
#[derive(Debug, Clone, Copy)]
pub struct Payload {
    pub(super) content_type: Option<ContentType>,
    pub(super) encoding: Option<ContentEncoding>,
}

impl InvocationHeaders<'_> {
    /// Checks everything that does not need the body or the model.
    ///
    /// # Errors
    /// When a header is not what it should be.
    pub fn check(&self) -> Result<Payload, Error> {
        let lengths = [
            ("content-type", self.content_type),
            ("accept", self.accept),
            ("x-amzn-sagemaker-custom-attributes", self.custom_attributes),
        ];
        for (name, value) in lengths {
            let length = value.map_or(0, str::len);
            if length > HEADER_CHARS_MAX {
                let expected = "at most 1024 characters";
                return Err(Error::Header { name, expected, found: format!("{length}") });
            }
        }
        // Whether its absence matters, the body decides: an empty one has no type.
        let content_type =
            self.content_type.map(ContentType::parse).transpose().map_err(Error::ContentType)?;
        let encoding = match self.content_encoding {
            None => None,
            Some(encoding) => ContentEncoding::parse(encoding)?,
        };
        Ok(Payload { content_type, encoding })
    }
}

/// `GET /execution-parameters`, as batch transform reads it.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct ExecutionParameters {
    max_concurrent_transforms: usize,
    batch_strategy: &'static str,
    #[serde(rename = "MaxPayloadInMB")]
    max_payload_in_mb: usize,
}

impl ExecutionParameters {
    fn new(workers: usize, body_bytes_max: usize) -> Self {
        let share_mib = (BATCH_IN_FLIGHT_MIB_MAX / workers).max(1);
        Self {
            max_concurrent_transforms: workers,
            batch_strategy: "MULTI_RECORD",
            max_payload_in_mb: (body_bytes_max >> 20).min(share_mib),
        }
    }
}

impl Container {
    /// `GET /ping`: waits for nothing.
    pub fn ping(&self) -> Answer {
        let (is_ready, text) = self.health.report();
        Answer::new(if is_ready { Code::Ok } else { Code::NotReady }, TEXT, text)
    }

    /// `GET /execution-parameters`.
    pub fn execution_parameters(&self) -> Answer {
        Answer::json(&ExecutionParameters::new(self.workers, self.body_bytes_max))
    }

    /// `GET /metrics`.
    pub fn metrics(&self) -> Answer {
        Answer::new(Code::Ok, "text/plain; version=0.0.4; charset=utf-8", self.metrics.render())
    }

    /// `POST /invocations`, once its body is there: what `endpoint` says to it.
    pub async fn invoke(
        &self,
        endpoint: &str,
        headers: &InvocationHeaders<'_>,
        payload: Payload,
        body: Bytes,
        clock: RequestClock,
    ) -> Answer {
        if body.is_empty() {
            return self.no_content(endpoint);
        }
        let Some(content_type) = payload.content_type else {
            return self.refuse(endpoint, &Error::ContentTypeMissing);
        };
        let invocation = Invocation {
            endpoint,
            content_type,
            encoding: payload.encoding,
            accept: headers.accept,
            point: clock.point,
            assignment_key: None,
            custom_attributes: None,
            target_variant: None,
            target_model: None,
            is_asynchronous: false,
            is_warmed: false,
            started: clock.started,
            deadline: clock.started + self.request_timeout,
        };
        let Invoked { digest, result, .. } = self.server.invoke(&invocation, &body).await;
        let mut answer = match result {
            Ok(prediction) if prediction.rows == 0 => return self.no_content(endpoint),
            Ok(prediction) => {
                let phases: Option<Phases> = Some(prediction.phases);
                Answer { phases, ..Answer::new(Code::Ok, prediction.content_type, prediction.body) }
            }
            Err(Error::EndpointNotFound(_)) => Answer::error(&self.not_ready()),
            Err(error) => Answer::error(&error),
        };
        answer.digest = digest;
        answer
    }

    /// An answer to a request that did not reach the model.
    pub fn refuse(&self, endpoint: &str, error: &Error) -> Answer {
        self.metrics.reject(error.code());
        Answer { digest: self.server.digest(endpoint), ..Answer::error(error) }
    }

    /// An empty payload has no prediction; but where there is no model, it has no answer either.
    pub fn no_content(&self, endpoint: &str) -> Answer {
        match self.server.digest(endpoint) {
            None => self.refuse(endpoint, &self.not_ready()),
            digest => Answer { digest, ..Answer::new(Code::NoContent, TEXT, Bytes::new()) },
        }
    }

    /// Why no model answers.
    fn not_ready(&self) -> Error {
        Error::NotReady(self.health.report().1.trim_end().to_owned())
    }

    /// The error of a path that is not served, with those that are.
    pub fn unknown_path(&self, path: &str) -> Error {
        let expected = match self.models {
            None => "/ping, /invocations, /execution-parameters or /metrics",
            Some(_) => "/ping, /models…, /execution-parameters or /metrics",
        };
        Error::UnknownPath { expected, found: shortened(path) }
    }
}

/// When a request began, and its draw among variants.
#[derive(Debug, Clone, Copy)]
pub struct RequestClock {
    /// When its head was there.
    pub started: Instant,
    /// A draw, uniform over all 64 bits.
    pub point: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: InvocationHeaders<'_>, code: Code) {
        assert_eq!(headers.check().map_or_else(|error| error.code(), |_| Code::Ok), code, "{headers:?}");
    }

    #[test]
    fn headers_are_checked_before_the_body_is_read() {
        let csv = InvocationHeaders { content_type: Some("text/csv"), ..InvocationHeaders::default() };
        let long = "x".repeat(HEADER_CHARS_MAX + 1);
        check(csv, Code::Ok);
        check(InvocationHeaders::default(), Code::Ok);
        check(InvocationHeaders { content_type: Some("image/png"), ..csv }, Code::UnsupportedMediaType);
        check(InvocationHeaders { content_type: Some("text/csv; label_size=x"), ..csv }, Code::BadRequest);
        check(InvocationHeaders { content_encoding: Some("gzip"), ..csv }, Code::Ok);
        check(InvocationHeaders { content_encoding: Some("lzma"), ..csv }, Code::UnsupportedMediaType);
        check(InvocationHeaders { custom_attributes: Some(&long), ..csv }, Code::BadRequest);
        check(InvocationHeaders { custom_attributes: Some(&long[1..]), ..csv }, Code::Ok);
        check(InvocationHeaders { accept: Some(&long), ..csv }, Code::BadRequest);
    }

    fn parameters(workers: usize, body_bytes_max: usize, json: &str) {
        assert_eq!(serde_json::to_string(&ExecutionParameters::new(workers, body_bytes_max)).unwrap(), json);
    }

    #[test]
    fn execution_parameters_keep_batch_transforms_rule() {
        parameters(
            2,
            6 << 20,
            r#"{"MaxConcurrentTransforms":2,"BatchStrategy":"MULTI_RECORD","MaxPayloadInMB":6}"#,
        );
        parameters(
            50,
            6 << 20,
            r#"{"MaxConcurrentTransforms":50,"BatchStrategy":"MULTI_RECORD","MaxPayloadInMB":2}"#,
        );
    }
}
