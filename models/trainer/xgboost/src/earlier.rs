//! An earlier model to go on from: the channel `model`. Rounds are added to it, or its trees are updated.

use std::path::{Path, PathBuf};

use estimator::{Hyperparameters, Job, TrainError};
use models::manifest::Algorithm;
use models::xgboost::booster::{Boosted, Booster};
use models::xgboost::reader;
use models::{Artifact, LoadError};

/// A model that was trained before.
#[derive(Debug)]
pub(crate) struct Earlier {
    /// Its file.
    pub(crate) file: Vec<u8>,
    /// The rounds it has.
    pub(crate) rounds: u32,
}

impl Earlier {
    /// The job's, if it has one, held to what is to be trained over `columns` features.
    ///
    /// # Errors
    /// When it is no XGBoost model, or of another objective, width or number of classes.
    pub(crate) fn of(
        job: &Job,
        values: &Hyperparameters,
        columns: usize,
    ) -> Result<Option<Self>, TrainError> {
        let Some(path) = &job.model else {
            return match values.word("process_type") {
                "update" => {
                    Err(TrainError::client("hyperparameter process_type: update needs the channel model"))
                }
                _ => Ok(None),
            };
        };
        let fault = |error: LoadError| TrainError::client(format!("channel model: {error}"));
        let artifact = Artifact::open(&packed(path), &job.resources.scratch).map_err(fault)?;
        let algorithm = artifact.manifest().algorithm;
        if algorithm != Algorithm::Xgboost {
            return Err(TrainError::client(format!(
                "channel model: expected a model of xgboost, found one of {}",
                algorithm.name()
            )));
        }
        let models = artifact.members().iter().filter(|member| is_model(&member.name)).count();
        if models > 1 {
            return Err(TrainError::client(format!(
                "channel model: expected one model to go on from, found {models} (of an ensemble)"
            )));
        }
        let (name, file) = artifact.read_only_file().map_err(fault)?;
        let booster = reader::read(name, &file).map_err(fault)?;
        check(&booster, values, columns)?;
        if file.starts_with(b"\x80") {
            return Err(TrainError::client(
                "channel model: expected a model in UBJSON or JSON to go on from, found a pickled one",
            ));
        }
        Ok(Some(Self { rounds: rounds(&booster), file }))
    }
}

/// A folder of one archive is that archive.
fn packed(path: &Path) -> PathBuf {
    let archive = path.join("model.tar.gz");
    if archive.is_file() { archive } else { path.to_path_buf() }
}

fn is_model(name: &str) -> bool {
    name.starts_with("xgboost-model")
}

fn check(booster: &Booster, values: &Hyperparameters, columns: usize) -> Result<(), TrainError> {
    let objective = values.word("objective");
    let objective = if objective == "reg:linear" { "reg:squarederror" } else { objective };
    let classes = values.integer("num_class").unwrap_or(0).to_string();
    let name = match &booster.boosted {
        Boosted::Linear(_) => "gblinear",
        Boosted::Trees(trees) if trees.weight_drop.is_empty() => "gbtree",
        Boosted::Trees(_) => "dart",
    };
    // A model of one class says 0 or 1.
    let found_classes = if booster.num_class <= 1 { 0 } else { booster.num_class };
    let facts = [
        ("objective", objective.to_owned(), booster.objective.clone()),
        ("num_class", classes, found_classes.to_string()),
        ("booster", values.word("booster").to_owned(), name.to_owned()),
        ("number of features", columns.to_string(), booster.num_feature.to_string()),
    ];
    match facts.iter().find(|(_, expected, found)| expected != found) {
        Some((what, expected, found)) => Err(TrainError::client(format!(
            "channel model: expected {what} {expected} as in this job, found {found}"
        ))),
        None => Ok(()),
    }
}

/// The rounds of a model of trees; a linear model's do not matter.
fn rounds(booster: &Booster) -> u32 {
    let Boosted::Trees(trees) = &booster.boosted else { return 0 };
    if !trees.iteration_indptr.is_empty() {
        return trees.iteration_indptr.len() as u32 - 1;
    }
    let a_round = trees.num_parallel_tree.max(1) * booster.num_class.max(1);
    trees.trees.len() as u32 / a_round
}
