//! `clary-train`: trains a model, by hand (`clary-train xgboost --train FILE …`) or as a SageMaker training container
//! (`train`, `clary-train train`).
//!
//! `arguments` and `contract` say what is asked for, `job` holds it, one module per algorithm fits it, `fitted` writes
//! what came out.

mod arguments;
mod channel;
mod contract;
mod error;
mod fitted;
mod hyperparameters;
mod job;
mod log;
mod split;
mod stop;
mod xgboost;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, CONTAINER_WORD};
use crate::contract::Contract;
use crate::error::TrainError;
use crate::job::{Algorithm, Job};
use crate::log::Log;
use crate::stop::Stop;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the container contract asks of a word that is not known.
const EXIT_UNKNOWN_WORD: u8 = 64;

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(words(std::env::args_os().collect()));
    if arguments.word == CONTAINER_WORD {
        return in_container(&arguments);
    }
    let Some(algorithm) = Algorithm::from_name(&arguments.word) else {
        let names: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
        eprintln!("unknown word {:?}: expected {CONTAINER_WORD}, {}", arguments.word, names.join(", "));
        return ExitCode::from(EXIT_UNKNOWN_WORD);
    };
    finish(by_hand(&arguments, algorithm))
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

/// Trains what the flags describe and writes `model.tar.gz`.
fn by_hand(arguments: &Arguments, algorithm: Algorithm) -> Result<(), TrainError> {
    let asked = arguments.by_hand(algorithm)?;
    let job = Job {
        hyperparameters: asked.hyperparameters,
        train: asked.train,
        validation: asked.validation,
        holdout: asked.holdout,
        xgboost_library: arguments.library_search(),
        stop: listen()?,
        log: Log,
    };
    let path = algorithm.fit(&job)?.write_archive(&asked.out)?;
    job.log.line(&format!("wrote {}", path.display()));
    Ok(())
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
    let algorithm = Algorithm::from_name(&arguments.algorithm)
        .ok_or_else(|| TrainError::client(format!("unknown algorithm {:?}", arguments.algorithm)))?;
    contract.check_resources()?;
    let channels = contract.channels(algorithm)?;
    let job = Job {
        hyperparameters: contract.hyperparameters()?,
        train: channels.train,
        validation: channels.validation,
        holdout: None,
        xgboost_library: arguments.library_search(),
        stop: listen()?,
        log: Log,
    };
    algorithm.fit(&job)?.write_members(&contract.model_folder())
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
