//! Uploads in parts to the embedded store, as the engine wants them.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStore, PutMultipartOptions, PutPayload, PutResult, Result};
use objects::{Bucket, Directory};
use transform::store::{Standing, UnfinishedUpload};
use transform::{Store, Uploads};

/// A bucket of the embedded store.
pub(crate) fn store(directory: &Arc<Directory>, bucket: &str) -> Store {
    let bucket = Bucket::new(directory, bucket);
    let objects: Arc<dyn ObjectStore> = Arc::new(bucket.clone());
    Store { objects, uploads: Arc::new(EmbeddedUploads(bucket)) }
}

/// Uploads to a bucket of the embedded store.
#[derive(Debug)]
struct EmbeddedUploads(Bucket);

#[async_trait]
impl MultipartStore for EmbeddedUploads {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.0.create_multipart(path).await
    }

    async fn create_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        self.0.create_multipart_opts(path, options).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        self.0.put_part(path, id, index, data).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.0.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.0.abort_multipart(path, id).await
    }
}

#[async_trait]
impl Uploads for EmbeddedUploads {
    async fn unfinished(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        let found = self.0.unfinished_uploads(prefix).await?;
        Ok(found.into_iter().map(|(path, id)| UnfinishedUpload { path, id }).collect())
    }

    async fn complete_if(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
        standing: &Standing,
    ) -> Result<PutResult> {
        self.0.complete_upload_if(path, id, parts, &standing.put_mode()).await
    }
}
