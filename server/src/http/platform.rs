//! `clary up`: one request to one answer. Invocations run where they arrive; everything else on the control runtime.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use codecs::content_encoding::ContentEncoding;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Version};
use tokio::sync::OwnedSemaphorePermit;
use wire::{AwsError, ErrorCode};

use super::accept::Shared;
use super::answer::AnswerBody;
use super::body;
use super::dispatch::{Own, Scope, Target};
use super::request_id::RequestId;
use super::runtime_fields::RuntimeFields;
use super::watch::InFlight;
use crate::error::Error;
use crate::faces::aws::{self, AwsAnswer, AwsRequest, JsonService};
use crate::faces::signals;
use crate::platform::Platform;

/// The most bytes of a body of a JSON or Query service, also unpacked. Reason: the largest there are (a thousand metrics,
/// a batch of log events) have one MiB.
const CONTROL_BODY_BYTES_MAX: usize = 2 << 20;

/// The request's id, as AWS names it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Answers `request`.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    platform: &Arc<Platform>,
    open: InFlight,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let started = Instant::now();
    let id = RequestId::next();
    let (head, mut body) = request.into_parts();
    let mut answer = respond(shared, platform, &head, &mut body, &open, id).await;
    if head.version < Version::HTTP_2 && shared.is_draining.load(Ordering::Relaxed) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    tracing::debug!(
        request_id = %id,
        method = %head.method,
        path = head.uri.path(),
        status = answer.status().as_u16(),
        micros = started.elapsed().as_micros() as u64,
        "request"
    );
    answer
}

async fn respond(
    shared: &Arc<Shared>,
    platform: &Arc<Platform>,
    head: &Parts,
    body: &mut Incoming,
    open: &InFlight,
    id: RequestId,
) -> Response<AnswerBody> {
    let fields = RuntimeFields::of(&head.headers);
    let answer = if fields.base.has_transfer_encoding && open.watch().has_two_lengths() {
        let message = "header content-length: expected none beside transfer-encoding, found both";
        aws::rest_error(&AwsError::new(ErrorCode::ValidationError, message))
    } else {
        Box::pin(buffered(shared, platform, head, &fields, body, id)).await
    };
    // A client that waits for leave to send its body gets its answer instead.
    if !body.is_end_stream() && !fields.base.has_expect {
        body::discard(body).await;
    }
    whole(answer, id)
}

/// An answer that is all here.
fn whole(answer: AwsAnswer, id: RequestId) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::full(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).expect("an id is ASCII"));
    for (name, value) in answer.headers {
        // What a face puts into a header is ours; what cannot stand in one is left out.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

async fn buffered(
    shared: &Arc<Shared>,
    platform: &Arc<Platform>,
    head: &Parts,
    fields: &RuntimeFields<'_>,
    body: &mut Incoming,
    id: RequestId,
) -> AwsAnswer {
    let query = head.uri.query();
    let target = Target::of(head.method.as_str(), head.uri.path(), query, fields);
    let place = match Arc::clone(&shared.control_places).try_acquire_owned() {
        Ok(place) => place,
        Err(_) => {
            return refuse(
                target,
                &AwsError::new(ErrorCode::ServiceUnavailable, "too many requests at once"),
                id,
            );
        }
    };
    match target {
        Target::Json { service, operation } => {
            let request = match read(shared, platform, fields, query, body, id).await {
                Ok(request) => request,
                Err(error) => return refuse(target, &error, id),
            };
            let (of_task, operation) = (Arc::clone(platform), operation.to_owned());
            let work = async move { aws::json(&of_task, service, operation, request).await };
            on_control(platform, place, work)
                .await
                .unwrap_or_else(|| refuse(target, &AwsError::internal(), id))
        }
        Target::Query => {
            let request = match read(shared, platform, fields, query, body, id).await {
                Ok(request) => request,
                Err(error) => return refuse(target, &error, id),
            };
            let of_task = Arc::clone(platform);
            let work = async move { aws::query(&of_task, request).await };
            on_control(platform, place, work)
                .await
                .unwrap_or_else(|| refuse(target, &AwsError::internal(), id))
        }
        Target::Own(own) => own_path(platform, place, own).await,
        Target::UnknownJson(found) => refuse(target, &AwsError::unknown_operation("Clary", found), id),
        Target::Cbor(operation) => {
            refuse(target, &AwsError::unknown_operation("CloudWatch in CBOR", operation), id)
        }
        Target::SageMakerMetrics => {
            refuse(target, &AwsError::unknown_operation("SageMaker Metrics", head.uri.path()), id)
        }
        Target::Runtime { .. } | Target::ExternalScaler(_) | Target::S3 => {
            refuse(target, &AwsError::unknown_operation("Clary", head.uri.path()), id)
        }
    }
}

/// `error` as the protocol of `target` writes it.
fn refuse(target: Target<'_>, error: &AwsError, id: RequestId) -> AwsAnswer {
    match target {
        Target::Json { service, .. } => aws::json_error(service, error, false),
        Target::UnknownJson(_) => aws::json_error(JsonService::SageMaker, error, false),
        Target::Query => aws::form_error(error, &id.to_string()),
        _ => aws::rest_error(error),
    }
}

/// The body of a request to a service, read and unpacked.
async fn read(
    shared: &Shared,
    platform: &Platform,
    fields: &RuntimeFields<'_>,
    query: Option<&str>,
    body: &mut Incoming,
    id: RequestId,
) -> Result<AwsRequest, AwsError> {
    let refused = |error: &Error| AwsError::new(ErrorCode::SerializationException, error.to_string());
    let encoding = fields.base.content_encoding.text("content-encoding").map_err(|error| refused(&error))?;
    let encoding =
        encoding.map(ContentEncoding::parse).transpose().map_err(|error| refused(&error.into()))?;
    let (body, _share) =
        body::read(body, shared, CONTROL_BODY_BYTES_MAX).await.map_err(|error| refused(&error))?;
    let body = match encoding.flatten() {
        None => body,
        Some(encoding) => {
            let mut unpacked = Vec::new();
            let done = encoding.decode(&body, CONTROL_BODY_BYTES_MAX, &mut unpacked);
            done.map_err(|error| refused(&error.into()))?;
            Bytes::from(unpacked)
        }
    };
    let region = Scope::of(fields, query).region.unwrap_or(&platform.scope.region).to_owned();
    let scope = wire::Scope { region, account: platform.scope.account.clone() };
    Ok(AwsRequest { body, scope, request_id: id.to_string(), is_query_mode: fields.is_query_mode })
}

/// Runs `work` on the control runtime: it goes on when the client leaves, and a panic in it is `None`.
async fn on_control<T: Send + 'static>(
    platform: &Platform,
    place: OwnedSemaphorePermit,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let task = platform.runtime.spawn(async move {
        let result = work.await;
        drop(place);
        result
    });
    match task.await {
        Ok(result) => Some(result),
        Err(error) => {
            tracing::error!(%error, "a control request failed; it is answered with an error");
            None
        }
    }
}

async fn own_path(platform: &Arc<Platform>, place: OwnedSemaphorePermit, own: Own) -> AwsAnswer {
    match own {
        Own::Health => {
            let (is_ready, text) = platform.health.report();
            let code = if is_ready { crate::error::Code::Ok } else { crate::error::Code::NotReady };
            AwsAnswer {
                status: code.status(),
                content_type: "text/plain; charset=utf-8",
                headers: Vec::new(),
                body: text.into(),
            }
        }
        Own::Metrics => AwsAnswer {
            status: crate::error::Code::Ok.status(),
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            headers: Vec::new(),
            body: platform.metrics.render().into(),
        },
        Own::Signals => {
            let of_task = Arc::clone(platform);
            let reply = on_control(platform, place, async move { signals::answer(&of_task).await }).await;
            match reply.unwrap_or_else(|| Err(AwsError::internal())) {
                Ok(value) => AwsAnswer {
                    status: crate::error::Code::Ok.status(),
                    content_type: "application/json",
                    headers: Vec::new(),
                    body: value.to_string().into(),
                },
                Err(error) => aws::rest_error(&error),
            }
        }
    }
}
