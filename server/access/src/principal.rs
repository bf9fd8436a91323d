//! Who is known, and the caller that a request has proved to be.

use std::sync::Arc;

use wire::Timestamp;

use crate::allow::{AllowList, Resource};
use crate::rate::{Bucket, Buckets};
use crate::refusal::Refusal;
use crate::signing_key::SigningKeys;

/// What tokens and client certificates are good for: invocations, and the numbers that scrapers and autoscalers read.
const TOKEN_ACTIONS: [&str; 4] = [
    "sagemaker:InvokeEndpoint",
    "sagemaker:InvokeEndpointWithResponseStream",
    "sagemaker:InvokeEndpointAsync",
    "clary:GetMetrics",
];

/// How often one caller may ask.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Requests a second in all.
    pub overall: Option<f64>,
    /// Requests a second to each variant.
    pub per_variant: Option<f64>,
}

/// Somebody who is known: what they may do, and how often.
#[derive(Debug)]
pub struct Principal {
    /// The access key id, or what the file calls the token or certificate.
    pub name: String,
    pub(crate) allow: AllowList,
    pub(crate) rates: Rates,
    pub(crate) overall: Option<Arc<Bucket>>,
    pub(crate) per_variant: Option<Arc<Buckets>>,
    /// Whether this is a token or a certificate, good for a few actions alone.
    pub(crate) is_token: bool,
}

/// An access key: its holder and its secrets.
pub(crate) struct Key {
    pub(crate) principal: Arc<Principal>,
    pub(crate) secret: Box<str>,
    pub(crate) token: Option<Box<str>>,
    pub(crate) signing_keys: SigningKeys,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// Who made a request: proved, or anybody where the server is open.
#[derive(Debug, Clone)]
pub struct Caller(Option<Arc<Principal>>);

impl Caller {
    /// Anybody: what an open server's callers are. They may do everything.
    pub const fn anonymous() -> Self {
        Self(None)
    }

    /// Somebody who proved it; takes the request out of their rate.
    pub(crate) fn proved(principal: Arc<Principal>, now: Timestamp) -> Result<Self, Refusal> {
        if principal.overall.as_ref().is_some_and(|bucket| !bucket.take(now)) {
            return Err(Refusal::Throttled);
        }
        Ok(Self(Some(principal)))
    }

    /// The access key id, or the name of the token or certificate; `None` when the server is open.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|principal| principal.name.as_str())
    }

    /// Whether they may do `action` (`sagemaker:InvokeEndpoint`) to `resource`.
    ///
    /// # Errors
    /// When they may not.
    pub fn may(&self, action: &str, resource: Resource<'_>) -> Result<(), Refusal> {
        let Some(principal) = &self.0 else { return Ok(()) };
        let is_for_tokens = || TOKEN_ACTIONS.iter().any(|name| action.eq_ignore_ascii_case(name));
        if principal.allow.allows(action, resource) && (!principal.is_token || is_for_tokens()) {
            return Ok(());
        }
        let (who, action, resource) = (principal.name.clone(), action.to_owned(), resource.to_string());
        Err(Refusal::NotAllowed { who, action, resource })
    }

    /// Whether their requests to single variants are counted, so that [`admit`](Self::admit) must be asked.
    pub fn has_variant_rate(&self) -> bool {
        self.0.as_ref().is_some_and(|principal| principal.per_variant.is_some())
    }

    /// Takes one request to `variant` of `endpoint` out of their rate.
    ///
    /// # Errors
    /// When there were too many.
    pub fn admit(&self, endpoint: &str, variant: &str, now: Timestamp) -> Result<(), Refusal> {
        let buckets = self.0.as_ref().and_then(|principal| principal.per_variant.as_ref());
        match buckets {
            Some(buckets) if !buckets.take(endpoint, variant, now) => Err(Refusal::Throttled),
            _ => Ok(()),
        }
    }
}
