//! `CreateEndpoint`, `DescribeEndpoint`, `UpdateEndpoint`, `UpdateEndpointWeightsAndCapacities`, `DeleteEndpoint`: what the
//! control plane does of them, and what it answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::description::describe_endpoint;
use super::refusal::Refusal;
use super::{array, required, resource};
use crate::control::fleet::VariantProperty;
use crate::control::tags::Tags;
use crate::control::{ControlError, CreateEndpoint, DesiredWeightAndCapacity, Kind, UpdateEndpoint};
use crate::faces::aws::Call;
use crate::platform::Platform;

pub(super) async fn create(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let create = CreateEndpoint {
        name: required(&call.input, "EndpointName")?.to_owned(),
        config_name: required(&call.input, "EndpointConfigName")?.to_owned(),
        deployment_config: call.input.get("DeploymentConfig").cloned(),
        tags: Tags::parse(call.input.get("Tags"))?,
    };
    arn(call, platform.control.create_endpoint(&call.scope, create).await)
}

pub(super) async fn describe(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let record = resource::find(platform, call, Kind::Endpoint).await?;
    Ok(Value::Object(describe_endpoint(&record)?))
}

pub(super) async fn update(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let is_set = |member: &str| call.input.get(member).and_then(Value::as_bool).unwrap_or(false);
    let excluded = array(&call.input, "ExcludeRetainedVariantProperties").iter();
    let excluded = excluded.filter_map(|property| property.get("VariantPropertyType")?.as_str());
    let update = UpdateEndpoint {
        name: required(&call.input, "EndpointName")?.to_owned(),
        config_name: required(&call.input, "EndpointConfigName")?.to_owned(),
        retain_all: is_set("RetainAllVariantProperties"),
        exclude: excluded.filter_map(VariantProperty::parse).collect(),
        deployment_config: call.input.get("DeploymentConfig").cloned(),
        retain_deployment_config: is_set("RetainDeploymentConfig"),
    };
    arn(call, platform.control.update_endpoint(update).await)
}

pub(super) async fn update_weights(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let name = required(&call.input, "EndpointName")?;
    let mut named = BTreeSet::new();
    let mut desired = Vec::new();
    for variant in array(&call.input, "DesiredWeightsAndCapacities").iter().filter_map(Value::as_object) {
        let variant = desired_of(variant)?;
        if !named.insert(variant.variant.clone()) {
            return Err(Refusal::validation(format!(
                "DesiredWeightsAndCapacities: expected each VariantName once, found {:?} twice",
                variant.variant
            )));
        }
        desired.push(variant);
    }
    arn(call, platform.control.update_weights_and_capacities(name, desired).await)
}

fn desired_of(variant: &Map<String, Value>) -> Result<DesiredWeightAndCapacity, Refusal> {
    Ok(DesiredWeightAndCapacity {
        variant: required(variant, "VariantName")?.to_owned(),
        weight: variant.get("DesiredWeight").and_then(Value::as_f64),
        // The shape holds it to 32 bits.
        instance_count: variant.get("DesiredInstanceCount").and_then(Value::as_u64).map(|count| count as u32),
        serverless: variant.get("ServerlessUpdateConfig").cloned(),
    })
}

pub(super) async fn delete(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let name = required(&call.input, "EndpointName")?;
    let deleted = platform.control.delete_endpoint(name).await;
    deleted.map_err(|error| Refusal::control(&call.scope, error))?;
    Ok(json!({}))
}

fn arn(call: &Call, answered: Result<String, ControlError>) -> Result<Value, Refusal> {
    let arn = answered.map_err(|error| Refusal::control(&call.scope, error))?;
    Ok(json!({"EndpointArn": arn}))
}
