//! `clary up`: one request to one answer. Invocations run where they arrive; everything else on the control runtime.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Version};
use wire::{AwsError, ErrorCode};

use super::accept::Shared;
use super::answer::AnswerBody;
use super::dispatch::{RuntimeOperation, Target};
use super::request_id::{self, RequestId};
use super::runtime_fields::RuntimeFields;
use super::service::REQUEST_ID;
use super::watch::InFlight;
use super::{body, invoke, objects, services};
use crate::faces::aws::{self, AwsAnswer};
use crate::faces::container::RequestClock;
use crate::platform::Platform;

/// Answers `request`.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    platform: &Arc<Platform>,
    open: InFlight,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let started = Instant::now();
    let id = RequestId::next();
    let (head, body) = request.into_parts();
    let mut body = Some(body);
    let fields = RuntimeFields::of(&head.headers);
    let query = head.uri.query();
    let mut answer = if fields.base.has_transfer_encoding && open.watch().has_two_lengths() {
        let message = "header content-length: expected none beside transfer-encoding, found both";
        whole(aws::rest_error(&AwsError::new(ErrorCode::ValidationError, message)), id)
    } else {
        match Target::of(head.method.as_str(), head.uri.path(), query, &fields) {
            Target::Runtime { endpoint, operation } if operation != RuntimeOperation::InvokeAsync => {
                let clock = RequestClock { started, point: request_id::point() };
                let call = invoke::Call { endpoint, operation, id, clock };
                invoke::answer(shared, platform, &head, &fields, rest(&mut body), open, call).await
            }
            // Boxed, so that an invocation does not carry the room for it.
            target => {
                let request = services::Request { head: &head, fields: &fields, id };
                Box::pin(boxed(shared, platform, target, request, &mut body, open)).await
            }
        }
    };
    // A client that waits for leave to send its body gets its answer instead.
    if let Some(body) = body.as_mut().filter(|body| !body.is_end_stream() && !fields.base.has_expect) {
        body::discard(body).await;
    }
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

/// The body, which nobody has taken yet.
fn rest(body: &mut Option<Incoming>) -> &mut Incoming {
    body.as_mut().expect("the body is there until it is handed to the store")
}

/// Answers what is no invocation; of a body that was handed on, what was not read comes back.
async fn boxed(
    shared: &Arc<Shared>,
    platform: &Arc<Platform>,
    target: Target<'_>,
    request: services::Request<'_>,
    body: &mut Option<Incoming>,
    open: InFlight,
) -> Response<AnswerBody> {
    match (target, body.take()) {
        (Target::S3, Some(whole)) => {
            let (answer, unread) = objects::answer(shared, platform, request, whole, open).await;
            *body = unread;
            answer
        }
        (_, whole) => {
            *body = whole;
            services::answer(shared, platform, target, request, rest(body), open).await
        }
    }
}

/// An answer that is all here.
pub(super) fn whole(answer: AwsAnswer, id: RequestId) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::full(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).expect("faces take statuses from tables");
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
