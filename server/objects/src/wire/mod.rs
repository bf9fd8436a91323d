//! S3's HTTP interface over a [`Directory`]. The protocol (routes, headers, XML) is `s3s`'s; what requests mean is ours.
//!
//! Requests come here verified: whoever calls has checked signatures and taken the framing of signed chunks off the body. So
//! what is left of signatures is taken off first, and nothing here asks who calls.

mod answer;
mod buckets;
mod convert;
mod error;
mod face;
mod listing;
mod objects;
mod request;
mod sub_resource;
mod tagging;
mod uploads;

use std::fmt;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};

use crate::Body;
use crate::directory::Directory;
use crate::domains::Domains;
use crate::names;

pub(crate) use face::Face;

/// The most bytes of a document in a request. Reason: ten thousand parts with their checksums take three MiB, a thousand keys
/// to delete no more; they are read whole.
const XML_BYTES_MAX: usize = 4 << 20;

/// What answers say besides what is stored.
#[derive(Debug, Clone)]
pub struct WireOptions {
    /// The account that owns all buckets.
    pub account: String,
    /// The region of buckets that were made for none.
    pub region: String,
    /// Names of this host: `bucket.name` in `Host` names a bucket.
    pub domains: Domains,
}

/// S3's HTTP interface.
pub struct S3Wire {
    service: S3Service,
    store: Arc<Directory>,
    options: WireOptions,
}

impl fmt::Debug for S3Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Wire").field("options", &self.options).finish_non_exhaustive()
    }
}

impl S3Wire {
    /// The interface of `store`.
    pub fn new(store: Arc<Directory>, options: WireOptions) -> Self {
        let mut config = S3Config::default();
        config.xml_max_body_size = XML_BYTES_MAX;
        let mut builder = S3ServiceBuilder::new(Face::new(Arc::clone(&store), options.clone()));
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self { service: builder.build(), store, options }
    }

    /// Answers a request whose caller has been checked.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        let resource = request.uri().path().to_owned();
        let is_head = request.method() == Method::HEAD;
        let response = match self.answer(request).await {
            Ok(response) => response,
            Err(error) => answer::of_error(error),
        };
        answer::finished(response, &resource, is_head)
    }

    async fn answer(&self, request: Request<Body>) -> s3s::S3Result<Response<Body>> {
        request::check_owner(request.headers(), &self.options.account)?;
        request::check_encryption(request.headers())?;
        request::check_form(&request)?;
        let request = request::with_bucket_in_path(request, &self.options.domains)?;
        let named = request::resource(&request);
        if let Some(bucket) = &named.0 {
            names::check_bucket(bucket)?;
        }
        if let Some(key) = &named.1 {
            names::check_key(key)?;
        }
        sub_resource::refuse_unknown(&request, named.1.is_some())?;
        if let Some(found) = sub_resource::find(&request)
            && let Some(response) = sub_resource::answer(&self.store, &self.options, found, named).await?
        {
            return Ok(response);
        }
        let request = request::prepared(request)?;
        self.service.call(request).await.map_err(|failure| {
            tracing::warn!(?failure, "S3 request");
            s3s::S3Error::from(s3s::S3ErrorCode::InternalError)
        })
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
