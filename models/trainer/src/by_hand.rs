//! Training by hand: rows are fetched, split, trained on and scored by the artifact that was written, and the model is put
//! together as `--aggregate` asks.

use std::fs;
use std::path::{Path, PathBuf};

use estimator::{Channel, Estimator, Fitted, Job, TrainError};
use serde_json::json;

use crate::arguments::{Aggregate, ByHand};
use crate::measures;
use crate::report::{self, HeldRow, Report};
use crate::run;
use crate::scored::{Scored, Scorer, Task};
use crate::split::{Amount, Parts};

/// The member of an XGBoost artifact; with a number behind it, one of an ensemble.
const XGBOOST_MEMBER: &str = "xgboost-model";

/// Where the algorithm's own files go when the report has a `predictions.csv` of its own beside the model.
const OWN_OUTPUTS: &str = "data";

/// Trains what `asked` describes and writes model, metrics and charts into its folder.
///
/// # Errors
/// Those of the algorithm, of the data and of the flags.
pub(crate) fn train(estimator: &Estimator, asked: &ByHand, mut job: Job) -> Result<(), TrainError> {
    fs::create_dir_all(&asked.out).map_err(|error| TrainError::io(&asked.out, &error))?;
    let scratch = asked.scratch.path().to_path_buf();
    let mut training = Training { estimator, asked, scratch, report: Report::default(), scored: Vec::new() };
    training.report.facts.insert("algorithm".into(), json!(estimator.name));
    training.report.facts.insert("hyperparameters".into(), json!(job.hyperparameters));
    let train = job.train()?.clone();
    let Trained { fitted, scorer, task } = match asked.split {
        None => training.whole(&job)?,
        Some(split) => {
            let parts = split.parts(&train, &job)?;
            training.say_split(&parts);
            match split.amount {
                Amount::Share(_) => training.held_out(&mut job, &parts[0])?,
                Amount::Folds(_) => training.folds(&mut job, &train, &parts)?,
            }
        }
    };
    training.score_others(&job, &fitted, scorer)?;
    let path = fitted.write_archive(&asked.out)?;
    training.report.summarise_folds();
    training.report.write(&asked.out, &job.log)?;
    let held = training.scored.first().map(|(scored, _)| (scored, task));
    report::write_charts(&asked.out, &job.log, held)?;
    // The algorithm's own predictions keep their name only where no held rows were scored.
    let own_folder = if training.scored.is_empty() { asked.out.clone() } else { asked.out.join(OWN_OUTPUTS) };
    fitted.write_outputs(&own_folder)?;
    report::write_predictions(&asked.out, &training.scored)?;
    let table = training.report.table();
    if !table.is_empty() {
        job.log.line(&table);
    }
    job.log.line(&format!("wrote {}", path.display()));
    Ok(())
}

/// A model that came out.
struct Trained {
    fitted: Fitted,
    /// The same as a server loads it, where something was scored by it.
    scorer: Option<Scorer>,
    task: Task,
}

struct Training<'a> {
    estimator: &'a Estimator,
    asked: &'a ByHand,
    scratch: PathBuf,
    report: Report,
    /// The held rows of every run.
    scored: Vec<(Scored, Vec<HeldRow>)>,
}

impl Training<'_> {
    /// One run over all rows.
    fn whole(&mut self, job: &Job) -> Result<Trained, TrainError> {
        let fitted = run::fit(self.estimator, job)?;
        let scorer = self.scorer(&fitted)?;
        self.measure("train", &scorer, job.train()?, job)?;
        Ok(Trained { fitted, task: scorer.task(), scorer: Some(scorer) })
    }

    /// One run over a part; the rest is watched and measured.
    fn held_out(&mut self, job: &mut Job, parts: &Parts) -> Result<Trained, TrainError> {
        let (fitted, scorer) = self.run_part(job, parts)?;
        self.measure("train", &scorer, &parts.train, job)?;
        let scored = self.measure("held", &scorer, &parts.held, job)?;
        self.keep(scored, parts, 0);
        Ok(Trained { fitted, task: scorer.task(), scorer: Some(scorer) })
    }

    /// A run a fold, and one model of them.
    fn folds(&mut self, job: &mut Job, train: &Channel, runs: &[Parts]) -> Result<Trained, TrainError> {
        let mut models = Vec::new();
        let mut task = Task::Nothing;
        for (fold, parts) in runs.iter().enumerate() {
            job.log.line(&format!("fold {fold} of {}", runs.len()));
            let (fitted, scorer) = self.run_part(job, parts)?;
            task = scorer.task();
            let scored = self.measure(&format!("fold {fold}"), &scorer, &parts.held, job)?;
            self.keep(scored, parts, fold);
            models.push(fitted);
            if job.stop.is_asked_for() {
                return Err(TrainError::Stopped);
            }
        }
        let (fitted, scorer) = match self.asked.aggregate {
            Aggregate::Refit => {
                job.log.line("all rows");
                self.place(job, train.clone(), None);
                (run::fit(self.estimator, job)?, None)
            }
            Aggregate::Best => (models.swap_remove(self.best_fold()?), None),
            Aggregate::EnsembleMean | Aggregate::Vote => {
                let (fitted, scorer) = self.ensemble(models)?;
                (fitted, Some(scorer))
            }
        };
        Ok(Trained { fitted, scorer, task })
    }

    /// Trains on one side of `parts` and loads what came out.
    fn run_part(&self, job: &mut Job, parts: &Parts) -> Result<(Fitted, Scorer), TrainError> {
        self.place(job, parts.train.clone(), Some(parts.held.clone()));
        let fitted = run::fit(self.estimator, job)?;
        let scorer = self.scorer(&fitted)?;
        Ok((fitted, scorer))
    }

    /// The channels of a run; what is held is watched where the algorithm has a channel for it.
    fn place(&self, job: &mut Job, train: Channel, held: Option<Channel>) {
        job.channels.insert("train".into(), train);
        if let Some(rule) = self.estimator.channel("validation") {
            job.channels.remove(rule.name);
            let watched = held.map(|held| Channel { name: rule.name, labels: rule.labels, ..held });
            job.channels.extend(watched.map(|watched| (rule.name.to_owned(), watched)));
        }
    }

    /// The channels that were given beside `train`.
    fn score_others(&mut self, job: &Job, fitted: &Fitted, scorer: Option<Scorer>) -> Result<(), TrainError> {
        if self.asked.others.is_empty() {
            return Ok(());
        }
        let scorer = scorer.map_or_else(|| self.scorer(fitted), Ok)?;
        for channel in &self.asked.others {
            let scored = self.measure(channel.name, &scorer, channel, job)?;
            if self.scored.is_empty() && !scored.fields.is_empty() {
                let rows = 0..scored.fields.first().map_or(0, |(_, width, values)| values.len() / width);
                let rows = rows.map(|row| HeldRow { place: row, fold: 0, at: row }).collect();
                self.scored.push((scored, rows));
            }
        }
        Ok(())
    }

    fn scorer(&self, fitted: &Fitted) -> Result<Scorer, TrainError> {
        Scorer::open(&fitted.write_archive(&self.scratch)?, &self.scratch.join("unpacked"))
    }

    /// Scores `rows` and adds what is measured; nothing once a stop is asked for, since the model matters more.
    fn measure(
        &mut self,
        name: &str,
        scorer: &Scorer,
        rows: &Channel,
        job: &Job,
    ) -> Result<Scored, TrainError> {
        match scorer.score(rows, job) {
            Ok(scored) => {
                self.report.add(name, scored.metrics(scorer.task()));
                Ok(scored)
            }
            Err(TrainError::Stopped) => {
                job.log.line(&format!("{name}: not measured, since a stop was asked for"));
                Ok(Scored::default())
            }
            Err(error) => Err(error),
        }
    }

    fn keep(&mut self, scored: Scored, parts: &Parts, fold: usize) {
        if scored.fields.is_empty() {
            return;
        }
        let places = parts.held_marks.iter().enumerate().filter(|(_, held)| **held);
        let rows = places.enumerate().map(|(at, (place, _))| HeldRow { place, fold, at }).collect();
        self.scored.push((scored, rows));
    }

    fn say_split(&mut self, parts: &[Parts]) {
        let digests: Vec<&str> = parts.iter().map(|parts| parts.held_sha256.as_str()).collect();
        self.report.facts.insert("held_rows_sha256".into(), json!(digests));
        let split =
            self.asked.split.map(|split| (split.amount.to_string(), format!("{:?}", split.by), split.seed));
        if let Some((amount, by, seed)) = split {
            self.report.facts.insert("split".into(), json!({"amount": amount, "by": by, "seed": seed}));
        }
    }

    /// The fold whose held rows were answered best, by the first metric.
    fn best_fold(&self) -> Result<usize, TrainError> {
        let folds = self.report.parts.iter().filter(|(name, _)| name.starts_with("fold"));
        let values: Vec<(&str, f64)> = folds.filter_map(|(_, metrics)| metrics.first().copied()).collect();
        let better =
            |(name, value): &(&str, f64)| if measures::more_is_better(name) { *value } else { -*value };
        let best = (0..values.len()).rev().max_by(|a, b| better(&values[*a]).total_cmp(&better(&values[*b])));
        best.ok_or_else(|| {
            let name = self.estimator.name;
            TrainError::client(format!(
                "--aggregate best: {name} has no metric that folds are compared by; use refit"
            ))
        })
    }

    /// The models of all folds in one artifact, which answers their mean or, for classes, what most of them say.
    fn ensemble(&self, models: Vec<Fitted>) -> Result<(Fitted, Scorer), TrainError> {
        let name = self.estimator.name;
        if name != "xgboost" {
            return Err(TrainError::client(format!(
                "--aggregate: expected refit or best with {name} (only XGBoost artifacts hold several models)"
            )));
        }
        let mut models = models.into_iter().enumerate();
        let (_, mut whole) = models.next().expect("there are at least two folds");
        let objective = whole.manifest.hyperparameters.get("objective").and_then(|value| value.as_str());
        let votes = matches!(objective, Some("multi:softmax" | "binary:hinge"));
        if votes != (self.asked.aggregate == Aggregate::Vote) {
            let (expected, objective) =
                (if votes { "vote" } else { "ensemble_mean" }, objective.unwrap_or("reg:squarederror"));
            return Err(TrainError::client(format!(
                "--aggregate: expected {expected} with objective {objective}"
            )));
        }
        let number = |members: &mut Vec<(String, Vec<u8>)>, fold: usize| {
            for (member, _) in members.iter_mut().filter(|(member, _)| member == XGBOOST_MEMBER) {
                *member = format!("{XGBOOST_MEMBER}-{fold}");
            }
        };
        number(&mut whole.members, 0);
        for (fold, mut model) in models {
            number(&mut model.members, fold);
            whole.members.append(&mut model.members);
        }
        let scorer = self.scorer(&whole)?;
        Ok((whole, scorer))
    }
}

/// What `clary-train ALGORITHM --list-hyperparameters` prints: a line a name.
pub(crate) fn list_hyperparameters(estimator: &Estimator) -> String {
    let line = |line: &estimator::Hyperparameter| {
        let default = match (line.is_required, line.default) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => format!("default {default}"),
            (false, None) => "default: see the algorithm".to_owned(),
        };
        let alias = line.alias.map_or_else(String::new, |alias| format!(" ({alias})"));
        format!("{}{alias}: {}; {default}", line.name, line.kind)
    };
    estimator.table.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A folder below the scratch folder that goes when the training ends.
pub(crate) fn scratch_folder(scratch: &Path) -> Result<tempfile::TempDir, TrainError> {
    tempfile::Builder::new()
        .prefix(".clary-train-")
        .tempdir_in(scratch)
        .map_err(|error| TrainError::io(scratch, &error))
}
