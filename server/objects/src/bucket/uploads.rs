//! Uploads in parts by their ids, for who goes on with them in a later process.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, PutMode, PutMultipartOptions, PutPayload, PutResult};

use super::{Bucket, attributes, failed, put_result, quoted, unquoted};
use crate::condition::Conditions;
use crate::error::Error;
use crate::index::uploads::{UPLOADS_MAX, UploadDetails};
use crate::multipart::{Completion, NamedPart};
use crate::object::PUT_BYTES_MAX;
use crate::writer::Announced;

/// How many uploads a page of a list has.
const PAGE_UPLOADS: usize = 1000;

impl Bucket {
    /// The unfinished uploads of keys that begin with `prefix` (a string, not a folder): key and id. Keys that `object_store`
    /// cannot name are left out.
    ///
    /// # Errors
    /// When the bucket is not there.
    pub async fn unfinished_uploads(&self, prefix: &str) -> object_store::Result<Vec<(Path, MultipartId)>> {
        let (mut found, mut key, mut id) = (Vec::new(), String::new(), String::new());
        while (found.len() as u64) < UPLOADS_MAX {
            let page = self.store.list_uploads(&self.name, prefix, (&key, &id), PAGE_UPLOADS).await;
            let page = page.map_err(failed(&Path::default(), false))?;
            let Some(last) = page.last() else { break };
            (key, id) = (last.key.clone(), last.id.clone());
            let named =
                page.iter().filter_map(|upload| Some((Path::parse(&upload.key).ok()?, upload.id.clone())));
            found.extend(named);
        }
        Ok(found)
    }

    /// Completes an upload as `mode` says: over anything, over nothing, or over one version. The check and the change are one
    /// transaction. A completion that is repeated gets the answer of the first.
    ///
    /// # Errors
    /// When something else stands at `path`, or the upload or a part is not there.
    pub async fn complete_upload_if(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
        mode: &PutMode,
    ) -> object_store::Result<PutResult> {
        let conditions = match mode {
            PutMode::Overwrite => Conditions::default(),
            PutMode::Create => Conditions::absent(),
            PutMode::Update(version) => {
                Conditions::matching(unquoted(version.e_tag.as_deref().unwrap_or_default()))
            }
        };
        let named = |(number, part): (u32, PartId)| NamedPart {
            number,
            etag: Some(unquoted(&part.content_id).to_owned()),
            ..NamedPart::default()
        };
        let completion =
            Completion { parts: (1..).zip(parts).map(named).collect(), conditions, ..Completion::default() };
        let at = (self.name.as_str(), path.as_ref());
        let completed = self.store.complete_upload(at, id, completion).await;
        completed.map(|record| put_result(&record)).map_err(|error| match error {
            // An update of nothing is an update of what is not as expected.
            Error::NoKey(_) => failed(path, false)(Error::Precondition("If-Match")),
            error => failed(path, matches!(mode, PutMode::Create))(error),
        })
    }
}

#[async_trait]
impl MultipartStore for Bucket {
    async fn create_multipart(&self, path: &Path) -> object_store::Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<MultipartId> {
        let attributes = attributes(&options.attributes, options.tags.encoded());
        let details = UploadDetails { attributes, ..UploadDetails::default() };
        self.store.create_upload(&self.name, path.as_ref(), details).await.map_err(failed(path, false))
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> object_store::Result<PartId> {
        let number = u32::try_from(index.saturating_add(1)).unwrap_or(u32::MAX);
        let body = stream::iter(data.into_iter().map(Ok::<Bytes, Error>));
        let announced = Announced { limit: PUT_BYTES_MAX, ..Announced::default() };
        let at = (self.name.as_str(), path.as_ref());
        let put = self.store.put_part(at, id, number, body, announced).await;
        put.map(|part| PartId { content_id: quoted(&part.md5) }).map_err(failed(path, false))
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> object_store::Result<PutResult> {
        self.complete_upload_if(path, id, parts, &PutMode::Overwrite).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> object_store::Result<()> {
        self.store.abort_upload(&self.name, path.as_ref(), id).await.map_err(failed(path, false))
    }
}
