//! Repeated k-fold training (`_kfold`, `_num_cv_round`) over the rows of `train` and `validation` together: k models for each
//! repetition, each watched on the rows that it did not see, and what they answered for those rows as `predictions.csv`.

use std::sync::Arc;

use estimator::{Hyperparameters, Job, TrainError};

use crate::booster::{Metric, Watched};
use crate::ffi::Library;
use crate::rounds::metric_line;
use crate::training::Training;

/// The most models of one training. Reason: all are members of one artifact, and answer together.
const MODELS_MAX: usize = 1000;

/// What k-fold training gives.
#[derive(Debug)]
pub(crate) struct Folded {
    /// A file for each model, in order.
    pub(crate) files: Vec<Vec<u8>>,
    /// The means over all models.
    pub(crate) metrics: Vec<Metric>,
    /// A line for each row: its label, the mean of the answers, and for classes the most frequent one.
    pub(crate) predictions: String,
}

/// Trains on all folds of `all`.
///
/// # Errors
/// When there are too few rows or too many models, or a training fails.
pub(crate) fn train(
    job: &Job,
    values: &Hyperparameters,
    library: &Arc<Library>,
    all: &Watched,
) -> Result<Folded, TrainError> {
    let folds = values.whole("_kfold").expect("the caller asked for it");
    let repetitions = values.count("_num_cv_round");
    check(folds, repetitions, all.labels().len())?;
    let objective = values.word("objective");
    let are_classes = objective.starts_with("binary:") || objective.starts_with("multi:");
    let seed = values.integer("seed").unwrap_or(0) as u64;
    let (mut files, mut sums) = (Vec::new(), Vec::<Metric>::new());
    let mut ballots: Vec<Vec<Answer>> = vec![Vec::new(); all.labels().len()];
    for repetition in 0..repetitions {
        let fold_of = assign(all.labels(), folds, are_classes, seed.wrapping_add(repetition as u64));
        for fold in 0..folds {
            let part = |is_held: bool| -> Vec<i32> {
                let rows = fold_of.iter().enumerate().filter(|(_, of)| (**of == fold) == is_held);
                rows.map(|(row, _)| row as i32).collect()
            };
            let held = part(true);
            let watched = [all.slice(c"train", &part(false))?, all.slice(c"validation", &held)?];
            let mut training = Training::new(job, values, library, &watched, None)?;
            training.run(&Default::default())?;
            add(&mut sums, training.metrics());
            let (file, answers) = training.finish(Some(&watched[1]))?;
            let width = answers.len() / held.len();
            for (row, answer) in held.iter().zip(answers.chunks_exact(width)) {
                ballots[*row as usize].push(Answer::of(objective, answer));
            }
            files.push(file);
        }
    }
    let count = files.len() as f64;
    sums.iter_mut().for_each(|metric| metric.value /= count);
    job.log.line(&metric_line(values.integer("num_round").unwrap_or(0) as u32, &sums));
    Ok(Folded { files, metrics: sums, predictions: predictions(all.labels(), &ballots, are_classes) })
}

fn check(folds: usize, repetitions: usize, rows: usize) -> Result<(), TrainError> {
    if folds > rows {
        return Err(TrainError::client(format!(
            "hyperparameter _kfold: expected at most as many folds as rows, {rows}, found {folds}"
        )));
    }
    match folds.checked_mul(repetitions) {
        Some(models) if models <= MODELS_MAX => Ok(()),
        _ => Err(TrainError::client(format!(
            "hyperparameters _kfold and _num_cv_round: expected at most {MODELS_MAX} models, found {folds} × {repetitions}"
        ))),
    }
}

/// The fold of each row: dealt round by round in shuffled order, class by class where labels are classes, so that each fold
/// has its share of each.
fn assign(labels: &[f32], folds: usize, are_classes: bool, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut order);
    if are_classes {
        order.sort_by(|left, right| labels[*left].total_cmp(&labels[*right]));
    }
    let mut fold_of = vec![0; labels.len()];
    for (place, row) in order.into_iter().enumerate() {
        fold_of[row] = place % folds;
    }
    fold_of
}

/// What a model answered for one row: a number, or a class and how probable it is.
#[derive(Debug, Clone, Copy)]
struct Answer {
    value: f32,
    class: f32,
}

impl Answer {
    fn of(objective: &str, answer: &[f32]) -> Self {
        if let [value] = *answer {
            let class = match objective {
                "binary:logistic" => f32::from(value > 0.5),
                "binary:logitraw" => f32::from(value > 0.0),
                // Classes themselves, or numbers, whose class nobody asks for.
                _ => value,
            };
            return Self { value, class };
        }
        let greatest =
            (0..answer.len()).fold(0, |best, class| if answer[class] > answer[best] { class } else { best });
        Self { value: answer[greatest], class: greatest as f32 }
    }
}

/// A line for each row.
fn predictions(labels: &[f32], ballots: &[Vec<Answer>], are_classes: bool) -> String {
    let mut lines = String::new();
    for (label, answers) in labels.iter().zip(ballots) {
        let mean = answers.iter().map(|answer| f64::from(answer.value)).sum::<f64>() / answers.len() as f64;
        lines.push_str(&format!("{label},{mean}"));
        if are_classes {
            lines.push_str(&format!(",{}", vote(answers)));
        }
        lines.push('\n');
    }
    lines
}

/// The most frequent class, the smallest of equals.
fn vote(answers: &[Answer]) -> f32 {
    let mut classes: Vec<f32> = answers.iter().map(|answer| answer.class).collect();
    classes.sort_by(f32::total_cmp);
    let runs = classes.chunk_by(|left, right| left == right);
    let longest = runs.fold(&[][..], |best: &[f32], run| if run.len() > best.len() { run } else { best });
    longest[0]
}

/// Adds metric by metric.
fn add(sums: &mut Vec<Metric>, metrics: &[Metric]) {
    if sums.is_empty() {
        sums.extend_from_slice(metrics);
        return;
    }
    sums.iter_mut().zip(metrics).for_each(|(sum, metric)| sum.value += metric.value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_equal_in_size_and_in_classes() {
        let labels: Vec<f32> = (0..100).map(|row| f32::from(u8::from(row % 4 == 0))).collect();
        let fold_of = assign(&labels, 5, true, 1);
        for fold in 0..5 {
            let rows: Vec<usize> = (0..100).filter(|row| fold_of[*row] == fold).collect();
            assert_eq!(rows.len(), 20);
            assert_eq!(rows.iter().filter(|row| labels[**row] == 1.0).count(), 5);
        }
        assert_ne!(fold_of, assign(&labels, 5, true, 2), "another seed deals otherwise");
    }

    #[test]
    fn a_vote_is_the_most_frequent_class() {
        let answers = |classes: &[f32]| -> Vec<Answer> {
            classes.iter().map(|class| Answer { value: 0.5, class: *class }).collect()
        };
        assert_eq!(vote(&answers(&[2.0, 1.0, 2.0])), 2.0);
        assert_eq!(vote(&answers(&[2.0, 1.0])), 1.0);
        assert_eq!(predictions(&[1.0], &[answers(&[1.0, 0.0, 1.0])], true), "1,0.5,1\n");
        assert_eq!(predictions(&[1.5], &[answers(&[1.0])], false), "1.5,0.5\n");
    }

    #[test]
    fn too_many_folds_are_refused() {
        assert!(check(5, 1, 4).expect_err("4 rows").to_string().contains("as rows, 4, found 5"));
        assert!(check(10, 101, 5000).expect_err("1010").to_string().contains("10 × 101"));
        check(10, 100, 5000).expect("1000 models");
    }
}
