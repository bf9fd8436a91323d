//! Sub-resources that this store has nothing to say about: access lists, policies, versions and the like.
//!
//! What is asked gets the neutral answer of a fresh bucket. What is set is taken where ignoring it harms nobody; where a client
//! would rely on it to keep, delete or guard data, it is refused, so that nobody believes in what is not there.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::answer::escaped;
use super::{WireOptions, empty};
use crate::Body;
use crate::condition::Conditions;
use crate::directory::Directory;

/// What a read of a sub-resource finds.
#[derive(Debug, Clone, Copy)]
enum Neutral {
    /// A document without content, of this root element.
    Document(&'static str),
    /// The owner may do everything.
    AccessList,
    /// Who uses the bucket pays: the owner.
    Payer,
    /// This error.
    Missing(&'static str),
}

/// What a write of a sub-resource does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// Nothing, which harms nobody.
    Ignored,
    /// It is refused.
    Refused,
}

/// A sub-resource.
#[derive(Debug, Clone, Copy)]
struct SubResource {
    name: &'static str,
    read: Neutral,
    write: Write,
}

const fn entry(name: &'static str, read: Neutral, write: Write) -> SubResource {
    SubResource { name, read, write }
}

const OF_BUCKETS: [SubResource; 21] = [
    entry("acl", Neutral::AccessList, Write::Ignored),
    entry("accelerate", Neutral::Document("AccelerateConfiguration"), Write::Refused),
    entry("analytics", Neutral::Document("ListBucketAnalyticsConfigurationsResult"), Write::Refused),
    entry("cors", Neutral::Missing("NoSuchCORSConfiguration"), Write::Ignored),
    entry("encryption", Neutral::Missing("ServerSideEncryptionConfigurationNotFoundError"), Write::Ignored),
    entry(
        "intelligent-tiering",
        Neutral::Document("ListBucketIntelligentTieringConfigurationsOutput"),
        Write::Refused,
    ),
    entry("inventory", Neutral::Document("ListInventoryConfigurationsResult"), Write::Refused),
    entry("lifecycle", Neutral::Missing("NoSuchLifecycleConfiguration"), Write::Refused),
    entry("logging", Neutral::Document("BucketLoggingStatus"), Write::Ignored),
    entry("metrics", Neutral::Document("ListMetricsConfigurationsResult"), Write::Refused),
    entry("notification", Neutral::Document("NotificationConfiguration"), Write::Refused),
    entry("object-lock", Neutral::Missing("ObjectLockConfigurationNotFoundError"), Write::Refused),
    entry("ownershipControls", Neutral::Missing("OwnershipControlsNotFoundError"), Write::Ignored),
    entry("policy", Neutral::Missing("NoSuchBucketPolicy"), Write::Refused),
    entry("policyStatus", Neutral::Missing("NoSuchBucketPolicy"), Write::Refused),
    entry("publicAccessBlock", Neutral::Missing("NoSuchPublicAccessBlockConfiguration"), Write::Ignored),
    entry("replication", Neutral::Missing("ReplicationConfigurationNotFoundError"), Write::Refused),
    entry("requestPayment", Neutral::Payer, Write::Refused),
    entry("tagging", Neutral::Missing("NoSuchTagSet"), Write::Ignored),
    entry("versioning", Neutral::Document("VersioningConfiguration"), Write::Refused),
    entry("website", Neutral::Missing("NoSuchWebsiteConfiguration"), Write::Refused),
];

const OF_OBJECTS: [SubResource; 3] = [
    entry("acl", Neutral::AccessList, Write::Ignored),
    entry("legal-hold", Neutral::Missing("NoSuchObjectLockConfiguration"), Write::Refused),
    entry("retention", Neutral::Missing("NoSuchObjectLockConfiguration"), Write::Refused),
];

/// What else stands in the queries of the operations that are served.
const OF_OPERATIONS: [&str; 32] = [
    "attributes",
    "bucket-region",
    "continuation-token",
    "delete",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "location",
    "marker",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "start-after",
    "tagging",
    "upload-id-marker",
    "uploadId",
    "uploads",
    "version-id-marker",
    "versionId",
    "versions",
];

/// Refuses a request about a part of a bucket or object that nothing here knows: it would else be taken for one about the
/// whole, so that deleting an object's annotation would delete the object. Names without a value name such parts; other
/// parameters that nobody knows are ignored, as S3 does.
///
/// # Errors
/// `NotImplemented`, naming the part.
pub(super) fn refuse_unknown<B>(request: &Request<B>, is_of_object: bool) -> S3Result<()> {
    let table = if is_of_object { &OF_OBJECTS[..] } else { &OF_BUCKETS[..] };
    let is_known = |name: &str| OF_OPERATIONS.contains(&name) || table.iter().any(|entry| entry.name == name);
    let pairs = request.uri().query().unwrap_or_default().split('&');
    let mut names =
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).filter(|(_, value)| value.is_empty());
    match names.find(|(name, _)| !name.is_empty() && !is_known(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let of = if is_of_object { "an object" } else { "a bucket" };
            let message = format!("{name}: expected a part of {of} that this store has, found another");
            Err(S3Error::with_message(S3ErrorCode::NotImplemented, message))
        }
    }
}

/// What a request asks of which sub-resources.
#[derive(Debug)]
pub(super) struct Asked {
    names: Vec<String>,
    method: Method,
}

/// The sub-resources that a request may be about.
pub(super) fn find<B>(request: &Request<B>) -> Option<Asked> {
    let query = request.uri().query()?;
    if !matches!(*request.method(), Method::GET | Method::PUT | Method::DELETE) {
        return None;
    }
    let names: Vec<_> =
        query.split('&').filter_map(|pair| pair.split('=').next()).map(str::to_owned).collect();
    let all = || OF_BUCKETS.iter().chain(&OF_OBJECTS);
    let is_known = names.iter().any(|name| all().any(|entry| entry.name == name));
    is_known.then(|| Asked { names, method: request.method().clone() })
}

/// The answer, if the request is about one.
pub(super) async fn answer(
    store: &Arc<Directory>,
    options: &WireOptions,
    asked: Asked,
    (bucket, key): (Option<String>, Option<String>),
) -> S3Result<Option<Response<Body>>> {
    let Some(bucket) = bucket else { return Ok(None) };
    let table = if key.is_some() { &OF_OBJECTS[..] } else { &OF_BUCKETS[..] };
    let Some(entry) = table.iter().find(|entry| asked.names.iter().any(|name| name == entry.name)) else {
        return Ok(None);
    };
    match &key {
        Some(key) => drop(store.head(&bucket, key, Conditions::default()).await?),
        None => drop(store.find_bucket(&bucket).await?),
    }
    let is_of_one = asked.names.iter().any(|name| name == "id");
    Ok(Some(match asked.method {
        Method::GET => read(entry, options, is_of_one),
        // What never was there is gone.
        Method::DELETE => empty(StatusCode::NO_CONTENT),
        _ if entry.write == Write::Ignored => empty(StatusCode::OK),
        _ => {
            let message = format!(
                "{}: expected none to be set, since this store has no such thing, found one",
                entry.name
            );
            return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
        }
    }))
}

fn read(entry: &SubResource, options: &WireOptions, is_of_one: bool) -> Response<Body> {
    const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
    const NAMESPACE: &str = r#"xmlns="http://s3.amazonaws.com/doc/2006-03-01/""#;
    let account = escaped(&options.account);
    let (status, text) = match entry.read {
        Neutral::Document(_) if is_of_one => missing("NoSuchConfiguration", entry.name),
        Neutral::Document(root) => (StatusCode::OK, format!("{HEAD}<{root} {NAMESPACE}></{root}>")),
        Neutral::AccessList => (
            StatusCode::OK,
            format!(
                r#"{HEAD}<AccessControlPolicy {NAMESPACE}><Owner><ID>{account}</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>{account}</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>"#
            ),
        ),
        Neutral::Payer => {
            let root = "RequestPaymentConfiguration";
            (StatusCode::OK, format!("{HEAD}<{root} {NAMESPACE}><Payer>BucketOwner</Payer></{root}>"))
        }
        Neutral::Missing(code) => missing(code, entry.name),
    };
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    *response.body_mut() = Body::from(text);
    response
}

fn missing(code: &str, name: &str) -> (StatusCode, String) {
    let head = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
    let message = format!("{name}: none is set");
    (StatusCode::NOT_FOUND, format!("{head}<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_not_known_is_not_taken_for_the_whole() {
        let check = |query: &str, is_of_object: bool, is_taken: bool| {
            let request = Request::builder().uri(format!("/b/k?{query}")).body(()).expect("a request");
            assert_eq!(refuse_unknown(&request, is_of_object).is_ok(), is_taken, "{query}");
        };
        for query in
            ["", "prefix=&delimiter=%2F&list-type=2", "acl", "tagging=", "x-id=GetObject", "any=value"]
        {
            check(query, false, true);
            check(query, true, true);
        }
        for query in
            ["metadataConfiguration", "abac=", "annotation&annotationName=a", "renameObject", "prefix=&x"]
        {
            check(query, false, false);
            check(query, true, false);
        }
        // One of the other level.
        check("encryption", false, true);
        check("encryption", true, false);
        check("legal-hold", true, true);
        check("legal-hold", false, false);
    }
}
