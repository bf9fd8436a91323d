//! A bucket or a directory: objects, and uploads in parts that a later process can find again.
//!
//! `object_store` is used as it is. What it lacks is added by [`Uploads`]: which uploads are unfinished, and a completion that
//! holds only over what stood there.

mod directory;
mod memory;
mod s3;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use object_store::aws::AmazonS3Builder;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectMeta, ObjectStore, PutMode, PutResult, UpdateVersion};
use serde::{Deserialize, Serialize};

/// Where inputs are read, or outputs written.
#[derive(Clone)]
pub struct Store {
    /// Its objects.
    pub objects: Arc<dyn ObjectStore>,
    /// Its uploads in parts.
    pub parts: Arc<dyn MultipartStore>,
    /// What it says of them, and how one is completed.
    pub uploads: Arc<dyn Uploads>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.objects)
    }
}

impl Store {
    /// The files below `root`, which must exist. Attributes (a content type) are not kept: files have none. Blocks shortly.
    ///
    /// # Errors
    /// When `root` is not there.
    pub fn directory(root: &std::path::Path) -> object_store::Result<Self> {
        let directory = Arc::new(directory::DirectoryStore::open(root)?);
        Ok(Self {
            objects: Arc::clone(&directory) as Arc<dyn ObjectStore>,
            parts: Arc::clone(&directory) as Arc<dyn MultipartStore>,
            uploads: directory,
        })
    }

    /// The bucket that `builder` describes. Its HTTP connector is replaced by one that shares its client with requests that
    /// `object_store` does not have.
    ///
    /// # Errors
    /// When the description contradicts itself.
    pub fn s3(builder: AmazonS3Builder) -> object_store::Result<Self> {
        s3::open(builder)
    }

    /// A store in memory that starts empty. For tests.
    pub fn memory() -> Self {
        let memory = Arc::new(memory::MemoryStore::default());
        let parts = Arc::clone(&memory) as Arc<dyn MultipartStore>;
        Self { objects: memory.objects(), parts, uploads: memory }
    }
}

/// Uploads in parts, of which the unfinished can be listed: an upload whose creation was answered to a process that is gone, or
/// whose answer was lost, is found and ended.
#[async_trait]
pub trait Uploads: Send + Sync + 'static {
    /// The unfinished uploads of keys that begin with `prefix` (a string, not a folder).
    async fn unfinished(&self, prefix: &str) -> object_store::Result<Vec<UnfinishedUpload>>;

    /// Whether [`ObjectStore::list`] gives keys in the order of their bytes, so that a list may end behind the last that is
    /// wanted, and go on where it broke.
    fn lists_in_order(&self) -> bool {
        false
    }

    /// The first objects behind the key `after` whose keys begin with `prefix` (a string, not a folder), in the order of their
    /// keys' bytes; `None` of a store that lists as [`ObjectStore::list`] does.
    async fn page(&self, prefix: &str, after: &str) -> object_store::Result<Option<Page>> {
        let _ = (prefix, after);
        Ok(None)
    }

    /// Completes an upload if `standing` is what stands at `path`, else fails as [`object_store::Error::Precondition`] or
    /// [`object_store::Error::AlreadyExists`]. Who calls has looked right before; a store that can do no better completes.
    async fn complete_if(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
        standing: &Standing,
    ) -> object_store::Result<PutResult>;
}

/// Some of a store's objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// They, in the order of their keys.
    pub objects: Vec<Listed>,
    /// Whether there are no more behind them.
    pub is_last: bool,
}

/// An object that is listed, by its key as it is: not every key is a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// Its version.
    pub e_tag: Option<String>,
    /// When it was written, where the list says so.
    pub modified: Option<SystemTime>,
}

impl From<ObjectMeta> for Listed {
    fn from(meta: ObjectMeta) -> Self {
        let modified = Some(meta.last_modified.into());
        Self { key: meta.location.into(), size: meta.size, e_tag: meta.e_tag, modified }
    }
}

/// An upload that was begun and neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnfinishedUpload {
    /// The key that it is for.
    pub path: Path,
    /// Its id.
    pub id: MultipartId,
}

/// What stands at a key, or must stand there for a write to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// No object.
    Nothing,
    /// An object with this entity tag.
    Version(String),
    /// An object of a store that has no entity tags: versions cannot be told apart.
    Unversioned,
}

impl Standing {
    /// What `found` is.
    pub fn of(found: Option<&ObjectMeta>) -> Self {
        match found {
            None => Self::Nothing,
            Some(meta) => meta.e_tag.clone().map_or(Self::Unversioned, Self::Version),
        }
    }

    /// A put that holds only over this.
    pub fn put_mode(&self) -> PutMode {
        match self {
            Self::Nothing => PutMode::Create,
            Self::Version(e_tag) => {
                PutMode::Update(UpdateVersion { e_tag: Some(e_tag.clone()), version: None })
            }
            Self::Unversioned => PutMode::Overwrite,
        }
    }

    /// The failure of a write at `path` that expected `self` and found another.
    pub(crate) fn refused(&self, path: &Path, found: &Self) -> object_store::Error {
        let (path, source) = (path.to_string(), format!("expected {self}, found {found}").into());
        match self {
            Self::Nothing => object_store::Error::AlreadyExists { path, source },
            _ => object_store::Error::Precondition { path, source },
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no object"),
            Self::Version(e_tag) => write!(f, "the object of version {e_tag}"),
            Self::Unversioned => f.write_str("an object"),
        }
    }
}
