//! The manifest of a job, read before the engine runs: it may lie in another bucket than the objects that it lists.

use std::sync::Arc;

use transform::input::{InputError, Source, read_manifest};

use super::request::TransformRequest;
use crate::buckets::Buckets;
use crate::store::StoreError;

/// Why a manifest is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoManifest {
    /// Its bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] StoreError),
    /// It cannot be read, or is no manifest.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl TransformRequest {
    /// The request with what its manifest lists in place of the manifest, and with the bucket of that.
    ///
    /// # Errors
    /// When the manifest cannot be read, or is none.
    pub(super) async fn with_manifest(mut self, buckets: &Buckets) -> Result<Self, NoManifest> {
        let Source::Manifest(key) = &self.source else { return Ok(self) };
        let manifest = read_manifest(&buckets.store(&self.input_bucket)?, key).await?;
        let place = format!("{}/{key}", self.input_bucket);
        self.input_bucket.clone_from(&manifest.bucket);
        self.source = Source::Listed { place, manifest: Arc::new(manifest) };
        Ok(self)
    }
}
