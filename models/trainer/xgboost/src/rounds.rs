//! What the rounds so far measured: the metric line of each, the best one, and when to stop early.

use crate::booster::Metric;
use crate::metric;

/// Follows one metric on one channel and says when it stopped getting better.
#[derive(Debug, Clone)]
pub(crate) struct EarlyStopping {
    /// The metric, or the last one of the line when none was asked for.
    metric: Option<String>,
    /// Rounds without a better value that end training.
    patience: u32,
    best: Option<Best>,
}

/// The best round so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Best {
    /// From 0.
    pub(crate) round: u32,
    /// Its value.
    pub(crate) value: f64,
}

impl EarlyStopping {
    /// Follows `metric` on the validation channel.
    pub(crate) fn new(metric: Option<&str>, patience: u32) -> Self {
        Self { metric: metric.map(str::to_string), patience, best: None }
    }

    /// Goes on where it was.
    pub(crate) fn resume(&mut self, best: Option<Best>) {
        self.best = best;
    }

    /// Takes the metrics of `round`. The first of equal values is the best.
    pub(crate) fn observe(&mut self, round: u32, metrics: &[Metric]) {
        let is_followed = |found: &&Metric| {
            let asked = self.metric.as_deref();
            found.channel == "validation" && asked.is_none_or(|asked| metric::is_same(&found.name, asked))
        };
        let Some(followed) = metrics.iter().rfind(is_followed) else { return };
        let is_better = |best: &Best| match metric::is_maximised(&followed.name) {
            true => followed.value > best.value,
            false => followed.value < best.value,
        };
        if self.best.as_ref().is_none_or(is_better) {
            self.best = Some(Best { round, value: followed.value });
        }
    }

    /// Whether training should end after `round`.
    pub(crate) fn has_ended(&self, round: u32) -> bool {
        self.best.as_ref().is_some_and(|best| round.saturating_sub(best.round) >= self.patience)
    }

    /// The best round so far.
    pub(crate) fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }
}

/// The line that SageMaker's metric definitions match: `[0]<TAB>train-rmse:0.50000<TAB>validation-rmse:0.60000`.
pub(crate) fn metric_line(round: u32, metrics: &[Metric]) -> String {
    let mut line = format!("[{round}]");
    for Metric { channel, name, value } in metrics {
        line.push_str(&format!("\t{channel}-{name}:{value:.5}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(channel: &str, name: &str, value: f64) -> Metric {
        Metric { channel: channel.into(), name: name.into(), value }
    }

    /// The round that ends training, and the best one.
    fn run(name: &str, asked: Option<&str>, patience: u32, values: &[f64]) -> (Option<u32>, u32) {
        let mut stopping = EarlyStopping::new(asked, patience);
        let ends = |(round, value): (usize, &f64)| {
            let line = [metric("train", name, 0.0), metric("validation", name, *value)];
            stopping.observe(round as u32, &line);
            stopping.has_ended(round as u32).then_some(round as u32)
        };
        let end = values.iter().enumerate().find_map(ends);
        (end, stopping.best().expect("at least one round").round)
    }

    #[test]
    fn training_ends_when_nothing_got_better() {
        let check = |found, expected| assert_eq!(found, expected);
        check(run("rmse", None, 2, &[3.0, 2.0, 2.5, 2.0, 1.0]), (Some(3), 1));
        check(run("auc", Some("auc"), 1, &[0.5, 0.7, 0.6]), (Some(2), 1));
        check(run("rmse", None, 5, &[3.0, 2.0, 1.0]), (None, 2));
        check(run("tweedie-nloglik@1.5", Some("tweedie-nloglik"), 1, &[1.0, 2.0]), (Some(1), 0));
    }

    #[test]
    fn the_line_is_sagemakers() {
        let line =
            metric_line(98, &[metric("train", "merror", 0.00893), metric("validation", "merror", 0.056_299)]);
        assert_eq!(line, "[98]\ttrain-merror:0.00893\tvalidation-merror:0.05630");
    }
}
