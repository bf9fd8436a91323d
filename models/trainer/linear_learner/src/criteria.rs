//! The threshold of a binary classifier: the one that is best by a criterion on a sample of scores and labels.
//!
//! Candidates are the middles between neighbouring distinct scores, one threshold below all and one above all. A score is
//! positive when it is greater than the threshold, as at inference. Of equally good ones, the one nearest to the threshold
//! of a model that is not calibrated; so a higher target never raises a threshold that is best for a lower one.

/// By what models and thresholds are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Criterion {
    Accuracy,
    FBeta(f64),
    /// The best precision where recall is at least this.
    PrecisionAtRecall(f64),
    /// The best recall where precision is at least this.
    RecallAtPrecision(f64),
    /// The logistic loss, every row weighing as much.
    CrossEntropy,
    /// What is minimised.
    Loss,
}

impl Criterion {
    /// Its name in the lines of early stopping.
    pub(crate) fn name(self, objective: &'static str) -> &'static str {
        match self {
            Self::Accuracy => "sampled_accuracy",
            Self::FBeta(_) => "sampled_f_beta",
            Self::PrecisionAtRecall(_) => "sampled_precision_at_target_recall",
            Self::RecallAtPrecision(_) => "sampled_recall_at_target_precision",
            Self::CrossEntropy | Self::Loss => objective,
        }
    }

    /// Whether it is a loss: less is better, and no threshold is chosen.
    pub(crate) fn is_loss(self) -> bool {
        matches!(self, Self::CrossEntropy | Self::Loss)
    }

    /// Plus one where more is better, else minus one.
    pub(crate) fn sign(self) -> f64 {
        if self.is_loss() { -1.0 } else { 1.0 }
    }

    /// Whether one pair of value and loss is better than another: by the value, then by the loss.
    pub(crate) fn is_better(self, one: (f64, f64), other: (f64, f64)) -> bool {
        let gain = self.sign() * (one.0 - other.0);
        gain > 0.0 || (gain == 0.0 && one.1 < other.1)
    }

    /// How good `counts` are; `None` when the target is missed.
    fn value(self, counts: Counts) -> Option<f64> {
        let (precision, recall) = (counts.precision(), counts.recall());
        match self {
            Self::Accuracy => Some(counts.accuracy()),
            Self::FBeta(beta) => Some(f_beta(beta, precision, recall)),
            Self::PrecisionAtRecall(target) => (recall >= target).then_some(precision),
            Self::RecallAtPrecision(target) => (precision >= target).then_some(recall),
            Self::CrossEntropy | Self::Loss => None,
        }
    }
}

/// (1 + β²)PR / (β²P + R), 0 where both are 0.
pub(crate) fn f_beta(beta: f64, precision: f64, recall: f64) -> f64 {
    let square = beta * beta;
    let below = square * precision + recall;
    if below > 0.0 { (1.0 + square) * precision * recall / below } else { 0.0 }
}

/// How predictions met labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) true_positives: u64,
    pub(crate) false_positives: u64,
    pub(crate) positives: u64,
    pub(crate) rows: u64,
}

impl Counts {
    fn share(part: u64, whole: u64) -> f64 {
        if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
    }

    pub(crate) fn precision(self) -> f64 {
        Self::share(self.true_positives, self.true_positives + self.false_positives)
    }

    pub(crate) fn recall(self) -> f64 {
        Self::share(self.true_positives, self.positives)
    }

    /// The share of negatives that are predicted negative.
    pub(crate) fn specificity(self) -> f64 {
        let negatives = self.rows - self.positives;
        Self::share(negatives - self.false_positives, negatives)
    }

    pub(crate) fn accuracy(self) -> f64 {
        let true_negatives = self.rows - self.positives - self.false_positives;
        Self::share(self.true_positives + true_negatives, self.rows)
    }
}

/// A threshold and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calibration {
    pub(crate) threshold: f64,
    pub(crate) value: f64,
}

/// Scores with their labels, to be sorted: the score's bits in an order that is the numbers', then the label.
pub(crate) fn key(score: f32, is_positive: bool) -> u64 {
    // Minus zero and zero are one score.
    let bits = (score + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 1 | u64::from(is_positive)
}

/// The score of a key.
fn score(key: u64) -> f32 {
    let ordered = (key >> 1) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// The best threshold over `keys`, which are sorted here; `neutral` when the target cannot be met, or nothing is chosen.
pub(crate) fn calibrate(criterion: Criterion, keys: &mut [u64], neutral: f64) -> Calibration {
    let unmet = Calibration { threshold: neutral, value: 0.0 };
    if keys.is_empty() || criterion.is_loss() {
        return unmet;
    }
    keys.sort_unstable();
    let positives = keys.iter().filter(|key| *key & 1 == 1).count() as u64;
    let rows = keys.len() as u64;
    let mut counts = Counts { true_positives: positives, false_positives: rows - positives, positives, rows };
    let mut best: Option<Calibration> = None;
    let mut offer = |threshold: f64, counts: Counts| {
        let Some(value) = criterion.value(counts) else { return };
        let is_better = best.is_none_or(|best| {
            let (distance, least) = ((threshold - neutral).abs(), (best.threshold - neutral).abs());
            value > best.value || (value == best.value && distance < least)
        });
        if is_better {
            best = Some(Calibration { threshold, value });
        }
    };
    let (lowest, highest) = (f64::from(score(keys[0])), f64::from(score(keys[keys.len() - 1])));
    // Below all scores: half way to zero where that is lower, so that a probability's threshold stays one.
    offer(if lowest > 0.0 { lowest / 2.0 } else { lowest - 1.0 }, counts);
    for (index, key) in keys.iter().enumerate() {
        counts.true_positives -= key & 1;
        counts.false_positives -= 1 - (key & 1);
        match keys.get(index + 1) {
            Some(next) if next >> 1 == key >> 1 => {}
            Some(next) => offer(f64::midpoint(f64::from(score(*key)), f64::from(score(*next))), counts),
            None => offer(highest, counts),
        }
    }
    best.unwrap_or(unmet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(rows: &[(f32, bool)]) -> Vec<u64> {
        rows.iter().map(|(score, label)| key(*score, *label)).collect()
    }

    /// Counts the hard way.
    fn counts(rows: &[(f32, bool)], threshold: f64) -> Counts {
        let is_above = |score: f32| f64::from(score) > threshold;
        Counts {
            true_positives: rows.iter().filter(|(score, label)| is_above(*score) && *label).count() as u64,
            false_positives: rows.iter().filter(|(score, label)| is_above(*score) && !*label).count() as u64,
            positives: rows.iter().filter(|(_, label)| *label).count() as u64,
            rows: rows.len() as u64,
        }
    }

    /// Scores that tie often, and rather agree with their labels.
    fn random(seed: u64) -> Vec<(f32, bool)> {
        let mut random = fastrand::Rng::with_seed(seed);
        let row = |random: &mut fastrand::Rng| {
            let label = random.bool();
            let score = (random.u32(0..40) + if label { 10 } else { 0 }) as f32 / 50.0;
            (score, label)
        };
        (0..200).map(|_| row(&mut random)).collect()
    }

    #[test]
    fn keys_keep_scores_and_their_order() {
        let scores = [f32::MIN, -1.5, -0.0, 1e-30, 0.5, 1.0, f32::MAX];
        for pair in scores.windows(2) {
            assert!(key(pair[0], true) < key(pair[1], false));
            assert_eq!(score(key(pair[0], true)), pair[0]);
        }
        assert_eq!(key(-0.0, true), key(0.0, true));
    }

    #[test]
    fn the_threshold_is_the_best_of_all() {
        for seed in 0..20 {
            let rows = random(seed);
            for criterion in [
                Criterion::Accuracy,
                Criterion::FBeta(1.0),
                Criterion::FBeta(2.0),
                Criterion::PrecisionAtRecall(0.9),
                Criterion::RecallAtPrecision(0.7),
            ] {
                let found = calibrate(criterion, &mut keys(&rows), 0.5);
                let value = |threshold| criterion.value(counts(&rows, threshold));
                let all = (-1..=101).filter_map(|step| value(f64::from(step) / 100.0 + 0.001));
                let best = all.fold(f64::MIN, f64::max);
                assert_eq!(value(found.threshold), Some(found.value), "{criterion:?}");
                assert_eq!(found.value, best, "{criterion:?}");
            }
        }
    }

    #[test]
    fn a_target_is_met_and_thresholds_follow_it() {
        for seed in 0..20 {
            let rows = random(seed);
            let mut before = f64::INFINITY;
            for percent in 1..100 {
                let target = f64::from(percent) / 100.0;
                let found = calibrate(Criterion::PrecisionAtRecall(target), &mut keys(&rows), 0.5);
                assert!(counts(&rows, found.threshold).recall() >= target);
                assert!(found.threshold <= before, "the threshold rises with the target");
                before = found.threshold;
            }
        }
    }

    #[test]
    fn corners() {
        let check = |rows: &[(f32, bool)], criterion, expected: f64| {
            assert_eq!(calibrate(criterion, &mut keys(rows), 0.5).threshold, expected);
        };
        check(&[], Criterion::Accuracy, 0.5);
        check(&[(0.25, false), (0.75, true)], Criterion::Accuracy, 0.5);
        check(&[(0.25, false), (0.35, false)], Criterion::Accuracy, f64::from(0.35_f32));
        check(&[(0.75, true), (0.75, true)], Criterion::Accuracy, 0.375);
        check(&[(0.25, false), (0.35, false)], Criterion::PrecisionAtRecall(0.5), 0.5);
        check(&[(0.25, false), (0.75, true)], Criterion::Loss, 0.5);
    }
}
