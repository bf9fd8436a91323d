//! `clary serve`: one request to one answer: route, headers, body, face; and the headers that every answer has.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Version};

use super::accept::Shared;
use super::answer::AnswerBody;
use super::body;
use super::fields::{self, Fields};
use super::request_id::{self, RequestId};
use super::route::Route;
use super::watch::Watch;
use crate::error::{Code, Error};
use crate::faces::Answer;
use crate::faces::container::{Container, ENDPOINT, InvocationHeaders, RequestClock};
use crate::faces::multi_model::{self, MultiModel};
use crate::metrics::Phases;

/// The digest of the artifact that answered.
pub(super) const ARTIFACT: HeaderName = HeaderName::from_static("x-clary-artifact");
/// The request's id, as AWS names it.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// As the client sent them.
pub(super) const ECHOED_ATTRIBUTES: HeaderName = HeaderName::from_static(fields::CUSTOM_ATTRIBUTES);
/// How long the phases took.
pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Headers of a usual answer, `Date` and `Content-Length` included. Reason: one allocation instead of two.
pub(super) const ANSWER_HEADERS: usize = 8;

/// Answers `request`.
pub(super) async fn answer(
    shared: &Shared,
    container: &Container,
    watch: &Watch,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let started = Instant::now();
    let id = RequestId::next();
    let (head, mut body) = request.into_parts();
    let fields = Fields::of(&head.headers);
    let clock = RequestClock { started, point: request_id::point() };
    let answer = if fields.has_transfer_encoding && watch.has_two_lengths() {
        let (expected, found) = ("none beside transfer-encoding", "both".into());
        container.refuse(ENDPOINT, &Error::Header { name: "content-length", expected, found })
    } else {
        dispatch(shared, container, &head, &fields, &mut body, clock).await
    };
    // A client that waits for leave to send its body gets its answer instead; one that is too slow was waited for.
    let is_sending = !body.is_end_stream() && answer.code != Code::BodyTimeout;
    if is_sending && !fields.has_expect {
        body::discard(&mut body).await;
    }
    tracing::debug!(
        request_id = %id,
        method = %head.method,
        path = head.uri.path(),
        code = answer.code.as_str(),
        micros = started.elapsed().as_micros() as u64,
        "request"
    );
    respond(shared, container, &head, &fields, &id, answer)
}

async fn dispatch(
    shared: &Shared,
    container: &Container,
    head: &Parts,
    fields: &Fields<'_>,
    body: &mut Incoming,
    clock: RequestClock,
) -> Answer {
    let path = head.uri.path();
    let route = match Route::of(head.method.as_str(), path, container.models.is_some()) {
        Ok(Some(route)) => route,
        Ok(None) => return container.refuse(ENDPOINT, &container.unknown_path(path)),
        Err(error) => return container.refuse(ENDPOINT, &error),
    };
    match route {
        Route::Invoke => invoke(shared, container, ENDPOINT, fields, body, clock).await,
        Route::Ping => container.ping(),
        Route::ExecutionParameters => container.execution_parameters(),
        Route::Metrics => container.metrics(),
        _ => {
            let models = container.models.as_ref().expect("the route is one of a multi-model server");
            match route {
                Route::InvokeModel(name) => match models.find(name) {
                    Ok(()) => invoke(shared, container, name, fields, body, clock).await,
                    Err(error) => container.refuse(name, &error),
                },
                Route::ListModels => models.list(head.uri.query()),
                Route::DescribeModel(name) => models.describe(name),
                Route::UnloadModel(name) => models.unload(name).await,
                _ => load_model(shared, container, models, body).await,
            }
        }
    }
}

async fn load_model(
    shared: &Shared,
    container: &Container,
    models: &Arc<MultiModel>,
    body: &mut Incoming,
) -> Answer {
    match body::read(body, shared, multi_model::BODY_BYTES_MAX).await {
        Ok((body, _share)) => models.load(&body).await,
        Err(error) => container.refuse(ENDPOINT, &error),
    }
}

async fn invoke(
    shared: &Shared,
    container: &Container,
    endpoint: &str,
    fields: &Fields<'_>,
    body: &mut Incoming,
    clock: RequestClock,
) -> Answer {
    if body.is_end_stream() {
        return container.no_content(endpoint);
    }
    match try_invoke(shared, container, endpoint, fields, body, clock).await {
        Ok(answer) => answer,
        Err(error) => container.refuse(endpoint, &error),
    }
}

async fn try_invoke(
    shared: &Shared,
    container: &Container,
    endpoint: &str,
    fields: &Fields<'_>,
    body: &mut Incoming,
    clock: RequestClock,
) -> Result<Answer, Error> {
    let accept = fields.accept()?;
    let headers = InvocationHeaders {
        content_type: fields.content_type.text("content-type")?,
        accept: accept.as_deref(),
        content_encoding: fields.content_encoding.text("content-encoding")?,
        custom_attributes: fields.custom_attributes.text(fields::CUSTOM_ATTRIBUTES)?,
    };
    let payload = headers.check()?;
    let (body, _share) = body::read(body, shared, shared.limits.body_bytes).await?;
    Ok(container.invoke(endpoint, &headers, payload, body, clock).await)
}

fn respond(
    shared: &Shared,
    container: &Container,
    head: &Parts,
    fields: &Fields<'_>,
    id: &RequestId,
    answer: Answer,
) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::full(answer.body));
    let status = StatusCode::from_u16(answer.code.status()).expect("the table holds statuses of HTTP");
    *response.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(ANSWER_HEADERS);
    if answer.code != Code::NoContent {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    }
    let id = HeaderValue::from_bytes(id.as_bytes()).expect("an id is ASCII");
    headers.insert(REQUEST_ID, id);
    if let Some(digest) = answer.digest.or_else(|| container.server.digest(ENDPOINT)) {
        headers.insert(ARTIFACT, HeaderValue::from_maybe_shared(digest).expect("a digest is hexadecimal"));
    }
    if let Some(attributes) = fields.custom_attributes.value().filter(|_| answer.phases.is_some()) {
        headers.insert(ECHOED_ATTRIBUTES, attributes.clone());
    }
    if let Some(phases) = answer.phases.filter(|_| fields.wants_timing) {
        headers.insert(SERVER_TIMING, server_timing(&phases));
    }
    if let Some(wait) = answer.code.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    if let Some(allowed) = answer.allowed {
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    if shared.is_draining.load(Ordering::Relaxed) && head.version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    *response.headers_mut() = headers;
    response
}

pub(super) fn server_timing(phases: &Phases) -> HeaderValue {
    let mut text = String::new();
    for (name, time) in phases.named() {
        let separator = if text.is_empty() { "" } else { ", " };
        write!(text, "{separator}{name};dur={}", time.as_nanos() as f64 / 1e6)
            .expect("a String takes what it is given");
    }
    HeaderValue::try_from(text).expect("names and numbers are ASCII")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn server_timing_is_in_milliseconds() {
        let phases = Phases { decode: Duration::from_micros(12), ..Phases::default() };
        assert_eq!(server_timing(&phases), "queue;dur=0, decode;dur=0.012, predict;dur=0, encode;dur=0");
    }
}
