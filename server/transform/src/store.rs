//! A bucket or a directory: objects, and uploads in parts that a later process can find again.
//!
//! `object_store` is used as it is. What it lacks is added by [`Uploads`]: which uploads are unfinished, and a completion that
//! holds only over what stood there.

mod directory;
mod memory;
mod s3;

use std::fmt;
use std::sync::Arc;

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
        Ok(Self { objects: Arc::clone(&directory) as Arc<dyn ObjectStore>, uploads: directory })
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
        Self { objects: memory.objects(), uploads: memory }
    }
}

/// Uploads in parts, of which the unfinished can be listed: an upload whose creation was answered to a process that is gone, or
/// whose answer was lost, is found and ended.
#[async_trait]
pub trait Uploads: MultipartStore {
    /// The unfinished uploads of keys that begin with `prefix` (a string, not a folder).
    async fn unfinished(&self, prefix: &str) -> object_store::Result<Vec<UnfinishedUpload>>;

    /// Completes an upload if `standing` is what stands at `path`, else fails as [`object_store::Error::Precondition`] or
    /// [`object_store::Error::AlreadyExists`]. Who calls has looked right before; a store that can do no better completes.
    async fn complete_if(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
        standing: &Standing,
    ) -> object_store::Result<PutResult> {
        let _ = standing;
        self.complete_multipart(path, id, parts).await
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
