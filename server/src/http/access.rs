//! Who calls: the head of every request of `clary up` is held to the credentials before anything else, its signature as soon as
//! the hash of its body is known. An open server pays one look.

use access::digest::{Digest, sha256};
use access::{Caller, Head, PayloadReader, Pending, Protocol, Refusal, Resource};
use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use objects::Domains;
use wire::{AwsError, Timestamp};

use super::dispatch::{RuntimeOperation, Target};
use super::s3_action::Action;
use super::watch::InFlight;
use crate::platform::Platform;

/// What reading our own pages needs: numbers and signals for autoscalers.
pub(super) const READ_METRICS: &str = "clary:GetMetrics";

/// A request whose head is fine so far, and how its service writes errors.
#[derive(Debug)]
pub(super) struct Door<'a> {
    pending: Pending<'a>,
    protocol: Protocol,
}

impl<'a> Door<'a> {
    /// Looks at the head of a request for `target`.
    ///
    /// # Errors
    /// When it proves nothing, whatever its body is.
    pub(super) fn begin(
        platform: &'a Platform,
        head: &Parts,
        open: &InFlight,
        target: Target<'_>,
    ) -> Result<Self, AwsError> {
        let protocol = protocol(target);
        let takes_tokens =
            matches!(target, Target::Runtime { .. } | Target::Own(_) | Target::ExternalScaler(_));
        let pending =
            begin(platform, head, open, takes_tokens).map_err(|refusal| refusal.to_error(protocol))?;
        Ok(Self { pending, protocol })
    }

    /// Whether nothing is asked for.
    pub(super) fn is_open(&self) -> bool {
        self.pending.is_open()
    }

    /// The hash of the body as it came, where it will be looked at.
    pub(super) fn hash(&self, body: &[u8]) -> Digest {
        if self.pending.wants_hash() { sha256(body) } else { Digest::default() }
    }

    /// Who made this request to `service` (its signing name) with a body of this hash.
    ///
    /// # Errors
    /// When nobody that is known did.
    pub(super) fn finish(self, service: &str, body: &Digest) -> Result<Caller, AwsError> {
        self.pending.finish(service, body).map_err(|refusal| refusal.to_error(self.protocol))
    }

    /// As [`finish`](Self::finish), of a request that has no body and reads our own pages.
    ///
    /// # Errors
    /// When nobody that may did.
    pub(super) fn finish_own(self) -> Result<(), AwsError> {
        let protocol = self.protocol;
        let body = self.hash(b"");
        let caller = self.finish("sagemaker", &body)?;
        caller.may(READ_METRICS, Resource::Other).map_err(|refusal| refusal.to_error(protocol))
    }

    /// As [`finish`](Self::finish), of a request to S3: allowed for its bucket, its body to be read through the reader.
    ///
    /// # Errors
    /// When nobody that may did.
    pub(super) fn finish_s3(self, head: &Parts, domains: &Domains) -> Result<PayloadReader, AwsError> {
        let (pending, protocol) = (self.pending, self.protocol);
        let of_signature = || {
            let is_open = pending.is_open();
            let (caller, reader) = pending.finish_declared("s3", &head.headers)?;
            if !is_open {
                let of_header = || head.headers.get(HOST).and_then(|host| host.to_str().ok());
                let host = head.uri.authority().map(Authority::as_str).or_else(of_header);
                let action =
                    Action::of(head.method.as_str(), head.uri.path(), head.uri.query(), host, domains);
                action.check(&caller, &head.headers)?;
            }
            Ok(reader)
        };
        of_signature().map_err(|refusal: Refusal| refusal.to_error(protocol))
    }
}

fn begin<'a>(
    platform: &'a Platform,
    head: &Parts,
    open: &InFlight,
    takes_tokens: bool,
) -> Result<Pending<'a>, Refusal> {
    if platform.access.is_open() {
        return Ok(Pending::open());
    }
    let head = Head {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query(),
        authority: head.uri.authority().map(Authority::as_str),
        headers: &head.headers,
        client_names: open.watch().client_names(),
        takes_tokens,
    };
    platform.access.begin(&head, Timestamp::now())
}

/// How the service of `target` writes errors.
fn protocol(target: Target<'_>) -> Protocol {
    match target {
        Target::Json { .. } | Target::UnknownJson(_) => Protocol::Json,
        Target::Query => Protocol::Query,
        Target::S3 => Protocol::S3,
        _ => Protocol::Runtime,
    }
}

/// What an operation on an endpoint needs.
pub(super) const fn invocation(operation: RuntimeOperation) -> &'static str {
    match operation {
        RuntimeOperation::Invoke => "sagemaker:InvokeEndpoint",
        RuntimeOperation::InvokeStream => "sagemaker:InvokeEndpointWithResponseStream",
        RuntimeOperation::InvokeAsync => "sagemaker:InvokeEndpointAsync",
    }
}
