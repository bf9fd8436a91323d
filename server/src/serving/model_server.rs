//! The data plane's one entrance: a snapshot of endpoints, and the choice of the thread that predicts.
//!
//! A thread hop costs 11–18 µs at the median and 30–50 µs at p99 (measured with this pool on two cores), more than
//! scoring a row with a usual tree ensemble. So what is estimated at [`INLINE_BUDGET`] or less runs on the
//! connection's own thread; the rest goes to the pool, which is bounded and refuses early.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use codecs::ContentType;
use codecs::content_encoding::ContentEncoding;
use dmatrix::DMatrix;
use tokio::sync::oneshot;

use super::capture::CapturePlan;
use super::compute::Compute;
use super::endpoint::Chosen;
use super::reaper::Reaper;
use super::session::BUFFER_BYTES_KEPT;
use super::variant::{Asked, Held};
use super::{Ask, Endpoint, Endpoints, LoadedModel, Prediction, ProductionVariant, Session};
use crate::error::{Code, Error, shortened};
use crate::metrics::Metrics;
use crate::rt::Priority;

/// The most time a request may take on a connection's thread. Reason: other connections of the thread wait for it,
/// and above some 100 µs a hop to the pool costs little beside the work.
const INLINE_BUDGET: Duration = Duration::from_micros(100);

/// What decoding a byte costs at most, in nanoseconds. Reason: the slowest decoder (JSON, libsvm) reads 300 MB/s.
const DECODE_BYTE_NS: u64 = 4;

/// One request, as a face understood it.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// Which endpoint.
    pub endpoint: &'a str,
    /// The payload's format.
    pub content_type: ContentType,
    /// How it is packed.
    pub encoding: Option<ContentEncoding>,
    /// The request's Accept.
    pub accept: Option<&'a str>,
    /// A draw, uniform over all 64 bits, that chooses the variant.
    pub point: u64,
    /// Whom the request is from: the same key stays on the same variant.
    pub assignment_key: Option<&'a str>,
    /// CustomAttributes, in which an endpoint may look for the key.
    pub custom_attributes: Option<&'a str>,
    /// The variant to ask, whatever the weights.
    pub target_variant: Option<&'a str>,
    /// Which of a variant's many models to ask.
    pub target_model: Option<&'a str>,
    /// Whether it comes through the asynchronous queue.
    pub is_asynchronous: bool,
    /// Whether it found its model cold, and comes again now that it was loaded.
    pub is_warmed: bool,
    /// When the request began.
    pub started: Instant,
    /// When its answer is of no more use.
    pub deadline: Instant,
}

/// What became of an invocation.
#[derive(Debug)]
pub struct Invoked {
    /// The digest of the artifact that was asked; `None` when there was none.
    pub digest: Option<Bytes>,
    /// The name of the variant that was asked; `None` when there was none.
    pub variant: Option<Bytes>,
    /// What is to be captured of the request, when it was drawn for that.
    pub capture: Option<Arc<CapturePlan>>,
    /// The answer.
    pub result: Result<Prediction, Error>,
}

/// How a [`ModelServer`] is sized.
#[derive(Debug, Clone, Copy)]
pub struct ModelServerOptions {
    /// Threads of the pool.
    pub workers: usize,
    /// How they stand to other threads.
    pub priority: Priority,
    /// Predictions that may wait for one of them.
    pub queue_length: usize,
    /// Bytes that a payload may unpack to.
    pub body_bytes_max: usize,
    /// The most bytes that a buffer of the pool's threads keeps between requests.
    pub buffer_bytes_kept: usize,
}

impl ModelServerOptions {
    /// Of a server whose requests come from outside and are small.
    pub fn online(workers: usize, queue_length: usize, body_bytes_max: usize) -> Self {
        let (priority, buffer_bytes_kept) = (Priority::Usual, BUFFER_BYTES_KEPT);
        Self { workers, priority, queue_length, body_bytes_max, buffer_bytes_kept }
    }
}

/// The snapshot, the pool, and the reaper of what is replaced.
#[derive(Debug)]
pub struct ModelServer {
    endpoints: ArcSwap<Endpoints>,
    pub(super) compute: Compute,
    reaper: Reaper,
    pub(super) metrics: Arc<Metrics>,
    body_bytes_max: usize,
}

thread_local! {
    static SESSION: RefCell<Session> = RefCell::default();
}

impl ModelServer {
    /// A server without endpoints.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(options: ModelServerOptions, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        Ok(Self {
            endpoints: ArcSwap::default(),
            compute: Compute::start(&options, Arc::clone(&metrics))?,
            reaper: Reaper::start()?,
            metrics,
            body_bytes_max: options.body_bytes_max,
        })
    }

    /// Puts `endpoint` in the place of this name (or takes it out) by one store. The answer comes when what stood
    /// there is freed.
    pub fn publish(&self, name: &str, endpoint: Option<Endpoint>) -> oneshot::Receiver<()> {
        let endpoint = endpoint.map(Arc::new);
        let previous = self.endpoints.rcu(|current| current.with(name, endpoint.clone()).0);
        self.compute.slots_changed();
        self.metrics.models_loaded.set(self.endpoints.load().len() as f64);
        let replaced = previous.get(name).cloned();
        drop(endpoint);
        self.reaper.retire(previous, replaced)
    }

    /// The digest of the artifact that `endpoint` serves; of its first variant, when there are several.
    pub fn digest(&self, endpoint: &str) -> Option<Bytes> {
        self.endpoints.load().get(endpoint)?.arms()[0].digest().cloned()
    }

    /// The endpoint of this name, as it is now.
    pub fn endpoint(&self, name: &str) -> Option<Arc<Endpoint>> {
        self.endpoints.load().get(name).cloned()
    }

    /// Predictions of a variant with `capacity` that wait for a slot.
    pub fn waiting(&self, capacity: &super::Capacity) -> usize {
        self.compute.waiting(capacity)
    }

    /// Who frees what is replaced.
    pub(super) fn reaper(&self) -> Reaper {
        self.reaper.clone()
    }

    /// Whether `endpoint` is there.
    pub fn contains(&self, endpoint: &str) -> bool {
        self.endpoints.load().get(endpoint).is_some()
    }

    /// Answers `invocation` with one snapshot, whatever is published meanwhile.
    pub async fn invoke(&self, invocation: &Invocation<'_>, body: &Bytes) -> Invoked {
        let (held, place, answer, capture) = {
            let endpoints = self.endpoints.load();
            let Some(endpoint) = endpoints.get(invocation.endpoint) else {
                return Invoked::refused(Error::EndpointNotFound(shortened(invocation.endpoint)));
            };
            if endpoint.is_asynchronous() != invocation.is_asynchronous {
                let expected = if invocation.is_asynchronous { "synchronous" } else { "asynchronous" };
                return Invoked::refused(Error::WrongInvocation { expected });
            }
            let arm = match endpoint.choose_for(invocation) {
                Ok(arm) => arm,
                Err(error) => return Invoked::refused(error),
            };
            if let Some(shadow) = endpoint.shadow() {
                self.copy(shadow, endpoint, invocation, body);
            }
            let variant = &endpoint.arms()[arm];
            let (place, asked) = match variant.enter(invocation) {
                Ok(entered) => entered,
                // Counted when it comes again, or gives up.
                Err(error @ Error::ModelCold { .. }) if !invocation.is_warmed => {
                    let variant = Some(variant.name.clone());
                    return Invoked { digest: None, variant, capture: None, result: Err(error) };
                }
                Err(error) => {
                    variant.metrics.begin(invocation.started);
                    return finish(variant, None, invocation, Err(error));
                }
            };
            variant.metrics.begin(invocation.started);
            let capture = endpoint.capture(invocation.point);
            match self.begin(invocation, &asked, || Chosen::arm(endpoint, arm), body) {
                Step::Done(result) => {
                    return Invoked { capture, ..finish(variant, Some(asked.model()), invocation, result) };
                }
                Step::Queued(held, answer) => (held, place, answer, capture),
            }
        };
        // Dropped with the request when its client leaves: then it is counted, and the pool skips the job.
        let mut open = Open { variant: held.variant(), invocation, is_finished: false };
        let result = match tokio::time::timeout_at(invocation.deadline.into(), answer).await {
            Ok(result) => result.unwrap_or(Err(Error::Panicked)),
            Err(_) => Err(Error::DeadlineExceeded { limit: invocation.deadline - invocation.started }),
        };
        open.is_finished = true;
        drop(place);
        Invoked { capture, ..finish(held.variant(), Some(held.model()), invocation, result) }
    }

    /// Answers at once, or queues the rest of the work.
    fn begin(
        &self,
        invocation: &Invocation<'_>,
        asked: &Asked<'_>,
        chosen: impl Fn() -> Chosen,
        body: &Bytes,
    ) -> Step {
        let model = asked.model();
        let ask = match self.ask(invocation, model) {
            Ok(ask) => ask,
            Err(error) => return Step::Done(Err(error)),
        };
        let queue = |payload| self.queue(invocation, asked.hold(chosen()), ask, payload);
        if !decodes_inline(&ask, body.len()) {
            return queue(Payload::Body(body.clone()));
        }
        SESSION.with_borrow_mut(|session| {
            let decode = match session.guarded(|session| session.decode(model, &ask, body)) {
                Ok(decode) => decode,
                Err(error) => return Step::Done(Err(error)),
            };
            if model.cost.of(session.rows().rows()) > INLINE_BUDGET {
                return queue(Payload::Rows(session.take_rows(), decode));
            }
            let mut result = session.guarded(|session| session.score(model, &ask));
            if let Ok(prediction) = &mut result {
                prediction.phases.decode = decode;
            }
            session.trim();
            Step::Done(result)
        })
    }

    /// What `invocation` asks of `model`.
    pub(super) fn ask(&self, invocation: &Invocation<'_>, model: &LoadedModel) -> Result<Ask, Error> {
        let answer_type = model.answer_type.settle(invocation.accept).map_err(Error::Accept)?;
        Ok(Ask {
            content_type: invocation.content_type,
            encoding: invocation.encoding,
            answer_type,
            body_bytes_max: self.body_bytes_max,
        })
    }

    fn queue(&self, invocation: &Invocation<'_>, held: Held, ask: Ask, payload: Payload) -> Step {
        let (reply, answer) = oneshot::channel();
        let (waiting, of_job) = (Waiting::new(invocation, ask, payload), held.clone());
        let job = move |session: &mut Session| {
            if reply.is_closed() {
                return;
            }
            let result = waiting.score(session, of_job.model());
            // Before the answer: when the last one is there, the drain is over.
            drop(of_job);
            // The client may have left.
            let _ = reply.send(result);
        };
        let capacity = &held.variant().capacity;
        match self.compute.submit(capacity, usize::MAX, Box::new(job)) {
            Ok(()) => Step::Queued(held, answer),
            Err(error) => Step::Done(Err(error)),
        }
    }
}

impl Invoked {
    /// No variant was asked.
    fn refused(error: Error) -> Self {
        Self { digest: None, variant: None, capture: None, result: Err(error) }
    }
}

/// How far a request came on the connection's thread.
enum Step {
    Done(Result<Prediction, Error>),
    Queued(Held, oneshot::Receiver<Result<Prediction, Error>>),
}

/// What is handed to the pool.
pub(super) enum Payload {
    Body(Bytes),
    Rows(DMatrix, Duration),
}

impl Payload {
    fn score(self, session: &mut Session, model: &LoadedModel, ask: &Ask) -> Result<Prediction, Error> {
        let decode = match self {
            Self::Body(body) => session.decode(model, ask, &body)?,
            Self::Rows(rows, decode) => {
                session.put_rows(rows);
                decode
            }
        };
        let mut prediction = session.score(model, ask)?;
        prediction.phases.decode = decode;
        Ok(prediction)
    }
}

/// A request in the pool's queue.
pub(super) struct Waiting {
    payload: Payload,
    ask: Ask,
    started: Instant,
    deadline: Instant,
    queued: Instant,
}

impl Waiting {
    /// `invocation` waits from now on.
    pub(super) fn new(invocation: &Invocation<'_>, ask: Ask, payload: Payload) -> Self {
        let (started, deadline) = (invocation.started, invocation.deadline);
        Self { payload, ask, started, deadline, queued: Instant::now() }
    }

    /// The answer of `model`, if its turn came in time.
    pub(super) fn score(self, session: &mut Session, model: &LoadedModel) -> Result<Prediction, Error> {
        let begun = Instant::now();
        if begun > self.deadline {
            return Err(Error::DeadlineExceeded { limit: self.deadline - self.started });
        }
        let mut result = session.guarded(|session| self.payload.score(session, model, &self.ask));
        if let Ok(prediction) = &mut result {
            prediction.phases.queue = begun - self.queued;
        }
        result
    }
}

/// A queued request; counts itself as over when its client leaves.
struct Open<'a> {
    variant: &'a ProductionVariant,
    invocation: &'a Invocation<'a>,
    is_finished: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            let abandoned = Error::DeadlineExceeded { limit: self.invocation.started.elapsed() };
            let started = self.invocation.started;
            self.variant.metrics.end(abandoned.code(), None, started, Instant::now());
        }
    }
}

/// Counts the request as over.
fn finish(
    variant: &ProductionVariant,
    model: Option<&LoadedModel>,
    invocation: &Invocation<'_>,
    result: Result<Prediction, Error>,
) -> Invoked {
    count(variant, invocation.started, &result);
    let (digest, variant) = (model.map(|model| model.digest.clone()), Some(variant.name.clone()));
    Invoked { digest, variant, capture: None, result }
}

/// Counts a request of `variant` as over.
pub(super) fn count(variant: &ProductionVariant, started: Instant, result: &Result<Prediction, Error>) {
    let (code, phases) = match result {
        Ok(prediction) if prediction.rows == 0 => (Code::NoContent, None),
        Ok(prediction) => (Code::Ok, Some(prediction.phases)),
        Err(error) => (error.code(), None),
    };
    variant.metrics.end(code, phases.as_ref(), started, Instant::now());
}

/// Whether a body is short enough to be decoded on a connection's thread. A packed one never is: what it unpacks to
/// is not known.
fn decodes_inline(ask: &Ask, body_bytes: usize) -> bool {
    ask.encoding.is_none() && body_bytes as u64 * DECODE_BYTE_NS <= INLINE_BUDGET.as_nanos() as u64
}

#[cfg(test)]
pub(super) mod tests {
    use codecs::Format;
    use futures_util::future::FutureExt;

    use super::super::cache::tests::{cache, memory};
    use super::super::session::tests::{loaded, variant};
    use super::super::{Capacity, ModelCache, Models, ON_DEMAND};
    use super::*;

    fn of_csv(encoding: Option<ContentEncoding>) -> Ask {
        let csv = ContentType::new(Format::Csv);
        Ask { content_type: csv, encoding, answer_type: csv, body_bytes_max: 1 << 20 }
    }

    #[test]
    fn short_plain_bodies_are_decoded_where_they_arrive() {
        assert!(decodes_inline(&of_csv(None), 0));
        assert!(decodes_inline(&of_csv(None), 25_000));
        assert!(!decodes_inline(&of_csv(None), 25_001));
        assert!(!decodes_inline(&of_csv(Some(ContentEncoding::Gzip)), 1));
    }

    pub(crate) fn invocation(endpoint: &str, deadline: Instant) -> Invocation<'_> {
        Invocation {
            endpoint,
            content_type: ContentType::new(Format::Csv),
            encoding: None,
            accept: None,
            point: 0,
            assignment_key: None,
            custom_attributes: None,
            target_variant: None,
            target_model: None,
            is_asynchronous: false,
            is_warmed: false,
            started: deadline,
            deadline,
        }
    }

    pub(crate) fn server() -> ModelServer {
        ModelServer::start(ModelServerOptions::online(1, 4, 1 << 20), Arc::default()).unwrap()
    }

    #[test]
    fn a_publication_replaces_and_frees_what_stood_there() {
        let server = server();
        assert!(server.digest("a").is_none());
        server.publish("a", Some(Endpoint::new(vec![variant("v")]).unwrap()));
        let old = Arc::downgrade(server.endpoints.load().get("a").unwrap());
        let is_freed = server.publish("a", Some(Endpoint::new(vec![variant("v")]).unwrap()));
        is_freed.blocking_recv().unwrap();
        assert!(old.upgrade().is_none() && server.contains("a"));
        server.publish("a", None).blocking_recv().unwrap();
        assert!(!server.contains("a"));
    }

    #[test]
    fn a_queued_job_whose_client_left_is_skipped_and_a_late_one_refused() {
        let server = server();
        let endpoint = Arc::new(Endpoint::new(vec![variant("v")]).unwrap());
        let held = || Asked::Own(&loaded(100)).hold(Chosen::arm(&endpoint, 0));
        let invocation = invocation("a", Instant::now());
        let rows = || Payload::Rows(DMatrix::from_dense(vec![13.0, 1.0], 2), Duration::ZERO);
        let queue = || match server.queue(&invocation, held(), of_csv(None), rows()) {
            Step::Queued(_, answer) => answer,
            Step::Done(_) => panic!("it is queued"),
        };
        drop(queue());
        let late = queue();
        let error = late.blocking_recv().unwrap().expect_err("late");
        assert!(matches!(error, Error::DeadlineExceeded { .. }));
    }

    fn cached(
        limit_bytes: u64,
        models: impl FnOnce(Arc<ModelCache>) -> Models,
    ) -> (Arc<ModelCache>, Endpoint) {
        let (_, cache) = cache(&memory(limit_bytes));
        let variant = ProductionVariant { models: models(Arc::clone(&cache)), ..variant("v") };
        (cache, Endpoint::new(vec![variant]).unwrap())
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    async fn ask(server: &ModelServer, invocation: Invocation<'_>) -> Invoked {
        let body = Bytes::from_static(b"1,2");
        server.invoke(&Invocation { started: Instant::now(), ..invocation }, &body).await
    }

    #[tokio::test]
    async fn a_cold_model_is_warmed_and_asked_again() {
        let server = server();
        let (cache, endpoint) = cached(100, Models::Many);
        server.publish("e", Some(endpoint));
        let target = Invocation { target_model: Some("a"), ..invocation("e", later()) };
        let cold = ask(&server, target).await;
        assert_eq!(cold.variant.as_deref(), Some(&b"v"[..]));
        let Err(Error::ModelCold { cache: found, variant }) = cold.result else { panic!("it is cold") };
        assert!(Arc::ptr_eq(&found, &cache) && variant == "v");
        found.warm("a").await.unwrap();
        let warm = ask(&server, Invocation { is_warmed: true, ..target }).await;
        assert_eq!(
            (warm.result.unwrap().body.as_ref(), warm.digest.as_deref()),
            (&b"3.0\n"[..], Some(&b"00ff"[..]))
        );
        let refused = ask(&server, invocation("e", later())).await.result;
        assert!(matches!(refused, Err(Error::TargetModelMissing)));
    }

    #[tokio::test]
    async fn a_serverless_model_is_asked_without_a_name_and_a_single_one_has_none() {
        let server = server();
        let (cache, endpoint) = cached(100, Models::OnDemand);
        server.publish("e", Some(endpoint));
        server.publish("one", Some(Endpoint::new(vec![variant("v")]).unwrap()));
        assert!(matches!(ask(&server, invocation("e", later())).await.result, Err(Error::ModelCold { .. })));
        cache.warm(ON_DEMAND).await.unwrap();
        assert_eq!(ask(&server, invocation("e", later())).await.result.unwrap().body, "3.0\n");
        for endpoint in ["e", "one"] {
            let target = Invocation { target_model: Some("a"), ..invocation(endpoint, later()) };
            let refused = ask(&server, target).await.result;
            assert!(matches!(refused, Err(Error::NotMultiModel(_))), "{endpoint}");
        }
    }

    #[tokio::test]
    async fn what_an_endpoint_does_not_take_is_refused() {
        let server = server();
        server.publish("e", Some(Endpoint::new(vec![variant("v")]).unwrap()));
        server.publish("a", Some(Endpoint::new(vec![variant("v")]).unwrap().asynchronous(true)));
        let unknown = ask(&server, invocation("x", later())).await;
        assert!(matches!(unknown.result, Err(Error::EndpointNotFound(name)) if name == "x"));
        assert_eq!((unknown.digest, unknown.variant), (None, None));
        for (endpoint, is_asynchronous) in [("e", true), ("a", false)] {
            let wrong = Invocation { is_asynchronous, ..invocation(endpoint, later()) };
            let refused = ask(&server, wrong).await.result;
            assert!(matches!(refused, Err(Error::WrongInvocation { .. })), "{endpoint}");
            let right = Invocation { is_asynchronous: !is_asynchronous, ..wrong };
            assert_eq!(ask(&server, right).await.result.unwrap().body, "3.0\n");
        }
    }

    #[tokio::test]
    async fn a_capped_variant_throttles_what_is_beyond_its_concurrency() {
        let server = server();
        // Dear enough for the pool, whose one thread is held.
        let models = Models::One(Arc::new(loaded(1_000_000)));
        let variant = ProductionVariant { models, capacity: Capacity::serverless(1), ..variant("v") };
        let capacity = Arc::clone(&variant.capacity);
        let held = capacity.clone();
        server.publish("e", Some(Endpoint::new(vec![variant]).unwrap()));
        let (release, released) = std::sync::mpsc::channel::<()>();
        server.compute.submit(&Capacity::new(1), 1, Box::new(move |_| _ = released.recv())).unwrap();
        let asked = Invocation { started: Instant::now(), ..invocation("e", later()) };
        let body = Bytes::from_static(b"1,2");
        let mut first = Box::pin(server.invoke(&asked, &body));
        assert!((&mut first).now_or_never().is_none());
        assert_eq!(capacity.in_flight(), 1);
        let refused = ask(&server, invocation("e", later())).await.result;
        assert!(matches!(refused, Err(Error::Throttled { limit: 1 })));
        release.send(()).unwrap();
        assert_eq!(first.await.result.unwrap().body, "3.0\n");
        assert_eq!(held.in_flight(), 0);
    }
}
