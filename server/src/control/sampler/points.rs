//! The points of a period: CloudWatch's names, dimensions and units.

use std::path::Path;

use scaling::metric::NAMESPACE;
use telemetry::{Aggregate, Buckets, Metric, Point};
use wire::Timestamp;

use crate::metrics::{Backlog, Level, Measure, Times, VariantLabels, VariantPeriod};

/// The namespace of what instances take.
const ENDPOINTS: &str = "/aws/sagemaker/Endpoints";

/// The namespace of what the instances of transform jobs take.
const TRANSFORM_JOBS: &str = "/aws/sagemaker/TransformJobs";

const NANOS_PER_MICRO: f64 = 1e3;

/// What the machine is busy with, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Machine {
    /// A hundred for each core that is busy with us.
    pub cpu_percent: f64,
    /// Of its memory, ours.
    pub memory_percent: f64,
    /// Of the disk of our data, all.
    pub disk_percent: f64,
}

/// Invocations and what they took: under the endpoint and variant, and again under the endpoint configuration too.
pub fn of_variant(labels: &VariantLabels, period: &VariantPeriod, time: Timestamp) -> Vec<Point> {
    let mut values = vec![
        ("Invocation4XXErrors", "None", ones(period.client_errors, period.invocations)),
        ("Invocation5XXErrors", "None", ones(period.server_errors, period.invocations)),
        ("ModelLatency", "Microseconds", micros(&period.model_latency)),
    ];
    if !period.is_asynchronous {
        let errors = period.client_errors + period.server_errors;
        values.extend([
            ("Invocations", "None", ones(period.invocations, period.invocations)),
            ("InvocationsPerInstance", "None", per_instance(period)),
            ("InvocationModelErrors", "None", ones(errors, period.invocations)),
            ("OverheadLatency", "Microseconds", micros(&period.overhead_latency)),
            ("ConcurrentRequestsPerModel", "None", level(period)),
        ]);
    }
    values.extend(utilization(period));
    let measures = period.measures.iter().map(|(measure, values)| {
        let measure: &Measure = measure;
        (measure.as_str(), measure.unit(), values.clone())
    });
    values.extend(measures);
    let plain = dimensions(labels);
    let with_config = plain
        .iter()
        .cloned()
        .chain(labels.config.iter().map(|config| ("EndpointConfigName".to_owned(), config.clone())));
    let sets = [plain.clone(), with_config.collect()];
    let sets = sets.iter().take(if labels.config.is_some() { 2 } else { 1 });
    let point = |dimensions: &Vec<(String, String)>, (name, unit, values): &(&str, &str, Aggregate)| Point {
        metric: Metric::new(NAMESPACE, *name, dimensions.iter().cloned()),
        unit: (*unit).to_owned(),
        time,
        values: values.clone(),
    };
    let present = values.iter().filter(|(_, _, values)| values.count > 0.0).collect::<Vec<_>>();
    sets.flat_map(|set| present.iter().map(move |values| point(set, values))).collect()
}

/// What the machine was busy with. All variants share one process: each shows all of it.
pub fn of_machine(
    labels: &VariantLabels,
    period: &VariantPeriod,
    machine: &Machine,
    time: Timestamp,
) -> Vec<Point> {
    let values = [
        ("CPUUtilization", "Percent", machine.cpu_percent),
        ("MemoryUtilization", "Percent", machine.memory_percent),
        ("DiskUtilization", "Percent", machine.disk_percent),
        ("LoadedModelCount", "None", f64::from(period.loaded_models)),
    ];
    let point = |(name, unit, value): (&str, &str, f64)| Point {
        metric: Metric::new(ENDPOINTS, name, dimensions(labels)),
        unit: unit.to_owned(),
        time,
        values: Aggregate::of(value),
    };
    values.into_iter().map(point).collect()
}

/// What waits at an asynchronous endpoint.
pub fn of_backlog(endpoint: &str, backlog: &Backlog, time: Timestamp) -> Vec<Point> {
    let size = backlog.size as f64;
    let is_stuck = backlog.size > 0 && backlog.instances == 0;
    let values = [
        ("ApproximateBacklogSize", "Count", size),
        ("ApproximateBacklogSizePerInstance", "Count", size / f64::from(backlog.instances.max(1))),
        ("ApproximateAgeOfOldestRequest", "Seconds", backlog.oldest_age_seconds),
        ("HasBacklogWithoutCapacity", "None", f64::from(u8::from(is_stuck))),
    ];
    let point = |(name, unit, value): (&str, &str, f64)| Point {
        metric: Metric::new(NAMESPACE, name, [("EndpointName".to_owned(), endpoint.to_owned())]),
        unit: unit.to_owned(),
        time,
        values: Aggregate::of(value),
    };
    values.into_iter().map(point).collect()
}

/// What the machine was busy with while a transform job ran on `host` (`<job>/<instance>`). All jobs share one process: each shows
/// all of it.
pub fn of_transform(host: &str, machine: &Machine, time: Timestamp) -> Vec<Point> {
    let values = [("CPUUtilization", machine.cpu_percent), ("MemoryUtilization", machine.memory_percent)];
    let point = |(name, value): (&str, f64)| Point {
        metric: Metric::new(TRANSFORM_JOBS, name, [("Host".to_owned(), host.to_owned())]),
        unit: "Percent".to_owned(),
        time,
        values: Aggregate::of(value),
    };
    values.into_iter().map(point).collect()
}

/// How full the disk of `path` is, in percent; zero where the system does not tell.
pub(super) fn disk_percent(path: &Path) -> f64 {
    rustix::fs::statvfs(path).map_or(0.0, |disk| {
        let used = disk.f_blocks.saturating_sub(disk.f_bfree);
        100.0 * used as f64 / (used + disk.f_bavail).max(1) as f64
    })
}

fn dimensions(labels: &VariantLabels) -> Vec<(String, String)> {
    vec![
        ("EndpointName".to_owned(), labels.endpoint.clone()),
        ("VariantName".to_owned(), labels.variant.clone()),
    ]
}

/// Ones among zeros; a single zero where there is nothing, so that alarms and scaling in go on without traffic.
fn ones(ones: u64, count: u64) -> Aggregate {
    if count == 0 { Aggregate::of(0.0) } else { Aggregate::of_ones(ones, count) }
}

fn per_instance(period: &VariantPeriod) -> Aggregate {
    if period.invocations == 0 {
        return Aggregate::of(0.0);
    }
    let count = period.invocations as f64;
    let each = period.invocations_per_instance / count;
    let mut values = Aggregate::default();
    values.record_many(each, count);
    Aggregate { sum: period.invocations_per_instance, ..values }
}

/// In flight on each copy of the model, of which every instance has one. The mean counts as one value, so that a minute's
/// average is that of its six periods; the maximum is the most there were at once.
fn level(period: &VariantPeriod) -> Aggregate {
    let Level { mean, max } = period.concurrency;
    let copies = f64::from(period.instances.max(1));
    Aggregate { max: mean.max(f64::from(max)) / copies, ..Aggregate::of(mean / copies) }
}

/// The share of the provisioned concurrency of a serverless variant that was busy; requests beyond it fill it, and no more.
fn utilization(period: &VariantPeriod) -> Option<(&'static str, &'static str, Aggregate)> {
    let provisioned = f64::from(period.provisioned_concurrency);
    let share = |count: f64| (count / provisioned).min(1.0);
    let Level { mean, max } = period.concurrency;
    let values = || Aggregate { max: share(mean.max(f64::from(max))), ..Aggregate::of(share(mean)) };
    (provisioned > 0.0).then(|| ("ServerlessProvisionedConcurrencyUtilization", "None", values()))
}

fn micros(times: &Times) -> Aggregate {
    if times.count == 0 {
        return Aggregate::default();
    }
    let mut buckets = Buckets::default();
    times.buckets.iter().for_each(|&(time_ns, count)| buckets.add(time_ns as f64 / NANOS_PER_MICRO, count));
    Aggregate {
        count: times.count as f64,
        sum: times.sum_ns as f64 / NANOS_PER_MICRO,
        min: times.min_ns as f64 / NANOS_PER_MICRO,
        max: times.max_ns as f64 / NANOS_PER_MICRO,
        buckets,
    }
}
