//! Where models that come and go are loaded from: the one of a serverless variant, and those below a multi-model
//! variant's prefix.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::{BoxFuture, FutureExt};
use models::LoadError;

use super::artifacts::{ArtifactError, Held};
use super::images::Container;
use super::shared_models::{LoadLimits, ProvisionError, SharedModels};
use crate::error::{Error, shortened};
use crate::serving::{Loaded, ModelMemory, ModelSource};
use crate::store::StoreError;

/// The longest `TargetModel`. Reason: the wire's limit.
const TARGET_MODEL_CHARS_MAX: usize = 1024;

/// The pinned artifact of a serverless variant: it stays on this machine while its model comes and goes.
#[derive(Debug)]
pub(super) struct OnDemand {
    models: Arc<SharedModels>,
    container: Container,
    held: Arc<Held>,
    limits: LoadLimits,
}

impl OnDemand {
    /// Of `held`.
    pub(super) fn new(
        models: Arc<SharedModels>,
        container: Container,
        held: Held,
        limits: LoadLimits,
    ) -> Self {
        Self { models, container, held: Arc::new(held), limits }
    }
}

impl ModelSource for OnDemand {
    fn load(self: Arc<Self>, _: String, _: Arc<ModelMemory>) -> BoxFuture<'static, Result<Loaded, Error>> {
        async move {
            let started = Instant::now();
            let loading = self.models.bring_up(&self.container, &self.held, self.limits.startup);
            let (model, memory) = loading.await.map_err(error)?;
            let downloading = std::time::Duration::ZERO;
            // Pinned: it stays what it is.
            let version = None;
            Ok(Loaded { model, memory, version, downloading, loading: started.elapsed() })
        }
        .boxed()
    }
}

/// The artifacts below a prefix, each named by the rest of its key.
#[derive(Debug)]
pub(super) struct Prefix {
    models: Arc<SharedModels>,
    container: Container,
    /// With its closing slash.
    prefix: String,
    limits: LoadLimits,
}

impl Prefix {
    /// Below `prefix`.
    pub(super) fn new(
        models: Arc<SharedModels>,
        container: Container,
        prefix: &str,
        limits: LoadLimits,
    ) -> Self {
        let prefix = format!("{}/", prefix.trim_end_matches('/'));
        Self { models, container, prefix, limits }
    }

    /// The URL of a TargetModel.
    fn url(&self, name: &str) -> Result<String, Error> {
        let name = name.trim_start_matches('/');
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if name.len() <= TARGET_MODEL_CHARS_MAX && name.split('/').all(is_plain) {
            return Ok(format!("{}{name}", self.prefix));
        }
        let found = shortened(name);
        Err(Error::Parameter(format!("target model: expected a key below {}, found {found:?}", self.prefix)))
    }
}

impl ModelSource for Prefix {
    fn load(self: Arc<Self>, name: String, _: Arc<ModelMemory>) -> BoxFuture<'static, Result<Loaded, Error>> {
        async move {
            let url = self.url(&name)?;
            let started = Instant::now();
            let held = self.models.obtain(&url, None, None, self.limits.download).await.map_err(error)?;
            let downloading = started.elapsed();
            let loading = self.models.bring_up(&self.container, &held, self.limits.startup);
            let (model, memory) = loading.await.map_err(error)?;
            let version = held.pin.e_tag.clone();
            Ok(Loaded { model, memory, version, downloading, loading: started.elapsed() - downloading })
        }
        .boxed()
    }

    fn version(self: Arc<Self>, name: String) -> BoxFuture<'static, Result<Option<String>, Error>> {
        async move {
            let url = self.url(&name)?;
            let looking = self.models.artifacts().e_tag(&url).await;
            looking.map_err(|found| error(ProvisionError::Artifact(found)))
        }
        .boxed()
    }
}

/// What a request hears of a load that failed.
fn error(error: ProvisionError) -> Error {
    match error {
        ProvisionError::Artifact(ArtifactError::Store(StoreError::Object {
            url,
            source: object_store::Error::NotFound { .. },
        })) => {
            let address = url.strip_prefix("s3://").unwrap_or(&url);
            let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
            Error::ModelDataNotFound { bucket: bucket.to_owned(), key: key.to_owned() }
        }
        ProvisionError::Artifact(ArtifactError::Store(error)) => Error::Store(error),
        ProvisionError::Load(error) => Error::Load(error),
        ProvisionError::Memory(error) => error,
        other => Error::Load(LoadError::Unrecognised(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::artifacts::tests::artifacts;
    use super::super::shared_models::tests::{LIMITS, models};
    use super::*;

    fn prefix(prefix: &str) -> Prefix {
        let scratch = tempfile::tempdir().unwrap();
        let container = serde_json::json!({"PrimaryContainer": {"Image": "clary", "Mode": "MultiModel", "ModelDataUrl": "s3://b/m"}});
        let container = Container::of_model(&container).unwrap();
        Prefix::new(Arc::new(models(artifacts(scratch.path()))), container, prefix, LIMITS)
    }

    #[test]
    fn a_target_model_lies_below_the_prefix() {
        for given in ["s3://b/m", "s3://b/m/"] {
            assert_eq!(prefix(given).url("a/model.tar.gz").unwrap(), "s3://b/m/a/model.tar.gz");
            assert_eq!(prefix(given).url("/model.tar.gz").unwrap(), "s3://b/m/model.tar.gz");
        }
        for name in ["", "/", "../x", "a/../../x", "a//b", "./a", &"a".repeat(1025)] {
            prefix("s3://b/m").url(name).expect_err(name);
        }
    }
}
