//! From a fleet's definition to a fleet in memory: every variant's model fetched, verified, loaded and warmed, or the
//! place where it will be loaded when it is asked for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use serde_json::{Map, Value};

use super::endpoint::{Fleet, PinnedArtifact, VariantState};
use super::hosting::Hosting;
use super::images::{Container, ModelData};
use super::instance;
use super::shared_models::{LoadLimits, ProvisionError, SharedModel};
use super::sources::{OnDemand, Prefix};
use crate::metrics::{VariantLabels, VariantMetrics};
use crate::serving::{Capacity, ModelCache, Models, ON_DEMAND, ProductionVariant};

/// How long a download or a start may take where the variant does not say. Reason: the longest that can be asked for is an
/// hour; a model that needs more than ten minutes is large, and its owner knows.
const LOAD_SECONDS_DEFAULT: u64 = 600;

/// A fleet in memory.
#[derive(Debug)]
pub(super) struct LoadedFleet {
    /// Which.
    pub id: i64,
    /// In the order of its definition.
    pub variants: Vec<LoadedVariant>,
}

/// A variant in memory.
#[derive(Debug)]
pub(super) struct LoadedVariant {
    name: Bytes,
    config: Bytes,
    models: Models,
    /// Keeps its memory and its artifact; `None` where models come and go.
    _model: Option<Arc<SharedModel>>,
    capacity: Arc<Capacity>,
    metrics: Arc<VariantMetrics>,
    slots_per_instance: u32,
    /// What it is held to from now on.
    pub pin: Option<PinnedArtifact>,
}

/// Why a fleet cannot serve.
#[derive(Debug, thiserror::Error)]
#[error("{}", failure_reason(variant, error))]
pub(super) struct FleetError {
    /// Which of its variants.
    pub variant: String,
    /// Why.
    pub error: ProvisionError,
}

/// What clients look for, and the real cause.
fn failure_reason(variant: &str, error: &ProvisionError) -> String {
    match error {
        ProvisionError::Image(error) => format!("Production variant {variant} cannot be served: {error}"),
        ProvisionError::Artifact(error) => {
            format!("Failed to download the model data of production variant {variant}: {error}")
        }
        error => format!(
            "The primary container for production variant {variant} did not pass the ping health check. \
             Please check CloudWatch logs for this endpoint. Cause: {error}"
        ),
    }
}

impl LoadedFleet {
    /// Takes over changed `ServerlessConfig`s of its definition.
    pub(super) fn set_serverless(&self, fleet: &Fleet) {
        for variant in &fleet.variants {
            if let (Some(config), Some(loaded)) = (&variant.desired_serverless, self.variant(&variant.name)) {
                loaded.set_serverless(config);
            }
        }
    }

    /// The variant of this name.
    pub(super) fn variant(&self, name: &str) -> Option<&LoadedVariant> {
        self.variants.iter().find(|variant| variant.name == name)
    }
}

impl LoadedVariant {
    /// As an arm with this share of the draws and so many instances of so many that should be.
    pub(super) fn arm(&self, weight: f64, instances: u32, desired: u32, threads: u32) -> ProductionVariant {
        self.metrics.set_instances(instances, desired);
        if self.capacity.concurrency_max().is_none() {
            let slots = instances.saturating_mul(self.slots_per_instance);
            self.capacity.set_slots(slots.clamp(1, threads.max(1)));
        }
        ProductionVariant {
            name: self.name.clone(),
            config: self.config.clone(),
            weight,
            models: self.models.clone(),
            instances,
            capacity: Arc::clone(&self.capacity),
            metrics: Arc::clone(&self.metrics),
        }
    }

    /// Takes over a changed `ServerlessConfig`.
    fn set_serverless(&self, config: &Value) {
        if let Some(max) = serverless_max(config) {
            self.capacity.set_slots(max);
            self.capacity.set_concurrency_max(Some(max));
        }
        self.metrics.set_provisioned_concurrency(provisioned(config));
        if let Models::OnDemand(cache) = &self.models {
            cache.keep(provisioned(config) > 0);
            if provisioned(config) > 0 {
                // What fails is logged there, and tried again by the first request.
                let cache = Arc::clone(cache);
                tokio::spawn(async move { cache.warm(ON_DEMAND).await });
            }
        }
    }
}

impl Hosting {
    /// Loads all variants of `fleet`, beside each other.
    ///
    /// # Errors
    /// When one of them cannot serve.
    pub(super) async fn load_fleet(
        self: &Arc<Self>,
        endpoint: &str,
        fleet: &Fleet,
    ) -> Result<LoadedFleet, FleetError> {
        let loads = fleet.variants.iter().map(async |variant| {
            let loaded = self.load_variant(endpoint, fleet, variant).await;
            loaded.map_err(|error| FleetError { variant: variant.name.clone(), error })
        });
        Ok(LoadedFleet { id: fleet.id, variants: try_join_all(loads).await? })
    }

    async fn load_variant(
        self: &Arc<Self>,
        endpoint: &str,
        fleet: &Fleet,
        variant: &VariantState,
    ) -> Result<LoadedVariant, ProvisionError> {
        let empty = Map::new();
        let definition = fleet.definition(&variant.name).unwrap_or(&empty);
        let container = Container::of_model(fleet.config.models.get(&variant.model).unwrap_or(&Value::Null))?;
        let metrics = self.metrics.production_variant(VariantLabels {
            endpoint: endpoint.to_owned(),
            variant: variant.name.clone(),
            config: Some(fleet.config.name.clone()),
        });
        let limits = limits(definition);
        let e_tag = fleet.config.e_tag(&variant.name);
        let serverless =
            variant.desired_serverless.as_ref().map(|config| serverless_max(config).unwrap_or(1));
        let (models, model, pin) = match (&container.model_data, serverless) {
            (ModelData::One(url), None) => {
                let loading = self.models.load(&container, url, variant.artifact.as_ref(), e_tag, limits);
                let (model, pin) = loading.await?;
                (Models::One(Arc::clone(&model.model)), Some(model), Some(pin))
            }
            (ModelData::One(url), Some(_)) => {
                let held = self.models.obtain(url, variant.artifact.as_ref(), e_tag, limits.download).await?;
                let pin = held.pin.clone();
                let is_first = variant.artifact.is_none();
                let source = OnDemand::new(Arc::clone(&self.models), container.clone(), held, limits);
                let cache = ModelCache::new(Arc::new(source), self.models.memory(), &metrics);
                // A broken artifact is the creation's failure, not the first request's.
                let provisioned = variant.desired_serverless.as_ref().map_or(0, provisioned);
                metrics.set_provisioned_concurrency(provisioned);
                let is_kept = provisioned > 0;
                if (is_first || is_kept)
                    && let Err(error) = cache.warm(ON_DEMAND).await
                {
                    return Err(ProvisionError::OnDemand(error));
                }
                cache.keep(is_kept);
                (Models::OnDemand(cache), None, Some(pin))
            }
            (ModelData::Many(prefix), _) => {
                let source = Prefix::new(Arc::clone(&self.models), container.clone(), prefix, limits);
                (Models::Many(ModelCache::new(Arc::new(source), self.models.memory(), &metrics)), None, None)
            }
        };
        let instance_type = definition.get("InstanceType").and_then(Value::as_str).unwrap_or_default();
        Ok(LoadedVariant {
            name: Bytes::copy_from_slice(variant.name.as_bytes()),
            config: Bytes::copy_from_slice(fleet.config.name.as_bytes()),
            models,
            _model: model,
            capacity: serverless.map_or_else(|| Capacity::new(1), Capacity::serverless),
            metrics,
            slots_per_instance: instance::slots(instance_type),
            pin,
        })
    }
}

fn limits(definition: &Map<String, Value>) -> LoadLimits {
    let limit = |member: &str| {
        let seconds = definition.get(member).and_then(Value::as_u64);
        Duration::from_secs(seconds.unwrap_or(LOAD_SECONDS_DEFAULT))
    };
    LoadLimits {
        download: limit("ModelDataDownloadTimeoutInSeconds"),
        startup: limit("ContainerStartupHealthCheckTimeoutInSeconds"),
    }
}

/// How many requests the variant stands ready for; above 0, its model stays loaded, however long nobody asks.
fn provisioned(config: &Value) -> u32 {
    let count = config.get("ProvisionedConcurrency").and_then(Value::as_u64).unwrap_or(0);
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn serverless_max(config: &Value) -> Option<u32> {
    config.get("MaxConcurrency").and_then(Value::as_u64).and_then(|max| u32::try_from(max).ok())
}
