//! `InvokeEndpointAsync`: requests that are queued, and answered to S3. Answered 202 means stored.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use wire::{AwsError, ErrorCode, Scope, Timestamp};

use super::aws::{self, AwsAnswer};
use crate::control::async_inference::Locations;
use crate::control::async_inference::queue::{AsyncRequest as Queueable, Enqueued, WAITING_MAX};
use crate::control::endpoint::EndpointState;
use crate::control::ids;
use crate::control::record::{self, Kind};
use crate::error::ACCEPTED;
use crate::platform::Platform;

/// The most bytes of a payload that comes with its request. Reason: the service's own limit; larger ones lie in S3.
pub const BODY_BYTES_MAX: usize = 128_000;

/// How long a request may wait, in seconds: the service's own limits and default.
const TTL_S: Limits = Limits { least: 60, most: 21_600, default: 21_600 };

/// How long the model may take, in seconds.
const TIMEOUT_S: Limits = Limits { least: 1, most: 3600, default: 900 };

/// A number that a header may hold.
struct Limits {
    least: u64,
    most: u64,
    default: u64,
}

/// A request for an answer later.
#[derive(Debug)]
pub struct AsyncRequest {
    /// The endpoint's name.
    pub endpoint: String,
    /// `X-Amzn-SageMaker-InputLocation` and the others, unchecked.
    pub headers: HeaderMap,
    /// The payload, when it comes with the request.
    pub body: Bytes,
    /// Region (of the credential scope) and account.
    pub scope: Scope,
    /// The request's id.
    pub request_id: String,
}

/// Queues `request`.
pub async fn answer(platform: &Arc<Platform>, request: AsyncRequest) -> AwsAnswer {
    match try_answer(platform, request).await {
        Ok(answer) => answer,
        Err(error) => aws::rest_error(&error),
    }
}

async fn try_answer(platform: &Arc<Platform>, request: AsyncRequest) -> Result<AwsAnswer, AwsError> {
    let paths = output_paths(platform, &request).await?;
    let queueable = queueable(&request, &paths, Timestamp::now())?;
    let body = (!request.body.is_empty()).then(|| request.body.to_vec());
    let enqueued = platform.async_queue.enqueue(queueable.clone(), body).await.map_err(|error| {
        tracing::error!(%error, "an asynchronous request could not be stored");
        AwsError::internal()
    })?;
    match enqueued {
        Enqueued::New => Ok(accepted(&queueable)),
        Enqueued::Known(known) => Ok(accepted(&known)),
        Enqueued::Full => {
            let message = format!("expected at most {WAITING_MAX} waiting requests, found the queue full");
            Err(AwsError::new(ErrorCode::ServiceUnavailable, message))
        }
    }
}

/// Where an endpoint's outcomes go.
struct OutputPaths {
    output: String,
    failure: Option<String>,
}

/// The endpoint's paths, once it is known to be there, to serve, and to be asynchronous.
async fn output_paths(platform: &Platform, request: &AsyncRequest) -> Result<OutputPaths, AwsError> {
    let (name, account) = (request.endpoint.clone(), &request.scope.account);
    let of_read = name.clone();
    let found = platform
        .database
        .read(move |transaction| record::find(transaction, Kind::Endpoint, &of_read))
        .await
        .map_err(|error| {
            tracing::error!(%error, "an endpoint could not be read");
            AwsError::internal()
        })?;
    let not_found = || {
        let message = format!("Endpoint {name} of account {account} not found.");
        AwsError::new(ErrorCode::ValidationError, message)
    };
    let endpoint = found.filter(|endpoint| endpoint.name == name).ok_or_else(not_found)?;
    let state = EndpointState::of_record(&endpoint).map_err(|_| AwsError::internal())?;
    let fleet = state.fleet.filter(|_| state.status.serves()).ok_or_else(not_found)?;
    let Some(config) = fleet.config.config.get("AsyncInferenceConfig") else {
        let message = format!(
            "Endpoint {name} of account {account} is not an asynchronous endpoint; use InvokeEndpoint."
        );
        return Err(AwsError::new(ErrorCode::ValidationError, message));
    };
    let path = |member: &str| Some(config.get("OutputConfig")?.get(member)?.as_str()?.to_owned());
    let output = path("S3OutputPath").ok_or_else(|| {
        let message =
            format!("Endpoint {name}: expected an S3OutputPath in its AsyncInferenceConfig, found none.");
        AwsError::new(ErrorCode::ValidationError, message)
    })?;
    Ok(OutputPaths { output, failure: path("S3FailurePath") })
}

/// What is stored of `request`.
fn queueable(request: &AsyncRequest, paths: &OutputPaths, now: Timestamp) -> Result<Queueable, AwsError> {
    let text = |member: &'static str, most: usize| header(&request.headers, member, most);
    let input_location = text("InputLocation", 1024)?;
    match (&input_location, request.body.is_empty()) {
        (None, true) => return Err(refused("expected InputLocation or a body, found neither")),
        (Some(_), false) => return Err(refused("expected InputLocation or a body, found both")),
        (Some(location), true) if !is_s3_object(location) => {
            return Err(refused(&format!("InputLocation: expected s3://bucket/key, found {location:?}")));
        }
        _ => {}
    }
    let inference_id = text("Inference-Id", 64)?.unwrap_or_else(ids::uuid);
    let extension = text("S3OutputPathExtension", 512)?;
    let file_name = text("Filename", 32)?;
    if file_name.as_deref().is_some_and(|name| name.contains('/')) {
        return Err(refused("Filename: expected no slash, found one"));
    }
    let locations = Locations::new(
        &paths.output,
        paths.failure.as_deref(),
        &inference_id,
        extension.as_deref(),
        file_name.as_deref(),
    );
    let ttl_s = number(&request.headers, "RequestTTLSeconds", &TTL_S)?;
    Ok(Queueable {
        endpoint: request.endpoint.clone(),
        inference_id,
        input_location,
        content_type: text("Content-Type", 1024)?,
        accept: text("Accept", 1024)?,
        custom_attributes: text("Custom-Attributes", 1024)?,
        output_location: locations.output,
        failure_location: locations.failure,
        invocation_timeout_s: number(&request.headers, "InvocationTimeoutSeconds", &TIMEOUT_S)?,
        received: now,
        expires: now.plus_millis(i64::try_from(ttl_s * 1000).unwrap_or(i64::MAX)),
    })
}

fn is_s3_object(location: &str) -> bool {
    let parts = location.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
}

fn refused(message: &str) -> AwsError {
    AwsError::new(ErrorCode::ValidationError, message)
}

/// The text of `X-Amzn-SageMaker-<member>`, when it is there.
fn header(headers: &HeaderMap, member: &'static str, most: usize) -> Result<Option<String>, AwsError> {
    let Some(value) = headers.get(format!("x-amzn-sagemaker-{}", member.to_ascii_lowercase())) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| refused(&format!("{member}: expected visible ASCII, found other bytes")))?;
    match text.len() {
        0 => Err(refused(&format!("{member}: expected at least 1 character, found none"))),
        found if found > most => {
            Err(refused(&format!("{member}: expected at most {most} characters, found {found}")))
        }
        _ => Ok(Some(text.to_owned())),
    }
}

/// The number of `X-Amzn-SageMaker-<member>`.
fn number(headers: &HeaderMap, member: &'static str, limits: &Limits) -> Result<u64, AwsError> {
    let Some(text) = header(headers, member, 20)? else { return Ok(limits.default) };
    let Limits { least, most, .. } = *limits;
    text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        refused(&format!("{member}: expected a whole number from {least} to {most}, found {text:?}"))
    })
}

fn accepted(request: &Queueable) -> AwsAnswer {
    let mut headers = vec![("x-amzn-sagemaker-outputlocation", request.output_location.clone())];
    if let Some(location) = &request.failure_location {
        headers.push(("x-amzn-sagemaker-failurelocation", location.clone()));
    }
    let body = json!({ "InferenceId": request.inference_id }).to_string().into();
    AwsAnswer { status: ACCEPTED, content_type: "application/json", headers, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &str)], body: &'static str) -> AsyncRequest {
        let fields = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
        });
        AsyncRequest {
            endpoint: "e".into(),
            headers: fields.collect(),
            body: Bytes::from_static(body.as_bytes()),
            scope: Scope { region: "us-east-1".into(), account: "000000000000".into() },
            request_id: "r".into(),
        }
    }

    fn check(headers: &[(&'static str, &str)], body: &'static str) -> Result<Queueable, String> {
        let paths = OutputPaths { output: "s3://b/out".into(), failure: None };
        queueable(&request(headers, body), &paths, Timestamp(1000)).map_err(|error| error.message)
    }

    #[test]
    fn what_is_asked_is_kept_with_its_defaults() {
        let kept = check(
            &[("x-amzn-sagemaker-inputlocation", "s3://b/in"), ("x-amzn-sagemaker-inference-id", "i")],
            "",
        );
        let kept = kept.unwrap();
        assert_eq!((kept.output_location.as_str(), kept.failure_location), ("s3://b/out/i.out", None));
        assert_eq!((kept.invocation_timeout_s, kept.expires), (900, Timestamp(21_601_000)));
        let inline = check(&[("x-amzn-sagemaker-requestttlseconds", "60")], "1,2").unwrap();
        assert_eq!((inline.input_location, inline.expires), (None, Timestamp(61_000)));
        assert_eq!(inline.inference_id.len(), 36);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let location = ("x-amzn-sagemaker-inputlocation", "s3://b/in");
        let refused = |headers: &[(&'static str, &str)], body, words: &str| {
            let message = check(headers, body).expect_err(words);
            assert!(message.contains(words), "{message}");
        };
        refused(&[], "", "found neither");
        refused(&[location], "1", "found both");
        refused(&[("x-amzn-sagemaker-inputlocation", "s3://b")], "", "s3://bucket/key");
        refused(&[location, ("x-amzn-sagemaker-requestttlseconds", "59")], "", "from 60 to 21600");
        refused(&[location, ("x-amzn-sagemaker-invocationtimeoutseconds", "x")], "", "from 1 to 3600");
        refused(&[location, ("x-amzn-sagemaker-filename", "a/b")], "", "no slash");
        let long = "x".repeat(65);
        refused(&[location, ("x-amzn-sagemaker-inference-id", &long)], "", "at most 64");
    }
}
