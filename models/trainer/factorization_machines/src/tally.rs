//! The metrics of a predictor, as sums over rows that hosts can add.

use estimator::{Cluster, Log, MetricKind, TrainError};
use models::manifest::PredictorType;

/// A margin of at least this is class 1: its probability is at least a half.
const MARGIN: f64 = 0.0;

/// Sums over rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) rows: f64,
    squares: f64,
    absolutes: f64,
    entropy: f64,
    right: f64,
    true_positives: f64,
    /// Rows that are, or are taken to be, of class 1; those that are both count twice.
    positives: f64,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: MetricKind,
    pub(crate) value: f64,
}

impl Tally {
    /// Counts a row.
    pub(crate) fn add(&mut self, predictor: PredictorType, margin: f64, label: f64) {
        self.rows += 1.0;
        if predictor == PredictorType::Regressor {
            self.squares += (margin - label).powi(2);
            self.absolutes += (margin - label).abs();
            return;
        }
        // −log of the label's probability: log(1 + e^−m) for class 1, log(1 + e^m) for class 0, without overflow.
        let against = if label == 1.0 { -margin } else { margin };
        self.entropy += against.max(0.0) + (-against.abs()).exp().ln_1p();
        let (is_positive, is_taken) = (label == 1.0, margin >= MARGIN);
        self.right += f64::from(is_positive == is_taken);
        self.true_positives += f64::from(is_positive && is_taken);
        self.positives += f64::from(is_positive) + f64::from(is_taken);
    }

    /// Counts the rows of another.
    pub(crate) fn extend(&mut self, other: &Self) {
        let (mut sums, others) = (self.to_sums(), other.to_sums());
        sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        *self = Self::of_sums(sums);
    }

    /// The sums of all hosts.
    pub(crate) fn sum(&self, cluster: &Cluster) -> Result<Self, TrainError> {
        let mut sums = self.to_sums();
        cluster.sum(&mut sums)?;
        Ok(Self::of_sums(sums))
    }

    fn to_sums(self) -> [f64; 7] {
        let Self { rows, squares, absolutes, entropy, right, true_positives, positives } = self;
        [rows, squares, absolutes, entropy, right, true_positives, positives]
    }

    fn of_sums(sums: [f64; 7]) -> Self {
        let [rows, squares, absolutes, entropy, right, true_positives, positives] = sums;
        Self { rows, squares, absolutes, entropy, right, true_positives, positives }
    }

    /// What the predictor's rows come to.
    pub(crate) fn metrics(&self, predictor: PredictorType) -> Vec<Metric> {
        let rows = self.rows.max(1.0);
        let loss = |name, value| Metric { name, kind: MetricKind::Loss, value };
        let score = |name, value| Metric { name, kind: MetricKind::Score, value };
        if predictor == PredictorType::Regressor {
            let mse = self.squares / rows;
            return vec![
                loss("rmse", mse.sqrt()),
                loss("mse", mse),
                loss("absolute_loss", self.absolutes / rows),
            ];
        }
        // F1 is 0 where nothing is, or is taken to be, of class 1.
        let f_1 = 2.0 * self.true_positives / self.positives.max(1.0);
        vec![
            score("binary_classification_accuracy", self.right / rows),
            loss("binary_classification_cross_entropy", self.entropy / rows),
            score("binary_f_1.000", f_1),
        ]
    }

    /// Writes a channel's lines.
    pub(crate) fn log(&self, log: &Log, channel: &str, predictor: PredictorType) {
        for Metric { name, kind, value } in self.metrics(predictor) {
            log.quality(channel, name, kind, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(predictor: PredictorType, rows: &[(f64, f64)], expected: [f64; 3]) {
        let mut tally = Tally::default();
        rows.iter().for_each(|(margin, label)| tally.add(predictor, *margin, *label));
        for (metric, expected) in tally.metrics(predictor).iter().zip(expected) {
            assert!((metric.value - expected).abs() < 1e-12, "{metric:?} is not {expected}");
        }
    }

    #[test]
    fn metrics_are_their_definitions() {
        let (regressor, classifier) = (PredictorType::Regressor, PredictorType::BinaryClassifier);
        check(regressor, &[(1.0, 3.0), (2.0, 1.0)], [2.5f64.sqrt(), 2.5, 1.5]);
        let half = 2f64.ln();
        check(classifier, &[(0.0, 1.0), (0.0, 0.0)], [0.5, half, 2.0 / 3.0]);
        check(classifier, &[(-1e9, 0.0), (1e9, 1.0)], [1.0, 0.0, 1.0]);
        check(classifier, &[(-1e3, 1.0)], [0.0, 1e3, 0.0]);
        check(classifier, &[(-5.0, 0.0)], [1.0, (-5f64).exp().ln_1p(), 0.0]);
    }
}
