//! What the input of an operation must look like: members, types and constraints, as the services' public models have
//! them, and one function that holds a request to them.
//!
//! The tables lie beside the crate (`shapes/*.json`, written by `tools/shapes.py`), are embedded, and are parsed when
//! first asked for. A request with a value of the wrong JSON type is a `SerializationException`; a request that breaks
//! constraints hears of all of them at once, each with its path, as AWS words it.

mod check;
mod pattern;
mod table;

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::error::{AwsError, ErrorCode};
use check::{Check, Mismatch};

pub use table::{Range, Shape, ShapeKind, Table};

static SAGEMAKER: LazyLock<Table> = LazyLock::new(|| embedded(include_str!("../shapes/sagemaker.json")));
static LOGS: LazyLock<Table> = LazyLock::new(|| embedded(include_str!("../shapes/logs.json")));
static CLOUDWATCH: LazyLock<Table> = LazyLock::new(|| embedded(include_str!("../shapes/cloudwatch.json")));
static AUTOSCALING: LazyLock<Table> =
    LazyLock::new(|| embedded(include_str!("../shapes/application-autoscaling.json")));

fn embedded(text: &str) -> Table {
    Table::parse(text).expect("the embedded tables are read by a test")
}

/// The table of a service, by its signing name (`sagemaker`, `application-autoscaling`, `logs`, `monitoring`).
pub fn table(service: &str) -> Option<&'static Table> {
    match service {
        "sagemaker" => Some(&SAGEMAKER),
        "application-autoscaling" => Some(&AUTOSCALING),
        "logs" => Some(&LOGS),
        "monitoring" | "cloudwatch" => Some(&CLOUDWATCH),
        _ => None,
    }
}

/// Holds the input of an operation to its shape. Operations and services without one pass: who serves them refuses those
/// it does not know. `null` members count as absent, and members that the shape does not name are left alone.
///
/// # Errors
/// `SerializationException` for a value of the wrong type; else the service's validation error, which names every
/// constraint that is broken.
pub fn validate(service: &str, operation: &str, input: &Map<String, Value>) -> Result<(), AwsError> {
    let Some(shape) = table(service).and_then(|table| table.input(operation)) else { return Ok(()) };
    let mut check = Check::default();
    check.structure(shape, input).map_err(|Mismatch { path, expected, found }| {
        let place = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
        AwsError::new(ErrorCode::SerializationException, format!("expected {expected}{place}, found {found}"))
    })?;
    match check.message() {
        None => Ok(()),
        Some(message) => Err(AwsError::new(refusal(service), message)),
    }
}

/// The code by which a service refuses values.
fn refusal(service: &str) -> ErrorCode {
    match service {
        "logs" => ErrorCode::InvalidParameterException,
        "monitoring" | "cloudwatch" => ErrorCode::ValidationError,
        _ => ErrorCode::ValidationException,
    }
}

#[cfg(test)]
mod tests;
