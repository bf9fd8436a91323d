//! What is counted for one production variant: for the page that Prometheus reads, and by periods for CloudWatch.

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use metrics::{CounterFn, Histogram, Label};
use telemetry::Aggregate;
use wire::Timestamp;

use super::cells::CounterCell;
use super::concurrency::{Concurrency, Level};
use super::period::{PeriodTimes, Times};
use super::registry::Registry;
use super::text;
use super::{INVOCATIONS, MODEL_LATENCY, Measure, OVERHEAD_LATENCY, PHASES, Phases, histogram, in_seconds};
use crate::error::Code;

/// Which variant the numbers belong to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariantLabels {
    /// The endpoint's name.
    pub endpoint: String,
    /// The variant's name.
    pub variant: String,
    /// The endpoint configuration's name; `None` in container mode.
    pub config: Option<String>,
}

impl VariantLabels {
    fn labels(&self) -> Vec<Label> {
        let mut labels =
            vec![Label::new("endpoint", self.endpoint.clone()), Label::new("variant", self.variant.clone())];
        labels.extend(self.config.iter().map(|config| Label::new("config", config.clone())));
        labels
    }
}

/// A counter for each code. Its series begins with the first request that ends so: that one request takes the cell,
/// and neither memory nor page is filled with what never happens.
#[derive(Debug)]
pub(super) struct ByCode {
    counters: [OnceLock<Arc<CounterCell>>; Code::ALL.len()],
    name: &'static str,
    labels: Vec<Label>,
    registry: Arc<Registry>,
}

impl ByCode {
    pub(super) fn new(registry: &Arc<Registry>, name: &'static str, labels: &[Label]) -> Self {
        let (registry, labels) = (Arc::clone(registry), labels.to_vec());
        Self { counters: Default::default(), name, labels, registry }
    }

    pub(super) fn of(&self, code: Code) -> &CounterCell {
        self.counters[code as usize].get_or_init(|| self.take(code))
    }

    fn values(&self) -> Counts {
        let mut values = [0; Code::ALL.len()];
        for (value, counter) in values.iter_mut().zip(&self.counters) {
            *value = counter.get().map_or(0, |counter| counter.value());
        }
        values
    }

    #[cold]
    fn take(&self, code: Code) -> Arc<CounterCell> {
        let mut labels = self.labels.clone();
        labels.push(Label::new("code", code.status().to_string()));
        labels.push(Label::from_static_parts("reason", code.as_str()));
        self.registry.hold_counter(self.name, &labels)
    }
}

/// How many requests ended so, by the order of [`Code::ALL`].
type Counts = [u64; Code::ALL.len()];

/// The numbers of one production variant; a request reaches them from its snapshot.
#[derive(Debug)]
pub struct VariantMetrics {
    labels: VariantLabels,
    /// The same as the text format writes them.
    shown_labels: String,
    invocations: ByCode,
    concurrency: Concurrency,
    model_latency: Histogram,
    overhead_latency: Histogram,
    phases: [Histogram; 4],
    /// Where somebody takes them away: in container mode nobody does, and they are not kept.
    times: Option<Box<PeriodLatencies>>,
    instances: Mutex<Instances>,
    desired_instances: AtomicU32,
    loaded_models: AtomicU32,
    provisioned_concurrency: AtomicU32,
    max_concurrency: AtomicU32,
    last_request_ms: AtomicI64,
    is_asynchronous: AtomicBool,
    taken: Mutex<Counts>,
    measures: Mutex<BTreeMap<Measure, Aggregate>>,
}

#[derive(Debug, Default)]
struct PeriodLatencies {
    model: PeriodTimes,
    overhead: PeriodTimes,
}

/// Invocations over instances, summed up piece by piece: each change of the number of instances ends a piece.
#[derive(Debug)]
struct Instances {
    count: u32,
    invocations: u64,
    per_instance: f64,
    taken: f64,
}

impl Instances {
    fn fold(&mut self, invocations: u64) {
        let new = invocations - self.invocations.min(invocations);
        self.per_instance += new as f64 / f64::from(self.count.max(1));
        self.invocations = invocations;
    }
}

/// What happened in one period.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VariantPeriod {
    /// Requests that ended.
    pub invocations: u64,
    /// The same, each over the instances there were.
    pub invocations_per_instance: f64,
    /// Those that ended with a 4xx status.
    pub client_errors: u64,
    /// Those that ended with a 5xx status.
    pub server_errors: u64,
    /// The model's time.
    pub model_latency: Times,
    /// The rest of each request's time.
    pub overhead_latency: Times,
    /// Requests in flight, over all instances.
    pub concurrency: Level,
    /// Instances at its end.
    pub instances: u32,
    /// Models in memory.
    pub loaded_models: u32,
    /// Requests that a serverless variant stands ready for; 0 when it has no provisioned concurrency.
    pub provisioned_concurrency: u32,
    /// Whether the endpoint is asynchronous, which has metrics of its own.
    pub is_asynchronous: bool,
    /// What is measured now and then.
    pub measures: BTreeMap<Measure, Aggregate>,
}

impl VariantMetrics {
    pub(super) fn new(registry: &Arc<Registry>, labels: VariantLabels, base: Instant) -> Self {
        let keys = labels.labels();
        let invocations = ByCode::new(registry, INVOCATIONS, &keys);
        // There from the start: a rate needs a first zero.
        invocations.of(Code::Ok);
        Self {
            invocations,
            concurrency: Concurrency::new(base),
            model_latency: histogram(registry, MODEL_LATENCY, &keys),
            overhead_latency: histogram(registry, OVERHEAD_LATENCY, &keys),
            phases: PHASES.map(|name| histogram(registry, name, &keys)),
            times: labels.config.is_some().then(Box::default),
            shown_labels: text::labels(&keys),
            labels,
            instances: Mutex::new(Instances { count: 1, invocations: 0, per_instance: 0.0, taken: 0.0 }),
            desired_instances: AtomicU32::new(1),
            loaded_models: AtomicU32::new(1),
            provisioned_concurrency: AtomicU32::new(0),
            max_concurrency: AtomicU32::new(0),
            last_request_ms: AtomicI64::new(0),
            is_asynchronous: AtomicBool::new(false),
            taken: Mutex::default(),
            measures: Mutex::default(),
        }
    }

    /// Whose they are.
    pub fn labels(&self) -> &VariantLabels {
        &self.labels
    }

    /// The same as the text format writes them.
    pub(super) fn shown_labels(&self) -> &str {
        &self.shown_labels
    }

    /// A request has begun, at `started`.
    pub fn begin(&self, started: Instant) {
        self.concurrency.begin(started);
    }

    /// It has ended, with a prediction or without: `started` is what it began with.
    pub fn end(&self, code: Code, phases: Option<&Phases>, started: Instant, ended: Instant) {
        self.concurrency.end(ended);
        self.invocations.of(code).increment(1);
        let Some(phases) = phases else { return };
        let model = phases.total();
        let overhead = ended.saturating_duration_since(started).saturating_sub(model);
        self.model_latency.record(in_seconds(model));
        self.overhead_latency.record(in_seconds(overhead));
        for (histogram, (_, time)) in self.phases.iter().zip(phases.named()) {
            histogram.record(in_seconds(time));
        }
        if let Some(times) = &self.times {
            times.model.record(nanos(model));
            times.overhead.record(nanos(overhead));
        }
    }

    /// Something that does not happen with each request was measured, in the unit of its name.
    pub fn measure(&self, measure: Measure, value: f64) {
        lock(&self.measures).entry(measure).or_default().record(value);
    }

    /// The same of a time, in microseconds.
    pub fn measure_time(&self, measure: Measure, time: Duration) {
        self.measure(measure, time.as_secs_f64() * 1e6);
    }

    /// How many instances serve from now on, and how many should.
    pub fn set_instances(&self, current: u32, desired: u32) {
        let mut instances = lock(&self.instances);
        instances.fold(self.total());
        instances.count = current;
        self.desired_instances.store(desired, Ordering::Relaxed);
    }

    /// It belongs to an asynchronous endpoint.
    pub fn set_asynchronous(&self) {
        self.is_asynchronous.store(true, Ordering::Relaxed);
    }

    /// How many models are in memory from now on.
    pub fn set_loaded_models(&self, count: u32) {
        self.loaded_models.store(count, Ordering::Relaxed);
    }

    /// How many requests a serverless variant stands ready for from now on.
    pub fn set_provisioned_concurrency(&self, count: u32) {
        self.provisioned_concurrency.store(count, Ordering::Relaxed);
    }

    /// How many of its predictions may be computed at once from now on.
    pub fn set_max_concurrency(&self, count: u32) {
        self.max_concurrency.store(count, Ordering::Relaxed);
    }

    /// How many of its predictions may be computed at once; 0 before it stood in an endpoint.
    pub fn max_concurrency(&self) -> u32 {
        self.max_concurrency.load(Ordering::Relaxed)
    }

    /// Instances that serve, and that should.
    pub fn instances(&self) -> (u32, u32) {
        (lock(&self.instances).count, self.desired_instances.load(Ordering::Relaxed))
    }

    /// Requests in flight at `now`.
    pub fn inflight(&self, now: Instant) -> u32 {
        self.concurrency.inflight(now)
    }

    /// Requests in flight during the period that was drained last.
    pub fn concurrency(&self) -> Level {
        self.concurrency.last()
    }

    /// Requests that ended, ever.
    pub fn total(&self) -> u64 {
        self.invocations.values().iter().sum()
    }

    /// The same, each over the instances there were.
    pub fn total_per_instance(&self) -> f64 {
        self.folded().per_instance
    }

    /// The end of the last period in which a request ended or was in flight; `None` before the first.
    pub fn last_request(&self) -> Option<Timestamp> {
        Some(Timestamp(self.last_request_ms.load(Ordering::Relaxed))).filter(|moment| moment.0 > 0)
    }

    /// Ends a period at `now`, which is `time`, and takes what happened in it.
    pub fn drain(&self, now: Instant, time: Timestamp) -> VariantPeriod {
        let concurrency = self.concurrency.drain(now);
        let values = self.invocations.values();
        let before = mem::replace(&mut *lock(&self.taken), values);
        let mut period = self.period(concurrency, values, before);
        if period.invocations > 0 || concurrency.max > 0 {
            self.last_request_ms.store(time.0, Ordering::Relaxed);
        }
        let mut instances = self.folded();
        period.invocations_per_instance = instances.per_instance - instances.taken;
        instances.taken = instances.per_instance;
        drop(instances);
        if let Some(times) = &self.times {
            (period.model_latency, period.overhead_latency) = (times.model.take(), times.overhead.take());
        }
        period.measures = mem::take(&mut *lock(&self.measures));
        period
    }

    /// What happened until `now` in the period that goes on.
    pub fn look(&self, now: Instant) -> VariantPeriod {
        let before = *lock(&self.taken);
        let mut period = self.period(self.concurrency.look(now), self.invocations.values(), before);
        let instances = self.folded();
        period.invocations_per_instance = instances.per_instance - instances.taken;
        drop(instances);
        if let Some(times) = &self.times {
            (period.model_latency, period.overhead_latency) = (times.model.look(), times.overhead.look());
        }
        period.measures = lock(&self.measures).clone();
        period
    }

    /// What is neither times nor measures of a period that began with `before` counted and has come to `values`.
    fn period(&self, concurrency: Level, values: Counts, before: Counts) -> VariantPeriod {
        let mut period = VariantPeriod {
            concurrency,
            instances: lock(&self.instances).count,
            loaded_models: self.loaded_models.load(Ordering::Relaxed),
            provisioned_concurrency: self.provisioned_concurrency.load(Ordering::Relaxed),
            is_asynchronous: self.is_asynchronous.load(Ordering::Relaxed),
            ..VariantPeriod::default()
        };
        for ((code, value), before) in Code::ALL.iter().zip(values).zip(before) {
            let new = value.saturating_sub(before);
            period.invocations += new;
            match code.status() {
                400..=499 => period.client_errors += new,
                500.. => period.server_errors += new,
                _ => {}
            }
        }
        period
    }

    /// Up to now.
    fn folded(&self) -> MutexGuard<'_, Instances> {
        let mut instances = lock(&self.instances);
        instances.fold(self.total());
        instances
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    fn labels() -> VariantLabels {
        VariantLabels { endpoint: "e".into(), variant: "v".into(), config: Some("c".into()) }
    }

    fn invoke(variant: &VariantMetrics, code: Code, started: Instant, model_us: u64, total_us: u64) {
        variant.begin(started);
        let phases = Phases { predict: Duration::from_micros(model_us), ..Phases::default() };
        let ended = started + Duration::from_micros(total_us);
        variant.end(code, (code == Code::Ok).then_some(&phases), started, ended);
    }

    #[test]
    fn a_period_holds_what_happened_in_it() {
        let metrics = Metrics::default();
        let variant = metrics.production_variant(labels());
        let base = Instant::now();
        let at = |seconds| base + Duration::from_secs(seconds);
        variant.drain(base, Timestamp(0));
        invoke(&variant, Code::Ok, at(1), 40, 50);
        invoke(&variant, Code::Ok, at(2), 60, 75);
        invoke(&variant, Code::BadRequest, at(3), 0, 5);
        invoke(&variant, Code::QueueFull, at(3), 0, 5);
        let seen = variant.look(at(10));
        assert_eq!((seen.concurrency.max, variant.concurrency().max), (1, 0));
        let period = variant.drain(at(10), Timestamp(10_000));
        assert_eq!(seen, period);
        assert_eq!((period.invocations, period.client_errors, period.server_errors), (4, 1, 1));
        let model = &period.model_latency;
        assert_eq!((model.count, model.sum_ns, model.min_ns, model.max_ns), (2, 100_000, 40_000, 60_000));
        assert_eq!(period.overhead_latency.sum_ns, 25_000);
        assert_eq!(variant.last_request(), Some(Timestamp(10_000)));
        let next = variant.drain(at(20), Timestamp(20_000));
        assert_eq!((next.invocations, next.model_latency.count, next.concurrency.mean), (0, 0, 0.0));
        assert_eq!(variant.last_request(), Some(Timestamp(10_000)));
    }

    #[test]
    fn an_invocation_counts_over_the_instances_of_its_moment() {
        let metrics = Metrics::default();
        let variant = metrics.production_variant(labels());
        let now = Instant::now();
        (0..6).for_each(|_| invoke(&variant, Code::Ok, now, 1, 2));
        variant.set_instances(3, 4);
        (0..6).for_each(|_| invoke(&variant, Code::Ok, now, 1, 2));
        assert!((variant.drain(now, Timestamp(1)).invocations_per_instance - 8.0).abs() < 1e-9);
        (0..3).for_each(|_| invoke(&variant, Code::Ok, now, 1, 2));
        assert!((variant.drain(now, Timestamp(1)).invocations_per_instance - 1.0).abs() < 1e-9);
        assert!((variant.total_per_instance() - 9.0).abs() < 1e-9);
        assert_eq!(variant.instances(), (3, 4));
    }

    #[test]
    fn what_is_measured_now_and_then_is_taken_too() {
        let metrics = Metrics::default();
        let variant = metrics.production_variant(labels());
        variant.measure_time(Measure::ModelSetupTime, Duration::from_millis(3));
        variant.measure(Measure::ModelCacheHit, 1.0);
        variant.measure(Measure::ModelCacheHit, 0.0);
        let measures = variant.drain(Instant::now(), Timestamp(1)).measures;
        assert!((measures[&Measure::ModelSetupTime].sum - 3000.0).abs() < 1e-6);
        let hits = &measures[&Measure::ModelCacheHit];
        assert_eq!((hits.count, hits.sum), (2.0, 1.0));
        assert!(variant.drain(Instant::now(), Timestamp(1)).measures.is_empty());
    }
}
