//! What a run counted. One tally a thread, merged at the end: nothing is shared while requests run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::response::Malformed;

/// The longest latency that is told apart; what is longer counts as this. Reason: it caps the memory of the
/// auto-resizing histograms at about 300 KiB each; no answer is worth ten minutes.
pub(crate) const LATENCY_MAX: Duration = Duration::from_secs(600);

/// Precision of the histograms: three significant digits, an error below 0.1 %.
const SIGNIFICANT_DIGITS: u8 = 3;

/// The most distinct values counted for one header. Reason: a header that names versions has a handful; one that
/// names requests would fill the memory.
const HEADER_VALUES_MAX: usize = 64;

/// Where values beyond [`HEADER_VALUES_MAX`] are counted.
const OTHER_VALUES: &str = "(other values)";

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// No connection, or no TLS on it.
    Connect(std::io::ErrorKind),
    /// The connection failed under the request.
    Broken(std::io::ErrorKind),
    /// The server closed the connection before the answer was whole.
    Closed,
    /// No whole answer within the time limit.
    TimedOut,
    /// The answer is not HTTP/1.1.
    Malformed(Malformed),
    /// Every connection was busy until the run was given up.
    NeverSent,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(kind) => write!(f, "connect: {kind}"),
            Self::Broken(kind) => write!(f, "connection broke: {kind}"),
            Self::Closed => f.write_str("closed before the answer was whole"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Malformed(reason) => write!(f, "malformed answer: {reason}"),
            Self::NeverSent => f.write_str("never sent: every connection stayed busy"),
        }
    }
}

impl Failure {
    /// Whether the time that passed is a lower bound of the latency. A refused connection is quick and says nothing of
    /// latency; a time-out says that the answer takes at least so long.
    fn bounds_latency(self) -> bool {
        matches!(self, Self::TimedOut | Self::NeverSent)
    }
}

/// What was counted.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Nanoseconds from the intended start to the last byte of the answer; time-outs and requests that were never
    /// sent count with the time they had waited.
    pub(crate) latency: Histogram<u64>,
    /// Nanoseconds that requests left late although a connection was free: the generator's own fault.
    pub(crate) generator_lag: Histogram<u64>,
    /// Requests that waited for a free connection.
    pub(crate) queued: u64,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Requests without an answer, by reason.
    pub(crate) failures: BTreeMap<Failure, u64>,
    /// For each watched header, answers by value.
    pub(crate) header_values: Vec<BTreeMap<String, u64>>,
    /// Bytes of requests, heads included.
    pub(crate) bytes_sent: u64,
    /// Bytes of answers, heads included.
    pub(crate) bytes_received: u64,
    /// Connections opened again after the server had closed them.
    pub(crate) reconnects: u64,
}

impl Tally {
    /// Nothing counted, for `watched` headers.
    pub(crate) fn new(watched: usize) -> Self {
        let histogram = || Histogram::new(SIGNIFICANT_DIGITS).expect("three digits are a valid precision");
        Self {
            latency: histogram(),
            generator_lag: histogram(),
            queued: 0,
            statuses: BTreeMap::new(),
            failures: BTreeMap::new(),
            header_values: vec![BTreeMap::new(); watched],
            bytes_sent: 0,
            bytes_received: 0,
            reconnects: 0,
        }
    }

    /// An answer of `status` after `latency`.
    pub(crate) fn answered(&mut self, status: u16, latency: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        record(&mut self.latency, latency);
    }

    /// No answer after `waited`.
    pub(crate) fn failed(&mut self, failure: Failure, waited: Duration) {
        *self.failures.entry(failure).or_default() += 1;
        if failure.bounds_latency() {
            record(&mut self.latency, waited);
        }
    }

    /// A request left: `lag` late by the generator's fault, `queued` when no connection was free at its start.
    pub(crate) fn sent(&mut self, lag: Duration, queued: bool) {
        record(&mut self.generator_lag, lag);
        self.queued += u64::from(queued);
    }

    /// An answer's watched header number `index` had `value`.
    pub(crate) fn header(&mut self, index: usize, value: &[u8]) {
        let values = &mut self.header_values[index];
        let text = String::from_utf8_lossy(value);
        if let Some(count) = values.get_mut(text.as_ref()) {
            *count += 1;
        } else if values.len() < HEADER_VALUES_MAX {
            values.insert(text.into_owned(), 1);
        } else {
            *values.entry(OTHER_VALUES.to_owned()).or_default() += 1;
        }
    }

    /// Adds what another thread or slice counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.latency.add(&other.latency).expect("the histogram resizes itself");
        self.generator_lag.add(&other.generator_lag).expect("the histogram resizes itself");
        self.queued += other.queued;
        add(&mut self.statuses, &other.statuses);
        add(&mut self.failures, &other.failures);
        for (mine, theirs) in self.header_values.iter_mut().zip(&other.header_values) {
            for (value, count) in theirs {
                let room = mine.len() < HEADER_VALUES_MAX || mine.contains_key(value);
                *mine.entry(if room { value.clone() } else { OTHER_VALUES.to_owned() }).or_default() += count;
            }
        }
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.reconnects += other.reconnects;
    }

    /// Answers of any status.
    pub(crate) fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Requests that got no answer, or one that is not 2xx.
    pub(crate) fn errors(&self) -> u64 {
        let refused: u64 =
            self.statuses.iter().filter(|(status, _)| **status / 100 != 2).map(|(_, n)| n).sum();
        refused + self.failures.values().sum::<u64>()
    }

    /// The latency below which `quantile` of the requests lie.
    pub(crate) fn latency_at(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.latency.value_at_quantile(quantile))
    }
}

fn record(histogram: &mut Histogram<u64>, value: Duration) {
    let nanos = value.min(LATENCY_MAX).as_nanos() as u64;
    histogram.record(nanos).expect("the histogram resizes itself");
}

fn add<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(*key).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As equal as three digits are.
    fn close(found: Duration, expected: Duration) -> bool {
        found.abs_diff(expected) * 1_000 <= expected
    }

    #[test]
    fn merged_tallies_equal_one_tally() {
        let mut random = fastrand::Rng::with_seed(3);
        let (mut whole, mut left, mut right) = (Tally::new(1), Tally::new(1), Tally::new(1));
        for index in 0..10_000u32 {
            let latency = Duration::from_nanos(random.u64(1..5_000_000_000));
            let part = if index % 3 == 0 { &mut left } else { &mut right };
            for tally in [&mut whole, part] {
                if index % 100 == 0 {
                    tally.failed(Failure::TimedOut, latency);
                } else {
                    tally.answered(if index % 7 == 0 { 503 } else { 200 }, latency);
                    tally.header(0, if index % 2 == 0 { b"a" } else { b"b" });
                }
                tally.sent(latency / 1_000, index % 5 == 0);
            }
        }
        left.merge(&right);
        assert_eq!(left.latency, whole.latency);
        assert_eq!(left.generator_lag, whole.generator_lag);
        assert_eq!(left.statuses, whole.statuses);
        assert_eq!(left.failures, whole.failures);
        assert_eq!(left.header_values, whole.header_values);
        assert_eq!((left.queued, left.errors()), (2_000, whole.errors()));
    }

    #[test]
    fn time_outs_raise_percentiles_and_refusals_do_not() {
        let mut tally = Tally::new(0);
        tally.answered(200, Duration::from_millis(1));
        tally.failed(Failure::Connect(std::io::ErrorKind::ConnectionRefused), Duration::from_micros(1));
        assert_eq!(tally.latency.len(), 1);
        tally.failed(Failure::TimedOut, Duration::from_secs(10));
        assert!(close(tally.latency_at(1.0), Duration::from_secs(10)));
        assert_eq!(tally.errors(), 2);
    }

    #[test]
    fn latencies_are_capped() {
        let mut tally = Tally::new(0);
        tally.answered(200, Duration::MAX);
        assert!(close(tally.latency_at(0.5), LATENCY_MAX));
    }

    #[test]
    fn header_values_are_bounded() {
        let mut tally = Tally::new(1);
        for value in 0..1_000 {
            tally.header(0, value.to_string().as_bytes());
        }
        assert_eq!(tally.header_values[0].len(), HEADER_VALUES_MAX + 1);
        assert_eq!(tally.header_values[0][OTHER_VALUES], 1_000 - HEADER_VALUES_MAX as u64);
        let mut merged = Tally::new(1);
        merged.merge(&tally);
        merged.merge(&tally);
        assert_eq!(merged.header_values[0].values().sum::<u64>(), 2_000);
        assert!(merged.header_values[0].len() <= HEADER_VALUES_MAX + 1);
    }
}
