//! A small output: one PUT over what stood there, also where its answer is lost.

use bytes::Bytes;
use object_store::{Error, ObjectStoreExt, PutOptions, PutPayload, PutResult, Result};

use super::error::WriteError;
use super::{Target, retry};
use crate::store::Standing;

/// Writes the object if `standing` still stands there: its version.
pub(super) async fn put(
    target: &Target,
    standing: &Standing,
    bytes: Bytes,
) -> std::result::Result<Option<String>, WriteError> {
    let mut pauses = retry::Pauses::default();
    let mut last = None;
    for _ in 0..retry::TRIES_MAX {
        if last.is_some() {
            tokio::time::sleep(pauses.next(fastrand::f64())).await;
        }
        match try_put(target, standing, &bytes).await {
            Ok(stored) => return Ok(stored.e_tag),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. }) => {
                if let Some(e_tag) = settle(target, standing, &bytes).await? {
                    return Ok(e_tag);
                }
                last = Some(standing.refused(target.output(), standing));
            }
            Err(error) if retry::is_final(&error) => return Err(target.failed()(error)),
            Err(error) => last = Some(error),
        }
    }
    let source = last.expect("every try that did not return failed");
    Err(target.failed()(source))
}

async fn try_put(target: &Target, standing: &Standing, bytes: &Bytes) -> Result<PutResult> {
    let put = |mode| {
        let attributes = target.attributes(None);
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        let payload = PutPayload::from(bytes.clone());
        retry::in_time(bytes.len(), target.store.objects.put_opts(target.output(), payload, options))
    };
    match put(standing.put_mode()).await {
        // A store without conditions: look, then write.
        Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
            let found = match target.store.objects.head(target.output()).await {
                Ok(meta) => Standing::of(Some(&meta)),
                Err(Error::NotFound { .. }) => Standing::Nothing,
                Err(error) => return Err(error),
            };
            if found != *standing {
                return Err(standing.refused(target.output(), &found));
            }
            put(object_store::PutMode::Overwrite).await
        }
        result => result,
    }
}

/// After a write was refused: its version if what stands there are our bytes (an earlier try's answer was lost, or another
/// runner was first), nothing if it may be tried again since nothing has changed.
async fn settle(
    target: &Target,
    standing: &Standing,
    bytes: &Bytes,
) -> std::result::Result<Option<Option<String>>, WriteError> {
    let found = target.stat().await?.map(|found| found.meta);
    if let Some(found) = found.as_ref().filter(|found| found.size == bytes.len() as u64) {
        let read = || async { target.store.objects.get(target.output()).await?.bytes().await };
        match retry::retried(bytes.len(), read).await {
            Ok(stored) if stored == bytes => return Ok(Some(found.e_tag.clone())),
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(target.failed()(error)),
        }
    }
    let now = Standing::of(found.as_ref());
    if now == *standing { Ok(None) } else { Err(target.conflict(standing, &now)) }
}

impl Target {
    pub(super) fn conflict(&self, expected: &Standing, found: &Standing) -> WriteError {
        WriteError::Conflict { key: self.key(), expected: expected.to_string(), found: found.to_string() }
    }
}
