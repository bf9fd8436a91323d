//! How well the trained model answers for a channel.

use dmatrix::{DMatrix, Predictions, Row};
use estimator::{Channel, Job, MetricKind, Order, RowRules, TrainError};
use models::knn::{Knn, Predictor};
use models::{Input, Model};
use rayon::prelude::*;

use crate::table::Settings;

/// Rows of a task. Reason: as many as the model looks for together, a few times.
const TASK_ROWS: usize = 64;

/// Scores the channel and says what came of it: (`channel:metric`, value).
pub(crate) fn score(
    job: &Job,
    settings: &Settings,
    channel: &Channel,
    model: &Knn,
) -> Result<(String, f64), TrainError> {
    let rules = RowRules::finite(Some(settings.columns));
    let mut rows = channel.open(&rules, settings.batch_rows, job)?;
    let mut pass = rows.pass(Order::AsRead)?;
    let (mut batch, mut total, mut records) = (DMatrix::new(), 0.0, 0.0);
    while pass.next(&mut batch)? {
        let found = predict(model, &batch)?;
        let pairs = found.iter().zip(batch.labels());
        total += match settings.model.predictor {
            Predictor::Classifier => pairs.filter(|(found, label)| found == label).count() as f64,
            Predictor::Regressor => {
                pairs.map(|(found, label)| (f64::from(*found) - f64::from(*label)).powi(2)).sum()
            }
        };
        records += batch.rows() as f64;
    }
    let (metric, kind) = match settings.model.predictor {
        Predictor::Classifier => ("accuracy", MetricKind::Score),
        Predictor::Regressor => ("mse", MetricKind::Loss),
    };
    let value = total / records;
    job.log.score(channel.name, metric, value);
    job.log.quality(channel.name, metric, kind, value);
    Ok((format!("{}:{metric}", channel.name), value))
}

/// The predicted label of each row.
fn predict(model: &Knn, rows: &DMatrix) -> Result<Vec<f32>, TrainError> {
    let columns = rows.columns();
    let task = |start: usize| {
        let mut values = Vec::with_capacity(TASK_ROWS * columns);
        for row in start..rows.rows().min(start + TASK_ROWS) {
            match rows.row(row) {
                Row::Dense(row) => values.extend_from_slice(row),
                Row::Sparse { indices, values: entries } => {
                    let begin = values.len();
                    values.resize(begin + columns, 0.0);
                    let entries = indices.iter().zip(entries);
                    entries.for_each(|(index, value)| values[begin + *index as usize] = *value);
                }
            }
        }
        let mut predictions = Predictions::new();
        model
            .predict(Input::Rows(&DMatrix::from_dense(values, columns)), &mut predictions)
            .map_err(|error| TrainError::Algorithm(error.to_string()))?;
        Ok(predictions.fields()[0].values.clone())
    };
    let tasks: Vec<Result<Vec<f32>, TrainError>> =
        (0..rows.rows().div_ceil(TASK_ROWS)).into_par_iter().map(|index| task(index * TASK_ROWS)).collect();
    Ok(tasks.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}
