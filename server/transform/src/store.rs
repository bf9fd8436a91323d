//! A bucket or a directory: objects, and uploads in parts that a later process can find again.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{MultipartId, ObjectStore};

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

/// Uploads in parts, of which the unfinished can be listed: an upload whose creation was answered to a process that is gone, or
/// whose answer was lost, is found and ended.
#[async_trait]
pub trait Uploads: MultipartStore {
    /// The unfinished uploads of keys that begin with `prefix` (a string, not a folder).
    async fn unfinished(&self, prefix: &str) -> object_store::Result<Vec<UnfinishedUpload>>;
}

/// An upload that was begun and neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedUpload {
    /// The key that it is for.
    pub path: Path,
    /// Its id.
    pub id: MultipartId,
}
