//! The period that goes on: what was counted since the last one ended, for readers that do not want to wait for its end.
//!
//! A reader looks at the counts and then at the series, and the end of a period moves the counts into the series: one lock
//! over both keeps a reader from missing them in both, or finding them in both. No request waits for it.

use std::sync::Arc;
use std::time::Instant;

use telemetry::Point;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use wire::Timestamp;

use super::{Machine, middle_of_next_period, of_backlog, of_machine, of_transform, of_variant};
use crate::metrics::Metrics;

/// The counts, and when their period began.
#[derive(Debug)]
pub struct Live {
    metrics: Arc<Metrics>,
    since: RwLock<Timestamp>,
}

/// The points of the period that goes on, which does not end while this is held.
#[derive(Debug)]
pub struct Look<'a> {
    /// As if it ended now.
    pub points: Vec<Point>,
    _since: RwLockReadGuard<'a, Timestamp>,
}

impl Live {
    /// What `metrics` count from `now` on.
    pub fn new(metrics: Arc<Metrics>, now: Timestamp) -> Self {
        Self { metrics, since: RwLock::new(now) }
    }

    #[cfg(test)]
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What was counted until `now`. To be held until the series were read too.
    pub async fn look(&self, now: Instant) -> Look<'_> {
        let since = self.since.read().await;
        let time = middle_of_next_period(*since);
        let mut points = Vec::new();
        for (labels, period) in self.metrics.look(now) {
            points.extend(of_variant(&labels, &period, time));
        }
        for (endpoint, backlog) in self.metrics.backlogs() {
            points.extend(of_backlog(&endpoint, &backlog, time));
        }
        Look { points, _since: since }
    }

    /// For who writes the points of the period, and holds this until they are written.
    pub(super) async fn end_period(&self) -> Ending<'_> {
        Ending { metrics: &self.metrics, since: self.since.write().await }
    }
}

/// A period that ends.
pub(super) struct Ending<'a> {
    metrics: &'a Metrics,
    since: RwLockWriteGuard<'a, Timestamp>,
}

impl Ending<'_> {
    /// Its points, at `time`; the next period begins `now`, which is `instant`.
    pub(super) fn take(
        &mut self,
        instant: Instant,
        now: Timestamp,
        time: Timestamp,
        machine: &Machine,
    ) -> Vec<Point> {
        *self.since = now;
        let mut points = Vec::new();
        for (labels, period) in self.metrics.drain(instant, now) {
            points.extend(of_variant(&labels, &period, time));
            points.extend(of_machine(&labels, &period, machine, time));
        }
        for (endpoint, backlog) in self.metrics.backlogs() {
            points.extend(of_backlog(&endpoint, &backlog, time));
        }
        for host in self.metrics.transforms.hosts() {
            points.extend(of_transform(&host, machine, time));
        }
        points
    }
}
