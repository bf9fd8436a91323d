//! The requests of `clary up` that are no invocations: read on the data plane, worked on by the control runtime.

use std::sync::Arc;

use ::access::{Caller, Protocol, Resource};
use bytes::Bytes;
use codecs::content_encoding::ContentEncoding;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;
use wire::{AwsError, ErrorCode};

use super::accept::Shared;
use super::access::{self, Door};
use super::answer::AnswerBody;
use super::dispatch::{Own, Scope, Target};
use super::platform::whole;
use super::request_id::RequestId;
use super::runtime_fields::RuntimeFields;
use super::watch::InFlight;
use super::{body, grpc};
use crate::error::{Code, Error};
use crate::faces::async_inference::{self, AsyncRequest};
use crate::faces::aws::{self, AwsAnswer, AwsRequest, JsonService};
use crate::faces::signals;
use crate::platform::Platform;

/// The most bytes of a body of a JSON or Query service, also unpacked. Reason: the largest there are (a thousand metrics,
/// a batch of log events) have one MiB.
const SERVICE_BODY_BYTES_MAX: usize = 2 << 20;

/// A request's head, understood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) head: &'a Parts,
    pub(super) fields: &'a RuntimeFields<'a>,
    pub(super) id: RequestId,
}

/// Answers a request for `target`.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    platform: &Arc<Platform>,
    target: Target<'_>,
    request: Request<'_>,
    body: &mut Incoming,
    open: InFlight,
) -> Response<AnswerBody> {
    let is_health = target == Target::Own(Own::Health);
    // Whether it is well may be known to anybody.
    let door = if is_health { None } else { Some(Door::begin(platform, request.head, &open, target)) };
    let door = match door.transpose() {
        Ok(door) => door,
        Err(error) => return whole(refuse(target, &error, request.id), request.id),
    };
    let is_own = matches!(target, Target::Own(_) | Target::ExternalScaler(_));
    let door = match door {
        Some(door) if is_own => match door.finish_own() {
            Ok(()) => None,
            Err(error) => return whole(refuse(target, &error, request.id), request.id),
        },
        door => door,
    };
    if let Target::ExternalScaler(method) = target {
        return grpc::answer(shared, platform, method, request, body, open).await;
    }
    let Ok(place) = Arc::clone(&shared.control_places).try_acquire_owned() else {
        let error =
            AwsError::new(ErrorCode::ServiceUnavailable, "expected fewer requests at once, found too many");
        return whole(refuse(target, &error, request.id), request.id);
    };
    if let Target::Own(own) = target {
        return own_path(platform, place, own, request).await;
    }
    let Some(door) = door else {
        return whole(refuse(target, &AwsError::internal(), request.id), request.id);
    };
    let answer = buffered(shared, platform, place, target, request, body, door).await;
    whole(answer.unwrap_or_else(|error| refuse(target, &error, request.id)), request.id)
}

async fn buffered(
    shared: &Arc<Shared>,
    platform: &Arc<Platform>,
    place: OwnedSemaphorePermit,
    target: Target<'_>,
    request: Request<'_>,
    body: &mut Incoming,
    door: Door<'_>,
) -> Result<AwsAnswer, AwsError> {
    let of_task = Arc::clone(platform);
    match target {
        Target::Json { service, operation } => {
            let limit = SERVICE_BODY_BYTES_MAX;
            let request =
                read(shared, platform, request, body, limit, door, SigningName::Is(service.signing_name()))
                    .await?;
            let operation = operation.to_owned();
            let work = async move { aws::json(&of_task, service, operation, request).await };
            on_control(platform, place, work).await
        }
        Target::Query => {
            let limit = SERVICE_BODY_BYTES_MAX;
            let request = read(shared, platform, request, body, limit, door, SigningName::OfForm).await?;
            on_control(platform, place, async move { aws::query(&of_task, request).await }).await
        }
        Target::Runtime { endpoint, operation } => {
            let limit = async_inference::BODY_BYTES_MAX;
            let headers = request.head.headers.clone();
            let read = read(shared, platform, request, body, limit, door, SigningName::Is("sagemaker"));
            let AwsRequest { body, caller, scope, request_id, .. } = read.await.map_err(of_runtime)?;
            let may = caller.may(access::invocation(operation), Resource::Endpoint(endpoint));
            may.map_err(|refusal| refusal.to_error(Protocol::Runtime))?;
            let request = AsyncRequest { endpoint: endpoint.to_owned(), headers, body, scope, request_id };
            on_control(platform, place, async move { async_inference::answer(&of_task, request).await }).await
        }
        Target::UnknownJson(found) => Err(AwsError::unknown_operation("Clary", found)),
        Target::Cbor(operation) => Err(AwsError::unknown_operation("CloudWatch in CBOR", operation)),
        Target::SageMakerMetrics => {
            Err(AwsError::unknown_operation("SageMaker Metrics", request.head.uri.path()))
        }
        Target::ExternalScaler(_) | Target::Own(_) | Target::S3 => {
            Err(AwsError::unknown_operation("Clary", request.head.uri.path()))
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

/// Which service a signature has to be for.
#[derive(Debug, Clone, Copy)]
enum SigningName {
    /// This one.
    Is(&'static str),
    /// The one that the form in the body is for.
    OfForm,
}

impl SigningName {
    fn of(self, body: &[u8]) -> Result<&'static str, AwsError> {
        match self {
            Self::Is(name) => Ok(name),
            Self::OfForm => aws::form_signing_name(body),
        }
    }
}

/// A payload is no message that could not be read: its service knows only that it is not valid.
fn of_runtime(error: AwsError) -> AwsError {
    match error.code {
        ErrorCode::SerializationException => AwsError { code: ErrorCode::ValidationError, ..error },
        _ => error,
    }
}

/// The body of a request to a service, read and unpacked, and where the request belongs.
async fn read(
    shared: &Shared,
    platform: &Platform,
    request: Request<'_>,
    body: &mut Incoming,
    limit_bytes: usize,
    door: Door<'_>,
    signing_name: SigningName,
) -> Result<AwsRequest, AwsError> {
    let fields = request.fields;
    let refused = |error: Error| AwsError::new(ErrorCode::SerializationException, error.to_string());
    let encoding = fields.base.content_encoding.text("content-encoding").map_err(refused)?;
    let encoding = encoding.map(ContentEncoding::parse).transpose().map_err(|error| refused(error.into()))?;
    let (mut body, _share) = body::read(body, shared, limit_bytes).await.map_err(refused)?;
    let hash = door.hash(&body);
    if let Some(encoding) = encoding.flatten() {
        let mut unpacked = Vec::new();
        encoding.decode(&body, limit_bytes, &mut unpacked).map_err(|error| refused(error.into()))?;
        body = Bytes::from(unpacked);
    }
    let caller =
        if door.is_open() { Caller::anonymous() } else { door.finish(signing_name.of(&body)?, &hash)? };
    let region = Scope::of(fields, request.head.uri.query()).region.unwrap_or(&platform.scope.region);
    let scope = wire::Scope { region: region.to_owned(), account: platform.scope.account.clone() };
    let (request_id, is_query_mode) = (request.id.to_string(), fields.is_query_mode);
    Ok(AwsRequest { body, caller, scope, request_id, is_query_mode })
}

/// Runs `work` on the control runtime, where it goes on when the client leaves. A panic in it is a fault of ours.
pub(super) async fn on_control<T: Send + 'static>(
    platform: &Platform,
    place: OwnedSemaphorePermit,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, AwsError> {
    let task = platform.runtime.spawn(async move {
        let result = work.await;
        drop(place);
        result
    });
    task.await.map_err(|error| {
        tracing::error!(%error, "a request failed on the control runtime");
        AwsError::internal()
    })
}

async fn own_path(
    platform: &Arc<Platform>,
    place: OwnedSemaphorePermit,
    own: Own,
    request: Request<'_>,
) -> Response<AnswerBody> {
    const TEXT: &str = "text/plain; charset=utf-8";
    const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
    let method = request.head.method.as_str();
    if !matches!(method, "GET" | "HEAD") {
        let error = Error::WrongMethod { allowed: "GET, HEAD", found: crate::error::shortened(method) };
        let mut response = whole(plain(error.code(), TEXT, format!("{error}\n")), request.id);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let answer = match own {
        Own::Health => {
            let (is_ready, text) = platform.health.report();
            plain(if is_ready { Code::Ok } else { Code::NotReady }, TEXT, text)
        }
        Own::Metrics => plain(Code::Ok, METRICS, platform.metrics.render()),
        Own::Signals => {
            let of_task = Arc::clone(platform);
            let reply = on_control(platform, place, async move { signals::answer(&of_task).await }).await;
            match reply.and_then(|reply| reply) {
                Ok(value) => plain(Code::Ok, "application/json", value.to_string()),
                Err(error) => aws::rest_error(&error),
            }
        }
    };
    whole(answer, request.id)
}

fn plain(code: Code, content_type: &'static str, body: impl Into<Bytes>) -> AwsAnswer {
    AwsAnswer { status: code.status(), content_type, headers: Vec::new(), body: body.into() }
}
