//! CloudWatch: metrics of endpoints and of clients, and alarms. JSON 1.0, as current clients speak to it, and Query, as
//! older ones do.
//!
//! Stricter than the public service: metric maths, composite alarms, anomaly detection, dashboards and trimmed statistics
//! are refused.

mod alarms;
mod read;
mod write;

use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use telemetry::{Metric, Point, Telemetry, TelemetryError};
use wire::xml::Element;
use wire::{AwsError, ErrorCode, Timestamp};

use super::aws::{Call, Reply};
use crate::platform::Platform;
use crate::rt;

/// Answers `call`.
///
/// # Errors
/// When it is not what the operation takes, or there is no such operation here.
pub async fn answer(platform: &Arc<Platform>, call: Call) -> Reply {
    answer_at(platform, call, Timestamp::now()).await
}

async fn answer_at(platform: &Arc<Platform>, call: Call, now: Timestamp) -> Reply {
    let Call { operation, input, scope, .. } = call;
    wire::shape::validate("monitoring", &operation, &input)?;
    let telemetry = &platform.telemetry;
    match operation.as_str() {
        "GetMetricStatistics" | "GetMetricData" | "ListMetrics" => {
            let look = platform.live.look(Instant::now()).await;
            read_with(telemetry, &operation, input, look.points, now).await
        }
        "PutMetricData" => write::put(telemetry, parse(input)?, now).await,
        "PutMetricAlarm" => alarms::put(&platform.alarms, &scope, input, now).await,
        "DescribeAlarms" => alarms::describe(&platform.alarms, parse(input)?).await,
        "DescribeAlarmsForMetric" => alarms::describe_for_metric(&platform.alarms, parse(input)?).await,
        "DescribeAlarmHistory" => alarms::history(&platform.alarms, parse(input)?).await,
        "DeleteAlarms" => alarms::delete(&platform.alarms, parse(input)?).await,
        "SetAlarmState" => alarms::set_state(&platform.alarms, parse(input)?, now).await,
        "EnableAlarmActions" => alarms::enable(&platform.alarms, parse(input)?, true).await,
        "DisableAlarmActions" => alarms::enable(&platform.alarms, parse(input)?, false).await,
        _ => Err(AwsError::unknown_operation("CloudWatch", &operation)),
    }
}

/// Reads the series, and `newest`, which are not among them yet.
async fn read_with(
    telemetry: &Arc<Telemetry>,
    operation: &str,
    input: Map<String, Value>,
    newest: Vec<Point>,
    now: Timestamp,
) -> Reply {
    match operation {
        "GetMetricStatistics" => read::statistics(telemetry, newest, parse(input)?).await,
        "GetMetricData" => read::data(telemetry, newest, parse(input)?).await,
        _ => read::list(telemetry, newest, parse(input)?, now).await,
    }
}

/// Answers `call` of the Query protocol: its `…Result` element.
///
/// # Errors
/// As [`answer`].
pub async fn answer_query(platform: &Arc<Platform>, mut call: Call) -> Result<Element, AwsError> {
    let name = format!("{}Result", call.operation);
    let shape = wire::shape::table("monitoring").and_then(|table| table.input(&call.operation));
    if let Some(shape) = shape {
        call.input = wire::query::typed_members(shape, call.input);
    }
    answer(platform, call).await.map(|value| Element::from_json(&name, &value))
}

/// The members that an operation reads; others are left alone.
fn parse<T: DeserializeOwned>(input: Map<String, Value>) -> Result<T, AwsError> {
    serde_json::from_value(Value::Object(input))
        .map_err(|error| AwsError::new(ErrorCode::SerializationException, error.to_string()))
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

fn metric(namespace: String, name: String, dimensions: Vec<Dimension>) -> Metric {
    Metric::new(namespace, name, dimensions.into_iter().map(|dimension| (dimension.name, dimension.value)))
}

fn dimensions(metric: &Metric) -> Vec<Value> {
    let shown = |(name, value): &(String, String)| serde_json::json!({ "Name": name, "Value": value });
    metric.dimensions().iter().map(shown).collect()
}

async fn on_telemetry<T: Send + 'static>(
    telemetry: &Arc<Telemetry>,
    work: impl FnOnce(&Telemetry) -> Result<T, TelemetryError> + Send + 'static,
) -> Result<T, AwsError> {
    let telemetry = Arc::clone(telemetry);
    rt::blocking(move || work(&telemetry)).await.map_err(|error| match error {
        TelemetryError::Full { .. } => AwsError::new(ErrorCode::LimitExceededException, error.to_string()),
        error => {
            tracing::error!(%error, "series cannot be read or written");
            AwsError::internal()
        }
    })
}

/// Whether values can be asked for by periods of this length. Points are of ten seconds: in shorter periods, each stands
/// in the one in which it begins.
fn check_period(seconds: u32) -> Result<(), AwsError> {
    if matches!(seconds, 1 | 5) || crate::control::alarms::is_period(seconds) {
        return Ok(());
    }
    Err(value(format!("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60, found {seconds}.")))
}

fn value(message: impl Into<String>) -> AwsError {
    AwsError::new(ErrorCode::InvalidParameterValue, message)
}

fn combination(message: impl Into<String>) -> AwsError {
    AwsError::new(ErrorCode::InvalidParameterCombination, message)
}

#[cfg(test)]
mod tests;
