//! What `CreateTrainingJob` asks, read and checked beyond its shape: rules that no shape says, so that a job which could not run
//! is refused instead of made.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use training::{Channel, Checkpoints, Compression, HOSTS_MAX, MetricDefinition, Output, Place};

use super::channels;
use super::describe::RUNTIME_SECONDS_DEFAULT;
use super::metrics;
use super::program::Wanted;
use crate::control::ControlError;

/// The longest `MaxRuntimeInSeconds`. Reason: the public service's 28 days.
const RUNTIME_SECONDS_MAX: u64 = 28 * 24 * 3600;

/// Gigabytes of a volume where a request has none. Reason: the SDK's default.
const VOLUME_GB_DEFAULT: u64 = 30;

/// How often a job is begun before it is given up, where it has no `RetryStrategy`. Reason: one that the server dies of must not
/// be begun for ever.
const ATTEMPTS_DEFAULT: u64 = 3;

/// Where checkpoints are, where a request does not say.
const CHECKPOINT_PATH_DEFAULT: &str = "/opt/ml/checkpoints";

/// What is not done here: an error says so, as a job without it would be another.
const NOT_SERVED: &[(&str, &str)] = &[
    ("ResourceConfig.InstanceGroups", "instance groups"),
    ("ResourceConfig.TrainingPlanArn", "training plans"),
    ("StoppingCondition.MaxWaitTimeInSeconds", "waiting for spot instances"),
    ("ServerlessJobConfig", "serverless training"),
    ("SessionChainingConfig.EnableSessionTagChaining", "session chaining"),
];

/// What is stored and echoed, and does nothing: a job's first status says so.
const IGNORED: &[&str] = &[
    "DebugRuleConfigurations",
    "ExperimentConfig",
    "InfraCheckConfig",
    "MlflowConfig",
    "ModelPackageConfig",
    "ProfilerRuleConfigurations",
    "RemoteDebugConfig",
    "TensorBoardOutputConfig",
];

/// What a job reads, runs and writes.
#[derive(Debug, Clone)]
pub(super) struct TrainingRequest {
    /// What is run.
    pub wanted: Wanted,
    /// `HyperParameters`.
    pub hyperparameters: BTreeMap<String, String>,
    /// `Environment`.
    pub environment: BTreeMap<String, String>,
    /// `InputDataConfig`.
    pub channels: Vec<Channel>,
    /// `OutputDataConfig`.
    pub output: Output,
    /// `CheckpointConfig`.
    pub checkpoints: Option<Checkpoints>,
    /// The request's and the algorithm's own.
    pub metric_definitions: Vec<MetricDefinition>,
    /// `InstanceCount`.
    pub hosts: usize,
    /// `InstanceType`.
    pub instance_type: String,
    /// `VolumeSizeInGB`, in bytes.
    pub volume_bytes: u64,
    /// `MaxRuntimeInSeconds`.
    pub runtime: Duration,
    /// `MaxPendingTimeInSeconds`.
    pub pending: Option<Duration>,
    /// How often it is begun.
    pub attempts_max: u32,
    /// `sagemaker_s3_output`.
    pub intermediate: Option<String>,
}

impl TrainingRequest {
    /// Of a request that has its shape.
    ///
    /// # Errors
    /// When what is asked is not served, or contradicts itself: expected, found, where.
    pub(super) fn parse(request: &Map<String, Value>) -> Result<Self, ControlError> {
        refuse_not_served(request)?;
        let wanted = Wanted::parse(request)?;
        Ok(Self {
            metric_definitions: metric_definitions(request, wanted.built_in())?,
            hyperparameters: texts(request, "HyperParameters"),
            environment: texts(request, "Environment"),
            channels: channels::parse(request)?,
            output: output(request)?,
            checkpoints: checkpoints(request)?,
            hosts: hosts(request)?,
            instance_type: required(request, "ResourceConfig.InstanceType")?.to_owned(),
            volume_bytes: number(request, "ResourceConfig.VolumeSizeInGB")
                .unwrap_or(VOLUME_GB_DEFAULT)
                .saturating_mul(1 << 30),
            runtime: runtime(request)?,
            pending: number(request, "StoppingCondition.MaxPendingTimeInSeconds").map(Duration::from_secs),
            attempts_max: attempts(request),
            intermediate: intermediate(request),
            wanted,
        })
    }

    /// What the job is told of members that do nothing.
    pub(super) fn notice(request: &Map<String, Value>) -> Option<String> {
        let found: Vec<_> = IGNORED.iter().copied().filter(|member| request.contains_key(*member)).collect();
        (!found.is_empty()).then(|| format!("Stored, and without effect here: {}", found.join(", ")))
    }
}

/// The built-in algorithm that a request trains.
pub(super) fn built_in(request: &Map<String, Value>) -> Option<&'static str> {
    Wanted::parse(request).ok()?.built_in()
}

/// The value at a path of members.
pub(super) fn at<'a>(request: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = request.get(first)?;
    match rest {
        None => Some(value),
        Some(rest) => at(value.as_object()?, rest),
    }
}

/// The string at a path of members.
pub(super) fn word<'a>(request: &'a Map<String, Value>, path: &str) -> Option<&'a str> {
    at(request, path)?.as_str()
}

pub(super) fn refused(message: impl Into<String>) -> ControlError {
    ControlError::Refused(message.into())
}

fn number(request: &Map<String, Value>, path: &str) -> Option<u64> {
    at(request, path)?.as_u64()
}

fn is_set(request: &Map<String, Value>, path: &str) -> bool {
    at(request, path).and_then(Value::as_bool).unwrap_or(false)
}

fn required<'a>(request: &'a Map<String, Value>, path: &str) -> Result<&'a str, ControlError> {
    word(request, path).ok_or_else(|| refused(format!("{path}: expected one, found none")))
}

fn refuse_not_served(request: &Map<String, Value>) -> Result<(), ControlError> {
    if is_set(request, "EnableManagedSpotTraining") {
        return Err(refused(
            "EnableManagedSpotTraining: expected false, found true: there are no spot instances here",
        ));
    }
    for (path, what) in NOT_SERVED {
        let asked = at(request, path).filter(|value| !matches!(value, Value::Null | Value::Bool(false)));
        if asked.is_some_and(|value| value.as_array().is_none_or(|items| !items.is_empty())) {
            return Err(refused(format!("{path}: expected none, as {what} are not served here, found one")));
        }
    }
    match number(request, "ResourceConfig.KeepAlivePeriodInSeconds") {
        None | Some(0) => Ok(()),
        Some(found) => Err(refused(format!(
            "ResourceConfig.KeepAlivePeriodInSeconds: expected 0, found {found}: there are no warm pools here, and nothing to warm"
        ))),
    }
}

fn metric_definitions(
    request: &Map<String, Value>,
    algorithm: Option<&str>,
) -> Result<Vec<MetricDefinition>, ControlError> {
    let mut all = metrics::requested(request);
    for (index, (name, _)) in all.iter().enumerate() {
        if all[..index].iter().any(|(other, _)| other == name) {
            return Err(refused(format!(
                "AlgorithmSpecification.MetricDefinitions: expected each name once, found {name:?} twice"
            )));
        }
    }
    // A request's own comes before an algorithm's of the same name.
    let built_in = algorithm.map(metrics::built_in).unwrap_or_default();
    let added: Vec<_> =
        built_in.into_iter().filter(|(name, _)| !all.iter().any(|(own, _)| own == name)).collect();
    all.extend(added);
    let read = |written| {
        let refuse = |reason| refused(format!("AlgorithmSpecification.MetricDefinitions: {reason}"));
        metrics::compiled(written).map_err(refuse)
    };
    all.iter().map(read).collect()
}

/// A map of strings.
fn texts(request: &Map<String, Value>, member: &str) -> BTreeMap<String, String> {
    let members = request.get(member).and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn output(request: &Map<String, Value>) -> Result<Output, ControlError> {
    let uri = place(request, "OutputDataConfig.S3OutputPath")?;
    let compression = match word(request, "OutputDataConfig.CompressionType") {
        Some("NONE") => Compression::None,
        _ => Compression::Gzip,
    };
    Ok(Output { uri, compression })
}

fn checkpoints(request: &Map<String, Value>) -> Result<Option<Checkpoints>, ControlError> {
    if !request.contains_key("CheckpointConfig") {
        return Ok(None);
    }
    let uri = place(request, "CheckpointConfig.S3Uri")?;
    let given = word(request, "CheckpointConfig.LocalPath").filter(|path| !path.is_empty());
    let local_path = given.unwrap_or(CHECKPOINT_PATH_DEFAULT);
    let folders: Vec<_> = local_path.split('/').filter(|folder| !folder.is_empty()).collect();
    let is_plain = folders.iter().all(|folder| !matches!(*folder, "." | ".."));
    // It is mirrored, deletions included: it must not be a folder that holds what is not checkpoints.
    if !local_path.starts_with('/') || folders.is_empty() || !is_plain || folders == ["opt", "ml"] {
        return Err(refused(format!(
            "CheckpointConfig.LocalPath: expected the path of a folder of its own, such as {CHECKPOINT_PATH_DEFAULT}, found {given:?}"
        )));
    }
    Ok(Some(Checkpoints { uri, local_path: local_path.to_owned() }))
}

/// An `s3://` address.
fn place(request: &Map<String, Value>, member: &str) -> Result<String, ControlError> {
    let uri = word(request, member).unwrap_or_default();
    match Place::parse(uri) {
        Some(_) => Ok(uri.to_owned()),
        None => Err(refused(format!("{member}: expected s3://bucket/prefix, found {uri:?}"))),
    }
}

fn hosts(request: &Map<String, Value>) -> Result<usize, ControlError> {
    let member = "ResourceConfig.InstanceCount";
    let found = number(request, member);
    let found = found.ok_or_else(|| refused(format!("{member}: expected one, found none")))?;
    match usize::try_from(found) {
        Ok(0) => Err(refused(format!("{member}: expected at least 1, found 0"))),
        Ok(hosts) if hosts <= HOSTS_MAX => Ok(hosts),
        _ => Err(ControlError::Limit(format!(
            "{member}: expected at most {HOSTS_MAX} instances, as all of them share this machine, found {found}"
        ))),
    }
}

fn runtime(request: &Map<String, Value>) -> Result<Duration, ControlError> {
    let member = "StoppingCondition.MaxRuntimeInSeconds";
    match number(request, member).unwrap_or(RUNTIME_SECONDS_DEFAULT) {
        found @ 1..=RUNTIME_SECONDS_MAX => Ok(Duration::from_secs(found)),
        found => Err(refused(format!("{member}: expected 1 to {RUNTIME_SECONDS_MAX}, found {found}"))),
    }
}

fn attempts(request: &Map<String, Value>) -> u32 {
    let retries = number(request, "RetryStrategy.MaximumRetryAttempts");
    let attempts = retries.map_or(ATTEMPTS_DEFAULT, |retries| retries.saturating_add(1));
    u32::try_from(attempts).unwrap_or(u32::MAX)
}

/// Where the toolkit wants what is under way; the SDK quotes it as JSON.
fn intermediate(request: &Map<String, Value>) -> Option<String> {
    let given = word(request, "HyperParameters.sagemaker_s3_output")?.trim_matches('"');
    Place::parse(given).map(|_| given.to_owned())
}

#[cfg(test)]
mod tests;
