//! All metrics: their names, their help, their labels.
//!
//! They are counted through handles of the `metrics` facade, taken once from a [`Registry`]: a request finds those of
//! its variant through one pointer ([`VariantMetrics`]), looks up no name and allocates nothing, and each thread counts
//! in a shard of its own cache lines. Histograms have fixed buckets, so memory does not grow between scrapes.

mod cells;
mod concurrency;
mod histogram;
mod jobs;
mod measure;
mod page;
mod period;
mod pool;
mod process;
mod registry;
mod sharded;
mod text;
mod transforms;
mod variant;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, Label, Metadata, Recorder, Unit};
use wire::Timestamp;

pub use concurrency::Level;
pub use jobs::Jobs;
pub use measure::{Backlog, Measure};
pub use period::Times;
pub use pool::Pool;
pub use process::{Process, machine_bytes};
pub use registry::Registry;
pub use transforms::Transforms;
pub use variant::{VariantLabels, VariantMetrics, VariantPeriod};

use text::Text;
use variant::ByCode;

use crate::error::Code;

const CONNECTIONS: &str = "clary_connections";
const CONNECTIONS_ACCEPTED: &str = "clary_connections_accepted_total";
const TLS_FAILURES: &str = "clary_tls_failures_total";
const QUEUE_DEPTH: &str = "clary_queue_depth";
/// What the compute pool is like: gauges, and what is said of each.
const POOL: [(&str, &str); 2] = [
    ("clary_queue_oldest_seconds", "How long the oldest of them has waited; 0 when none waits."),
    ("clary_worker_busy_ratio", "The share of the workers that was busy: a mean over the last 10 s period."),
];
const REJECTED: &str = "clary_rejected_total";
const MODELS_LOADED: &str = "clary_models_loaded";
const MODEL_LOAD: &str = "clary_model_load_seconds";
const RELOADS: &str = "clary_model_reloads_total";
const RELOAD_FAILURES: &str = "clary_model_reload_failures_total";
const CACHE_HITS: &str = "clary_model_cache_hits_total";
const CACHE_MISSES: &str = "clary_model_cache_misses_total";
const CAPTURE_DROPPED: &str = "clary_capture_dropped_total";
const SHADOW_DROPPED: &str = "clary_shadow_dropped_total";
const INVOCATIONS: &str = "clary_invocations_total";
const INFLIGHT: &str = "clary_inflight";
const CONCURRENT_REQUESTS: &str = "clary_concurrent_requests";
const CONCURRENT_REQUESTS_AVERAGE: &str = "clary_concurrent_requests_avg10s";
const CONCURRENT_REQUESTS_MAX: &str = "clary_concurrent_requests_max10s";
const INVOCATIONS_PER_INSTANCE: &str = "clary_invocations_per_instance_total";
const MAX_CONCURRENCY: &str = "clary_max_concurrency";
const REPLICAS_READY: &str = "clary_replicas_ready";
const REPLICAS_DESIRED: &str = "clary_replicas_desired";
/// What each asynchronous endpoint is like: a gauge, and what is said of it.
const BACKLOGS: [(&str, &str); 4] = [
    ("clary_async_backlog", "Asynchronous requests that wait or are worked on."),
    ("clary_async_backlog_per_instance", "The same, over the endpoint's instances."),
    ("clary_async_oldest_age_seconds", "How long the oldest has waited."),
    ("clary_async_backlog_without_capacity", "1 while requests wait and no instance is there, else 0."),
];
/// Training jobs by what they are at: a gauge.
const TRAINING_JOBS: (&str, &str) = ("clary_training_jobs", "Training jobs that run or wait for their turn.");
/// Training jobs by how they ended: a counter.
const TRAINING_JOBS_ENDED: (&str, &str) = ("clary_training_jobs_ended_total", "Training jobs that ended.");
/// Transform jobs by what they are at: a gauge.
const TRANSFORM_JOBS: (&str, &str) =
    ("clary_transform_jobs", "Transform jobs that run or wait for their turn.");
/// Transform jobs by how they ended: a counter.
const TRANSFORM_JOBS_ENDED: (&str, &str) = ("clary_transform_jobs_ended_total", "Transform jobs that ended.");
/// What all transform jobs did: counters, and what is said of each.
const TRANSFORM_COUNTERS: [(&str, &str); 8] = [
    ("clary_transform_objects_total", "Objects whose output was written."),
    ("clary_transform_failures_total", "Objects that failed."),
    ("clary_transform_records_total", "Records answered."),
    ("clary_transform_records_refused_total", "Records refused, and replaced or quarantined."),
    ("clary_transform_bytes_read_total", "Bytes read, as they are stored."),
    ("clary_transform_bytes_written_total", "Bytes written."),
    ("clary_transform_calls_total", "Calls of models."),
    ("clary_transform_retries_total", "Calls of models that were tried again."),
];
const LAST_REQUEST: &str = "clary_last_request_timestamp_seconds";
/// Prometheus' own name for it.
const PROCESS_CPU: &str = "process_cpu_seconds_total";
/// Prometheus' own name for it.
const PROCESS_MEMORY: &str = "process_resident_memory_bytes";
const MODEL_LATENCY: &str = "clary_model_latency_seconds";
const OVERHEAD_LATENCY: &str = "clary_overhead_latency_seconds";
/// In the order of [`Phases::named`].
const PHASES: [&str; 4] =
    ["clary_queue_seconds", "clary_decode_seconds", "clary_predict_seconds", "clary_encode_seconds"];

/// What is said of each counter.
const COUNTERS: [(&str, &str); 10] = [
    (CONNECTIONS_ACCEPTED, "Connections accepted."),
    (TLS_FAILURES, "TLS handshakes that failed."),
    (REJECTED, "Requests refused before they reached a variant."),
    (RELOADS, "Models published after the first."),
    (RELOAD_FAILURES, "New artifacts that were refused."),
    (CACHE_HITS, "Invocations that found their model."),
    (CACHE_MISSES, "Invocations that did not."),
    (CAPTURE_DROPPED, "Captured records that were not stored."),
    (SHADOW_DROPPED, "Copies of requests that a shadow variant did not take."),
    (INVOCATIONS, "Invocations by outcome."),
];

/// What is said of each gauge.
const GAUGES: [(&str, &str); 3] = [
    (CONNECTIONS, "Connections served now."),
    (QUEUE_DEPTH, "Predictions that wait for a worker."),
    (MODELS_LOADED, "Models in memory."),
];

/// What is computed for each variant when the page is read: its kind, and what is said of it.
const DERIVED: [(&str, &str, &str); 9] = [
    (INFLIGHT, "gauge", "Invocations in flight."),
    (CONCURRENT_REQUESTS, "gauge", "Invocations in flight, those that wait included."),
    (CONCURRENT_REQUESTS_AVERAGE, "gauge", "Their time-weighted mean over the last 10 s period."),
    (CONCURRENT_REQUESTS_MAX, "gauge", "The most of them in the last 10 s period."),
    (INVOCATIONS_PER_INSTANCE, "counter", "Invocations, each over the instances of its moment."),
    (MAX_CONCURRENCY, "gauge", "Predictions that may be computed at once."),
    (REPLICAS_READY, "gauge", "Instances that serve."),
    (REPLICAS_DESIRED, "gauge", "Instances that should serve."),
    (LAST_REQUEST, "gauge", "The end of the last 10 s period with requests; 0 before the first."),
];

/// What is said of each histogram.
const HISTOGRAMS: [(&str, &str); 7] = [
    (MODEL_LOAD, "From artifact to published model."),
    (MODEL_LATENCY, "Queue, decode, predict and encode."),
    (OVERHEAD_LATENCY, "The rest of an invocation."),
    (PHASES[0], "One phase of an invocation."),
    (PHASES[1], "One phase of an invocation."),
    (PHASES[2], "One phase of an invocation."),
    (PHASES[3], "One phase of an invocation."),
];

/// What the facade wants to know of who counts; the registry does not ask.
const METADATA: Metadata<'static> = Metadata::new(module_path!(), metrics::Level::INFO, Some(module_path!()));

/// How long the parts of a prediction took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases {
    /// Waiting for a worker; zero when predicted on the connection's thread.
    pub queue: Duration,
    /// Bytes to rows.
    pub decode: Duration,
    /// Rows to predictions.
    pub predict: Duration,
    /// Predictions to bytes.
    pub encode: Duration,
}

impl Phases {
    /// By the name of the metric's label, in the order of a request.
    pub fn named(&self) -> [(&'static str, Duration); 4] {
        [("queue", self.queue), ("decode", self.decode), ("predict", self.predict), ("encode", self.encode)]
    }

    /// The model's own time: all of it.
    pub fn total(&self) -> Duration {
        self.queue + self.decode + self.predict + self.encode
    }
}

/// The server's numbers that belong to no variant, and the registry of all.
#[derive(Debug)]
pub struct Metrics {
    /// Connections served now.
    pub connections: Gauge,
    /// Connections ever accepted.
    pub connections_accepted: Counter,
    /// TLS handshakes that failed or took too long.
    pub tls_failures: Counter,
    /// Predictions that wait for a worker.
    pub queue_depth: Gauge,
    /// Models loaded now.
    pub models_loaded: Gauge,
    /// Models published after the first.
    pub reloads: Counter,
    /// New artifacts that were refused.
    pub reload_failures: Counter,
    /// From artifact to published model.
    pub model_load: Histogram,
    /// Invocations of a multi-model server that found their model in memory.
    pub cache_hits: Counter,
    /// And that did not.
    pub cache_misses: Counter,
    /// Captured records that were not stored.
    pub capture_dropped: Counter,
    /// Copies of requests that a shadow variant did not take.
    pub shadow_dropped: Counter,
    /// The threads of the compute pool.
    pub pool: Pool,
    /// Transform jobs.
    pub transforms: Transforms,
    /// Training jobs.
    pub trainings: Jobs,
    rejected: ByCode,
    registry: Arc<Registry>,
    variants: Mutex<Variants>,
    backlogs: Mutex<BTreeMap<String, Backlog>>,
    base: Instant,
    page_bytes: AtomicUsize,
}

/// The variants on the page.
#[derive(Debug, Default)]
struct Variants {
    /// All that somebody holds.
    all: BTreeMap<VariantLabels, Weak<VariantMetrics>>,
    /// Those whose last period is still to be taken; held until then.
    production: Vec<Arc<VariantMetrics>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Arc::new(Registry::default());
        describe(&registry);
        let base = Instant::now();
        Self {
            connections: gauge(&registry, CONNECTIONS, &[]),
            connections_accepted: counter(&registry, CONNECTIONS_ACCEPTED, &[]),
            tls_failures: counter(&registry, TLS_FAILURES, &[]),
            queue_depth: gauge(&registry, QUEUE_DEPTH, &[]),
            models_loaded: gauge(&registry, MODELS_LOADED, &[]),
            reloads: counter(&registry, RELOADS, &[]),
            reload_failures: counter(&registry, RELOAD_FAILURES, &[]),
            model_load: histogram(&registry, MODEL_LOAD, &[]),
            cache_hits: counter(&registry, CACHE_HITS, &[]),
            cache_misses: counter(&registry, CACHE_MISSES, &[]),
            capture_dropped: counter(&registry, CAPTURE_DROPPED, &[]),
            shadow_dropped: counter(&registry, SHADOW_DROPPED, &[]),
            pool: Pool::new(base),
            transforms: Transforms::default(),
            trainings: Jobs::new(TRAINING_JOBS, TRAINING_JOBS_ENDED),
            rejected: ByCode::new(&registry, REJECTED, &[]),
            registry,
            variants: Mutex::default(),
            backlogs: Mutex::default(),
            base,
            page_bytes: AtomicUsize::new(0),
        }
    }
}

impl Metrics {
    /// The numbers of a variant in container mode, on the page for as long as somebody holds them.
    pub fn variant(&self, endpoint: &str, variant: &str) -> Arc<VariantMetrics> {
        self.hold(VariantLabels { endpoint: endpoint.to_owned(), variant: variant.to_owned(), config: None })
    }

    /// The numbers of a variant of an endpoint configuration: also by periods, which [`drain`](Self::drain) takes.
    pub fn production_variant(&self, labels: VariantLabels) -> Arc<VariantMetrics> {
        self.hold(labels)
    }

    fn hold(&self, labels: VariantLabels) -> Arc<VariantMetrics> {
        let mut variants = self.variants();
        if let Some(variant) = variants.all.get(&labels).and_then(Weak::upgrade) {
            return variant;
        }
        // Here too, so that memory is bounded where nobody reads the page.
        variants.all.retain(|_, variant| variant.strong_count() > 0);
        let variant = Arc::new(VariantMetrics::new(&self.registry, labels.clone(), self.base));
        if labels.config.is_some() {
            variants.production.push(Arc::clone(&variant));
        }
        variants.all.insert(labels, Arc::downgrade(&variant));
        variant
    }

    /// The variants that somebody holds.
    pub fn living(&self) -> Vec<Arc<VariantMetrics>> {
        let mut variants = self.variants();
        variants.all.retain(|_, variant| variant.strong_count() > 0);
        variants.all.values().filter_map(Weak::upgrade).collect()
    }

    /// Ends a period at `now`, which is `time`: what happened in it to each production variant.
    pub fn drain(&self, now: Instant, time: Timestamp) -> Vec<(VariantLabels, VariantPeriod)> {
        self.pool.drain(now);
        let living = self.living();
        let drained = living.iter().map(|variant| (variant.labels().clone(), variant.drain(now, time)));
        let drained = drained.filter(|(labels, _)| labels.config.is_some()).collect();
        drop(living);
        self.variants().production.retain(|variant| Arc::strong_count(variant) > 1);
        drained
    }

    /// What happened until `now` to each production variant in the period that goes on.
    pub fn look(&self, now: Instant) -> Vec<(VariantLabels, VariantPeriod)> {
        let living = self.living();
        let production = living.iter().filter(|variant| variant.labels().config.is_some());
        production.map(|variant| (variant.labels().clone(), variant.look(now))).collect()
    }

    /// What waits at an asynchronous endpoint from now on; `None` when it is gone.
    pub fn set_backlog(&self, endpoint: &str, backlog: Option<Backlog>) {
        let mut backlogs = self.backlogs.lock().unwrap_or_else(PoisonError::into_inner);
        match backlog {
            Some(backlog) => drop(backlogs.insert(endpoint.to_owned(), backlog)),
            None => drop(backlogs.remove(endpoint)),
        }
    }

    /// What waits at each asynchronous endpoint.
    pub fn backlogs(&self) -> Vec<(String, Backlog)> {
        let backlogs = self.backlogs.lock().unwrap_or_else(PoisonError::into_inner);
        backlogs.iter().map(|(endpoint, backlog)| (endpoint.clone(), *backlog)).collect()
    }

    fn variants(&self) -> MutexGuard<'_, Variants> {
        self.variants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was refused before it reached a variant.
    pub fn reject(&self, code: Code) {
        self.rejected.of(code).increment(1);
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self) -> String {
        // A little more than the last one took: most pages grow slowly.
        let last = self.page_bytes.load(Ordering::Relaxed);
        let mut text = Text::with_capacity(last + last / 8);
        self.registry.render_to(&mut text);
        let now = Instant::now();
        page::derived(&mut text, &self.living(), &self.pool, now);
        page::pool(&mut text, &self.pool, now);
        page::backlogs(&mut text, &self.backlogs());
        self.transforms.show(&mut text);
        self.trainings.show(&mut text);
        page::process(&mut text, &Process::read());
        let page = text.finish();
        self.page_bytes.store(page.len(), Ordering::Relaxed);
        page
    }
}

/// As the facade's own conversion, but for a rounding that the histogram takes back: one multiplication in the place of
/// two conversions and a division.
fn in_seconds(time: Duration) -> f64 {
    time.as_nanos() as i64 as f64 * 1e-9
}

fn describe(registry: &Registry) {
    for (name, help) in COUNTERS {
        registry.describe_counter(name.into(), Some(Unit::Count), help.into());
    }
    for (name, help) in GAUGES {
        registry.describe_gauge(name.into(), Some(Unit::Count), help.into());
    }
    for (name, help) in HISTOGRAMS {
        registry.describe_histogram(name.into(), Some(Unit::Seconds), help.into());
    }
}

fn counter(registry: &Registry, name: &'static str, labels: &[Label]) -> Counter {
    registry.register_counter(&Key::from_parts(name, labels.to_vec()), &METADATA)
}

fn gauge(registry: &Registry, name: &'static str, labels: &[Label]) -> Gauge {
    registry.register_gauge(&Key::from_parts(name, labels.to_vec()), &METADATA)
}

fn histogram(registry: &Registry, name: &'static str, labels: &[Label]) -> Histogram {
    registry.register_histogram(&Key::from_parts(name, labels.to_vec()), &METADATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_counted_in_every_family() {
        let metrics = Metrics::default();
        let variant = metrics.variant("model", "AllTraffic");
        let now = Instant::now();
        variant.begin(now);
        let phases = Phases { decode: Duration::from_micros(3), ..Phases::default() };
        variant.end(Code::Ok, Some(&phases), now, now + Duration::from_micros(10));
        variant.begin(now);
        variant.end(Code::QueueFull, None, now, now + Duration::from_micros(1));
        variant.begin(now);
        let text = metrics.render();
        for line in [
            r#"clary_invocations_total{endpoint="model",variant="AllTraffic",code="200",reason="ok"} 1"#,
            r#"clary_invocations_total{endpoint="model",variant="AllTraffic",code="503",reason="queue_full"} 1"#,
            r#"clary_inflight{endpoint="model",variant="AllTraffic"} 1"#,
            r#"clary_decode_seconds_bucket{endpoint="model",variant="AllTraffic",le="0.000005"} 1"#,
            r#"clary_model_latency_seconds_count{endpoint="model",variant="AllTraffic"} 1"#,
            r#"clary_overhead_latency_seconds_sum{endpoint="model",variant="AllTraffic"} 0.000007"#,
        ] {
            assert!(text.lines().any(|found| found == line), "expected {line}, found:\n{text}");
        }
    }

    #[test]
    fn a_variant_is_listed_while_it_is_held() {
        let metrics = Metrics::default();
        drop(metrics.variant("gone", "AllTraffic"));
        assert!(!metrics.render().contains("gone"));
    }

    #[test]
    fn every_family_is_named_clary_and_declared_once() {
        let metrics = Metrics::default();
        let _variant = metrics.variant("a\"b", "v");
        let text = metrics.render();
        let mut types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        let declared = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), declared);
        assert!(
            types.iter().all(|line| line.starts_with("# TYPE clary_") || line.starts_with("# TYPE process_"))
        );
        assert!(text.contains(r#"endpoint="a\"b""#));
    }

    #[test]
    fn a_refusal_is_counted_by_its_code() {
        let metrics = Metrics::default();
        assert!(!metrics.render().contains("clary_rejected_total{"));
        metrics.reject(Code::NotFound);
        metrics.reject(Code::NotFound);
        assert!(metrics.render().contains("clary_rejected_total{code=\"404\",reason=\"not_found\"} 2\n"));
    }

    #[test]
    fn a_variant_loaded_again_goes_on_counting_where_its_requests_still_count() {
        let metrics = Metrics::default();
        let before = metrics.variant("model", "AllTraffic");
        before.begin(Instant::now());
        let after = metrics.variant("model", "AllTraffic");
        after.begin(Instant::now());
        let series = r#"clary_inflight{endpoint="model",variant="AllTraffic"} 2"#;
        assert_eq!(metrics.render().lines().filter(|line| *line == series).count(), 1);
    }

    #[test]
    fn every_phase_has_its_histogram() {
        for (metric, (phase, _)) in PHASES.into_iter().zip(Phases::default().named()) {
            assert_eq!(metric, format!("clary_{phase}_seconds"));
        }
    }

    #[test]
    fn every_family_on_the_page_is_described() {
        let metrics = Metrics::default();
        let _variant = metrics.variant("model", "AllTraffic");
        metrics.reject(Code::NotFound);
        let page = metrics.render();
        let helps: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
        assert_eq!(
            helps.len(),
            COUNTERS.len()
                + GAUGES.len()
                + HISTOGRAMS.len()
                + DERIVED.len()
                + BACKLOGS.len()
                + POOL.len()
                + TRANSFORM_COUNTERS.len()
                + 6
        );
        assert!(helps.iter().all(|help| help.ends_with('.')), "{helps:?}");
    }
}
