//! A signer of requests, written plainly after AWS's documentation: what the verifier is held to.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test and bench takes what it needs")]

use access::digest::{hex, hmac, hmac_key, sha256};
use access::{Access, Caller, Credentials, Head, Refusal};
use http::HeaderMap;
use wire::Timestamp;

/// The moment of all requests, in milliseconds and as it is signed.
pub const NOW: Timestamp = Timestamp(1_795_513_846_000);
pub const MOMENT: &str = "20261124T095046Z";

pub const KEY_ID: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request, owned.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub service: &'static str,
    pub region: &'static str,
}

impl Request {
    /// An invocation as boto3 sends it.
    pub fn invocation() -> Self {
        let headers = [
            ("host", "127.0.0.1:8080"),
            ("content-type", "text/csv"),
            ("accept", "application/json"),
            ("x-amz-date", MOMENT),
            ("x-amzn-sagemaker-custom-attributes", "trace=  a"),
            ("amz-sdk-invocation-id", "0b8b1f1c-cd1b-42c9-a8cb-1e1e5bfb5c1d"),
            ("amz-sdk-request", "attempt=1"),
        ];
        Self {
            method: "POST".into(),
            path: "/endpoints/churn/invocations".into(),
            query: String::new(),
            headers: headers.map(|(name, value)| (name.into(), value.into())).to_vec(),
            body: b"1.0,2.0,3.0\n".to_vec(),
            service: "sagemaker",
            region: "us-east-1",
        }
    }

    /// A write of an object.
    pub fn put_object() -> Self {
        let mut request = Self::invocation();
        request.method = "PUT".into();
        request.path = "/models/a%20b/%C3%A9".into();
        request.service = "s3";
        let hash = hex(&sha256(&request.body));
        request.headers.push(("x-amz-content-sha256".into(), hash));
        request
    }

    pub fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(known, _)| known == name).expect("it is there").1
    }

    fn canonical(&self, names: &str, payload: &str) -> String {
        let mut pairs: Vec<_> = self.query.split('&').filter(|pair| !pair.is_empty()).collect();
        pairs.sort_by_key(|pair| pair.split_once('='));
        let headers: String = names
            .split(';')
            .map(|name| {
                let values = self.headers.iter().filter(|(known, _)| known == name);
                let values: Vec<_> =
                    values.map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
                format!("{name}:{}\n", values.join(","))
            })
            .collect();
        // Paths of tests are plain where the service is not S3.
        let query = pairs.join("&");
        [self.method.as_str(), &self.path, &query, &headers, names, payload].join("\n")
    }

    /// The value of `Authorization`.
    pub fn authorization(&self, key_id: &str, secret: &str) -> String {
        let mut names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let names = names.join(";");
        let moment =
            self.headers.iter().find(|(name, _)| name == "x-amz-date").map_or(MOMENT, |(_, value)| value);
        let payload = self.headers.iter().find(|(name, _)| name == "x-amz-content-sha256");
        let payload = payload.map_or_else(|| hex(&sha256(&self.body)), |(_, value)| value.clone());
        let scope = format!("{}/{}/{}/aws4_request", &moment[..8], self.region, self.service);
        let canonical = hex(&sha256(self.canonical(&names, &payload).as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{canonical}");
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in scope.split('/') {
            key = hmac(&hmac_key(&key), part.as_bytes()).to_vec();
        }
        let signature = hex(&hmac(&hmac_key(&key), text.as_bytes()));
        format!("AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }

    /// With its signature.
    #[must_use]
    pub fn signed(mut self) -> Self {
        let authorization = self.authorization(KEY_ID, SECRET);
        self.headers.push(("authorization".into(), authorization));
        self
    }

    pub fn header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: http::HeaderName = name.parse().expect("a name of a test");
            map.append(name, http::HeaderValue::from_bytes(value.as_bytes()).expect("a value of a test"));
        }
        map
    }

    pub fn head<'a>(&'a self, headers: &'a HeaderMap) -> Head<'a> {
        let query = Some(self.query.as_str()).filter(|query| !query.is_empty());
        let (method, path, authority) = (self.method.as_str(), self.path.as_str(), None);
        Head { method, path, query, authority, headers, client_names: &[], takes_tokens: true }
    }

    /// Asks `access` about it.
    pub fn verify(&self, access: &Access, now: Timestamp) -> Result<Caller, Refusal> {
        let headers = self.header_map();
        let pending = access.begin(&self.head(&headers), now)?;
        if self.service != "s3" {
            return pending.finish(self.service, &sha256(&self.body));
        }
        let (caller, mut reader) = pending.finish_declared("s3", &headers)?;
        reader.feed(self.body.clone().into(), &mut Vec::new())?;
        reader.finish()?;
        Ok(caller)
    }
}

/// A server that knows one key, which may do everything.
pub fn access() -> Access {
    access_with("")
}

/// The same, with further members of the key.
pub fn access_with(members: &str) -> Access {
    let file = format!(
        r#"{{"keys":[{{"access_key_id":"{KEY_ID}","secret_access_key":"{SECRET}",{members}
            "allow":{{"actions":["*"],"endpoints":["*"],"buckets":["*"]}}}}]}}"#
    );
    Access::closed(Credentials::parse(file.as_bytes(), None).expect("a file of a test"))
}
