//! What training says while it runs: lines on standard output, a progress bar on standard error where that is a
//! terminal.
//!
//! The lines of quality, progress and throughput are those that SageMaker's metric definitions read:
//! `#quality_metric: host=algo-1, epoch=0, train msd <loss>=0.0640`. The algorithms of that family put time and level
//! before each line.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::Hyperparameters;

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Less is better; printed as `<loss>`.
    Loss,
    /// More is better; printed as `<score>`.
    Score,
}

impl MetricKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Loss => "<loss>",
            Self::Score => "<score>",
        }
    }
}

/// Where lines go. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct Log {
    host: Arc<str>,
    /// The last value of every metric, in the order of their first lines: `channel:metric`.
    recorded: Arc<Mutex<Vec<(String, f64)>>>,
    /// The values by epoch, for the learning curve: (`channel:metric`, epoch, value).
    curve: Arc<Mutex<Vec<(String, u32, f64)>>>,
}

impl Log {
    /// Lines of the host of that name.
    pub fn new(host: &str) -> Self {
        Self { host: host.into(), recorded: Arc::default(), curve: Arc::default() }
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Writes one line as it is. A reader that went away does not end training.
    pub fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        drop(writeln!(out, "{text}").and_then(|()| out.flush()));
    }

    /// Writes one line after time and level.
    pub fn info(&self, text: &str) {
        self.leveled("INFO", text);
    }

    /// Writes a warning.
    pub fn warning(&self, text: &str) {
        self.leveled("WARNING", text);
    }

    fn leveled(&self, level: &str, text: &str) {
        let now = jiff::Timestamp::now().strftime("%m/%d/%Y %H:%M:%S");
        self.line(&format!("[{now} {level} {}] {text}", std::process::id()));
    }

    /// Says what was given and what holds.
    pub fn configuration(&self, values: &Hyperparameters) {
        let object = |pairs: &mut dyn Iterator<Item = (&str, &str)>| -> Value {
            pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>().into()
        };
        self.info(&format!(
            "Merging with provided configuration from /opt/ml/input/config/hyperparameters.json: {}",
            object(&mut values.all_given())
        ));
        self.info(&format!("Final configuration: {}", object(&mut values.all())));
    }

    /// A final value: `#quality_metric: host=…, <channel> <metric> <loss>=…`.
    pub fn quality(&self, channel: &str, metric: &str, kind: MetricKind, value: f64) {
        self.record(channel, metric, value);
        let (host, kind) = (&self.host, kind.as_str());
        self.info(&format!("#quality_metric: host={host}, {channel} {metric} {kind}={value}"));
    }

    /// An epoch's value.
    pub fn epoch_quality(&self, epoch: u32, channel: &str, metric: &str, kind: MetricKind, value: f64) {
        self.curve_point(channel, metric, epoch, value);
        let (host, kind) = (&self.host, kind.as_str());
        self.info(&format!("#quality_metric: host={host}, epoch={epoch}, {channel} {metric} {kind}={value}"));
    }

    /// A mini-batch's value; of the channel `train`.
    pub fn batch_quality(&self, epoch: u32, batch: u64, metric: &str, kind: MetricKind, value: f64) {
        let (host, kind) = (&self.host, kind.as_str());
        self.info(&format!(
            "#quality_metric: host={host}, epoch={epoch}, batch={batch} train {metric} {kind}={value}"
        ));
    }

    /// The other form of a final value: `#test_score (algo-1) : ('accuracy', 0.98)`.
    pub fn score(&self, channel: &str, metric: &str, value: f64) {
        self.record(channel, metric, value);
        self.info(&format!("#{channel}_score ({}) : ('{metric}', {value})", self.host));
    }

    /// How far it is.
    pub fn completed(&self, percent: f64) {
        self.info(&format!(
            "#progress_metric: host={}, completed {} % of epochs",
            self.host,
            (percent * 10.0).round() / 10.0
        ));
    }

    /// How fast it is.
    pub fn throughput(&self, records: u64, elapsed_s: f64) {
        let rate = if elapsed_s > 0.0 { records as f64 / elapsed_s } else { 0.0 };
        self.info(&format!("#throughput_metric: host={}, train throughput={rate} records/second", self.host));
    }

    /// Numbers of a span of time: `#metrics {"StartTime": …, "Dimensions": …, "Metrics": {name: {sum, count, min, max}}}`.
    pub fn metrics(&self, algorithm: &str, operation: &str, started_s: f64, numbers: &[(&str, f64)]) {
        self.metrics_of(algorithm, operation, &[], started_s, numbers);
    }

    /// The same of a part of the training, which `parts` names: an epoch, a model.
    pub fn metrics_of(
        &self,
        algorithm: &str,
        operation: &str,
        parts: &[(&str, u64)],
        started_s: f64,
        numbers: &[(&str, f64)],
    ) {
        let mut dimensions = json!({"Algorithm": algorithm, "Host": &*self.host, "Operation": operation});
        parts.iter().for_each(|(name, place)| dimensions[*name] = json!(place));
        let one = |(name, value): &(&str, f64)| {
            ((*name).to_owned(), json!({"sum": value, "count": 1, "min": value, "max": value}))
        };
        let metrics: Map<String, Value> = numbers.iter().map(one).collect();
        self.line(&format!(
            "#metrics {}",
            json!({
                "StartTime": started_s,
                "EndTime": now_s(),
                "Dimensions": dimensions,
                "Metrics": metrics,
            })
        ));
    }

    /// Keeps a metric without a line, for algorithms that write lines of their own.
    pub fn record(&self, channel: &str, metric: &str, value: f64) {
        let name = format!("{channel}:{metric}");
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        match recorded.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => recorded.push((name, value)),
        }
    }

    /// Keeps a point of the learning curve without a line.
    pub fn curve_point(&self, channel: &str, metric: &str, epoch: u32, value: f64) {
        let mut curve = self.curve.lock().unwrap_or_else(PoisonError::into_inner);
        curve.push((format!("{channel}:{metric}"), epoch, value));
    }

    /// The last value of every metric: (`channel:metric`, value).
    pub fn recorded(&self) -> Vec<(String, f64)> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The learning curve: (`channel:metric`, epoch, value).
    pub fn curve(&self) -> Vec<(String, u32, f64)> {
        self.curve.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A bar of `steps` steps; hidden unless standard error is a terminal and standard output is not, so that bar and
    /// metric lines do not overwrite each other.
    pub fn progress(&self, steps: u64) -> ProgressBar {
        use std::io::IsTerminal;
        if std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left");
        ProgressBar::new(steps).with_style(style.expect("the template is a constant"))
    }
}

/// Seconds since 1970, for the starts of spans.
pub fn now_s() -> f64 {
    jiff::Timestamp::now().as_microsecond() as f64 / 1e6
}
