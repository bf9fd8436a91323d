//! Objects in memory, for tests: `object_store`'s own, which does not say which uploads it has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    MultipartId, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutPayload, PutResult, Result,
};

use super::{Standing, UnfinishedUpload, Uploads};

/// A store in memory.
#[derive(Debug, Default)]
pub(super) struct MemoryStore {
    objects: Arc<InMemory>,
    under_way: Mutex<HashMap<MultipartId, Path>>,
}

impl MemoryStore {
    pub(super) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects) as Arc<dyn ObjectStore>
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<MultipartId, Path>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `object_store`'s store calls an unknown upload a failure like any other.
    fn check(&self, path: &Path, id: &MultipartId) -> Result<()> {
        if self.under_way().get(id) == Some(path) {
            return Ok(());
        }
        let source = format!("upload {id}: expected one that is under way, found none").into();
        Err(object_store::Error::NotFound { path: path.to_string(), source })
    }
}

#[async_trait]
impl MultipartStore for MemoryStore {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        let id = self.objects.create_multipart_opts(path, options).await?;
        self.under_way().insert(id.clone(), path.clone());
        Ok(id)
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        self.check(path, id)?;
        self.objects.put_part(path, id, index, data).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.check(path, id)?;
        let completed = self.objects.complete_multipart(path, id, parts).await?;
        self.under_way().remove(id);
        Ok(completed)
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.check(path, id)?;
        self.objects.abort_multipart(path, id).await?;
        self.under_way().remove(id);
        Ok(())
    }
}

#[async_trait]
impl Uploads for MemoryStore {
    async fn unfinished(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        let under_way = self.under_way();
        let of_prefix = under_way.iter().filter(|(_, path)| path.as_ref().starts_with(prefix));
        Ok(of_prefix.map(|(id, path)| UnfinishedUpload { path: path.clone(), id: id.clone() }).collect())
    }

    fn lists_in_order(&self) -> bool {
        true
    }

    async fn complete_if(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
        standing: &Standing,
    ) -> Result<PutResult> {
        self.check(path, id)?;
        let found = match self.objects.head(path).await {
            Ok(meta) => Standing::of(Some(&meta)),
            Err(object_store::Error::NotFound { .. }) => Standing::Nothing,
            Err(error) => return Err(error),
        };
        if found != *standing {
            return Err(standing.refused(path, &found));
        }
        self.complete_multipart(path, id, parts).await
    }
}
