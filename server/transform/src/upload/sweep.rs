//! Ending uploads that nobody goes on with.

use futures_util::{StreamExt, stream};
use object_store::{Error, MultipartId, Result};

use super::{Target, retry};
use crate::store::{Store, UnfinishedUpload};

/// Uploads ended at once. Reason: hides the store's latency.
const ABORTS_AT_ONCE: usize = 8;

/// Ends the unfinished uploads whose keys begin with `prefix` and which are `is_ours`: how many.
///
/// # Errors
/// When the store fails. One that cannot list uploads at all has none that are known.
pub async fn sweep(
    store: &Store,
    prefix: &str,
    is_ours: impl Fn(&UnfinishedUpload) -> bool,
) -> Result<usize> {
    let mut left = retry::retried(0, || store.uploads.unfinished(prefix)).await?;
    left.retain(is_ours);
    end(store, &left).await?;
    Ok(left.len())
}

/// Ends the unfinished uploads to the target's key but `ours`, and says whether that is under way; `None` where the store does
/// not tell. What cannot be ended is left to a later sweep, and told.
pub(super) async fn others(target: &Target, ours: &MultipartId) -> Option<bool> {
    let key = target.key();
    let mut found = match retry::retried(0, || target.store.uploads.unfinished(&key)).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(key, %error, "the uploads to a key cannot be listed: one that was given up may be left");
            return None;
        }
    };
    found.retain(|upload| upload.path == *target.output());
    let is_under_way = found.iter().any(|upload| upload.id == *ours);
    found.retain(|upload| upload.id != *ours);
    if let Err(error) = end(&target.store, &found).await {
        tracing::warn!(key, %error, "an upload that was given up is left");
    }
    Some(is_under_way)
}

/// Ends all that can be; the error is the first of those that cannot.
async fn end(store: &Store, uploads: &[UnfinishedUpload]) -> Result<()> {
    let ends = uploads.iter().cloned().map(|upload| async move {
        match retry::retried(0, || store.parts.abort_multipart(&upload.path, &upload.id)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    });
    let ended: Vec<_> = stream::iter(ends).buffer_unordered(ABORTS_AT_ONCE).collect().await;
    ended.into_iter().collect()
}
