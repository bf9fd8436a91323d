//! The end of an upload in parts: over what stood there, also where the answer is lost.

use md5::{Digest, Md5};
use object_store::multipart::PartId;
use object_store::{Attribute, Error, GetResult, MultipartId};

use super::error::WriteError;
use super::{MARK, Target, retry};
use crate::journal::StoredPart;
use crate::store::Standing;

/// An upload all of whose parts are stored.
pub(super) struct Completion<'a> {
    pub(super) target: &'a Target,
    /// What must stand at the key.
    pub(super) standing: &'a Standing,
    pub(super) id: &'a MultipartId,
    /// What the object is marked with.
    pub(super) mark: &'a str,
    pub(super) parts: &'a [StoredPart],
    /// Bytes of all parts.
    pub(super) bytes: u64,
}

impl Completion<'_> {
    /// Makes the object of the parts: its version.
    pub(super) async fn run(&self) -> Result<Option<String>, WriteError> {
        let mut pauses = retry::Pauses::default();
        let mut last = None;
        for _ in 0..retry::TRIES_MAX {
            if last.is_some() {
                tokio::time::sleep(pauses.next(fastrand::f64())).await;
            }
            // Before each try: another may have written, or our own last try may have been done and its answer lost.
            if let Some(found) = self.found().await? {
                // Where another runner was first with the same bytes, ours is left over.
                self.target.abort(self.id).await?;
                return Ok(found.meta.e_tag);
            }
            match self.complete().await {
                Ok(completed) => return Ok(completed.e_tag),
                // A condition that does not hold, and an upload that is not there, are looked into by the next try.
                Err(
                    error @ (Error::AlreadyExists { .. }
                    | Error::Precondition { .. }
                    | Error::NotModified { .. }
                    | Error::NotFound { .. }),
                ) => last = Some(error),
                Err(error) if retry::is_final(&error) => return Err(self.target.failed()(error)),
                Err(error) => last = Some(error),
            }
        }
        match last.expect("every try that did not return failed") {
            Error::NotFound { .. } => {
                Err(WriteError::Gone { key: self.target.key(), upload: self.id.clone() })
            }
            error => Err(self.target.failed()(error)),
        }
    }

    async fn complete(&self) -> object_store::Result<object_store::PutResult> {
        let parts = self.parts.iter().map(|part| PartId { content_id: part.part_e_tag.clone() }).collect();
        let uploads = &self.target.store.uploads;
        // A store may join the parts before it answers.
        let time = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        retry::in_time(time, uploads.complete_if(self.target.output(), self.id, parts, self.standing)).await
    }

    /// The object, if what stands at the key was made of these parts; nothing, if what is expected there still is.
    pub(super) async fn found(&self) -> Result<Option<GetResult>, WriteError> {
        let found = self.target.stat().await?;
        let now = Standing::of(found.as_ref().map(|found| &found.meta));
        let is_marked = found.as_ref().is_some_and(|found| self.is_marked(found));
        if is_marked {
            return Ok(found);
        }
        if now == *self.standing {
            return Ok(None);
        }
        match found.filter(|found| self.is_alike(found)) {
            Some(found) => Ok(Some(found)),
            None => Err(self.target.conflict(self.standing, &now)),
        }
    }

    fn is_marked(&self, found: &GetResult) -> bool {
        let mark = found.attributes.get(&Attribute::Metadata(MARK.into()));
        mark.is_some_and(|mark| mark.as_ref() == self.mark)
    }

    /// Whether `found` has the same bytes: another runner's, or ours where the store keeps no marks.
    fn is_alike(&self, found: &GetResult) -> bool {
        if found.meta.size != self.bytes {
            return false;
        }
        let e_tag = found.meta.e_tag.as_deref().map(unquoted).unwrap_or_default();
        match self.expected_e_tag() {
            Some(expected) if is_of_parts(e_tag) => expected == e_tag,
            _ => found.attributes.get(&Attribute::Metadata(MARK.into())).is_none(),
        }
    }

    /// The entity tag that S3 gives an object of these parts: the MD5 of their MD5s, and how many they are.
    fn expected_e_tag(&self) -> Option<String> {
        let mut digester = Md5::new();
        for part in self.parts {
            let tag = unquoted(&part.part_e_tag);
            let word = u128::from_str_radix(tag, 16).ok().filter(|_| tag.len() == 32)?;
            digester.update(word.to_be_bytes());
        }
        let digest: [u8; 16] = digester.finalize().into();
        Some(format!("{:032x}-{}", u128::from_be_bytes(digest), self.parts.len()))
    }
}

fn unquoted(e_tag: &str) -> &str {
    e_tag.trim_matches('"')
}

/// Whether it is S3's tag of an object that came in parts.
fn is_of_parts(e_tag: &str) -> bool {
    e_tag.split_once('-').is_some_and(|(digest, count)| {
        digest.len() == 32
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
            && count.parse::<u32>().is_ok()
    })
}
