//! What the model makes of the channel `test`: how much of the rows' variance about the model's mean its projections keep.

use dmatrix::{DMatrix, Predictions, Row};
use estimator::{Channel, Job, MetricKind, Order, RowRules, TrainError};
use models::pca::Pca;
use models::{Input, Model};

use crate::pass::block_rows;
use crate::table::Settings;

/// Scores every row of `channel`; the metrics by name.
pub(crate) fn score(
    job: &Job,
    settings: &Settings,
    channel: &Channel,
    model: &Pca,
) -> Result<Vec<(String, f64)>, TrainError> {
    let rules = RowRules::finite(Some(settings.columns));
    let mut rows = channel.open(&rules, block_rows(settings.columns), job)?;
    let mut pass = rows.pass(Order::AsRead)?;
    let (mut batch, mut predictions) = (DMatrix::new(), Predictions::new());
    let (mut records, mut total, mut kept) = (0.0, 0.0, 0.0);
    while pass.next(&mut batch)? {
        let scored = model.predict(Input::Rows(&batch), &mut predictions);
        scored.map_err(|error| TrainError::client(format!("channel {}: {error}", channel.name)))?;
        kept += squares(&predictions.fields()[0].values);
        let distance = |row| squared_distance(batch.row(row), &model.components().mean);
        total += (0..batch.rows()).map(distance).sum::<f64>();
        records += batch.rows() as f64;
        if job.stop.is_asked_for() {
            break;
        }
    }
    let error = (total - kept).max(0.0) / (records * settings.columns as f64);
    let share = if total > 0.0 { (kept / total).min(1.0) } else { 1.0 };
    job.log.quality(channel.name, "reconstruction_mse", MetricKind::Loss, error);
    job.log.quality(channel.name, "explained_variance", MetricKind::Score, share);
    Ok(vec![
        (format!("{}:reconstruction_mse", channel.name), error),
        (format!("{}:explained_variance", channel.name), share),
    ])
}

fn squares(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum()
}

/// ‖row − mean‖².
fn squared_distance(row: Row<'_>, mean: &[f32]) -> f64 {
    let square = |value: f32, mean: f32| (f64::from(value) - f64::from(mean)).powi(2);
    match row {
        Row::Dense(values) => values.iter().zip(mean).map(|(value, mean)| square(*value, *mean)).sum(),
        Row::Sparse { indices, values } => {
            let present = indices.iter().zip(values).map(|(index, value)| {
                let mean = mean[*index as usize];
                square(*value, mean) - square(0.0, mean)
            });
            squares(mean) + present.sum::<f64>()
        }
    }
}
