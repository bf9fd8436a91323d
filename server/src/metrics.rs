//! All metrics: their names, their labels, and the Prometheus text of `/metrics`.
//!
//! A request touches only counters of its variant that it finds through one pointer ([`VariantMetrics`]): no name is
//! looked up, nothing is allocated, and each thread counts in a shard of its own cache lines. Histograms have fixed
//! buckets, so memory does not grow between scrapes.

mod histogram;
mod sharded;
mod text;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

pub use histogram::Histogram;
use sharded::Sharded;
use text::Text;

use crate::error::Code;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `change`.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    /// Becomes `value`.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What it is.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

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

/// One shard of a variant's numbers.
#[derive(Debug, Default)]
struct VariantShard {
    invocations: [Counter; Code::ALL.len()],
    inflight: Gauge,
    model_latency: Histogram,
    overhead_latency: Histogram,
    phases: [Histogram; 4],
}

/// What is counted for one production variant; a request reaches it from its snapshot.
#[derive(Debug)]
pub struct VariantMetrics {
    endpoint: String,
    variant: String,
    shards: Sharded<VariantShard>,
}

impl VariantMetrics {
    /// A request has begun.
    pub fn begin(&self) {
        self.shards.local().inflight.add(1);
    }

    /// It has ended: `total` after its body had come, with a prediction or without.
    pub fn end(&self, code: Code, phases: Option<&Phases>, total: Duration) {
        let shard = self.shards.local();
        shard.inflight.add(-1);
        shard.invocations[code as usize].increment();
        let Some(phases) = phases else { return };
        let model = phases.total();
        shard.model_latency.record(model);
        shard.overhead_latency.record(total.saturating_sub(model));
        for (histogram, (_, time)) in shard.phases.iter().zip(phases.named()) {
            histogram.record(time);
        }
    }

    fn sum(&self, of: impl Fn(&VariantShard) -> i64) -> i64 {
        self.shards.iter().map(of).sum()
    }
}

/// The server's numbers that belong to no variant, and the list of variants.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections served now.
    pub connections: Gauge,
    /// Connections ever accepted.
    pub connections_accepted: Counter,
    /// TLS handshakes that failed or took too long.
    pub tls_failures: Counter,
    /// Predictions that wait for a worker.
    pub queue_depth: Gauge,
    /// Requests refused before they reached a variant, by code.
    pub rejected: [Counter; Code::ALL.len()],
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
    variants: Mutex<Vec<Weak<VariantMetrics>>>,
}

impl Metrics {
    /// The numbers of a variant, listed for as long as somebody holds them.
    pub fn variant(&self, endpoint: &str, variant: &str) -> Arc<VariantMetrics> {
        let (endpoint, variant) = (endpoint.to_owned(), variant.to_owned());
        let metrics = Arc::new(VariantMetrics { endpoint, variant, shards: Sharded::default() });
        let mut variants = self.variants.lock().unwrap_or_else(PoisonError::into_inner);
        variants.retain(|variant| variant.strong_count() > 0);
        variants.push(Arc::downgrade(&metrics));
        metrics
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = Text::default();
        self.render_server(&mut text);
        let variants = self.variants.lock().unwrap_or_else(PoisonError::into_inner);
        let variants: Vec<_> = variants.iter().filter_map(Weak::upgrade).collect();
        render_variants(&mut text, &variants);
        text.finish()
    }

    fn render_server(&self, text: &mut Text) {
        text.counter(
            "clary_connections_accepted_total",
            "Connections accepted.",
            self.connections_accepted.value(),
        );
        text.gauge("clary_connections", "Connections served now.", self.connections.value());
        text.counter("clary_tls_failures_total", "TLS handshakes that failed.", self.tls_failures.value());
        text.gauge("clary_queue_depth", "Predictions that wait for a worker.", self.queue_depth.value());
        text.gauge("clary_models_loaded", "Models in memory.", self.models_loaded.value());
        text.counter("clary_model_reloads_total", "Models published after the first.", self.reloads.value());
        let failures = self.reload_failures.value();
        text.counter("clary_model_reload_failures_total", "New artifacts that were refused.", failures);
        text.counter(
            "clary_model_cache_hits_total",
            "Invocations that found their model.",
            self.cache_hits.value(),
        );
        text.counter(
            "clary_model_cache_misses_total",
            "Invocations that did not.",
            self.cache_misses.value(),
        );
        text.family("clary_model_load_seconds", "histogram", "From artifact to published model.");
        text.histogram("clary_model_load_seconds", "", &self.model_load.snapshot());
        text.family("clary_rejected_total", "counter", "Requests refused before they reached a variant.");
        for (code, counter) in Code::ALL.into_iter().zip(&self.rejected) {
            if counter.value() > 0 {
                let labels = format!("code=\"{}\",reason=\"{}\"", code.status(), code.as_str());
                text.sample("clary_rejected_total", &labels, counter.value());
            }
        }
    }
}

fn render_variants(text: &mut Text, variants: &[Arc<VariantMetrics>]) {
    let labels = |variant: &VariantMetrics| {
        let (endpoint, variant) = (text::escape(&variant.endpoint), text::escape(&variant.variant));
        format!("endpoint=\"{endpoint}\",variant=\"{variant}\"")
    };
    text.family("clary_invocations_total", "counter", "Invocations by outcome.");
    for variant in variants {
        for code in Code::ALL {
            let count = variant.sum(|shard| shard.invocations[code as usize].value().cast_signed());
            if count > 0 || code == Code::Ok {
                let labels =
                    format!("{},code=\"{}\",reason=\"{}\"", labels(variant), code.status(), code.as_str());
                text.sample("clary_invocations_total", &labels, count.cast_unsigned());
            }
        }
    }
    text.family("clary_inflight", "gauge", "Invocations in flight.");
    for variant in variants {
        text.sample("clary_inflight", &labels(variant), variant.sum(|shard| shard.inflight.value()));
    }
    let mut histograms = |name: &str, help: &str, label: &str, of: &dyn Fn(&VariantShard) -> &Histogram| {
        text.family(name, "histogram", help);
        for variant in variants {
            let sum = histogram::Snapshot::sum(variant.shards.iter().map(|shard| of(shard).snapshot()));
            text.histogram(name, &format!("{}{label}", labels(variant)), &sum);
        }
    };
    histograms("clary_model_latency_seconds", "Queue, decode, predict and encode.", "", &|s| {
        &s.model_latency
    });
    histograms("clary_overhead_latency_seconds", "The rest of an invocation.", "", &|s| &s.overhead_latency);
    for (index, (phase, _)) in Phases::default().named().into_iter().enumerate() {
        let name = format!("clary_{phase}_seconds");
        histograms(&name, "One phase of an invocation.", "", &|shard| &shard.phases[index]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_counted_in_every_family() {
        let metrics = Metrics::default();
        let variant = metrics.variant("model", "AllTraffic");
        variant.begin();
        let phases = Phases { decode: Duration::from_micros(3), ..Phases::default() };
        variant.end(Code::Ok, Some(&phases), Duration::from_micros(10));
        variant.begin();
        variant.end(Code::QueueFull, None, Duration::from_micros(1));
        variant.begin();
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
        assert!(types.iter().all(|line| line.starts_with("# TYPE clary_")));
        assert!(text.contains(r#"endpoint="a\"b""#));
    }
}
