//! What a running job tells, on its way into logs, series and state. The engine may not wait for a disk: what it tells goes into
//! a queue, and the job's task writes out what is there, a few times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use telemetry::logs::Line;
use telemetry::{Aggregate, Metric, Point, Telemetry, TelemetryError};
use tokio::sync::mpsc;
use training::{Listener, Phase};
use wire::Timestamp;

/// The log group, and the namespace, of all training jobs.
const TRAINING_JOBS: &str = "/aws/sagemaker/TrainingJobs";

/// What waits to be written of one job. Reason: a second of a program that writes as fast as it can; what comes beyond is
/// counted and dropped, as a program must not wait for a log.
const TOLD_MAX: usize = 50_000;

/// Bytes of the lines among it. Reason: a line may have a quarter of a megabyte.
const TOLD_BYTES_MAX: usize = 16 << 20;

/// What is written in one transaction. Reason: some milliseconds, so that others who write wait no longer.
const BATCH_MAX: usize = 2000;

/// Phases that wait. Reason: a run has four.
const PHASES_MAX: usize = 16;

/// What a job tells, but for its phases.
#[derive(Debug)]
enum Told {
    Line { host: usize, at_ms: i64, text: String },
    Metric { name: String, value: f64, at_ms: i64 },
    Usage { host: usize, percents: [f64; 3], at_ms: i64 },
}

/// The engine's end of the queue.
#[derive(Debug)]
pub(super) struct Recorder {
    phases: mpsc::Sender<Phase>,
    told: mpsc::Sender<Told>,
    waiting: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// The other end.
#[derive(Debug)]
pub(super) struct Record {
    /// The phases of the run, as they begin.
    pub(super) phases: mpsc::Receiver<Phase>,
    told: mpsc::Receiver<Told>,
    waiting: Arc<Waiting>,
    telemetry: Arc<Telemetry>,
    job: String,
    /// Seconds that tell apart the streams of jobs of one name.
    created_seconds: i64,
}

/// A queue between the engine and the telemetry of the job of this name, made at `created`.
pub(super) fn queue(telemetry: Arc<Telemetry>, job: &str, created: Timestamp) -> (Recorder, Record) {
    let (phases, phases_told) = mpsc::channel(PHASES_MAX);
    let (told, lines_told) = mpsc::channel(TOLD_MAX);
    let waiting = Arc::new(Waiting::default());
    let record = Record {
        phases: phases_told,
        told: lines_told,
        waiting: Arc::clone(&waiting),
        telemetry,
        job: job.to_owned(),
        created_seconds: created.0.div_euclid(1000),
    };
    (Recorder { phases, told, waiting }, record)
}

impl Recorder {
    fn tell(&self, told: Told) {
        if self.told.try_send(told).is_err() {
            self.waiting.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Listener for Recorder {
    fn phase(&self, phase: Phase, _message: &str) {
        // There is room for more than a run has.
        let _ = self.phases.try_send(phase);
    }

    fn line(&self, host: usize, at_ms: i64, text: &str) {
        let waiting = self.waiting.bytes.fetch_add(text.len(), Ordering::Relaxed);
        if waiting > TOLD_BYTES_MAX {
            self.waiting.bytes.fetch_sub(text.len(), Ordering::Relaxed);
            self.waiting.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.tell(Told::Line { host, at_ms, text: text.to_owned() });
    }

    fn metric(&self, name: &str, value: f64, at_ms: i64) {
        self.tell(Told::Metric { name: name.to_owned(), value, at_ms });
    }

    fn usage(&self, host: usize, cpu_percent: f64, memory_percent: f64, disk_percent: f64, at_ms: i64) {
        self.tell(Told::Usage { host, percents: [cpu_percent, memory_percent, disk_percent], at_ms });
    }
}

impl Record {
    /// Writes out what was told so far; whether there was a look at what the job uses. Blocks.
    pub(super) fn write(&mut self) -> bool {
        let mut has_usage = false;
        loop {
            let mut batch = Vec::new();
            while batch.len() < BATCH_MAX
                && let Ok(told) = self.told.try_recv()
            {
                batch.push(told);
            }
            let is_last = batch.len() < BATCH_MAX;
            has_usage |= batch.iter().any(|told| matches!(told, Told::Usage { .. }));
            if let Err(error) = self.write_batch(batch) {
                tracing::error!(job = self.job, %error, "what a training job told is lost");
            }
            if is_last {
                return has_usage;
            }
        }
    }

    fn write_batch(&self, batch: Vec<Told>) -> Result<(), TelemetryError> {
        let (mut lines, mut points) = (Vec::new(), Vec::new());
        for told in batch {
            match told {
                Told::Line { host, at_ms, text } => {
                    self.waiting.bytes.fetch_sub(text.len(), Ordering::Relaxed);
                    lines.push(self.line(host, Timestamp(at_ms), text));
                }
                Told::Metric { name, value, at_ms } => {
                    let dimension = ("TrainingJobName".to_owned(), self.job.clone());
                    points.push(point(name, dimension, "None", value, Timestamp(at_ms)));
                }
                Told::Usage { host, percents, at_ms } => {
                    let names = ["CPUUtilization", "MemoryUtilization", "DiskUtilization"];
                    points.extend(names.into_iter().zip(percents).map(|(name, value)| {
                        let dimension = ("Host".to_owned(), self.host(host));
                        point(name.to_owned(), dimension, "Percent", value, Timestamp(at_ms))
                    }));
                }
            }
        }
        let now = Timestamp::now();
        let dropped = self.waiting.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let text =
                format!("[clary] {dropped} lines were dropped: more came than can be written to this log");
            lines.push(self.line(1, now, text));
        }
        self.telemetry.logs.write(&lines, now)?;
        self.telemetry.series.append(&points, now)
    }

    /// `<job>/algo-<n>`.
    fn host(&self, host: usize) -> String {
        format!("{}/algo-{host}", self.job)
    }

    fn line(&self, host: usize, time: Timestamp, message: String) -> Line {
        let stream = format!("{}-{}", self.host(host), self.created_seconds);
        Line { group: TRAINING_JOBS.to_owned(), stream, time, message }
    }
}

fn point(
    name: String,
    dimension: (String, String),
    unit: &'static str,
    value: f64,
    time: Timestamp,
) -> Point {
    let metric = Metric::new(TRAINING_JOBS, name, [dimension]);
    Point { metric, unit: unit.to_owned(), time, values: Aggregate::of(value) }
}

#[cfg(test)]
mod tests {
    use telemetry::Range;
    use telemetry::logs::EventQuery;

    use super::*;

    const AT: i64 = 1_800_000_000_000;

    fn made(created: i64) -> (Arc<Telemetry>, Recorder, Record) {
        let telemetry = Arc::new(Telemetry::in_memory().expect("SQLite"));
        let (recorder, record) = queue(Arc::clone(&telemetry), "j", Timestamp(created));
        (telemetry, recorder, record)
    }

    fn messages(telemetry: &Telemetry, stream: &str) -> Vec<String> {
        let query = EventQuery { start: None, end: None, is_from_head: true, token: None, limit: 10_000 };
        let page = telemetry.logs.events(TRAINING_JOBS, stream, &query).expect("a stream");
        page.events.into_iter().map(|event| event.message).collect()
    }

    #[test]
    fn what_is_told_is_read_back() {
        let (telemetry, recorder, mut record) = made(AT);
        recorder.phase(Phase::Training, "");
        recorder.line(1, AT, "first");
        recorder.line(2, AT, "of another host");
        recorder.line(1, AT + 1, "second");
        recorder.metric("validation:rmse", 0.1, AT);
        assert!(!record.write(), "no look at what is used");
        recorder.usage(2, 150.0, 10.0, 5.0, AT);
        assert!(record.write());
        assert_eq!(record.phases.try_recv(), Ok(Phase::Training));
        assert_eq!(messages(&telemetry, &format!("j/algo-1-{}", AT / 1000)), ["first", "second"]);
        assert_eq!(messages(&telemetry, &format!("j/algo-2-{}", AT / 1000)), ["of another host"]);
        let read = |name: &str, dimension: (&str, &str)| {
            let dimension = (dimension.0.to_owned(), dimension.1.to_owned());
            let (start, end) = (Timestamp(AT - 60_000), Timestamp(AT + 60_000));
            let range = Range { start, end, period_seconds: 60, unit: None };
            let read = telemetry.series.read(&Metric::new(TRAINING_JOBS, name, [dimension]), &range);
            read.expect("a series").into_iter().map(|period| period.values.sum).collect::<Vec<_>>()
        };
        assert_eq!(read("validation:rmse", ("TrainingJobName", "j")), [0.1]);
        assert_eq!(read("CPUUtilization", ("Host", "j/algo-2")), [150.0]);
        assert_eq!(read("DiskUtilization", ("Host", "j/algo-2")), [5.0]);
    }

    #[test]
    fn what_is_too_much_is_counted() {
        // The long ones lie in the future, so that what is said now comes before them.
        const LATER: i64 = 4_000_000_000_000;
        let (telemetry, recorder, mut record) = made(0);
        let long = "x".repeat(1 << 20);
        (0..20).for_each(|_| recorder.line(1, LATER, &long));
        record.write();
        let lines = messages(&telemetry, "j/algo-1-0");
        assert!(lines[0].contains("3 lines were dropped"), "{}", lines[0]);
        // There is room again.
        recorder.line(1, 1, "after");
        record.write();
        assert_eq!(messages(&telemetry, "j/algo-1-0")[0], "after");
    }
}
