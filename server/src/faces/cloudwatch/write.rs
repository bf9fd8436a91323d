//! Metrics of clients.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use telemetry::{Aggregate, Buckets, Point, Telemetry};
use wire::{AwsError, Timestamp};

use super::{Dimension, Reply, combination, metric, on_telemetry, value};

/// Metrics of one request. Reason: the public service's.
const METRICS_MAX: usize = 1000;

/// Values of one metric of a request. Reason: the public service's.
const VALUES_MAX: usize = 150;

/// How old a value may be, in milliseconds. Reason: the public service's two weeks.
const AGE_MAX_MS: i64 = 14 * 24 * 3600 * 1000;

/// How far ahead of the clock a value may be, in milliseconds. Reason: the public service's two hours.
const AHEAD_MAX_MS: i64 = 2 * 3600 * 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutInput {
    namespace: String,
    #[serde(default)]
    metric_data: Vec<Datum>,
    #[serde(default)]
    entity_metric_data: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    timestamp: Option<f64>,
    value: Option<f64>,
    values: Option<Vec<f64>>,
    counts: Option<Vec<f64>>,
    statistic_values: Option<Statistics>,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statistics {
    sample_count: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

/// `PutMetricData`.
pub(super) async fn put(telemetry: &Arc<Telemetry>, input: PutInput, now: Timestamp) -> Reply {
    if input.namespace.starts_with("AWS/") {
        return Err(value(format!("The value {} for parameter Namespace is invalid.", input.namespace)));
    }
    if !input.entity_metric_data.is_empty() {
        return Err(value("EntityMetricData is not served: expected MetricData"));
    }
    if input.metric_data.len() > METRICS_MAX {
        return Err(value(format!("MetricData: expected at most {METRICS_MAX}, found more")));
    }
    let namespace = input.namespace;
    let points = input.metric_data.into_iter().map(|datum| point(&namespace, datum, now));
    let points = points.collect::<Result<Vec<_>, _>>()?;
    on_telemetry(telemetry, move |telemetry| telemetry.series.append(&points, now)).await?;
    Ok(json!({}))
}

fn point(namespace: &str, datum: Datum, now: Timestamp) -> Result<Point, AwsError> {
    let time = datum.timestamp.map_or(now, Timestamp::from_seconds);
    if time.0 < now.0 - AGE_MAX_MS || time.0 > now.0 + AHEAD_MAX_MS {
        let found = time.iso8601();
        let message = format!("Timestamp: expected at most two weeks ago and two hours ahead, found {found}");
        return Err(value(message));
    }
    let values = match (datum.value, datum.values, datum.statistic_values) {
        (Some(single), None, None) => Aggregate::of(single),
        (None, Some(values), None) => weighed(&values, datum.counts)?,
        (None, None, Some(statistics)) => summed(&statistics)?,
        _ => {
            let name = datum.metric_name;
            return Err(combination(format!(
                "MetricData {name}: expected one of Value, Values and StatisticValues, found none or several"
            )));
        }
    };
    let unit = datum.unit.unwrap_or_else(|| "None".to_owned());
    Ok(Point {
        metric: metric(namespace.to_owned(), datum.metric_name, datum.dimensions),
        unit,
        time,
        values,
    })
}

fn weighed(values: &[f64], counts: Option<Vec<f64>>) -> Result<Aggregate, AwsError> {
    let counts = counts.unwrap_or_else(|| vec![1.0; values.len()]);
    if values.is_empty() || values.len() > VALUES_MAX || counts.len() != values.len() {
        return Err(combination(format!(
            "expected 1 to {VALUES_MAX} Values and as many Counts, found {} and {}",
            values.len(),
            counts.len()
        )));
    }
    if counts.iter().any(|count| *count < 0.0) {
        return Err(value("Counts: expected none below 0"));
    }
    let mut aggregate = Aggregate::default();
    values.iter().zip(counts).for_each(|(value, count)| aggregate.record_many(*value, count));
    Ok(aggregate)
}

fn summed(statistics: &Statistics) -> Result<Aggregate, AwsError> {
    let Statistics { sample_count: count, sum, minimum: min, maximum: max } = *statistics;
    if count <= 0.0 || min > max {
        return Err(value(
            "StatisticValues: expected a SampleCount above 0, and a Minimum up to the Maximum",
        ));
    }
    Ok(Aggregate { count, sum, min, max, buckets: Buckets::default() })
}
