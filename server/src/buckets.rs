//! Buckets by name: those of the embedded store, or of an S3 store elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectMeta, ObjectStore, RetryConfig};
use objects::Directory;
use tokio::runtime::Handle;

use crate::config::AwsVariables;
use crate::store::{Source, StoreError, s3, s3_builder};
use crate::transform::embedded;

/// Clients of an external store that are kept, one a bucket. Reason: each has its pool of connections; a server uses a few
/// buckets, and whoever names more only pays for new connections.
const CLIENTS_MAX: usize = 64;

/// How often a request of a transform is tried again by the client of an external store. Reason: the transform tries again by
/// itself, up to seven times, with what it reads or writes at hand; the client's own ten would multiply that to a minute's
/// silence for each.
const TRANSFORM_RETRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(2),
        base: 2.0,
    },
    max_retries: 2,
    retry_timeout: Duration::from_secs(30),
};

/// Where the buckets of this server are.
#[derive(Debug)]
pub enum Buckets {
    /// On this machine.
    Embedded(Arc<Directory>),
    /// In another store.
    External(ExternalStore),
}

/// An S3 store elsewhere.
pub struct ExternalStore {
    endpoint: Option<String>,
    variables: AwsVariables,
    clients: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl fmt::Debug for ExternalStore {
    /// Without the variables: secrets are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalStore").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl ExternalStore {
    /// The store at `endpoint`, else the one that the `AWS_*` variables name (lower case), else AWS's own. Keys and region are
    /// the variables'.
    pub fn new(endpoint: Option<&str>, variables: &AwsVariables) -> Self {
        let mut variables = variables.0.clone();
        let given = endpoint.map(str::to_owned).or_else(|| named_endpoint(&variables));
        if let Some(endpoint) = &given {
            variables.retain(|(name, _)| !name.starts_with("aws_endpoint"));
            variables.push(("aws_endpoint_url".to_owned(), endpoint.clone()));
        }
        Self { endpoint: given, variables: AwsVariables(variables), clients: Mutex::default() }
    }

    /// Where it is, for people.
    pub fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("AWS")
    }

    fn of(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(bucket) {
            return Ok(Arc::clone(client));
        }
        let made = s3(bucket, &self.variables.0);
        let made = made.map_err(|source| StoreError::Object { url: format!("s3://{bucket}"), source })?;
        let client: Arc<dyn ObjectStore> = Arc::new(made);
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.insert(bucket.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

/// The endpoint for S3 that the variables name.
fn named_endpoint(variables: &[(String, String)]) -> Option<String> {
    let value = |name: &str| {
        variables.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.clone())
    };
    value("aws_endpoint_url_s3").or_else(|| value("aws_endpoint_url"))
}

impl Buckets {
    /// The store at `endpoint`, if one is given; else the embedded one below `data`, which works on `runtime`, also for callers
    /// that stand behind it in priority. Blocks.
    ///
    /// # Errors
    /// When the embedded store cannot be opened.
    pub fn open(
        endpoint: Option<&str>,
        variables: &AwsVariables,
        data: &FilePath,
        runtime: &Handle,
    ) -> Result<Self, objects::Error> {
        match endpoint {
            Some(_) => Ok(Self::External(ExternalStore::new(endpoint, variables))),
            None => Ok(Self::Embedded(Directory::open_on(&data.join("s3"), runtime.clone())?)),
        }
    }

    /// The bucket of this name; whether it is there, its first use tells.
    ///
    /// # Errors
    /// When the variables of an external store contradict each other.
    pub fn of(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
        match self {
            Self::Embedded(directory) => Ok(directory.bucket(bucket)),
            Self::External(store) => store.of(bucket),
        }
    }

    /// The bucket of this name with its uploads in parts, as a transform reads and writes it. Each call makes its own clients of
    /// an external store: keep what is returned.
    ///
    /// # Errors
    /// When the variables of an external store contradict each other.
    pub fn store(&self, bucket: &str) -> Result<transform::Store, StoreError> {
        match self {
            Self::Embedded(directory) => Ok(embedded::store(directory, bucket)),
            Self::External(store) => {
                let builder = s3_builder(bucket, &store.variables.0).with_retry(TRANSFORM_RETRIES);
                let failed = |source| StoreError::Object { url: format!("s3://{bucket}"), source };
                transform::Store::s3(builder).map_err(failed)
            }
        }
    }

    /// Bucket and key (or prefix, possibly empty) of an `s3://` URL.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse_url(url: &str) -> Result<(String, String), StoreError> {
        let wrong = || StoreError::Url { url: url.to_owned(), expected: "s3://bucket/key" };
        let address = url.strip_prefix("s3://").ok_or_else(wrong)?;
        let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
        if bucket.is_empty() { Err(wrong()) } else { Ok((bucket.to_owned(), key.to_owned())) }
    }

    /// The object at an `s3://` URL, as a place to fetch from.
    ///
    /// # Errors
    /// When the URL is not one of an object, or its store cannot be made.
    pub fn source(&self, url: &str) -> Result<Source, StoreError> {
        let (bucket, key) = Self::parse_url(url)?;
        let wrong = || StoreError::Url { url: url.to_owned(), expected: "s3://bucket/key of an object" };
        if key.is_empty() || key.ends_with('/') {
            return Err(wrong());
        }
        let key = key_path(&key).ok_or_else(wrong)?;
        Ok(Source::Object { url: url.to_owned(), store: self.of(&bucket)?, key })
    }

    /// The objects below an `s3://bucket/prefix`, a whole folder, in the order of their keys.
    ///
    /// # Errors
    /// When the store fails, or there are more than `limit`.
    pub async fn list(&self, url: &str, limit: usize) -> Result<Vec<ObjectMeta>, StoreError> {
        let (bucket, prefix) = Self::parse_url(url)?;
        let expected = "s3://bucket/prefix whose folders have names";
        let prefix = key_path(&prefix).ok_or_else(|| StoreError::Url { url: url.to_owned(), expected })?;
        let failed = |source| StoreError::Object { url: url.to_owned(), source };
        let mut found = Vec::new();
        let store = self.of(&bucket)?;
        let mut listed = store.list(Some(&prefix));
        while let Some(meta) = listed.try_next().await.map_err(failed)? {
            if found.len() == limit {
                return Err(StoreError::TooLarge {
                    place: url.to_owned(),
                    limit: limit as u64,
                    unit: "objects",
                });
            }
            found.push(meta);
        }
        // Stores promise no order.
        found.sort_by(|one, other| one.location.cmp(&other.location));
        Ok(found)
    }

    /// Where the buckets are, when that is elsewhere.
    pub fn elsewhere(&self) -> Option<&str> {
        match self {
            Self::Embedded(_) => None,
            Self::External(store) => Some(store.endpoint()),
        }
    }
}

/// A key as `object_store` names it: as it is. (`Path::from` would encode what S3 takes plainly.)
pub(crate) fn key_path(key: &str) -> Option<Path> {
    Path::parse(key).ok()
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt, PutPayload};

    use super::*;

    #[test]
    fn a_url_has_a_bucket_and_perhaps_a_key() {
        for (url, bucket, key) in
            [("s3://b/a/c.tar.gz", "b", "a/c.tar.gz"), ("s3://b", "b", ""), ("s3://b/", "b", "")]
        {
            assert_eq!(Buckets::parse_url(url).expect(url), (bucket.to_owned(), key.to_owned()));
        }
        for url in ["", "b/k", "s3://", "s3:///k", "https://b/k"] {
            Buckets::parse_url(url).expect_err(url);
        }
    }

    #[test]
    fn the_flag_comes_before_the_variables() {
        let variables = |pairs: &[(&str, &str)]| {
            AwsVariables(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
        };
        let check = |flag: Option<&str>, pairs: &[(&str, &str)], expected: &str| {
            assert_eq!(ExternalStore::new(flag, &variables(pairs)).endpoint(), expected);
        };
        let s3 = ("aws_endpoint_url_s3", "http://s3:1");
        check(Some("http://flag:1"), &[s3], "http://flag:1");
        check(None, &[("aws_endpoint_url", "http://all:1"), s3], "http://s3:1");
        check(None, &[("aws_endpoint_url", "http://all:1")], "http://all:1");
        check(None, &[], "AWS");
        let secret = ("aws_secret_access_key", "hidden");
        assert!(!format!("{:?}", ExternalStore::new(None, &variables(&[secret]))).contains("hidden"));
    }

    #[tokio::test]
    async fn an_artifact_of_the_embedded_store_is_fetched() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let none = AwsVariables(Vec::new());
        let buckets = Buckets::open(None, &none, scratch.path(), &Handle::current()).expect("a store");
        let Buckets::Embedded(directory) = &buckets else { panic!("expected the embedded store") };
        directory.create_bucket("models", "").await.expect("a bucket");
        assert_eq!(buckets.elsewhere(), None);
        let store = buckets.of("models").expect("the bucket");
        for key in ["a/~model 1.tar.gz", "a/b", "ab"] {
            store.put(&key_path(key).expect(key), PutPayload::from("bytes")).await.expect(key);
        }
        let source = buckets.source("s3://models/a/~model 1.tar.gz").expect("a URL of an object");
        let fetched = source.fetch(scratch.path()).await.expect("the object");
        assert_eq!(std::fs::read(fetched.path()).expect("a copy"), b"bytes");
        let listed = buckets.list("s3://models/a/", 2).await.expect("a list");
        let keys: Vec<_> = listed.iter().map(|meta| meta.location.as_ref()).collect();
        assert_eq!(keys, ["a/b", "a/~model 1.tar.gz"]);
        assert!(matches!(buckets.list("s3://models", 2).await, Err(StoreError::TooLarge { .. })));
        assert!(matches!(buckets.list("s3://absent", 2).await, Err(StoreError::Object { .. })));
        for url in ["s3://models", "s3://models/a/", "s3://models/a//b", "/models/a"] {
            assert!(matches!(buckets.source(url), Err(StoreError::Url { .. })), "{url}");
        }
    }
}
