//! The models that a variant loads when they are asked for: those of a multi-model variant, or the one of a serverless
//! variant.
//!
//! A request looks a model up without a lock and never waits here: one that is not there is an error
//! ([`Error::ModelCold`]), and whoever asks for it ([`ModelCache::warm`]) loads it once, however many ask, within the
//! process's budget of memory ([`ModelMemory`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::LoadedModel;
use super::memory::Reservation;
use super::model_memory::ModelMemory;
use crate::error::Error;

/// The most models of one cache. Reason: its map is copied with each load and unload, a millisecond at this size.
const MODELS_MAX: usize = 10_000;

/// The most loads of one cache that are under way or wait. Reason: each has a task and a download; who comes later hears
/// that the model is not ready.
const LOADS_MAX: usize = 64;

/// Uses closer together than this count as one. Reason: a burst for one model says no more of its future than one
/// request; and so a hot model's line is written once a second, not once a request.
const BURST: Duration = Duration::from_secs(1);

/// What a load yields.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub model: LoadedModel,
    /// The memory that it was given.
    pub memory: Reservation,
    /// How long its artifact took to arrive.
    pub downloading: Duration,
    /// And to become a model.
    pub loading: Duration,
}

/// Where the models of a cache come from.
pub trait ModelSource: fmt::Debug + Send + Sync {
    /// Fetches and loads the model of this name, within `memory`.
    fn load(
        self: Arc<Self>,
        name: String,
        memory: Arc<ModelMemory>,
    ) -> BoxFuture<'static, Result<Loaded, Error>>;
}

/// How a load ended, for all who wait for it.
pub type Outcome = Result<(), Arc<Error>>;

/// The models that are loaded now, by name.
type Map = HashMap<Arc<str>, Arc<CachedModel>>;

/// The models of one variant in one fleet.
pub struct ModelCache {
    models: ArcSwap<Map>,
    loads: Mutex<HashMap<Arc<str>, watch::Receiver<Option<Outcome>>>>,
    source: Arc<dyn ModelSource>,
    memory: Arc<ModelMemory>,
    epoch: Instant,
}

/// A model with its memory and its uses.
#[derive(Debug)]
pub struct CachedModel {
    /// The model.
    pub model: LoadedModel,
    memory: Reservation,
    uses: Uses,
}

/// When a model was last used, and when before that burst: milliseconds since the cache's epoch, plus one.
#[derive(Debug, Default)]
struct Uses {
    last: AtomicU64,
    before: AtomicU64,
}

impl Uses {
    /// Two at once may lose one of them, which is of no matter.
    fn touch(&self, now: u64) {
        let last = self.last.load(Ordering::Relaxed);
        if now.saturating_sub(last) >= BURST.as_millis() as u64 {
            self.before.store(last, Ordering::Relaxed);
            self.last.store(now, Ordering::Relaxed);
        }
    }

    /// The smaller, the colder: by the last but one use (LRU-2, O'Neil, O'Neil and Weikum 1993), so that what a scan asks
    /// for once goes before what is asked for again and again; among those, by the last.
    fn warmth(&self) -> (u64, u64) {
        (self.before.load(Ordering::Relaxed), self.last.load(Ordering::Relaxed))
    }
}

impl ModelCache {
    /// An empty cache of the models of `source`, whose memory comes from `memory`.
    pub fn new(source: Arc<dyn ModelSource>, memory: &Arc<ModelMemory>) -> Arc<Self> {
        let cache = Arc::new(Self {
            models: ArcSwap::default(),
            loads: Mutex::default(),
            source,
            memory: Arc::clone(memory),
            epoch: Instant::now(),
        });
        memory.join(&cache);
        cache
    }

    /// The model of this name, if it is loaded, for a request at `now`.
    pub fn find(&self, name: &str, now: Instant) -> Option<Arc<CachedModel>> {
        let models = self.models.load();
        let model = models.get(name)?;
        model.uses.touch(self.millis(now));
        Some(Arc::clone(model))
    }

    /// How many models are loaded.
    pub fn len(&self) -> usize {
        self.models.load().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loads the model of this name, unless it is there; waits for whoever loads it already. On the control runtime. The
    /// load goes on when the caller leaves: others may wait.
    ///
    /// # Errors
    /// When it cannot be had, or too many loads are under way.
    pub async fn warm(self: &Arc<Self>, name: &str) -> Outcome {
        let mut outcome = {
            let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
            if self.models.load().contains_key(name) {
                return Ok(());
            }
            match loads.get(name) {
                Some(outcome) => outcome.clone(),
                None if loads.len() >= LOADS_MAX => {
                    return Err(Arc::new(Error::LoadsFull { limit: LOADS_MAX }));
                }
                None => {
                    let (told, outcome) = watch::channel(None);
                    loads.insert(name.into(), outcome.clone());
                    tokio::spawn(Load { cache: Arc::clone(self), name: name.into(), told }.run());
                    outcome
                }
            }
        };
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().expect("it is some"),
            // The load panicked; its guard has taken it out.
            Err(_) => Err(Arc::new(Error::Panicked)),
        }
    }

    /// Unloads what was last used more than `idle` before `now`.
    pub fn unload_idle(&self, now: Instant, idle: Duration) -> usize {
        let oldest = self.millis(now).saturating_sub(idle.as_millis() as u64);
        let is_idle = |model: &CachedModel| model.uses.last.load(Ordering::Relaxed) < oldest;
        let models = self.models.load();
        let idle = models.iter().filter(|(_, model)| is_idle(model)).map(|(name, _)| Arc::clone(name));
        let names: Vec<_> = idle.collect();
        names.iter().filter(|name| self.unload(name).is_some()).count()
    }

    /// Unloads the model of this name; the answer comes when its memory is free.
    pub fn unload(&self, name: &str) -> Option<tokio::sync::oneshot::Receiver<()>> {
        let model = self.models.load().get(name).cloned()?;
        let previous = self.models.rcu(|models| {
            let mut models = Map::clone(models);
            models.remove(name);
            models
        });
        drop(self.memory.retire(previous));
        Some(self.memory.retire(model))
    }

    fn unload_coldest(&self) {
        if let Some((_, name, _)) = self.census().into_iter().min() {
            // Nobody waits for its memory.
            drop(self.unload(&name));
        }
    }

    /// Every loaded model's name, warmth and bytes, for the choice of what goes.
    pub(super) fn census(&self) -> Vec<((u64, u64), Arc<str>, u64)> {
        let models = self.models.load();
        let of = |(name, model): (&Arc<str>, &Arc<CachedModel>)| {
            (model.uses.warmth(), Arc::clone(name), model.memory.bytes())
        };
        models.iter().map(of).collect()
    }

    fn insert(&self, name: &Arc<str>, loaded: Loaded) {
        let Loaded { model, memory, .. } = loaded;
        let uses = Uses { last: self.millis(Instant::now()).into(), before: 0.into() };
        let model = Arc::new(CachedModel { model, memory, uses });
        let previous = self.models.rcu(|models| {
            let mut models = Map::clone(models);
            models.insert(Arc::clone(name), Arc::clone(&model));
            models
        });
        drop(self.memory.retire(previous));
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_millis() as u64 + 1
    }
}

impl fmt::Debug for ModelCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelCache").field("models", &self.len()).field("source", &self.source).finish()
    }
}

/// A load under way.
struct Load {
    cache: Arc<ModelCache>,
    name: Arc<str>,
    told: watch::Sender<Option<Outcome>>,
}

impl Load {
    async fn run(self) {
        let outcome = self.load().await;
        if let Err(error) = &outcome {
            tracing::warn!(model = &*self.name, %error, "the model cannot be loaded");
        }
        self.told.send_replace(Some(outcome));
    }

    async fn load(&self) -> Outcome {
        let Self { cache, name, .. } = self;
        if cache.len() >= MODELS_MAX {
            cache.unload_coldest();
        }
        let source = Arc::clone(&cache.source);
        let loaded = source.load(name.as_ref().to_owned(), Arc::clone(&cache.memory)).await?;
        cache.insert(name, loaded);
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.cache.loads.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
