//! From the flags of `clary transform` to what they mean together, or to why they mean nothing.

use codecs::framing::SplitType;
use transform::ErrorPolicy;
use transform::job::Shard;
use transform::settings::{AssembleWith, Extensions, MIB, Requested};

use super::super::environment::Environment;
use super::super::{AwsVariables, EX_USAGE, UsageError};
use super::places::ShardFlag;
use super::{JoinSource, ObjectsConfig, Part, Place, Task, TransformArgs, TransformConfig};

/// Variables that hold a runner's index among several of one job: Kubernetes' Indexed Jobs, AWS Batch's array jobs, Cloud Run's.
const INDEX_VARIABLES: [&str; 3] =
    ["JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "CLOUD_RUN_TASK_INDEX"];

impl TransformArgs {
    /// What the arguments mean on this machine.
    ///
    /// # Errors
    /// When one is missing, or two do not go together.
    pub fn resolve(self, environment: &Environment) -> Result<TransformConfig, UsageError> {
        self.resolve_with(environment).map_err(|message| UsageError {
            message: format!("clary transform: {message} (see `clary transform --help`)\n"),
            exit_code: EX_USAGE,
        })
    }

    fn resolve_with(self, environment: &Environment) -> Result<TransformConfig, String> {
        let task = self.task(environment)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let requested = self.requested(matches!(task, Task::Stream { .. }));
        Ok(TransformConfig {
            model: self.model.ok_or("--model: expected a path or s3://bucket/key, found none")?,
            load: self.model_options.load_options(),
            default_accept: self.model_options.default_accept,
            task,
            requested,
            generates_inference_ids: self.generate_inference_id,
            failures: self.failures,
            report: self.report,
            progress: self.progress,
            keeps_uploads: self.keep_uploads,
            workers: self.workers.map_or(cores, usize::from),
            scratch: self.scratch,
            log_level: self.log_level,
            log_format: self.log_format,
            aws: AwsVariables(environment.aws()),
        })
    }

    fn task(&self, environment: &Environment) -> Result<Task, String> {
        let input =
            self.input.clone().ok_or("--input: expected s3://bucket/prefix, a path or -, found none")?;
        let output = self
            .output
            .clone()
            .ok_or("--output: expected s3://bucket/folder, a directory or -, found none")?;
        match (input, output) {
            (Place::Stream, Place::Stream) => self.stream(None),
            (Place::Path(path), Place::Stream) => self.stream(Some(path)),
            (Place::Stream, output) => Err(format!(
                "--output: expected - (standard output) for --input -, found {output}; use a shell's > to write a file"
            )),
            (input, Place::Stream) => {
                Err(format!("--input: expected a file or - for --output - (standard output), found {input}"))
            }
            (input, output) => self.objects(input, output, environment).map(Task::Objects),
        }
    }

    fn stream(&self, input: Option<std::path::PathBuf>) -> Result<Task, String> {
        let of_objects = [
            ("--manifest", self.manifest),
            ("--job", self.job.is_some()),
            ("--journal", self.journal.is_some()),
            ("--overwrite", self.overwrite),
            ("--shard", self.shard.is_some()),
            ("--merge", self.merge),
        ];
        match of_objects.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => {
                Err(format!("{flag}: expected an --output of objects, found - (standard output)"))
            }
            None if self.error_policy == ErrorPolicy::Quarantine && self.failures.is_none() => {
                Err("--error-policy quarantine: expected --failures FILE with --output -, found none"
                    .to_owned())
            }
            None => Ok(Task::Stream { input }),
        }
    }

    fn objects(
        &self,
        input: Place,
        output: Place,
        environment: &Environment,
    ) -> Result<ObjectsConfig, String> {
        let part = match (self.shard, self.merge) {
            (Some(_), true) => return Err("--merge: expected no --shard beside it, found one".to_owned()),
            (None, true) => Part::Merge,
            (None, false) => Part::Whole,
            (Some(shard), false) => Part::Shard(indexed(shard, environment)?),
        };
        if self.journal.is_some() && part != Part::Whole {
            return Err(
                "--journal: expected none with --shard or --merge, whose journals are found by each other"
                    .to_owned(),
            );
        }
        if self.manifest && matches!(input, Place::Path(_)) {
            return Err(format!("--manifest: expected an --input s3://bucket/key, found {input}"));
        }
        Ok(ObjectsConfig {
            input,
            is_manifest: self.manifest,
            output,
            job: self.job.clone(),
            journal: self.journal.clone(),
            begins_anew: self.overwrite,
            part,
            range_bytes: self.range_mb * MIB as u64,
        })
    }

    /// A stream is one of lines, unless it is said to be another: what would be one record has an end only when it ends. It is
    /// sent as it comes, unless payloads are given a size.
    fn requested(&self, is_stream: bool) -> Requested {
        let split_type = self.split_type.or(is_stream.then_some(SplitType::Line));
        let has_lines = is_stream && split_type == Some(SplitType::Line);
        Requested {
            content_type: self.content_type.clone(),
            accept: self.accept.clone(),
            compression: Some(self.compression),
            split_type,
            strategy: self.batch_strategy,
            payload_mb: self.max_payload_mb.or(is_stream.then_some(0)),
            concurrency: self.max_concurrent_transforms,
            assemble_with: self.assemble_with.or(has_lines.then_some(AssembleWith::Line)),
            input_filter: self.input_filter.clone(),
            join: self.join_source == JoinSource::Input,
            output_filter: self.output_filter.clone(),
            ids: None,
            retries: Some(self.invocations_max_retries),
            timeout_seconds: Some(self.invocations_timeout),
            extensions: Extensions {
                error_policy: self.error_policy,
                skip_blank_lines: self.skip_blank_lines,
                slice_inclusive: self.jsonpath_slice_inclusive,
                response_bytes_max: self.max_response_mb as usize * MIB,
                payload_bytes_max: self.max_payload_bytes.map(|bytes| bytes as usize),
            },
        }
    }
}

/// The share, with its index from the environment where the flag leaves that to it.
fn indexed(shard: ShardFlag, environment: &Environment) -> Result<Shard, String> {
    let count = shard.count;
    if let Some(index) = shard.index {
        return Ok(Shard { index, count });
    }
    let names = INDEX_VARIABLES.join(", ");
    let found = INDEX_VARIABLES.iter().find_map(|name| Some((name, environment.get(name)?)));
    let (name, value) =
        found.ok_or_else(|| format!("--shard auto/{count}: expected one of {names}, found none"))?;
    let index = value.parse().ok().filter(|&index| index < count);
    let index = index.ok_or_else(|| format!("{name}: expected 0 to {}, found {value:?}", count - 1))?;
    Ok(Shard { index, count })
}
