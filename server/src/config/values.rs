//! How single values are written: sizes, times, truth, log levels.

use std::time::Duration;

/// The least level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what is broken.
    Error,
    /// What somebody should look at.
    Warn,
    /// What the server does, never once a request.
    Info,
    /// Each request.
    Debug,
    /// Everything.
    Trace,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `true`, `True`, `1`, `false`, `0`: SageMaker's tools write several.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("expected true or false, found {text:?}")),
    }
}

/// Bytes, with an optional `KiB`, `MiB` or `GiB`.
pub(super) fn byte_count(text: &str) -> Result<u64, String> {
    let (digits, unit) = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
        .iter()
        .find_map(|&(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
        .unwrap_or((text, 1));
    let count = digits.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    count.ok_or_else(|| format!("expected bytes such as 6291456 or 6MiB, found {text:?}"))
}

/// The longest time a flag may name. Reason: a day is beyond any use, and keeps deadlines free of overflow.
const TIME_MAX: Duration = Duration::from_secs(86_400);

/// A time in seconds unless it says otherwise: `60`, `60s`, `250ms`.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let time = millis(text)?;
    if time.is_zero() { Err(format!("expected a time above zero, found {text:?}")) } else { Ok(time) }
}

/// As [`seconds`], zero allowed.
pub(super) fn millis(text: &str) -> Result<Duration, String> {
    let (digits, unit_ms) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (None, Some(digits)) => (digits, 1000),
        (None, None) => (text, 1000),
    };
    let time_ms = digits.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit_ms));
    let time = time_ms.map(Duration::from_millis).filter(|&time| time <= TIME_MAX);
    time.ok_or_else(|| format!("expected a time of at most a day, such as 60, 60s or 250ms, found {text:?}"))
}

/// A level by its name, or by Python's number (`SAGEMAKER_CONTAINER_LOG_LEVEL`).
pub(super) fn log_level(text: &str) -> Result<LogLevel, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "error" | "40" | "50" => Ok(LogLevel::Error),
        "warn" | "warning" | "30" => Ok(LogLevel::Warn),
        "info" | "20" => Ok(LogLevel::Info),
        "debug" | "10" => Ok(LogLevel::Debug),
        "trace" => Ok(LogLevel::Trace),
        _ => Err(format!("expected error, warn, info, debug or trace, found {text:?}")),
    }
}
