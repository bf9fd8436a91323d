//! What the model makes of the channel `test`: a row is an anomaly when its score is above mean + 3·deviation of all scores, and
//! that is held against the labels (1 is an anomaly).

use dmatrix::{DMatrix, Predictions};
use estimator::{Channel, Gather, Job, MetricKind, Order, RowRules, TrainError};
use models::randomcutforest::RandomCutForest;
use models::{Input, Model};
use rayon::prelude::*;

use crate::table::Settings;

/// Standard deviations above the mean.
const SIGMAS: f64 = 3.0;
/// Rows that a thread scores at once.
const TASK_ROWS: usize = 64;

/// Scores every row of `channel`; the metrics by name.
pub(crate) fn score(
    job: &Job,
    settings: &Settings,
    channel: &Channel,
    model: &RandomCutForest,
) -> Result<Vec<(String, f64)>, TrainError> {
    let mut rows = channel.open(&RowRules::finite(Some(settings.columns)), settings.batch_rows, job)?;
    let mut pass = rows.pass(Order::AsRead)?;
    let (mut batch, mut scores, mut labels) = (DMatrix::new(), Vec::new(), Vec::new());
    while pass.next(&mut batch)? && !job.stop.is_asked_for() {
        scores.extend(scores_of(&batch, model)?);
        if let Some(row) = batch.labels().iter().position(|label| *label != 0.0 && *label != 1.0) {
            return Err(TrainError::client(format!(
                "channel {}, row {}: expected the label 0 (normal) or 1 (anomaly), found {}",
                channel.name,
                labels.len() + row + 1,
                batch.labels()[row]
            )));
        }
        labels.extend(batch.labels().iter().map(|label| *label == 1.0));
    }
    let all = measure(&scores, &labels);
    let is_asked = |name: &str| {
        let group = if name == "accuracy" { "accuracy" } else { "precision_recall_fscore" };
        settings.values.word("eval_metrics").split(',').any(|asked| asked == group)
    };
    let metrics = all.into_iter().filter(|(name, _)| is_asked(name)).map(|(name, value)| {
        job.log.quality(channel.name, name, MetricKind::Score, value);
        (format!("{}:{name}", channel.name), value)
    });
    Ok(metrics.collect())
}

fn scores_of(batch: &DMatrix, model: &RandomCutForest) -> Result<Vec<f32>, TrainError> {
    let tasks = (0..batch.rows().div_ceil(TASK_ROWS)).into_par_iter().map(|task| {
        let rows = task * TASK_ROWS..((task + 1) * TASK_ROWS).min(batch.rows());
        let (mut part, mut predictions) = (Gather::default(), Predictions::new());
        part.push_range(batch, rows);
        let scored = model.predict(Input::Rows(&part.finish()), &mut predictions);
        scored.map_err(|error| TrainError::client(format!("channel test: {error}")))?;
        Ok(predictions.fields()[0].values.clone())
    });
    Ok(tasks.collect::<Result<Vec<_>, TrainError>>()?.concat())
}

/// Accuracy, precision, recall, F1. What would be divided by nothing is 0.
fn measure(scores: &[f32], labels: &[bool]) -> [(&'static str, f64); 4] {
    let count = scores.len().max(1) as f64;
    let mean = scores.iter().map(|score| f64::from(*score)).sum::<f64>() / count;
    let variance = scores.iter().map(|score| (f64::from(*score) - mean).powi(2)).sum::<f64>() / count;
    let cutoff = mean + SIGMAS * variance.sqrt();
    let (mut hits, mut found, mut there, mut right) = (0.0, 0.0, 0.0, 0.0);
    for (score, label) in scores.iter().zip(labels) {
        let is_found = f64::from(*score) > cutoff;
        hits += f64::from(u8::from(is_found && *label));
        found += f64::from(u8::from(is_found));
        there += f64::from(u8::from(*label));
        right += f64::from(u8::from(is_found == *label));
    }
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let (precision, recall) = (share(hits, found), share(hits, there));
    [
        ("accuracy", right / count),
        ("precision", precision),
        ("recall", recall),
        ("f1", share(2.0 * precision * recall, precision + recall)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_sigmas_part_the_anomalies() {
        let mut scores = vec![1.0; 98];
        scores.extend([9.0, 9.0]);
        let mut labels = vec![false; 97];
        labels.extend([true, true, false]);
        let found = measure(&scores, &labels);
        assert_eq!(found, [("accuracy", 0.98), ("precision", 0.5), ("recall", 0.5), ("f1", 0.5)]);
        let none = measure(&[1.0, 1.0], &[false, true]);
        assert_eq!(none, [("accuracy", 0.5), ("precision", 0.0), ("recall", 0.0), ("f1", 0.0)]);
    }
}
