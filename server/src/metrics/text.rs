//! The Prometheus text format, version 0.0.4.

use std::fmt::{Display, Write};

use super::histogram::{BOUNDS_NS, Snapshot};

/// A page of metrics being written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Declares a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
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

    /// The samples of a histogram of a declared family.
    pub(super) fn histogram(&mut self, name: &str, labels: &str, snapshot: &Snapshot) {
        let separator = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        for (in_bucket, bound_ns) in snapshot.buckets.iter().zip(BOUNDS_NS) {
            count += in_bucket;
            let bound_s = in_seconds(bound_ns);
            self.line(format_args!("{name}_bucket{{{labels}{separator}le=\"{bound_s}\"}} {count}"));
        }
        count += snapshot.buckets[BOUNDS_NS.len()];
        self.line(format_args!("{name}_bucket{{{labels}{separator}le=\"+Inf\"}} {count}"));
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

/// A label as the format writes it.
pub(super) fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}
