//! How good predictions are: the usual metrics of regression, of two classes, of several classes, and of clusters.
//!
//! Sources: the definitions of scikit-learn's `metrics`; the quantile loss is the pinball loss at the median.

/// The least probability that a logarithm is taken of. Reason: one row that a model is sure of, wrongly, shall not make the mean
/// infinite; scikit-learn clips as well.
const PROBABILITY_MIN: f64 = 1e-15;

/// Metrics by name, in the order in which they are shown.
pub(crate) type Metrics = Vec<(&'static str, f64)>;

/// Of numbers.
pub(crate) fn regression(labels: &[f32], scores: &[f32]) -> Metrics {
    let count = labels.len() as f64;
    let mean = labels.iter().map(|label| f64::from(*label)).sum::<f64>() / count;
    let (mut squares, mut absolutes, mut spread) = (0.0, 0.0, 0.0);
    for (label, score) in labels.iter().zip(scores) {
        let (label, error) = (f64::from(*label), f64::from(*label) - f64::from(*score));
        squares += error * error;
        absolutes += error.abs();
        spread += (label - mean) * (label - mean);
    }
    let mae = absolutes / count;
    vec![
        ("rmse", (squares / count).sqrt()),
        ("mae", mae),
        ("r2", 1.0 - squares / spread),
        ("quantile_loss_0.5", mae / 2.0),
    ]
}

/// Of two classes: `positive` says which rows are predicted to be of class 1; scores that are probabilities are measured as such.
pub(crate) fn binary(labels: &[f32], scores: &[f32], positive: &[bool]) -> Metrics {
    let is_one = |label: &f32| *label > 0.5;
    let count = |wanted: (bool, bool)| {
        labels.iter().zip(positive).filter(|(label, said)| (is_one(label), **said) == wanted).count() as f64
    };
    let (hits, misses, alarms, rest) =
        (count((true, true)), count((true, false)), count((false, true)), count((false, false)));
    let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let total = labels.len() as f64;
    let mut metrics = vec![
        ("accuracy", (hits + rest) / total),
        ("precision", ratio(hits, hits + alarms)),
        ("recall", ratio(hits, hits + misses)),
        ("f1", ratio(2.0 * hits, 2.0 * hits + alarms + misses)),
        ("auc", auc(labels, scores)),
    ];
    if scores.iter().all(|score| (0.0..=1.0).contains(score)) {
        let (mut loss, mut brier) = (0.0, 0.0);
        for (label, score) in labels.iter().zip(scores) {
            let score = f64::from(*score);
            let probability = if is_one(label) { score } else { 1.0 - score };
            loss -= probability.max(PROBABILITY_MIN).ln();
            brier += (1.0 - probability) * (1.0 - probability);
        }
        metrics.extend([("log_loss", loss / total), ("brier", brier / total)]);
    }
    metrics
}

/// Of several classes: `said` is the predicted class; `probabilities` has a value a class and row, if there are any.
pub(crate) fn multiclass(labels: &[f32], said: &[f32], probabilities: Option<(&[f32], usize)>) -> Metrics {
    let total = labels.len() as f64;
    let right = labels.iter().zip(said).filter(|(label, said)| label == said).count() as f64;
    let mut classes: Vec<f32> = labels.iter().chain(said).copied().collect();
    classes.sort_by(f32::total_cmp);
    classes.dedup();
    let f1 = |class: &f32| {
        let (mut hits, mut others) = (0.0, 0.0);
        for (label, said) in labels.iter().zip(said) {
            match (label == class, said == class) {
                (true, true) => hits += 1.0,
                (false, false) => {}
                _ => others += 1.0,
            }
        }
        2.0 * hits / (2.0 * hits + others)
    };
    let macro_f1 = classes.iter().map(f1).sum::<f64>() / classes.len() as f64;
    let mut metrics = vec![("accuracy", right / total), ("macro_f1", macro_f1)];
    if let Some((probabilities, width)) = probabilities {
        let rows = labels.iter().zip(probabilities.chunks_exact(width));
        let loss = rows.map(|(label, row)| {
            let probability = row.get(*label as usize).copied().unwrap_or(0.0);
            -f64::from(probability).max(PROBABILITY_MIN).ln()
        });
        metrics.push(("log_loss", loss.sum::<f64>() / total));
    }
    metrics
}

/// Of clusters, by every row's distance to the centre of its own.
pub(crate) fn clusters(distances: &[f32]) -> Metrics {
    let squares = distances.iter().map(|distance| f64::from(*distance) * f64::from(*distance)).sum::<f64>();
    vec![("msd", squares / distances.len() as f64)]
}

/// Whether more of the metric is better.
pub(crate) fn more_is_better(name: &str) -> bool {
    !matches!(name, "rmse" | "mae" | "quantile_loss_0.5" | "log_loss" | "brier" | "msd")
}

/// The area under the curve of [`roc`]; 0.5 when there is one class only.
fn auc(labels: &[f32], scores: &[f32]) -> f64 {
    let curve = roc(labels, scores);
    if curve.last().is_none_or(|end| end.0.is_nan() || end.1.is_nan()) {
        return 0.5;
    }
    curve.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[1].1 + pair[0].1) / 2.0).sum()
}

/// False alarms against hits, each as a share, from the strictest threshold to the mildest; equal scores are one step.
pub(crate) fn roc(labels: &[f32], scores: &[f32]) -> Vec<(f64, f64)> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let ones = labels.iter().filter(|label| **label > 0.5).count() as f64;
    let zeros = labels.len() as f64 - ones;
    let (mut hits, mut alarms, mut curve) = (0.0, 0.0, vec![(0.0, 0.0)]);
    for (place, row) in order.iter().enumerate() {
        if labels[*row] > 0.5 {
            hits += 1.0;
        } else {
            alarms += 1.0;
        }
        if order.get(place + 1).is_none_or(|next| scores[*next] != scores[*row]) {
            curve.push((alarms / zeros, hits / ones));
        }
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: &Metrics, expected: &[(&str, f64)]) {
        for (name, value) in expected {
            let (_, found) = found.iter().find(|(known, _)| known == name).expect("it is measured");
            assert!((found - value).abs() < 1e-6, "{name}: expected {value}, found {found}");
        }
    }

    // The expected values are scikit-learn's.
    #[test]
    fn numbers() {
        let found = regression(&[3.0, -0.5, 2.0, 7.0], &[2.5, 0.0, 2.0, 8.0]);
        check(
            &found,
            &[("rmse", 0.612_372_4), ("mae", 0.5), ("r2", 0.948_608_1), ("quantile_loss_0.5", 0.25)],
        );
    }

    #[test]
    fn two_classes() {
        let (labels, scores) = ([0.0, 0.0, 1.0, 1.0], [0.1, 0.4, 0.35, 0.8]);
        let found = binary(&labels, &scores, &scores.map(|score| score > 0.5));
        check(
            &found,
            &[("accuracy", 0.75), ("precision", 1.0), ("recall", 0.5), ("f1", 2.0 / 3.0), ("auc", 0.75)],
        );
        check(&found, &[("log_loss", 0.472_287_9), ("brier", 0.158_125)]);
        // Ties count half; margins have no probability metrics.
        let found = binary(&[0.0, 1.0], &[3.0, 3.0], &[true, true]);
        check(&found, &[("auc", 0.5), ("recall", 1.0)]);
        assert!(found.iter().all(|(name, _)| *name != "log_loss"));
        check(&binary(&[1.0, 1.0], &[0.2, 0.9], &[false, true]), &[("auc", 0.5)]);
    }

    #[test]
    fn several_classes() {
        let (labels, said) = ([0.0, 1.0, 2.0, 0.0, 1.0, 2.0], [0.0, 2.0, 1.0, 0.0, 0.0, 1.0]);
        check(&multiclass(&labels, &said, None), &[("accuracy", 1.0 / 3.0), ("macro_f1", 0.266_666_6)]);
        let probabilities = [0.9, 0.1, 0.2, 0.8];
        check(&multiclass(&[0.0, 1.0], &[0.0, 1.0], Some((&probabilities, 2))), &[("log_loss", 0.164_252)]);
    }

    #[test]
    fn distances() {
        check(&clusters(&[1.0, 2.0]), &[("msd", 2.5)]);
        assert!(more_is_better("auc") && !more_is_better("msd"));
    }
}
