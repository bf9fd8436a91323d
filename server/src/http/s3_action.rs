//! What a request to S3 does, in IAM's words: an action, and the bucket that it is done to.

use std::borrow::Cow;

use access::{Caller, Refusal, Resource};
use hyper::header::HeaderMap;
use objects::Domains;
use percent_encoding::percent_decode_str;

/// An action on a bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Action<'a> {
    /// `s3:GetObject` and its like.
    pub(super) name: &'static str,
    /// The bucket; `None` for the list of all.
    pub(super) bucket: Option<Cow<'a, str>>,
}

impl<'a> Action<'a> {
    /// Of a request's head, whose bucket stands in its path or, below a name of this server, in its host.
    pub(super) fn of(
        method: &str,
        path: &'a str,
        query: Option<&str>,
        host: Option<&'a str>,
        domains: &Domains,
    ) -> Self {
        let rest = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = match host.and_then(|host| domains.bucket(host)) {
            Some(bucket) => (Cow::Borrowed(bucket), rest),
            None => {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                (percent_decode_str(bucket).decode_utf8_lossy(), key)
            }
        };
        let query = Query(query.unwrap_or_default());
        if bucket.is_empty() {
            return Self { name: "s3:ListAllMyBuckets", bucket: None };
        }
        let name = if key.is_empty() { of_bucket(method, query) } else { of_object(method, query) };
        Self { name, bucket: Some(bucket) }
    }

    /// Whether `caller` may do it, and read the source where it is a copy.
    ///
    /// # Errors
    /// When not.
    pub(super) fn check(&self, caller: &Caller, headers: &HeaderMap) -> Result<(), Refusal> {
        let resource = self.bucket.as_deref().map_or(Resource::Other, Resource::Bucket);
        caller.may(self.name, resource)?;
        let Some(source) = headers.get("x-amz-copy-source") else { return Ok(()) };
        let source = String::from_utf8_lossy(source.as_bytes());
        let source = percent_decode_str(source.strip_prefix('/').unwrap_or(&source)).decode_utf8_lossy();
        caller.may("s3:GetObject", Resource::Bucket(source.split('/').next().unwrap_or_default()))
    }
}

/// The names of a query's parameters.
#[derive(Clone, Copy)]
struct Query<'a>(&'a str);

impl Query<'_> {
    fn has(self, name: &str) -> bool {
        self.0.split('&').any(|pair| pair.split('=').next() == Some(name))
    }
}

fn of_bucket(method: &str, query: Query<'_>) -> &'static str {
    let has = |name| query.has(name);
    match method {
        "GET" if has("location") => "s3:GetBucketLocation",
        "GET" if has("uploads") => "s3:ListBucketMultipartUploads",
        "GET" if has("versions") => "s3:ListBucketVersions",
        "GET" if has("versioning") => "s3:GetBucketVersioning",
        "GET" if has("acl") => "s3:GetBucketAcl",
        "GET" if has("tagging") => "s3:GetBucketTagging",
        "GET" if has("policy") => "s3:GetBucketPolicy",
        "GET" | "HEAD" => "s3:ListBucket",
        "PUT" if has("versioning") => "s3:PutBucketVersioning",
        "PUT" if has("acl") => "s3:PutBucketAcl",
        "PUT" if has("tagging") => "s3:PutBucketTagging",
        "PUT" if has("policy") => "s3:PutBucketPolicy",
        "PUT" => "s3:CreateBucket",
        "DELETE" if has("tagging") => "s3:PutBucketTagging",
        "DELETE" if has("policy") => "s3:DeleteBucketPolicy",
        "DELETE" => "s3:DeleteBucket",
        "POST" if has("delete") => "s3:DeleteObject",
        _ => "s3:PutObject",
    }
}

fn of_object(method: &str, query: Query<'_>) -> &'static str {
    let has = |name| query.has(name);
    match method {
        "GET" if has("uploadId") => "s3:ListMultipartUploadParts",
        "GET" if has("acl") => "s3:GetObjectAcl",
        "GET" if has("tagging") => "s3:GetObjectTagging",
        "GET" if has("attributes") => "s3:GetObjectAttributes",
        "GET" | "HEAD" => "s3:GetObject",
        "POST" if has("select") => "s3:GetObject",
        "POST" if has("restore") => "s3:RestoreObject",
        "PUT" if has("acl") => "s3:PutObjectAcl",
        "PUT" if has("tagging") => "s3:PutObjectTagging",
        "DELETE" if has("uploadId") => "s3:AbortMultipartUpload",
        "DELETE" if has("tagging") => "s3:DeleteObjectTagging",
        "DELETE" => "s3:DeleteObject",
        _ => "s3:PutObject",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, host: &str, name: &str, bucket: Option<&str>) {
        let (method, uri) = line.split_once(' ').unwrap();
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        let domains = Domains::with(Some("s3.local")).unwrap();
        let action = Action::of(method, path, query, Some(host), &domains);
        assert_eq!((action.name, action.bucket.as_deref()), (name, bucket), "{line}");
    }

    #[test]
    fn requests_are_actions_on_buckets() {
        check("GET /", "h", "s3:ListAllMyBuckets", None);
        check("GET /b", "h", "s3:ListBucket", Some("b"));
        check("GET /b/?list-type=2", "h", "s3:ListBucket", Some("b"));
        check("HEAD /b", "h", "s3:ListBucket", Some("b"));
        check("PUT /b", "h", "s3:CreateBucket", Some("b"));
        check("DELETE /b", "h", "s3:DeleteBucket", Some("b"));
        check("GET /b?location", "h", "s3:GetBucketLocation", Some("b"));
        check("GET /b?uploads", "h", "s3:ListBucketMultipartUploads", Some("b"));
        check("POST /b?delete", "h", "s3:DeleteObject", Some("b"));
        check("GET /b/k", "h", "s3:GetObject", Some("b"));
        check("HEAD /b/k/l", "h", "s3:GetObject", Some("b"));
        check("PUT /b/k", "h", "s3:PutObject", Some("b"));
        check("PUT /b/k?partNumber=1&uploadId=x", "h", "s3:PutObject", Some("b"));
        check("POST /b/k?uploads", "h", "s3:PutObject", Some("b"));
        check("DELETE /b/k", "h", "s3:DeleteObject", Some("b"));
        check("DELETE /b/k?uploadId=x", "h", "s3:AbortMultipartUpload", Some("b"));
        check("GET /b/k?tagging", "h", "s3:GetObjectTagging", Some("b"));
        check("GET /%62/k", "h", "s3:GetObject", Some("b"));
        check("GET /k/l", "b.s3.local:80", "s3:GetObject", Some("b"));
        check("GET /", "b.s3.local:80", "s3:ListBucket", Some("b"));
        check("GET /b", "s3.local:80", "s3:ListBucket", Some("b"));
        check("PUT //k", "b.localhost:1", "s3:PutObject", Some("b"));
    }
}
