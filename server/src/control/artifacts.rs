//! The pinned artifacts on this machine: `DATA/artifacts/<sha256>/<file name>`, each fetched once and held to its digest
//! for as long as an endpoint or a transform job needs it.
//!
//! A variant is held to the bytes that it was first loaded from: a restart reads the copy, and a copy that is lost is
//! fetched again only if the bytes are still the same.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use access::digest::{Hasher, hex};
use object_store::ObjectStoreExt;
use wire::Timestamp;

use super::endpoint::PinnedArtifact;
use crate::buckets::{Buckets, key_path};
use crate::rt;
use crate::store::{Fetched, Source, StoreError};

/// The most bytes of all artifacts together. Reason: each is referenced by an endpoint, so a full disk is what this
/// guards against; it is 32 of the largest there may be.
const TOTAL_BYTES_MAX: u64 = 256 << 30;

/// The piece in which a file is hashed.
const HASHED_BYTES: usize = 256 << 10;

/// Why an artifact cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The copy cannot be kept or read.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The object is no longer what it was.
    #[error("{url}: expected the pinned bytes ({expected}), found others ({found})")]
    Changed {
        /// Where.
        url: String,
        /// The pinned ETag or digest.
        expected: String,
        /// What is there now.
        found: String,
    },
    /// No room.
    #[error("artifacts: expected at most {TOTAL_BYTES_MAX} bytes together, found {0} with this one")]
    Full(u64),
}

/// The folder of artifacts.
#[derive(Debug)]
pub struct Artifacts {
    root: PathBuf,
    scratch: PathBuf,
    buckets: Arc<Buckets>,
    /// Whether an object that changed since it was pinned is taken as it is.
    is_change_allowed: bool,
    /// By digest, how many hold it.
    held: Mutex<HashMap<String, usize>>,
}

/// An artifact on this machine; it stays for as long as this lives.
#[derive(Debug)]
pub struct Held {
    artifacts: Arc<Artifacts>,
    /// What it is held to.
    pub pin: PinnedArtifact,
    path: PathBuf,
}

impl Held {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.artifacts.held();
        if let Some(count) = held.get_mut(&self.pin.sha256) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.pin.sha256);
            }
        }
    }
}

impl Artifacts {
    /// Below `data`; models are fetched from `buckets`.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn open(data: &Path, buckets: Arc<Buckets>, is_change_allowed: bool) -> io::Result<Arc<Self>> {
        let (root, scratch) = (data.join("artifacts"), data.join("scratch"));
        fs::create_dir_all(&root)?;
        fs::create_dir_all(&scratch)?;
        Ok(Arc::new(Self { root, scratch, buckets, is_change_allowed, held: Mutex::default() }))
    }

    /// Where artifacts are unpacked: on the same disk, so that a copy becomes permanent by a rename.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The ETag of the object at `url`; `None` when its store has none.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub async fn e_tag(&self, url: &str) -> Result<Option<String>, ArtifactError> {
        let (store, key) = self.object(url)?;
        let meta = store.head(&key).await;
        let meta = meta.map_err(|source| StoreError::Object { url: url.to_owned(), source })?;
        Ok(meta.e_tag)
    }

    /// The artifact at `url`: the pinned copy, or a fresh one that is what the pin (or, before the first load, the
    /// `e_tag` seen when the configuration was made) says.
    ///
    /// # Errors
    /// When it cannot be had, or is not what it was.
    pub async fn obtain(
        self: &Arc<Self>,
        url: &str,
        pin: Option<&PinnedArtifact>,
        e_tag: Option<&str>,
    ) -> Result<Held, ArtifactError> {
        if let Some(pin) = pin {
            let (artifacts, pin) = (Arc::clone(self), pin.clone());
            if let Some(held) = rt::blocking(move || artifacts.find(pin)).await {
                return Ok(held);
            }
        }
        let found = self.e_tag(url).await?;
        if pin.is_none() {
            self.check(url, e_tag, found.as_deref())?;
        }
        let (store, key) = self.object(url)?;
        let source = Source::Object { url: url.to_owned(), store, key };
        let fetched = source.fetch(&self.scratch).await?;
        // What arrived may be newer than what was looked at: then the ETag is not that of these bytes.
        self.check(url, found.as_deref(), self.e_tag(url).await?.as_deref())?;
        let (artifacts, url, pin) = (Arc::clone(self), url.to_owned(), pin.cloned());
        rt::blocking(move || artifacts.keep(&fetched, url, found, pin.as_ref())).await
    }

    /// Removes the artifacts that nobody holds and no endpoint references.
    pub fn sweep(&self, referenced: &HashSet<String>) {
        let Ok(entries) = fs::read_dir(&self.root) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Under the lock until it is gone, so that nobody finds half of it.
            let held = self.held();
            if referenced.contains(&name) || held.contains_key(&name) {
                continue;
            }
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => tracing::info!(sha256 = name, "artifact removed: no endpoint needs it"),
                Err(error) => tracing::warn!(sha256 = name, %error, "an artifact cannot be removed"),
            }
        }
    }

    /// Removes what an earlier process left half done.
    pub fn clean_scratch(&self) {
        for entry in fs::read_dir(&self.scratch).into_iter().flatten().flatten() {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "a leftover cannot be removed");
            }
        }
    }

    fn check(&self, url: &str, expected: Option<&str>, found: Option<&str>) -> Result<(), ArtifactError> {
        match (expected, found) {
            (Some(expected), Some(found)) if expected != found && !self.is_change_allowed => {
                let (expected, found) = (format!("ETag {expected}"), format!("ETag {found}"));
                Err(ArtifactError::Changed { url: url.to_owned(), expected, found })
            }
            _ => Ok(()),
        }
    }

    /// The copy of a pinned artifact.
    fn find(self: &Arc<Self>, pin: PinnedArtifact) -> Option<Held> {
        let mut held = self.held();
        let folder = self.root.join(&pin.sha256);
        let path = fs::read_dir(&folder).ok()?.flatten().next()?.path();
        *held.entry(pin.sha256.clone()).or_default() += 1;
        drop(held);
        Some(Held { artifacts: Arc::clone(self), pin, path })
    }

    /// Hashes what was fetched, holds it to the pin, and moves it to its place by one rename.
    fn keep(
        self: &Arc<Self>,
        fetched: &Fetched,
        url: String,
        e_tag: Option<String>,
        pin: Option<&PinnedArtifact>,
    ) -> Result<Held, ArtifactError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            |source| ArtifactError::Io { path, source }
        };
        let (sha256, bytes) = hash(fetched.path()).map_err(at(fetched.path()))?;
        if let Some(pin) = pin.filter(|pin| pin.sha256 != sha256 && !self.is_change_allowed) {
            return Err(ArtifactError::Changed { url, expected: pin.sha256.clone(), found: sha256 });
        }
        let pin = PinnedArtifact { url, e_tag, sha256, resolved: Timestamp::now() };
        if let Some(held) = self.find(pin.clone()) {
            return Ok(held);
        }
        let total = self.total_bytes().saturating_add(bytes);
        if total > TOTAL_BYTES_MAX {
            return Err(ArtifactError::Full(total));
        }
        let folder = fetched.path().parent().expect("a copy lies in a folder of its own");
        sync(fetched.path()).and_then(|()| sync(folder)).map_err(at(folder))?;
        let place = self.root.join(&pin.sha256);
        // Held before it is there, so that no sweep comes between.
        let path = place.join(fetched.path().file_name().expect("a copy is a file"));
        let held = self.hold(pin.clone(), path);
        match fs::rename(folder, &place).and_then(|()| sync(&self.root)) {
            Ok(()) => Ok(held),
            // Another load of the same bytes was first.
            Err(error) => self.find(pin).ok_or_else(|| at(&place)(error)),
        }
    }

    fn hold(self: &Arc<Self>, pin: PinnedArtifact, path: PathBuf) -> Held {
        *self.held().entry(pin.sha256.clone()).or_default() += 1;
        Held { artifacts: Arc::clone(self), pin, path }
    }

    fn total_bytes(&self) -> u64 {
        let folders = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let files = folders.filter_map(|folder| fs::read_dir(folder.path()).ok()).flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    fn object(
        &self,
        url: &str,
    ) -> Result<(Arc<dyn object_store::ObjectStore>, object_store::path::Path), StoreError> {
        let (bucket, key) = Buckets::parse_url(url)?;
        if key.is_empty() || key.ends_with('/') {
            return Err(StoreError::Url {
                url: url.to_owned(),
                expected: "s3://bucket/key of a model.tar.gz or a model file",
            });
        }
        // As it is: `Path::from` would encode what S3 takes plainly.
        let path = key_path(&key);
        let expected = "s3://bucket/key whose folders have names";
        let path = path.ok_or_else(|| StoreError::Url { url: url.to_owned(), expected })?;
        Ok((self.buckets.of(&bucket)?, path))
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<String, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SHA-256 in lower-case hex, and the length.
fn hash(path: &Path) -> io::Result<(String, u64)> {
    let (mut file, mut hasher) = (fs::File::open(path)?, Hasher::new());
    let (mut piece, mut bytes) = (vec![0; HASHED_BYTES], 0);
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            break;
        }
        hasher.update(&piece[..count]);
        bytes += count as u64;
    }
    Ok((hex(&hasher.finish()), bytes))
}

fn sync(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

#[cfg(test)]
pub(super) mod tests {
    use models::kmeans::Kmeans;
    use models::{Algorithm, Manifest, archive};
    use object_store::PutPayload;
    use objects::Directory;

    use super::*;

    /// Over an embedded store below `data`.
    pub(in crate::control) fn artifacts(data: &Path) -> Arc<Artifacts> {
        let directory = Directory::open(&data.join("s3")).unwrap();
        Artifacts::open(data, Arc::new(Buckets::Embedded(directory)), false).unwrap()
    }

    /// Puts a k-means of one centroid at `url`; other seeds are other bytes.
    pub(in crate::control) async fn put_model(artifacts: &Artifacts, url: &str, seed: u16) {
        let manifest = Manifest::new(Algorithm::Kmeans);
        let model = Kmeans::new(&manifest, vec![f32::from(seed), 0.0], 2).unwrap();
        let bytes = archive::pack(&manifest, &model.to_members(&[]), Vec::new()).unwrap();
        let (bucket, _) = Buckets::parse_url(url).unwrap();
        let Buckets::Embedded(directory) = &*artifacts.buckets else { panic!("it is embedded") };
        // It may be there already.
        let _ = directory.create_bucket(&bucket, "us-east-1").await;
        let (store, key) = artifacts.object(url).unwrap();
        store.put(&key, PutPayload::from(bytes)).await.unwrap();
    }

    const URL: &str = "s3://models/a/model.tar.gz";

    #[tokio::test(flavor = "current_thread")]
    async fn a_pinned_copy_outlives_its_object_and_goes_when_nobody_needs_it() {
        let data = tempfile::tempdir().unwrap();
        let artifacts = artifacts(data.path());
        put_model(&artifacts, URL, 1).await;
        let first = artifacts.obtain(URL, None, None).await.unwrap();
        assert_eq!(hash(first.path()).unwrap().0, first.pin.sha256);
        assert_eq!(first.pin.e_tag, artifacts.e_tag(URL).await.unwrap());
        put_model(&artifacts, URL, 2).await;
        let again = artifacts.obtain(URL, Some(&first.pin), None).await.unwrap();
        assert_eq!((again.path(), &again.pin), (first.path(), &first.pin));
        let other = artifacts.obtain(URL, None, None).await.unwrap();
        assert_ne!(other.pin.sha256, first.pin.sha256);
        let (place, pin) = (first.path().to_owned(), first.pin.clone());
        artifacts.sweep(&HashSet::new());
        assert!(place.exists(), "it is held");
        drop((first, again));
        artifacts.sweep(&HashSet::from([pin.sha256.clone()]));
        assert!(place.exists(), "it is referenced");
        artifacts.sweep(&HashSet::new());
        assert!(!place.exists() && other.path().exists());
        let lost = artifacts.obtain(URL, Some(&pin), None).await.expect_err("other bytes");
        assert!(matches!(lost, ArtifactError::Changed { .. }), "{lost}");
        put_model(&artifacts, URL, 1).await;
        let back = artifacts.obtain(URL, Some(&pin), None).await.unwrap();
        assert_eq!(back.pin.sha256, pin.sha256);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_object_that_changed_since_its_configuration_is_refused_unless_allowed() {
        let data = tempfile::tempdir().unwrap();
        let strict = artifacts(data.path());
        put_model(&strict, URL, 1).await;
        let e_tag = strict.e_tag(URL).await.unwrap().expect("an ETag");
        put_model(&strict, URL, 2).await;
        let error = strict.obtain(URL, None, Some(&e_tag)).await.expect_err("it changed");
        assert!(error.to_string().contains(&e_tag) && error.to_string().contains(URL), "{error}");
        let (buckets, data) = (Arc::clone(&strict.buckets), data.path());
        let lenient = Artifacts::open(data, buckets, true).unwrap();
        lenient.obtain(URL, None, Some(&e_tag)).await.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn nothing_is_left_of_what_failed() {
        let data = tempfile::tempdir().unwrap();
        let artifacts = artifacts(data.path());
        for url in ["s3://models/absent", "s3://models/", "s3://models/prefix/", "models/x"] {
            artifacts.obtain(url, None, None).await.expect_err(url);
        }
        fs::write(artifacts.scratch().join("half"), "x").unwrap();
        fs::create_dir(artifacts.scratch().join("unpacked")).unwrap();
        artifacts.clean_scratch();
        assert_eq!(fs::read_dir(artifacts.scratch()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(data.path().join("artifacts")).unwrap().count(), 0);
    }
}
