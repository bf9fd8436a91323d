//! A shadow: a variant that gets copies of requests, and whose answers nobody sees.

use std::sync::Arc;

use bytes::Bytes;

use super::draw::{mix, threshold};
use super::endpoint::Chosen;
use super::model_server::{Payload, Waiting, count};
use super::{Endpoint, Invocation, ModelServer, ProductionVariant, Session};
use crate::error::Error;

/// Copies of one shadow that may wait. Reason: each holds a body; a shadow that is so far behind is too slow for its
/// share, and its newest copies are dropped and counted as such.
const COPIES_WAITING_MAX: usize = 64;

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
        if invocation.is_warmed || !shadow.takes(invocation.point) {
            return;
        }
        let variant = &shadow.variant;
        variant.metrics.begin(invocation.started);
        if let Err(error) = self.queue_copy(variant, endpoint, invocation, body) {
            self.metrics.shadow_dropped.increment(1);
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
        let waiting = Waiting::new(invocation, ask, Payload::Body(body.clone()));
        let started = invocation.started;
        let job = move |session: &mut Session| {
            let result = waiting.score(session, held.model());
            drop(place);
            count(held.variant(), started, &result);
        };
        self.compute.submit(&variant.capacity, COPIES_WAITING_MAX, Box::new(job))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::draw::draw;
    use super::super::model_server::tests::{invocation, server};
    use super::super::session::tests::variant;
    use super::*;
    use crate::metrics::Metrics;

    fn taken(share: f64) -> u32 {
        let shadow = Shadow::new(variant("s"), share);
        (0..10_000).map(|count| u32::from(shadow.takes(draw(3, count)))).sum()
    }

    #[test]
    fn a_share_of_the_draws_is_copied() {
        assert_eq!((taken(0.0), taken(1.0), taken(7.0), taken(f64::NAN)), (0, 10_000, 10_000, 0));
        assert!((2300..2700).contains(&taken(0.25)), "{}", taken(0.25));
    }

    /// The shadow's part of the page.
    fn shown(metrics: &Metrics, line: &str) -> bool {
        metrics.render().lines().any(|found| found == line)
    }

    #[tokio::test]
    async fn a_shadow_is_counted_as_its_own_and_changes_no_answer() {
        let (server, metrics) = (server(), Metrics::default());
        let of_shadow = metrics.variant("e", "shadow");
        let shadow = ProductionVariant { metrics: Arc::clone(&of_shadow), ..variant("shadow") };
        let endpoint = Endpoint::new(vec![variant("v")]).unwrap().with_shadow(Some(Shadow::new(shadow, 1.0)));
        server.publish("e", Some(endpoint));
        let deadline = Instant::now() + Duration::from_secs(60);
        let asked = Invocation { started: Instant::now(), ..invocation("e", deadline) };
        let invoked = server.invoke(&asked, &Bytes::from_static(b"1,2")).await;
        assert_eq!(invoked.result.unwrap().body, "3.0\n");
        // Thirteen makes the model panic: the shadow's copy as well.
        let invoked = server.invoke(&asked, &Bytes::from_static(b"13,2")).await;
        assert!(matches!(invoked.result, Err(Error::Panicked)));
        // The endpoint is freed when its last copy is over.
        server.publish("e", None).await.unwrap();
        let line = |code, reason| {
            format!(
                "clary_invocations_total{{endpoint=\"e\",variant=\"shadow\",code=\"{code}\",reason=\"{reason}\"}} 1"
            )
        };
        assert!(shown(&metrics, &line("200", "ok")), "{}", metrics.render());
        assert!(shown(&metrics, &line("500", "internal")), "{}", metrics.render());
        drop(of_shadow);
    }

    #[tokio::test]
    async fn copies_that_wait_are_bounded_and_the_newest_dropped() {
        let server = server();
        let metrics = Arc::clone(&server.metrics);
        let of_shadow = metrics.variant("e", "shadow");
        let shadow = ProductionVariant { metrics: Arc::clone(&of_shadow), ..variant("shadow") };
        // A shadow without a slot takes nothing.
        shadow.capacity.set_slots(0);
        let endpoint = Endpoint::new(vec![variant("v")]).unwrap().with_shadow(Some(Shadow::new(shadow, 1.0)));
        server.publish("e", Some(endpoint));
        let deadline = Instant::now() + Duration::from_secs(60);
        let asked = Invocation { started: Instant::now(), ..invocation("e", deadline) };
        for _ in 0..3 {
            let invoked = server.invoke(&asked, &Bytes::from_static(b"1,2")).await;
            assert_eq!(invoked.result.unwrap().body, "3.0\n");
        }
        let line =
            r#"clary_invocations_total{endpoint="e",variant="shadow",code="503",reason="not_ready"} 3"#;
        assert!(shown(&metrics, line), "{}", metrics.render());
        assert!(shown(&metrics, "clary_shadow_dropped_total 3"), "{}", metrics.render());
        drop(of_shadow);
    }
}
