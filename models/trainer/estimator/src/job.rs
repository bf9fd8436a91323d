//! One training job, however it was asked for: by hand or by the container contract.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Channel, Checkpoints, Cluster, Log, Stop, TrainError};

/// What `fit` needs to know.
#[derive(Debug)]
pub struct Job {
    /// As they came, all text.
    pub hyperparameters: BTreeMap<String, String>,
    /// By name; those that the algorithm has, and `train` among them.
    pub channels: BTreeMap<String, Channel>,
    /// An earlier artifact to go on from: the channel `model`, unpacked or packed.
    pub model: Option<PathBuf>,
    /// Who trains beside this host.
    pub cluster: Cluster,
    /// Where to go on from, and where to leave it.
    pub checkpoints: Checkpoints,
    /// What may be used.
    pub resources: Resources,
    /// Where native libraries are.
    pub native: NativeLibraries,
    /// Whether to stop.
    pub stop: Stop,
    /// Where lines go.
    pub log: Log,
}

/// What a training may use of the machine.
#[derive(Debug, Clone)]
pub struct Resources {
    /// Threads that compute at once; rayon's global pool has as many.
    pub threads: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// A folder for what does not fit in memory; it is on a disk.
    pub scratch: PathBuf,
}

/// Where native libraries are looked for.
#[derive(Debug, Clone, Default)]
pub struct NativeLibraries {
    /// XGBoost's shared object itself, when the operator names it: then nothing else is tried.
    pub xgboost: Option<PathBuf>,
    /// The folder of native libraries, when it is not the usual one.
    pub folder: Option<PathBuf>,
}

impl Job {
    /// The channel of that name, if the job has it.
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.get(name)
    }

    /// The channel `train`.
    ///
    /// # Errors
    /// When the job has none.
    pub fn train(&self) -> Result<&Channel, TrainError> {
        self.channel("train").ok_or_else(|| TrainError::client("channel train is required"))
    }
}

/// For the tests of algorithms.
impl Job {
    /// A job of these hyperparameters and channels, alone on this machine; nothing is kept.
    pub fn for_tests(hyperparameters: &[(&str, &str)], channels: &[Channel]) -> Self {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            hyperparameters: hyperparameters.iter().map(text).collect(),
            channels: channels.iter().map(|channel| (channel.name.to_owned(), channel.clone())).collect(),
            model: None,
            cluster: Cluster::single(),
            checkpoints: Checkpoints::none(),
            resources: Resources { threads: 2, memory_bytes: 1 << 30, scratch: std::env::temp_dir() },
            native: NativeLibraries::default(),
            stop: Stop::never(),
            log: Log::new("algo-1"),
        }
    }
}
