//! `clary-train`: trains a model, by hand (`clary-train xgboost --train FILE …`) or as a SageMaker training container
//! (`train`, `clary-train train`).
//!
//! `arguments` and `contract` say what is asked for; the algorithm's crate fits it.

mod arguments;
mod by_hand;
mod chart;
mod contract;
mod download;
mod machine;
mod measures;
mod report;
mod run;
mod scored;
mod split;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use estimator::{Cluster, Estimator, Job, Log, Stop, TrainError};

use crate::arguments::{Arguments, CONTAINER_WORD};
use crate::contract::Contract;

/// The algorithms that can be trained.
const ESTIMATORS: &[Estimator] = &[
    fit_xgboost::ESTIMATOR,
    fit_linear_learner::ESTIMATOR,
    fit_kmeans::ESTIMATOR,
    fit_pca::ESTIMATOR,
    fit_randomcutforest::ESTIMATOR,
    fit_knn::ESTIMATOR,
    fit_factorization_machines::ESTIMATOR,
    fit_lda::ESTIMATOR,
];

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The host of a training by hand.
const ONLY_HOST: &str = "algo-1";

/// What the container contract asks of a word that is not known.
const EXIT_UNKNOWN_WORD: u8 = 64;

fn main() -> ExitCode {
    let command = Arguments::command().after_help(format!(
        "Algorithms: {}\n\nExit codes: 0 done, 1 training failed, 2 a hyperparameter or the data is wrong, 3 an internal \
         fault, 64 an unknown word, 143 stopped before a model existed.",
        names()
    ));
    let matched = command.try_get_matches_from(words(std::env::args_os().collect()));
    let arguments = match matched.and_then(|matched| Arguments::from_arg_matches(&matched)) {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { EXIT_UNKNOWN_WORD } else { 0 });
        }
    };
    if arguments.word == CONTAINER_WORD {
        return in_container(&arguments);
    }
    let Some(estimator) = estimator(&arguments.word) else {
        eprintln!("unknown word {:?}: expected {CONTAINER_WORD}, {}", arguments.word, names());
        return ExitCode::from(EXIT_UNKNOWN_WORD);
    };
    if arguments.list_hyperparameters {
        Log::new(ONLY_HOST).line(&by_hand::list_hyperparameters(estimator));
        return ExitCode::SUCCESS;
    }
    finish(train_by_hand(&arguments, estimator))
}

/// The names of the algorithms, for people.
fn names() -> String {
    ESTIMATORS.iter().map(|estimator| estimator.name).collect::<Vec<_>>().join(", ")
}

/// A program that is called `train` is in the container, whether or not the word follows.
fn words(mut words: Vec<OsString>) -> Vec<OsString> {
    let name = words.first().and_then(|path| Path::new(path).file_name());
    let is_train = name.is_some_and(|name| name == CONTAINER_WORD);
    if is_train && words.get(1).is_none_or(|word| word != CONTAINER_WORD) {
        words.insert(1, CONTAINER_WORD.into());
    }
    words
}

/// The algorithm of that name.
fn estimator(name: &str) -> Option<&'static Estimator> {
    ESTIMATORS.iter().find(|estimator| estimator.name == name)
}

/// Trains what the flags describe and writes `model.tar.gz`.
fn train_by_hand(arguments: &Arguments, estimator: &Estimator) -> Result<(), TrainError> {
    let mut asked = arguments.by_hand(estimator, ONLY_HOST)?;
    let job = Job {
        hyperparameters: std::mem::take(&mut asked.hyperparameters),
        channels: std::mem::take(&mut asked.channels),
        model: asked.model.take(),
        cluster: Cluster::single(),
        checkpoints: std::mem::take(&mut asked.checkpoints),
        resources: arguments.resources()?,
        native: arguments.library_search(),
        stop: listen()?,
        log: Log::new(ONLY_HOST),
    };
    by_hand::train(estimator, &asked, job)
}

/// Trains what the contract's files describe; a failure is left where the platform reads it.
fn in_container(arguments: &Arguments) -> ExitCode {
    let contract = Contract::new(&arguments.base_dir);
    let outcome = train_in_container(arguments, &contract);
    if let Err(error) = &outcome
        && let Err(fault) = contract.write_failure(error)
    {
        eprintln!("the failure file cannot be written: {fault}");
    }
    finish(outcome)
}

fn train_in_container(arguments: &Arguments, contract: &Contract) -> Result<(), TrainError> {
    let estimator = estimator(&arguments.algorithm).ok_or_else(|| {
        TrainError::client(format!("unknown algorithm {:?}: expected {}", arguments.algorithm, names()))
    })?;
    let hosts = contract.hosts()?;
    let channels = contract.channels(estimator)?;
    let job = Job {
        hyperparameters: contract.hyperparameters()?,
        channels,
        model: contract.earlier_model(),
        checkpoints: contract.checkpoints(hosts.name())?,
        resources: arguments.resources()?,
        native: arguments.library_search(),
        stop: listen()?,
        log: Log::new(hosts.name()),
        // Last: the others wait only for a host that can train.
        cluster: hosts.meet(arguments.collective_address(), arguments.job_name())?,
    };
    let fitted = run::fit(estimator, &job)?;
    // All hosts have the same model, and the platform puts what they write into one archive.
    if !job.cluster.is_root() {
        return Ok(());
    }
    fitted.write_outputs(&contract.output_folder())?;
    fitted.write_members(&contract.model_folder())
}

fn listen() -> Result<Stop, TrainError> {
    Stop::on_signals()
        .map_err(|error| TrainError::Internal(format!("signals cannot be listened to: {error}")))
}

fn finish(outcome: Result<(), TrainError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_name_may_be_the_word() {
        let check = |given: &[&str], expected: &[&str]| {
            let found = words(given.iter().map(OsString::from).collect());
            assert_eq!(found, expected.iter().map(OsString::from).collect::<Vec<_>>());
        };
        check(&["/usr/bin/train"], &["/usr/bin/train", "train"]);
        check(&["train", "train"], &["train", "train"]);
        check(&["clary-train", "train"], &["clary-train", "train"]);
        check(&["clary-train", "xgboost", "--out", "o"], &["clary-train", "xgboost", "--out", "o"]);
    }
}
