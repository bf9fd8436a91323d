//! The multi-model contract: `GET/POST/DELETE /models…`. A model is loaded once however many ask for it, held to a
//! budget of memory, and really gone when its DELETE is answered.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Answer;
use crate::error::{Error, shortened};
use crate::metrics::Metrics;
use crate::rt;
use crate::serving::memory::{MemoryBudget, Reservation};
use crate::serving::{Capacity, Endpoint, Loader, ModelServer};

/// SageMaker's name of the one variant of a simple endpoint.
const VARIANT: &str = "AllTraffic";

/// The longest name of a model. Reason: the platform's are hashes of 32; a file name ends here.
const NAME_CHARS_MAX: usize = 255;

/// Models of one page, unless asked otherwise, as Multi Model Server has it.
const PAGE_DEFAULT: usize = 100;

/// The most models of one page. Reason: its answer is some 100 KB.
const PAGE_MAX: usize = 1000;

/// How long a DELETE waits for the requests that still hold its model. Reason: the platform's own patience.
const UNLOAD_TIME_MAX: Duration = Duration::from_secs(30);

/// What a loaded model takes beside its own memory: its numbers, its name, its place in the map.
const MODEL_OVERHEAD_BYTES: u64 = 32 << 10;

/// The most bytes of a body of `POST /models`. Reason: a name and a path.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// `POST /models`.
#[derive(Debug, Deserialize)]
struct LoadRequest {
    model_name: String,
    url: String,
}

/// A model in `GET /models` and `GET /models/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelEntry {
    model_name: String,
    model_url: String,
}

/// `GET /models`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelList {
    models: Vec<ModelEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// How a load ended, for all who wait for it.
type Outcome = Result<(), Arc<Error>>;

/// A name's place.
#[derive(Debug)]
enum Slot {
    /// Somebody loads it; the outcome will be told.
    Loading { url: String, outcome: watch::Receiver<Option<Outcome>> },
    /// It serves.
    Loaded { url: String, memory: Reservation },
}

/// The models of a multi-model server.
#[derive(Debug)]
pub struct MultiModel {
    root: PathBuf,
    loader: Loader,
    server: Arc<ModelServer>,
    metrics: Arc<Metrics>,
    budget: Arc<MemoryBudget>,
    slots: Mutex<BTreeMap<String, Slot>>,
    control: tokio::runtime::Handle,
}

impl MultiModel {
    /// A server of the models below `root`; loads run on `control`.
    pub fn new(
        root: PathBuf,
        loader: Loader,
        server: Arc<ModelServer>,
        metrics: Arc<Metrics>,
        budget: Arc<MemoryBudget>,
        control: tokio::runtime::Handle,
    ) -> Arc<Self> {
        Arc::new(Self { root, loader, server, metrics, budget, slots: Mutex::default(), control })
    }

    /// `GET /models?next_page_token=…&limit=…`.
    pub fn list(&self, query: Option<&str>) -> Answer {
        match Page::parse(query) {
            Ok(page) => Answer::json(&page.of(&self.slots())),
            Err(error) => Answer::error(&error),
        }
    }

    /// `GET /models/<name>`.
    pub fn describe(&self, name: &str) -> Answer {
        match self.slots().get(name) {
            Some(Slot::Loaded { url, .. }) => Answer::json(&entry(name, url)),
            _ => Answer::error(&Error::ModelNotFound(shortened(name))),
        }
    }

    /// `POST /models`: answers when the model is ready to serve.
    pub async fn load(self: &Arc<Self>, body: &[u8]) -> Answer {
        let request = match parse_load(body) {
            Ok(request) => request,
            Err(error) => return Answer::error(&error),
        };
        match self.load_once(&request).await {
            Ok(()) => Answer::json(&entry(&request.model_name, &request.url)),
            Err(error) => Answer::error(&error),
        }
    }

    /// `DELETE /models/<name>`: answers when the model's memory is free.
    pub async fn unload(&self, name: &str) -> Answer {
        let (url, memory) = match self.slots().entry(name.to_owned()) {
            Entry::Occupied(slot) if matches!(slot.get(), Slot::Loaded { .. }) => match slot.remove() {
                Slot::Loaded { url, memory } => (url, memory),
                Slot::Loading { .. } => unreachable!("it was looked at under the same lock"),
            },
            _ => return Answer::error(&Error::ModelNotFound(shortened(name))),
        };
        let is_freed = self.server.publish(name, None);
        // Of its own, so that the budget is given back when the memory is, whether or not the client waits for it.
        let freeing = self.control.spawn(async move {
            let _ = is_freed.await;
            drop(memory);
        });
        match tokio::time::timeout(UNLOAD_TIME_MAX, freeing).await {
            Ok(_) => {
                tracing::info!(model = name, "model unloaded");
                Answer::json(&entry(name, &url))
            }
            Err(_) => Answer::error(&Error::ModelInUse(name.to_owned())),
        }
    }

    /// Whether `name` can be invoked; counted as the platform counts its cache.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn find(&self, name: &str) -> Result<(), Error> {
        if self.server.contains(name) {
            self.metrics.cache_hits.increment(1);
            return Ok(());
        }
        self.metrics.cache_misses.increment(1);
        Err(Error::ModelNotFound(shortened(name)))
    }

    /// Loads, or waits for the one who does.
    async fn load_once(self: &Arc<Self>, request: &LoadRequest) -> Outcome {
        let mut outcome = match self.slots().entry(request.model_name.clone()) {
            Entry::Occupied(slot) => match slot.get() {
                Slot::Loading { url, outcome } if *url == request.url => outcome.clone(),
                _ => return Err(Arc::new(Error::ModelAlreadyLoaded(request.model_name.clone()))),
            },
            Entry::Vacant(slot) => {
                let (told, outcome) = watch::channel(None);
                slot.insert(Slot::Loading { url: request.url.clone(), outcome: outcome.clone() });
                let (models, name, url) = (Arc::clone(self), request.model_name.clone(), request.url.clone());
                // Goes on when the client leaves: others may wait.
                self.control.spawn(async move {
                    let outcome = models.load_into_slot(&name, url).await;
                    told.send_replace(Some(outcome));
                });
                outcome
            }
        };
        let outcome = outcome.wait_for(Option::is_some).await;
        outcome
            .map_or_else(|_| Err(Arc::new(Error::Panicked)), |outcome| outcome.clone().expect("it is some"))
    }

    /// Fills the slot that [`load_once`](Self::load_once) made, or empties it.
    async fn load_into_slot(self: &Arc<Self>, name: &str, url: String) -> Outcome {
        let (models, place, started) = (Arc::clone(self), PathBuf::from(&url), Instant::now());
        let endpoint_name = name.to_owned();
        let loaded = rt::blocking(move || models.load_endpoint(&endpoint_name, &place)).await;
        let mut slots = self.slots();
        match loaded {
            Ok((endpoint, memory)) => {
                // Nobody waits for what stood there: nothing did.
                drop(self.server.publish(name, Some(endpoint)));
                slots.insert(name.to_owned(), Slot::Loaded { url, memory });
                self.metrics.model_load.record(started.elapsed());
                tracing::info!(model = name, "model loaded");
                Ok(())
            }
            Err(error) => {
                slots.remove(name);
                tracing::warn!(model = name, %error, "model refused");
                Err(Arc::new(error))
            }
        }
    }

    /// The budget is asked with what the files take before they are read, and again with what the loader counted.
    fn load_endpoint(&self, name: &str, place: &Path) -> Result<(Endpoint, Reservation), Error> {
        let place = below(&self.root, place)?;
        let artifact = self.loader.open(&place)?;
        let size_bytes: u64 = artifact.members().iter().map(|member| member.size_bytes).sum();
        let mut memory = self.budget.reserve(size_bytes + MODEL_OVERHEAD_BYTES)?;
        let model = Arc::new(self.loader.load(&artifact)?);
        memory.resize(model.model.memory_bytes() as u64 + MODEL_OVERHEAD_BYTES)?;
        let metrics = self.metrics.variant(name, VARIANT);
        Ok((Endpoint::of_one(VARIANT, model, metrics, Capacity::new(u32::MAX)), memory))
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(name: &str, url: &str) -> ModelEntry {
    ModelEntry { model_name: name.to_owned(), model_url: url.to_owned() }
}

/// Whether a path segment can be a model's name.
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}

fn parse_load(body: &[u8]) -> Result<LoadRequest, Error> {
    #[expect(clippy::disallowed_methods, reason = "the body is at most BODY_BYTES_MAX")]
    let request: LoadRequest = serde_json::from_slice(body).map_err(|error| {
        let found = shortened(&error.to_string());
        Error::Parameter(format!("body: expected {{\"model_name\": …, \"url\": …}}, found {found}"))
    })?;
    if !is_name(&request.model_name) {
        let found = shortened(&request.model_name);
        let expected = "1 to 255 of A-Z a-z 0-9 . _ -";
        return Err(Error::Parameter(format!("model_name: expected {expected}, found {found:?}")));
    }
    Ok(request)
}

/// `place` resolved, if it lies below `root`: a request names a model, not any file of the machine.
fn below(root: &Path, place: &Path) -> Result<PathBuf, Error> {
    let refuse = |found: &str| {
        let (root, place) = (root.display(), shortened(&place.to_string_lossy()));
        Error::Parameter(format!("url: expected a path below {root}, found {place:?}{found}"))
    };
    let resolved = place.canonicalize().map_err(|error| refuse(&format!(" ({error})")))?;
    let root = root.canonicalize().map_err(|error| refuse(&format!(" ({error})")))?;
    if resolved.starts_with(&root) { Ok(resolved) } else { Err(refuse("")) }
}

/// Which part of the list is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    /// The first name of the page.
    from: String,
    limit: usize,
}

impl Page {
    fn parse(query: Option<&str>) -> Result<Self, Error> {
        let mut page = Self { from: String::new(), limit: PAGE_DEFAULT };
        for (name, value) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "next_page_token" if value.is_empty() || is_name(value) => value.clone_into(&mut page.from),
                "limit" if value.parse().is_ok_and(|limit: usize| (1..=PAGE_MAX).contains(&limit)) => {
                    page.limit = value.parse().expect("it was parsed just now");
                }
                "next_page_token" | "limit" => {
                    let expected = if name == "limit" { "1 to 1000" } else { "a token of this list" };
                    let found = shortened(value);
                    return Err(Error::Parameter(format!(
                        "query {name}: expected {expected}, found {found:?}"
                    )));
                }
                _ => {}
            }
        }
        Ok(page)
    }

    fn of(&self, slots: &BTreeMap<String, Slot>) -> ModelList {
        let loaded = slots.range(self.from.clone()..).filter_map(|(name, slot)| match slot {
            Slot::Loaded { url, .. } => Some(entry(name, url)),
            Slot::Loading { .. } => None,
        });
        let mut models: Vec<_> = loaded.take(self.limit + 1).collect();
        let next_page_token = (models.len() > self.limit).then(|| models.pop()).flatten();
        ModelList { models, next_page_token: next_page_token.map(|model| model.model_name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(names: &[&str]) -> BTreeMap<String, Slot> {
        let budget = MemoryBudget::new(u64::MAX);
        let slot = |url: &str| Slot::Loaded { url: url.to_owned(), memory: budget.reserve(1).unwrap() };
        names.iter().map(|&name| (name.to_owned(), slot(&format!("/m/{name}")))).collect()
    }

    fn page(query: &str, names: &[&str], next: Option<&str>) {
        let mut slots = slots(&["a", "b", "c", "d", "e"]);
        let (_, outcome) = watch::channel(None);
        slots.insert("bb".into(), Slot::Loading { url: String::new(), outcome });
        let list = Page::parse(Some(query)).unwrap().of(&slots);
        assert_eq!(list.models.iter().map(|model| &*model.model_name).collect::<Vec<_>>(), names, "{query}");
        assert_eq!(list.next_page_token.as_deref(), next, "{query}");
    }

    #[test]
    fn pages_follow_each_other_and_the_last_has_no_token() {
        page("", &["a", "b", "c", "d", "e"], None);
        page("limit=2", &["a", "b"], Some("c"));
        page("limit=2&next_page_token=c", &["c", "d"], Some("e"));
        page("next_page_token=e&limit=2", &["e"], None);
        page("limit=5", &["a", "b", "c", "d", "e"], None);
        page("next_page_token=bb&limit=1", &["c"], Some("d"));
        page("next_page_token=&other=1", &["a", "b", "c", "d", "e"], None);
    }

    #[test]
    fn a_wrong_page_is_refused() {
        for query in ["limit=0", "limit=1001", "limit=x", "next_page_token=%00", "limit=-1"] {
            Page::parse(Some(query)).expect_err(query);
        }
    }

    #[test]
    fn a_load_request_is_read_strictly() {
        assert!(parse_load(br#"{"model_name": "a.b_c-1", "url": "/m", "other": 1}"#).is_ok());
        for body in ["", "[]", "{}", r#"{"model_name": "a"}"#, r#"{"model_name": "a/b", "url": "/m"}"#] {
            let error = parse_load(body.as_bytes()).expect_err(body);
            assert!(error.to_string().contains("expected"), "{error}");
        }
    }

    #[test]
    fn only_what_lies_below_the_root_is_loaded() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("models");
        std::fs::create_dir_all(root.join("a/model")).unwrap();
        std::fs::create_dir_all(scratch.path().join("models-2")).unwrap();
        below(&root, &root.join("a/model")).unwrap();
        for place in ["/etc/passwd".into(), root.join("../models-2"), root.join("absent"), "a".into()] {
            below(&root, &place).expect_err("outside");
        }
    }
}
