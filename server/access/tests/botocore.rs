//! Requests that botocore signed: each passes as it is, and fails with a change. `tests/golden/sigv4/make.py` writes them.

#![expect(clippy::unwrap_used, reason = "a test, of a file of ours")]

use access::digest::sha256;
use access::{Access, Credentials, Head, Refusal};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use wire::Timestamp;

const FILE: &str = include_str!("../../../tests/golden/sigv4/botocore.json");

/// 2026-11-24T09:50:46Z, when all were signed.
const NOW: Timestamp = Timestamp(1_795_513_846_000);

#[derive(Deserialize)]
struct File {
    key_id: String,
    secret: String,
    token: String,
    cases: Vec<Case>,
}

#[derive(Deserialize, Clone, Debug)]
struct Case {
    name: String,
    service: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Case {
    fn header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn has_token(&self) -> bool {
        let named = |text: &str| text.to_ascii_lowercase().contains("x-amz-security-token");
        named(&self.query) || self.headers.iter().any(|(name, _)| named(name))
    }

    /// Asks a server that has just this key.
    fn verify(&self, file: &File, now: Timestamp) -> Result<(), Refusal> {
        let token =
            if self.has_token() { format!(r#""session_token":"{}","#, file.token) } else { String::new() };
        let credentials = format!(
            r#"{{"keys":[{{"access_key_id":"{}","secret_access_key":"{}",{token}"allow":{{"actions":["*"]}}}}]}}"#,
            file.key_id, file.secret
        );
        let access = Access::closed(Credentials::parse(credentials.as_bytes(), None).unwrap());
        let headers = self.header_map();
        let head = Head {
            method: &self.method,
            path: &self.path,
            query: Some(self.query.as_str()).filter(|query| !query.is_empty()),
            authority: None,
            headers: &headers,
            client_names: &[],
            takes_tokens: false,
        };
        let pending = access.begin(&head, now)?;
        if self.service != "s3" {
            return pending.finish(&self.service, &sha256(self.body.as_bytes())).map(drop);
        }
        let (_, mut reader) = pending.finish_declared("s3", &headers)?;
        reader.feed(Bytes::from(self.body.clone()), &mut Vec::new())?;
        reader.finish().map(drop)
    }
}

fn file() -> File {
    serde_json::from_str(FILE).unwrap()
}

#[test]
fn what_botocore_signs_passes() {
    let file = file();
    let with_token = file.cases.iter().filter(|case| case.has_token()).count();
    assert!(file.cases.len() > 200 && with_token > 90, "{} {with_token}", file.cases.len());
    for case in &file.cases {
        assert_eq!(case.verify(&file, NOW), Ok(()), "{case:?}");
    }
}

#[test]
fn what_was_changed_on_the_way_does_not() {
    let file = file();
    let refused = |case: &Case, change: &str| {
        assert!(case.verify(&file, NOW).is_err(), "{change}: {case:?}");
    };
    for case in &file.cases {
        refused(&Case { method: "DELETE".into(), ..case.clone() }, "method");
        refused(&Case { path: format!("{}x", case.path), ..case.clone() }, "path");
        if !case.name.ends_with("v2") {
            let separator = if case.query.is_empty() { "" } else { "&" };
            refused(&Case { query: format!("{}{separator}x=1", case.query), ..case.clone() }, "query");
        }
        if !case.name.starts_with("s3 presigned") {
            refused(&Case { body: format!("{}x", case.body), ..case.clone() }, "body");
        }
        let mut added = case.clone();
        added.headers.push(("x-amz-acl".into(), "public-read".into()));
        refused(&added, "a header");
        // A presigned URL is good for its time, another request for five minutes.
        assert!(case.verify(&file, NOW.plus_millis(604_801_000)).is_err(), "too late: {case:?}");
    }
}
