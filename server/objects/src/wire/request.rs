//! What happens to a request before `s3s` reads it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
    RANGE,
};
use http::{Method, Request, Uri};
use http_body::{Frame, SizeHint};
use percent_encoding::percent_decode_str;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::Body;
use crate::domains::Domains;
use crate::trailers::Trailers;

/// Query parameters of signatures, in lower case.
const SIGNATURE_PARAMETERS: [&str; 10] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
    "awsaccesskeyid",
    "signature",
    "expires",
];

/// Headers of signatures, and of the framing that has been taken off the body.
const SIGNATURE_HEADERS: [HeaderName; 5] = [
    AUTHORIZATION,
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-amz-decoded-content-length"),
];

/// Refuses a request meant for another account.
pub(super) fn check_owner(headers: &HeaderMap, account: &str) -> S3Result<()> {
    for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
        if let Some(owner) = headers.get(name).filter(|owner| owner.as_bytes() != account.as_bytes()) {
            let message = format!("{name}: expected {account}, which owns all buckets here, found {owner:?}");
            return Err(S3Error::with_message(S3ErrorCode::AccessDenied, message));
        }
    }
    Ok(())
}

/// Refuses what would have to be encrypted with a client's key: nothing is encrypted here.
pub(super) fn check_encryption(headers: &HeaderMap) -> S3Result<()> {
    let name = "x-amz-server-side-encryption-customer-algorithm";
    if headers.contains_key(name) {
        let message = format!("{name}: expected none, since this store does not encrypt, found one");
        return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
    }
    Ok(())
}

/// Refuses uploads by browsers' forms: their signatures stand in the body, where nobody has checked them.
pub(super) fn check_form<B>(request: &Request<B>) -> S3Result<()> {
    const FORM: &[u8] = b"multipart/form-data";
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_form = content_type.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM));
    if is_form && request.method() == Method::POST {
        let message =
            "content-type: expected none of a form, since this store takes no uploads by forms, found one";
        return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
    }
    Ok(())
}

/// The request with its bucket in the path, wherever it stood: what follows looks there alone.
pub(super) fn with_bucket_in_path<B>(mut request: Request<B>, domains: &Domains) -> S3Result<Request<B>> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let Some(bucket) = host.and_then(|host| domains.bucket(host)) else { return Ok(request) };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("/{bucket}{}{query}", request.uri().path());
    *request.uri_mut() = parsed(&target)?;
    Ok(request)
}

/// The bucket and key that a request names, where it does.
pub(super) fn resource<B>(request: &Request<B>) -> (Option<String>, Option<String>) {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
    let path = path.strip_prefix('/').unwrap_or(&path);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    (some(bucket), some(key))
}

/// The request without what has been dealt with, and with its trailers caught.
pub(super) fn prepared(request: Request<Body>) -> S3Result<Request<Body>> {
    let (mut parts, body) = request.into_parts();
    let decoded_length = parts.headers.get("x-amz-decoded-content-length").cloned();
    for name in &SIGNATURE_HEADERS {
        parts.headers.remove(name);
    }
    if let Some(length) = decoded_length {
        parts.headers.insert(CONTENT_LENGTH, length);
    }
    strip_chunked(&mut parts.headers);
    drop_strange_range(&mut parts.headers);
    parts.uri = without_signature(&parts.uri)?;
    let trailers = parts.extensions.get::<Trailers>().cloned().unwrap_or_default();
    parts.extensions.insert(trailers.clone());
    Ok(Request::from_parts(parts, Body::http_body_unsync(Catching { body, trailers })))
}

/// `aws-chunked` is framing, not an encoding of the object.
fn strip_chunked(headers: &mut HeaderMap) {
    let Some(encoding) = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()) else { return };
    let kept: Vec<_> =
        encoding.split(',').map(str::trim).filter(|name| !name.eq_ignore_ascii_case("aws-chunked")).collect();
    match HeaderValue::from_str(&kept.join(", ")) {
        Ok(value) if !kept.is_empty() => headers.insert(CONTENT_ENCODING, value),
        _ => headers.remove(CONTENT_ENCODING),
    };
}

/// A range of several pieces, or of other units, is ignored, as HTTP allows and S3 does.
fn drop_strange_range(headers: &mut HeaderMap) {
    let parses = |value: &HeaderValue| value.to_str().is_ok_and(|text| s3s::dto::Range::parse(text).is_ok());
    if headers.get(RANGE).is_some_and(|value| !parses(value)) {
        headers.remove(RANGE);
    }
}

fn without_signature(uri: &Uri) -> S3Result<Uri> {
    let Some(query) = uri.query() else { return Ok(uri.clone()) };
    let is_kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        !SIGNATURE_PARAMETERS.iter().any(|parameter| name.eq_ignore_ascii_case(parameter))
    };
    let kept: Vec<_> = query.split('&').filter(is_kept).collect();
    let target =
        if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) };
    parsed(&target)
}

fn parsed(target: &str) -> S3Result<Uri> {
    target.parse().map_err(|_| {
        let message = format!("expected a path and a query, found {target:?}");
        S3Error::with_message(S3ErrorCode::InvalidURI, message)
    })
}

/// A body whose trailers are caught.
struct Catching {
    body: Body,
    trailers: Trailers,
}

impl http_body::Body for Catching {
    type Data = Bytes;
    type Error = s3s::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match frame {
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) => {
                    self.trailers.set(trailers);
                    None
                }
                Err(data) => Some(Ok(data)),
            },
            other => other,
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_taken_off() {
        let check = |given: &str, expected: &str| {
            assert_eq!(without_signature(&given.parse().unwrap()).unwrap().to_string(), expected);
        };
        check("/b/k", "/b/k");
        check("/b/k?X-Amz-Algorithm=AWS4&X-Amz-Signature=1&x-id=GetObject", "/b/k?x-id=GetObject");
        check("/b/k?AWSAccessKeyId=1&Signature=2&Expires=3", "/b/k");
        check("/b?list-type=2&prefix=a%2Fb", "/b?list-type=2&prefix=a%2Fb");
        check("/b/k?uploadId=1&partNumber=2&X-Amz-Expires=5", "/b/k?uploadId=1&partNumber=2");
    }

    #[test]
    fn framing_is_no_encoding() {
        let check = |given: &'static str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(given));
            strip_chunked(&mut headers);
            assert_eq!(headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap()), expected);
        };
        check("aws-chunked", None);
        check("aws-chunked,gzip", Some("gzip"));
        check("gzip", Some("gzip"));
    }

    #[test]
    fn resources_stand_in_the_path_or_the_host() {
        let check = |path: &str, host: &str, expected: (Option<&str>, Option<&str>)| {
            let request = Request::builder().uri(path).header(HOST, host).body(()).unwrap();
            let domains = Domains::with(Some("s3.local")).unwrap();
            let request = with_bucket_in_path(request, &domains).unwrap();
            let (bucket, key) = resource(&request);
            assert_eq!((bucket.as_deref(), key.as_deref()), expected, "{}", request.uri());
        };
        check("/b/a%2Fb?acl", "127.0.0.1:8080", (Some("b"), Some("a/b")));
        check("/b", "s3.local:8080", (Some("b"), None));
        check("/k?acl", "b.s3.local:8080", (Some("b"), Some("k")));
        check("/", "b.s3.local:8080", (Some("b"), None));
        check("//k", "b.localhost", (Some("b"), Some("/k")));
        check("/k%2520?x=%2F", "a.b.localhost", (Some("a.b"), Some("k%20")));
        check("/", "127.0.0.1", (None, None));
    }
}
