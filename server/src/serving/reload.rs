//! Keeps one endpoint equal to the artifact at a place: load, warm up, publish by one store; a broken artifact leaves
//! the old model serving and says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::watch::{Action, Watch};
use super::{Capacity, Endpoint, Health, LoadedModel, Loader, ModelServer};
use crate::metrics::{Metrics, VariantMetrics};
use crate::rt;
use crate::store::{Signature, Source, StoreError};

/// SageMaker's name of the one variant of a simple endpoint.
const VARIANT: &str = "AllTraffic";

/// How often a first artifact that cannot be loaded is looked at when reloading is off. Reason: a platform that waits
/// for `/ping` gives up after minutes; what arrives late should still be found.
const FIRST_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a reloader needs.
#[derive(Debug)]
pub struct Reloader {
    /// Where the artifact is.
    pub source: Source,
    /// How it is loaded.
    pub loader: Loader,
    /// The endpoint's name.
    pub endpoint: String,
    /// Where it is published.
    pub server: Arc<ModelServer>,
    /// What `/ping` says.
    pub health: Arc<Health>,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// How often to look; zero is never again after the first model.
    pub interval: Duration,
}

/// Why an artifact was not published.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Load(#[from] models::LoadError),
}

impl Reloader {
    /// Looks, loads and publishes for ever; runs on the control runtime.
    pub async fn run(self) {
        let mut watch = Watch::default();
        let mut digest = None;
        let variant = self.metrics.variant(&self.endpoint, VARIANT);
        let capacity = Capacity::new(u32::MAX);
        let mut is_missing = false;
        loop {
            match self.source.signature().await {
                Ok(signature) => {
                    is_missing = false;
                    self.health.reached();
                    if watch.see(&signature) == Action::Load
                        && let Some(model) = self.look(&mut watch, signature, digest.as_deref()).await
                    {
                        digest = Some(model.digest.clone());
                        self.publish(model, &variant, &capacity);
                    }
                }
                // Said once, not once a look.
                Err(error) if !is_missing => {
                    is_missing = true;
                    self.miss(&error);
                }
                Err(_) => {}
            }
            match (self.interval.is_zero(), digest.is_some()) {
                (true, true) => return,
                (true, false) => tokio::time::sleep(FIRST_LOOK_INTERVAL).await,
                (false, _) => tokio::time::sleep(self.interval).await,
            }
        }
    }

    /// Loads what is there; `None` when it is refused, is what serves already, or is still changing.
    async fn look(&self, watch: &mut Watch, before: Signature, digest: Option<&[u8]>) -> Option<LoadedModel> {
        let started = Instant::now();
        let loaded = self.load(digest).await;
        let after = self.source.signature().await.ok();
        if let Err(ReloadError::Store(error)) = &loaded {
            // The place, not the artifact, is at fault: it is not settled, and the next look tries again.
            self.miss(error);
            return None;
        }
        if !watch.settle(before, after.as_ref()) {
            tracing::debug!(source = %self.source, "the artifact changed while it was loaded; looking again");
            return None;
        }
        match loaded {
            Ok(Some(model)) => {
                self.metrics.model_load.record(started.elapsed());
                Some(model)
            }
            Ok(None) => {
                self.health.ready();
                None
            }
            Err(error) => {
                self.refuse(&error);
                None
            }
        }
    }

    /// `None` when the artifact is the one that serves.
    async fn load(&self, digest: Option<&[u8]>) -> Result<Option<LoadedModel>, ReloadError> {
        let fetched = self.source.fetch(&self.loader.scratch).await?;
        let (loader, digest) = (self.loader.clone(), digest.map(<[u8]>::to_vec));
        rt::blocking(move || {
            let artifact = loader.open(fetched.path())?;
            if digest.as_deref() == Some(artifact.digest().as_bytes()) {
                return Ok(None);
            }
            Ok(Some(loader.load(&artifact)?))
        })
        .await
    }

    fn publish(&self, model: LoadedModel, metrics: &Arc<VariantMetrics>, capacity: &Arc<Capacity>) {
        let digest = String::from_utf8_lossy(&model.digest).into_owned();
        let cost = model.cost;
        let is_first = !self.server.contains(&self.endpoint);
        let endpoint = Endpoint::of_one(VARIANT, Arc::new(model), Arc::clone(metrics), Arc::clone(capacity));
        // Nobody waits for the old one to be freed.
        drop(self.server.publish(&self.endpoint, Some(endpoint)));
        self.health.ready();
        if !is_first {
            self.metrics.reloads.increment(1);
        }
        tracing::info!(source = %self.source, digest, row_ns = cost.row_ns, fixed_ns = cost.fixed_ns, "model published");
    }

    fn miss(&self, error: &StoreError) {
        self.metrics.reload_failures.increment(1);
        self.health.unreachable(error.to_string());
        tracing::warn!(source = %self.source, %error, "the artifact cannot be had");
    }

    fn refuse(&self, error: &ReloadError) {
        self.metrics.reload_failures.increment(1);
        self.health.refused(error.to_string());
        tracing::error!(source = %self.source, %error, "artifact refused; what served before goes on serving");
    }
}
