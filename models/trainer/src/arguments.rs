//! The command line: `train` for the container contract, an algorithm's name to train by hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use estimator::{
    Channel, Checkpoints, Estimator, InputMode, NativeLibraries, Resources, Selection, TrainError,
};

use crate::contract::content_type_of;
use crate::split::{Amount, By, Column, Split};
use crate::{by_hand, download, machine};

/// The most folds. Reason: each is a training; more than a hundred is a mistaken number.
const FOLDS_MAX: usize = 100;

/// The word that stands for the container contract.
pub(crate) const CONTAINER_WORD: &str = "train";

/// Trains a model and writes model.tar.gz; as `train` it is a SageMaker training container.
#[derive(Debug, Parser)]
#[command(name = "clary-train", version)]
pub(crate) struct Arguments {
    /// The algorithm, or `train` for the container contract (configuration and channels below /opt/ml)
    pub(crate) word: String,
    /// Rows to learn from: a file, a folder of files read in sorted order, or s3://bucket/prefix
    #[arg(long, value_name = "SOURCE")]
    train: Option<String>,
    /// Rows to watch
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["holdout", "folds"])]
    validation: Option<String>,
    /// Rows to measure the model by in the end
    #[arg(long, value_name = "SOURCE")]
    test: Option<String>,
    /// What the files hold: text/csv (label first), text/libsvm, application/x-recordio-protobuf
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A hyperparameter; may be given many times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Print the hyperparameters of the algorithm, and what each may be
    #[arg(long)]
    pub(crate) list_hyperparameters: bool,
    /// The folder that model.tar.gz, metrics.json and report.svg are written to
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The share of the rows that is held out, watched and measured
    #[arg(long, value_name = "SHARE")]
    holdout: Option<f64>,
    /// Train as often, each time without one part of the rows, which is measured
    #[arg(long, value_name = "F", conflicts_with = "holdout")]
    folds: Option<usize>,
    /// The column (label, or a feature from 0) whose values are held out in equal shares
    #[arg(long, value_name = "COLUMN", conflicts_with_all = ["group", "time"])]
    stratify: Option<String>,
    /// The column (label, or a feature from 0) whose equal values stay on one side
    #[arg(long, value_name = "COLUMN", conflicts_with = "time")]
    group: Option<String>,
    /// The column (label, or a feature from 0) that says when a row was: what is held out is later
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// The model of the folds
    #[arg(long, value_enum, default_value_t = Aggregate::Refit)]
    aggregate: Aggregate,
    /// Decides which rows are held out
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The folder where training goes on after it was killed
    #[arg(long, value_name = "DIR", conflicts_with = "folds")]
    checkpoints: Option<PathBuf>,
    /// An earlier model to go on from: model.tar.gz or its folder
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// XGBoost's shared object, 1.7 or newer
    #[arg(long, value_name = "FILE", env = "CLARY_XGBOOST_LIB")]
    xgboost_lib: Option<PathBuf>,
    /// The folder of native libraries [default: ~/.cache/clary]
    #[arg(long, value_name = "DIR", env = "CLARY_NATIVE")]
    native_dir: Option<PathBuf>,
    /// Container contract: what stands for /opt/ml
    #[arg(long, value_name = "DIR", env = "SAGEMAKER_BASE_DIR", default_value = "/opt/ml")]
    pub(crate) base_dir: PathBuf,
    /// Threads that compute at once [default: the machine's]
    #[arg(long, value_name = "N", env = "CLARY_THREADS")]
    threads: Option<usize>,
    /// Memory that training may use, in MiB [default: the machine's]
    #[arg(long, value_name = "MIB")]
    memory_mb: Option<u64>,
    /// The same in bytes, as a platform says it
    #[arg(long, hide = true, env = "CLARY_MEMORY_BYTES")]
    memory_bytes: Option<u64>,
    /// Container contract, several hosts: where host 0 listens [default: its name, port 7777]
    #[arg(long, hide = true, env = "CLARY_COLLECTIVE_ADDRESS")]
    collective_address: Option<String>,
    /// Container contract, several hosts: the job's name, which tells its hosts from others
    #[arg(long, hide = true, env = "TRAINING_JOB_NAME", default_value = "")]
    job_name: String,
    /// Container contract: the algorithm
    #[arg(long, value_name = "NAME", env = "CLARY_ALGORITHM", default_value = "xgboost")]
    pub(crate) algorithm: String,
}

/// How the models of the folds become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Aggregate {
    /// All of them, whose answers are averaged
    #[value(name = "ensemble_mean")]
    EnsembleMean,
    /// All of them: the class that most say
    Vote,
    /// Another one over all rows
    Refit,
    /// The one whose held rows were answered best
    Best,
}

/// What a job by hand says of its data and its output.
#[derive(Debug)]
pub(crate) struct ByHand {
    pub(crate) hyperparameters: BTreeMap<String, String>,
    pub(crate) channels: BTreeMap<String, Channel>,
    /// Channels beside `train`, to be measured in the end.
    pub(crate) others: Vec<Channel>,
    pub(crate) split: Option<Split>,
    pub(crate) aggregate: Aggregate,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) model: Option<PathBuf>,
    pub(crate) out: PathBuf,
    /// A folder for this training alone.
    pub(crate) scratch: tempfile::TempDir,
}

impl Arguments {
    /// Where XGBoost's library is looked for.
    pub(crate) fn library_search(&self) -> NativeLibraries {
        NativeLibraries { xgboost: self.xgboost_lib.clone(), folder: self.native_dir.clone() }
    }

    /// What may be used of the machine.
    ///
    /// # Errors
    /// When it is said to be nothing, or too much.
    pub(crate) fn resources(&self) -> Result<Resources, TrainError> {
        let from_flag = self.memory_mb.map(|mib| mib.saturating_mul(1 << 20));
        machine::resources(self.threads, from_flag.or(self.memory_bytes), std::env::temp_dir())
    }

    /// Where host 0 listens, if that is said.
    pub(crate) fn collective_address(&self) -> Option<&str> {
        self.collective_address.as_deref().filter(|address| !address.is_empty())
    }

    /// The job's name.
    pub(crate) fn job_name(&self) -> &str {
        &self.job_name
    }

    /// The job that the flags describe; rows in S3 are fetched.
    ///
    /// # Errors
    /// When a flag is missing or says something that is not permitted, or rows cannot be fetched.
    pub(crate) fn by_hand(&self, estimator: &Estimator, host: &str) -> Result<ByHand, TrainError> {
        let missing = |flag: &str| TrainError::client(format!("{flag} is required to train by hand"));
        let train = self.train.as_deref().ok_or_else(|| missing("--train"))?;
        let out = self.out.clone().ok_or_else(|| missing("--out"))?;
        let (hyperparameters, split) = (self.hyperparameters()?, self.split()?);
        if self.model.is_some() && !estimator.is_incremental {
            let name = estimator.name;
            return Err(TrainError::client(format!("--model: {name} does not go on from an earlier model")));
        }
        let scratch = by_hand::scratch_folder(&std::env::temp_dir())?;
        let mut channels = BTreeMap::new();
        let mut others = Vec::new();
        channels.insert("train".to_owned(), self.channel(estimator, "train", train, scratch.path())?);
        for (name, source) in [("validation", &self.validation), ("test", &self.test)] {
            let Some(source) = source else { continue };
            let channel = self.channel(estimator, name, source, scratch.path())?;
            if estimator.channel(name).is_some() {
                channels.insert(name.to_owned(), channel.clone());
            } else if name == "validation" {
                let algorithm = estimator.name;
                return Err(TrainError::client(format!(
                    "--validation: {algorithm} has no such channel; use --test"
                )));
            }
            others.push(channel);
        }
        let checkpoints =
            self.checkpoints.as_ref().map_or_else(Checkpoints::none, |folder| Checkpoints::new(folder, host));
        Ok(ByHand {
            hyperparameters,
            channels,
            others,
            split,
            aggregate: self.aggregate,
            checkpoints,
            model: self.model.clone(),
            out,
            scratch,
        })
    }

    /// A channel of the rows at `source`. What the algorithm does not know is only measured, as rows like those of `train`.
    fn channel(
        &self,
        estimator: &Estimator,
        name: &'static str,
        source: &str,
        scratch: &Path,
    ) -> Result<Channel, TrainError> {
        let rule = estimator.channel(name).or_else(|| estimator.channel("train"));
        let rule =
            rule.ok_or_else(|| TrainError::client(format!("{} has no channel train", estimator.name)))?;
        let content_type = self.content_type.as_deref().unwrap_or(estimator.default_content_type);
        let content_type = content_type_of(estimator, rule, content_type)?;
        let path = download::to_here(name, source, &scratch.join(name))?;
        let (mode, selection) = (InputMode::File, Selection::All);
        Ok(Channel { name, path, content_type, labels: rule.labels, mode, selection })
    }

    fn hyperparameters(&self) -> Result<BTreeMap<String, String>, TrainError> {
        let mut values = BTreeMap::new();
        for setting in &self.settings {
            let (name, value) = setting.split_once('=').ok_or_else(|| {
                TrainError::client(format!("--set: expected NAME=VALUE, found {setting:?}"))
            })?;
            if values.insert(name.to_string(), value.to_string()).is_some() {
                return Err(TrainError::client(format!("--set: {name} is given twice")));
            }
        }
        Ok(values)
    }

    /// How rows are held out, if they are.
    fn split(&self) -> Result<Option<Split>, TrainError> {
        let amount = match (self.holdout, self.folds) {
            (Some(share), _) if share > 0.0 && share < 1.0 => Amount::Share(share),
            (Some(share), _) => {
                return Err(TrainError::client(format!(
                    "--holdout: expected a number in (0, 1), found {share}"
                )));
            }
            (None, Some(folds)) if (2..=FOLDS_MAX).contains(&folds) => Amount::Folds(folds),
            (None, Some(folds)) => {
                return Err(TrainError::client(format!("--folds: expected 2 to {FOLDS_MAX}, found {folds}")));
            }
            (None, None) => return self.no_split(),
        };
        let by = match (&self.stratify, &self.group, &self.time) {
            (Some(text), _, _) => By::Strata(column("stratify", text)?),
            (_, Some(text), _) => By::Groups(column("group", text)?),
            (_, _, Some(text)) => By::Time(column("time", text)?),
            (None, None, None) => By::Chance,
        };
        Ok(Some(Split { amount, by, seed: self.seed }))
    }

    fn no_split(&self) -> Result<Option<Split>, TrainError> {
        match self.stratify.as_ref().or(self.group.as_ref()).or(self.time.as_ref()) {
            Some(column) => Err(TrainError::client(format!(
                "column {column:?} decides what is held out: expected --holdout or --folds, found neither"
            ))),
            None => Ok(None),
        }
    }
}

/// A column as it is written: `label`, or a feature from 0.
fn column(flag: &str, text: &str) -> Result<Column, TrainError> {
    if text == "label" {
        return Ok(Column::Label);
    }
    text.parse().map(Column::Feature).map_err(|_| {
        TrainError::client(format!("--{flag}: expected label or a feature's number from 0, found {text:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_hand(flags: &[&str]) -> Result<ByHand, String> {
        let words = ["clary-train", "xgboost"].iter().chain(flags);
        let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
        arguments.by_hand(&fit_xgboost::ESTIMATOR, "algo-1").map_err(|error| error.to_string())
    }

    #[test]
    fn a_job_by_hand_is_read() {
        let flags = [
            "--train",
            "a.csv",
            "--content-type",
            "csv",
            "--set",
            "eta=0.1",
            "--holdout",
            "0.2",
            "--out",
            "o",
        ];
        let job = by_hand(&flags).expect("a whole job");
        assert_eq!(job.channels["train"].path, PathBuf::from("a.csv"));
        assert_eq!(job.hyperparameters["eta"], "0.1");
        let split = Split { amount: Amount::Share(0.2), by: By::Chance, seed: 0 };
        assert_eq!((job.split, job.aggregate), (Some(split), Aggregate::Refit));
        let flags = [
            "--train",
            "a",
            "--test",
            "t",
            "--out",
            "o",
            "--folds",
            "5",
            "--group",
            "3",
            "--aggregate",
            "best",
        ];
        let job = by_hand(&flags).expect("a whole job");
        let split = Split { amount: Amount::Folds(5), by: By::Groups(Column::Feature(3)), seed: 0 };
        assert_eq!((job.split, job.aggregate), (Some(split), Aggregate::Best));
        assert_eq!(
            (job.others.len(), job.channels.len()),
            (1, 1),
            "a channel that XGBoost has not is measured only"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |flags: &[&str], expected: &str| {
            let error = by_hand(flags).expect_err("something is wrong");
            assert!(error.contains(expected), "{flags:?}: {error}");
        };
        check(&["--out", "o"], "--train is required");
        check(&["--train", "a"], "--out is required");
        check(&["--train", "gs://bucket/a", "--out", "o"], "expected a path of this machine or s3://");
        check(&["--train", "a", "--out", "o", "--folds", "1"], "expected 2 to 100, found 1");
        check(
            &["--train", "a", "--out", "o", "--folds", "2", "--time", "x"],
            "--time: expected label or a feature",
        );
        check(&["--train", "a", "--out", "o", "--time", "0"], "expected --holdout or --folds, found neither");
        check(&["--train", "a", "--out", "o", "--folds", "2", "--aggregate", "sum"], "ensemble_mean");
        check(&["--train", "a", "--out", "o", "--set", "eta"], "expected NAME=VALUE, found \"eta\"");
        check(&["--train", "a", "--out", "o", "--set", "eta=1", "--set", "eta=2"], "eta is given twice");
        check(&["--train", "a", "--out", "o", "--holdout", "1"], "expected a number in (0, 1), found 1");
        check(
            &["--train", "a", "--out", "o", "--holdout", "0.1", "--validation", "v"],
            "cannot be used with",
        );
        check(&["--train", "a", "--out", "o", "--content-type", "text/html"], "text/html");
    }
}
