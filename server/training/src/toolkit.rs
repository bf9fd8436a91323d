//! The `SM_*` variables that SageMaker's training toolkit sets for scripts: strings as they are, everything else as compact
//! JSON with sorted members.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::configuration::{self, GROUP};
use crate::host::Host;
use crate::job::Job;

/// The level of logs where `sagemaker_container_log_level` does not say: Python's INFO.
const LOG_LEVEL: &str = "20";

/// The variables of a script of `job` on `host`.
pub(crate) fn variables(job: &Job, host: &Host) -> BTreeMap<String, String> {
    let (script, framework) = hyperparameters(job);
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: String| _ = variables.insert(format!("SM_{name}"), value);
    for (name, value) in paths(host).into_iter().chain(own(&framework)) {
        set(name, value);
    }
    for (name, value) in values(job, host, &script, &framework) {
        set(name, value.to_string());
    }
    for channel in &job.channels {
        let folder = host.data().join(&channel.name);
        set(&format!("CHANNEL_{}", channel.name.to_uppercase()), folder.display().to_string());
    }
    for (name, value) in &script {
        set(&format!("HP_{}", name.to_uppercase()), raw(value));
    }
    set("CURRENT_HOST", host.name.clone());
    set("CURRENT_INSTANCE_TYPE", job.instance_type.clone());
    set("CURRENT_INSTANCE_GROUP", GROUP.to_owned());
    set("NETWORK_INTERFACE_NAME", configuration::interface(&job.program).to_owned());
    let environment = training_environment(&variables);
    variables.insert("SM_TRAINING_ENV".to_owned(), environment.to_string());
    variables
}

/// Hyperparameters by their JSON values: those of the script, and those of the toolkit itself.
fn hyperparameters(job: &Job) -> (Map<String, Value>, Map<String, Value>) {
    let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
    job.hyperparameters
        .iter()
        .map(|(name, text)| (name.clone(), value(text)))
        .partition(|(name, _): &(String, Value)| !name.starts_with("sagemaker_"))
}

fn paths(host: &Host) -> Vec<(&'static str, String)> {
    let output = host.base.join("output");
    [
        ("MODEL_DIR", host.model()),
        ("OUTPUT_DIR", output),
        ("OUTPUT_DATA_DIR", host.output_data()),
        ("OUTPUT_INTERMEDIATE_DIR", host.intermediate()),
        ("INPUT_DIR", host.base.join("input")),
        ("INPUT_CONFIG_DIR", host.configuration()),
    ]
    .map(|(name, path)| (name, path.display().to_string()))
    .into()
}

/// What the toolkit's own hyperparameters say.
fn own(framework: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let text = |name: &str| framework.get(name).map(raw).unwrap_or_default();
    let program = text("sagemaker_program");
    let level = Some(text("sagemaker_container_log_level")).filter(|level| !level.is_empty());
    vec![
        ("MODULE_NAME", program.strip_suffix(".py").unwrap_or(&program).to_owned()),
        ("USER_ENTRY_POINT", program),
        ("MODULE_DIR", text("sagemaker_submit_directory")),
        ("FRAMEWORK_MODULE", String::new()),
        ("LOG_LEVEL", level.unwrap_or_else(|| LOG_LEVEL.to_owned())),
    ]
}

fn values(
    job: &Job,
    host: &Host,
    script: &Map<String, Value>,
    framework: &Map<String, Value>,
) -> Vec<(&'static str, Value)> {
    let hosts = Host::names(job.hosts);
    let mut channels: Vec<_> = job.channels.iter().map(|channel| &channel.name).collect();
    channels.sort();
    let resources = configuration::resources(job, host);
    vec![
        ("CHANNELS", json!(channels)),
        ("HPS", json!(script)),
        ("USER_ARGS", json!(arguments(script))),
        ("FRAMEWORK_PARAMS", json!(framework)),
        ("HOSTS", json!(hosts)),
        ("CURRENT_INSTANCE_GROUP_HOSTS", json!(hosts)),
        ("INSTANCE_GROUPS", json!([GROUP])),
        ("INSTANCE_GROUPS_DICT", json!({ GROUP: resources["instance_groups"][0].clone() })),
        ("DISTRIBUTION_INSTANCE_GROUPS", json!([])),
        ("IS_HETERO", json!(false)),
        ("NUM_CPUS", json!(job.limits.cpus)),
        ("NUM_GPUS", json!(0)),
        ("NUM_NEURONS", json!(0)),
        ("RESOURCE_CONFIG", resources),
        ("INPUT_DATA_CONFIG", configuration::channels(&job.channels)),
    ]
}

/// Hyperparameters as a command line, sorted by name: `--name value`, and `-n value` of one letter.
fn arguments(script: &Map<String, Value>) -> Vec<String> {
    let name = |name: &str| if name.chars().count() == 1 { format!("-{name}") } else { format!("--{name}") };
    let pairs = |value: &Map<String, Value>| {
        let pairs: Vec<_> = value.iter().map(|(key, value)| format!("{key}={}", raw(value))).collect();
        pairs.join(",")
    };
    let text = |value: &Value| value.as_object().map_or_else(|| raw(value), pairs);
    script.iter().flat_map(|(key, value)| [name(key), text(value)]).collect()
}

/// A string as it is, anything else as JSON.
fn raw(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// All of it once more, as one object of lower-case names.
fn training_environment(variables: &BTreeMap<String, String>) -> Value {
    let one = |(name, text): (&String, &String)| {
        let name = name.strip_prefix("SM_").unwrap_or(name).to_lowercase();
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
        (name, value)
    };
    let is_whole = |name: &&String| !name.starts_with("SM_HP_") && !name.starts_with("SM_CHANNEL_");
    Value::Object(variables.iter().filter(|(name, _)| is_whole(name)).map(one).collect())
}
