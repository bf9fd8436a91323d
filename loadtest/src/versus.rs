//! A/B: two targets in short alternating slices (A B, B A, A B, …), so that a machine's slow minutes hit both alike.
//! Compared by the medians of the slices, whose ratio a single bad slice cannot move.

use serde_json::{Value, json};

use crate::engine::{Outcome, Plan, run};
use crate::progress::Progress;
use crate::report::{QUANTILES, Table, to_json};

/// The most slices a target. Reason: a median of more is no better, and a run has an end.
pub(crate) const SLICES_MAX: usize = 1_000;

/// What two targets gave.
pub(crate) struct Versus {
    a: Side,
    b: Side,
}

/// One target's slices.
struct Side {
    total: Outcome,
    /// Requests a second and latencies (ms) at [`QUANTILES`], slice by slice.
    slices: Vec<Vec<f64>>,
}

/// The first column of a slice, before the quantiles.
const RATE: &str = "requests/s";

impl Side {
    fn new(outcome: Outcome) -> Self {
        Self { slices: vec![measures(&outcome)], total: outcome }
    }

    fn add(&mut self, outcome: &Outcome) {
        self.slices.push(measures(outcome));
        self.total.merge(outcome);
    }

    fn column(&self, column: usize) -> Vec<f64> {
        self.slices.iter().map(|slice| slice[column]).collect()
    }
}

fn measures(outcome: &Outcome) -> Vec<f64> {
    let latencies =
        QUANTILES.iter().map(|(_, quantile)| outcome.tally.latency_at(*quantile).as_secs_f64() * 1e3);
    std::iter::once(outcome.rate_achieved()).chain(latencies).collect()
}

/// The middle value; 0 of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// Which of the two goes first in round `round`: alternating, so that going second is no advantage.
fn order(round: usize) -> [usize; 2] {
    if round.is_multiple_of(2) { [0, 1] } else { [1, 0] }
}

/// Runs `rounds` slices of each plan, each as long as its plan says.
///
/// # Errors
/// When a target cannot be reached.
pub(crate) fn compare(plans: [&Plan; 2], rounds: usize, progress: &mut Progress) -> anyhow::Result<Versus> {
    let mut sides: [Option<Side>; 2] = [None, None];
    for round in 0..rounds {
        for which in order(round) {
            progress.label(format!("{} {} of {rounds}", ["A", "B"][which], round + 1));
            let outcome = run(plans[which], progress)?;
            match &mut sides[which] {
                Some(side) => side.add(&outcome),
                empty => *empty = Some(Side::new(outcome)),
            }
        }
    }
    let [Some(a), Some(b)] = sides else { anyhow::bail!("expected at least one slice, found {rounds}") };
    Ok(Versus { a, b })
}

impl Versus {
    /// Name, median of A, median of B, ratio of the medians, for each measure.
    fn rows(&self) -> impl Iterator<Item = (&'static str, f64, f64, f64)> {
        let names = std::iter::once(RATE).chain(QUANTILES.iter().map(|(name, _)| *name));
        names.enumerate().map(|(column, name)| {
            let (a, b) = (median(self.a.column(column)), median(self.b.column(column)));
            (name, a, b, if a > 0.0 { b / a } else { 0.0 })
        })
    }

    /// The readable table.
    pub(crate) fn table(&self, watched: &[String]) -> String {
        let mut text = format!("{:<12}{:>14}{:>14}{:>10}\n", "median", "A", "B", "B/A");
        for (name, a, b, ratio) in self.rows() {
            let unit = if name == RATE { "" } else { " ms" };
            text += &format!(
                "{name:<12}{:>14}{:>14}{ratio:>10.3}\n",
                format!("{a:.3}{unit}"),
                format!("{b:.3}{unit}")
            );
        }
        for (name, side) in [("A", &self.a), ("B", &self.b)] {
            text += &format!(
                "{name}, all {} slices\n{}",
                side.slices.len(),
                Table { outcome: &side.total, watched }
            );
        }
        text
    }

    /// The same for a program.
    pub(crate) fn to_json(&self, watched: &[String]) -> Value {
        let medians = |pick: fn(&(&str, f64, f64, f64)) -> f64| -> serde_json::Map<String, Value> {
            self.rows().map(|row| (row.0.to_owned(), json!(pick(&row)))).collect()
        };
        json!({
            "a": to_json(&self.a.total, watched),
            "b": to_json(&self.b.total, watched),
            "medians": {"a": medians(|row| row.1), "b": medians(|row| row.2)},
            "ratios": medians(|row| row.3),
        })
    }

    /// Whether any request failed.
    pub(crate) fn has_errors(&self) -> bool {
        self.a.total.tally.errors() + self.b.total.tally.errors() > 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tally::Tally;

    fn slice(answers: u32, latency_ms: u64) -> Outcome {
        let mut tally = Tally::new(0);
        for _ in 0..answers {
            tally.answered(200, Duration::from_millis(latency_ms));
        }
        Outcome { tally, elapsed: Duration::from_secs(1), rate_asked: None, slices: 1 }
    }

    #[test]
    fn one_bad_slice_does_not_move_the_ratio() {
        let mut a = Side::new(slice(1_000, 1));
        let mut b = Side::new(slice(900, 2));
        for _ in 0..3 {
            a.add(&slice(1_000, 1));
            b.add(&slice(900, 2));
        }
        a.add(&slice(10, 500));
        let versus = Versus { a, b };
        let json = versus.to_json(&[]);
        assert!((json["ratios"]["requests/s"].as_f64().unwrap() - 0.9).abs() < 1e-9, "{json}");
        assert!((json["ratios"]["p99"].as_f64().unwrap() - 2.0).abs() < 0.01, "{json}");
        assert_eq!(json["a"]["answers"], 4_010);
        assert!(versus.table(&[]).contains("requests/s"));
    }

    #[test]
    fn both_go_first_equally_often() {
        assert_eq!((0..4).map(order).collect::<Vec<_>>(), [[0, 1], [1, 0], [0, 1], [1, 0]]);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![]), 0.0);
    }
}
