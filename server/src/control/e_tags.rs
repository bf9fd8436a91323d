//! What an endpoint configuration is held to from its creation on: the ETags of its models' artifacts at that moment. Only
//! looked at; the bytes come with the first endpoint.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value};

use super::images::{Container, ModelData};
use super::record::{self, Kind};
use super::{Control, StateError};

/// How long the objects are looked at. Reason: a call should not hang on a store that does not answer; an artifact whose
/// ETag is not known is held to its digest from its first load on.
const LOOK_TIME_MAX: Duration = Duration::from_secs(5);

impl Control {
    /// By variant of `config`, the ETag of the artifact that its model has now; variants without one artifact, and objects
    /// that cannot be looked at, are left out.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn e_tags(&self, config: &Map<String, Value>) -> Result<Map<String, Value>, StateError> {
        let mut named = Vec::new();
        for list in ["ProductionVariants", "ShadowProductionVariants"] {
            for variant in config.get(list).and_then(Value::as_array).into_iter().flatten() {
                let text = |member: &str| variant.get(member).and_then(Value::as_str).map(str::to_owned);
                named.extend(text("VariantName").zip(text("ModelName")));
            }
        }
        let urls = self.database.read(move |connection| {
            let mut urls = Vec::new();
            for (variant, model) in named {
                let found = record::find(connection, Kind::Model, &model)?;
                let container = found.map(|model| Container::of_model(&Value::Object(model.document)));
                if let Some(Ok(Container { model_data: ModelData::One(url), .. })) = container {
                    urls.push((variant, url));
                }
            }
            Ok::<_, StateError>(urls)
        });
        let artifacts = self.hosting.models.artifacts();
        let looks = urls.await?.into_iter().map(async |(variant, url)| {
            let e_tag = tokio::time::timeout(LOOK_TIME_MAX, artifacts.e_tag(&url)).await;
            Some((variant, Value::String(e_tag.ok()?.ok()??)))
        });
        Ok(join_all(looks).await.into_iter().flatten().collect())
    }
}
