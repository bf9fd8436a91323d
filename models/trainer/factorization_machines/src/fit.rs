//! `fit`: epochs of shuffled mini-batches, each one step of all weights that it touches.

use std::time::Instant;

use dmatrix::DMatrix;
use estimator::{Channel, Fitted, Job, Order, RowRules, Rows, TrainError, created_by, now_s, warm_up_rows};
use fastrand::Rng;
use models::factorization_machines::FactorizationMachines;
use models::manifest::PredictorType;
use models::{Algorithm, Manifest};
use serde_json::json;

use crate::adam;
use crate::batch::Batch;
use crate::exchange::{Gradient, exchange};
use crate::state::State;
use crate::table::Settings;
use crate::tally::Tally;

/// Mini-batches between two lines of an epoch. Reason: a line a second or so on a large data set.
const BATCHES_A_LINE: u64 = 1000;
/// The channels that are scored at the end: `validation` is what a hold-out makes.
const SCORED: [&str; 2] = ["validation", "test"];
/// Rows that are scored at once.
const SCORED_ROWS: usize = 1000;

/// Trains as `job` asks.
///
/// # Errors
/// When a hyperparameter, a channel or a record is not what it should be, training diverges, a host is gone, or a stop comes
/// before the first mini-batch is done.
pub(crate) fn fit(job: &Job) -> Result<Fitted, TrainError> {
    let settings = Settings::of(job)?;
    job.log.configuration(&settings.values);
    let state = State::begin(job, &settings)?;
    let batch = Batch::new(settings.columns);
    let mut training = Training { job, settings: &settings, state, batch };
    training.epochs()?;
    if !training.state.is_model {
        return Err(TrainError::Stopped);
    }
    for name in SCORED {
        match job.channel(name).map(|channel| training.score(channel)) {
            // The model is there; a stop ends the scoring alone.
            Some(Err(TrainError::Stopped)) => job.log.warning(&format!("{name} is not scored: stopping")),
            Some(scored) => scored?,
            None => {}
        }
    }
    fitted(job, &settings, training.state)
}

/// A training as it goes.
struct Training<'a> {
    job: &'a Job,
    settings: &'a Settings,
    state: State,
    batch: Batch,
}

impl Training<'_> {
    /// All epochs that are not done yet, or those until a stop.
    fn epochs(&mut self) -> Result<(), TrainError> {
        let (job, settings) = (self.job, self.settings);
        let rules = RowRules::finite(Some(settings.columns));
        let batch_rows = settings.batch_rows_of(job.cluster.rank(), job.cluster.size());
        let mut rows = job.train()?.open(&rules, batch_rows, job)?;
        let mut tally = Tally::default();
        for epoch in self.state.epochs..settings.epochs {
            let (started, started_s) = (Instant::now(), now_s());
            let (seen, is_stopped) = self.epoch(epoch, &mut rows)?;
            tally = seen.sum(&job.cluster)?;
            self.report(epoch, &tally, started_s);
            job.log.throughput(seen.rows as u64, started.elapsed().as_secs_f64());
            if is_stopped {
                job.log.info("stopping, as asked");
                break;
            }
            self.check_rows(tally.rows as u64)?;
            self.state.epochs = epoch + 1;
            job.log.completed(100.0 * f64::from(epoch + 1) / f64::from(settings.epochs));
            self.state.save(job, settings)?;
        }
        if tally.rows > 0.0 {
            tally.log(&job.log, "train", settings.predictor);
        }
        Ok(())
    }

    /// One epoch: what its mini-batches came to before their steps, and whether a stop ended it.
    fn epoch(&mut self, epoch: u32, rows: &mut Rows) -> Result<(Tally, bool), TrainError> {
        let (job, mut tally) = (self.job, Tally::default());
        let mut pass = rows.pass(Order::Shuffled { seed: self.seed(epoch) })?;
        let mut read = DMatrix::new();
        for batch in 0.. {
            let has_batch = pass.next(&mut read)?;
            let claims = [has_batch, job.stop.is_asked_for()];
            let mut claims = claims.map(|claim| f64::from(u8::from(claim)));
            job.cluster.sum(&mut claims)?;
            let [batches, stops] = claims;
            if batches == 0.0 {
                break;
            }
            let seen = self.step(epoch, has_batch.then_some(&read))?;
            if batch % BATCHES_A_LINE == 0 {
                for metric in seen.metrics(self.settings.predictor) {
                    job.log.batch_quality(epoch, batch, metric.name, metric.kind, metric.value);
                }
            }
            tally.extend(&seen);
            if stops > 0.0 {
                return Ok((tally, true));
            }
        }
        Ok((tally, false))
    }

    /// One mini-batch, of which this host's part is `rows`.
    fn step(&mut self, epoch: u32, rows: Option<&DMatrix>) -> Result<Tally, TrainError> {
        let Self { job, settings, state, batch } = self;
        let mut tally = Tally::default();
        let mut gradient = Gradient::default();
        if let Some(rows) = rows {
            keep_warm_up(state, rows);
            check_labels("train", settings.predictor, rows.labels())?;
            batch.fill(rows);
            let margins = batch.margins(&state.machine);
            let pairs = margins.iter().zip(rows.labels()).map(|(margin, label)| (*margin, f64::from(*label)));
            pairs.clone().for_each(|(margin, label)| tally.add(settings.predictor, margin, label));
            let slopes: Vec<f64> =
                pairs.map(|(margin, label)| slope(settings.predictor, margin, label)).collect();
            gradient = batch.gradient(&state.machine, &slopes);
        }
        let gradient = exchange(&job.cluster, gradient, settings.factors + 1)?;
        if !gradient.bias.is_finite() {
            return Err(TrainError::Algorithm(format!(
                "training diverged in epoch {epoch}: expected a finite loss, found none after {} mini-batches; try smaller \
                 learning rates (bias_lr, linear_lr, factors_lr) or clip_gradient",
                state.steps
            )));
        }
        state.steps += 1;
        adam::step(&mut state.machine, &gradient, settings, state.steps);
        state.is_model = true;
        Ok(tally)
    }

    /// A checkpoint of other data is known by its number of rows, once an epoch has counted them.
    fn check_rows(&mut self, found: u64) -> Result<(), TrainError> {
        let expected = std::mem::replace(&mut self.state.rows, found);
        if expected != 0 && expected != found {
            return Err(TrainError::client(format!(
                "channel train: expected {expected} rows as in the epochs before (or the checkpoint), found {found}"
            )));
        }
        Ok(())
    }

    fn report(&self, epoch: u32, tally: &Tally, started_s: f64) {
        let log = &self.job.log;
        for metric in tally.metrics(self.settings.predictor) {
            log.epoch_quality(epoch, "train", metric.name, metric.kind, metric.value);
        }
        let numbers = [("update.time", 1e3 * (now_s() - started_s)), ("Total Records Seen", tally.rows)];
        log.metrics(Algorithm::FactorizationMachines.name(), "training", started_s, &numbers);
    }

    /// Scores a channel with the weights as they are.
    fn score(&mut self, channel: &Channel) -> Result<(), TrainError> {
        let (job, settings, started_s) = (self.job, self.settings, now_s());
        let mut rows = channel.open(&RowRules::finite(Some(settings.columns)), SCORED_ROWS, job)?;
        let mut pass = rows.pass(Order::AsRead)?;
        let (mut read, mut tally) = (DMatrix::new(), Tally::default());
        while pass.next(&mut read)? {
            check_labels(channel.name, settings.predictor, read.labels())?;
            self.batch.fill(&read);
            let margins = self.batch.margins(&self.state.machine);
            for (margin, label) in margins.iter().zip(read.labels()) {
                tally.add(settings.predictor, *margin, f64::from(*label));
            }
        }
        tally.log(&job.log, channel.name, settings.predictor);
        for metric in tally.metrics(settings.predictor) {
            job.log.score(channel.name, metric.name, metric.value);
        }
        let numbers = [("eval.time", 1e3 * (now_s() - started_s)), ("Total Records Seen", tally.rows)];
        job.log.metrics(Algorithm::FactorizationMachines.name(), "evaluation", started_s, &numbers);
        Ok(())
    }

    /// Another order for every epoch and host.
    fn seed(&self, epoch: u32) -> u64 {
        let place = u64::from(epoch) << 16 | self.job.cluster.rank() as u64;
        Rng::with_seed(self.settings.seed ^ Rng::with_seed(place).u64(..)).u64(..)
    }
}

/// The derivative of a row's loss with respect to ŷ.
fn slope(predictor: PredictorType, margin: f64, label: f64) -> f64 {
    match predictor {
        PredictorType::Regressor => 2.0 * (margin - label),
        _ => 1.0 / (1.0 + (-margin).exp()) - label,
    }
}

fn check_labels(channel: &str, predictor: PredictorType, labels: &[f32]) -> Result<(), TrainError> {
    let is_class = |label: &&f32| **label == 0.0 || **label == 1.0;
    match labels.iter().find(|label| predictor == PredictorType::BinaryClassifier && !is_class(label)) {
        None => Ok(()),
        Some(label) => Err(TrainError::client(format!(
            "channel {channel}: expected the label 0 or 1 with predictor_type {}, found {label}",
            predictor.name()
        ))),
    }
}

fn keep_warm_up(state: &mut State, rows: &DMatrix) {
    if state.warm_up.is_empty() {
        state.warm_up = warm_up_rows(rows);
        // An absent feature is 0, not missing.
        state.warm_up.iter_mut().flatten().for_each(|value| *value = value.or(Some(0.0)));
    }
}

fn fitted(job: &Job, settings: &Settings, state: State) -> Result<Fitted, TrainError> {
    let measured = job.log.recorded().into_iter().filter(|(_, value)| value.is_finite());
    let manifest = Manifest {
        feature_dim: Some(settings.columns),
        predictor_type: Some(settings.predictor),
        hyperparameters: settings
            .values
            .all_given()
            .map(|(name, value)| (name.into(), json!(value)))
            .collect(),
        metrics: measured.map(|(name, value)| (name, json!(value))).collect(),
        created_by: created_by(),
        warm_up: state.warm_up,
        ..Manifest::new(Algorithm::FactorizationMachines)
    };
    let machine = state.machine;
    let bias = machine.bias.values[0];
    let model = FactorizationMachines::new(&manifest, bias, machine.linear.values, machine.pairs.values)
        .map_err(|error| TrainError::Algorithm(format!("training diverged: {error}")))?;
    Ok(Fitted { members: model.to_members(), manifest, outputs: Vec::new() })
}

#[cfg(test)]
mod tests;
