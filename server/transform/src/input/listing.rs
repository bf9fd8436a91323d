//! The inputs one after another: of a string prefix page by page, of a manifest key by key. A million of them take no more
//! memory than a page, or the manifest.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};

use super::key::{exact_path, folder_of};
use super::pages::{Entry, Pages};
use super::{
    InputObject, MANIFEST_BYTES_MAX, Manifest, ManifestError, OUTPUT_SUFFIX, Outputs, Source, output_path,
};
use crate::journal;
use crate::store::{Listed, Store};
use crate::upload::retry;

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
        source: Error,
    },
    /// The manifest cannot be read.
    #[error("manifest {key}: {source}")]
    Unreadable {
        /// Its key.
        key: String,
        /// The store's error.
        #[source]
        source: Error,
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
    store: Store,
    outputs: Outputs,
    /// Said before all else.
    warning: Option<String>,
    from: From,
}

enum From {
    Prefix { prefix: String, pages: Pages, siblings: Siblings, has_met_outputs: bool },
    Manifest(BoxStream<'static, Found>),
}

impl Listing {
    /// Begins to list `source`, which is in the store that people know as `name`.
    ///
    /// # Errors
    /// When the store does not answer, or a manifest is none.
    pub async fn begin(
        store: &Store,
        name: &str,
        source: &Source,
        outputs: Outputs,
    ) -> Result<Self, InputError> {
        let store = store.clone();
        match source {
            Source::Prefix(prefix) => {
                let pages = Pages::begin(&store, prefix).await.map_err(listed(prefix))?;
                let (prefix, siblings) = (prefix.clone(), Siblings::default());
                let from = From::Prefix { prefix, pages, siblings, has_met_outputs: false };
                Ok(Self { store, outputs, warning: None, from })
            }
            Source::Object(key) => Ok(Self::of_manifest(store, Manifest::of_one(key).into(), outputs)),
            Source::Manifest(key) => {
                let manifest = read_manifest(&store, key).await?;
                if manifest.bucket != name {
                    let (key, expected) = (key.as_ref().to_owned(), name.to_owned());
                    return Err(InputError::Bucket { key, expected, found: manifest.bucket });
                }
                Ok(Self::of_manifest(store, manifest.into(), outputs))
            }
            Source::Listed { manifest, .. } => Ok(Self::of_manifest(store, Arc::clone(manifest), outputs)),
        }
    }

    fn of_manifest(store: Store, manifest: Arc<Manifest>, outputs: Outputs) -> Self {
        let warning = (manifest.duplicates > 0).then(|| {
            format!("the manifest lists {} keys more than once: each is processed once", manifest.duplicates)
        });
        let written_over = written_over(&manifest, &outputs);
        let (objects, folder) = (store.clone(), outputs.prefix.clone());
        let found = futures_util::stream::iter(0..manifest.keys.len())
            .map(move |index| {
                let relative = &manifest.keys[index];
                let key = format!("{}{relative}", manifest.prefix);
                let reason = written_over.contains(relative).then(|| {
                    format!("expected an output that is none of the inputs, found that the manifest lists {relative}{OUTPUT_SUFFIX}, over which it would be written")
                });
                let (store, folder, common) = (objects.clone(), folder.clone(), manifest.prefix.len());
                async move {
                    match reason {
                        Some(reason) => Found::Unusable { key, reason },
                        None => look_up(store, key, common, folder).await,
                    }
                }
            })
            .buffered(HEADS_AT_ONCE)
            .boxed();
        Self { store, outputs, warning, from: From::Manifest(found) }
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
            From::Prefix { prefix, pages, siblings, has_met_outputs } => {
                while let Some(entry) = pages.next().await.map_err(listed(prefix))? {
                    let (path, object) = match entry {
                        Entry::Object(path, object) => (path, object),
                        Entry::Unusable { key, reason } => {
                            return Ok(Some(Found::Unusable { key, reason }));
                        }
                    };
                    if is_kept_by_us(prefix, &object.key) {
                        continue;
                    }
                    if is_output(&self.store, prefix, &self.outputs, &object.key)
                        .await
                        .map_err(listed(prefix))?
                    {
                        if std::mem::replace(has_met_outputs, true) {
                            continue;
                        }
                        return Ok(Some(Found::Warning(outputs_are_passed_over(&object.key))));
                    }
                    self.warning = siblings.warning(prefix, &object.key[prefix.len()..]);
                    return Ok(Some(found(path, object, folder_of(prefix).len(), &self.outputs.prefix)));
                }
                Ok(None)
            }
        }
    }
}

fn listed(prefix: &str) -> impl FnOnce(Error) -> InputError {
    let of = prefix.to_owned();
    move |source| InputError::Listing { of, source }
}

/// Whether `key` is in a folder, below those that `prefix` names, of what transforms keep beside their outputs.
fn is_kept_by_us(prefix: &str, key: &str) -> bool {
    let below = &key[folder_of(prefix).len()..];
    below.rsplit_once('/').is_some_and(|(folders, _)| folders.split('/').any(|name| name == journal::FOLDER))
}

/// Whether `key` is what this transform writes of another key that begins with `prefix`, and that is there: of the prefix `in/x`
/// with outputs in `in`, `in/x.out` would else be the next run's input.
async fn is_output(store: &Store, prefix: &str, outputs: &Outputs, key: &str) -> object_store::Result<bool> {
    let Some(below) = outputs.relative(key) else { return Ok(false) };
    let Some(relative) = below.strip_suffix(OUTPUT_SUFFIX) else { return Ok(false) };
    let input = format!("{}{relative}", folder_of(prefix));
    let Ok(path) = exact_path(&input) else { return Ok(false) };
    if !input.starts_with(prefix) {
        return Ok(false);
    }
    match retry::retried(0, || store.objects.head(&path)).await {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn outputs_are_passed_over(key: &str) -> String {
    format!("outputs of earlier runs stand below the prefix, {key} first: they are not read")
}

/// The keys, as `manifest` has them, whose outputs would be written over an input that it lists.
fn written_over(manifest: &Manifest, outputs: &Outputs) -> HashSet<String> {
    if !outputs.are_beside_inputs {
        return HashSet::new();
    }
    let listed: HashSet<&str> = manifest.keys.iter().map(String::as_str).collect();
    let is_written_over = |relative: &&String| {
        let output = output_path(&outputs.prefix, relative).ok();
        let key = output.as_ref().and_then(|output| output.as_ref().strip_prefix(manifest.prefix.as_str()));
        key.is_some_and(|key| listed.contains(key))
    };
    manifest.keys.iter().filter(is_written_over).cloned().collect()
}

/// What `object` at `path` is, whose key has `common` bytes that its output's has not.
fn found(path: Path, object: Listed, common: usize, output_prefix: &Path) -> Found {
    match output_path(output_prefix, &object.key[common..]) {
        Ok(output) => {
            let Listed { size, e_tag, modified, .. } = object;
            Found::Object(InputObject { path, size, e_tag, modified, output })
        }
        Err(error) => Found::Unusable { key: object.key, reason: error.to_string() },
    }
}

/// The object that a manifest names, whose key has `common` bytes that its output's has not.
async fn look_up(store: Store, key: String, common: usize, output_prefix: Path) -> Found {
    let path = match exact_path(&key) {
        Ok(path) => path,
        Err(reason) => return Found::Unusable { key, reason },
    };
    match retry::retried(0, || store.objects.head(&path)).await {
        Ok(meta) => found(path, Listed { key, ..meta.into() }, common, &output_prefix),
        Err(Error::NotFound { .. }) => {
            Found::Unusable { key, reason: "the manifest lists it, and there is no such object".to_owned() }
        }
        Err(error) => Found::Unusable { key, reason: error.to_string() },
    }
}

/// Reads the manifest at `key`.
///
/// # Errors
/// When there is none, it is too large, or it is no manifest.
pub async fn read_manifest(store: &Store, key: &Path) -> Result<Manifest, InputError> {
    let key_text = || key.as_ref().to_owned();
    let unreadable = |source| InputError::Unreadable { key: key_text(), source };
    let answer = store.objects.get(key).await.map_err(unreadable)?;
    let size = answer.meta.size;
    if size > MANIFEST_BYTES_MAX {
        return Err(InputError::TooLarge { key: key_text(), size });
    }
    let bytes = answer.bytes().await.map_err(unreadable)?;
    Manifest::parse(&bytes).map_err(|source| InputError::Manifest { key: key_text(), source })
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
