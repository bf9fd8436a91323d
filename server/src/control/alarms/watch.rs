//! What an alarm watches: read from what `PutMetricAlarm` was given.

use scaling::alarm::AlarmRule;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use telemetry::{Metric, Range, Statistic, Telemetry, TelemetryError};
use wire::{AwsError, ErrorCode, Timestamp};

/// The longest that an alarm looks back, in seconds. Reason: the public service's limit for periods of an hour and more.
const LOOK_BACK_SECONDS_MAX: u64 = 7 * 24 * 3600;

/// A metric, a statistic of it, and the rule for its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// The metric.
    pub metric: Metric,
    /// Only values of this unit.
    pub unit: Option<String>,
    /// What of each period is looked at.
    pub statistic: Statistic,
    /// Its name.
    pub statistic_name: String,
    /// When the alarm goes off.
    pub rule: AlarmRule,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    unit: Option<String>,
    period: Option<u32>,
    evaluation_periods: u32,
    datapoints_to_alarm: Option<u32>,
    threshold: Option<f64>,
    comparison_operator: String,
    treat_missing_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

impl Watch {
    /// Reads the input of `PutMetricAlarm`, whose shape was checked.
    ///
    /// # Errors
    /// Says what is expected, when it contradicts itself or is not served.
    pub fn read(input: &Map<String, Value>) -> Result<Self, AwsError> {
        for unserved in
            ["Metrics", "ThresholdMetricId", "EvaluateLowSampleCountPercentile", "EvaluationCriteria"]
        {
            if input.contains_key(unserved) {
                return Err(refused(format!(
                    "{unserved} is not served: an alarm watches one metric by its statistic"
                )));
            }
        }
        let input: Input = parse(Value::Object(input.clone()), "alarm")?;
        let period = missing(input.period, "Period")?;
        if !is_period(period) {
            return Err(refused(format!("Period: expected 10, 20, 30 or a multiple of 60, found {period}")));
        }
        let (periods, datapoints) =
            (input.evaluation_periods, input.datapoints_to_alarm.unwrap_or(input.evaluation_periods));
        if datapoints == 0 || datapoints > periods {
            let message =
                format!("DatapointsToAlarm: expected 1 to EvaluationPeriods ({periods}), found {datapoints}");
            return Err(refused(message));
        }
        if u64::from(period) * u64::from(periods) > LOOK_BACK_SECONDS_MAX {
            let message = format!(
                "Period times EvaluationPeriods: expected at most {LOOK_BACK_SECONDS_MAX} s, found more"
            );
            return Err(refused(message));
        }
        let (statistic_name, statistic) = statistic(input.statistic, input.extended_statistic)?;
        let dimensions = input.dimensions.into_iter().map(|dimension| (dimension.name, dimension.value));
        let namespace = missing(input.namespace, "Namespace")?;
        Ok(Self {
            metric: Metric::new(namespace, missing(input.metric_name, "MetricName")?, dimensions),
            unit: input.unit,
            statistic,
            statistic_name,
            rule: AlarmRule {
                comparison: parse(input.comparison_operator.into(), "ComparisonOperator")?,
                threshold: missing(input.threshold, "Threshold")?,
                period_seconds: period,
                evaluation_periods: periods,
                datapoints_to_alarm: datapoints,
                treat_missing_data: match input.treat_missing_data {
                    Some(treatment) => parse(treatment.into(), "TreatMissingData")?,
                    None => Default::default(),
                },
            },
        })
    }

    /// Its values in the periods that the rule looks at, at `now`.
    ///
    /// # Errors
    /// When the series cannot be read.
    pub fn points(&self, telemetry: &Telemetry, now: Timestamp) -> Result<Vec<Option<f64>>, TelemetryError> {
        let window = self.rule.window(now);
        let range = Range {
            start: window.start,
            end: window.end,
            period_seconds: window.period_seconds,
            unit: self.unit.clone(),
        };
        let periods = telemetry.series.read(&self.metric, &range)?;
        let values =
            periods.iter().filter_map(|period| Some((period.start, self.statistic.of(&period.values)?)));
        Ok(window.points(values))
    }
}

/// Whether CloudWatch has periods of this length that we can tell apart.
pub fn is_period(seconds: u32) -> bool {
    matches!(seconds, 10 | 20 | 30) || (seconds > 0 && seconds.is_multiple_of(60))
}

fn statistic(simple: Option<String>, extended: Option<String>) -> Result<(String, Statistic), AwsError> {
    let ((Some(name), None) | (None, Some(name))) = (simple, extended) else {
        return Err(refused("expected one of Statistic and ExtendedStatistic"));
    };
    let statistic = Statistic::parse(&name).map_err(refused)?;
    Ok((name, statistic))
}

fn parse<T: DeserializeOwned>(value: Value, of: &str) -> Result<T, AwsError> {
    serde_json::from_value(value).map_err(|error| refused(format!("{of}: {error}")))
}

fn missing<T>(value: Option<T>, name: &str) -> Result<T, AwsError> {
    value.ok_or_else(|| refused(format!("expected {name}, found none")))
}

fn refused(message: impl Into<String>) -> AwsError {
    AwsError::new(ErrorCode::ValidationError, message)
}
