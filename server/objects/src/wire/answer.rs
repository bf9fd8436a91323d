//! What happens to an answer after `s3s` wrote it.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use s3s::S3Error;

use crate::Body;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// An error as S3 writes it.
pub(super) fn of_error(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_| super::empty(StatusCode::INTERNAL_SERVER_ERROR))
}

/// With the request's ids; an error says what it is about; where HTTP knows no body, there is none.
pub(super) fn finished(mut response: Response<Body>, resource: &str, is_head: bool) -> Response<Body> {
    let id = request_id();
    if is_head && response.status() == StatusCode::OK && response.headers().contains_key(CONTENT_RANGE) {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if is_head || status == StatusCode::NOT_MODIFIED || status == StatusCode::NO_CONTENT {
        if is_error {
            response.headers_mut().remove(CONTENT_LENGTH);
            response.headers_mut().remove(CONTENT_TYPE);
        }
        *response.body_mut() = Body::empty();
    } else if is_error && let Some(body) = response.body().bytes() {
        let body = located(&body, resource, &id);
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = Body::from(body);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HOST_ID, value.clone());
        response.headers_mut().entry(REQUEST_ID).or_insert(value);
    }
    response
}

/// Errors that `s3s` gives a reason of a word or two.
const REASONS_OF_S3S: [&str; 4] = ["InvalidArgument", "InvalidRequest", "MalformedXML", "NotImplemented"];

/// What an error that `s3s` found says, which names no reason of its own.
fn message(code: &str) -> String {
    let (place, expected) = match code {
        "MalformedXML" | "MissingRequestBodyError" => ("body", "the XML document of this operation"),
        "InvalidURI" => ("path", "a bucket and a key in UTF-8, percent-encoded"),
        "MethodNotAllowed" => ("method", "one that this resource has"),
        "NotImplemented" => ("request", "an operation that this store has"),
        "MissingContentLength" => ("content-length", "the length of the body"),
        _ => ("request", "one that is whole and well-formed"),
    };
    format!("{place}: expected {expected}, found none such")
}

/// `body` with a message, if it has none, and the elements that say where the error happened.
fn located(body: &Bytes, resource: &str, id: &str) -> Bytes {
    let Some(text) = std::str::from_utf8(body).ok().and_then(|text| text.strip_suffix("</Error>")) else {
        return body.clone();
    };
    let resource = escaped(resource);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = code.map(|(code, _)| code).unwrap_or_default();
    let text = if !text.contains("<Message>") {
        text.replacen("</Code>", &format!("</Code><Message>{}</Message>", message(code)), 1)
    } else if !text.contains("expected") && REASONS_OF_S3S.contains(&code) {
        text.replacen("</Message>", &format!(": {}</Message>", message(code)), 1)
    } else {
        text.to_owned()
    };
    Bytes::from(format!("{text}<Resource>{resource}</Resource><RequestId>{id}</RequestId></Error>"))
}

/// Text as XML holds it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// An id of a request: when it came, and a number.
fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) & 0x00FF_FFFF;
    format!("{:010X}{number:06X}", crate::record::now_ms() & 0xFF_FFFF_FFFF)
}
