//! Where artifacts come from: a path, or an object of S3. `object_store` is used as it is.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::fs::{self, Metadata};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{ObjectStore, ObjectStoreExt};

use crate::rt;

/// The most bytes of an artifact in S3. Reason: larger than any model of rows; a wrong key must not fill the disk.
const ARTIFACT_BYTES_MAX: u64 = 8 << 30;

/// The most entries of a directory that are looked at. Reason: a model has a few; a home directory is a mistake.
const ENTRIES_MAX: usize = 10_000;

/// How deep a directory is looked at.
const DEPTH_MAX: usize = 16;

/// What tells two states of an artifact's place apart, without reading the artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(String);

impl Signature {
    /// From what tells states apart.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Why an artifact cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A path cannot be read, or the scratch directory not be written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// S3 does not answer as hoped.
    #[error("{url}: {source}")]
    Object {
        /// Which.
        url: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// Not an address of an artifact.
    #[error("{url}: expected {expected}")]
    Url {
        /// What was given.
        url: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Over a limit.
    #[error("{place}: expected at most {limit} {unit}, found more")]
    TooLarge {
        /// Where.
        place: String,
        /// The limit.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
}

/// Where an artifact is.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file or directory of this machine.
    Path(PathBuf),
    /// An object of S3.
    Object {
        /// As it was given.
        url: String,
        /// Its bucket.
        store: Arc<dyn ObjectStore>,
        /// Its key.
        key: object_store::path::Path,
    },
}

/// An artifact on this machine; a copy is removed with it.
#[derive(Debug)]
pub struct Fetched {
    path: PathBuf,
    copied_into: Option<PathBuf>,
}

impl Fetched {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if let Some(directory) = &self.copied_into {
            // What cannot be removed is left to the system's cleaning of scratch directories.
            let _ = fs::remove_dir_all(directory);
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Object { url, .. } => f.write_str(url),
        }
    }
}

impl Source {
    /// Reads `location`: a path, or `s3://bucket/key`. `aws` are the `AWS_*` variables, lower case.
    ///
    /// # Errors
    /// When it is an `s3://` address without bucket or key, or the variables contradict each other.
    pub fn parse(location: &str, aws: &[(String, String)]) -> Result<Self, StoreError> {
        let Some(address) = location.strip_prefix("s3://") else { return Ok(Self::Path(location.into())) };
        let url = location.to_owned();
        match address.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() && !key.ends_with('/') => {
                let store =
                    s3(bucket, aws).map_err(|source| StoreError::Object { url: url.clone(), source })?;
                let key = crate::buckets::key_path(key);
                let expected = "s3://bucket/key whose folders have names";
                let key = key.ok_or_else(|| StoreError::Url { url: url.clone(), expected })?;
                Ok(Self::Object { url, store: Arc::new(store), key })
            }
            _ => Err(StoreError::Url { url, expected: "s3://bucket/key of a model.tar.gz or a model file" }),
        }
    }

    /// What is there now, without reading it.
    ///
    /// # Errors
    /// When nothing is there, or it cannot be looked at.
    pub async fn signature(&self) -> Result<Signature, StoreError> {
        match self {
            Self::Path(path) => {
                let path = path.clone();
                rt::blocking(move || path_signature(&path)).await
            }
            Self::Object { url, store, key } => {
                let meta = store.head(key).await;
                let meta = meta.map_err(|source| StoreError::Object { url: url.clone(), source })?;
                let version = meta.e_tag.unwrap_or_else(|| meta.last_modified.to_rfc3339());
                Ok(Signature::new(format!("{version} {}", meta.size)))
            }
        }
    }

    /// The artifact on this machine: where it is, or a copy below `scratch`.
    ///
    /// # Errors
    /// When it cannot be had, or is over the limit.
    pub async fn fetch(&self, scratch: &Path) -> Result<Fetched, StoreError> {
        match self {
            Self::Path(path) => Ok(Fetched { path: path.clone(), copied_into: None }),
            Self::Object { url, store, key } => download(url, store.as_ref(), key, scratch).await,
        }
    }
}

/// A bucket of an S3 store, as the `AWS_*` variables describe it.
pub(crate) fn s3(
    bucket: &str,
    aws: &[(String, String)],
) -> Result<impl ObjectStore + use<>, object_store::Error> {
    s3_builder(bucket, aws).build()
}

/// The description of a bucket, for who wants more than its objects.
pub(crate) fn s3_builder(bucket: &str, aws: &[(String, String)]) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket);
    for (name, value) in aws {
        let name = if name == "aws_endpoint_url_s3" { "aws_endpoint_url" } else { name };
        // Other AWS tools have variables that mean nothing here.
        if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let is_plain =
        aws.iter().any(|(name, value)| name.starts_with("aws_endpoint_url") && value.starts_with("http://"));
    builder.with_allow_http(is_plain)
}

async fn download(
    url: &str,
    store: &dyn ObjectStore,
    key: &object_store::path::Path,
    scratch: &Path,
) -> Result<Fetched, StoreError> {
    let object = |source| StoreError::Object { url: url.to_owned(), source };
    let answer = store.get(key).await.map_err(object)?;
    let too_large =
        || StoreError::TooLarge { place: url.to_owned(), limit: ARTIFACT_BYTES_MAX, unit: "bytes" };
    if answer.meta.size > ARTIFACT_BYTES_MAX {
        return Err(too_large());
    }
    let fetched = copy_place(scratch, key.filename().unwrap_or("model"))?;
    let written = |source| StoreError::Io { path: fetched.path.clone(), source };
    let mut file = fs::File::create_new(&fetched.path).map_err(written)?;
    let (mut parts, mut received_bytes) = (answer.into_stream(), 0);
    while let Some(part) = parts.next().await {
        let part = part.map_err(object)?;
        received_bytes += part.len() as u64;
        if received_bytes > ARTIFACT_BYTES_MAX {
            return Err(too_large());
        }
        file.write_all(&part).map_err(written)?;
    }
    Ok(fetched)
}

/// A fresh directory below `scratch` for a copy named `name`.
fn copy_place(scratch: &Path, name: &str) -> Result<Fetched, StoreError> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = scratch.join(format!("clary-fetch-{}-{number}", std::process::id()));
    let made = fs::create_dir_all(scratch).and_then(|()| fs::create_dir(&directory));
    made.map_err(|source| StoreError::Io { path: directory.clone(), source })?;
    Ok(Fetched { path: directory.join(name), copied_into: Some(directory) })
}

/// Kind, place, size and times of a file, or of everything in a directory.
fn path_signature(path: &Path) -> Result<Signature, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let mut hasher = DefaultHasher::new();
    let metadata = fs::metadata(path).map_err(io)?;
    hash_metadata(&metadata, &mut hasher);
    let mut entries = 0;
    if metadata.is_dir() {
        hash_directory(path, 0, &mut entries, &mut hasher).map_err(io)?;
    }
    if entries > ENTRIES_MAX {
        let place = path.display().to_string();
        return Err(StoreError::TooLarge { place, limit: ENTRIES_MAX as u64, unit: "entries" });
    }
    Ok(Signature::new(format!("{entries} {:016x}", hasher.finish())))
}

fn hash_directory(
    path: &Path,
    depth: usize,
    entries: &mut usize,
    hasher: &mut DefaultHasher,
) -> io::Result<()> {
    let mut names: Vec<_> = fs::read_dir(path)?.take(ENTRIES_MAX + 1).collect::<io::Result<_>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        *entries += 1;
        if *entries > ENTRIES_MAX {
            return Ok(());
        }
        entry.file_name().hash(hasher);
        // Through links: a mounted volume swaps the link's target. A dangling link is an entry like another.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        hash_metadata(&metadata, hasher);
        if metadata.is_dir() && depth < DEPTH_MAX {
            hash_directory(&entry.path(), depth + 1, entries, hasher)?;
        }
    }
    Ok(())
}

fn hash_metadata(metadata: &Metadata, hasher: &mut DefaultHasher) {
    let times = (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec());
    (metadata.is_dir(), metadata.dev(), metadata.ino(), times).hash(hasher);
    if metadata.is_file() {
        metadata.len().hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `change` to the tree below the given directory is seen.
    fn check(change: impl Fn(&Path), is_seen: bool) {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::create_dir_all(root.join("a/sub")).unwrap();
        fs::write(root.join("a/sub/model"), "one").unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("current")).unwrap();
        let place = root.join("current");
        let before = path_signature(&place).unwrap();
        assert_eq!(before, path_signature(&place).unwrap());
        change(root);
        assert_eq!(before != path_signature(&place).unwrap(), is_seen);
    }

    #[test]
    fn every_way_to_replace_an_artifact_is_seen() {
        check(|root| fs::write(root.join("a/sub/model"), "other").unwrap(), true);
        check(
            |root| {
                fs::write(root.join("next"), "one").unwrap();
                fs::rename(root.join("next"), root.join("a/sub/model")).unwrap();
            },
            true,
        );
        check(
            |root| {
                fs::create_dir_all(root.join("b/sub")).unwrap();
                fs::write(root.join("b/sub/model"), "one").unwrap();
                std::os::unix::fs::symlink(root.join("b"), root.join("next")).unwrap();
                fs::rename(root.join("next"), root.join("current")).unwrap();
            },
            true,
        );
        check(|root| fs::write(root.join("a/extra"), "").unwrap(), true);
        check(|root| fs::remove_file(root.join("a/sub/model")).unwrap(), true);
        check(|root| fs::write(root.join("beside"), "").unwrap(), false);
    }

    #[test]
    fn an_address_of_s3_has_bucket_and_key() {
        let parse = |url: &str| Source::parse(url, &[("aws_region".into(), "us-east-1".into())]);
        assert!(matches!(parse("s3://bucket/a/model.tar.gz"), Ok(Source::Object { .. })));
        assert!(matches!(parse("./model.tar.gz"), Ok(Source::Path(_))));
        for url in ["s3://", "s3://bucket", "s3://bucket/", "s3:///key", "s3://bucket/prefix/"] {
            assert!(matches!(parse(url), Err(StoreError::Url { .. })), "{url}");
        }
    }

    #[test]
    fn a_copy_goes_with_its_owner() {
        let scratch = tempfile::tempdir().unwrap();
        let fetched = copy_place(scratch.path(), "model.tar.gz").unwrap();
        fs::write(fetched.path(), "bytes").unwrap();
        drop(fetched);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
