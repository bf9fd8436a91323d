//! Objects that the platform writes on its own account (outcomes, captured requests): tried again while the store does not
//! take them, for as long as its restart takes.

use std::time::Duration;

use bytes::Bytes;
use object_store::{Attribute, AttributeValue, Attributes, PutOptions, PutPayload};

use crate::buckets::{Buckets, key_path};

/// How often an upload is tried. Reason: half a minute in all, which a store's restart takes.
const TRIES_MAX: u32 = 6;

/// The pause before the second try; each further is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Puts `body` at the `s3://` address `url`.
///
/// # Errors
/// When the address is none, or the store does not take it.
pub(super) async fn put(
    buckets: &Buckets,
    url: &str,
    body: Bytes,
    content_type: &'static str,
) -> anyhow::Result<()> {
    let (bucket, key) = Buckets::parse_url(url)?;
    let path =
        key_path(&key).ok_or_else(|| anyhow::anyhow!("{url}: expected a key whose parts have names"))?;
    let store = buckets.of(&bucket)?;
    let attributes = Attributes::from_iter([(Attribute::ContentType, AttributeValue::from(content_type))]);
    let mut pause = FIRST_PAUSE;
    let mut tries = 1;
    loop {
        let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
        let put = store.put_opts(&path, PutPayload::from(body.clone()), options).await;
        let Err(error) = put else { return Ok(()) };
        // What is not there now will not be there in a second.
        if tries == TRIES_MAX || matches!(error, object_store::Error::NotFound { .. }) {
            return Err(error.into());
        }
        tracing::warn!(url, %error, tries, "an object could not be stored yet");
        tokio::time::sleep(pause).await;
        pause *= 2;
        tries += 1;
    }
}
