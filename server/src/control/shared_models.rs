//! Models by what they are: variants whose artifact and options are the same share one in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use models::LoadError;
use tokio::sync::Semaphore;

use super::artifacts::{ArtifactError, Artifacts, Held};
use super::endpoint::PinnedArtifact;
use super::images::{Container, ImageError};
use crate::metrics::Metrics;
use crate::rt;
use crate::serving::memory::Reservation;
use crate::serving::{LoadedModel, Loader, ModelMemory};

/// Models that are loaded at once. Reason: a load is CPU-bound; more at once only slow each other and the data plane.
const LOADS_MAX: usize = 2;

/// What a loaded model takes beside its own memory: its numbers, its name, its place in the map.
const MODEL_OVERHEAD_BYTES: u64 = 32 << 10;

/// Why a model is not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The container definition is not served.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The artifact cannot be had.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The artifact is refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It does not fit.
    #[error(transparent)]
    Memory(#[from] crate::error::Error),
    /// A model that is loaded when it is asked for cannot be.
    #[error(transparent)]
    OnDemand(Arc<crate::error::Error>),
    /// It took too long.
    #[error("{what}: expected at most {limit_seconds} s ({member}), found more")]
    Late {
        /// What.
        what: &'static str,
        /// Which member of the variant sets the limit.
        member: &'static str,
        /// The limit.
        limit_seconds: u64,
    },
}

/// How long the parts of a load may take.
#[derive(Debug, Clone, Copy)]
pub struct LoadLimits {
    /// `ModelDataDownloadTimeoutInSeconds`.
    pub download: Duration,
    /// `ContainerStartupHealthCheckTimeoutInSeconds`.
    pub startup: Duration,
}

/// A model in memory, with what it takes and the artifact that it came from.
#[derive(Debug)]
pub struct SharedModel {
    /// The model.
    pub model: Arc<LoadedModel>,
    /// What it takes, given back when nobody serves it.
    _memory: Reservation,
    /// Its artifact stays on this machine for as long.
    _held: Held,
}

/// What makes two loads the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    sha256: String,
    options: String,
}

/// The place of a model: whoever comes first loads, whoever comes next waits and finds it.
type Place = Arc<tokio::sync::Mutex<Weak<SharedModel>>>;

/// All models that are loaded for good.
#[derive(Debug)]
pub struct SharedModels {
    artifacts: Arc<Artifacts>,
    memory: Arc<ModelMemory>,
    metrics: Arc<Metrics>,
    loads: Semaphore,
    places: Mutex<HashMap<Key, Place>>,
}

impl SharedModels {
    /// Over these artifacts, within `memory`.
    pub fn new(artifacts: Arc<Artifacts>, memory: Arc<ModelMemory>, metrics: Arc<Metrics>) -> Self {
        Self { artifacts, memory, metrics, loads: Semaphore::new(LOADS_MAX), places: Mutex::default() }
    }

    /// The artifacts.
    pub fn artifacts(&self) -> &Arc<Artifacts> {
        &self.artifacts
    }

    /// The memory that models come from.
    pub fn memory(&self) -> &Arc<ModelMemory> {
        &self.memory
    }

    /// The model of `container` at `url`, and what it is pinned to: fetched, verified, loaded and warmed, unless it is in
    /// memory already.
    ///
    /// # Errors
    /// When any of that fails or takes too long.
    pub async fn load(
        &self,
        container: &Container,
        url: &str,
        pin: Option<&PinnedArtifact>,
        e_tag: Option<&str>,
        limits: LoadLimits,
    ) -> Result<(Arc<SharedModel>, PinnedArtifact), ProvisionError> {
        let held = self.obtain(url, pin, e_tag, limits.download).await?;
        let pin = held.pin.clone();
        let place = self.place(Key {
            sha256: pin.sha256.clone(),
            options: format!("{:?} {:?} {:?}", container.family, container.options, container.default_accept),
        });
        let mut place = place.lock().await;
        if let Some(model) = place.upgrade() {
            return Ok((model, pin));
        }
        let (model, memory) = self.bring_up(container, &held, limits.startup).await?;
        let model = Arc::new(SharedModel { model: Arc::new(model), _memory: memory, _held: held });
        *place = Arc::downgrade(&model);
        Ok((model, pin))
    }

    /// The artifact at `url`, in time.
    ///
    /// # Errors
    /// When it cannot be had, or not in time.
    pub async fn obtain(
        &self,
        url: &str,
        pin: Option<&PinnedArtifact>,
        e_tag: Option<&str>,
        limit: Duration,
    ) -> Result<Held, ProvisionError> {
        let obtaining = tokio::time::timeout(limit, self.artifacts.obtain(url, pin, e_tag));
        let late = late("downloading the model data", "ModelDataDownloadTimeoutInSeconds", limit);
        Ok(obtaining.await.map_err(|_| late)??)
    }

    /// Loads and warms `held` as `container` says, within `limit` from its turn on.
    ///
    /// # Errors
    /// When it is refused, does not fit, or takes too long.
    pub async fn bring_up(
        &self,
        container: &Container,
        held: &Held,
        limit: Duration,
    ) -> Result<(LoadedModel, Reservation), ProvisionError> {
        let _turn = self.loads.acquire().await.expect("it is never closed");
        let late = late("loading and warming up", "ContainerStartupHealthCheckTimeoutInSeconds", limit);
        tokio::time::timeout(limit, self.read(container, held)).await.map_err(|_| late)?
    }

    /// The memory is asked for by the artifact's size before the model is read, and again when its loader has counted:
    /// while a new fleet stands beside the old one, both are in memory.
    async fn read(
        &self,
        container: &Container,
        held: &Held,
    ) -> Result<(LoadedModel, Reservation), ProvisionError> {
        let loader = Loader {
            scratch: self.artifacts.scratch().to_owned(),
            options: container.options.clone(),
            default_accept: container.default_accept,
        };
        let started = Instant::now();
        let (opener, path) = (loader.clone(), held.path().to_owned());
        let artifact = rt::blocking(move || opener.open(&path)).await?;
        container.check_family(artifact.manifest().algorithm)?;
        if artifact.digest() != held.pin.sha256 {
            return Err(ArtifactError::Changed {
                url: held.path().display().to_string(),
                expected: held.pin.sha256.clone(),
                found: artifact.digest().to_owned(),
            }
            .into());
        }
        let size_bytes: u64 = artifact.members().iter().map(|member| member.size_bytes).sum();
        let mut memory = self.memory.reserve(size_bytes + MODEL_OVERHEAD_BYTES).await?;
        let model = rt::blocking(move || loader.load(&artifact)).await?;
        self.memory.fit(&mut memory, model.model.memory_bytes() as u64 + MODEL_OVERHEAD_BYTES).await?;
        self.metrics.model_load.record(started.elapsed());
        Ok((model, memory))
    }

    fn place(&self, key: Key) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        // A place that nobody waits at, of a model that nobody serves, is of no use.
        places.retain(|_, place| {
            let is_empty = |place: &Place| place.try_lock().is_ok_and(|model| model.strong_count() == 0);
            Arc::strong_count(place) > 1 || !is_empty(place)
        });
        Arc::clone(places.entry(key).or_default())
    }
}

fn late(what: &'static str, member: &'static str, limit: Duration) -> ProvisionError {
    ProvisionError::Late { what, member, limit_seconds: limit.as_secs() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::artifacts::tests::{artifacts, put_model};
    use super::*;
    use crate::serving::memory::MemoryBudget;
    use crate::serving::{ModelServer, ModelServerOptions};

    pub(in crate::control) const LIMITS: LoadLimits =
        LoadLimits { download: Duration::from_secs(20), startup: Duration::from_secs(20) };

    /// Without a limit that matters.
    pub(in crate::control) fn models(artifacts: Arc<Artifacts>) -> SharedModels {
        within(artifacts, u64::MAX)
    }

    fn within(artifacts: Arc<Artifacts>, limit_bytes: u64) -> SharedModels {
        let metrics = Arc::new(Metrics::default());
        let options = ModelServerOptions::online(1, 4, 1 << 20);
        let server = ModelServer::start(options, Arc::clone(&metrics)).unwrap();
        let memory = ModelMemory::new(MemoryBudget::new(limit_bytes), &server);
        SharedModels::new(artifacts, memory, metrics)
    }

    fn container(image: &str) -> Container {
        let container = serde_json::json!({"Image": image, "ModelDataUrl": "s3://models/a/model.tar.gz"});
        Container::of_model(&serde_json::json!({"PrimaryContainer": container})).unwrap()
    }

    const URL: &str = "s3://models/a/model.tar.gz";

    #[tokio::test(flavor = "current_thread")]
    async fn one_digest_is_one_model_and_its_memory_is_given_back() {
        let data = tempfile::tempdir().unwrap();
        let artifacts = artifacts(data.path());
        put_model(&artifacts, URL, 1).await;
        let models = models(artifacts);
        let clary = container("clary");
        let both =
            [models.load(&clary, URL, None, None, LIMITS), models.load(&clary, URL, None, None, LIMITS)];
        let both = futures_util::future::try_join_all(both).await.unwrap();
        assert!(Arc::ptr_eq(&both[0].0, &both[1].0) && both[0].1.sha256 == both[1].1.sha256);
        let mut batch = clary.clone();
        batch.options.batch = true;
        let (other, _) = models.load(&batch, URL, None, None, LIMITS).await.unwrap();
        assert!(!Arc::ptr_eq(&both[0].0, &other), "other options are another model");
        let gone = Arc::downgrade(&both[0].0);
        drop(both);
        assert!(gone.upgrade().is_none());
        assert!(other._memory.bytes() > MODEL_OVERHEAD_BYTES);
    }

    async fn check_refused(models: &SharedModels, image: &str, limits: LoadLimits, expected: &str) {
        let error = models.load(&container(image), URL, None, None, limits).await.expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }

    /// No time at all is refused, unless the work was done before the first look at the clock: then it is tried again.
    async fn check_late(models_of: impl Fn() -> SharedModels, limits: LoadLimits, expected: &str) {
        for _ in 0..100 {
            if let Err(error) = models_of().load(&container("clary"), URL, None, None, limits).await {
                assert!(error.to_string().contains(expected), "{error}");
                return;
            }
        }
        panic!("loaded a hundred times before the first look");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_cannot_be_loaded_says_why() {
        let data = tempfile::tempdir().unwrap();
        let artifacts = artifacts(data.path());
        check_refused(&models(Arc::clone(&artifacts)), "clary", LIMITS, URL).await;
        put_model(&artifacts, URL, 1).await;
        let models_of = || models(Arc::clone(&artifacts));
        check_refused(
            &models_of(),
            "xgboost:1",
            LIMITS,
            "expected an artifact of xgboost, found one of kmeans",
        )
        .await;
        check_refused(&within(Arc::clone(&artifacts), 1000), "clary", LIMITS, "1000").await;
        let late = LoadLimits { startup: Duration::ZERO, ..LIMITS };
        check_late(models_of, late, "ContainerStartupHealthCheckTimeoutInSeconds").await;
        let late = LoadLimits { download: Duration::ZERO, ..LIMITS };
        check_late(models_of, late, "ModelDataDownloadTimeoutInSeconds").await;
    }
}
