//! The command line: `train` for the container contract, an algorithm's name to train by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;

use estimator::{Channel, Estimator, InputMode, NativeLibraries, Resources, Selection, TrainError};

use crate::contract::content_type_of;
use crate::holdout::Holdout;
use crate::machine;

/// The word that stands for the container contract.
pub(crate) const CONTAINER_WORD: &str = "train";

/// Trains a model and writes model.tar.gz; as `train` it is a SageMaker training container.
#[derive(Debug, Parser)]
#[command(
    name = "clary-train",
    version,
    after_help = "Exit codes: 0 done, 1 training failed, 2 a hyperparameter or \
    the data is wrong, 3 an internal fault, 64 an unknown word, 143 stopped before a model existed."
)]
pub(crate) struct Arguments {
    /// `xgboost`, or `train` for the container contract (configuration and channels below /opt/ml)
    pub(crate) word: String,
    /// Rows to learn from: a file, or a folder of files read in sorted order
    #[arg(long, value_name = "PATH")]
    train: Option<String>,
    /// Rows to watch: a file or a folder
    #[arg(long, value_name = "PATH", conflicts_with = "holdout")]
    validation: Option<String>,
    /// What the files hold: text/csv (label first), text/libsvm, application/x-recordio-protobuf
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A hyperparameter; may be given many times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// The folder that model.tar.gz is written to
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Without --validation: the share of the rows that is held out and watched
    #[arg(long, value_name = "SHARE")]
    holdout: Option<f64>,
    /// Decides which rows are held out
    #[arg(long, default_value_t = 0, requires = "holdout")]
    seed: u64,
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
    #[arg(long, value_name = "MIB", conflicts_with = "memory_bytes")]
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

/// What a job by hand says of its data and its output.
#[derive(Debug)]
pub(crate) struct ByHand {
    pub(crate) hyperparameters: BTreeMap<String, String>,
    pub(crate) channels: BTreeMap<String, Channel>,
    pub(crate) holdout: Option<Holdout>,
    pub(crate) out: PathBuf,
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

    /// The job that the flags describe.
    ///
    /// # Errors
    /// When a flag is missing or says something that is not permitted.
    pub(crate) fn by_hand(&self, estimator: &Estimator) -> Result<ByHand, TrainError> {
        let missing = |flag: &str| TrainError::client(format!("{flag} is required to train by hand"));
        let content_type = self.content_type.as_deref().unwrap_or(estimator.default_content_type);
        if self.train.is_none() {
            return Err(missing("--train"));
        }
        let mut channels = BTreeMap::new();
        for (name, path) in [("train", &self.train), ("validation", &self.validation)] {
            let Some(path) = path else { continue };
            let rule = estimator.channel(name).ok_or_else(|| {
                TrainError::client(format!("--{name}: {} has no such channel", estimator.name))
            })?;
            let channel = Channel {
                name: rule.name,
                path: local_path(name, path)?,
                content_type: content_type_of(rule, content_type)?,
                labels: rule.labels,
                mode: InputMode::File,
                selection: Selection::All,
            };
            channels.insert(name.to_owned(), channel);
        }
        let out = self.out.clone().ok_or_else(|| missing("--out"))?;
        Ok(ByHand { hyperparameters: self.hyperparameters()?, channels, holdout: self.holdout()?, out })
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

    fn holdout(&self) -> Result<Option<Holdout>, TrainError> {
        match self.holdout {
            None => Ok(None),
            Some(share) if share > 0.0 && share < 1.0 => Ok(Some(Holdout { share, seed: self.seed })),
            Some(share) => {
                Err(TrainError::client(format!("--holdout: expected a number in (0, 1), found {share}")))
            }
        }
    }
}

/// A path of this machine; what names another store is refused rather than read as a folder of that name.
fn local_path(flag: &str, path: &str) -> Result<PathBuf, TrainError> {
    match path.split_once("://") {
        Some((scheme, _)) => Err(TrainError::client(format!(
            "--{flag}: expected a file or folder of this machine, found {scheme}://, which clary-train does not read; \
             copy the files here first"
        ))),
        None => Ok(path.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_hand(flags: &[&str]) -> Result<ByHand, String> {
        let words = ["clary-train", "xgboost"].iter().chain(flags);
        let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
        arguments.by_hand(&fit_xgboost::ESTIMATOR).map_err(|error| error.to_string())
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
        assert_eq!(job.holdout, Some(Holdout { share: 0.2, seed: 0 }));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |flags: &[&str], expected: &str| {
            let error = by_hand(flags).expect_err("something is wrong");
            assert!(error.contains(expected), "{flags:?}: {error}");
        };
        check(&["--out", "o"], "--train is required");
        check(&["--train", "a"], "--out is required");
        check(&["--train", "s3://bucket/a", "--out", "o"], "found s3://");
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
