//! What a person reads and what a program reads of one run.

use std::fmt::{self, Display};
use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::Outcome;

/// The quantiles of every report, and their names.
pub(crate) const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// The p99 of late sends from which the generator is said to have fallen behind. Reason: a sleeping core takes
/// 0.1 ms to wake; a millisecond is the scale of the latencies that are judged.
const GENERATOR_LAG_MAX: Duration = Duration::from_millis(1);

/// The share of the asked rate that counts as reached.
pub(crate) const RATE_REACHED: f64 = 0.98;

/// Why the numbers are not to be trusted as they stand; empty when they are.
pub(crate) fn warnings(outcome: &Outcome) -> Vec<String> {
    let tally = &outcome.tally;
    let mut warnings = Vec::new();
    if generator_is_behind(outcome) {
        let lag = Duration::from_nanos(tally.generator_lag.value_at_quantile(0.99));
        warnings.push(format!(
            "the generator itself fell behind: 1 % of the requests left over {} late with a connection free; \
             latencies include that. Use fewer requests a second, more --threads or another machine",
            Milliseconds(lag)
        ));
    }
    if tally.queued * 100 > tally.answers() {
        warnings.push(format!(
            "{} requests waited because every connection was busy; the wait is part of their latency. \
             If the server is not the limit, raise --connections",
            tally.queued
        ));
    }
    if let Some(asked) = outcome.rate_asked
        && outcome.rate_achieved() < asked * RATE_REACHED
    {
        warnings.push(format!("asked for {asked:.1} requests/s, answered {:.1}", outcome.rate_achieved()));
    }
    warnings
}

/// Whether requests left late although connections were free.
pub(crate) fn generator_is_behind(outcome: &Outcome) -> bool {
    Duration::from_nanos(outcome.tally.generator_lag.value_at_quantile(0.99)) > GENERATOR_LAG_MAX
}

/// A duration as milliseconds with three digits after the point.
pub(crate) struct Milliseconds(pub(crate) Duration);

impl Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.3} ms", self.0.as_secs_f64() * 1e3))
    }
}

/// The readable table of one run.
pub(crate) struct Table<'a> {
    /// The run.
    pub(crate) outcome: &'a Outcome,
    /// The names of the counted headers.
    pub(crate) watched: &'a [String],
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outcome, tally) = (self.outcome, &self.outcome.tally);
        let seconds = outcome.elapsed.as_secs_f64();
        match outcome.rate_asked {
            Some(asked) => {
                writeln!(f, "  rate        asked {asked:.1}/s, achieved {:.1}/s", outcome.rate_achieved())?;
            }
            None => writeln!(f, "  rate        {:.1}/s (closed loop)", outcome.rate_achieved())?,
        }
        writeln!(
            f,
            "  requests    {} answered in {seconds:.2} s, {} errors",
            tally.answers(),
            tally.errors()
        )?;
        let from = if outcome.rate_asked.is_some() { "the intended start" } else { "the send" };
        writeln!(f, "  latency     from {from}")?;
        for (name, quantile) in QUANTILES {
            writeln!(f, "    {name:<8}{:>14}", Milliseconds(tally.latency_at(quantile)))?;
        }
        for (status, count) in &tally.statuses {
            writeln!(f, "  status {status}  {count}")?;
        }
        for (failure, count) in &tally.failures {
            writeln!(f, "  error       {count} × {failure}")?;
        }
        let rate = |bytes: u64| bytes as f64 / seconds / 1e6;
        let (sent, received) = (tally.bytes_sent, tally.bytes_received);
        writeln!(
            f,
            "  bytes       {sent} sent ({:.2} MB/s), {received} received ({:.2} MB/s)",
            rate(sent),
            rate(received)
        )?;
        if tally.reconnects > 0 {
            writeln!(f, "  reconnects  {}", tally.reconnects)?;
        }
        for (name, values) in self.watched.iter().zip(&tally.header_values) {
            for (value, count) in values {
                writeln!(f, "  {name}: {value}  {count}")?;
            }
        }
        for warning in warnings(outcome) {
            writeln!(f, "  warning: {warning}")?;
        }
        Ok(())
    }
}

/// One run for a program.
pub(crate) fn to_json(outcome: &Outcome, watched: &[String]) -> Value {
    let tally = &outcome.tally;
    let latency: serde_json::Map<String, Value> = QUANTILES
        .iter()
        .map(|(name, quantile)| ((*name).to_owned(), json!(tally.latency_at(*quantile).as_secs_f64() * 1e3)))
        .collect();
    let statuses: serde_json::Map<String, Value> =
        tally.statuses.iter().map(|(status, count)| (status.to_string(), json!(count))).collect();
    let failures: serde_json::Map<String, Value> =
        tally.failures.iter().map(|(failure, count)| (failure.to_string(), json!(count))).collect();
    let headers: serde_json::Map<String, Value> = watched
        .iter()
        .zip(&tally.header_values)
        .map(|(name, values)| (name.clone(), json!(values)))
        .collect();
    json!({
        "rate_asked": outcome.rate_asked,
        "rate_achieved": outcome.rate_achieved(),
        "elapsed_seconds": outcome.elapsed.as_secs_f64(),
        "slices": outcome.slices,
        "answers": tally.answers(),
        "errors": tally.errors(),
        "latency_ms": latency,
        "latency_mean_ms": tally.latency.mean() / 1e6,
        "statuses": statuses,
        "failures": failures,
        "headers": headers,
        "bytes_sent": tally.bytes_sent,
        "bytes_received": tally.bytes_received,
        "reconnects": tally.reconnects,
        "queued": tally.queued,
        "generator_lag_p99_ms": tally.generator_lag.value_at_quantile(0.99) as f64 / 1e6,
        "warnings": warnings(outcome),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    fn outcome(lag_ms: u64, answers: u32) -> Outcome {
        let mut tally = Tally::new(1);
        for index in 0..answers {
            tally.sent(Duration::from_millis(lag_ms), false);
            tally.answered(200, Duration::from_millis(u64::from(index % 100) + 1));
            tally.header(0, b"v1");
        }
        Outcome { tally, elapsed: Duration::from_secs(10), rate_asked: Some(100.0), slices: 1 }
    }

    #[test]
    fn a_run_that_kept_up_has_no_warning() {
        assert_eq!(warnings(&outcome(0, 1_000)), Vec::<String>::new());
    }

    #[test]
    fn a_late_generator_says_so() {
        let warnings = warnings(&outcome(5, 1_000));
        assert!(warnings.len() == 1 && warnings[0].contains("generator itself fell behind"), "{warnings:?}");
    }

    #[test]
    fn a_missed_rate_is_named() {
        let warnings = warnings(&outcome(0, 900));
        assert_eq!(warnings, ["asked for 100.0 requests/s, answered 90.0"]);
    }

    #[test]
    fn both_reports_show_the_same_numbers() {
        let outcome = outcome(0, 1_000);
        let watched = ["x-clary-artifact".to_owned()];
        let json = to_json(&outcome, &watched);
        assert_eq!(json["rate_achieved"], 100.0);
        assert_eq!(json["headers"]["x-clary-artifact"]["v1"], 1_000);
        assert!((json["latency_ms"]["p99"].as_f64().unwrap() - 99.0).abs() < 0.1);
        let table = Table { outcome: &outcome, watched: &watched }.to_string();
        for line in
            ["asked 100.0/s, achieved 100.0/s", "status 200  1000", "x-clary-artifact: v1  1000", "p99.9"]
        {
            assert!(table.contains(line), "{line} is not in\n{table}");
        }
    }
}
