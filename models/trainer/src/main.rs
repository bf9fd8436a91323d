//! `clary-train`: trains a model, by hand (`clary-train xgboost --train FILE …`) or as a SageMaker training container
//! (`train`, `clary-train train`).
//!
//! `arguments` and `contract` say what is asked for; the algorithm's crate fits it.

mod arguments;
mod contract;
mod holdout;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use estimator::{Channel, Checkpoints, Cluster, Estimator, Job, Log, Resources, Stop, TrainError};

use crate::arguments::{Arguments, CONTAINER_WORD};
use crate::contract::Contract;

/// The algorithms that can be trained.
const ESTIMATORS: &[Estimator] = &[
    fit_xgboost::ESTIMATOR,
    fit_linear_learner::ESTIMATOR,
    fit_kmeans::ESTIMATOR,
    fit_factorization_machines::ESTIMATOR,
];

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the container contract asks of a word that is not known.
const EXIT_UNKNOWN_WORD: u8 = 64;

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(words(std::env::args_os().collect()));
    if arguments.word == CONTAINER_WORD {
        return in_container(&arguments);
    }
    let Some(estimator) = estimator(&arguments.word) else {
        let names: Vec<&str> = ESTIMATORS.iter().map(|estimator| estimator.name).collect();
        eprintln!("unknown word {:?}: expected {CONTAINER_WORD}, {}", arguments.word, names.join(", "));
        return ExitCode::from(EXIT_UNKNOWN_WORD);
    };
    finish(by_hand(&arguments, estimator))
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
fn by_hand(arguments: &Arguments, estimator: &Estimator) -> Result<(), TrainError> {
    let asked = arguments.by_hand(estimator)?;
    let mut job = job(arguments, asked.hyperparameters, asked.channels)?;
    if let Some(holdout) = asked.holdout {
        let (train, validation) = holdout.split(job.train()?, &job)?;
        job.channels.extend([("train".to_owned(), train), ("validation".to_owned(), validation)]);
    }
    let path = (estimator.fit)(&job)?.write_archive(&asked.out)?;
    job.log.line(&format!("wrote {}", path.display()));
    Ok(())
}

fn job(
    arguments: &Arguments,
    hyperparameters: BTreeMap<String, String>,
    channels: BTreeMap<String, Channel>,
) -> Result<Job, TrainError> {
    Ok(Job {
        hyperparameters,
        channels,
        model: None,
        cluster: Cluster::single(),
        checkpoints: Checkpoints::none(),
        resources: Resources { threads: 1, memory_bytes: 1 << 30, scratch: std::env::temp_dir() },
        native: arguments.library_search(),
        stop: listen()?,
        log: Log::new("algo-1"),
    })
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
    let estimator = estimator(&arguments.algorithm)
        .ok_or_else(|| TrainError::client(format!("unknown algorithm {:?}", arguments.algorithm)))?;
    contract.check_resources()?;
    let channels = contract.channels(estimator)?;
    let job = job(arguments, contract.hyperparameters()?, channels)?;
    (estimator.fit)(&job)?.write_members(&contract.model_folder())
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
