//! What a finished model is worth on a channel: scores and labels are added batch by batch, memory is eight bytes a row for
//! two classes and does not grow with rows otherwise.

use dmatrix::Predictions;
use estimator::MetricKind;

use crate::criteria::{Counts, f_beta, key};
use crate::loss::Loss;
use crate::settings::Settings;

/// Keeps logarithms of probabilities finite.
const PROBABILITY_MIN: f64 = 1e-15;

/// One metric: name, direction, value.
pub(crate) type Metric = (String, MetricKind, f64);

/// What has been added so far.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    settings: &'a Settings,
    /// Binary: the weight of positive rows.
    positive: f64,
    class_weights: &'a [f32],
    rows: u64,
    objective: f64,
    log_loss: f64,
    /// Binary: scores with labels.
    pub(crate) keys: Vec<u64>,
    classes: Vec<Class>,
    hits: u64,
    top_hits: u64,
    gain: f64,
    errors: Errors,
}

/// Rows of one class.
#[derive(Debug, Clone, Copy, Default)]
struct Class {
    actual: u64,
    predicted: u64,
    hit: u64,
}

/// Sums of a regressor.
#[derive(Debug, Clone, Copy, Default)]
struct Errors {
    square: f64,
    absolute: f64,
    label: f64,
    label_square: f64,
}

impl<'a> Tally<'a> {
    /// Nothing added, for a model whose positive rows and classes had these weights.
    pub(crate) fn new(settings: &'a Settings, positive: f64, class_weights: &'a [f32]) -> Self {
        let classes = if settings.outputs > 1 { settings.outputs } else { 0 };
        Self {
            settings,
            positive,
            class_weights,
            rows: 0,
            objective: 0.0,
            log_loss: 0.0,
            keys: Vec::new(),
            classes: vec![Class::default(); classes],
            hits: 0,
            top_hits: 0,
            gain: 0.0,
            errors: Errors::default(),
        }
    }

    /// Adds the first `count` rows.
    pub(crate) fn add(&mut self, labels: &[f32], predictions: &Predictions, count: usize) {
        let scores = &predictions.fields()[0];
        for (row, &label) in labels[..count].iter().enumerate() {
            let scores = scores.row(row);
            match self.settings.loss {
                Loss::Logistic | Loss::Hinge { .. } => self.add_binary(label, scores[0]),
                Loss::Softmax => self.add_class(label as usize, scores),
                loss => self.add_value(loss, f64::from(label), scores[0]),
            }
        }
        self.rows += count as u64;
    }

    fn add_binary(&mut self, label: f32, score: f32) {
        let is_positive = label > 0.5;
        let weight = if is_positive { self.positive } else { 1.0 };
        let value = f64::from(score);
        let loss = match self.settings.loss {
            Loss::Hinge { margin } if is_positive => (f64::from(margin) - value).max(0.0),
            Loss::Hinge { margin } => (f64::from(margin) + value).max(0.0),
            _ => -(if is_positive { value } else { 1.0 - value }).max(PROBABILITY_MIN).ln(),
        };
        self.objective += weight * loss;
        self.log_loss += loss;
        self.keys.push(key(score, is_positive));
    }

    fn add_class(&mut self, class: usize, scores: &[f32]) {
        let chosen = scores[class];
        let before = |(other, score): (usize, &f32)| *score > chosen || (*score == chosen && other < class);
        let rank = scores.iter().enumerate().filter(|pair| before(*pair)).count();
        let predicted =
            (0..scores.len()).fold(0, |best, next| if scores[next] > scores[best] { next } else { best });
        let loss = -f64::from(chosen).max(PROBABILITY_MIN).ln();
        self.objective += loss * self.class_weights.get(class).map_or(1.0, |weight| f64::from(*weight));
        self.log_loss += loss;
        self.gain += 1.0 / (rank as f64 + 2.0).log2();
        self.top_hits += u64::from(rank < self.settings.top_k);
        self.hits += u64::from(predicted == class);
        self.classes[class].actual += 1;
        self.classes[class].hit += u64::from(predicted == class);
        self.classes[predicted].predicted += 1;
    }

    fn add_value(&mut self, loss: Loss, label: f64, score: f32) {
        let error = f64::from(score) - label;
        self.objective += f64::from(loss.of_error(error as f32).0);
        self.errors.square += error * error;
        self.errors.absolute += error.abs();
        self.errors.label += label;
        self.errors.label_square += label * label;
    }

    /// The metrics, the objective first; `threshold` is the model's. What the rows do not define is left out.
    pub(crate) fn finish(mut self, threshold: f64) -> Vec<Metric> {
        if self.rows == 0 {
            return Vec::new();
        }
        let rows = self.rows as f64;
        let objective = (self.settings.loss.objective().to_owned(), MetricKind::Loss, self.objective / rows);
        let mut metrics = vec![objective];
        match self.settings.loss {
            Loss::Logistic | Loss::Hinge { .. } => self.binary(threshold, &mut metrics),
            Loss::Softmax => self.multiclass(&mut metrics),
            _ => self.regression(&mut metrics),
        }
        metrics.retain(|(_, _, value)| value.is_finite());
        metrics
    }

    fn binary(&mut self, threshold: f64, metrics: &mut Vec<Metric>) {
        self.keys.sort_unstable();
        // Scores above the threshold are those whose keys are above that of the threshold rounded down.
        let edge = key(floor(threshold), true);
        let counts = Counts {
            true_positives: self.keys.iter().filter(|key| **key > edge && **key & 1 == 1).count() as u64,
            false_positives: self.keys.iter().filter(|key| **key > edge && **key & 1 == 0).count() as u64,
            positives: self.keys.iter().filter(|key| **key & 1 == 1).count() as u64,
            rows: self.rows,
        };
        let (precision, recall) = (counts.precision(), counts.recall());
        let beta = self.settings.f_beta;
        let mut score = |name: &str, value| metrics.push((name.to_owned(), MetricKind::Score, value));
        score("binary_classification_accuracy", counts.accuracy());
        score("precision", precision);
        score("recall", recall);
        score(&format!("binary_f_{beta:.3}"), f_beta(beta, precision, recall));
        score("binary_balanced_accuracy", f64::midpoint(recall, counts.specificity()));
        score("roc_auc_score", area(&self.keys));
        if self.settings.loss == Loss::Logistic {
            score("binary_log_loss", self.log_loss / self.rows as f64);
        }
    }

    fn multiclass(&self, metrics: &mut Vec<Metric>) {
        let rows = self.rows as f64;
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let mean = |value: &dyn Fn(&Class) -> f64| {
            // A class that is neither there nor predicted has no say.
            let seen = || self.classes.iter().filter(|class| class.actual + class.predicted > 0);
            seen().map(value).sum::<f64>() / seen().count() as f64
        };
        let recall = |class: &Class| share(class.hit, class.actual);
        let precision = |class: &Class| share(class.hit, class.predicted);
        let beta = self.settings.f_beta;
        let there = || self.classes.iter().filter(|class| class.actual > 0);
        let balanced = there().map(recall).sum::<f64>() / there().count() as f64;
        let mut score = |name: &str, value| metrics.push((name.to_owned(), MetricKind::Score, value));
        score("multiclass_accuracy", self.hits as f64 / rows);
        score(&format!("multiclass_top_k_accuracy_{}", self.settings.top_k), self.top_hits as f64 / rows);
        score("dcg", self.gain / rows);
        score("macro_recall", mean(&recall));
        score("macro_precision", mean(&precision));
        score(&format!("macro_f_{beta:.3}"), mean(&|class| f_beta(beta, precision(class), recall(class))));
        score("multiclass_balanced_accuracy", balanced);
        score("multiclass_log_loss", self.log_loss / rows);
    }

    fn regression(&self, metrics: &mut Vec<Metric>) {
        let rows = self.rows as f64;
        let Errors { square, absolute, label, label_square } = self.errors;
        let total = label_square - label * label / rows;
        let mut loss = |name: &str, value| metrics.push((name.to_owned(), MetricKind::Loss, value));
        loss("mse", square / rows);
        loss("absolute_loss", absolute / rows);
        loss("rmse", (square / rows).sqrt());
        loss("mae", absolute / rows);
        loss("r2", 1.0 - square / total);
    }
}

/// The greatest f32 that is not above `value`.
fn floor(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) > value { near.next_down() } else { near }
}

/// The area under the receiver operating characteristic, from sorted keys; NaN without both classes.
fn area(keys: &[u64]) -> f64 {
    let positives = keys.iter().filter(|key| *key & 1 == 1).count() as f64;
    let negatives = keys.len() as f64 - positives;
    let (mut below, mut sum) = (0.0, 0.0);
    for tied in keys.chunk_by(|left, right| left >> 1 == right >> 1) {
        let tied_positives = tied.iter().filter(|key| *key & 1 == 1).count() as f64;
        let tied_negatives = tied.len() as f64 - tied_positives;
        sum += tied_positives * (below + tied_negatives / 2.0);
        below += tied_negatives;
    }
    sum / (positives * negatives)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_counts_pairs() {
        let rows = [(0.1, false), (0.4, true), (0.4, false), (0.35, false), (0.8, true)];
        let mut keys: Vec<u64> = rows.iter().map(|(score, label)| key(*score, *label)).collect();
        keys.sort_unstable();
        let mut wins = 0.0;
        for (positive, _) in rows.iter().filter(|row| row.1) {
            for (negative, _) in rows.iter().filter(|row| !row.1) {
                wins += if positive > negative {
                    1.0
                } else if positive == negative {
                    0.5
                } else {
                    0.0
                };
            }
        }
        assert_eq!(area(&keys), wins / 6.0);
        assert!(area(&[key(0.5, true)]).is_nan());
    }

    #[test]
    fn a_threshold_is_rounded_to_the_score_below() {
        for value in [0.1_f64, 0.5, -0.3, f64::from(0.1_f32)] {
            let floor = floor(value);
            assert!(f64::from(floor) <= value && f64::from(floor.next_up()) > value);
        }
    }
}
