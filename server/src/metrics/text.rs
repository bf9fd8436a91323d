//! The Prometheus text format, version 0.0.4.
//!
//! A page has thousands of lines, most of them of histograms: what they have in common is put together once a series, what
//! every histogram has in common once a process, and numbers are written as digits, without the formatting machinery.

use std::fmt::Write;
use std::sync::LazyLock;

use metrics::Label;

use super::histogram::{BOUNDS_NS, Snapshot};

/// Integers up to here are exact as a float, and are written as integers.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How a bucket's line goes on after the labels of its series.
static BOUNDS: LazyLock<[String; BOUNDS_NS.len()]> = LazyLock::new(|| {
    BOUNDS_NS.map(|bound_ns| {
        let mut text = Text::default();
        text.seconds(bound_ns);
        format!("le=\"{}\"}} ", text.finish())
    })
});

/// A page of metrics being written.
#[derive(Debug, Default)]
pub(super) struct Text {
    page: String,
    /// How each line of the series in hand begins.
    head: String,
}

/// What a sample shows.
pub(super) trait Value {
    /// Writes it.
    fn write(self, text: &mut Text);
}

impl Value for u64 {
    fn write(self, text: &mut Text) {
        text.integer(self);
    }
}

impl Value for f64 {
    fn write(self, text: &mut Text) {
        if (0.0..=EXACT_MAX).contains(&self) && self.fract() == 0.0 {
            text.integer(self as u64);
        } else {
            write!(text.page, "{self}").expect("a String takes what it is given");
        }
    }
}

impl Text {
    /// A page of about so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { page: String::with_capacity(bytes), head: String::new() }
    }

    /// Declares a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.push(&["# HELP ", name, " ", &help, "\n# TYPE ", name, " ", kind, "\n"]);
    }

    /// A sample of a declared family.
    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Value) {
        self.name(name, "", labels);
        value.write(self);
        self.page.push('\n');
    }

    /// The samples of a histogram of a declared family.
    pub(super) fn histogram(&mut self, name: &str, labels: &str, snapshot: &Snapshot) {
        let separator = if labels.is_empty() { "" } else { "," };
        self.head.clear();
        [name, "_bucket{", labels, separator].into_iter().for_each(|part| self.head.push_str(part));
        let mut count = 0;
        for (in_bucket, bound) in snapshot.buckets.iter().zip(BOUNDS.iter()) {
            count += in_bucket;
            self.bucket(bound, count);
        }
        count += snapshot.buckets[BOUNDS_NS.len()];
        self.bucket("le=\"+Inf\"} ", count);
        self.name(name, "_sum", labels);
        self.seconds(snapshot.sum_ns);
        self.page.push('\n');
        self.name(name, "_count", labels);
        self.integer(count);
        self.page.push('\n');
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.page
    }

    fn bucket(&mut self, bound: &str, count: u64) {
        self.page.push_str(&self.head);
        self.page.push_str(bound);
        self.integer(count);
        self.page.push('\n');
    }

    fn name(&mut self, name: &str, suffix: &str, labels: &str) {
        if labels.is_empty() {
            self.push(&[name, suffix, " "]);
        } else {
            self.push(&[name, suffix, "{", labels, "} "]);
        }
    }

    fn push(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.page.push_str(part));
    }

    fn integer(&mut self, value: u64) {
        let mut digits = [0; 20];
        self.page.push_str(decimal(value, &mut digits));
    }

    /// Exactly, without zeros at the end.
    fn seconds(&mut self, time_ns: u64) {
        self.integer(time_ns / NANOS_PER_SECOND);
        let rest = time_ns % NANOS_PER_SECOND;
        if rest > 0 {
            // A leading one holds the place of the zeros before the rest.
            let mut digits = [0; 20];
            let digits = decimal(NANOS_PER_SECOND + rest, &mut digits);
            self.push(&[".", digits[1..].trim_end_matches('0')]);
        }
    }
}

/// The digits of `value`, which has 20 at most.
fn decimal(mut value: u64, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    std::str::from_utf8(&digits[at..]).expect("digits are ASCII")
}

/// Labels as the format writes them.
pub(super) fn labels<'a>(labels: impl IntoIterator<Item = &'a Label>) -> String {
    let labels: Vec<_> = labels.into_iter().map(|of| label(of.key(), of.value())).collect();
    labels.join(",")
}

/// A label as the format writes it.
pub(super) fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers are written as the standard library writes them.
    #[test]
    fn numbers_are_written_as_they_are() {
        let check = |value: f64| {
            let mut text = Text::default();
            value.write(&mut text);
            assert_eq!(text.finish(), format!("{value}"));
        };
        for value in [0.0, 1.0, 0.1, -1.0, 1.5, 1e15, EXACT_MAX, 1e20, 1e-9, f64::NAN, f64::INFINITY] {
            check(value);
        }
        for value in [0, 9, 10, 99, 1_000_000, u64::MAX] {
            let mut text = Text::default();
            value.write(&mut text);
            assert_eq!(text.finish(), value.to_string());
        }
    }

    #[test]
    fn times_are_written_exactly() {
        let check = |time_ns, expected| {
            let mut text = Text::default();
            text.seconds(time_ns);
            assert_eq!(text.finish(), expected);
        };
        check(0, "0");
        check(1, "0.000000001");
        check(7_000, "0.000007");
        check(2_500_000, "0.0025");
        check(60_000_000_000, "60");
        check(100_252_000_000, "100.252");
        check(u64::MAX, "18446744073.709551615");
    }
}
