//! `fit`: passes over the channel `train`, components, the channel `test`, an artifact.

use dmatrix::DMatrix;
use estimator::{Fitted, Job, RowRules, TrainError, created_by, now_s, warm_up_rows};
use models::pca::{Components, Pca};
use models::{Algorithm, Manifest};
use serde_json::{Map, Value, json};

use crate::decompose::Found;
use crate::pass::{Sums, block_rows};
use crate::table::{Mode, Settings};
use crate::{randomized, regular, score};

/// What SageMaker's own container calls itself in its metrics.
const METRICS_NAME: &str = "PCA";

/// Trains as `job` asks.
///
/// # Errors
/// When a hyperparameter, a channel or a record is not what it should be, there are fewer records than components, or a
/// host is gone.
pub(crate) fn fit(job: &Job) -> Result<Fitted, TrainError> {
    let settings = Settings::of(job)?;
    job.log.configuration(&settings.values);
    let started_s = now_s();
    let rules = RowRules::finite(Some(settings.columns));
    let rows_at_once = match settings.mode {
        Mode::Regular => block_rows(settings.columns),
        Mode::Randomized { sketch_rows, .. } => block_rows(settings.columns.max(sketch_rows)),
    };
    let mut rows = job.train()?.open(&rules, rows_at_once, job)?;
    let mut warm_up = Vec::new();
    let look = |batch: &DMatrix| {
        if warm_up.is_empty() {
            warm_up = first_rows(batch);
        }
    };
    let (sums, found) = match settings.mode {
        Mode::Regular => regular::components(job, &settings, &mut rows, look)?,
        Mode::Randomized { sketch_rows, passes } => {
            randomized::components(job, &settings, (sketch_rows, passes), &mut rows, look)?
        }
    };
    check_count(job, &settings, &sums)?;
    say_end(job, &settings, &sums, started_s);
    let components = components(&settings, &sums, found.strongest(settings.k));
    finish(job, &settings, &sums, components, warm_up)
}

/// The first rows; an absent feature is 0, not missing.
fn first_rows(batch: &DMatrix) -> Vec<Vec<Option<f32>>> {
    let mut rows = warm_up_rows(batch);
    rows.iter_mut().flatten().for_each(|value| *value = value.or(Some(0.0)));
    rows
}

/// As many components as records at most.
fn check_count(job: &Job, settings: &Settings, sums: &Sums) -> Result<(), TrainError> {
    if settings.k as f64 <= sums.records {
        return Ok(());
    }
    if job.stop.is_asked_for() {
        return Err(TrainError::Stopped);
    }
    Err(TrainError::client(format!(
        "hyperparameter num_components: expected at most the number of records, {}, found {}",
        sums.records, settings.k
    )))
}

fn say_end(job: &Job, settings: &Settings, sums: &Sums, started_s: f64) {
    job.log.info(&format!(
        "{} records of {} features, algorithm_mode {}",
        sums.records,
        settings.columns,
        settings.values.word("algorithm_mode")
    ));
    job.log.completed(100.0);
    job.log.throughput(sums.records as u64, now_s() - started_s);
    let numbers = [("epochs", 1.0), ("Total Records Seen", sums.records)];
    job.log.metrics(METRICS_NAME, "training", started_s, &numbers);
}

/// In single precision, and in the order that was asked for.
fn components(settings: &Settings, sums: &Sums, mut found: Found) -> Components {
    if settings.is_ascending {
        found.singular_values.reverse();
        found.vectors.reverse();
    }
    let singles = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<f32>>();
    Components {
        mean: singles(&sums.mean(settings.subtracts_mean)),
        singular_values: singles(&found.singular_values),
        vectors: found.vectors.iter().flat_map(|vector| singles(vector)).collect(),
    }
}

fn finish(
    job: &Job,
    settings: &Settings,
    sums: &Sums,
    components: Components,
    warm_up: Vec<Vec<Option<f32>>>,
) -> Result<Fitted, TrainError> {
    let values = &settings.values;
    let details: [(&str, Value); 3] = [
        ("order", json!(values.word("component_order"))),
        ("algorithm_mode", json!(values.word("algorithm_mode"))),
        ("n", json!(sums.records as u64)),
    ];
    let mut manifest = Manifest {
        feature_dim: Some(settings.columns),
        hyperparameters: values.all_given().map(|(name, value)| (name.to_owned(), json!(value))).collect(),
        created_by: created_by(),
        warm_up,
        details: details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>(),
        ..Manifest::new(Algorithm::Pca)
    };
    let model = Pca::new(&manifest, components).map_err(|error| TrainError::Algorithm(error.to_string()))?;
    match job.channel("test") {
        Some(channel) => {
            let metrics = score::score(job, settings, channel, &model)?;
            manifest.metrics.extend(metrics.into_iter().map(|(name, value)| (name, json!(value))));
        }
        None => job.log.info("Test data is not provided."),
    }
    Ok(Fitted { members: model.to_members(), manifest, outputs: Vec::new() })
}

#[cfg(test)]
mod tests;
