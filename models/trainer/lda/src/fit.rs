//! `fit`: two moments, their decomposition, topics; then the likelihood of the test documents.

use dmatrix::{DMatrix, Predictions};
use estimator::{Channel, Fitted, Job, MetricKind, Order, RowRules, Rows, TrainError, created_by, now_s};
use models::lda::Lda;
use models::{Algorithm, Input, Manifest, Model};
use serde_json::{Map, json};

use crate::decomposition::decompose;
use crate::sweep::batch_documents;
use crate::table::Settings;
use crate::third::third_moment;
use crate::topics::Topics;
use crate::whitening::Whitening;

/// The channels that are scored at the end: `validation` is what a hold-out makes.
const SCORED: [&str; 2] = ["validation", "test"];

/// Trains as `job` asks.
///
/// # Errors
/// When a hyperparameter, a channel or a count is not what it should be, the documents do not tell the topics apart, or a stop
/// comes before the moments are known.
pub(crate) fn fit(job: &Job) -> Result<Fitted, TrainError> {
    let settings = Settings::of(job)?;
    job.log.configuration(&settings.values);
    if job.model.is_some() {
        return Err(TrainError::client("channel model: lda does not go on from an earlier model"));
    }
    let started_s = now_s();
    let rules = RowRules::finite(Some(settings.words));
    let mut rows = job.train()?.open(&rules, batch_documents(settings.words), job)?;
    let (topics, found) = learn(job, &mut rows, &settings)?;
    let numbers = [("Total Records Seen", found.documents as f64), ("residual", found.residual)];
    job.log.metrics(Algorithm::Lda.name(), "training", started_s, &numbers);
    job.log.throughput(found.documents, now_s() - started_s);
    let mut manifest = Manifest {
        feature_dim: Some(settings.words),
        hyperparameters: settings
            .values
            .all_given()
            .map(|(name, value)| (name.into(), json!(value)))
            .collect(),
        created_by: created_by(),
        warm_up: found.first.clone(),
        details: details(&settings, &found),
        ..Manifest::new(Algorithm::Lda)
    };
    let model = Lda::new(&manifest, topics.alpha.clone(), &topics.beta)
        .map_err(|error| TrainError::Algorithm(error.to_string()))?;
    for name in SCORED {
        match job.channel(name).map(|channel| score(job, &settings, channel, &model)) {
            // The model is there; a stop ends the scoring alone.
            Some(Err(TrainError::Stopped)) => job.log.warning(&format!("{name} is not scored: stopping")),
            Some(scored) => scored?,
            None => {}
        }
    }
    let measured = job.log.recorded().into_iter().filter(|(_, value)| value.is_finite());
    manifest.metrics = measured.map(|(name, value)| (name, json!(value))).collect();
    Ok(Fitted { members: Lda::to_members(&topics.alpha, &topics.beta), manifest, outputs: Vec::new() })
}

/// What learning found beside the topics.
struct Found {
    first: Vec<Vec<Option<f32>>>,
    documents: u64,
    residual: f64,
    restarts: usize,
}

fn learn(job: &Job, rows: &mut Rows, settings: &Settings) -> Result<(Topics, Found), TrainError> {
    let whitening = Whitening::of(job, rows, settings)?;
    let (seen, kept) = (whitening.seen.clone(), whitening.values.len());
    job.log.info(&format!(
        "train: {} documents of {} words, {} of them of fewer than 3 and left out",
        seen.documents, settings.words, seen.dropped
    ));
    if seen.documents != settings.documents as u64 {
        job.log.warning(&format!(
            "hyperparameter mini_batch_size: expected the number of documents, {}, found {}: all of them are used",
            seen.documents, settings.documents
        ));
    }
    let candidates = settings.candidates();
    job.log.info(&format!("{kept} of {candidates} directions are above the noise"));
    job.log.completed(50.0);
    let tensor = third_moment(job, rows, &whitening, settings.alpha0)?;
    let found = decompose(&tensor, settings, &job.stop);
    let (residual, restarts) = (found.residual, found.restarts);
    job.log.info(&format!("the best of {restarts} decompositions leaves {residual:.6} of the tensor"));
    job.log.completed(100.0);
    let topics = Topics::of(&tensor, &found, &whitening, settings)?;
    Ok((topics, Found { first: seen.first, documents: seen.documents, residual, restarts }))
}

/// What the manifest says of the training.
fn details(settings: &Settings, found: &Found) -> Map<String, serde_json::Value> {
    let values = [
        ("alpha0", json!(settings.alpha0)),
        ("residual", json!(found.residual)),
        ("restarts", json!(found.restarts)),
    ];
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Logs the log likelihood of a word, each document under the mixture that is inferred from it.
fn score(job: &Job, settings: &Settings, channel: &Channel, model: &Lda) -> Result<(), TrainError> {
    let mut rows =
        channel.open(&RowRules::finite(Some(settings.words)), batch_documents(settings.words), job)?;
    let mut pass = rows.pass(Order::AsRead)?;
    let (mut batch, mut predictions) = (DMatrix::new(), Predictions::new());
    let (mut likelihood, mut words) = (0.0, 0.0);
    while pass.next(&mut batch)? {
        model
            .predict(Input::Rows(&batch), &mut predictions)
            .map_err(|error| TrainError::client(format!("channel {}: {error}", channel.name)))?;
        for row in 0..batch.rows() {
            let (sum, count) = model.log_likelihood(batch.row(row), predictions.fields()[0].row(row));
            likelihood += sum;
            words += count;
        }
    }
    if words == 0.0 {
        let name = channel.name;
        return Err(TrainError::client(format!("channel {name}: expected documents with words, found none")));
    }
    job.log.quality(channel.name, "pwll", MetricKind::Score, likelihood / words);
    Ok(())
}

#[cfg(test)]
mod tests;
