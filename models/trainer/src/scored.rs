//! Rows scored by the artifact that was written, through the code that serves it: what is measured is what will be answered.

use std::path::Path;

use dmatrix::{DMatrix, Predictions};
use estimator::{Channel, Job, Order, RowRules, TrainError};
use models::{Algorithm, Artifact, Input, LoadOptions, Model};

use crate::measures::{self, Metrics};

/// Rows that are scored at once.
const BATCH_ROWS: usize = 4096;

/// A written artifact, loaded as a server loads it.
pub(crate) struct Scorer {
    artifact: Artifact,
    model: Box<dyn Model>,
}

/// Labels and answers of the rows of a channel. Memory: four bytes a label and an answered value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scored {
    pub(crate) labels: Vec<f32>,
    /// Name, values a row, values.
    pub(crate) fields: Vec<(String, usize, Vec<f32>)>,
}

/// What the model predicts, as far as it can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Regression,
    Binary,
    Multiclass,
    Clusters,
    /// There is nothing to hold the answers against.
    Nothing,
}

impl Scorer {
    /// Loads the artifact at `path`.
    pub(crate) fn open(path: &Path, scratch: &Path) -> Result<Self, TrainError> {
        let fault = |error: models::LoadError| {
            TrainError::Internal(format!("the model that was trained is not served: {error}"))
        };
        let artifact = Artifact::open(path, scratch).map_err(fault)?;
        let model = artifact.load(&LoadOptions::default()).map_err(fault)?;
        Ok(Self { artifact, model })
    }

    /// What the model predicts.
    pub(crate) fn task(&self) -> Task {
        let manifest = self.artifact.manifest();
        let word = |name: &str| manifest.hyperparameters.get(name).and_then(|value| value.as_str());
        match manifest.algorithm {
            Algorithm::Kmeans => Task::Clusters,
            Algorithm::Pca | Algorithm::RandomCutForest | Algorithm::Lda => Task::Nothing,
            Algorithm::Xgboost => match word("objective").unwrap_or("reg:squarederror") {
                objective if objective.starts_with("binary:") => Task::Binary,
                objective if objective.starts_with("multi:") => Task::Multiclass,
                objective if objective.starts_with("rank:") || objective.starts_with("survival:") => {
                    Task::Nothing
                }
                _ => Task::Regression,
            },
            _ => match manifest
                .predictor_type
                .map(models::manifest::PredictorType::name)
                .or(word("predictor_type"))
            {
                Some("binary_classifier") => Task::Binary,
                Some("multiclass_classifier" | "classifier") => Task::Multiclass,
                _ => Task::Regression,
            },
        }
    }

    /// Answers for all rows of `channel`.
    pub(crate) fn score(&self, channel: &Channel, job: &Job) -> Result<Scored, TrainError> {
        let schema = &self.model.signature().rows;
        let csv_weights = job.hyperparameters.get("csv_weights").is_some_and(|value| value == "1");
        let rules = RowRules { columns: schema.columns, missing: schema.missing, csv_weights };
        let mut rows = channel.open(&rules, BATCH_ROWS, job)?;
        let (mut scored, mut batch, mut answers) = (Scored::default(), DMatrix::new(), Predictions::new());
        let mut pass = rows.pass(Order::AsRead)?;
        while pass.next(&mut batch)? {
            if job.stop.is_asked_for() {
                return Err(TrainError::Stopped);
            }
            let name = channel.name;
            self.model
                .predict(Input::Rows(&batch), &mut answers)
                .map_err(|error| TrainError::Internal(format!("channel {name} is not scored: {error}")))?;
            scored.labels.extend_from_slice(batch.labels());
            if scored.fields.is_empty() {
                let empty =
                    |field: &dmatrix::Field| (field.name.to_string(), field.shape.width(), Vec::new());
                scored.fields = answers.fields().iter().map(empty).collect();
            }
            for (field, (_, _, values)) in answers.fields().iter().zip(&mut scored.fields) {
                values.extend_from_slice(&field.values);
            }
        }
        Ok(scored)
    }
}

impl Scored {
    /// A field's values, and how many a row has.
    pub(crate) fn field(&self, name: &str) -> Option<(&[f32], usize)> {
        let field = self.fields.iter().find(|(known, _, _)| known == name)?;
        Some((&field.2, field.1))
    }

    /// One number a row: the score, or the label where there is no other.
    pub(crate) fn scores(&self) -> Option<&[f32]> {
        let single = |name| self.field(name).filter(|(_, width)| *width == 1).map(|(values, _)| values);
        single("score").or_else(|| single("predicted_label"))
    }

    /// The predicted class of every row.
    pub(crate) fn classes(&self) -> Option<Vec<f32>> {
        if let Some((values, 1)) = self.field("predicted_label") {
            return Some(values.to_vec());
        }
        match self.field("score")? {
            (values, 1) => Some(values.to_vec()),
            (values, width) => {
                let largest = |row: &[f32]| {
                    let first = (0..width).rev().max_by(|a, b| row[*a].total_cmp(&row[*b]));
                    first.unwrap_or(0) as f32
                };
                Some(values.chunks_exact(width).map(largest).collect())
            }
        }
    }

    /// Which rows are predicted to be of class 1.
    fn positive(&self) -> Option<Vec<bool>> {
        if let Some((values, 1)) = self.field("predicted_label") {
            return Some(values.iter().map(|label| *label > 0.5).collect());
        }
        let scores = self.scores()?;
        // Margins have their border at 0, probabilities at a half.
        let is_margin = scores.iter().any(|score| !(0.0..=1.0).contains(score));
        let border = if is_margin { 0.0 } else { 0.5 };
        Some(scores.iter().map(|score| *score > border).collect())
    }

    /// What is measured of `task`; nothing where there are no labels.
    pub(crate) fn metrics(&self, task: Task) -> Metrics {
        if task == Task::Clusters {
            return self
                .field("distance_to_cluster")
                .map_or_else(Vec::new, |(values, _)| measures::clusters(values));
        }
        if self.labels.is_empty() {
            return Vec::new();
        }
        let metrics = match task {
            Task::Regression => self.scores().map(|scores| measures::regression(&self.labels, scores)),
            Task::Binary => self
                .scores()
                .zip(self.positive())
                .map(|(scores, positive)| measures::binary(&self.labels, scores, &positive)),
            Task::Multiclass => self.classes().map(|classes| {
                let probabilities = self.field("score").filter(|(_, width)| *width > 1);
                measures::multiclass(&self.labels, &classes, probabilities)
            }),
            Task::Clusters | Task::Nothing => None,
        };
        metrics.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(labels: &[f32], fields: &[(&str, usize, &[f32])]) -> Scored {
        let field =
            |(name, width, values): &(&str, usize, &[f32])| ((*name).to_owned(), *width, values.to_vec());
        Scored { labels: labels.to_vec(), fields: fields.iter().map(field).collect() }
    }

    #[test]
    fn classes_are_those_said_or_the_likeliest() {
        let of = |fields: &[(&str, usize, &[f32])]| scored(&[], fields).classes().expect("classes");
        assert_eq!(of(&[("score", 3, &[0.1, 0.6, 0.3, 0.4, 0.4, 0.2])]), [1.0, 0.0]);
        assert_eq!(of(&[("score", 2, &[0.1, 0.9]), ("predicted_label", 1, &[0.0])]), [0.0]);
    }

    #[test]
    fn what_is_measured_depends_on_the_task() {
        let names =
            |task, scored: &Scored| scored.metrics(task).iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let rows = scored(&[0.0, 1.0], &[("score", 1, &[0.2, 0.9])]);
        assert_eq!(names(Task::Regression, &rows), ["rmse", "mae", "r2", "quantile_loss_0.5"]);
        assert_eq!(names(Task::Binary, &rows)[..5], ["accuracy", "precision", "recall", "f1", "auc"]);
        assert_eq!(names(Task::Nothing, &rows), [""; 0]);
        assert_eq!(names(Task::Regression, &scored(&[], &[("score", 1, &[0.2])])), [""; 0]);
        assert_eq!(names(Task::Clusters, &scored(&[], &[("distance_to_cluster", 1, &[2.0])])), ["msd"]);
    }
}
