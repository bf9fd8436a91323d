//! The models that a variant loads when they are asked for: those of a multi-model variant, or the one of a serverless
//! variant.
//!
//! A request looks a model up without a lock and never waits here: one that is not there is an error
//! ([`Error::ModelCold`]), and whoever asks for it ([`ModelCache::warm`]) loads it once, however many ask, within the
//! process's budget of memory ([`ModelMemory`]).

mod renewal;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::watch;

use super::memory::Reservation;
use super::model_memory::ModelMemory;
use super::{LoadedModel, ON_DEMAND};
use crate::error::{Code, Error};
use crate::metrics::{Measure, VariantMetrics};

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
    /// The version of its artifact (an ETag); `None` where it cannot change, or its store has no versions.
    pub version: Option<String>,
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

    /// The version that a load would bring now; `None` where it cannot change.
    fn version(self: Arc<Self>, _: String) -> BoxFuture<'static, Result<Option<String>, Error>> {
        std::future::ready(Ok(None)).boxed()
    }
}

/// How a load ended, for all who wait for it.
pub type Outcome = Result<(), Arc<Error>>;

/// The models that are loaded now, by name.
type Map = HashMap<Arc<str>, Arc<CachedModel>>;

/// The loads that are under way, by name.
type Loads = HashMap<Arc<str>, watch::Receiver<Option<Outcome>>>;

/// The models of one variant in one fleet.
pub struct ModelCache {
    models: ArcSwap<Map>,
    loads: Mutex<Loads>,
    source: Arc<dyn ModelSource>,
    memory: Arc<ModelMemory>,
    metrics: Arc<VariantMetrics>,
    is_kept: AtomicBool,
    epoch: Instant,
}

/// A model with its memory and its uses.
#[derive(Debug)]
pub struct CachedModel {
    /// The model.
    pub model: LoadedModel,
    memory: Reservation,
    version: Option<String>,
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
    /// An empty cache of the models of `source`, whose memory comes from `memory`; `metrics` are its variant's.
    pub fn new(
        source: Arc<dyn ModelSource>,
        memory: &Arc<ModelMemory>,
        metrics: &Arc<VariantMetrics>,
    ) -> Arc<Self> {
        metrics.set_loaded_models(0);
        let cache = Arc::new(Self {
            models: ArcSwap::default(),
            loads: Mutex::default(),
            source,
            memory: Arc::clone(memory),
            metrics: Arc::clone(metrics),
            is_kept: AtomicBool::new(false),
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
        let started = Instant::now();
        let Some(mut outcome) = self.load_or_join(name)? else { return Ok(()) };
        let outcome = match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().expect("it is some"),
            // The load panicked; its guard has taken it out.
            Err(_) => Err(Arc::new(Error::Panicked)),
        };
        if name != ON_DEMAND {
            self.metrics.measure_time(Measure::ModelLoadingWaitTime, started.elapsed());
        }
        outcome
    }

    /// The outcome of the load of this name, which is begun unless it is under way; `None` when the model is there.
    fn load_or_join(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<Option<watch::Receiver<Option<Outcome>>>, Arc<Error>> {
        let mut loads = self.loads();
        if self.models.load().contains_key(name) {
            return Ok(None);
        }
        if let Some(outcome) = loads.get(name) {
            return Ok(Some(outcome.clone()));
        }
        if loads.len() >= LOADS_MAX {
            return Err(Arc::new(Error::LoadsFull { limit: LOADS_MAX }));
        }
        Ok(Some(self.begin(&mut loads, name.into())))
    }

    /// Begins the load of this name, which is none of `loads` yet.
    fn begin(self: &Arc<Self>, loads: &mut Loads, name: Arc<str>) -> watch::Receiver<Option<Outcome>> {
        let (told, outcome) = watch::channel(None);
        loads.insert(Arc::clone(&name), outcome.clone());
        tokio::spawn(Load { cache: Arc::clone(self), name, told }.run());
        outcome
    }

    fn loads(&self) -> MutexGuard<'_, Loads> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the models stay, whatever room others need and however long nobody asks (provisioned concurrency).
    pub fn keep(&self, is_kept: bool) {
        self.is_kept.store(is_kept, Ordering::Relaxed);
    }

    /// A request that found its model cold has ended without it: counted, as [`ModelServer::invoke`] did not.
    ///
    /// [`ModelServer::invoke`]: super::ModelServer::invoke
    pub fn give_up(&self, started: Instant, code: Code) {
        self.metrics.begin(started);
        self.metrics.end(code, None, started, Instant::now());
    }

    /// Unloads the model of a serverless variant if it was last used more than `idle` before `now`, and need not stay.
    pub fn unload_idle(&self, now: Instant, idle: Duration) -> bool {
        let oldest = self.millis(now).saturating_sub(idle.as_millis() as u64);
        let models = self.models.load();
        let is_idle = |model: &Arc<CachedModel>| model.uses.last.load(Ordering::Relaxed) < oldest;
        let is_idle = models.get(ON_DEMAND).is_some_and(is_idle);
        is_idle && !self.is_kept.load(Ordering::Relaxed) && self.unload(ON_DEMAND).is_some()
    }

    /// Unloads the model of this name; the answer comes when its memory is free.
    pub fn unload(&self, name: &str) -> Option<tokio::sync::oneshot::Receiver<()>> {
        let model = self.models.load().get(name).cloned()?;
        self.change(|models| drop(models.remove(name)));
        tracing::info!(model = name, "model unloaded");
        Some(self.memory.retire(model))
    }

    /// Changes the models by `change`, which is called again when another was faster.
    fn change(&self, change: impl Fn(&mut Map)) {
        let previous = self.models.rcu(|models| {
            let mut models = Map::clone(models);
            change(&mut models);
            models
        });
        drop(self.memory.retire(previous));
        self.metrics.set_loaded_models(self.len() as u32);
    }

    fn unload_coldest(&self) {
        if let Some((_, name, _)) = self.census().into_iter().min() {
            // Nobody waits for its memory.
            drop(self.unload(&name));
        }
    }

    /// Warmth, name and bytes of every model that may go.
    pub(super) fn census(&self) -> Vec<((u64, u64), Arc<str>, u64)> {
        if self.is_kept.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let models = self.models.load();
        let of = |(name, model): (&Arc<str>, &Arc<CachedModel>)| {
            (model.uses.warmth(), Arc::clone(name), model.memory.bytes())
        };
        models.iter().map(of).collect()
    }

    fn insert(&self, name: &Arc<str>, loaded: Loaded) {
        self.measure(name, &loaded);
        let Loaded { model, memory, version, .. } = loaded;
        let uses = Uses { last: self.millis(Instant::now()).into(), before: 0.into() };
        let model = Arc::new(CachedModel { model, memory, version, uses });
        self.change(|models| drop(models.insert(Arc::clone(name), Arc::clone(&model))));
        tracing::info!(model = &**name, "model loaded");
    }

    fn measure(&self, name: &str, loaded: &Loaded) {
        if name == ON_DEMAND {
            self.metrics.measure_time(Measure::ModelSetupTime, loaded.downloading + loaded.loading);
        } else {
            self.metrics.measure_time(Measure::ModelDownloadingTime, loaded.downloading);
            self.metrics.measure_time(Measure::ModelLoadingTime, loaded.loading);
        }
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
        // Before it is told, so that who asks next finds the model or begins anew.
        let told = self.told.clone();
        drop(self);
        told.send_replace(Some(outcome));
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
        self.cache.loads().remove(&self.name);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    use super::super::memory::MemoryBudget;
    use super::super::model_server::tests::server;
    use super::super::session::tests::loaded;
    use super::*;
    use crate::metrics::Metrics;

    /// Each of its models takes ten bytes of the budget; `missing` and `panics` cannot be loaded, `held` waits for leave.
    #[derive(Debug, Default)]
    pub(crate) struct TenBytes {
        pub(crate) loads: AtomicUsize,
        versions: Mutex<HashMap<String, String>>,
        leave: Notify,
    }

    impl TenBytes {
        /// The artifact of `name` is of `version` now; that of `broken` cannot be told.
        pub(crate) fn replace(&self, name: &str, version: &str) {
            self.versions.lock().unwrap().insert(name.to_owned(), version.to_owned());
        }

        fn version_of(&self, name: &str) -> String {
            self.versions.lock().unwrap().get(name).cloned().unwrap_or_default()
        }
    }

    impl ModelSource for TenBytes {
        fn load(
            self: Arc<Self>,
            name: String,
            memory: Arc<ModelMemory>,
        ) -> BoxFuture<'static, Result<Loaded, Error>> {
            async move {
                self.loads.fetch_add(1, Ordering::Relaxed);
                match &*name {
                    "missing" => {
                        return Err(Error::ModelDataNotFound { bucket: "b".into(), key: "missing".into() });
                    }
                    "panics" => panic!("a hostile file"),
                    "held" => self.leave.notified().await,
                    _ => {}
                }
                let memory = memory.reserve(10).await?;
                let (downloading, loading) = (Duration::from_millis(2), Duration::from_millis(1));
                let version = Some(self.version_of(&name));
                Ok(Loaded { model: loaded(100), memory, version, downloading, loading })
            }
            .boxed()
        }

        fn version(self: Arc<Self>, name: String) -> BoxFuture<'static, Result<Option<String>, Error>> {
            let version = self.version_of(&name);
            let refused = Error::ModelDataNotFound { bucket: "b".into(), key: name };
            std::future::ready(if version == "broken" { Err(refused) } else { Ok(Some(version)) }).boxed()
        }
    }

    pub(crate) fn memory(limit_bytes: u64) -> Arc<ModelMemory> {
        ModelMemory::new(MemoryBudget::new(limit_bytes), &server())
    }

    pub(crate) fn metrics() -> Arc<VariantMetrics> {
        Metrics::default().variant("e", "v")
    }

    pub(crate) fn cache(memory: &Arc<ModelMemory>) -> (Arc<TenBytes>, Arc<ModelCache>) {
        let source = Arc::new(TenBytes::default());
        let of_cache: Arc<dyn ModelSource> = Arc::<TenBytes>::clone(&source);
        (source, ModelCache::new(of_cache, memory, &metrics()))
    }

    fn names(cache: &ModelCache) -> Vec<String> {
        let mut names: Vec<_> = cache.models.load().keys().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    /// A request for each name, a burst apart from the one before.
    async fn ask(cache: &Arc<ModelCache>, names: &str, clock: &mut Instant) {
        for name in names.split(' ') {
            *clock += 2 * BURST;
            if cache.find(name, *clock).is_none() {
                cache.warm(name).await.unwrap();
                cache.find(name, *clock).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_model_is_cold_until_it_is_warmed() {
        let (source, cache) = cache(&memory(100));
        assert!(cache.find("a", Instant::now()).is_none());
        cache.warm("a").await.unwrap();
        cache.warm("a").await.unwrap();
        assert!(cache.find("a", Instant::now()).is_some() && cache.find("b", Instant::now()).is_none());
        assert_eq!(source.loads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn however_many_ask_it_is_loaded_once_and_goes_on_when_they_leave() {
        let (source, cache) = cache(&memory(100));
        let mut waiting = Box::pin(cache.warm("held"));
        let mut leaving = Box::pin(cache.warm("held"));
        assert!((&mut waiting).now_or_never().is_none() && (&mut leaving).now_or_never().is_none());
        drop(leaving);
        source.leave.notify_one();
        waiting.await.unwrap();
        assert_eq!(source.loads.load(Ordering::Relaxed), 1);
        assert!(cache.loads().is_empty());
    }

    #[tokio::test]
    async fn a_load_that_fails_is_told_and_tried_again() {
        let (source, cache) = cache(&memory(100));
        for _ in 0..2 {
            let error = cache.warm("missing").await.expect_err("missing");
            assert!(matches!(&*error, Error::ModelDataNotFound { .. }));
            let error = cache.warm("panics").await.expect_err("it panics");
            assert!(matches!(&*error, Error::Panicked));
        }
        assert_eq!((source.loads.load(Ordering::Relaxed), cache.len()), (4, 0));
    }

    #[tokio::test]
    async fn loads_are_bounded() {
        let (source, cache) = cache(&memory(1000));
        let names: Vec<_> = (0..LOADS_MAX).map(|number| number.to_string()).collect();
        let mut waiting: Vec<_> = names.iter().map(|name| Box::pin(cache.warm(name))).collect();
        // Begun, but none has run: this runtime has one thread.
        assert!(waiting.iter_mut().all(|load| load.now_or_never().is_none()));
        let error = cache.warm("more").await.expect_err("full");
        assert!(matches!(&*error, Error::LoadsFull { limit: LOADS_MAX }));
        for load in waiting {
            load.await.unwrap();
        }
        assert_eq!(source.loads.load(Ordering::Relaxed), LOADS_MAX);
    }

    #[tokio::test]
    async fn the_least_recently_used_goes_first() {
        let (_, cache) = cache(&memory(30));
        let mut clock = Instant::now();
        ask(&cache, "a b c a d", &mut clock).await;
        assert_eq!(names(&cache), ["a", "c", "d"]);
    }

    #[tokio::test]
    async fn a_scan_does_not_drive_out_what_is_used_again_and_again() {
        let (source, cache) = cache(&memory(30));
        let mut clock = Instant::now();
        ask(&cache, "a b a b a b s1 s2 s3 s4 s5 s6 s7 s8 a b", &mut clock).await;
        assert_eq!(names(&cache), ["a", "b", "s8"]);
        assert_eq!(source.loads.load(Ordering::Relaxed), 10);
    }

    #[tokio::test]
    async fn a_burst_is_one_use() {
        let (_, cache) = cache(&memory(20));
        let mut clock = Instant::now();
        ask(&cache, "burst", &mut clock).await;
        for _ in 0..10 {
            cache.find("burst", clock).unwrap();
        }
        ask(&cache, "twice twice other", &mut clock).await;
        assert_eq!(names(&cache), ["other", "twice"]);
    }

    #[tokio::test]
    async fn an_idle_serverless_model_is_unloaded_and_a_kept_one_is_not() {
        let (_, cache) = cache(&memory(100));
        cache.warm(ON_DEMAND).await.unwrap();
        cache.warm("many").await.unwrap();
        let (idle, now) = (Duration::from_secs(60), Instant::now());
        assert!(!cache.unload_idle(now, idle), "it was just loaded");
        let later = now + 2 * idle;
        cache.keep(true);
        assert!(!cache.unload_idle(later, idle), "it is kept");
        cache.keep(false);
        cache.find(ON_DEMAND, later).unwrap();
        assert!(!cache.unload_idle(later, idle), "it was just used");
        assert!(cache.unload_idle(later + 2 * idle, idle));
        assert_eq!(names(&cache), ["many"]);
        assert!(!cache.unload_idle(later + 2 * idle, idle), "it is gone");
    }
}
