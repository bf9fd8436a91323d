//! Transforms of a fake model over stores in memory.

mod capture;
mod fake;
mod isolation;
mod objects;
mod order;
mod resume;
mod shards;
mod stop;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use codecs::framing::SplitType;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::sync::watch;

use super::{Capture, Job, Outcome, Shard, Stop, Summary};
use crate::input::Source;
use crate::journal::{Done, Journal, Place};
use crate::progress::{Failure, Listener, Progress};
use crate::settings::{AssembleWith, Settings};
use crate::store::Store;
use crate::upload::PartSizes;
use fake::Fake;

/// What a transform told.
#[derive(Debug, Default)]
struct Told {
    warnings: Mutex<Vec<String>>,
    failures: Mutex<Vec<Failure>>,
}

impl Listener for Told {
    fn warned(&self, message: &str) {
        self.warnings.lock().unwrap().push(message.to_owned());
    }

    fn failed(&self, failure: &Failure) {
        self.failures.lock().unwrap().push(failure.clone());
    }
}

/// A transform of `in/` to `out/` in one store in memory.
struct Bench {
    store: Store,
    settings: Settings,
    source: Source,
    shard: Option<Shard>,
    capture: Option<Capture>,
    model: Arc<Fake>,
    progress: Arc<Progress>,
    told: Arc<Told>,
    stop: watch::Sender<Stop>,
    place: Place,
    part_bytes: u64,
}

/// Lines to lines.
fn lines() -> Settings {
    Settings { split_type: SplitType::Line, assemble_with: AssembleWith::Line, ..Settings::default() }
}

impl Bench {
    async fn new(objects: &[(&str, &[u8])], settings: Settings) -> Self {
        let store = Store::memory();
        for (key, bytes) in objects {
            put(&store, key, bytes).await;
        }
        Self {
            store,
            settings,
            source: Source::Prefix("in/".to_owned()),
            shard: None,
            capture: None,
            model: Arc::new(Fake::default()),
            progress: Arc::default(),
            told: Arc::default(),
            stop: watch::Sender::new(Stop::Run),
            place: Place::Nowhere,
            part_bytes: PartSizes::FIRST_BYTES,
        }
    }

    /// The same with another model.
    fn with_model(self, model: Fake) -> Self {
        Self { model: Arc::new(model), ..self }
    }

    async fn job(&self) -> Job<Fake> {
        let digest = self.settings.digest("job", "model");
        let (journal, done): (Journal, Done) =
            Journal::open(self.place.clone(), "job", &digest).await.unwrap();
        Job {
            id: "job".to_owned(),
            settings: self.settings.clone(),
            input: self.store.clone(),
            input_name: "bucket".to_owned(),
            source: self.source.clone(),
            output: self.store.clone(),
            output_name: "bucket".to_owned(),
            output_prefix: Path::parse("out").unwrap(),
            part_sizes: PartSizes::from_first(self.part_bytes),
            shard: self.shard,
            capture: self.capture.clone(),
            journal,
            done,
            model: Arc::clone(&self.model),
            model_digest: "model".to_owned(),
            progress: Arc::clone(&self.progress),
            listener: Arc::clone(&self.told) as Arc<dyn Listener>,
            stop: self.stop.subscribe(),
        }
    }

    async fn run(&self) -> Summary {
        self.job().await.run().await
    }

    /// What stands below `out/`: keys without that, and bytes as text.
    async fn outputs(&self) -> BTreeMap<String, String> {
        objects(&self.store, "out").await
    }
}

async fn put(store: &Store, key: &str, bytes: &[u8]) {
    store.objects.put(&Path::parse(key).unwrap(), bytes.to_vec().into()).await.unwrap();
}

/// The objects below a folder.
async fn objects(store: &Store, folder: &str) -> BTreeMap<String, String> {
    let path = Path::parse(folder).unwrap();
    let listed: Vec<_> = store.objects.list(Some(&path)).try_collect().await.unwrap();
    let mut objects = BTreeMap::new();
    for meta in listed {
        let bytes = store.objects.get(&meta.location).await.unwrap().bytes().await.unwrap();
        let key = meta.location.as_ref()[folder.len() + 1..].to_owned();
        objects.insert(key, String::from_utf8_lossy(&bytes).into_owned());
    }
    objects
}

/// Runs a test on a runtime of several threads whose clock it may not depend on.
#[track_caller]
fn on_threads(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap()
        .block_on(test);
}

/// Runs a test whose clock jumps to the next thing that waits for it.
#[track_caller]
fn in_no_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test);
}

/// `expected`: the outputs, without `out/`.
async fn check(objects: &[(&str, &[u8])], settings: Settings, expected: &[(&str, &str)]) {
    let bench = Bench::new(objects, settings).await;
    let summary = bench.run().await;
    let outputs = bench.outputs().await;
    let outputs: Vec<(&str, &str)> =
        outputs.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    assert_eq!(outputs, expected, "{summary:?}");
    assert_eq!(summary.outcome, Outcome::Completed, "{summary:?}");
}
