//! `DescribeEndpoint`: an endpoint's state as clients read it.

use serde_json::{Map, Value, json};

use crate::control::StateError;
use crate::control::endpoint::{EndpointState, Fleet, VariantState, VariantStatus};
use crate::control::record::Record;

/// Members of an endpoint configuration that its endpoint repeats.
const REPEATED: &[&str] = &["AsyncInferenceConfig", "MetricsConfig", "CrossRegionTrafficConfig"];

/// Members of a variant's definition that its summary repeats.
const REPEATED_OF_VARIANT: &[&str] = &["RoutingConfig", "ManagedInstanceScaling"];

/// What `DescribeEndpoint` says of a record.
///
/// # Errors
/// When the record holds no endpoint.
pub(super) fn describe_endpoint(record: &Record) -> Result<Map<String, Value>, StateError> {
    let state = EndpointState::of_record(record)?;
    let mut description = Map::new();
    let mut say = |member: &str, value: Value| {
        description.insert(member.to_owned(), value);
    };
    say("EndpointName", record.name.as_str().into());
    say("EndpointArn", record.arn.as_str().into());
    say("EndpointStatus", state.status.as_str().into());
    say("CreationTime", record.created.to_json());
    say("LastModifiedTime", record.modified.to_json());
    if let Some(reason) = &state.failure_reason {
        say("FailureReason", reason.as_str().into());
    }
    let (current, pending) = fleets(&state);
    if let Some(fleet) = current {
        say("EndpointConfigName", fleet.config.name.as_str().into());
        say_variants(fleet, record, false, &mut say);
        for member in REPEATED {
            if let Some(value) = fleet.config.config.get(*member) {
                say(member, value.clone());
            }
        }
        if let Some(capture) = fleet.config.config.get("DataCaptureConfig") {
            say("DataCaptureConfig", capture_summary(capture));
        }
    }
    if let Some(config) = &state.last_deployment_config {
        say("LastDeploymentConfig", config.clone());
    }
    if let (Some(fleet), Some(change)) = (pending, &state.change) {
        let mut summary = Map::new();
        let mut say_pending = |member: &str, value: Value| {
            summary.insert(member.to_owned(), value);
        };
        say_pending("EndpointConfigName", fleet.config.name.as_str().into());
        say_pending("StartTime", change.started.to_json());
        say_variants(fleet, record, true, &mut say_pending);
        say("PendingDeploymentSummary", summary.into());
    }
    Ok(description)
}

/// The fleet that serves (or is to, when it is the first), and the one that is to take over from it.
fn fleets(state: &EndpointState) -> (Option<&Fleet>, Option<&Fleet>) {
    let next = state.pending();
    match &state.fleet {
        Some(current) => (Some(current), next),
        None => (next, None),
    }
}

fn say_variants(fleet: &Fleet, record: &Record, is_pending: bool, say: &mut impl FnMut(&str, Value)) {
    for (member, is_shadow) in [("ProductionVariants", false), ("ShadowProductionVariants", true)] {
        let variants = fleet.variants.iter().filter(|variant| variant.is_shadow == is_shadow);
        let summaries: Vec<Value> = variants.map(|v| variant_summary(fleet, v, record, is_pending)).collect();
        if !summaries.is_empty() {
            say(member, summaries.into());
        }
    }
}

fn variant_summary(fleet: &Fleet, variant: &VariantState, record: &Record, is_pending: bool) -> Value {
    let mut summary = Map::new();
    let mut say = |member: &str, value: Value| {
        summary.insert(member.to_owned(), value);
    };
    say("VariantName", variant.name.as_str().into());
    say("DeployedImages", deployed_images(fleet, variant, record));
    say("CurrentWeight", variant.current_weight.into());
    say("DesiredWeight", variant.desired_weight.into());
    match (&variant.current_serverless, &variant.desired_serverless) {
        (None, None) => {
            say("CurrentInstanceCount", variant.current_instance_count.into());
            say("DesiredInstanceCount", variant.desired_instance_count.into());
        }
        (current, desired) => {
            for (member, config) in
                [("CurrentServerlessConfig", current), ("DesiredServerlessConfig", desired)]
            {
                if let Some(config) = config {
                    say(member, config.clone());
                }
            }
        }
    }
    if !variant.status.is_empty() {
        say("VariantStatus", variant.status.iter().map(variant_status).collect());
    }
    let definition = fleet.definition(&variant.name);
    let of_definition = |member: &str| definition.and_then(|definition| definition.get(member)).cloned();
    for member in REPEATED_OF_VARIANT {
        if let Some(value) = of_definition(member) {
            say(member, value);
        }
    }
    if let Some(instance_type) = of_definition("InstanceType").filter(|_| is_pending) {
        say("InstanceType", instance_type);
    }
    // Beyond AWS: the bytes that the variant is held to. Clients ignore members that they do not know.
    if let Some(artifact) = &variant.artifact {
        say("Artifact", json!({"Url": artifact.url, "ETag": artifact.e_tag, "Sha256": artifact.sha256}));
    }
    summary.into()
}

fn variant_status(status: &VariantStatus) -> Value {
    let mut said = json!({"Status": status.status, "StartTime": status.started.to_json()});
    if let Some(message) = &status.message {
        said["StatusMessage"] = message.as_str().into();
    }
    said
}

/// One for each container of the variant's model. Images are served in process: none is pulled, and what was asked for is
/// what it resolves to.
fn deployed_images(fleet: &Fleet, variant: &VariantState, record: &Record) -> Value {
    let model = fleet.config.models.get(&variant.model).unwrap_or(&Value::Null);
    let several = model["Containers"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let resolved = variant.artifact.as_ref().map_or(record.created, |artifact| artifact.resolved);
    let containers = model.get("PrimaryContainer").into_iter().chain(several);
    let images = containers.filter_map(|container| container["Image"].as_str());
    images
        .map(|image| {
            json!({"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": resolved.to_json()})
        })
        .collect()
}

/// Data capture as an endpoint shows it: all of these members, whatever the configuration left out.
fn capture_summary(config: &Value) -> Value {
    let is_enabled = config["EnableCapture"].as_bool().unwrap_or(false);
    json!({
        "EnableCapture": is_enabled,
        "CaptureStatus": if is_enabled { "Started" } else { "Stopped" },
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"].as_i64().unwrap_or(0),
        "DestinationS3Uri": config["DestinationS3Uri"].as_str().unwrap_or_default(),
        "KmsKeyId": config["KmsKeyId"].as_str().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
