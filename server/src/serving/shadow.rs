//! A shadow: a variant that gets copies of requests, and whose answers nobody sees.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::draw::{mix, threshold};
use super::endpoint::Chosen;
use super::model_server::{Payload, count};
use super::{Endpoint, Invocation, ModelServer, ProductionVariant, Session};
use crate::error::Error;

/// A variant that takes copies of a share of the requests.
#[derive(Debug)]
pub struct Shadow {
    /// Who takes them.
    pub(super) variant: ProductionVariant,
    /// Draws below it are copied; `None` is all.
    threshold: Option<u64>,
}

impl Shadow {
    /// `variant` takes copies of `share` of the requests; 1 and more is all of them, what is no share is none.
    pub fn new(variant: ProductionVariant, share: f64) -> Self {
        Self { variant, threshold: threshold(share) }
    }

    /// Who takes them.
    pub fn variant(&self) -> &ProductionVariant {
        &self.variant
    }

    /// Whether the request of this draw is copied. The draw also chose the variant, so it is mixed first.
    pub(super) fn takes(&self, draw: u64) -> bool {
        self.threshold.is_none_or(|threshold| mix(draw) < threshold)
    }
}

impl ModelServer {
    /// Gives `shadow` its copy of a request, if this is one of its share: neither waits nor fails, and shares the body.
    pub(super) fn copy(
        &self,
        shadow: &Shadow,
        endpoint: &Arc<Endpoint>,
        invocation: &Invocation<'_>,
        body: &Bytes,
    ) {
        if !shadow.takes(invocation.point) {
            return;
        }
        let variant = &shadow.variant;
        variant.metrics.begin(invocation.started);
        if let Err(error) = self.queue_copy(variant, endpoint, invocation, body) {
            count(variant, invocation.started, &Err(error));
        }
    }

    fn queue_copy(
        &self,
        variant: &ProductionVariant,
        endpoint: &Arc<Endpoint>,
        invocation: &Invocation<'_>,
        body: &Bytes,
    ) -> Result<(), Error> {
        let (place, asked) = variant.enter(invocation)?;
        let ask = self.ask(invocation, asked.model())?;
        let held = asked.hold(Chosen::shadow(endpoint));
        let payload = Payload::Body(body.clone());
        let (started, deadline) = (invocation.started, invocation.deadline);
        let queued = Instant::now();
        let job = move |session: &mut Session| {
            let begun = Instant::now();
            let mut result = if begun > deadline {
                Err(Error::DeadlineExceeded { limit: deadline - started })
            } else {
                session.guarded(|session| payload.score(session, held.model(), &ask))
            };
            if let Ok(prediction) = &mut result {
                prediction.phases.queue = begun - queued;
            }
            drop(place);
            count(held.variant(), started, &result);
        };
        self.compute.submit(Box::new(job))
    }
}
