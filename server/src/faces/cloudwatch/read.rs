//! Metrics read back.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use telemetry::{Metric, MetricFilter, Period, Point, Range, Statistic, Telemetry};
use wire::{AwsError, ErrorCode, Timestamp};

use super::{Dimension, Reply, check_period, combination, dimensions, metric, on_telemetry, value};

/// Data points of a GetMetricStatistics. Reason: the public service's.
const STATISTICS_POINTS_MAX: i64 = 1440;

/// Data points of a page of GetMetricData. Reason: the public service's.
const DATA_POINTS_MAX: usize = 100_800;

/// Queries of one GetMetricData. Reason: the public service's.
const QUERIES_MAX: usize = 500;

/// Metrics of a page. Reason: the public service's.
const METRICS_MAX: usize = 500;

/// How long a metric is listed after its last value, in milliseconds. Reason: the public service's two weeks.
const LISTED_MS: i64 = 14 * 24 * 3600 * 1000;

/// The same of those that are active (`RecentlyActive`).
const ACTIVE_MS: i64 = 3 * 3600 * 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StatisticsInput {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    start_time: f64,
    end_time: f64,
    period: u32,
    #[serde(default)]
    statistics: Vec<String>,
    #[serde(default)]
    extended_statistics: Vec<String>,
    unit: Option<String>,
}

/// `GetMetricStatistics`.
pub(super) async fn statistics(
    telemetry: &Arc<Telemetry>,
    newest: Vec<Point>,
    input: StatisticsInput,
) -> Reply {
    check_period(input.period)?;
    if input.statistics.is_empty() && input.extended_statistics.is_empty() {
        let message = "The parameters Statistics and ExtendedStatistics may not both be empty.";
        return Err(AwsError::new(ErrorCode::MissingParameter, message));
    }
    let simple = named(&input.statistics)?;
    let extended = named(&input.extended_statistics)?;
    let range = range(input.start_time, input.end_time, input.period, input.unit)?;
    let requested = (range.end.0 - range.start.0) / 1000 / i64::from(input.period);
    if requested > STATISTICS_POINTS_MAX {
        return Err(combination(format!(
            "You have requested up to {requested} datapoints, which exceeds the limit of {STATISTICS_POINTS_MAX}. You may \
             reduce the datapoints requested by increasing Period, or decreasing the time range."
        )));
    }
    let label = input.metric_name.clone();
    let metric = metric(input.namespace, input.metric_name, input.dimensions);
    let periods =
        on_telemetry(telemetry, move |telemetry| telemetry.series.read_with(&metric, &range, &newest))
            .await?;
    let points: Vec<_> = periods.iter().map(|period| datapoint(period, &simple, &extended)).collect();
    Ok(json!({ "Label": label, "Datapoints": points }))
}

fn named(names: &[String]) -> Result<Vec<(String, Statistic)>, AwsError> {
    let read = |name: &String| {
        let statistic = Statistic::parse(name).map_err(|reason| value(format!("statistic: {reason}")))?;
        Ok((name.clone(), statistic))
    };
    names.iter().map(read).collect()
}

fn datapoint(period: &Period, simple: &[(String, Statistic)], extended: &[(String, Statistic)]) -> Value {
    let values = |statistics: &[(String, Statistic)]| -> Map<String, Value> {
        let of = |(name, statistic): &(String, Statistic)| {
            Some((name.clone(), Value::from(statistic.of(&period.values)?)))
        };
        statistics.iter().filter_map(of).collect()
    };
    let mut point = values(simple);
    point.insert("Timestamp".into(), period.start.to_json());
    point.insert("Unit".into(), period.unit.as_str().into());
    if !extended.is_empty() {
        point.insert("ExtendedStatistics".into(), values(extended).into());
    }
    point.into()
}

fn range(start: f64, end: f64, period_seconds: u32, unit: Option<String>) -> Result<Range, AwsError> {
    let (start, end) = (Timestamp::from_seconds(start), Timestamp::from_seconds(end));
    if start >= end {
        return Err(value("The parameter StartTime must be less than the parameter EndTime."));
    }
    Ok(Range { start, end, period_seconds, unit })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DataInput {
    metric_data_queries: Vec<Query>,
    start_time: f64,
    end_time: f64,
    scan_by: Option<String>,
    max_datapoints: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    id: String,
    metric_stat: Option<MetricStat>,
    expression: Option<String>,
    label: Option<String>,
    return_data: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: NamedMetric,
    period: u32,
    stat: String,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedMetric {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

/// A query, read: what is asked of the series, and what the answer is called.
struct Asked {
    id: String,
    label: String,
    metric: Metric,
    statistic: Statistic,
    range: Range,
}

/// `GetMetricData`.
pub(super) async fn data(telemetry: &Arc<Telemetry>, newest: Vec<Point>, input: DataInput) -> Reply {
    if input.metric_data_queries.len() > QUERIES_MAX {
        return Err(value(format!("MetricDataQueries: expected at most {QUERIES_MAX}, found more")));
    }
    let is_ascending = input.scan_by.as_deref() == Some("TimestampAscending");
    let limit = input.max_datapoints.unwrap_or(DATA_POINTS_MAX).clamp(1, DATA_POINTS_MAX);
    let place = input.next_token.as_deref().map_or(Ok((0, 0)), read_token)?;
    let (start, end) = (input.start_time, input.end_time);
    let asked = asked(input.metric_data_queries, start, end)?;
    on_telemetry(telemetry, move |telemetry| {
        let mut page = Page { results: Vec::new(), left: limit, next: None };
        for (number, query) in asked.iter().enumerate().skip(place.0) {
            let mut periods = telemetry.series.read_with(&query.metric, &query.range, &newest)?;
            if !is_ascending {
                periods.reverse();
            }
            let values =
                periods.iter().filter_map(|period| Some((period.start, query.statistic.of(&period.values)?)));
            let skipped = if number == place.0 { place.1 } else { 0 };
            page.add(number, query, values.skip(skipped).collect(), skipped);
            if page.next.is_some() {
                break;
            }
        }
        Ok(page.reply())
    })
    .await
}

/// A page of results being filled.
struct Page {
    results: Vec<Value>,
    left: usize,
    next: Option<(usize, usize)>,
}

impl Page {
    fn add(&mut self, number: usize, query: &Asked, mut values: Vec<(Timestamp, f64)>, skipped: usize) {
        if self.left == 0 && !values.is_empty() {
            self.next = Some((number, skipped));
            return;
        }
        let is_whole = values.len() <= self.left;
        if !is_whole {
            values.truncate(self.left);
            self.next = Some((number, skipped + values.len()));
        }
        self.left -= values.len();
        let (times, values): (Vec<_>, Vec<_>) =
            values.into_iter().map(|(time, value)| (time.to_json(), value)).unzip();
        let status = if is_whole { "Complete" } else { "PartialData" };
        self.results.push(json!({
            "Id": query.id, "Label": query.label, "Timestamps": times, "Values": values, "StatusCode": status
        }));
    }

    fn reply(self) -> Value {
        let mut reply = json!({ "MetricDataResults": self.results, "Messages": [] });
        if let Some((number, skipped)) = self.next {
            reply["NextToken"] = format!("{number}/{skipped}").into();
        }
        reply
    }
}

fn read_token(token: &str) -> Result<(usize, usize), AwsError> {
    let parts = token.split_once('/');
    let place = parts.and_then(|(number, skipped)| Some((number.parse().ok()?, skipped.parse().ok()?)));
    place.ok_or_else(|| AwsError::new(ErrorCode::InvalidNextToken, "NextToken: expected one of this list's"))
}

fn asked(queries: Vec<Query>, start: f64, end: f64) -> Result<Vec<Asked>, AwsError> {
    let mut ids = HashSet::new();
    if let Some(twice) = queries.iter().find(|query| !ids.insert(query.id.clone())) {
        return Err(value(format!("Id: expected each once, found {:?} again", twice.id)));
    }
    let queries = queries.into_iter().map(|query| {
        let is_id = query.id.starts_with(|c: char| c.is_ascii_lowercase())
            && query.id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_id {
            let message =
                format!("Id: expected a lower-case letter, then letters, digits or _; found {:?}", query.id);
            return Err(value(message));
        }
        if let Some(expression) = query.expression {
            let message = format!("Expression is not served: expected MetricStat, found {expression:?}");
            return Err(value(message));
        }
        let Some(MetricStat { metric: named, period, stat, unit }) = query.metric_stat else {
            return Err(value(format!("MetricDataQueries {}: expected MetricStat, found none", query.id)));
        };
        check_period(period)?;
        let name = missing(named.metric_name, "MetricName")?;
        let metric = metric(missing(named.namespace, "Namespace")?, name.clone(), named.dimensions);
        let statistic = Statistic::parse(&stat).map_err(|reason| value(format!("Stat: {reason}")))?;
        let range = range(start, end, period, unit)?;
        let asked = Asked { id: query.id, label: query.label.unwrap_or(name), metric, statistic, range };
        Ok((query.return_data.unwrap_or(true), asked))
    });
    let asked = queries.collect::<Result<Vec<_>, _>>()?;
    Ok(asked.into_iter().filter(|(is_returned, _)| *is_returned).map(|(_, asked)| asked).collect())
}

fn missing<T>(given: Option<T>, name: &str) -> Result<T, AwsError> {
    let message = || format!("The parameter {name} is required.");
    given.ok_or_else(|| AwsError::new(ErrorCode::MissingParameter, message()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListInput {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<DimensionFilter>,
    next_token: Option<String>,
    recently_active: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DimensionFilter {
    name: String,
    value: Option<String>,
}

/// `ListMetrics`.
pub(super) async fn list(
    telemetry: &Arc<Telemetry>,
    newest: Vec<Point>,
    input: ListInput,
    now: Timestamp,
) -> Reply {
    let after = input.next_token.as_deref().map_or(Ok(0), |token| {
        let after = token.parse().map_err(|_| "NextToken: expected one of this list's");
        after.map_err(|message| AwsError::new(ErrorCode::InvalidNextToken, message))
    })?;
    let filter = MetricFilter {
        namespace: input.namespace,
        name: input.metric_name,
        dimensions: input.dimensions.into_iter().map(|filter| (filter.name, filter.value)).collect(),
    };
    let since = now.plus_millis(if input.recently_active.is_some() { -ACTIVE_MS } else { -LISTED_MS });
    let list =
        move |telemetry: &Telemetry| telemetry.series.list_with(&filter, since, after, METRICS_MAX, &newest);
    let (metrics, next) = on_telemetry(telemetry, list).await?;
    let shown = |metric: &Metric| json!({ "Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions(metric) });
    let mut reply = json!({ "Metrics": metrics.iter().map(shown).collect::<Vec<_>>() });
    if let Some(next) = next {
        reply["NextToken"] = next.to_string().into();
    }
    Ok(reply)
}
