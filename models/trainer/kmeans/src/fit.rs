//! `fit`: epochs of mini-batches, then the shrinking.

use dmatrix::DMatrix;
use estimator::{
    Fitted, Job, MetricKind, Order, Pass, RowRules, TrainError, created_by, now_s, warm_up_rows,
};
use models::kmeans::Kmeans;
use models::{Algorithm, Manifest};
use serde_json::json;

use crate::initial::Pool;
use crate::lloyd::{Clustering, Lloyd};
use crate::online::{Batch, Online, Step};
use crate::score::score;
use crate::state;
use crate::table::Settings;

/// What SageMaker's own container calls itself in its metrics.
const METRICS_NAME: &str = "AWS/KMeansWebscale";

/// Trains as `job` asks.
///
/// # Errors
/// When a hyperparameter, a channel or a record is not what it should be, there are fewer records than centers, or a host
/// is gone.
pub(crate) fn fit(job: &Job) -> Result<Fitted, TrainError> {
    let settings = Settings::of(job)?;
    job.log.configuration(&settings.values);
    let mut training = Training { job, settings: &settings, online: None, warm_up: Vec::new(), records: 0.0 };
    let loss = training.epochs()?;
    let online = training.online.take().ok_or(TrainError::Stopped)?;
    let found = shrink(job, &settings, &online, loss);
    job.log.quality("train", "msd", MetricKind::Loss, found.loss);
    let mut metrics = vec![("train:msd".to_owned(), found.loss)];
    match job.channel("test").map(|channel| score(job, &settings, channel, &found.centers)) {
        Some(Err(TrainError::Stopped)) => job.log.info("stopped: the test data is not scored"),
        Some(scored) => metrics.extend(scored?),
        None => job.log.info("Test data is not provided."),
    }
    let manifest = Manifest {
        feature_dim: Some(settings.columns),
        k: Some(settings.k),
        hyperparameters: settings
            .values
            .all_given()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect(),
        metrics: metrics.into_iter().map(|(name, value)| (name, json!(value))).collect(),
        created_by: created_by(),
        warm_up: training.warm_up,
        ..Manifest::new(Algorithm::Kmeans)
    };
    let model = Kmeans::new(&manifest, found.centers, settings.columns)
        .map_err(|error| TrainError::Algorithm(error.to_string()))?;
    Ok(Fitted { members: model.to_members(&found.counts), manifest, outputs: Vec::new() })
}

/// Stage A as it goes.
struct Training<'a> {
    job: &'a Job,
    settings: &'a Settings,
    online: Option<Online>,
    warm_up: Vec<Vec<Option<f32>>>,
    records: f64,
}

impl Training<'_> {
    /// All epochs, or those until a stop: the last one's mean squared distance.
    fn epochs(&mut self) -> Result<f64, TrainError> {
        let (job, settings, started_s) = (self.job, self.settings, now_s());
        let rules = RowRules::finite(Some(settings.columns));
        let mut rows = job.train()?.open(&rules, settings.batch_rows, job)?;
        let mut first = 0;
        match state::load(job, settings)? {
            Some((epochs, online)) => {
                job.log.info(&format!("going on after {epochs} epochs of a checkpoint"));
                (first, self.online) = (epochs.min(settings.epochs), Some(online));
            }
            None => self.online = state::earlier(job, settings)?,
        }
        let mut loss = f64::NAN;
        for epoch in first..settings.epochs {
            let total = self.epoch(&mut rows.pass(Order::AsRead)?)?;
            loss = total.squared / total.records.max(1.0);
            job.log.epoch_quality(epoch, "train", "msd", MetricKind::Loss, loss);
            job.log.completed(100.0 * f64::from(epoch + 1) / f64::from(settings.epochs));
            if let Some(online) = &self.online {
                state::save(job, settings, epoch + 1, online)?;
            }
            if total.is_last {
                break;
            }
        }
        job.log.throughput(self.records as u64, now_s() - started_s);
        let numbers = [("epochs", f64::from(settings.epochs)), ("Total Records Seen", self.records)];
        job.log.metrics(METRICS_NAME, "training", started_s, &numbers);
        Ok(loss)
    }

    /// One epoch: what its steps did together.
    fn epoch(&mut self, pass: &mut Pass<'_>) -> Result<Step, TrainError> {
        let mut total = Step { had_records: false, is_last: false, records: 0.0, squared: 0.0 };
        let mut batch = DMatrix::new();
        if self.online.is_none() {
            total = self.begin(pass, &mut batch)?;
        }
        while !total.is_last {
            let has_batch = match pass.next(&mut batch) {
                // There are centers: the other hosts are told by the step.
                Err(TrainError::Stopped) => false,
                read => read?,
            };
            self.keep_warm_up(&batch);
            let step = self.step(if has_batch { Batch::Read(&batch) } else { Batch::None })?;
            total.records += step.records;
            total.squared += step.squared;
            total.is_last = step.is_last;
            if !step.had_records {
                break;
            }
        }
        self.records += total.records;
        Ok(total)
    }

    /// Reads until there are first centers, and takes what was read in.
    fn begin(&mut self, pass: &mut Pass<'_>, batch: &mut DMatrix) -> Result<Step, TrainError> {
        let mut pool = Pool::default();
        while pool.len() < self.settings.centers() && !self.job.stop.is_asked_for() && pass.next(batch)? {
            self.keep_warm_up(batch);
            pool.add(batch);
        }
        if pool.len() == 0 && self.job.stop.is_asked_for() {
            return Err(TrainError::Stopped);
        }
        let warn = |text: &str| self.job.log.warning(text);
        let centers = pool.centers(self.settings, &self.job.cluster, warn)?;
        self.online = Some(Online::new(&centers, self.settings.columns));
        self.step(Batch::Counted(&pool.points, &pool.counts))
    }

    fn step(&mut self, batch: Batch<'_>) -> Result<Step, TrainError> {
        let online = self.online.as_mut().expect("the first centers were chosen");
        online.step(batch, self.settings.decay, self.job.stop.is_asked_for(), &self.job.cluster)
    }

    fn keep_warm_up(&mut self, batch: &DMatrix) {
        if self.warm_up.is_empty() {
            self.warm_up = warm_up_rows(batch);
            // An absent feature is 0, not missing.
            self.warm_up.iter_mut().flatten().for_each(|value| *value = value.or(Some(0.0)));
        }
    }
}

/// Stage B: the centers, weighted by what they stand for, into k.
fn shrink(job: &Job, settings: &Settings, online: &Online, loss: f64) -> Clustering {
    let centers = online.singles();
    if online.len() <= settings.k {
        return Clustering { centers, counts: online.counts.clone(), loss };
    }
    job.log.info(&format!("shrinking {} centers into {}", online.len(), settings.k));
    let lloyd = Lloyd {
        k: settings.k,
        seeding: settings.lloyd_seeding,
        trials: settings.lloyd_trials,
        iterations_max: settings.lloyd_iterations_max,
        tolerance: settings.lloyd_tolerance,
        seed: settings.seed,
    };
    let found = lloyd.run(&centers, &online.counts, |trial, loss| {
        job.log.info(&format!("local kmeans attempt #{trial}. Current mean square distance {loss:.6}"));
        !(job.stop.is_asked_for() && job.cluster.size() == 1)
    });
    job.log.info(&format!("finished shrinking process. Mean Square Distance = {:.6}", found.loss));
    found
}
