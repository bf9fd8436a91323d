//! SageMaker Runtime: what the headers of an invocation may hold, how it runs, and what its failures are called.
//!
//! An invocation costs here what it costs `clary serve`: nothing is formatted or kept unless it fails.

mod failure;
mod headers;

use std::sync::Arc;
use std::time::Instant;

use access::{Caller, Protocol};
use bytes::Bytes;
use codecs::{ContentType, Format};
use wire::{AwsError, Timestamp};

use super::container::{InvocationHeaders, Payload, RequestClock};
use crate::error::Error;
use crate::metrics::Phases;
use crate::platform::Platform;
use crate::serving::capture::CapturePlan;
use crate::serving::{Endpoint, Invocation, Invoked, ModelCache, Models, ON_DEMAND};

pub use failure::{Place, Refusal, WireError};
pub use headers::RuntimeHeaders;

/// The format of a payload whose request names none, or only says that it is bytes. Reason: plain clients send no
/// Content-Type, and every model takes CSV; what a payload looks like is never asked.
pub const CONTENT_TYPE_DEFAULT: ContentType = ContentType::new(Format::Csv);

/// The largest body that a serverless variant takes. Reason: the service's own limit, which clients are built for.
const SERVERLESS_BODY_BYTES_MAX: usize = 4 << 20;

/// What a client says that knows no better.
const ANY_BYTES: &str = "application/octet-stream";

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
    pub refusal: Box<Refusal>,
    /// The variant that was asked, when it came so far.
    pub variant: Option<Bytes>,
}

impl<T: Into<Refusal>> From<T> for Failed {
    fn from(refusal: T) -> Self {
        Self { refusal: Box::new(refusal.into()), variant: None }
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
    let of_model =
        InvocationHeaders { content_type: told(headers.of_model.content_type), ..headers.of_model };
    Ok(of_model.check()?)
}

/// The Content-Type that tells something, of the one that is `given`.
pub(crate) fn told(given: Option<&str>) -> Option<&str> {
    given.filter(|text| *text != ANY_BYTES)
}

/// Runs an invocation that was [admitted](admit); a model that is not loaded is waited for.
///
/// # Errors
/// When there is no prediction.
pub async fn invoke(
    platform: &Platform,
    caller: &Caller,
    asked: &Asked<'_>,
    payload: &Payload,
    body: &Bytes,
) -> Result<Predicted, Failed> {
    if body.len() > SERVERLESS_BODY_BYTES_MAX && is_serverless(platform, asked.endpoint) {
        return Err(Refusal::Oversize.into());
    }
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
    if caller.has_variant_rate() {
        take_turn(platform, caller, &invocation)?;
    }
    let invoked = platform.server.invoke(&invocation, body).await;
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

fn is_serverless(platform: &Platform, endpoint: &str) -> bool {
    let endpoint = platform.server.endpoint(endpoint);
    endpoint
        .is_some_and(|endpoint| endpoint.arms().iter().any(|arm| matches!(arm.models, Models::OnDemand(_))))
}

/// Takes the request out of its caller's rate to the variant that will answer: the same draw chooses the same again.
fn take_turn(platform: &Platform, caller: &Caller, invocation: &Invocation<'_>) -> Result<(), AwsError> {
    let Some(endpoint) = platform.server.endpoint(invocation.endpoint) else { return Ok(()) };
    // What cannot be chosen is refused where it is invoked.
    let Ok(arm) = endpoint.choose_for(invocation) else { return Ok(()) };
    let variant = String::from_utf8_lossy(&endpoint.arms()[arm].name);
    let turn = caller.admit(invocation.endpoint, &variant, Timestamp::now());
    turn.map_err(|refusal| refusal.to_error(Protocol::Runtime))
}

fn predicted(invoked: Invoked) -> Result<Predicted, Failed> {
    let Invoked { digest, variant, capture, result } = invoked;
    match result {
        Ok(prediction) => {
            let (body, content_type) = (prediction.body, prediction.content_type);
            Ok(Predicted { body, content_type, variant, digest, phases: prediction.phases, capture })
        }
        Err(error) => Err(Failed { refusal: Box::new(error.into()), variant }),
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
    Err(Failed { refusal: Box::new(refusal), variant: Some(variant) })
}
