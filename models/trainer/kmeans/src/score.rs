//! The mean squared distance of a channel's records to their nearest centers.

use dmatrix::DMatrix;
use estimator::{Channel, Job, MetricKind, Order, RowRules, TrainError};

use crate::assign::Nearest;
use crate::table::Settings;

/// Scores the channel and says what came of it: (`channel:metric`, value).
pub(crate) fn score(
    job: &Job,
    settings: &Settings,
    channel: &Channel,
    centers: &[f32],
) -> Result<Vec<(String, f64)>, TrainError> {
    let nearest = Nearest::new(centers, settings.columns);
    let rules = RowRules::finite(Some(settings.columns));
    let mut rows = channel.open(&rules, settings.batch_rows, job)?;
    let mut pass = rows.pass(Order::AsRead)?;
    let (mut batch, mut squared, mut records) = (DMatrix::new(), 0.0, 0.0);
    while pass.next(&mut batch)? {
        squared += nearest.of_matrix(&batch).iter().map(|nearby| nearby.squared).sum::<f64>();
        records += batch.rows() as f64;
    }
    let metrics = [("msd", squared / records), ("ssd", squared)];
    let shown = metrics.into_iter().filter(|(metric, _)| settings.evaluates(metric));
    Ok(shown
        .map(|(metric, value)| {
            job.log.quality(channel.name, metric, MetricKind::Loss, value);
            (format!("{}:{metric}", channel.name), value)
        })
        .collect())
}
