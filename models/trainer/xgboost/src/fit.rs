//! `fit`: channels and hyperparameters in, a model file and its manifest out.

use std::sync::Arc;

use dmatrix::{DMatrix, Missing, NarrowRows, Storage};
use estimator::{Fitted, Hyperparameters, Job, RowRules, TrainError, created_by, warm_up_rows};
use models::Manifest;
use models::manifest::Algorithm;
use serde_json::{Map, Value, json};

use crate::booster::{Booster, Metric, Watched};
use crate::ffi::{Library, LibraryError};
use crate::rounds::{EarlyStopping, metric_line};
use crate::{library, metric, table};

/// The member that SageMaker's container and `Booster.load_model` know.
const MODEL_FILE: &str = "xgboost-model";

impl From<LibraryError> for TrainError {
    fn from(error: LibraryError) -> Self {
        match error {
            LibraryError::Load { .. } => Self::Internal(error.to_string()),
            LibraryError::Refused(_) | LibraryError::Nul(_) => Self::Algorithm(error.to_string()),
        }
    }
}

/// Trains as `job` asks.
///
/// # Errors
/// When a hyperparameter, a channel or a label is not what it should be, XGBoost refuses, or a stop request comes before
/// the first round is done.
pub(crate) fn fit(job: &Job) -> Result<Fitted, TrainError> {
    let values = Hyperparameters::resolve(table::TABLE, &job.hyperparameters)?;
    table::check(&values)?;
    let shown: Map<String, Value> =
        values.all().map(|(name, value)| (name.to_string(), json!(value))).collect();
    job.log.line(&format!("Final configuration: {}", Value::Object(shown)));
    let (train, validation) = read_channels(job, &values)?;
    let library = library::load(&job.native)?;
    let [major, minor, patch] = library.version();
    job.log.line(&format!("XGBoost {major}.{minor}.{patch}"));
    let mut training = Training::new(&library, &values, &train, validation.as_ref())?;
    let metrics = training.run(job)?;
    let file = training.save()?;
    Ok(Fitted { manifest: manifest(&values, &train, metrics), members: vec![(MODEL_FILE.into(), file)] })
}

/// Both channels, equally wide, their labels checked against the objective.
fn read_channels(job: &Job, values: &Hyperparameters) -> Result<(DMatrix, Option<DMatrix>), TrainError> {
    let csv_weights = values.integer("csv_weights") == Some(1);
    let rules = RowRules { columns: None, missing: Missing::Allowed, csv_weights };
    let mut train = job.train()?.read(&rules, job)?;
    let mut validation = job.channel("validation").map(|channel| channel.read(&rules, job)).transpose()?;
    if values.given("early_stopping_rounds").is_some() && validation.is_none() {
        return Err(TrainError::client(
            "hyperparameter early_stopping_rounds: needs the channel validation (or --holdout)",
        ));
    }
    if let Some(validation) = &mut validation {
        agree_on_width(&mut train, validation)?;
    }
    for (name, rows) in [("train", Some(&train)), ("validation", validation.as_ref())] {
        let Some(rows) = rows else { continue };
        check_labels(name, values, rows.labels())?;
        job.log.line(&format!("{name}: {} rows of {} features", rows.rows(), rows.columns()));
    }
    Ok((train, validation))
}

/// Sparse channels get the width of the wider one (a feature may be absent from one of them); dense ones must agree.
fn agree_on_width(train: &mut DMatrix, validation: &mut DMatrix) -> Result<(), TrainError> {
    let (expected, found) = (train.columns(), validation.columns());
    if expected == found {
        return Ok(());
    }
    if train.storage() == Storage::Dense || validation.storage() == Storage::Dense {
        return Err(TrainError::client(format!(
            "channel validation: expected {expected} features as in the channel train, found {found}"
        )));
    }
    let narrow = if expected < found { train } else { validation };
    *narrow = widened(narrow, expected.max(found));
    Ok(())
}

/// The same sparse rows over more features.
fn widened(rows: &DMatrix, columns: usize) -> DMatrix {
    let mut wide = DMatrix::new();
    let parts = wide.begin_sparse();
    parts.indices.extend_from_slice(rows.indices());
    parts.values.extend_from_slice(rows.values());
    parts.offsets.extend_from_slice(&rows.offsets()[1..]);
    wide.finish_sparse(columns);
    wide.labels_mut().extend_from_slice(rows.labels());
    wide.weights_mut().extend_from_slice(rows.weights());
    wide
}

/// Refuses labels that the objective cannot learn from, and names the row: XGBoost would only say that there is one.
fn check_labels(channel: &str, values: &Hyperparameters, labels: &[f32]) -> Result<(), TrainError> {
    let objective = values.text("objective").expect("it has a default");
    let classes = values.integer("num_class").unwrap_or(0) as f32;
    let (expected, is_fit): (String, Box<dyn Fn(f32) -> bool>) = match objective {
        "binary:logistic" | "binary:logitraw" | "reg:logistic" => {
            ("a label in [0, 1]".into(), Box::new(|label| (0.0..=1.0).contains(&label)))
        }
        "binary:hinge" => ("the label 0 or 1".into(), Box::new(|label| label == 0.0 || label == 1.0)),
        "multi:softmax" | "multi:softprob" => (
            format!("a class from 0 to {}", classes - 1.0),
            Box::new(move |label| label >= 0.0 && label < classes && label.fract() == 0.0),
        ),
        "reg:squaredlogerror" => ("a label above -1".into(), Box::new(|label| label > -1.0)),
        "count:poisson" | "reg:tweedie" => ("a label of at least 0".into(), Box::new(|label| label >= 0.0)),
        "reg:gamma" | "survival:aft" => ("a label above 0".into(), Box::new(|label| label > 0.0)),
        _ => return Ok(()),
    };
    match labels.iter().position(|label| !is_fit(*label)) {
        Some(row) => Err(TrainError::client(format!(
            "channel {channel}, row {}: expected {expected} with objective {objective}, found {}",
            row + 1,
            labels[row]
        ))),
        None => Ok(()),
    }
}

/// A booster between its rounds.
struct Training<'a> {
    values: &'a Hyperparameters,
    library: &'a Arc<Library>,
    /// Train first, then validation.
    watched: Vec<Watched>,
    booster: Booster,
    own_metrics: Vec<&'a str>,
    stopping: Option<EarlyStopping>,
    /// gblinear with early stopping: the file of the best round, since its rounds cannot be cut off.
    best_file: Option<Vec<u8>>,
    rounds_done: u32,
}

impl<'a> Training<'a> {
    fn new(
        library: &'a Arc<Library>,
        values: &'a Hyperparameters,
        train: &DMatrix,
        validation: Option<&DMatrix>,
    ) -> Result<Self, TrainError> {
        let mut watched = vec![Watched::new(library, c"train", train)?];
        if let Some(rows) = validation {
            watched.push(Watched::new(library, c"validation", rows)?);
        }
        let objective = values.text("objective").expect("it has a default");
        if objective == "survival:aft" {
            watched.iter().try_for_each(Watched::set_uncensored_times)?;
        }
        let mut booster = Booster::new(library, &watched)?;
        // The old name is the same objective, and newer libraries do not know it.
        booster.set_parameter(
            "objective",
            if objective == "reg:linear" { "reg:squarederror" } else { objective },
        )?;
        // A GPU is not asked for: `gpu_hist` is the CPU's `hist`.
        let method = values.text("tree_method").expect("it has a default");
        booster.set_parameter("tree_method", if method == "gpu_hist" { "hist" } else { method })?;
        for (name, value) in values.for_library() {
            booster.set_parameter(name, value)?;
        }
        let names = metric::names(values);
        for name in names.iter().filter(|name| !metric::is_own(name)) {
            booster.set_parameter("eval_metric", name)?;
        }
        let followed = metric::tuned(values).or(names.last().copied());
        let patience = values.integer("early_stopping_rounds");
        let stopping = patience.map(|patience| EarlyStopping::new(followed, patience as u32));
        let own_metrics = names.into_iter().filter(|name| metric::is_own(name)).collect();
        let (best_file, rounds_done) = (None, 0);
        Ok(Self { values, library, watched, booster, own_metrics, stopping, best_file, rounds_done })
    }

    /// Runs the rounds; gives the last metrics, or the best round's under early stopping.
    fn run(&mut self, job: &Job) -> Result<Vec<Metric>, TrainError> {
        let rounds = self.values.integer("num_round").expect("it is required") as u32;
        let progress = job.log.progress(u64::from(rounds));
        let (mut kept, mut best_round) = (Vec::new(), None);
        for round in 0..rounds {
            if job.stop.is_asked_for() {
                job.log.line(&format!("stopping after {round} rounds, as asked"));
                break;
            }
            self.booster.update(round, &self.watched[0])?;
            self.rounds_done = round + 1;
            let metrics = self.measure(round)?;
            job.log.line(&metric_line(round, &metrics));
            progress.inc(1);
            let ends = self.stopping.as_mut().is_some_and(|stopping| stopping.observe(round, &metrics));
            let best = self.stopping.as_ref().and_then(EarlyStopping::best).map(|best| best.round);
            if best.is_none() || best != best_round {
                self.keep_linear(best)?;
                (kept, best_round) = (metrics, best);
            }
            if ends {
                job.log.line(&format!("stopping early: the best round is {}", best.unwrap_or(round)));
                break;
            }
        }
        progress.finish_and_clear();
        if self.rounds_done == 0 { Err(TrainError::Stopped) } else { Ok(kept) }
    }

    /// All metrics of `round`, channel by channel: the library's, then ours.
    fn measure(&mut self, round: u32) -> Result<Vec<Metric>, TrainError> {
        let from_library = self.booster.evaluate(round, &self.watched)?;
        if self.own_metrics.is_empty() {
            return Ok(from_library);
        }
        let mut metrics = Vec::new();
        for watched in &self.watched {
            let margins = self.booster.margins(watched)?;
            metrics.extend(from_library.iter().filter(|metric| metric.channel == watched.channel()).cloned());
            metrics.extend(self.own_metrics.iter().map(|name| Metric {
                channel: watched.channel().into(),
                name: (*name).into(),
                value: metric::measure(name, &margins, watched.labels()),
            }));
        }
        Ok(metrics)
    }

    /// Keeps a linear booster's file when its best round has just passed.
    fn keep_linear(&mut self, best: Option<u32>) -> Result<(), TrainError> {
        if best.is_some() && self.values.text("booster") == Some("gblinear") {
            self.best_file = Some(self.booster.save(self.format())?);
        }
        Ok(())
    }

    fn format(&self) -> &str {
        self.values.text("model_format").expect("it has a default")
    }

    /// The model file: all rounds, or those to the best one under early stopping.
    fn save(mut self) -> Result<Vec<u8>, TrainError> {
        let Some(best) = self.stopping.as_ref().and_then(EarlyStopping::best).cloned() else {
            return Ok(self.booster.save(self.format())?);
        };
        let mut booster = match self.best_file.take() {
            Some(file) => {
                let mut booster = Booster::new(self.library, &[])?;
                booster.load(&file)?;
                booster
            }
            None => self.booster.first_rounds(best.round + 1)?,
        };
        booster.set_attribute("best_iteration", &best.round.to_string())?;
        booster.set_attribute("best_score", &best.value.to_string())?;
        Ok(booster.save(self.format())?)
    }
}

/// What the artifact says of itself.
fn manifest(values: &Hyperparameters, train: &DMatrix, metrics: Vec<Metric>) -> Manifest {
    let measured = metrics.into_iter().filter(|metric| metric.value.is_finite());
    Manifest {
        feature_dim: Some(train.columns()),
        narrow_rows: NarrowRows::Refuse,
        warm_up: warm_up_rows(train),
        hyperparameters: values.all_given().map(|(name, value)| (name.into(), json!(value))).collect(),
        metrics: measured
            .map(|metric| (format!("{}:{}", metric.channel, metric.name), json!(metric.value)))
            .collect(),
        created_by: created_by(),
        ..Manifest::new(Algorithm::Xgboost)
    }
}
