//! `clary transform`: what is transformed, how, and what is told of it.

mod places;
mod resolve;
#[cfg(test)]
mod tests;
mod words;

use std::path::PathBuf;

use clap::Args;
use codecs::framing::SplitType;
use models::LoadOptions;
use transform::ErrorPolicy;
use transform::job::Shard;
use transform::settings::{AssembleWith, BatchStrategy, Compression, Requested};

use super::values::{LogFormat, LogLevel, boolean, log_level};
use super::{AwsVariables, ModelArgs};
pub use places::Place;
use places::{ShardFlag, place, shard};
pub use words::ProgressKind;

/// What `clary transform --help` ends with.
const EXAMPLES: &str = "\
Examples:
  clary transform --model model.tar.gz --input s3://rows/in/ --output s3://scores/out \\
      --content-type text/csv --split-type Line --assemble-with Line
  clary transform --model model.tar.gz --input - --output - --content-type text/csv < rows.csv

Exit codes:
  0 every input has its output; 1 some have none, or it could not begin; 64 it was asked wrongly;
  130 after SIGINT, 143 after SIGTERM: the same command goes on";

/// `clary transform`, as given; [`TransformConfig`] is what it means.
///
/// Values are written as SageMaker's API writes them (MultiRecord) or in lower case with hyphens (multi-record).
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "clary transform --model <PATH> --input <URI> --output <URI> [OPTIONS]")]
pub struct TransformArgs {
    /// The model: a model.tar.gz, a directory, a model file, or s3://bucket/key.
    #[arg(long, value_name = "PATH|s3://…")]
    model: Option<String>,
    /// What is transformed: s3://bucket/prefix (every key that begins so), a directory, a file, or - for standard input.
    #[arg(long, value_name = "URI", value_parser = place)]
    input: Option<Place>,
    /// Where the answers go, NAME.out for each input NAME: s3://bucket/folder, a directory, or - for standard output.
    #[arg(long, value_name = "URI", value_parser = place)]
    output: Option<Place>,
    /// --input names a manifest: a JSON array of {"prefix": "s3://…"} and the keys relative to it.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    manifest: bool,
    /// The records' media type, as in an invocation: text/csv, application/jsonlines, …
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// The answers' media type; by default the model's.
    #[arg(long, value_name = "TYPE")]
    accept: Option<String>,
    /// None or Gzip: how inputs are packed.
    #[arg(long, value_name = "WORD", value_parser = words::compression, default_value = "None")]
    compression: Compression,
    /// None, Line, RecordIO or TFRecord: what separates records. None: an object is one; standard input is split by lines.
    #[arg(long, value_name = "WORD", value_parser = words::split_type)]
    split_type: Option<SplitType>,
    /// MultiRecord or SingleRecord: how many records a call of the model has.
    #[arg(long, value_name = "WORD", value_parser = words::batch_strategy)]
    batch_strategy: Option<BatchStrategy>,
    /// The largest payload of a call in MiB: 1 to 100; 0: an object is one endless payload, sent as it comes. 6 unless given; 0 of
    /// standard input and output, where any other fills payloads before they are sent, and who waits for an answer may wait.
    #[arg(long, value_name = "N")]
    max_payload_mb: Option<u64>,
    /// The largest payload in bytes, where --max-payload-mb allows a larger one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=104_857_600))]
    max_payload_bytes: Option<u64>,
    /// Calls at once, 1 to 100; by default one for each of --workers.
    #[arg(long, value_name = "N")]
    max_concurrent_transforms: Option<u64>,
    /// None or Line: whether each answer ends with a newline; standard output by default has lines.
    #[arg(long, value_name = "WORD", value_parser = words::assemble_with)]
    assemble_with: Option<AssembleWith>,
    /// What of a record is sent, as a JSONPath: `$[1:]`, `$.features`, …
    #[arg(long, value_name = "PATH")]
    input_filter: Option<String>,
    /// What of the answer, or of record and answer joined, is written.
    #[arg(long, value_name = "PATH")]
    output_filter: Option<String>,
    /// None or Input: Input joins each record with its answer.
    #[arg(long, value_name = "WORD", value_parser = words::join_source, default_value = "None")]
    join_source: JoinSource,
    /// Slices of paths contain their end: `$[1:4]` has element 4.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    jsonpath_slice_inclusive: bool,
    /// Write an id and the job's start with each record.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    generate_inference_id: bool,
    /// How long a call may take, in seconds: 1 to 3600.
    #[arg(long, value_name = "S", default_value_t = 600)]
    invocations_timeout: u64,
    /// How often a call is tried again: 0 to 3.
    #[arg(long, value_name = "N", default_value_t = 3)]
    invocations_max_retries: u64,
    /// fail, placeholder or quarantine: what becomes of an object with a record that the model refuses.
    #[arg(long, value_name = "WORD", value_parser = words::error_policy, default_value = "fail")]
    error_policy: ErrorPolicy,
    /// Lines with nothing on them are no records.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    skip_blank_lines: bool,
    /// The largest answer of a call in MiB: 1 to 100.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100))]
    max_response_mb: u64,
    /// The job's name; by default made of model, input, output and settings. A run of the same job goes on where the last one,
    /// stopped or killed, was.
    #[arg(long, value_name = "NAME", value_parser = places::job)]
    job: Option<String>,
    /// The file of what is done; by default below _clary/ of the output. Removed when the job is done.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Begin anew: what an earlier run of the job has done is forgotten.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    overwrite: bool,
    /// Transform one share of several: i/n, from 0; auto/n takes i from the variables of Kubernetes and AWS Batch. Then --merge.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<ShardFlag>,
    /// After all shards: check that nothing is missing, and put the pieces of large objects together.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    merge: bool,
    /// With --shard: objects of lines of this many MiB or more are shared among the shards.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    range_mb: u64,
    /// A file for all failures, a JSON line each; of streams, with the records that are put aside.
    #[arg(long, value_name = "FILE")]
    failures: Option<PathBuf>,
    /// A file for the report: what was done, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// auto, bar, lines or none: a bar on a terminal, else a line a minute.
    #[arg(long, value_name = "WORD", value_parser = words::progress, default_value = "auto")]
    progress: ProgressKind,
    /// When stopped by a signal, keep the parts of unfinished outputs for the next run to go on with (machines that come and go);
    /// otherwise they are removed, and whole objects alone are kept.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    keep_uploads: bool,
    /// Threads that predict; by default one a core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    #[command(flatten)]
    model_options: ModelArgs,
    /// Where artifacts are unpacked.
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    scratch: PathBuf,
    /// error, warn, info, debug or trace.
    #[arg(long, value_parser = log_level, default_value = "warn")]
    log_level: LogLevel,
    /// json or text.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
}

/// What an answer is joined with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JoinSource {
    None,
    Input,
}

/// What `clary transform` is to do, resolved.
#[derive(Debug, Clone)]
pub struct TransformConfig {
    /// A path or `s3://bucket/key`.
    pub model: String,
    /// How it loads.
    pub load: LoadOptions,
    /// The answer's media type without Accept.
    pub default_accept: Option<String>,
    /// What is done.
    pub task: Task,
    /// What is asked of records. Inference ids are not in it, since when the job began is not known yet.
    pub requested: Requested,
    /// Whether records get ids.
    pub generates_inference_ids: bool,
    /// A file for all failures.
    pub failures: Option<PathBuf>,
    /// A file for the report.
    pub report: Option<PathBuf>,
    /// How progress is shown.
    pub progress: ProgressKind,
    /// Whether a signal leaves the parts of unfinished outputs for the next run.
    pub keeps_uploads: bool,
    /// Threads that predict.
    pub workers: usize,
    /// Where artifacts are unpacked.
    pub scratch: PathBuf,
    /// The least level that is logged.
    pub log_level: LogLevel,
    /// How it is written.
    pub log_format: LogFormat,
    /// The `AWS_*` variables, for S3.
    pub aws: AwsVariables,
}

/// What `clary transform` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Answers a stream of records while it is read.
    Stream {
        /// A file; `None`: standard input.
        input: Option<PathBuf>,
    },
    /// Transforms objects.
    Objects(ObjectsConfig),
}

/// A transform of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectsConfig {
    /// Where they are: never standard input.
    pub input: Place,
    /// Whether `input` is a manifest of them.
    pub is_manifest: bool,
    /// Where their outputs go: never standard output.
    pub output: Place,
    /// The job's name, if it has one.
    pub job: Option<String>,
    /// The file of what is done.
    pub journal: Option<PathBuf>,
    /// Whether what an earlier run has done is forgotten.
    pub begins_anew: bool,
    /// What of it is done here.
    pub part: Part,
    /// From how many bytes on an object of lines is shared among shards.
    pub range_bytes: u64,
}

/// What of a transform one run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All.
    Whole,
    /// A share.
    Shard(Shard),
    /// What is left to do when all shares are done.
    Merge,
}
