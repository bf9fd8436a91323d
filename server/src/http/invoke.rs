//! SageMaker Runtime over HTTP: headers in, the invocation where the request arrived, headers out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::access::{Protocol, Resource};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use wire::event_stream;

use super::accept::Shared;
use super::access::{self, Door};
use super::answer::AnswerBody;
use super::body;
use super::dispatch::{RuntimeOperation, Scope, Target};
use super::fields::CUSTOM_ATTRIBUTES;
use super::request_id::RequestId;
use super::runtime_fields::RuntimeFields;
use super::service::{ANSWER_HEADERS, ARTIFACT, ECHOED_ATTRIBUTES, REQUEST_ID, SERVER_TIMING, server_timing};
use super::watch::{InFlight, Streaming};
use crate::error::Code;
use crate::faces::aws;
use crate::faces::capture::capture;
use crate::faces::container::{InvocationHeaders, RequestClock};
use crate::faces::runtime::{self, Asked, Failed, Place, Predicted, RuntimeHeaders, WireError};
use crate::platform::Platform;

/// The variant that answered.
const VARIANT: HeaderName = HeaderName::from_static("x-amzn-invoked-production-variant");

/// The media type of a streamed prediction, whose own is the stream's.
const PREDICTION_TYPE: HeaderName = HeaderName::from_static("x-amzn-sagemaker-content-type");

/// The most bytes of one part of a streamed prediction. Reason: a client may show a part when it is whole.
const PART_BYTES_MAX: usize = 64 << 10;

/// Answers an invocation, and says whether its body may still be coming.
pub(super) async fn answer(
    shared: &Shared,
    platform: &Platform,
    head: &Parts,
    fields: &RuntimeFields<'_>,
    body: &mut Incoming,
    open: InFlight,
    call: Call<'_>,
) -> Response<AnswerBody> {
    let is_streamed = call.operation == RuntimeOperation::InvokeStream;
    let target = Target::Runtime { endpoint: call.endpoint, operation: call.operation };
    let predicted = match Door::begin(platform, head, &open, target) {
        Ok(door) => predict(shared, platform, fields, body, &call, is_streamed, door).await,
        Err(error) => Err(error.into()),
    };
    match predicted {
        Ok(predicted) if is_streamed => streamed(fields, &call.id, predicted, open),
        Ok(predicted) => whole(fields, &call.id, predicted),
        Err(failed) => refused(platform, head, fields, &call, &failed),
    }
}

/// An operation on an endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// The endpoint's name.
    pub(super) endpoint: &'a str,
    /// What it should do.
    pub(super) operation: RuntimeOperation,
    /// The request's id.
    pub(super) id: RequestId,
    /// When it began, and its draw among variants.
    pub(super) clock: RequestClock,
}

async fn predict(
    shared: &Shared,
    platform: &Platform,
    fields: &RuntimeFields<'_>,
    body: &mut Incoming,
    call: &Call<'_>,
    is_streamed: bool,
    door: Door<'_>,
) -> Result<Predicted, Failed> {
    let base = &fields.base;
    // Of a stream, Accept is the client's wish for the stream itself.
    let accept = if is_streamed { None } else { base.accept()? };
    let prediction_accept = fields.prediction_accept.text("x-amzn-sagemaker-accept")?;
    let of_model = InvocationHeaders {
        content_type: base.content_type.text("content-type")?,
        accept: if is_streamed { prediction_accept } else { accept.as_deref() },
        content_encoding: base.content_encoding.text("content-encoding")?,
        custom_attributes: base.custom_attributes.text(CUSTOM_ATTRIBUTES)?,
    };
    let headers = RuntimeHeaders {
        of_model,
        target_variant: fields.target_variant.text("x-amzn-sagemaker-target-variant")?,
        target_model: fields.target_model.text("x-amzn-sagemaker-target-model")?,
        target_container: fields.target_container.text("x-amzn-sagemaker-target-container-hostname")?,
        inference_component: fields.inference_component.text("x-amzn-sagemaker-inference-component")?,
        inference_id: fields.inference_id.text("x-amzn-sagemaker-inference-id")?,
        explanations: fields.explanations.text("x-amzn-sagemaker-enable-explanations")?,
        session_id: fields.session_id.text("x-amzn-sagemaker-session-id")?,
        prefix_aware_id: fields.prefix_aware_id.text("x-amzn-sagemaker-prefix-aware-id")?,
        assignment_key: fields.assignment_key.text("x-clary-assignment-key")?,
    };
    let asked = Asked { endpoint: call.endpoint, headers, clock: call.clock };
    let admitted = runtime::admit(platform, &asked);
    // Strangers do not hear what endpoints there are: where it is asked who calls, the body has to be read first.
    let (body, _share) = match &admitted {
        Err(_) if door.is_open() => (Bytes::new(), None),
        _ => {
            let (body, share) = body::read(body, shared, shared.limits.body_bytes).await?;
            (body, Some(share))
        }
    };
    let hash = door.hash(&body);
    let caller = door.finish("sagemaker", &hash)?;
    let may = caller.may(access::invocation(call.operation), Resource::Endpoint(call.endpoint));
    may.map_err(|refusal| refusal.to_error(Protocol::Runtime))?;
    let payload = admitted?;
    let mut predicted = runtime::invoke(platform, &caller, &asked, &payload, &body).await?;
    if let Some(plan) = predicted.capture.take() {
        capture(platform, plan, &asked, body, &predicted, call.id.to_string());
    }
    Ok(predicted)
}

fn whole(fields: &RuntimeFields<'_>, id: &RequestId, predicted: Predicted) -> Response<AnswerBody> {
    let mut headers = HeaderMap::with_capacity(ANSWER_HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(predicted.content_type));
    let body = common(&mut headers, fields, id, predicted);
    with_headers(Response::new(AnswerBody::full(body)), headers)
}

fn streamed(
    fields: &RuntimeFields<'_>,
    id: &RequestId,
    predicted: Predicted,
    open: InFlight,
) -> Response<AnswerBody> {
    let mut headers = HeaderMap::with_capacity(ANSWER_HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(event_stream::CONTENT_TYPE));
    headers.insert(PREDICTION_TYPE, HeaderValue::from_static(predicted.content_type));
    let parts = Parted { rest: common(&mut headers, fields, id, predicted) };
    with_headers(Response::new(AnswerBody::stream(parts, Streaming::new(open))), headers)
}

fn with_headers(mut response: Response<AnswerBody>, headers: HeaderMap) -> Response<AnswerBody> {
    *response.headers_mut() = headers;
    response
}

/// The headers of every prediction; gives its body back.
fn common(
    headers: &mut HeaderMap,
    fields: &RuntimeFields<'_>,
    id: &RequestId,
    predicted: Predicted,
) -> Bytes {
    headers.insert(REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).expect("an id is ASCII"));
    insert_shared(headers, VARIANT, predicted.variant);
    insert_shared(headers, ARTIFACT, predicted.digest);
    if let Some(attributes) = fields.base.custom_attributes.value() {
        headers.insert(ECHOED_ATTRIBUTES, attributes.clone());
    }
    if fields.base.wants_timing {
        headers.insert(SERVER_TIMING, server_timing(&predicted.phases));
    }
    predicted.body
}

fn insert_shared(headers: &mut HeaderMap, name: HeaderName, value: Option<Bytes>) {
    // A variant's name and a digest are plain ASCII.
    if let Some(value) = value.and_then(|value| HeaderValue::from_maybe_shared(value).ok()) {
        headers.insert(name, value);
    }
}

fn refused(
    platform: &Platform,
    head: &Parts,
    fields: &RuntimeFields<'_>,
    call: &Call<'_>,
    failed: &Failed,
) -> Response<AnswerBody> {
    let account = platform.scope.account.clone();
    let region = Scope::of(fields, head.uri.query()).region.unwrap_or(&platform.scope.region).to_owned();
    let scope = wire::Scope { region, account };
    if failed.variant.is_none() {
        // No variant counts it.
        platform.metrics.reject(failed.refusal.code());
    }
    let request_id = call.id.to_string();
    let place = Place { endpoint: call.endpoint, scope: &scope, request_id: &request_id };
    let mut response = match place.wire_error(&failed.refusal) {
        WireError::Coded(error, wait) => {
            let mut response = super::platform::whole(aws::rest_error(&error), call.id);
            if let Some(wait) = wait {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
            }
            response
        }
        WireError::TooLarge(text) => {
            let mut response = Response::new(AnswerBody::full(text.into()));
            let status = StatusCode::from_u16(Code::PayloadTooLarge.status());
            *response.status_mut() = status.expect("the table holds statuses of HTTP");
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(call.id.as_bytes()).expect("an id is ASCII"));
            response
        }
    };
    insert_shared(response.headers_mut(), VARIANT, failed.variant.clone());
    response
}

/// A prediction as events, a part at a time.
#[derive(Debug)]
struct Parted {
    rest: Bytes,
}

impl Body for Parted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PART_BYTES_MAX);
        let part = self.rest.split_to(length);
        let mut message = Vec::new();
        event_stream::write_event("PayloadPart", &part, &mut message);
        Poll::Ready(Some(Ok(Frame::data(message.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    fn check(length: usize, parts: &[usize]) {
        let whole: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let mut body = Parted { rest: whole.clone().into() };
        let (mut found, mut lengths) = (Vec::new(), Vec::new());
        while let Some(frame) = body.frame().now_or_never().expect("nothing to wait for") {
            let message = frame.unwrap().into_data().unwrap();
            let (message, _) = event_stream::read(&message).unwrap().expect("a whole message a frame");
            assert_eq!(message.header(":event-type"), Some("PayloadPart"));
            lengths.push(message.payload.len());
            found.extend_from_slice(message.payload);
        }
        assert_eq!((found, &*lengths), (whole, parts));
    }

    #[test]
    fn parts_are_short_and_together_the_whole() {
        check(0, &[]);
        check(1, &[1]);
        check(PART_BYTES_MAX, &[PART_BYTES_MAX]);
        check(PART_BYTES_MAX + 1, &[PART_BYTES_MAX, 1]);
        check(3 * PART_BYTES_MAX, &[PART_BYTES_MAX; 3]);
    }
}
