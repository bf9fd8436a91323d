//! Every ten seconds: what the data plane counted becomes points of CloudWatch's series, alarms are judged, lines are
//! written, and what is old is summed up and forgotten.

mod live;
mod points;

use std::sync::Arc;
use std::time::{Duration, Instant};

use telemetry::{Point, Telemetry};
use wire::Timestamp;

pub use live::Live;
pub use points::{Machine, of_backlog, of_machine, of_transform, of_variant};

use super::Alarms;
use crate::metrics::{Metrics, Process, machine_bytes};
use crate::rt;

/// The length of a period. Reason: the public service's for concurrency, and that of the finest series.
const PERIOD_MS: i64 = 10_000;

/// Periods between two summings-up. Reason: the next coarser series has periods of a minute.
const ROLL_UP_EVERY: i64 = 6;

/// What the sampler works on.
#[derive(Debug)]
pub struct Sampler {
    live: Arc<Live>,
    telemetry: Arc<Telemetry>,
    alarms: Arc<Alarms>,
    /// Where disks are looked at.
    data: std::path::PathBuf,
    before: Option<(Instant, Process)>,
    /// Bytes of memory that the machine has.
    machine_bytes: u64,
    periods: i64,
}

impl Sampler {
    /// Over what `live` counts; `data` lies on the disk whose use is reported.
    pub fn new(
        live: Arc<Live>,
        telemetry: Arc<Telemetry>,
        alarms: Arc<Alarms>,
        data: std::path::PathBuf,
    ) -> Self {
        let machine_bytes = machine_bytes().unwrap_or_default();
        Self { live, telemetry, alarms, data, before: None, machine_bytes, periods: 0 }
    }

    /// Runs until the runtime ends.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(until_next(Timestamp::now())).await;
            self.tick(Timestamp::now(), Instant::now()).await;
        }
    }

    /// Ends a period at `now`, which is `instant`.
    pub async fn tick(&mut self, now: Timestamp, instant: Instant) {
        let time = middle_of_period(now);
        let machine = self.machine(instant);
        self.periods += 1;
        let is_roll_up = self.periods % ROLL_UP_EVERY == 0;
        let telemetry = Arc::clone(&self.telemetry);
        let mut live = self.live.end_period().await;
        let points = live.take(instant, now, time, &machine);
        rt::blocking(move || write(&telemetry, &points, now, is_roll_up)).await;
        drop(live);
        if let Err(error) = self.alarms.judge(&self.telemetry, now).await {
            tracing::error!(%error, "alarms cannot be judged");
        }
    }

    fn machine(&mut self, instant: Instant) -> Machine {
        let process = Process::read();
        let before = self.before.replace((instant, process));
        let cpu_percent = before.map_or(0.0, |(since, before)| {
            let seconds = instant.saturating_duration_since(since).as_secs_f64();
            if seconds > 0.0 { 100.0 * (process.cpu_seconds - before.cpu_seconds) / seconds } else { 0.0 }
        });
        let memory_percent = 100.0 * process.resident_bytes as f64 / self.machine_bytes.max(1) as f64;
        Machine { cpu_percent, memory_percent, disk_percent: points::disk_percent(&self.data) }
    }
}

/// A moment of the period that has begun at about `since`.
fn middle_of_next_period(since: Timestamp) -> Timestamp {
    Timestamp(since.0 - since.0.rem_euclid(PERIOD_MS) + PERIOD_MS / 2)
}

/// How long from `now` to the end of a period, by the clock.
fn until_next(now: Timestamp) -> Duration {
    let rest = PERIOD_MS - now.0.rem_euclid(PERIOD_MS);
    Duration::from_millis(rest.unsigned_abs())
}

/// A moment of the period that ends at about `now`: a timer may be a little late.
fn middle_of_period(now: Timestamp) -> Timestamp {
    now.plus_millis(-PERIOD_MS / 2)
}

fn write(telemetry: &Telemetry, points: &[Point], now: Timestamp, is_roll_up: bool) {
    let mut result = telemetry.series.append(points, now).and_then(|()| telemetry.logs.flush(now));
    if is_roll_up {
        let forgotten = telemetry.series.roll_up(now).and_then(|()| telemetry.logs.forget(now));
        result = result.and(forgotten);
    }
    if let Err(error) = result {
        tracing::error!(%error, "telemetry cannot be written");
    }
}

/// In container mode nobody reads series: only the page's means and maxima of ten seconds are kept up to date.
pub async fn tick_page(metrics: Arc<Metrics>) {
    loop {
        let now = Timestamp::now();
        tokio::time::sleep(until_next(now)).await;
        metrics.drain(Instant::now(), Timestamp::now());
    }
}

#[cfg(test)]
mod tests;
