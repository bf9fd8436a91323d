//! Buckets by name, and places in them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;

/// Where buckets come from.
#[async_trait]
pub trait Stores: Send + Sync + 'static {
    /// The bucket of this name; whether it is there, its first use tells.
    async fn store(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, StoreError>;
}

/// Why there is no such bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bucket {bucket}: {reason}")]
pub struct StoreError {
    /// Its name.
    pub bucket: String,
    /// What was expected, and what was found.
    pub reason: String,
}

/// An `s3://bucket/key`, where the key may be a prefix or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// The key, as it is: not every prefix is a path.
    pub key: String,
}

impl Place {
    /// The place that `uri` names; `None` where it names none.
    pub fn parse(uri: &str) -> Option<Self> {
        let address = uri.strip_prefix("s3://")?;
        let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
        (!bucket.is_empty()).then(|| Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// The place `relative` below this one, taken as a folder.
    #[must_use]
    pub fn below(&self, relative: &str) -> Self {
        let folder = self.key.trim_end_matches('/');
        let separator = if folder.is_empty() { "" } else { "/" };
        Self { bucket: self.bucket.clone(), key: format!("{folder}{separator}{relative}") }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let check = |uri: &str, expected: Option<(&str, &str)>| {
            let found = Place::parse(uri);
            assert_eq!(found.as_ref().map(|place| (&*place.bucket, &*place.key)), expected, "{uri}");
        };
        check("s3://b/a/c", Some(("b", "a/c")));
        check("s3://b", Some(("b", "")));
        check("s3://b/", Some(("b", "")));
        check("s3:///a", None);
        check("https://b/a", None);
    }

    #[test]
    fn places_below_others() {
        let check = |uri: &str, expected: &str| {
            let below = Place::parse(uri).map(|place| place.below("x/y").to_string());
            assert_eq!(below.as_deref(), Some(expected));
        };
        check("s3://b", "s3://b/x/y");
        check("s3://b/p", "s3://b/p/x/y");
        check("s3://b/p//", "s3://b/p/x/y");
    }
}
