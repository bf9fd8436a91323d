//! A client of the wire, and its answers.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use objects::{Body, Directory, Domains, S3Wire, WireOptions};

pub(crate) struct Wire {
    pub(crate) wire: S3Wire,
    pub(crate) _scratch: tempfile::TempDir,
}

/// An answer, read.
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// What stands in the first element of this name.
    pub(crate) fn element(&self, name: &str) -> &str {
        let text = self.text();
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        let Some(at) = text.find(&start) else { return "" };
        let rest = &text[at + start.len()..];
        &rest[..rest.find(&end).unwrap()]
    }
}

impl Wire {
    pub(crate) async fn new() -> Self {
        Self::with_domain(None).await
    }

    pub(crate) async fn with_domain(domain: Option<&str>) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let store = Directory::open(scratch.path()).unwrap();
        store.create_bucket("bucket", "").await.unwrap();
        let options = WireOptions {
            account: "000000000000".into(),
            region: "us-east-1".into(),
            domains: Domains::with(domain).unwrap(),
        };
        Self { wire: S3Wire::new(Arc::clone(&store), options), _scratch: scratch }
    }

    pub(crate) async fn call(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let (method, uri) = line.split_once(' ').unwrap();
        let body: Bytes = body.into();
        let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() || method == "PUT" {
            request = request.header("content-length", body.len());
        }
        read(self.wire.call(request.body(Body::from(body)).unwrap()).await).await
    }

    /// Asserts the status, and the code where it is an error with a body.
    pub(crate) async fn check(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        body: &str,
        status: u16,
        code: &str,
    ) -> Answer {
        let answer = self.call(line, headers, body.to_owned()).await;
        let said = format!("{line} {headers:?}: {}", answer.text());
        assert_eq!(answer.head.status.as_u16(), status, "{said}");
        assert_eq!(answer.element("Code"), code, "{said}");
        assert!(!answer.header("x-amz-request-id").is_empty(), "{said}");
        answer
    }

    pub(crate) async fn put(&self, key: &str, body: &str) -> Answer {
        self.check(&format!("PUT /bucket/{key}"), &[], body, 200, "").await
    }
}

pub(crate) async fn read(response: Response<Body>) -> Answer {
    let (head, body) = response.into_parts();
    Answer { head, body: body.collect().await.unwrap().to_bytes() }
}
