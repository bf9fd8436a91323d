//! What a training job is, with everything resolved that a request may leave open.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::channel::Channel;

/// Hosts of a job. Reason: all of them share this machine, where more only wait for each other.
pub const HOSTS_MAX: usize = 8;

/// Which variables of our own environment a program may have: what it takes to find programs and libraries and to write text.
/// Everything else stays with us, since credentials are in it. The last five are a container engine's alone
/// ([`crate::ENGINE_INHERITED`]).
pub const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "CLARY_NATIVE",
    "CLARY_XGBOOST_LIB",
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "CONTAINER_HOST",
    "XDG_RUNTIME_DIR",
];

/// How long a program has between SIGTERM and SIGKILL. Reason: the platform's own.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(120);

/// A training job.
#[derive(Debug, Clone)]
pub struct Job {
    /// `TrainingJobName`.
    pub name: String,
    /// `TrainingJobArn`.
    pub arn: String,
    /// The region that programs are told.
    pub region: String,
    /// The job's own folder: `algo-1` and so on, one a host, are made in it. It is removed when the job has ended, and kept
    /// when it is suspended.
    pub folder: PathBuf,
    /// What is run.
    pub program: Program,
    /// How many hosts, from 1 to [`HOSTS_MAX`].
    pub hosts: usize,
    /// `InstanceType`, which programs are told.
    pub instance_type: String,
    /// `HyperParameters`.
    pub hyperparameters: BTreeMap<String, String>,
    /// `Environment`.
    pub environment: BTreeMap<String, String>,
    /// What of our own environment programs get: those of [`INHERITED`] that are set.
    pub inherited: BTreeMap<String, String>,
    /// The data.
    pub channels: Vec<Channel>,
    /// Where the model goes.
    pub output: Output,
    /// Where checkpoints are mirrored to.
    pub checkpoints: Option<Checkpoints>,
    /// What lines are read for.
    pub metric_definitions: Vec<MetricDefinition>,
    /// What a host may use.
    pub limits: Limits,
    /// `sagemaker_s3_output`: the prefix to which `output/intermediate` is mirrored while programs run.
    pub intermediate: Option<String>,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Our own trainer: `clary-train train`.
    Builtin {
        /// Where it is.
        clary_train: PathBuf,
        /// Which algorithm it is to train.
        algorithm: String,
    },
    /// A program of this machine, which gets the word `train`.
    Process {
        /// The program and its arguments.
        command: Vec<String>,
        /// Where it is run; else in its host's folder.
        folder: Option<PathBuf>,
        /// `ContainerEntrypoint`, in place of `command`.
        entrypoint: Vec<String>,
        /// `ContainerArguments`, in place of `train`.
        arguments: Vec<String>,
    },
    /// An image, by a container engine of this machine.
    Container {
        /// The engine: docker, podman or another of the same command line.
        engine: PathBuf,
        /// The image.
        image: String,
        /// `ContainerEntrypoint`, in place of the image's own.
        entrypoint: Vec<String>,
        /// `ContainerArguments`, in place of `train`.
        arguments: Vec<String>,
        /// Whether it has no network (`EnableNetworkIsolation`).
        is_isolated: bool,
    },
}

/// `OutputDataConfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// `S3OutputPath`, as it was given: the job's own prefix is below it.
    pub uri: String,
    /// Whether the model is packed.
    pub compression: Compression,
}

/// Whether the model is one archive or as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// `model.tar.gz`.
    #[default]
    Gzip,
    /// The files below `model/`.
    None,
}

/// `CheckpointConfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoints {
    /// `S3Uri`.
    pub uri: String,
    /// `LocalPath`, as the program knows it: `/opt/ml/checkpoints` where nobody says. Programs that are no containers know the
    /// same place below their host's folder.
    pub local_path: String,
}

/// A metric that is read off lines.
#[derive(Debug, Clone)]
pub struct MetricDefinition {
    /// Its name.
    pub name: String,
    /// What finds it; its first group is the value.
    pub regex: regex::Regex,
}

/// What a host may use, and how long a job may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Resident bytes of all processes of one host.
    pub memory_bytes: u64,
    /// Threads that a host is told to use.
    pub cpus: usize,
    /// `MaxRuntimeInSeconds`: from the start to the end of the programs.
    pub runtime: Duration,
    /// `VolumeSizeInGB`: bytes of files below a host's folder.
    pub volume_bytes: u64,
    /// From SIGTERM to SIGKILL; [`GRACE_DEFAULT`] but in tests.
    pub grace: Duration,
}
