//! `fit`: channels and hyperparameters in, the best model and its manifest out.

use std::time::Instant;

use dmatrix::DMatrix;
use estimator::{
    Channel, Fitted, Hyperparameters, Job, MetricKind, Order, RowRules, Rows, TrainError, now_s, warm_up_rows,
};

use crate::finish::{Channels, finish};
use crate::grid::{Candidate, candidates};
use crate::scaler::{Moments, Scaler};
use crate::settings::Settings;
use crate::table::TABLE;
use crate::training::{Judged, Sample, Seen, Training};
use crate::weights::Weights;
use crate::{earlier, state};

/// The name under which the platform's own container puts its numbers.
const ALGORITHM: &str = "Linear Learner";
/// The checkpoint's name.
const CHECKPOINT: &str = "state";

/// Trains as `job` asks.
///
/// # Errors
/// When a hyperparameter, a channel, a label, a checkpoint or an earlier model is not what it should be, when no model
/// stays finite, or a stop request comes before the first batch is done.
pub(crate) fn fit(job: &Job) -> Result<Fitted, TrainError> {
    let values = Hyperparameters::resolve(TABLE, &job.hyperparameters)?;
    let settings = Settings::new(&values)?;
    job.log.configuration(&values);
    let started = Instant::now();
    let mut data = Data::open(job, &settings)?;
    let read_s = started.elapsed().as_secs_f64();
    let scaler = data.measure(job, &settings)?;
    let candidates = candidates(&settings, data.columns(), scaler.balance());
    describe(job, &data, &candidates);
    let first = match &job.model {
        Some(path) => {
            let raw = earlier::read(path, &job.resources.scratch, &settings, data.columns())?;
            Weights::of_raw(&raw, candidates.len(), &scaler)
        }
        None => {
            let mut initial = settings.initial;
            initial.bias *= f64::from(u8::from(settings.step.use_bias));
            Weights::drawn(data.columns(), candidates.len(), settings.outputs, initial, settings.seed)
        }
    };
    let mut training = Training::new(job, &settings, &scaler, &candidates, first);
    let fingerprint = fingerprint(job, &values);
    go_on(job, &fingerprint, &scaler, &mut training)?;
    let is_stopped = run(job, &settings, &scaler, &fingerprint, &mut training, &mut data)?;
    let is_shared = data.validation.is_none();
    let Some(model) = training.choose(&data.sample, is_shared)? else { return Err(TrainError::Stopped) };
    let chosen = candidates[model];
    let best = training.progress.best.weights.model(model, settings.outputs);
    let train_s = started.elapsed().as_secs_f64() - read_s;
    job.log.info(&format!("Best model found for hyperparameters: {}", chosen.describe(&settings)));
    let channels = Channels {
        train: &mut data.train,
        validation: data.validation.as_mut(),
        sample: &data.sample,
        is_stopped,
        warm_up: warm_up_rows(&data.first),
    };
    let fitted = finish(job, &values, &settings, &scaler, &chosen, &best, channels)?;
    let score_s = started.elapsed().as_secs_f64() - read_s - train_s;
    job.log.info(&format!("time: {read_s:.3} s to read, {train_s:.3} s to train, {score_s:.3} s to score"));
    Ok(fitted)
}

/// The rows, and what is kept of them in memory.
#[derive(Debug)]
struct Data {
    train: Rows,
    validation: Option<Rows>,
    /// What is judged at every epoch's end when there is no validation channel, and what thresholds are compared on.
    sample: DMatrix,
    /// The first batch.
    first: DMatrix,
}

impl Data {
    fn open(job: &Job, settings: &Settings) -> Result<Self, TrainError> {
        let open =
            |channel: &Channel, columns| channel.open(&RowRules::finite(columns), settings.batch_rows, job);
        let train = open(job.train()?, settings.feature_dim)?;
        let columns = Some(train.columns());
        let validation = job.channel("validation").map(|channel| open(channel, columns)).transpose()?;
        Ok(Self { train, validation, sample: DMatrix::new(), first: DMatrix::new() })
    }

    fn columns(&self) -> usize {
        self.train.columns()
    }

    /// The first pass: means and deviations of a sample of the rows, which is another part of them than the front where
    /// they can be read again, since files may be sorted by label.
    fn measure(&mut self, job: &Job, settings: &Settings) -> Result<Scaler, TrainError> {
        let classes = match settings.outputs {
            1 => 2 * usize::from(settings.is_binary()),
            classes => classes,
        };
        let mut moments = Moments::new(self.columns(), classes);
        let mut sample = Sample::default();
        let mut batch = DMatrix::new();
        let mut pass = self.train.pass(Order::Shuffled { seed: settings.seed })?;
        while moments.rows() < settings.scaling.sample_rows && pass.next(&mut batch)? {
            settings.check_labels("train", batch.labels())?;
            let room = settings.scaling.sample_rows - moments.rows();
            let count = batch.rows().min(usize::try_from(room).unwrap_or(usize::MAX));
            moments.add(&batch, count);
            sample.add(&batch, count);
            if self.first.is_empty() {
                self.first = batch.clone();
            }
        }
        drop(pass);
        if let Some(validation) = &mut self.validation {
            sample = Sample::default();
            let mut pass = validation.pass(Order::AsRead)?;
            let mut rows = 0;
            while rows < crate::training::SAMPLE_ROWS_MAX && pass.next(&mut batch)? {
                settings.check_labels("validation", batch.labels())?;
                sample.add(&batch, batch.rows());
                rows += batch.rows();
            }
        }
        self.sample = sample.finish();
        moments.finish(settings, &job.cluster)
    }
}

/// Runs the epochs that are left; whether a stop was asked for.
fn run(
    job: &Job,
    settings: &Settings,
    scaler: &Scaler,
    fingerprint: &str,
    training: &mut Training<'_>,
    data: &mut Data,
) -> Result<bool, TrainError> {
    let progress = job.log.progress(u64::from(settings.epochs));
    while training.progress.epochs_done < settings.epochs && !training.is_at_rest() {
        let (epoch, started_s, started) = (training.progress.epochs_done, now_s(), Instant::now());
        if job.cluster.size() == 1 && job.stop.is_asked_for() && epoch > 0 {
            return Ok(true);
        }
        let seen = training.epoch(&mut data.train)?;
        // After a stop there may be no time for a whole channel.
        let validation = data.validation.as_mut().filter(|_| !seen.is_stopped);
        let has_validation = validation.is_some();
        let judged = training.judge(validation, &data.sample)?;
        let model = training.end_epoch(&judged)?;
        let told = Told { job, settings, epoch, model, has_validation };
        told.tell(&seen, &judged, started_s);
        job.log.throughput(seen.rows, started.elapsed().as_secs_f64());
        progress.inc(1);
        if job.checkpoints.are_kept() {
            job.checkpoints.save(CHECKPOINT, &state::write(fingerprint, scaler, training.save()))?;
        }
        if seen.is_stopped {
            return Ok(true);
        }
    }
    progress.finish_and_clear();
    if training.is_at_rest() && training.progress.epochs_done < settings.epochs {
        job.log.info(&format!(
            "Early stop condition met. Stopping training after {} epochs.",
            training.progress.epochs_done
        ));
    }
    Ok(false)
}

/// The lines of one epoch.
struct Told<'a> {
    job: &'a Job,
    settings: &'a Settings,
    epoch: u32,
    /// The best of the epoch.
    model: usize,
    has_validation: bool,
}

impl Told<'_> {
    fn tell(&self, seen: &Seen, judged: &Judged, started_s: f64) {
        let (log, objective) = (&self.job.log, self.settings.loss.objective());
        let names = [format!("train_{objective}"), format!("validation_{objective}")];
        let names = if self.has_validation { &names[..] } else { &names[..1] };
        for (model, (train, other)) in seen.losses.iter().zip(&judged.losses).enumerate() {
            // Models at rest have none.
            if train.is_finite() {
                let numbers = names.iter().map(String::as_str).zip([*train, *other]);
                // Numbers that are not finite have no place in JSON.
                let numbers: Vec<(&str, f64)> = numbers.filter(|(_, value)| value.is_finite()).collect();
                let parts = [("epoch", u64::from(self.epoch)), ("model", model as u64)];
                log.metrics_of(ALGORITHM, "training", &parts, started_s, &numbers);
            }
        }
        let (train, other) = (seen.losses[self.model], judged.losses[self.model]);
        log.epoch_quality(self.epoch, "train", objective, MetricKind::Loss, train);
        if self.has_validation {
            log.epoch_quality(self.epoch, "validation", objective, MetricKind::Loss, other);
        }
        log.info(&format!(
            "#early_stopping_criteria_metric: host={}, epoch={}, criteria={}, value={}",
            log.host(),
            self.epoch,
            self.settings.criterion.name(objective),
            judged.values[self.model]
        ));
        log.completed(100.0 * f64::from(self.epoch + 1) / f64::from(self.settings.epochs));
    }
}

/// What a checkpoint must be of: everything given but the number of epochs, and the number of hosts.
fn fingerprint(job: &Job, values: &Hyperparameters) -> String {
    let given = values.all_given().filter(|(name, _)| *name != "epochs");
    let mut words: Vec<String> = given.map(|(name, value)| format!("{name}={value}")).collect();
    words.push(format!("hosts={}", job.cluster.size()));
    words.join(" ")
}

/// Takes up host 0's checkpoint, if there is one: all hosts then begin at the same step.
fn go_on(
    job: &Job,
    fingerprint: &str,
    scaler: &Scaler,
    training: &mut Training<'_>,
) -> Result<(), TrainError> {
    let kept = if job.cluster.is_root() { job.checkpoints.load(CHECKPOINT)? } else { None };
    let kept = job.cluster.broadcast(kept.unwrap_or_default())?;
    if kept.is_empty() {
        return Ok(());
    }
    state::read(&kept, fingerprint, scaler, &mut training.progress)?;
    training.go_on();
    job.log.info(&format!("going on after {} epochs of a checkpoint", training.progress.epochs_done));
    Ok(())
}

fn describe(job: &Job, data: &Data, candidates: &[Candidate]) {
    let rows = data.train.count().map_or_else(|| "unknown".to_owned(), |rows| rows.to_string());
    job.log.info(&format!("train: {rows} rows of {} features", data.columns()));
    if let Some(rows) = data.validation.as_ref().and_then(Rows::count) {
        job.log.info(&format!("validation: {rows} rows"));
    }
    job.log.info(&format!("models trained at once: {}", candidates.len()));
}
