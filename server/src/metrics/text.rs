//! The Prometheus text format.

use std::fmt::{Display, Write};

use super::histogram::{BOUNDS_NS, Snapshot};

/// A page of metrics being written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Declares a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// A sample of a declared family.
    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{labels}}} {value}"));
        }
    }

    /// A counter without labels.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, "", value);
    }

    /// A gauge without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: i64) {
        self.family(name, "gauge", help);
        self.sample(name, "", value);
    }

    /// The samples of a histogram of a declared family.
    pub(super) fn histogram(&mut self, name: &str, labels: &str, snapshot: &Snapshot) {
        let separator = if labels.is_empty() { "" } else { "," };
        let bucket = format!("{name}_bucket");
        let mut count = 0;
        for (in_bucket, bound_ns) in snapshot.buckets.iter().zip(BOUNDS_NS) {
            count += in_bucket;
            self.sample(&bucket, &format!("{labels}{separator}le=\"{}\"", in_seconds(bound_ns)), count);
        }
        count += snapshot.buckets[BOUNDS_NS.len()];
        self.sample(&bucket, &format!("{labels}{separator}le=\"+Inf\""), count);
        self.sample(&format!("{name}_sum"), labels, in_seconds(snapshot.sum_ns));
        self.sample(&format!("{name}_count"), labels, count);
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes what it is given");
    }
}

fn in_seconds(time_ns: u64) -> f64 {
    time_ns as f64 / 1e9
}

/// A label's value as the format quotes it.
pub(super) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
