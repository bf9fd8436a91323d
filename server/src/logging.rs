//! Logs to standard error: JSON for machines, text for people.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::config::{LogFormat, LogLevel};

/// Starts logging for the whole program; a second call changes nothing.
pub fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Ours as asked; of the libraries only what is amiss, unless everything is asked for.
    let of_libraries = if level == LevelFilter::TRACE { level } else { level.min(LevelFilter::WARN) };
    let targets = Targets::new().with_default(of_libraries).with_targets([
        ("clary", level),
        ("server", level),
        ("objects", level),
        // It takes every answer that is not a success, such as the 404 of a look whether an object is there, for an error.
        ("s3s", if level == LevelFilter::TRACE { level } else { LevelFilter::OFF }),
    ]);
    let layer = fmt::layer().with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => registry().with(targets).with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry().with(targets).with(layer).try_init(),
    };
    // In tests several servers run in one program, and the first has set it up.
    drop(started);
}
