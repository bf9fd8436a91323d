//! Epochs over the rows: every batch is one step of all models; every epoch's end finds the best of them.
//!
//! What is judged and kept is a mean of the last steps' weights ([`Weights::follow`]), not where the last batch threw them.
//!
//! Memory, in bytes: 24·(features + 1)·models·outputs for weights, their means and best,
//! moments and derivatives, 4·(features + 1)·models·outputs for every 256 k
//! products of a batch, the rows of two batches, and up to [`SAMPLE_VALUES_MAX`] values that are judged at every epoch's end.
//! It does not grow with the channel; only the final threshold of a binary classifier keeps eight bytes for each of up to
//! `num_calibration_samples` rows.
//!
//! Several hosts: each takes batches of its own rows, and derivatives are summed over the hosts before every step, in the
//! order of the hosts, so that all take the same steps. A step then is one of `mini_batch_size` rows a host; hosts that
//! run out of rows add nothing. That is the result of one host whose batches are those of all hosts together, but for
//! the rounding of sums (1e-6 of a weight); with other batches, it is as good but not the same.

use dmatrix::DMatrix;
use estimator::{Gather, Job, Order, Rows, TrainError};
use rayon::prelude::*;

use crate::criteria::{Criterion, calibrate, key};
use crate::grid::Candidate;
use crate::loss::{Loss, Objective};
use crate::network::{Buffers, Network, Sums};
use crate::optimizer::Optimizer;
use crate::scaler::Scaler;
use crate::settings::{PositiveWeight, Settings};
use crate::weights::Weights;

/// The most rows that are judged at every epoch's end. Reason: an accuracy is then known to half a percent, and 32 models
/// are judged in some ten milliseconds.
pub(crate) const SAMPLE_ROWS_MAX: usize = 10_000;
/// The most values of those rows. Reason: 64 MB.
pub(crate) const SAMPLE_VALUES_MAX: usize = 16 << 20;

/// Columns that the inner loops take at a time.
const LANES: usize = 8;

/// Every model at its best epoch so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Best {
    /// As wide as all models.
    pub(crate) weights: Weights,
    /// By the criterion, a model; NaN before its first epoch.
    pub(crate) values: Vec<f64>,
    pub(crate) losses: Vec<f64>,
}

/// What training has come to between two epochs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Progress {
    pub(crate) epochs_done: u32,
    pub(crate) steps: u64,
    pub(crate) weights: Weights,
    /// What is judged and kept: the mean of the last steps' weights.
    pub(crate) mean: Weights,
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
    pub(crate) best: Best,
    /// The criterion's value that later epochs must improve on, a model; NaN before its first epoch.
    pub(crate) references: Vec<f64>,
    /// Epochs without improvement, a model.
    pub(crate) stale_epochs: Vec<u32>,
}

/// All models in training.
#[derive(Debug)]
pub(crate) struct Training<'a> {
    job: &'a Job,
    settings: &'a Settings,
    scaler: &'a Scaler,
    /// What steps go along.
    objective: Objective,
    /// By what models are compared: that without weights of positive rows where they differ between models.
    judged: Objective,
    optimizer: Optimizer,
    pub(crate) progress: Progress,
    buffers: Buffers,
}

/// What an epoch saw of the train rows.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Mean losses, a model, while it went on.
    pub(crate) losses: Vec<f64>,
    pub(crate) rows: u64,
    pub(crate) is_stopped: bool,
}

/// What the end of an epoch found, a model.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) losses: Vec<f64>,
    pub(crate) values: Vec<f64>,
}

impl<'a> Training<'a> {
    pub(crate) fn new(
        job: &'a Job,
        settings: &'a Settings,
        scaler: &'a Scaler,
        candidates: &[Candidate],
        weights: Weights,
    ) -> Self {
        let outputs = settings.outputs;
        let class_weights =
            if outputs > 1 && settings.balances_classes { scaler.class_weights() } else { Vec::new() };
        let objective = Objective {
            loss: settings.loss.scaled((1.0 / scaler.label_scale) as f32),
            outputs,
            positive: candidates.iter().map(|candidate| candidate.positive as f32).collect(),
            class_weights,
        };
        let is_plain =
            settings.positive_weight == PositiveWeight::Auto || settings.criterion == Criterion::CrossEntropy;
        let mut judged = objective.clone();
        if is_plain {
            judged.positive.fill(1.0);
        }
        let columns = scaler.factor.len();
        let optimizer = Optimizer::new(settings.step, candidates, outputs, columns);
        let models = candidates.len();
        let best =
            Best { weights: weights.clone(), values: vec![f64::NAN; models], losses: vec![f64::NAN; models] };
        let progress = Progress {
            epochs_done: 0,
            steps: 0,
            mean: weights.clone(),
            weights,
            first: Vec::new(),
            second: Vec::new(),
            best,
            references: vec![f64::NAN; models],
            stale_epochs: vec![0; models],
        };
        let buffers = Buffers::default();
        Self { job, settings, scaler, objective, judged, optimizer, progress, buffers }
    }

    /// What a checkpoint keeps.
    pub(crate) fn save(&mut self) -> &Progress {
        self.progress.steps = self.optimizer.steps;
        self.progress.first.clone_from(&self.optimizer.first);
        self.progress.second.clone_from(&self.optimizer.second);
        &self.progress
    }

    /// Goes on from what a checkpoint kept.
    pub(crate) fn go_on(&mut self) {
        self.optimizer.steps = self.progress.steps;
        self.optimizer.first = std::mem::take(&mut self.progress.first);
        self.optimizer.second = std::mem::take(&mut self.progress.second);
    }

    /// One pass over the rows, of the models that are not at rest; losses of others are NaN.
    ///
    /// # Errors
    /// When a row is not as it should be, or a host is gone.
    pub(crate) fn epoch(&mut self, rows: &mut Rows) -> Result<Seen, TrainError> {
        let kept = self.kept();
        if kept.len() == self.models() {
            return self.epoch_of_all(rows);
        }
        let mut narrow = self.narrowed(&kept);
        let seen = narrow.epoch_of_all(rows)?;
        self.widen(narrow, &kept);
        Ok(Seen { losses: spread(&seen.losses, &kept, self.models()), ..seen })
    }

    /// The models that take steps: those that are not at rest, and as many others as fill the lanes of the loops up.
    fn kept(&self) -> Vec<usize> {
        let is_active = |model: &usize| self.progress.stale_epochs[*model] < self.settings.patience;
        let mut kept: Vec<usize> = (0..self.models()).filter(is_active).collect();
        let width = kept.len() * self.settings.outputs;
        let room = (width.next_multiple_of(LANES) - width) / self.settings.outputs;
        kept.extend((0..self.models()).filter(|model| !is_active(model)).take(room));
        kept.sort_unstable();
        kept
    }

    /// Some models alone.
    fn narrowed(&mut self, models: &[usize]) -> Self {
        let outputs = self.settings.outputs;
        let columns: Vec<usize> =
            models.iter().flat_map(|model| model * outputs..(model + 1) * outputs).collect();
        let objective = |objective: &Objective| Objective {
            positive: models.iter().map(|model| objective.positive[*model]).collect(),
            ..objective.clone()
        };
        let progress = &self.progress;
        let none = Weights { width: 0, weight: Vec::new(), bias: Vec::new() };
        Self {
            job: self.job,
            settings: self.settings,
            scaler: self.scaler,
            objective: objective(&self.objective),
            judged: objective(&self.judged),
            optimizer: self.optimizer.narrowed(&columns),
            progress: Progress {
                epochs_done: progress.epochs_done,
                steps: progress.steps,
                weights: progress.weights.narrowed(&columns),
                mean: progress.mean.narrowed(&columns),
                first: Vec::new(),
                second: Vec::new(),
                // Only a whole training ends epochs.
                best: Best { weights: none, values: Vec::new(), losses: Vec::new() },
                references: Vec::new(),
                stale_epochs: Vec::new(),
            },
            buffers: std::mem::take(&mut self.buffers),
        }
    }

    /// Takes over what some models have come to alone.
    fn widen(&mut self, narrow: Self, models: &[usize]) {
        let outputs = self.settings.outputs;
        let columns: Vec<usize> =
            models.iter().flat_map(|model| model * outputs..(model + 1) * outputs).collect();
        self.optimizer.widen(&narrow.optimizer, &columns);
        self.progress.weights.widen(&narrow.progress.weights, &columns);
        self.progress.mean.widen(&narrow.progress.mean, &columns);
        self.buffers = narrow.buffers;
    }

    /// One host's pass is a task of the threads that work on it, so that nothing is handed to them from outside at every step.
    fn epoch_of_all(&mut self, rows: &mut Rows) -> Result<Seen, TrainError> {
        if self.job.cluster.size() == 1 { rayon::scope(|_| self.steps(rows)) } else { self.steps(rows) }
    }

    fn steps(&mut self, rows: &mut Rows) -> Result<Seen, TrainError> {
        let (rank, epoch) = (self.job.cluster.rank() as u64, u64::from(self.progress.epochs_done));
        let seed = self.settings.seed.wrapping_add(epoch << 32).wrapping_add(rank << 48).wrapping_add(1);
        let mut pass = rows.pass(Order::Shuffled { seed })?;
        let (mut batch, mut ahead) = (DMatrix::new(), DMatrix::new());
        let is_alone = self.job.cluster.size() == 1;
        let mut seen = Seen { losses: vec![0.0; self.models()], rows: 0, is_stopped: false };
        let mut has_more = pass.next(&mut batch)?;
        loop {
            if !has_more && is_alone {
                break;
            }
            if has_more {
                self.settings.check_labels("train", batch.labels())?;
            }
            let read = || if has_more { pass.next(&mut ahead) } else { Ok(false) };
            let step = || self.step(has_more.then_some(&batch), &mut seen);
            // A step of several hosts waits for the others, which the threads that work here must not.
            let (read, stepped) = if is_alone { rayon::join(read, step) } else { in_turn(read, step) };
            let Some(rows) = stepped? else { break };
            seen.rows += rows;
            if seen.is_stopped {
                break;
            }
            has_more = read?;
            std::mem::swap(&mut batch, &mut ahead);
        }
        if seen.rows == 0 {
            return Err(TrainError::client("channel train: expected rows, found none"));
        }
        let growth = self.settings.loss.growth(self.scaler.label_scale);
        seen.losses.iter_mut().for_each(|loss| *loss *= growth / seen.rows as f64);
        Ok(seen)
    }

    /// One step of all models along the rows of all hosts' batches; how many they were, or `None` when no host has one.
    fn step(&mut self, batch: Option<&DMatrix>, seen: &mut Seen) -> Result<Option<u64>, TrainError> {
        let network = Network { scaler: self.scaler, objective: &self.objective };
        let is_asked = self.job.stop.is_asked_for();
        if self.job.cluster.size() == 1 {
            let Some(batch) = batch else { return Ok(None) };
            let sums = network.derive(&self.progress.weights, batch, &mut self.buffers);
            let rows = batch.rows() as u64;
            self.optimizer.step(&mut self.progress.weights, sums, rows);
            self.progress.mean.follow(&self.progress.weights, self.optimizer.steps);
            seen.losses.iter_mut().zip(&sums.losses).for_each(|(sum, loss)| *sum += loss);
            seen.is_stopped = is_asked;
            return Ok(Some(rows));
        }
        let mut none = Sums {
            weight: vec![0.0; self.progress.weights.weight.len()],
            bias: vec![0.0; self.progress.weights.bias.len()],
            losses: vec![0.0; seen.losses.len()],
        };
        let sums = match batch {
            Some(batch) => network.derive(&self.progress.weights, batch, &mut self.buffers),
            None => &mut none,
        };
        let mut shared = vec![batch.map_or(0.0, |batch| batch.rows() as f64), f64::from(u8::from(is_asked))];
        shared.extend(&sums.losses);
        shared.extend(sums.bias.iter().chain(&sums.weight).map(|value| f64::from(*value)));
        self.job.cluster.sum(&mut shared)?;
        let rows = shared[0] as u64;
        if rows == 0 {
            return Ok(None);
        }
        seen.is_stopped = shared[1] > 0.0;
        let (losses, derivatives) = shared[2..].split_at(sums.losses.len());
        seen.losses.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss);
        let places = sums.bias.iter_mut().chain(&mut sums.weight);
        places.zip(derivatives).for_each(|(place, value)| *place = *value as f32);
        self.optimizer.step(&mut self.progress.weights, sums, rows);
        self.progress.mean.follow(&self.progress.weights, self.optimizer.steps);
        Ok(Some(rows))
    }

    fn models(&self) -> usize {
        self.progress.weights.width / self.settings.outputs
    }

    /// Losses over all rows of `validation`, or over the sample, and what the criterion says of every model that is not at
    /// rest; NaN for others.
    ///
    /// # Errors
    /// When a row is not as it should be, or a host is gone.
    pub(crate) fn judge(
        &mut self,
        validation: Option<&mut Rows>,
        sample: &DMatrix,
    ) -> Result<Judged, TrainError> {
        let kept = self.kept();
        if kept.len() == self.models() {
            return self.judge_all(validation, sample);
        }
        let mut narrow = self.narrowed(&kept);
        let judged = narrow.judge_all(validation, sample)?;
        self.buffers = narrow.buffers;
        let whole = |values: &[f64]| spread(values, &kept, self.models());
        Ok(Judged { losses: whole(&judged.losses), values: whole(&judged.values) })
    }

    fn judge_all(&mut self, validation: Option<&mut Rows>, sample: &DMatrix) -> Result<Judged, TrainError> {
        let network = Network { scaler: self.scaler, objective: &self.judged };
        let mut sums = vec![0.0; self.progress.weights.width / self.settings.outputs + 1];
        let mut add = |batch: &DMatrix| {
            let losses = network.losses(&self.progress.mean, batch, &mut self.buffers);
            sums.iter_mut().zip(&losses).for_each(|(sum, loss)| *sum += loss);
            *sums.last_mut().expect("the last counts rows") += batch.rows() as f64;
        };
        let is_shared = validation.is_none();
        match validation {
            None if sample.is_empty() => {}
            None => add(sample),
            Some(rows) => {
                let mut batch = DMatrix::new();
                let mut pass = rows.pass(Order::AsRead)?;
                while pass.next(&mut batch)? {
                    self.settings.check_labels("validation", batch.labels())?;
                    add(&batch);
                }
            }
        }
        let mut values = self.values(sample);
        if is_shared && self.job.cluster.size() > 1 {
            self.job.cluster.sum(&mut sums)?;
            self.job.cluster.sum(&mut values)?;
            values.iter_mut().for_each(|value| *value /= self.job.cluster.size() as f64);
        }
        let rows = sums.pop().expect("the last counts rows");
        let growth = self.settings.loss.growth(self.scaler.label_scale);
        let losses: Vec<f64> = sums.iter().map(|sum| sum * growth / rows).collect();
        let values = if self.settings.criterion.is_loss() { losses.clone() } else { values };
        Ok(Judged { losses, values })
    }

    /// The criterion's value on the sample, a model, at the threshold that is best for it; empty when it is a loss.
    fn values(&self, sample: &DMatrix) -> Vec<f64> {
        let criterion = self.settings.criterion;
        if criterion.is_loss() {
            return Vec::new();
        }
        let width = self.progress.weights.width;
        let network = Network { scaler: self.scaler, objective: &self.judged };
        let margins = network.margins(&self.progress.mean, sample);
        let value = |model: usize| {
            let margins = margins.iter().skip(model).step_by(width).zip(sample.labels());
            let mut keys: Vec<u64> = margins.map(|(margin, label)| key(*margin, *label > 0.5)).collect();
            calibrate(criterion, &mut keys, 0.0).value
        };
        (0..width).into_par_iter().map(value).collect()
    }

    /// Ends an epoch: keeps every model that is better than it was, unless it is at rest; gives the best one of this epoch.
    ///
    /// # Errors
    /// When no model is finite, and none was kept.
    pub(crate) fn end_epoch(&mut self, judged: &Judged) -> Result<usize, TrainError> {
        let criterion = self.settings.criterion;
        let outputs = self.settings.outputs;
        let progress = &mut self.progress;
        progress.epochs_done += 1;
        let mut chosen: Option<usize> = None;
        for (model, (&value, &loss)) in judged.values.iter().zip(&judged.losses).enumerate() {
            if !(value.is_finite() && loss.is_finite()) {
                progress.stale_epochs[model] = self.settings.patience;
                continue;
            }
            if chosen.is_none_or(|c| criterion.is_better((value, loss), (judged.values[c], judged.losses[c])))
            {
                chosen = Some(model);
            }
            if progress.stale_epochs[model] >= self.settings.patience {
                continue;
            }
            let best = &mut progress.best;
            let kept = (best.values[model], best.losses[model]);
            if kept.0.is_nan() || criterion.is_better((value, loss), kept) {
                (best.values[model], best.losses[model]) = (value, loss);
                best.weights.take(&progress.mean, model, outputs);
            }
            // An epoch that is better by less than the tolerance is stale too; what to improve on stays the value of the last
            // that was better by more, so that many small steps count in the end.
            let reference = &mut progress.references[model];
            let gain = criterion.sign() * (value - *reference);
            if reference.is_nan() || (gain > 0.0 && gain >= self.settings.tolerance * reference.abs()) {
                *reference = value;
                progress.stale_epochs[model] = 0;
            } else {
                progress.stale_epochs[model] += 1;
            }
        }
        if progress.best.values.iter().all(|value| value.is_nan()) {
            return Err(TrainError::Algorithm(
                "training diverged: expected a finite loss of some model, found none; try a smaller learning_rate"
                    .into(),
            ));
        }
        Ok(chosen.unwrap_or(0))
    }

    /// Whether early stopping ends training: no model improves any more.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.progress.stale_epochs.iter().all(|epochs| *epochs >= self.settings.patience)
    }

    /// The model to keep, at its best epoch.
    ///
    /// The plainest (the first in the grid) of those that the sample cannot tell from the best: by the criterion, within the
    /// standard error of a share; and by the loss, within the standard error of the rows' differences. The best of many by
    /// a small sample is often the luckiest.
    ///
    /// # Errors
    /// When a host is gone.
    pub(crate) fn choose(&self, sample: &DMatrix, is_shared: bool) -> Result<Option<usize>, TrainError> {
        let criterion = self.settings.criterion;
        let Best { weights, values, losses } = &self.progress.best;
        let known = || (0..values.len()).filter(|model| !values[*model].is_nan());
        let better = |left: usize, right: usize| {
            let is_better = criterion.is_better((values[right], losses[right]), (values[left], losses[left]));
            if is_better { right } else { left }
        };
        let Some(top) = known().reduce(better) else { return Ok(None) };
        let network = Network { scaler: self.scaler, objective: &self.judged };
        let rows = network.row_losses(weights, sample);
        let mut sums = vec![0.0; 2 * values.len() + 1];
        *sums.last_mut().expect("the last counts rows") = sample.rows() as f64;
        if is_shared {
            self.job.cluster.sum(&mut sums)?;
        }
        let count = sums[2 * values.len()].max(1.0);
        let slack = match criterion.is_loss() {
            true => f64::INFINITY,
            false => (values[top] * (1.0 - values[top]) / count).max(0.0).sqrt(),
        };
        let eligible: Vec<usize> = known().filter(|model| values[*model] >= values[top] - slack).collect();
        let least = |left: usize, right: usize| if losses[right] < losses[left] { right } else { left };
        let top = eligible.iter().copied().reduce(least).expect("the best is among them");
        for row in rows.chunks_exact(values.len()) {
            for (model, loss) in row.iter().enumerate() {
                let difference = loss - row[top];
                sums[2 * model] += difference;
                sums[2 * model + 1] += difference * difference;
            }
        }
        if is_shared {
            *sums.last_mut().expect("the last counts rows") = 0.0;
            self.job.cluster.sum(&mut sums)?;
        }
        let is_as_good = |model: &usize| {
            let mean = sums[2 * model] / count;
            let variance = (sums[2 * model + 1] / count - mean * mean).max(0.0);
            *model == top || mean <= (variance / count).sqrt()
        };
        Ok(eligible.into_iter().find(is_as_good))
    }
}

/// Values of the models `kept` among all; NaN for the others.
fn spread(values: &[f64], kept: &[usize], models: usize) -> Vec<f64> {
    let mut all = vec![f64::NAN; models];
    kept.iter().zip(values).for_each(|(model, value)| all[*model] = *value);
    all
}

fn in_turn<A, B>(one: impl FnOnce() -> A, other: impl FnOnce() -> B) -> (A, B) {
    let second = other();
    (one(), second)
}

impl Settings {
    /// Refuses labels that the predictor cannot learn from.
    pub(crate) fn check_labels(&self, channel: &str, labels: &[f32]) -> Result<(), TrainError> {
        let classes = match self.loss {
            Loss::Logistic | Loss::Hinge { .. } => 2,
            Loss::Softmax => self.outputs,
            _ => return Ok(()),
        };
        let is_class = |label: &f32| *label >= 0.0 && *label < classes as f32 && label.fract() == 0.0;
        match labels.iter().find(|label| !is_class(label)) {
            None => Ok(()),
            Some(found) => Err(TrainError::client(format!(
                "channel {channel}: expected labels that are whole numbers from 0 to {} with predictor_type {}, found \
                 {found}",
                classes - 1,
                self.predictor.name()
            ))),
        }
    }
}

/// The first rows of a pass.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    rows: Gather,
}

impl Sample {
    /// Adds as many of the first `count` rows of `batch` as there is room for.
    pub(crate) fn add(&mut self, batch: &DMatrix, count: usize) {
        let rows_max = SAMPLE_ROWS_MAX.min(SAMPLE_VALUES_MAX / batch.columns().max(1)).max(1);
        let room = rows_max.saturating_sub(self.rows.rows()).min(count);
        self.rows.push_range(batch, 0..room);
    }

    /// The rows in one.
    pub(crate) fn finish(self) -> DMatrix {
        self.rows.finish()
    }
}
