//! A booster between its rounds: configured, trained round by round, measured, stopped early, kept for a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use estimator::{Hyperparameters, Job, TrainError};

use crate::booster::{Booster, Metric, Watched};
use crate::earlier::Earlier;
use crate::ffi::{Library, LibraryError};
use crate::metric;
use crate::rounds::{Best, EarlyStopping, metric_line};
use crate::state::State;

/// A checkpoint is written once this many times its own cost has passed since the last. Reason: it then costs training a
/// twentieth, however large the model grows, and small models are kept every round.
const CHECKPOINT_REST: u32 = 20;

/// Under which name the state is kept.
const STATE: &str = "state";

/// A booster between its rounds.
#[derive(Debug)]
pub(crate) struct Training<'a> {
    job: &'a Job,
    values: &'a Hyperparameters,
    library: &'a Arc<Library>,
    /// Train first, then validation.
    watched: &'a [Watched],
    booster: Booster,
    own_metrics: Vec<&'a str>,
    stopping: Option<EarlyStopping>,
    /// gblinear with early stopping: the file of the best round, since its rounds cannot be cut off.
    best_file: Option<Vec<u8>>,
    /// Rounds of the model that this one goes on from.
    rounds_before: u32,
    rounds_done: u32,
    /// The metrics of the best round under early stopping, else of the last.
    kept: Vec<Metric>,
    kept_at: Option<(Instant, Duration)>,
    was_stopped: bool,
}

impl<'a> Training<'a> {
    /// A booster without rounds, or with those of `earlier`.
    pub(crate) fn new(
        job: &'a Job,
        values: &'a Hyperparameters,
        library: &'a Arc<Library>,
        watched: &'a [Watched],
        earlier: Option<&Earlier>,
    ) -> Result<Self, TrainError> {
        let mut booster = Booster::new(library, watched)?;
        if let Some(earlier) = earlier {
            booster.load(&earlier.file)?;
        }
        let is_update = values.word("process_type") == "update";
        let names = metric::names(values);
        let followed = metric::tuned(values).or(names.last().copied());
        let patience = values.integer("early_stopping_rounds");
        let mut training = Self {
            job,
            values,
            library,
            watched,
            booster,
            own_metrics: names.into_iter().filter(|name| metric::is_own(name)).collect(),
            stopping: patience.map(|patience| EarlyStopping::new(followed, patience as u32)),
            best_file: None,
            rounds_before: earlier.filter(|_| !is_update).map_or(0, |earlier| earlier.rounds),
            rounds_done: 0,
            kept: Vec::new(),
            kept_at: None,
            was_stopped: false,
        };
        training.configure()?;
        Ok(training)
    }

    fn configure(&mut self) -> Result<(), LibraryError> {
        let (values, booster) = (self.values, &mut self.booster);
        // The old name is the same objective, and newer libraries do not know it.
        let objective = values.word("objective");
        let objective = if objective == "reg:linear" { "reg:squarederror" } else { objective };
        booster.set_parameter("objective", objective)?;
        booster.set_parameter("nthread", &threads(self.job, values).to_string())?;
        if values.word("process_type") == "update" {
            booster.set_parameter("process_type", "update")?;
            booster.set_parameter("refresh_leaf", values.word("refresh_leaf"))?;
            booster.set_parameter("updater", values.given("updater").unwrap_or("refresh"))?;
        } else {
            // A GPU is not asked for: `gpu_hist` is the CPU's `hist`.
            let method = values.word("tree_method");
            booster.set_parameter("tree_method", if method == "gpu_hist" { "hist" } else { method })?;
            if let Some(updaters) = values.given("updater") {
                booster.set_parameter("updater", updaters)?;
            }
        }
        if self.job.checkpoints.are_kept() {
            booster.set_parameter("seed_per_iteration", "true")?;
        }
        for (name, value) in values.for_library() {
            booster.set_parameter(name, value)?;
        }
        for name in metric::names(values).iter().filter(|name| !metric::is_own(name)) {
            booster.set_parameter("eval_metric", name)?;
        }
        Ok(())
    }

    /// Goes on where a training of the same job was killed, if it was. Host 0's state is that of all.
    pub(crate) fn resume(&mut self, made_of: &BTreeMap<String, String>) -> Result<(), TrainError> {
        if !self.job.checkpoints.are_kept() {
            return Ok(());
        }
        let own = match self.job.cluster.is_root() {
            true => self.job.checkpoints.load(STATE)?.unwrap_or_default(),
            false => Vec::new(),
        };
        let bytes = self.job.cluster.broadcast(own)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let state = State::from_bytes(&bytes)?;
        state.check_made_of(made_of)?;
        self.booster.load(&state.file)?;
        // Loading a model forgets what was set.
        self.configure()?;
        (self.rounds_done, self.kept, self.best_file) = (state.rounds_done, state.kept, state.best_file);
        if let Some(stopping) = &mut self.stopping {
            stopping.resume(state.best);
        }
        self.job.log.info(&format!("going on after {} rounds from a checkpoint", self.rounds_done));
        Ok(())
    }

    /// Runs the rounds that are left.
    ///
    /// # Errors
    /// When XGBoost refuses, a host is gone, or a stop request comes before the first round is done.
    pub(crate) fn run(&mut self, made_of: &BTreeMap<String, String>) -> Result<(), TrainError> {
        let rounds = self.values.integer("num_round").expect("it is required") as u32;
        let (log, progress) = (&self.job.log, self.job.log.progress(u64::from(rounds)));
        progress.set_position(u64::from(self.rounds_done));
        while self.rounds_done < rounds && !self.has_ended() {
            if self.job.cluster.any(self.job.stop.is_asked_for())? {
                log.line(&format!("stopping after {} rounds, as asked", self.rounds_done));
                self.was_stopped = true;
                break;
            }
            self.round()?;
            progress.inc(1);
            self.keep(made_of)?;
        }
        progress.finish_and_clear();
        if self.has_ended() {
            log.line(&format!(
                "stopping early: the best round is {}",
                self.best().map_or(0, |best| best.round)
            ));
        }
        let is_refused = self.was_stopped && self.values.flag("save_model_on_termination") == Some(false);
        if self.rounds_done == 0 || is_refused { Err(TrainError::Stopped) } else { Ok(()) }
    }

    fn round(&mut self) -> Result<(), TrainError> {
        let round = self.rounds_before + self.rounds_done;
        self.booster.update(round, &self.watched[0])?;
        self.rounds_done += 1;
        let metrics = self.measure(round)?;
        self.job.log.line(&metric_line(round, &metrics));
        for metric in &metrics {
            self.job.log.record(&metric.channel, &metric.name, metric.value);
            self.job.log.curve_point(&metric.channel, &metric.name, round, metric.value);
        }
        let before = self.best().map(|best| best.round);
        if let Some(stopping) = &mut self.stopping {
            stopping.observe(round, &metrics);
        }
        let best = self.best().map(|best| best.round);
        if best.is_none() || best != before {
            if best.is_some() && self.values.word("booster") == "gblinear" {
                self.best_file = Some(self.booster.save(self.format())?);
            }
            self.kept = metrics;
        }
        Ok(())
    }

    /// All metrics of `round`, channel by channel: the library's, then ours.
    fn measure(&mut self, round: u32) -> Result<Vec<Metric>, TrainError> {
        let from_library = self.booster.evaluate(round, self.watched)?;
        if self.own_metrics.is_empty() {
            return Ok(from_library);
        }
        let mut metrics = Vec::new();
        for watched in self.watched {
            let margins = self.booster.margins(watched)?;
            metrics.extend(from_library.iter().filter(|metric| metric.channel == watched.channel()).cloned());
            for name in &self.own_metrics {
                metrics.push(Metric {
                    channel: watched.channel().into(),
                    name: (*name).into(),
                    value: metric::measure(name, &margins, watched.labels(), &self.job.cluster)?,
                });
            }
        }
        Ok(metrics)
    }

    /// Keeps the state for a restart, unless the last time was too costly to do it again so soon.
    fn keep(&mut self, made_of: &BTreeMap<String, String>) -> Result<(), TrainError> {
        let is_rested = |(at, cost): (Instant, Duration)| at.elapsed() >= cost * CHECKPOINT_REST;
        let is_due = self.kept_at.is_none_or(is_rested);
        if !self.job.checkpoints.are_kept() || !self.job.cluster.is_root() || !is_due {
            return Ok(());
        }
        let started = Instant::now();
        let state = State {
            made_of: made_of.clone(),
            rounds_done: self.rounds_done,
            best: self.best().cloned(),
            kept: self.kept.clone(),
            file: self.booster.save("ubj")?,
            best_file: self.best_file.clone(),
        };
        self.job.checkpoints.save(STATE, &state.to_bytes())?;
        self.kept_at = Some((Instant::now(), started.elapsed()));
        Ok(())
    }

    fn best(&self) -> Option<&Best> {
        self.stopping.as_ref().and_then(EarlyStopping::best)
    }

    /// Whether early stopping says so.
    fn has_ended(&self) -> bool {
        let last = (self.rounds_before + self.rounds_done).checked_sub(1);
        last.is_some_and(|last| self.stopping.as_ref().is_some_and(|stopping| stopping.has_ended(last)))
    }

    fn format(&self) -> &str {
        self.values.word("model_format")
    }

    /// The metrics of the best round under early stopping, else of the last.
    pub(crate) fn metrics(&self) -> &[Metric] {
        &self.kept
    }

    /// The model: all rounds, or those to the best one under early stopping.
    pub(crate) fn best_booster(&mut self) -> Result<Option<Booster>, TrainError> {
        let Some(best) = self.best().cloned() else { return Ok(None) };
        let mut booster = match &self.best_file {
            Some(file) => {
                let mut booster = Booster::new(self.library, &[])?;
                booster.load(file)?;
                booster
            }
            None => self.booster.first_rounds(best.round + 1)?,
        };
        booster.set_attribute("best_iteration", &best.round.to_string())?;
        booster.set_attribute("best_score", &best.value.to_string())?;
        Ok(Some(booster))
    }

    /// The model's file, and what it answers for `watched`, if that is asked.
    pub(crate) fn finish(mut self, watched: Option<&Watched>) -> Result<(Vec<u8>, Vec<f32>), TrainError> {
        let booster = self.best_booster()?;
        let booster = booster.as_ref().unwrap_or(&self.booster);
        let answers = watched.map(|watched| booster.predict(watched)).transpose()?.unwrap_or_default();
        Ok((booster.save(self.format())?, answers))
    }
}

/// Threads that XGBoost may use.
pub(crate) fn threads(job: &Job, values: &Hyperparameters) -> usize {
    values.whole("nthread").unwrap_or(job.resources.threads)
}
