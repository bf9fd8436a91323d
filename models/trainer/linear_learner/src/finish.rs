//! The end: the best model in raw units, its threshold, what it is worth on every channel, and its manifest.

use dmatrix::{DMatrix, Predictions};
use estimator::{
    Channel, Fitted, Hyperparameters, InputMode, Job, Order, RowRules, Rows, TrainError, created_by,
};
use models::linear_learner::LinearLearner;
use models::manifest::{Algorithm, Manifest, PredictorType};
use models::{Input, Model};
use rayon::prelude::*;
use serde_json::json;

use crate::criteria::calibrate;
use crate::grid::Candidate;
use crate::metrics::{Metric, Tally};
use crate::scaler::Scaler;
use crate::settings::Settings;
use crate::weights::{RawModel, Weights};

/// Rows that are scored by all threads together, unless a batch has more. Reason: a millisecond of work, and 2 MB of rows of
/// 30 features.
const ROWS_AT_ONCE: usize = 1 << 14;

/// What the end reads.
pub(crate) struct Channels<'a> {
    pub(crate) train: &'a mut Rows,
    pub(crate) validation: Option<&'a mut Rows>,
    pub(crate) sample: &'a DMatrix,
    /// Then there is no time to read channels once more: the sample stands for them.
    pub(crate) is_stopped: bool,
    pub(crate) warm_up: Vec<Vec<Option<f32>>>,
}

/// Scores with a model in raw units.
struct Scored<'a> {
    job: &'a Job,
    settings: &'a Settings,
    class_weights: Vec<f32>,
    positive: f64,
    model: LinearLearner,
}

/// Makes the artifact.
///
/// # Errors
/// When a weight is beyond single precision in raw units, or a channel cannot be read.
pub(crate) fn finish(
    job: &Job,
    values: &Hyperparameters,
    settings: &Settings,
    scaler: &Scaler,
    chosen: &Candidate,
    best: &Weights,
    mut channels: Channels<'_>,
) -> Result<Fitted, TrainError> {
    let mut manifest = manifest(values, settings, scaler, chosen);
    manifest.warm_up = std::mem::take(&mut channels.warm_up);
    let RawModel { weight, bias } = best.to_raw(scaler);
    let refused = |error: models::LoadError| {
        TrainError::Algorithm(format!("the weights in the units of the data are not usable: {error}"))
    };
    let class_weights = if settings.balances_classes { scaler.class_weights() } else { Vec::new() };
    let model = LinearLearner::new(&manifest, weight, bias).map_err(refused)?;
    let scored = Scored { job, settings, class_weights, positive: chosen.positive, model };
    let (threshold, tallied) = scored.threshold(&mut channels)?;
    manifest.threshold = settings.is_binary().then_some(threshold);
    for (channel, metrics) in scored.channels(&mut channels, threshold, tallied)? {
        for (name, kind, value) in &metrics {
            job.log.score(channel, name, *value);
            job.log.quality(channel, name, *kind, *value);
            manifest.metrics.insert(format!("{channel}:{name}"), json!(value));
        }
    }
    Ok(Fitted { manifest, members: scored.model.to_members(), outputs: Vec::new() })
}

fn manifest(values: &Hyperparameters, settings: &Settings, scaler: &Scaler, chosen: &Candidate) -> Manifest {
    let is_multiclass = settings.predictor == PredictorType::MulticlassClassifier;
    let mut manifest = Manifest {
        feature_dim: Some(scaler.factor.len()),
        hyperparameters: values.all_given().map(|(name, value)| (name.into(), json!(value))).collect(),
        created_by: created_by(),
        predictor_type: Some(settings.predictor),
        loss: Some(settings.loss.name().to_owned()),
        num_classes: is_multiclass.then_some(settings.outputs),
        ..Manifest::new(Algorithm::LinearLearner)
    };
    manifest.details.insert("best_hyperparameters".into(), chosen.describe(settings));
    manifest
}

impl Scored<'_> {
    /// The threshold that is best on the calibration rows: those of the validation channel, else of train.
    /// Also the tally that it was chosen on, if that is of all rows of `train` or `validation`.
    fn threshold(&self, channels: &mut Channels<'_>) -> Result<(f64, Option<Tally<'_>>), TrainError> {
        let neutral = self.settings.neutral_threshold();
        if !self.settings.is_binary() || self.settings.criterion.is_loss() {
            return Ok((neutral, None));
        }
        let rows_max = self.settings.calibration_rows;
        let is_train = channels.validation.is_none();
        let mut tally = match &mut channels.validation {
            _ if channels.is_stopped => self.tally_of(channels.sample)?,
            Some(validation) => self.tally(validation, "validation", rows_max)?,
            // A pipe's rows are gone, or belong to an epoch that does not come.
            None if self.train_mode() == InputMode::Pipe => self.tally_of(channels.sample)?,
            None => self.tally(channels.train, "train", rows_max)?,
        };
        let mut of_all;
        let keys = if is_train && self.job.cluster.size() > 1 {
            of_all = self.of_all_hosts(&tally.keys)?;
            &mut of_all
        } else {
            &mut tally.keys
        };
        let found = calibrate(self.settings.criterion, keys, neutral);
        self.job.log.info(&format!(
            "threshold {} by {:?} over {} rows, value {}",
            found.threshold,
            self.settings.criterion,
            keys.len(),
            found.value
        ));
        let is_whole = !channels.is_stopped
            && (tally.keys.len() as u64) < rows_max
            && !(is_train && self.train_mode() == InputMode::Pipe);
        Ok((found.threshold, is_whole.then_some(tally)))
    }

    fn train_mode(&self) -> InputMode {
        self.job.channel("train").map_or(InputMode::File, |channel| channel.mode)
    }

    /// The scores of every host.
    fn of_all_hosts(&self, keys: &[u64]) -> Result<Vec<u64>, TrainError> {
        let bytes = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
        let parts = self.job.cluster.gather(bytes)?;
        let words = parts.iter().flat_map(|part| part.as_chunks::<8>().0);
        Ok(words.map(|word| u64::from_le_bytes(*word)).collect())
    }

    /// The metrics of every channel that can be read once more.
    fn channels(
        &self,
        channels: &mut Channels<'_>,
        threshold: f64,
        mut tallied: Option<Tally<'_>>,
    ) -> Result<Vec<(&'static str, Vec<Metric>)>, TrainError> {
        let mut all = Vec::new();
        if channels.is_stopped {
            let name = if channels.validation.is_some() { "validation" } else { "train" };
            all.push((name, self.tally_of(channels.sample)?.finish(threshold)));
            return Ok(all);
        }
        if self.train_mode() == InputMode::File {
            let tally = match tallied.take_if(|_| channels.validation.is_none()) {
                Some(tally) => tally,
                None => self.tally(channels.train, "train", u64::MAX)?,
            };
            all.push(("train", tally.finish(threshold)));
        }
        if let Some(validation) = &mut channels.validation {
            let tally = match tallied.take() {
                Some(tally) => tally,
                None => self.tally(validation, "validation", u64::MAX)?,
            };
            all.push(("validation", tally.finish(threshold)));
        }
        if let Some(channel) = self.job.channel("test") {
            let mut rows = self.open(channel)?;
            all.push(("test", self.tally(&mut rows, "test", u64::MAX)?.finish(threshold)));
        }
        Ok(all)
    }

    fn open(&self, channel: &Channel) -> Result<Rows, TrainError> {
        let columns = self.model.signature().rows.columns;
        channel.open(&RowRules::finite(columns), self.settings.batch_rows, self.job)
    }

    fn tally(&self, rows: &mut Rows, channel: &str, rows_max: u64) -> Result<Tally<'_>, TrainError> {
        let mut tally = Tally::new(self.settings, self.positive, &self.class_weights);
        let at_once = (ROWS_AT_ONCE / self.settings.batch_rows.max(1)).max(1);
        let mut parts: Vec<(DMatrix, Predictions)> = Vec::new();
        parts.resize_with(at_once, Default::default);
        let mut pass = rows.pass(Order::AsRead)?;
        let mut left = rows_max;
        loop {
            let mut filled = 0;
            while filled < at_once && pass.next(&mut parts[filled].0)? {
                self.settings.check_labels(channel, parts[filled].0.labels())?;
                filled += 1;
            }
            let scores = parts[..filled].par_iter_mut();
            scores.map(|(batch, predictions)| self.score(batch, predictions)).collect::<Result<(), _>>()?;
            for (batch, predictions) in &parts[..filled] {
                let count = batch.rows().min(usize::try_from(left).unwrap_or(usize::MAX));
                tally.add(batch.labels(), predictions, count);
                left -= count as u64;
            }
            if filled < at_once || left == 0 {
                return Ok(tally);
            }
        }
    }

    fn tally_of(&self, rows: &DMatrix) -> Result<Tally<'_>, TrainError> {
        let mut tally = Tally::new(self.settings, self.positive, &self.class_weights);
        let mut predictions = Predictions::new();
        self.score(rows, &mut predictions)?;
        tally.add(rows.labels(), &predictions, rows.rows());
        Ok(tally)
    }

    fn score(&self, batch: &DMatrix, predictions: &mut Predictions) -> Result<(), TrainError> {
        self.model
            .predict(Input::Rows(batch), predictions)
            .map_err(|error| TrainError::Algorithm(format!("the model cannot score its data: {error}")))
    }
}
