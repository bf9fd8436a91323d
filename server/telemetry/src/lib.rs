//! Metrics and logs that are read back: series and streams, over one SQLite file.
//!
//! Time comes in as a parameter; nothing here reads a clock. Calls block: see [`Telemetry`].
//!
//! | module | is |
//! |---|---|
//! | [`aggregate`] | what is kept of a period's values |
//! | [`buckets`] | their histogram |
//! | [`logs`] | groups, streams, events |
//! | [`metric`] | what a series is of |
//! | [`series`] | points by period, at four resolutions |
//! | [`statistic`] | what is asked of a period |

pub mod aggregate;
pub mod buckets;
pub mod logs;
pub mod metric;
pub mod series;
pub mod statistic;
mod store;

use std::path::Path;
use std::sync::Arc;

pub use aggregate::Aggregate;
pub use buckets::Buckets;
pub use logs::Logs;
pub use metric::{Metric, MetricFilter};
pub use series::{Period, Point, Range, Series};
pub use statistic::Statistic;
pub use store::TelemetryError;

use store::Store;

/// The telemetry file. Its calls wait for the disk and for each other: not for a thread that serves predictions.
#[derive(Debug)]
pub struct Telemetry {
    /// Metrics.
    pub series: Series,
    /// Log groups, streams and events.
    pub logs: Logs,
}

impl Telemetry {
    /// Opens or creates the file at `path`.
    ///
    /// # Errors
    /// When it cannot be opened, or is of a later version.
    pub fn open(path: &Path) -> Result<Self, TelemetryError> {
        Ok(Self::over(Store::open(path)?))
    }

    /// In memory, for tests.
    ///
    /// # Errors
    /// When SQLite cannot be had.
    pub fn in_memory() -> Result<Self, TelemetryError> {
        Ok(Self::over(Store::in_memory()?))
    }

    fn over(store: Store) -> Self {
        let store = Arc::new(store);
        Self { series: Series(Arc::clone(&store)), logs: Logs::new(store) }
    }
}
