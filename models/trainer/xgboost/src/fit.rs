//! `fit`: channels and hyperparameters in, a model file and its manifest out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use dmatrix::NarrowRows;
use estimator::{Fitted, Hyperparameters, Job, TrainError, created_by};
use models::Manifest;
use models::manifest::Algorithm;
use serde_json::json;

use crate::booster::{Holding, Metric, Watched};
use crate::collect::{Budget, Collected, Held, Layout};
use crate::collective::Hosts;
use crate::earlier::Earlier;
use crate::ffi::{Library, LibraryError};
use crate::training::{Training, threads};
use crate::{data, folds, library, table};

/// The member that SageMaker's container and `Booster.load_model` know.
const MODEL_FILE: &str = "xgboost-model";
/// What models of k-folds answered for the rows that they did not see.
const PREDICTIONS_FILE: &str = "predictions.csv";
/// Hyperparameters that may differ when training goes on from a checkpoint.
const MAY_CHANGE: &[&str] = &["num_round", "nthread", "verbosity"];

impl From<LibraryError> for TrainError {
    fn from(error: LibraryError) -> Self {
        match error {
            LibraryError::Load { .. } | LibraryError::TooOld { .. } | LibraryError::Rows(_) => {
                Self::Internal(error.to_string())
            }
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
    job.log.configuration(&values);
    let library = library::load(&job.native)?;
    let version = library.version();
    job.log.line(&format!("XGBoost {}.{}.{}", version[0], version[1], version[2]));
    let plan = Plan::of(job, &values, version);
    let started = Instant::now();
    let (train, validation) = data::read(job, &values, &plan.budget, plan.layout)?;
    let (read_s, started) = (started.elapsed().as_secs_f64(), Instant::now());
    let seen = Seen { columns: train.columns, warm_up: train.warm_up.clone() };
    let run = Run { job, values: &values, library: &library, plan, seen };
    let fitted = match values.given("_kfold") {
        Some(_) => run.folds(train, validation),
        None => run.one(train, validation),
    }?;
    let train_s = started.elapsed().as_secs_f64();
    job.log.info(&format!("time: {read_s:.3} s to read, {train_s:.3} s to train"));
    if let Some(bytes) = peak_bytes() {
        job.log.info(&format!("memory: at most {} MiB were in use", bytes >> 20));
        job.log.record("train", "peak_memory_bytes", bytes as f64);
    }
    Ok(fitted)
}

/// What is decided before the first row is read.
#[derive(Debug)]
struct Plan {
    layout: Layout,
    budget: Budget,
}

impl Plan {
    fn of(job: &Job, values: &Hyperparameters, version: [i32; 3]) -> Self {
        let is_hist = match values.word("tree_method") {
            "hist" | "gpu_hist" => true,
            // Older libraries take the exact method for small data.
            "auto" => version[0] >= 2,
            _ => false,
        };
        let may_page = is_hist
            && values.word("booster") != "gblinear"
            && values.word("process_type") == "default"
            && values.given("updater").is_none()
            && values.given("_kfold").is_none();
        // Bins stand for values where all trees are grown from these rows' own cuts; and groups of rows, or their folds, are
        // cut out of whole rows only.
        let has_bins = may_page && job.model.is_none() && !values.word("objective").starts_with("rank:");
        let layout = if has_bins { Layout::Quantiles } else { Layout::Whole };
        // A fold holds copies of all rows.
        let copies = if values.given("_kfold").is_some() { 2 } else { 1 };
        let budget = Budget {
            memory_bytes: job.resources.memory_bytes / copies,
            layout,
            nodes: nodes(values),
            outputs: values.integer("num_class").unwrap_or(1) as u64,
            max_bin: values.integer("max_bin").expect("it has a default"),
            may_page,
        };
        Self { layout, budget }
    }
}

/// The most nodes whose histograms XGBoost keeps: its own default, `max_cached_hist_node`.
const NODES_MAX: i64 = 1 << 16;

/// Nodes of a tree that have histograms: those above the last level, or two a leaf.
fn nodes(values: &Hyperparameters) -> u64 {
    let depth = values.integer("max_depth").unwrap_or(6);
    let by_depth = if depth == 0 { NODES_MAX } else { 1 << depth.clamp(1, 16) };
    let leaves = values.integer("max_leaves").unwrap_or(0);
    let by_leaves = if leaves == 0 { NODES_MAX } else { leaves.saturating_mul(2) };
    by_depth.min(by_leaves).clamp(1, NODES_MAX) as u64
}

/// What the manifest says of the rows.
struct Seen {
    columns: usize,
    warm_up: Vec<Vec<Option<f32>>>,
}

/// One training, whichever way it goes.
struct Run<'a> {
    job: &'a Job,
    values: &'a Hyperparameters,
    library: &'a Arc<Library>,
    plan: Plan,
    seen: Seen,
}

impl<'a> Run<'a> {
    /// One model.
    fn one(&self, train: Collected, validation: Option<Collected>) -> Result<Fitted, TrainError> {
        let &Self { job, values, library, .. } = self;
        let earlier = Earlier::of(job, values, self.seen.columns)?;
        let made_of = made_of(job, values, &train, validation.as_ref())?;
        let hosts = Hosts::join(library, job)?;
        let mut watched = vec![Watched::new(library, c"train", train, &self.holding(self.plan.layout))?];
        if let Some(rows) = validation {
            watched.push(Watched::new(library, c"validation", rows, &self.holding(Layout::Whole))?);
        }
        let mut training = Training::new(job, values, library, &watched, earlier.as_ref())?;
        training.resume(&made_of)?;
        training.run(&made_of)?;
        let manifest = self.manifest(training.metrics());
        let (file, _) = training.finish(None)?;
        if let Some(hosts) = hosts {
            hosts.leave(job)?;
        }
        Ok(Fitted { manifest, members: vec![(MODEL_FILE.into(), file)], outputs: Vec::new() })
    }

    /// A model for each fold.
    fn folds(&self, train: Collected, validation: Option<Collected>) -> Result<Fitted, TrainError> {
        let &Self { job, values, library, .. } = self;
        if job.cluster.size() > 1 {
            return Err(TrainError::client(format!(
                "hyperparameter _kfold: expected one host, found {}",
                job.cluster.size()
            )));
        }
        if job.model.is_some() {
            return Err(TrainError::client(
                "channel model: expected none with _kfold, which trains each model anew",
            ));
        }
        let all = Watched::new(library, c"train", joined(train, validation)?, &self.holding(Layout::Whole))?;
        let folded = folds::train(job, values, library, &all)?;
        let named = |(index, file)| (format!("{MODEL_FILE}-{index}"), file);
        let members = folded.files.into_iter().enumerate().map(named).collect();
        let outputs = vec![(PREDICTIONS_FILE.into(), folded.predictions.into_bytes())];
        Ok(Fitted { manifest: self.manifest(&folded.metrics), members, outputs })
    }

    fn holding(&self, layout: Layout) -> Holding<'a> {
        Holding {
            layout,
            max_bin: self.plan.budget.max_bin,
            threads: threads(self.job, self.values),
            scratch: &self.job.resources.scratch,
            are_times: self.values.word("objective") == "survival:aft",
        }
    }

    /// What the artifact says of itself.
    fn manifest(&self, metrics: &[Metric]) -> Manifest {
        let measured = metrics.iter().filter(|metric| metric.value.is_finite());
        let hyperparameters = self.values.all_given().map(|(name, value)| (name.into(), json!(value)));
        Manifest {
            feature_dim: Some(self.seen.columns),
            narrow_rows: NarrowRows::Refuse,
            warm_up: self.seen.warm_up.clone(),
            hyperparameters: hyperparameters.collect(),
            metrics: measured
                .map(|metric| (format!("{}:{}", metric.channel, metric.name), json!(metric.value)))
                .collect(),
            created_by: created_by(),
            ..Manifest::new(Algorithm::Xgboost)
        }
    }
}

/// The rows of both channels.
fn joined(mut train: Collected, validation: Option<Collected>) -> Result<Collected, TrainError> {
    let Some(validation) = validation else { return Ok(train) };
    if train.weights.is_empty() != validation.weights.is_empty() {
        return Err(TrainError::client("channel validation: expected weights in both channels or in none"));
    }
    if train.is_sparse() != validation.is_sparse() {
        return Err(TrainError::client(
            "channel validation: expected rows dense or sparse as in the channel train",
        ));
    }
    let (Held::Parts(parts), Held::Parts(more)) = (&mut train.rows, validation.rows) else {
        unreachable!("folds are not paged: the plan says so")
    };
    parts.extend(more);
    train.labels.extend(validation.labels);
    train.weights.extend(validation.weights);
    train.count += validation.count;
    Ok(train)
}

/// What a checkpoint must have been made of, for training to go on from it: on all hosts the same.
fn made_of(
    job: &Job,
    values: &Hyperparameters,
    train: &Collected,
    validation: Option<&Collected>,
) -> Result<BTreeMap<String, String>, TrainError> {
    let given = values.all_given().filter(|(name, _)| !MAY_CHANGE.contains(name));
    let mut made_of: BTreeMap<String, String> =
        given.map(|(name, value)| (format!("hyperparameter {name}"), value.to_owned())).collect();
    let mut rows = [train.count as f64, validation.map_or(0, |rows| rows.count) as f64];
    job.cluster.sum(&mut rows)?;
    let facts = [
        ("hosts", job.cluster.size().to_string()),
        ("features", train.columns.to_string()),
        ("rows of train", rows[0].to_string()),
        ("rows of validation", rows[1].to_string()),
        ("a model to go on from", job.model.is_some().to_string()),
    ];
    made_of.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    Ok(made_of)
}

/// The most memory that this process has had, as Linux counts it.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
