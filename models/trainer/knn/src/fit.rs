//! `fit`: one pass for the sample, then its index.

use estimator::{Fitted, Job, TrainError, created_by, now_s};
use models::knn::{Knn, Parts, Reduction, Store, default_nprobe};
use models::{Algorithm, Manifest};
use serde_json::json;

use crate::build::build;
use crate::reduce::reduction;
use crate::sample::sample;
use crate::score::score;
use crate::table::Settings;

/// What SageMaker's own container calls itself in its metrics.
const METRICS_NAME: &str = "AWS/KNN";

/// Trains as `job` asks.
///
/// # Errors
/// When a hyperparameter, a channel or a record is not what it should be, or a host is gone.
pub(crate) fn fit(job: &Job) -> Result<Fitted, TrainError> {
    let settings = Settings::of(job)?;
    job.log.configuration(&settings.values);
    let started_s = now_s();
    let reduction = reduction(&settings);
    let mut sample = sample(job, &settings, reduction.as_ref())?;
    let (seen, warm_up) = (sample.seen, std::mem::take(&mut sample.warm_up));
    job.log.info(&format!("sampled {} of the records, {seen} of which this host read", sample.labels.len()));
    let parts = build(&settings, sample, reduction);
    let mut manifest = manifest(&settings, &parts);
    manifest.warm_up = warm_up;
    job.log.completed(100.0);
    job.log.throughput(seen, now_s() - started_s);
    let numbers = [("epochs", 1.0), ("Total Records Seen", seen as f64)];
    job.log.metrics(METRICS_NAME, "training", started_s, &numbers);
    let members = parts.to_members();
    let model = Knn::new(&manifest, parts).map_err(|error| TrainError::Algorithm(error.to_string()))?;
    match job.channel("test").map(|channel| score(job, &settings, channel, &model)) {
        Some(Err(TrainError::Stopped)) => job.log.info("stopped: the test data is not scored"),
        Some(scored) => {
            let (name, value) = scored?;
            manifest.metrics.insert(name, json!(value));
        }
        None => job.log.info("Test data is not provided."),
    }
    Ok(Fitted { manifest, members, outputs: Vec::new() })
}

fn manifest(settings: &Settings, parts: &Parts) -> Manifest {
    let mut model = settings.model.clone();
    let nlist = parts.lists.as_ref().map(|lists| lists.offsets.len() - 1);
    model.nprobe = nlist.map(|nlist| model.nprobe.unwrap_or(default_nprobe(nlist)));
    let mut details = model.to_details();
    if let Some(nlist) = nlist {
        details.insert("nlist".into(), json!(nlist));
    }
    if let Store::Codes { m, .. } = &parts.store {
        details.insert("pq_m".into(), json!(m));
    }
    if let Some(reduction) = &parts.reduction {
        let kind = if matches!(reduction, Reduction::Sign { .. }) { "sign" } else { "fjlt" };
        let (input, target) = (reduction.input(), reduction.target());
        details.insert(
            "dimension_reduction".into(),
            json!({"type": kind, "seed": settings.seed, "target_dim": target, "input_dim": input}),
        );
    }
    Manifest {
        feature_dim: Some(settings.columns),
        hyperparameters: settings
            .values
            .all_given()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect(),
        created_by: created_by(),
        details,
        ..Manifest::new(Algorithm::Knn)
    }
}
