//! What scalers outside want to know of a variant: its load of the last minute, and how many units the policies (or, without
//! any, its slots) would have. Nothing waits for an alarm here; it is the formula alone.

use scaling::metric::NAMESPACE;
use scaling::{Dimension, Limits, MetricQuery, Statistic, TargetTracking, Window, recommend};
use telemetry::{Series, TelemetryError};
use wire::Timestamp;

use super::wishes::read;
use super::{PolicyConfiguration, ScalableTarget, ScalingPolicy};

/// The periods of a minute.
const PERIODS: usize = 6;

const PERIOD_SECONDS: u32 = 10;

/// The share of a unit's slots that should be busy where no policy says otherwise. Reason: the middle of what is usually
/// aimed at; the rest is for bursts.
const BUSY_SHARE: f64 = 0.7;

/// The most units where no target says otherwise: more than any machine has.
const UNITS_MAX: u32 = 1000;

/// The load of a variant over the last whole minute; `None` before anything was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests in flight on each unit, as a mean over time.
    pub concurrency_per_unit: Option<f64>,
    /// Requests a second, all units together.
    pub rate_per_second: Option<f64>,
}

/// Reads the load of a variant at `now`.
///
/// # Errors
/// When the series cannot be read.
pub fn load(series: &Series, endpoint: &str, variant: &str, now: Timestamp) -> Result<Load, TelemetryError> {
    let window = Window::ending(now, PERIOD_SECONDS, PERIODS);
    let mean = |name, statistic| {
        let values = read(series, &of_variant(name, statistic, endpoint, variant), window)?;
        let real: Vec<f64> = values.into_iter().flatten().collect();
        let mean = real.iter().sum::<f64>() / real.len() as f64;
        Ok::<_, TelemetryError>((!real.is_empty()).then_some(mean))
    };
    let rate = mean("Invocations", Statistic::Sum)?;
    Ok(Load {
        concurrency_per_unit: mean("ConcurrentRequestsPerModel", Statistic::Average)?,
        rate_per_second: rate.map(|requests| requests / f64::from(PERIOD_SECONDS)),
    })
}

fn of_variant(name: &str, statistic: Statistic, endpoint: &str, variant: &str) -> MetricQuery {
    let dimension = |name: &str, value: &str| Dimension { name: name.into(), value: value.into() };
    MetricQuery {
        namespace: NAMESPACE.into(),
        name: name.into(),
        dimensions: vec![dimension("EndpointName", endpoint), dimension("VariantName", variant)],
        statistic,
        period_seconds: PERIOD_SECONDS,
    }
}

/// How many units the target-tracking policies of `target` would have, the largest of them; without any, so many that
/// `BUSY_SHARE` of `slots_per_unit` is busy.
///
/// # Errors
/// When the series cannot be read.
pub fn recommended(
    series: &Series,
    target: Option<&ScalableTarget>,
    policies: &[ScalingPolicy],
    ready: u32,
    slots_per_unit: f64,
    load: Load,
    now: Timestamp,
) -> Result<u32, TelemetryError> {
    let limits = target.map_or(Limits { min: 1, max: UNITS_MAX }, |target| target.limits);
    let mut largest: Option<u32> = None;
    for policy in policies.iter().filter(|policy| target.is_some_and(|target| target.key == policy.key)) {
        let PolicyConfiguration::TargetTracking(tracking) = &policy.configuration else { continue };
        let value = latest(series, tracking, policy, now)?;
        let units = recommend(ready, value, tracking.target_value, limits);
        largest = Some(largest.map_or(units, |largest| largest.max(units)));
    }
    let by_slots =
        || recommend(ready, load.concurrency_per_unit, slots_per_unit.max(1.0) * BUSY_SHARE, limits);
    Ok(largest.unwrap_or_else(by_slots))
}

/// The newest value that a policy follows.
fn latest(
    series: &Series,
    tracking: &TargetTracking,
    policy: &ScalingPolicy,
    now: Timestamp,
) -> Result<Option<f64>, TelemetryError> {
    let Ok(metric) = tracking.metric(&policy.key.endpoint, &policy.key.variant) else { return Ok(None) };
    let window = Window::ending(now, metric.period_seconds, 1);
    Ok(read(series, &metric, window)?.pop().flatten())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use telemetry::{Aggregate, Metric, Point, Telemetry};

    use super::*;
    use crate::control::autoscaling::{Dimension as Of, TargetKey};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn measure(telemetry: &Telemetry, name: &str, value: f64) {
        let dimensions = [("EndpointName", "e"), ("VariantName", "v")];
        let dimensions = dimensions.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let metric = Metric::new(NAMESPACE, name, dimensions);
        let point = |period: i64| Point {
            metric: metric.clone(),
            unit: "None".into(),
            time: NOW.plus_millis(-period * 10_000),
            values: Aggregate::of(value),
        };
        let points: Vec<_> = (1..=12).map(point).collect();
        telemetry.series.append(&points, NOW).unwrap();
    }

    #[test]
    fn the_load_of_the_last_minute_and_what_it_asks_for() {
        let telemetry = Telemetry::in_memory().unwrap();
        let series = &telemetry.series;
        let nothing = load(series, "e", "v", NOW).unwrap();
        assert_eq!(nothing, Load { concurrency_per_unit: None, rate_per_second: None });
        assert_eq!(recommended(series, None, &[], 3, 2.0, nothing, NOW).unwrap(), 3);
        measure(&telemetry, "ConcurrentRequestsPerModel", 2.75);
        measure(&telemetry, "Invocations", 50.0);
        measure(&telemetry, "InvocationsPerInstance", 25.0);
        let found = load(series, "e", "v", NOW).unwrap();
        assert_eq!((found.concurrency_per_unit, found.rate_per_second), (Some(2.75), Some(5.0)));
        assert_eq!(
            recommended(series, None, &[], 2, 2.0, found, NOW).unwrap(),
            4,
            "2.75 on each of 2, 1.4 wanted"
        );

        let key = TargetKey { endpoint: "e".into(), variant: "v".into(), dimension: Of::InstanceCount };
        let target: ScalableTarget = serde_json::from_value(json!({
            "key": key, "limits": {"min": 1, "max": 7}, "role_arn": "", "suspended": {},
        }))
        .unwrap();
        let policy = |target_value: f64| ScalingPolicy {
            key: key.clone(),
            name: "p".into(),
            configuration: PolicyConfiguration::TargetTracking(
                serde_json::from_value(json!({"TargetValue": target_value, "PredefinedMetricSpecification":
                    {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}}))
                .unwrap(),
            ),
            alarms: Vec::new(),
        };
        let of = |policies: &[ScalingPolicy]| {
            recommended(series, Some(&target), policies, 2, 2.0, found, NOW).unwrap()
        };
        assert_eq!(of(&[policy(100.0)]), 3, "150 a minute on each of 2");
        assert_eq!(of(&[policy(100.0), policy(50.0)]), 6);
        assert_eq!(of(&[policy(1.0)]), 7);
    }
}
