//! The part of the page that is computed when it is read.

use std::sync::Arc;
use std::time::Instant;

use super::text::{self, Text};
use super::{
    BACKLOGS, Backlog, CONCURRENT_REQUESTS, CONCURRENT_REQUESTS_AVERAGE, CONCURRENT_REQUESTS_MAX, DERIVED,
    INFLIGHT, INVOCATIONS_PER_INSTANCE, MAX_CONCURRENCY, POOL, PROCESS_CPU, PROCESS_MEMORY, Pool, Process,
    REPLICAS_DESIRED, REPLICAS_READY, VariantMetrics,
};

/// What each variant is like at `now`.
pub(super) fn derived(text: &mut Text, variants: &[Arc<VariantMetrics>], pool: &Pool, now: Instant) {
    for (name, kind, help) in DERIVED {
        text.family(name, kind, help);
        for variant in variants {
            text.sample(name, variant.shown_labels(), value(name, variant, pool, now));
        }
    }
}

/// What waits at each asynchronous endpoint, in the order of [`BACKLOGS`].
pub(super) fn backlogs(text: &mut Text, backlogs: &[(String, Backlog)]) {
    for (number, (name, help)) in BACKLOGS.into_iter().enumerate() {
        text.family(name, "gauge", help);
        for (endpoint, backlog) in backlogs {
            let size = backlog.size as f64;
            let is_stuck = backlog.size > 0 && backlog.instances == 0;
            let values = [
                size,
                size / f64::from(backlog.instances.max(1)),
                backlog.oldest_age_seconds,
                f64::from(u8::from(is_stuck)),
            ];
            text.sample(name, &text::label("endpoint", endpoint), values[number]);
        }
    }
}

/// What the compute pool is like at `now`, in the order of [`POOL`].
pub(super) fn pool(text: &mut Text, pool: &Pool, now: Instant) {
    let values = [pool.oldest(now).as_secs_f64(), pool.busy_ratio()];
    for ((name, help), value) in POOL.into_iter().zip(values) {
        text.family(name, "gauge", help);
        text.sample(name, "", value);
    }
}

/// What the process has taken.
pub(super) fn process(text: &mut Text, process: &Process) {
    text.family(PROCESS_CPU, "counter", "CPU time that the process has taken, in seconds.");
    text.sample(PROCESS_CPU, "", process.cpu_seconds);
    text.family(PROCESS_MEMORY, "gauge", "Memory that the process holds, in bytes.");
    text.sample(PROCESS_MEMORY, "", process.resident_bytes);
}

fn value(name: &str, variant: &VariantMetrics, pool: &Pool, now: Instant) -> f64 {
    match name {
        INFLIGHT | CONCURRENT_REQUESTS => f64::from(variant.inflight(now)),
        CONCURRENT_REQUESTS_AVERAGE => variant.concurrency().mean,
        CONCURRENT_REQUESTS_MAX => f64::from(variant.concurrency().max),
        INVOCATIONS_PER_INSTANCE => variant.total_per_instance(),
        // Where a variant has no share of its own, it may take the whole pool.
        MAX_CONCURRENCY => match variant.max_concurrency() {
            u32::MAX => f64::from(pool.threads()),
            max => f64::from(max),
        },
        REPLICAS_READY => f64::from(variant.instances().0),
        REPLICAS_DESIRED => f64::from(variant.instances().1),
        _ => variant.last_request().map_or(0.0, wire::Timestamp::seconds),
    }
}
