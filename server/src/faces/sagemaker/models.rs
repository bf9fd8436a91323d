//! `CreateModel`, `DescribeModel`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Map, Value};

use super::container::{Container, ModelData};
use super::refusal::Refusal;
use super::{array, resource};
use crate::buckets::Buckets;
use crate::control::{Kind, Record};
use crate::faces::aws::Call;
use crate::platform::Platform;

/// How long a store may take to say whether an object is there. Reason: a third of the time that clients wait for an
/// answer.
const LOOK_UP_MAX: Duration = Duration::from_secs(20);

pub(super) async fn create(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let containers = containers(&call.input)?;
    for container in &containers {
        container.check()?;
    }
    check_pipeline(&call.input, &containers)?;
    for container in &containers {
        if let Some(data) = container.model_data()? {
            look_up(platform, &data).await?;
        }
    }
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

/// Looks whether a model's data is there.
async fn look_up(platform: &Arc<Platform>, data: &ModelData<'_>) -> Result<(), Refusal> {
    let url = data.url;
    let no_access = |reason: &dyn std::fmt::Display| {
        tracing::warn!(url, %reason, "model data could not be looked up");
        Refusal::validation(format!(
            "Could not access model data at {url}. Please ensure that the store can be reached: {reason}."
        ))
    };
    let wrong = |reason: &dyn std::fmt::Display| Refusal::validation(format!("model data {url}: {reason}"));
    let (bucket, key) = Buckets::parse_url(url).map_err(|error| wrong(&error))?;
    let key = Path::parse(key).map_err(|error| wrong(&error))?;
    let store = platform.buckets.of(&bucket).map_err(|error| no_access(&error))?;
    let found = tokio::time::timeout(LOOK_UP_MAX, exists(store.as_ref(), &key, data.is_prefix)).await;
    match found {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(Refusal::validation(format!("Could not find model data at {url}."))),
        Ok(Err(error)) => Err(no_access(&error)),
        Err(_) => Err(no_access(&format!("no answer within {} s", LOOK_UP_MAX.as_secs()))),
    }
}

/// Whether there is an object of this key, or one below it.
async fn exists(store: &dyn ObjectStore, key: &Path, is_prefix: bool) -> object_store::Result<bool> {
    if is_prefix {
        return store.list(Some(key)).next().await.transpose().map(|first| first.is_some());
    }
    match store.head(key).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
