//! The process's configuration: a command line, with the environment as the second source of every flag.
//!
//! Precedence: flag, then `CLARY_*`, then SageMaker's own variables, then the default. This is the only module that
//! sees the environment, and it takes it as a value, so tests need none. See [`environment`] for the variables.

pub mod environment;
mod model;
mod server;
mod training;
pub mod transform;
mod up;
mod values;

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use models::LoadOptions;

use environment::Environment;
pub use model::ModelArgs;
pub use server::{ServerArgs, ServerConfig};
pub use training::{TrainingArgs, TrainingConfig};
pub use transform::{TransformArgs, TransformConfig};
pub use up::{UpArgs, UpConfig};
pub use values::{LogFormat, LogLevel};
use values::{boolean, byte_count};

/// Where SageMaker puts everything, unless `SAGEMAKER_BASE_DIR` says otherwise.
const BASE_DIR: &str = "/opt/ml";

/// A low-latency inference server that speaks Amazon SageMaker's wire APIs.
#[derive(Debug, Parser)]
#[command(name = "clary", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a model: /ping, /invocations, /execution-parameters; /models with --multi-model.
    Serve(Box<ServeArgs>),
    /// SageMaker on one port: models, endpoints, invocations, S3, metrics, logs and autoscaling.
    Up(Box<UpArgs>),
    /// Transform a batch: every record of S3 objects, files or standard input through a model.
    Transform(Box<TransformArgs>),
    /// Say what an artifact is, whether it loads and what it expects; score a row.
    Check(CheckArgs),
}

/// `clary serve`, as given; [`ServeConfig`] is what it means.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The model: a model.tar.gz, a directory, a model file, or s3://bucket/key.
    #[arg(long, value_name = "PATH|s3://…")]
    model: Option<String>,
    /// The directory that holds the unpacked model when --model is not given.
    #[arg(long, value_name = "DIR", hide = true)]
    model_dir: Option<PathBuf>,
    /// What stands in for /opt/ml.
    #[arg(long, value_name = "DIR", default_value = BASE_DIR)]
    base_dir: PathBuf,
    /// Serve /models: many models, loaded and unloaded by the platform.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    multi_model: bool,
    /// The most memory that the models of --multi-model may hold; by default three quarters of what there is.
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    model_memory: Option<u64>,
    /// The address to listen on: 127.0.0.1, or 0.0.0.0 in a SageMaker container.
    #[arg(long, value_name = "IP")]
    listen: Option<IpAddr>,
    /// The port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    #[command(flatten)]
    model_options: ModelArgs,
    /// Where artifacts are unpacked.
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    scratch: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

/// `clary check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A model.tar.gz, a directory or a model file.
    pub artifact: PathBuf,
    /// A row to score, in --content-type; by default the artifact's warm-up rows.
    #[arg(long)]
    pub row: Option<String>,
    /// The media type of --row.
    #[arg(long, default_value = "text/csv")]
    pub content_type: String,
    /// Where artifacts are unpacked.
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    pub scratch: PathBuf,
}

/// Limits of one server, each with its flag's reason.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections served at once.
    pub connections: usize,
    /// Bytes of a request body, also unpacked.
    pub body_bytes: usize,
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Header fields of a request.
    pub headers: usize,
    /// From a request's first byte to the end of its head.
    pub head_timeout: Duration,
    /// The longest pause inside a request body.
    pub body_timeout: Duration,
    /// From a request's head to its answer.
    pub request_timeout: Duration,
    /// How long a connection may idle.
    pub idle_timeout: Duration,
    /// How long requests in flight may take after SIGTERM.
    pub drain_timeout: Duration,
    /// Predictions that may wait for a worker.
    pub queue_length: usize,
}

/// PEM files of a TLS server.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Certificates that vouch for clients; without them, clients are not asked for theirs.
    pub client_ca: Option<PathBuf>,
}

/// What `clary serve` is to do, resolved.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// A path or `s3://bucket/key`.
    pub model: String,
    /// The directory that the models of a multi-model server lie under; `None` serves one model.
    pub multi_model: Option<PathBuf>,
    /// The most memory of a multi-model server's models.
    pub model_memory_bytes: Option<u64>,
    /// Where to listen.
    pub address: SocketAddr,
    /// The answer's media type without Accept.
    pub default_accept: Option<String>,
    /// How models load.
    pub load: LoadOptions,
    /// What every server takes.
    pub server: ServerConfig,
    /// Where artifacts are unpacked.
    pub scratch: PathBuf,
    /// The `AWS_*` variables, for S3.
    pub aws: AwsVariables,
}

/// The variables of the AWS clients, in lower case; shown without their values, some of which are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AwsVariables(pub Vec<(String, String)>);

impl std::fmt::Debug for AwsVariables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Why the command line is refused, and with which exit code.
#[derive(Debug)]
pub struct UsageError {
    /// What to print, and on which stream: `--help` is no failure.
    pub message: String,
    /// The exit code: 64 (`EX_USAGE`), or 0 for `--help` and `--version`.
    pub exit_code: u8,
}

/// Exit code of a wrong command line, as `sysexits.h` and SageMaker's containers have it.
pub(crate) const EX_USAGE: u8 = 64;

/// What the process's own command line and environment ask for.
///
/// # Errors
/// When the command line is not one of ours.
pub fn from_process() -> Result<(Command, Environment), UsageError> {
    let environment = Environment::of(std::env::vars_os());
    let command = parse(std::env::args_os(), &environment)?;
    Ok((command, environment))
}

/// The path of this program; `None` where the system does not say.
fn own_path() -> Option<PathBuf> {
    std::env::current_exe().ok()
}

/// Reads `arguments` (the program's name first) and, where they are silent, `environment`.
///
/// # Errors
/// When the command line is not one of ours.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
) -> Result<Command, UsageError> {
    let command = CommandLine::command().mut_subcommands(|sub| environment.as_defaults(sub));
    let arguments = with_subcommand(arguments);
    let named = arguments.get(1).and_then(|word| command.find_subcommand(word));
    let named = named.map(|named| named.get_name().to_owned());
    let usage = |error: clap::Error| usage(&error, named.as_deref());
    let matches = command.try_get_matches_from(arguments).map_err(usage)?;
    CommandLine::from_arg_matches(&matches).map(|line| line.command).map_err(usage)
}

/// An image's `serve` on the PATH is a link to `clary`: the program's name is then the command.
fn with_subcommand(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    let named_serve =
        arguments.first().is_some_and(|name| Path::new(name).file_name() == Some(OsStr::new("serve")));
    if named_serve && arguments.get(1).is_none_or(|word| word != "serve") {
        arguments.insert(1, "serve".into());
    }
    arguments
}

/// Why the command line is refused, `named` being the command that it begins with.
fn usage(error: &clap::Error, named: Option<&str>) -> UsageError {
    use clap::error::{ContextKind, ErrorKind};
    let told = |kind| error.get(kind).map(ToString::to_string);
    let message = match (error.kind(), named) {
        (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion, _) => {
            return UsageError { message: error.to_string(), exit_code: 0 };
        }
        (ErrorKind::UnknownArgument, Some(named)) => {
            let word = told(ContextKind::InvalidArg).unwrap_or_default();
            let like =
                told(ContextKind::SuggestedArg).map(|like| format!(" like {like}")).unwrap_or_default();
            format!("clary {named}: expected its flags{like} (see `clary {named} --help`), found {word:?}\n")
        }
        (ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument, _) => {
            let word = told(ContextKind::InvalidSubcommand).or_else(|| told(ContextKind::InvalidArg));
            let word = word.unwrap_or_default();
            format!(
                "clary: expected `serve`, `up`, `transform` or `check` and their flags (see `clary --help`), found {word:?}\n"
            )
        }
        _ => error.to_string(),
    };
    UsageError { message, exit_code: EX_USAGE }
}

impl ServeArgs {
    /// What the arguments mean on this machine; `exists` answers whether a path does.
    pub fn resolve(self, environment: &Environment, exists: impl Fn(&Path) -> bool) -> ServeConfig {
        let model_dir = self.model_dir.clone().unwrap_or_else(|| self.base_dir.join("model"));
        // A server started without a model of its own, where SageMaker puts one, is a SageMaker container: there
        // the platform calls from outside.
        let in_container = self.model.is_none() && (self.multi_model || exists(&model_dir));
        let address = self.listen.unwrap_or(if in_container {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        });
        ServeConfig {
            load: self.model_options.load_options(),
            address: SocketAddr::new(address, self.port),
            multi_model: self.multi_model.then(|| self.base_dir.join("models")),
            model: self.model.unwrap_or_else(|| model_dir.to_string_lossy().into_owned()),
            model_memory_bytes: self.model_memory,
            default_accept: self.model_options.default_accept,
            server: self.server.resolve(),
            scratch: self.scratch,
            aws: AwsVariables(environment.aws()),
        }
    }
}

#[cfg(test)]
mod tests;
