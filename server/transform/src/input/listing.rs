//! The inputs one after another: of a string prefix page by page, of a manifest key by key. A million of them take no more
//! memory than a page, or the manifest.

use std::sync::Arc;
use std::vec;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::{self, Path};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::key::folder_of;
use super::{InputObject, MANIFEST_BYTES_MAX, Manifest, ManifestError, Source, output_path};
use crate::upload::retry::{Pauses, TRIES_MAX};

/// Keys of a manifest that are looked up at once. Reason: a look-up is a round trip; these hide it behind each other.
const HEADS_AT_ONCE: usize = 16;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An object to transform.
    Object(InputObject),
    /// One that cannot be: its key, and why.
    Unusable {
        /// Its key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that a person should know.
    Warning(String),
}

/// Why there is no (further) input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The store does not answer, or cannot name an object.
    #[error("listing {of}: {source}")]
    Listing {
        /// What was listed.
        of: String,
        /// The store's error.
        #[source]
        source: object_store::Error,
    },
    /// The manifest cannot be read.
    #[error("manifest {key}: {source}")]
    Unreadable {
        /// Its key.
        key: String,
        /// The store's error.
        #[source]
        source: object_store::Error,
    },
    /// The manifest is too large.
    #[error("manifest {key}: expected at most {MANIFEST_BYTES_MAX} bytes, found {size}")]
    TooLarge {
        /// Its key.
        key: String,
        /// Its bytes.
        size: u64,
    },
    /// The manifest is none.
    #[error("{key}: {source}")]
    Manifest {
        /// Its key.
        key: String,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
    /// The manifest lists objects of another bucket.
    #[error("manifest {key}: expected objects of its own bucket {expected}, found {found}")]
    Bucket {
        /// Its key.
        key: String,
        /// The bucket in which it is.
        expected: String,
        /// The bucket that it names.
        found: String,
    },
}

/// The inputs, one after another.
pub struct Listing {
    store: Arc<dyn ObjectStore>,
    output_prefix: Path,
    /// Said before all else.
    warning: Option<String>,
    from: From,
}

enum From {
    Prefix { prefix: String, pages: Pages, siblings: Siblings },
    Manifest(BoxStream<'static, Found>),
}

impl Listing {
    /// Begins to list `source`, which is in the store that people know as `name`.
    ///
    /// # Errors
    /// When a manifest is none or cannot be read.
    pub async fn begin(
        store: Arc<dyn ObjectStore>,
        name: &str,
        source: &Source,
        output_prefix: Path,
    ) -> Result<Self, InputError> {
        match source {
            Source::Prefix(prefix) => Ok(Self::of_prefix(store, prefix, output_prefix)),
            Source::Object(key) => Ok(Self::of_manifest(store, Manifest::of_one(key), output_prefix)),
            Source::Manifest(key) => {
                let manifest = read_manifest(&store, name, key).await?;
                Ok(Self::of_manifest(store, manifest, output_prefix))
            }
        }
    }

    /// A prefix is a string, where `object_store` lists folders: the folder around it is listed, from a key shortly before the
    /// first that begins with it.
    fn of_prefix(store: Arc<dyn ObjectStore>, prefix: &str, output_prefix: Path) -> Self {
        let pages = Pages::open(Arc::clone(&store), prefix);
        let from = From::Prefix { prefix: prefix.to_owned(), pages, siblings: Siblings::default() };
        Self { store, output_prefix, warning: None, from }
    }

    fn of_manifest(store: Arc<dyn ObjectStore>, manifest: Manifest, output_prefix: Path) -> Self {
        let warning = (manifest.duplicates > 0).then(|| {
            format!("the manifest lists {} keys more than once: each is processed once", manifest.duplicates)
        });
        let keys: vec::IntoIter<String> = manifest.keys.into_iter();
        let (objects, prefix, output) = (Arc::clone(&store), manifest.prefix, output_prefix.clone());
        let found = futures_util::stream::iter(keys)
            .map(move |key| look_up(Arc::clone(&objects), format!("{prefix}{key}"), key, output.clone()))
            .buffered(HEADS_AT_ONCE)
            .boxed();
        Self { store, output_prefix, warning, from: From::Manifest(found) }
    }

    /// The next; `None` after the last.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn next(&mut self) -> Result<Option<Found>, InputError> {
        if let Some(warning) = self.warning.take() {
            return Ok(Some(Found::Warning(warning)));
        }
        match &mut self.from {
            From::Manifest(found) => Ok(found.next().await),
            From::Prefix { prefix, pages, siblings } => {
                while let Some(meta) = pages.next().await {
                    let listed = |source| InputError::Listing { of: prefix.clone(), source };
                    let meta = match meta {
                        Err(object_store::Error::InvalidPath { source }) => {
                            match unnameable(prefix, source) {
                                Some(unusable) => return Ok(Some(unusable)),
                                None => continue,
                            }
                        }
                        meta => meta.map_err(listed)?,
                    };
                    let Some(rest) = meta.location.as_ref().strip_prefix(prefix.as_str()) else { continue };
                    if meta.size == 0 && is_marker(&self.store, &meta.location).await.map_err(listed)? {
                        continue;
                    }
                    self.warning = siblings.warning(prefix, rest);
                    return Ok(Some(found(&meta, folder_of(prefix), &self.output_prefix)));
                }
                Ok(None)
            }
        }
    }
}

/// A folder's listing, page by page.
struct Pages {
    store: Arc<dyn ObjectStore>,
    folder: Option<Path>,
    /// What is listed comes after it.
    offset: Option<Path>,
    listed: BoxStream<'static, object_store::Result<ObjectMeta>>,
    /// How often it broke off since something came.
    breaks: u32,
    pauses: Pauses,
}

impl Pages {
    fn open(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let folder = Path::parse(folder_of(prefix)).ok().filter(|path| !path.as_ref().is_empty());
        let offset = before(prefix);
        let listed = list(&store, folder.as_ref(), offset.as_ref());
        Self { store, folder, offset, listed, breaks: 0, pauses: Pauses::default() }
    }

    /// The next; a page of S3 that broke off on its way (its client tries again only what has no answer yet) is asked for again,
    /// from where it was: S3 lists in the order of keys.
    async fn next(&mut self) -> Option<object_store::Result<ObjectMeta>> {
        loop {
            match self.listed.next().await {
                Some(Err(object_store::Error::Generic { store: "S3", source }))
                    if self.breaks < TRIES_MAX =>
                {
                    tracing::debug!(error = source, "a listing is gone on with");
                    self.breaks += 1;
                    tokio::time::sleep(self.pauses.next(fastrand::f64())).await;
                    self.listed = list(&self.store, self.folder.as_ref(), self.offset.as_ref());
                }
                found => {
                    if let Some(Ok(meta)) = &found {
                        self.offset = Some(meta.location.clone());
                        (self.breaks, self.pauses) = (0, Pauses::default());
                    }
                    return found;
                }
            }
        }
    }
}

fn list(
    store: &Arc<dyn ObjectStore>,
    folder: Option<&Path>,
    offset: Option<&Path>,
) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
    match offset {
        Some(offset) => store.list_with_offset(folder, offset),
        None => store.list(folder),
    }
}

/// A key before those that begin with `prefix` and not far before them; `None` where `prefix` is a folder, all of which is listed.
fn before(prefix: &str) -> Option<Path> {
    let name = &prefix[folder_of(prefix).len()..];
    let last = name.chars().next_back()?;
    let shorter = &prefix[..prefix.len() - last.len_utf8()];
    let offset = Path::parse(shorter).ok()?;
    (name.len() > last.len_utf8() && offset.as_ref() == shorter).then_some(offset)
}

/// A key that is listed and that `object_store` cannot name, if it begins with `prefix`.
fn unnameable(prefix: &str, error: path::Error) -> Option<Found> {
    let reason = error.to_string();
    let key = match error {
        path::Error::EmptySegment { path } | path::Error::BadSegment { path, .. } => path,
        _ => prefix.to_owned(),
    };
    key.starts_with(prefix).then_some(Found::Unusable { key, reason })
}

/// What `meta` is, whose key begins with `common`.
fn found(meta: &ObjectMeta, common: &str, output_prefix: &Path) -> Found {
    let key = meta.location.as_ref();
    match output_path(output_prefix, &key[common.len()..]) {
        Ok(output) => Found::Object(InputObject {
            path: meta.location.clone(),
            size: meta.size,
            e_tag: meta.e_tag.clone(),
            modified: Some(meta.last_modified.into()),
            output,
        }),
        Err(error) => Found::Unusable { key: key.to_owned(), reason: error.to_string() },
    }
}

/// Whether the empty object that was listed at `path` is there under that key: the marker of a folder, whose key ends with a
/// slash, is listed without it.
async fn is_marker(store: &Arc<dyn ObjectStore>, path: &Path) -> object_store::Result<bool> {
    match store.head(path).await {
        Ok(_) => Ok(false),
        Err(object_store::Error::NotFound { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The object that a manifest names.
async fn look_up(store: Arc<dyn ObjectStore>, key: String, relative: String, output_prefix: Path) -> Found {
    let path = match Path::parse(&key) {
        Ok(path) if path.as_ref() == key => path,
        Ok(_) => {
            let reason = "expected a key without a slash at its start or end".to_owned();
            return Found::Unusable { key, reason };
        }
        Err(error) => return Found::Unusable { key, reason: error.to_string() },
    };
    match store.head(&path).await {
        Ok(meta) => {
            found(&ObjectMeta { location: path, ..meta }, &key[..key.len() - relative.len()], &output_prefix)
        }
        Err(object_store::Error::NotFound { .. }) => {
            Found::Unusable { key, reason: "the manifest lists it, and there is no such object".to_owned() }
        }
        Err(error) => Found::Unusable { key, reason: error.to_string() },
    }
}

async fn read_manifest(store: &Arc<dyn ObjectStore>, name: &str, key: &Path) -> Result<Manifest, InputError> {
    let key_text = || key.as_ref().to_owned();
    let unreadable = |source| InputError::Unreadable { key: key_text(), source };
    let answer = store.get(key).await.map_err(unreadable)?;
    let size = answer.meta.size;
    if size > MANIFEST_BYTES_MAX {
        return Err(InputError::TooLarge { key: key_text(), size });
    }
    let bytes = answer.bytes().await.map_err(unreadable)?;
    let manifest =
        Manifest::parse(&bytes).map_err(|source| InputError::Manifest { key: key_text(), source })?;
    if manifest.bucket == name {
        return Ok(manifest);
    }
    Err(InputError::Bucket { key: key_text(), expected: name.to_owned(), found: manifest.bucket })
}

/// Whether a prefix that names no whole folder matches more than one.
#[derive(Debug, Default)]
struct Siblings {
    first: Option<String>,
    is_told: bool,
}

impl Siblings {
    /// What to say of a key that is `prefix` and `rest`, once.
    fn warning(&mut self, prefix: &str, rest: &str) -> Option<String> {
        if self.is_told || prefix.is_empty() || prefix.ends_with('/') {
            return None;
        }
        let (folder, _) = rest.split_once('/')?;
        let first = self.first.get_or_insert_with(|| folder.to_owned());
        if first == folder {
            return None;
        }
        self.is_told = true;
        Some(format!(
            "the prefix {prefix} does not end in / and matches several folders: {prefix}{first}/ and \
             {prefix}{folder}/ are both read"
        ))
    }
}

#[cfg(test)]
mod tests;
