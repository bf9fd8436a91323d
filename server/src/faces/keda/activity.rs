//! Whether a variant has work, now and from now on. Streams look every few milliseconds: that costs a fraction of a percent
//! of a core, and the path of a request nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};
use wire::Timestamp;

use super::invalid;
use super::message::{IsActiveResponse, ScaledObjectRef};
use crate::error::shortened;
use crate::faces::grpc::{GrpcCode, GrpcError};
use crate::metrics::{Metrics, VariantMetrics};
use crate::platform::Platform;

/// How long after the last request a variant still counts as active. Reason: KEDA polls every half minute by default, and
/// must not miss a request between two polls; its own cooldown comes on top.
const ACTIVE: Duration = Duration::from_secs(60);

/// Between two looks of a stream. Reason: a tenth of a second is promised from the first request to the push.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Looks between two searches for variants that are new. Reason: a deployment brings new ones; half a second is soon
/// enough beside the time that it takes.
const SEARCH_EVERY: u64 = 25;

/// Streams at once. Reason: KEDA holds one for each trigger; each looks fifty times a second.
const STREAMS_MAX: usize = 256;

/// Messages of a stream that may wait for their reader. Reason: there are two different ones.
const WAITING_MAX: usize = 2;

static STREAMS: Semaphore = Semaphore::const_new(STREAMS_MAX);

/// What a trigger follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Followed {
    /// Requests in flight, as a mean over ten seconds.
    Concurrency,
    /// Asynchronous requests that wait.
    Backlog,
}

/// What a trigger means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) endpoint: String,
    variant: Option<String>,
    followed: Followed,
}

impl Watched {
    pub(super) fn parse(object: &ScaledObjectRef) -> Result<Self, GrpcError> {
        let text = |key: &str| object.scaler_metadata.get(key).filter(|text| !text.is_empty()).cloned();
        let endpoint = text("endpoint")
            .ok_or_else(|| invalid("metadata endpoint: expected an endpoint's name, found none".into()))?;
        let followed = match text("metric").as_deref() {
            None | Some("concurrency") => Followed::Concurrency,
            Some("backlog") => Followed::Backlog,
            Some(found) => {
                let found = shortened(found);
                return Err(invalid(format!(
                    "metadata metric: expected concurrency or backlog, found {found:?}"
                )));
            }
        };
        Ok(Self { endpoint, variant: text("variant"), followed })
    }

    pub(super) fn metric_name(&self) -> String {
        let followed = match self.followed {
            Followed::Concurrency => "concurrency",
            Followed::Backlog => "backlog",
        };
        format!("clary-{followed}")
    }

    /// The value, all replicas together.
    pub(super) fn value(&self, metrics: &Metrics) -> f64 {
        match self.followed {
            Followed::Backlog => self.backlog(metrics) as f64,
            Followed::Concurrency => {
                let living = self.living(metrics);
                living.iter().map(|variant| variant.concurrency().mean).sum()
            }
        }
    }

    /// Whether anything is under way or waits, or was so a short while ago.
    pub(super) fn is_active(&self, metrics: &Metrics, instant: Instant, now: Timestamp) -> bool {
        let living = self.living(metrics);
        self.backlog(metrics) > 0
            || living.iter().any(|variant| {
                let last = variant.last_request();
                variant.inflight(instant) > 0
                    || last.is_some_and(|last| now.0 - last.0 < ACTIVE.as_millis() as i64)
            })
    }

    fn backlog(&self, metrics: &Metrics) -> u64 {
        let backlogs = metrics.backlogs();
        let of_endpoint = backlogs.into_iter().find(|(endpoint, _)| *endpoint == self.endpoint);
        of_endpoint.map_or(0, |(_, backlog)| backlog.size)
    }

    fn living(&self, metrics: &Metrics) -> Vec<Arc<VariantMetrics>> {
        let is_watched = |metrics: &Arc<VariantMetrics>| {
            let labels = metrics.labels();
            labels.endpoint == self.endpoint
                && self.variant.as_ref().is_none_or(|variant| *variant == labels.variant)
        };
        metrics.living().into_iter().filter(is_watched).collect()
    }
}

/// Tells whether what is watched is active: now, and whenever that changes.
pub(super) fn stream(
    platform: &Arc<Platform>,
    watched: Watched,
) -> Result<mpsc::Receiver<Result<Vec<u8>, GrpcError>>, GrpcError> {
    let place = STREAMS.try_acquire().map_err(|_| {
        let message = format!("expected at most {STREAMS_MAX} open streams, found more");
        GrpcError::new(GrpcCode::ResourceExhausted, message)
    })?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let metrics = Arc::clone(&platform.metrics);
    platform.runtime.spawn(async move {
        let _place = place;
        let closed = sender.clone();
        tokio::select! {
            () = push(&metrics, &watched, &sender) => {}
            () = closed.closed() => {}
        }
    });
    Ok(receiver)
}

async fn push(metrics: &Metrics, watched: &Watched, sender: &mpsc::Sender<Result<Vec<u8>, GrpcError>>) {
    let mut look = interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen::default();
    let mut told = watched.is_active(metrics, Instant::now(), Timestamp::now());
    let mut busy_at = Instant::now();
    seen.search(watched, metrics);
    // What ended before is over.
    seen.has_news(Instant::now());
    if sender.send(Ok(active(told))).await.is_err() {
        return;
    }
    for looks in 1_u64.. {
        look.tick().await;
        let now = Instant::now();
        let is_search = looks % SEARCH_EVERY == 0;
        if is_search {
            seen.search(watched, metrics);
        }
        if seen.has_news(now) || (is_search && watched.backlog(metrics) > 0) {
            busy_at = now;
        }
        let is_active = busy_at == now || (told && now.duration_since(busy_at) < ACTIVE);
        if told != is_active {
            told = is_active;
            if sender.send(Ok(active(told))).await.is_err() {
                return;
            }
        }
    }
}

fn active(result: bool) -> Vec<u8> {
    IsActiveResponse { result }.encode_to_vec()
}

/// The variants that are watched, and how many requests each had ended at the last look.
#[derive(Debug, Default)]
struct Seen(Vec<(Arc<VariantMetrics>, u64)>);

impl Seen {
    /// Finds those that are new, of which nothing was seen yet, and lets go of those that are gone.
    fn search(&mut self, watched: &Watched, metrics: &Metrics) {
        let known = std::mem::take(&mut self.0);
        let total_of = |variant: &Arc<VariantMetrics>| {
            known.iter().find(|(old, _)| Arc::ptr_eq(old, variant)).map_or(0, |(_, total)| *total)
        };
        self.0 = watched
            .living(metrics)
            .into_iter()
            .map(|variant| {
                let total = total_of(&variant);
                (variant, total)
            })
            .collect();
    }

    /// Whether a request is under way, or has come and gone since the last look.
    fn has_news(&mut self, now: Instant) -> bool {
        let mut has_news = false;
        for (variant, total) in &mut self.0 {
            let ended = variant.total();
            has_news |= ended != *total || variant.inflight(now) > 0;
            *total = ended;
        }
        has_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::metrics::{Backlog, VariantLabels};

    fn object(metadata: &[(&str, &str)]) -> ScaledObjectRef {
        let pairs = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        ScaledObjectRef { name: "o".into(), namespace: "n".into(), scaler_metadata: pairs.collect() }
    }

    #[test]
    fn metadata_is_parsed_or_refused() {
        let watched = Watched::parse(&object(&[("endpoint", "e"), ("variant", "v")])).unwrap();
        assert_eq!((watched.endpoint.as_str(), watched.variant.as_deref()), ("e", Some("v")));
        assert_eq!(watched.metric_name(), "clary-concurrency");
        let refused = |metadata: &[(&str, &str)], expected: &str| {
            let error = Watched::parse(&object(metadata)).unwrap_err();
            assert!(error.message.contains(expected), "{error}");
        };
        refused(&[], "metadata endpoint");
        refused(&[("endpoint", "")], "metadata endpoint");
        refused(&[("endpoint", "e"), ("metric", "cpu")], "concurrency or backlog");
    }

    #[test]
    fn what_came_and_went_between_two_looks_is_news() {
        let metrics = Metrics::default();
        let labels = |config: &str| VariantLabels {
            endpoint: "e".into(),
            variant: "v".into(),
            config: Some(config.into()),
        };
        let watched = Watched::parse(&object(&[("endpoint", "e")])).unwrap();
        let (mut seen, now) = (Seen::default(), Instant::now());
        let one = metrics.production_variant(labels("one"));
        one.begin(now);
        one.end(Code::Ok, None, now, now);
        seen.search(&watched, &metrics);
        assert!(seen.has_news(now) && !seen.has_news(now));
        one.begin(now);
        one.end(Code::ModelCold, None, now, now);
        assert!(seen.has_news(now) && !seen.has_news(now));
        let two = metrics.production_variant(labels("two"));
        seen.search(&watched, &metrics);
        assert!(!seen.has_news(now), "one more variant is no request");
        two.begin(now);
        assert!(seen.has_news(now) && seen.has_news(now), "while it lasts");
        drop(one);
        two.end(Code::Ok, None, now, now);
        assert!(seen.has_news(now));
        seen.search(&watched, &metrics);
        assert!(!seen.has_news(now));
    }

    #[test]
    fn active_is_what_works_waits_or_just_did() {
        let metrics = Metrics::default();
        let labels = VariantLabels { endpoint: "e".into(), variant: "v".into(), config: Some("c".into()) };
        let variant = metrics.production_variant(labels);
        let of = |metadata: &[(&str, &str)]| Watched::parse(&object(metadata)).unwrap();
        let (watched, other) = (of(&[("endpoint", "e")]), of(&[("endpoint", "e"), ("variant", "w")]));
        let instant = Instant::now();
        let is_active = |watched: &Watched, now| watched.is_active(&metrics, instant, Timestamp(now));
        assert!(!is_active(&watched, 0));
        variant.begin(instant);
        assert!(is_active(&watched, 0) && !is_active(&other, 0));
        variant.end(Code::Ok, None, instant, instant);
        assert!(!is_active(&watched, 0));
        variant.drain(instant + Duration::from_secs(10), Timestamp(10_000));
        assert!(is_active(&watched, 69_999) && !is_active(&watched, 70_000));
        let backlog = Backlog { size: 3, ..Backlog::default() };
        metrics.set_backlog("e", Some(backlog));
        assert!(is_active(&watched, 70_000));
        assert_eq!(of(&[("endpoint", "e"), ("metric", "backlog")]).value(&metrics), 3.0);
        assert_eq!(watched.value(&metrics), variant.concurrency().mean);
    }
}
