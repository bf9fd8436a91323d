//! `CreateModel`, `DescribeModel`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::container::Container;
use super::refusal::Refusal;
use super::{array, resource};
use crate::control::{Kind, Record};
use crate::faces::aws::Call;
use crate::platform::Platform;

pub(super) async fn create(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let containers = containers(&call.input)?;
    for container in &containers {
        container.check()?;
    }
    check_pipeline(&call.input, &containers)?;
    resource::create(platform, call, Kind::Model, |_, _| Ok(())).await
}

pub(super) async fn describe(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let record = resource::find(platform, call, Kind::Model).await?;
    Ok(Value::Object(description(record)))
}

/// What `DescribeModel` says of a record.
pub(super) fn description(record: Record) -> Map<String, Value> {
    let mut description = resource::description(record, Kind::Model);
    description.entry("EnableNetworkIsolation").or_insert(Value::Bool(false));
    description
}

/// The containers of a model, of whichever member names them.
fn containers(input: &Map<String, Value>) -> Result<Vec<Container<'_>>, Refusal> {
    let primary = input.get("PrimaryContainer").and_then(Value::as_object);
    let several = array(input, "Containers");
    match (primary, several) {
        (Some(primary), []) => Ok(vec![Container::new("PrimaryContainer".into(), primary)]),
        (None, [_, ..]) => {
            let containers = several.iter().enumerate().filter_map(|(index, container)| {
                Some(Container::new(format!("Containers[{index}]"), container.as_object()?))
            });
            Ok(containers.collect())
        }
        (Some(_), _) => Err(Refusal::validation("expected PrimaryContainer or Containers, found both")),
        (None, []) => Err(Refusal::validation("expected PrimaryContainer or Containers, found neither")),
    }
}

/// Containers of one model are told apart by their names, and each has one when they are called directly.
fn check_pipeline(input: &Map<String, Value>, containers: &[Container<'_>]) -> Result<(), Refusal> {
    let mode =
        input.get("InferenceExecutionConfig").and_then(|config| config.get("Mode")).and_then(Value::as_str);
    let mut names: Vec<&str> = containers.iter().filter_map(Container::hostname).collect();
    if mode == Some("Direct") && names.len() < containers.len() {
        let found = containers.len() - names.len();
        return Err(Refusal::validation(format!(
            "InferenceExecutionConfig: Mode Direct expects a ContainerHostname in each container, found {found} without"
        )));
    }
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Refusal::validation(format!(
            "Containers: expected each ContainerHostname once, found {:?} twice",
            pair[0]
        ))),
    }
}
