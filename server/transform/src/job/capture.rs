//! `DataCaptureConfig`: which objects were read and which were written, as manifests; payloads are not copied.

use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use crate::input::below;
use crate::store::Store;

/// Where the manifests go, and what they say of where objects are.
#[derive(Debug, Clone)]
pub struct Capture {
    /// The store of the manifests.
    pub store: Store,
    /// The folder of the manifests, `input/` and `output/` below it.
    pub prefix: Path,
    /// The hour in which the job began, `yyyy/mm/dd/hh` in UTC: the folder below those.
    pub hour: String,
    /// What makes an input's key its URI: `s3://bucket/`.
    pub input_uri: String,
    /// What makes an output's key its URI.
    pub output_uri: String,
}

/// Keys of one manifest. Reason: bounds what is held; a transform of more writes several.
const KEYS_MAX: usize = 10_000;

/// The manifests of a transform while it runs.
#[derive(Debug)]
pub(super) struct Manifests {
    read: Manifest,
    written: Manifest,
    store: Store,
}

/// Keys that are yet to be written.
#[derive(Debug)]
struct Manifest {
    /// The keys of its files, without number and ending.
    stem: String,
    /// What the keys are relative to.
    uri: String,
    keys: Vec<String>,
    /// Files written.
    files: usize,
}

impl Manifests {
    pub(super) fn new(capture: Capture, job_id: &str) -> Self {
        let manifest = |folder: &str, uri: String| {
            let stem = below(&capture.prefix, &format!("{folder}/{}/{job_id}", capture.hour));
            Manifest { stem, uri, keys: Vec::new(), files: 0 }
        };
        let read = manifest("input", capture.input_uri.clone());
        let written = manifest("output", capture.output_uri.clone());
        Self { read, written, store: capture.store }
    }

    /// Notes an object that is read.
    pub(super) async fn read(&mut self, key: &Path) -> Result<(), CaptureError> {
        self.read.add(&self.store, key).await
    }

    /// Notes an object that was written.
    pub(super) async fn wrote(&mut self, key: &Path) -> Result<(), CaptureError> {
        self.written.add(&self.store, key).await
    }

    /// Writes what is left.
    pub(super) async fn finish(&mut self) -> Result<(), CaptureError> {
        self.read.write(&self.store).await?;
        self.written.write(&self.store).await
    }
}

impl Manifest {
    async fn add(&mut self, store: &Store, key: &Path) -> Result<(), CaptureError> {
        self.keys.push(key.to_string());
        if self.keys.len() < KEYS_MAX {
            return Ok(());
        }
        self.write(store).await
    }

    /// Writes the keys as the next file. A transform that is run again writes the same names again.
    async fn write(&mut self, store: &Store) -> Result<(), CaptureError> {
        if self.keys.is_empty() {
            return Ok(());
        }
        self.files += 1;
        let key = format!("{}-{:05}.json", self.stem, self.files);
        let mut items = vec![serde_json::json!({ "prefix": self.uri })];
        items.extend(self.keys.drain(..).map(serde_json::Value::from));
        let bytes = serde_json::to_vec(&items).expect("strings are JSON");
        let failed = |source| CaptureError { key: key.clone(), source };
        let path = Path::parse(&key).map_err(|error| failed(error.into()))?;
        store.objects.put(&path, bytes.into()).await.map_err(failed)?;
        Ok(())
    }
}

/// A manifest that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the list of captured objects {key}: {source}")]
pub(super) struct CaptureError {
    key: String,
    #[source]
    source: object_store::Error,
}
