//! The files below `input/config`: what a program is told of its job.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::channel::Channel;
use crate::host::Host;
use crate::job::{Job, Program};

/// The one group of instances that a job has.
pub(crate) const GROUP: &str = "homogeneousCluster";

/// Writes the files of one host; `checkpoints` is where it finds its checkpoints. Blocks.
pub(crate) fn write(job: &Job, host: &Host, checkpoints: &str) -> io::Result<()> {
    let folder = host.configuration();
    let files = [
        ("hyperparameters.json", json!(job.hyperparameters)),
        ("resourceconfig.json", resources(job, host)),
        ("inputdataconfig.json", channels(&job.channels)),
        ("init.json", json!({"TrainingJobName": job.name, "ImageDigest": ""})),
        ("trainingjobconfig.json", json!({"TrainingJobName": job.name, "TrainingJobArn": job.arn})),
        ("metric-definition-regex.json", metrics(job)),
    ];
    for (name, value) in &files {
        write_one(&folder, name, value)?;
    }
    if let Some(wanted) = &job.checkpoints {
        let value = json!({"LocalPath": checkpoints, "S3Uri": wanted.uri});
        write_one(&folder, "checkpointconfig.json", &value)?;
    }
    Ok(())
}

fn write_one(folder: &Path, name: &str, value: &Value) -> io::Result<()> {
    fs::write(folder.join(name), value.to_string())
}

/// `resourceconfig.json`.
pub(crate) fn resources(job: &Job, host: &Host) -> Value {
    let hosts = Host::names(job.hosts);
    json!({
        "current_host": host.name,
        "hosts": hosts,
        "network_interface_name": interface(&job.program),
        "current_instance_type": job.instance_type,
        "current_group_name": GROUP,
        "instance_groups": [{
            "instance_group_name": GROUP,
            "instance_type": job.instance_type,
            "hosts": hosts,
        }],
    })
}

/// The network interface over which hosts reach each other.
pub(crate) fn interface(program: &Program) -> &'static str {
    match program {
        Program::Container { .. } => "eth0",
        _ => "lo",
    }
}

/// `inputdataconfig.json`.
pub(crate) fn channels(channels: &[Channel]) -> Value {
    let one = |channel: &Channel| {
        let mut value = json!({
            "TrainingInputMode": channel.mode.as_str(),
            "S3DistributionType": channel.distribution.as_str(),
            "RecordWrapperType": if channel.record_wrapper { "RecordIO" } else { "None" },
            "CompressionType": if channel.gzip { "Gzip" } else { "None" },
        });
        if let Some(content_type) = &channel.content_type {
            value["ContentType"] = json!(content_type);
        }
        (channel.name.clone(), value)
    };
    Value::Object(channels.iter().map(one).collect())
}

fn metrics(job: &Job) -> Value {
    let one = |definition: &crate::job::MetricDefinition| json!({"Name": definition.name, "Regex": definition.regex.as_str()});
    Value::Array(job.metric_definitions.iter().map(one).collect())
}
