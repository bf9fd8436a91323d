//! `/autoscaling/v1/signals`: what scalers outside need to know of each variant, as JSON, so that a script can scale.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};
use telemetry::{Series, TelemetryError};
use wire::{AwsError, Timestamp};

use crate::control::autoscaling::recommended::{load, recommended};
use crate::control::autoscaling::{
    AutoscalingError, Dimension, ScalableTarget, ScalingPolicy, policy, target,
};
use crate::metrics::VariantMetrics;
use crate::platform::Platform;
use crate::rt;

/// What is known of a variant at the moment, all its fleets together.
#[derive(Debug, Default)]
struct Signals {
    ready: u32,
    desired: u32,
    inflight: u32,
    concurrency_10s: f64,
    queue_depth: usize,
    slots: u32,
    last_request: Option<Timestamp>,
}

/// By endpoint and variant.
type ByVariant = BTreeMap<(String, String), Signals>;

/// What scalers need to know now.
///
/// # Errors
/// When it is not known.
pub async fn answer(platform: &Arc<Platform>) -> Result<Value, AwsError> {
    let found = collect(platform);
    let stored = platform.database.read(stored).await.map_err(AwsError::from)?;
    let (telemetry, now) = (Arc::clone(&platform.telemetry), Timestamp::now());
    let shown = rt::blocking(move || {
        let shown =
            found.into_iter().map(|(of, signals)| shown(&telemetry.series, of, &signals, &stored, now));
        shown.collect::<Result<Vec<_>, _>>()
    });
    let variants = shown.await.map_err(|error| {
        tracing::error!(%error, "signals: the series could not be read");
        AwsError::internal()
    })?;
    Ok(json!({"time": now.to_json(), "variants": variants}))
}

struct Stored {
    targets: Vec<ScalableTarget>,
    policies: Vec<ScalingPolicy>,
}

fn stored(connection: &rusqlite::Transaction<'_>) -> Result<Stored, AutoscalingError> {
    let connection: &Connection = connection;
    Ok(Stored {
        targets: target::all(connection)?.into_iter().map(|(_, target)| target).collect(),
        policies: policy::all(connection)?.into_iter().map(|(_, policy)| policy).collect(),
    })
}

/// From the data plane.
fn collect(platform: &Platform) -> ByVariant {
    let now = Instant::now();
    let mut found = ByVariant::new();
    for metrics in platform.metrics.living() {
        add(&mut found, &metrics, now);
    }
    for ((endpoint, variant), signals) in &mut found {
        let Some(endpoint) = platform.server.endpoint(endpoint) else { continue };
        for arm in endpoint.arms().iter().filter(|arm| arm.name == variant.as_bytes()) {
            signals.queue_depth += platform.server.waiting(&arm.capacity);
            signals.slots += arm.capacity.slots();
        }
    }
    found
}

fn add(found: &mut ByVariant, metrics: &VariantMetrics, now: Instant) {
    let labels = metrics.labels();
    let signals = found.entry((labels.endpoint.clone(), labels.variant.clone())).or_default();
    let (ready, desired) = metrics.instances();
    signals.ready += ready;
    signals.desired += desired;
    signals.inflight += metrics.inflight(now);
    signals.concurrency_10s += metrics.concurrency().mean;
    signals.last_request = signals.last_request.max(metrics.last_request());
}

fn shown(
    series: &Series,
    (endpoint, variant): (String, String),
    signals: &Signals,
    stored: &Stored,
    now: Timestamp,
) -> Result<Value, TelemetryError> {
    let load = load(series, &endpoint, &variant, now)?;
    let is_it = |target: &&ScalableTarget| {
        let key = &target.key;
        key.endpoint == endpoint && key.variant == variant && key.dimension == Dimension::InstanceCount
    };
    let target = stored.targets.iter().find(is_it);
    let slots_per_unit = f64::from(signals.slots) / f64::from(signals.ready.max(1));
    let recommended =
        recommended(series, target, &stored.policies, signals.ready, slots_per_unit, load, now)?;
    let concurrency_60s =
        load.concurrency_per_unit.map_or(0.0, |value| value * f64::from(signals.ready.max(1)));
    let mut shown = json!({
        "endpoint": endpoint,
        "variant": variant,
        "ready": signals.ready,
        "desired": signals.desired,
        "inflight": signals.inflight,
        "concurrency_10s": signals.concurrency_10s,
        "concurrency_60s": concurrency_60s,
        "rps_60s": load.rate_per_second.unwrap_or(0.0),
        "queue_depth": signals.queue_depth,
        "recommended": recommended,
    });
    if let Some(last_request) = signals.last_request {
        shown["last_request"] = last_request.to_json();
    }
    Ok(shown)
}
