//! A bucket of an S3 store: `object_store`'s client, and two requests that it does not have: the list of unfinished uploads, and
//! a completion that holds only over what stood there. Both are signed by the client and sent through its connections.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpClient, HttpConnector, ReqwestConnector};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{ClientConfigKey, ClientOptions, Error, MultipartId, PutResult, Result};
use serde::Deserialize;

use super::{Listed, Page, Standing, Store, UnfinishedUpload, Uploads};

/// How long a signature holds. Reason: the request is sent at once; clocks differ by minutes.
const SIGNATURE_TIME: Duration = Duration::from_secs(15 * 60);

/// The largest answer. Reason: a page of a thousand uploads with keys of a kilobyte, escaped, is below 8 MiB.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Pages of a list, of a thousand uploads each. Reason: more uploads than a transform can have begun; a server that gives the
/// same page again is found out.
const PAGES_MAX: usize = 1000;

/// How long one request of an upload may take, as the client measures it. Reason: the largest parts have 4 GiB; who sends one
/// has a limit by its size.
const UPLOAD_TIME: &str = "12h";

/// What the names of directory buckets (S3 Express One Zone) end with.
const DIRECTORY_BUCKET: &str = "--x-s3";

/// Opens the bucket that `builder` describes.
pub(super) fn open(builder: AmazonS3Builder) -> Result<Store> {
    let objects = builder.clone().build()?;
    let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
    let is_unsigned =
        builder.get_config_value(&AmazonS3ConfigKey::SkipSignature).is_some_and(|value| value == "true");
    let bucket = builder.get_config_value(&AmazonS3ConfigKey::Bucket).unwrap_or_default();
    let is_directory = bucket.ends_with(DIRECTORY_BUCKET);
    let connector = SharingConnector::default();
    let builder = builder.with_config(timeout, UPLOAD_TIME).with_http_connector(connector.clone());
    let s3 = builder.build()?;
    let client = connector.client().ok_or_else(|| failure("expected a client, found none made"))?;
    Ok(Store {
        objects: Arc::new(objects),
        parts: Arc::new(s3.clone()),
        uploads: Arc::new(S3Uploads { s3, client, is_unsigned, is_directory }),
    })
}

/// Makes clients as usual, and keeps the last: the store's own, after those that fetch its credentials.
#[derive(Debug, Clone, Default)]
struct SharingConnector(Arc<Mutex<Option<HttpClient>>>);

impl SharingConnector {
    fn client(&self) -> Option<HttpClient> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl HttpConnector for SharingConnector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        Ok(client)
    }
}

/// The uploads of a bucket.
#[derive(Debug)]
struct S3Uploads {
    s3: AmazonS3,
    client: HttpClient,
    /// Whether the store is asked without a signature.
    is_unsigned: bool,
    /// Whether it is a directory bucket, which lists in no order.
    is_directory: bool,
}

impl S3Uploads {
    async fn request(
        &self,
        method: Method,
        path: &Path,
        query: &[(&str, &str)],
        condition: Option<(HeaderName, HeaderValue)>,
        body: String,
    ) -> Result<Bytes> {
        let mut options = SignedUrlOptions::new().with_query(query.iter().copied());
        if let Some((name, value)) = &condition {
            options = options.with_signed_header(name.clone(), value.clone());
        }
        let mut url = self.s3.signed_url_opts(method.clone(), path, SIGNATURE_TIME, &options).await?;
        if self.is_unsigned {
            let kept: Vec<_> = url.query().unwrap_or_default().split('&').collect();
            let kept =
                kept.into_iter().filter(|pair| !pair.starts_with("X-Amz-")).collect::<Vec<_>>().join("&");
            url.set_query(Some(&kept));
        }
        let mut request = Request::builder().method(method).uri(url.as_str());
        request = request.header(header::CONTENT_LENGTH, body.len());
        if let Some((name, value)) = condition {
            request = request.header(name, value);
        }
        let request = request.body(body.into()).map_err(|error| failure(error.to_string()))?;
        let answer = self.client.execute(request).await.map_err(|error| failure(Box::new(error)))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        let mut body = answer.into_body().bytes_stream();
        while let Some(chunk) = body.try_next().await.map_err(|error| failure(Box::new(error)))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(failure(format!(
                    "answer: expected at most {ANSWER_BYTES_MAX} bytes, found more"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() { Ok(bytes.into()) } else { Err(refusal(path, status, &bytes)) }
    }
}

#[async_trait]
impl Uploads for S3Uploads {
    async fn unfinished(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        let (mut found, mut key, mut id) = (Vec::new(), String::new(), String::new());
        for _ in 0..PAGES_MAX {
            let mut query = vec![("uploads", ""), ("prefix", prefix)];
            if !key.is_empty() {
                query.extend([("key-marker", key.as_str()), ("upload-id-marker", id.as_str())]);
            }
            let page = self.request(Method::GET, &Path::default(), &query, None, String::new()).await?;
            let page: UploadsPage = parse(&page)?;
            for upload in page.uploads {
                // A key that a path cannot have was written by others.
                if let Ok(path) = Path::parse(&upload.key) {
                    found.push(UnfinishedUpload { path, id: upload.id });
                }
            }
            if !page.is_truncated || page.next_key.is_empty() {
                return Ok(found);
            }
            (key, id) = (page.next_key, page.next_id);
        }
        Err(failure(format!("uploads to {prefix}*: expected at most {PAGES_MAX} pages, found more")))
    }

    /// By a list of our own: `object_store`'s gives up a whole page, and all behind it, for one key that is no path.
    async fn page(&self, prefix: &str, after: &str) -> Result<Option<Page>> {
        if self.is_directory {
            return Ok(None);
        }
        let mut query = vec![("list-type", "2"), ("prefix", prefix)];
        if !after.is_empty() {
            query.push(("start-after", after));
        }
        let page = self.request(Method::GET, &Path::default(), &query, None, String::new()).await?;
        let page: ObjectsPage = parse(&page)?;
        let objects = page.objects.into_iter().map(ListedObject::listed).collect();
        Ok(Some(Page { objects, is_last: !page.is_truncated }))
    }

    async fn complete_if(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
        standing: &Standing,
    ) -> Result<PutResult> {
        let condition = match standing {
            Standing::Nothing => (header::IF_NONE_MATCH, HeaderValue::from_static("*")),
            Standing::Version(e_tag) => {
                let value = HeaderValue::from_str(e_tag).map_err(|error| failure(error.to_string()))?;
                (header::IF_MATCH, value)
            }
            Standing::Unversioned => return self.s3.complete_multipart(path, id, parts).await,
        };
        let query = [("uploadId", id.as_str())];
        let answer = self.request(Method::POST, path, &query, Some(condition), completion(&parts)).await?;
        // An answer that began before the parts were joined may end in an error.
        match parse::<Completed>(&answer) {
            Ok(completed) => Ok(PutResult {
                e_tag: Some(completed.e_tag),
                version: None,
                extensions: object_store::Extensions::new(),
            }),
            Err(error) => match parse::<Refused>(&answer) {
                Ok(refused) => Err(failure(format!("{path}: {}: {}", refused.code, refused.message))),
                Err(_) => Err(error),
            },
        }
    }
}

/// The body that completes an upload.
fn completion(parts: &[PartId]) -> String {
    let mut body =
        String::from(r#"<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#);
    for (number, part) in (1..).zip(parts) {
        let e_tag = wire::xml::Escaped(&part.content_id);
        let _ = write!(body, "<Part><PartNumber>{number}</PartNumber><ETag>{e_tag}</ETag></Part>");
    }
    body.push_str("</CompleteMultipartUpload>");
    body
}

/// A page of the list of objects.
#[derive(Debug, Deserialize)]
struct ObjectsPage {
    #[serde(rename = "IsTruncated", default)]
    is_truncated: bool,
    #[serde(rename = "Contents", default)]
    objects: Vec<ListedObject>,
}

#[derive(Debug, Deserialize)]
struct ListedObject {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "ETag")]
    e_tag: Option<String>,
}

impl ListedObject {
    fn listed(self) -> Listed {
        Listed { key: self.key, size: self.size, e_tag: self.e_tag, modified: None }
    }
}

/// A page of the list of uploads.
#[derive(Debug, Deserialize)]
struct UploadsPage {
    #[serde(rename = "IsTruncated", default)]
    is_truncated: bool,
    #[serde(rename = "NextKeyMarker", default)]
    next_key: String,
    #[serde(rename = "NextUploadIdMarker", default)]
    next_id: String,
    #[serde(rename = "Upload", default)]
    uploads: Vec<ListedUpload>,
}

#[derive(Debug, Deserialize)]
struct ListedUpload {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "UploadId")]
    id: String,
}

/// The answer to a completion.
#[derive(Debug, Deserialize)]
struct Completed {
    #[serde(rename = "ETag")]
    e_tag: String,
}

/// An error.
#[derive(Debug, Deserialize)]
struct Refused {
    #[serde(rename = "Code")]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

fn parse<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T> {
    let text = std::str::from_utf8(answer).map_err(|error| failure(format!("answer: {error}")))?;
    quick_xml::de::from_str(text).map_err(|error| failure(format!("answer: {error}")))
}

/// The failure that an answer tells of, by meaning.
fn refusal(path: &Path, status: StatusCode, body: &[u8]) -> Error {
    let said = match parse::<Refused>(body) {
        Ok(refused) => format!("{status}: {}: {}", refused.code, refused.message),
        Err(_) => format!("{status} without an error that can be read"),
    };
    let (path, source) = (path.to_string(), said.clone().into());
    match status {
        StatusCode::NOT_FOUND => Error::NotFound { path, source },
        StatusCode::PRECONDITION_FAILED => Error::Precondition { path, source },
        StatusCode::FORBIDDEN => Error::PermissionDenied { path, source },
        StatusCode::UNAUTHORIZED => Error::Unauthenticated { path, source },
        StatusCode::NOT_IMPLEMENTED => Error::NotSupported { source },
        _ => failure(said),
    }
}

fn failure(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: source.into() }
}
