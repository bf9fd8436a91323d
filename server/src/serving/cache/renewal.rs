//! A model whose artifact was replaced is loaded anew while the old one serves. Its version is looked at in the background,
//! never by a request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::iter;

use super::{BURST, LOADS_MAX, ModelCache};

/// Versions of one cache that are looked at at once. Reason: each is a request to the store, which also has models to
/// bring.
const LOOKS_MAX: usize = 8;

impl ModelCache {
    /// Looks at the versions of the models that were used since `since`, and loads those anew that have another one now. A
    /// request is answered by the old model until the new one is there; what cannot be looked at or loaded stays as it is.
    pub async fn renew(self: &Arc<Self>, since: Instant) {
        // A use within a burst is not written down.
        let since = self.millis(since).saturating_sub(BURST.as_millis() as u64);
        let models = self.models.load_full();
        let used = models.iter().filter(|(_, model)| model.uses.last.load(Ordering::Relaxed) >= since);
        let held = used.filter_map(|(name, model)| Some((Arc::clone(name), model.version.clone()?)));
        let looks: Vec<_> = held.collect();
        drop(models);
        iter(looks).for_each_concurrent(LOOKS_MAX, |(name, held)| self.renew_one(name, held)).await;
    }

    async fn renew_one(self: &Arc<Self>, name: Arc<str>, held: String) {
        match Arc::clone(&self.source).version(name.as_ref().to_owned()).await {
            Ok(Some(found)) if found != held => {
                tracing::info!(model = &*name, held, found, "the model's artifact was replaced");
                self.reload(&name);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(model = &*name, %error, "the version of the model cannot be looked at");
            }
        }
    }

    /// Begins a load that will take the place of the model, unless one is under way; with too many, the next look tries again.
    fn reload(self: &Arc<Self>, name: &Arc<str>) {
        let mut loads = self.loads();
        if loads.len() >= LOADS_MAX || loads.contains_key(name) {
            return;
        }
        // Nobody waits for it.
        drop(self.begin(&mut loads, Arc::clone(name)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{cache, memory};
    use super::*;

    #[tokio::test]
    async fn a_replaced_artifact_is_loaded_while_the_old_model_serves() {
        let (source, cache) = cache(&memory(100));
        let begun = Instant::now();
        cache.warm("a").await.unwrap();
        cache.warm("b").await.unwrap();
        let old = cache.find("a", Instant::now()).unwrap();
        cache.renew(begun).await;
        assert_eq!(source.loads.load(Ordering::Relaxed), 2, "nothing was replaced");

        source.replace("a", "2");
        cache.renew(begun).await;
        // It is under way, and the old one is there.
        let now = cache.find("a", Instant::now()).unwrap();
        assert!(Arc::ptr_eq(&now, &old));
        let mut outcome = cache.loads().get("a").unwrap().clone();
        outcome.wait_for(Option::is_some).await.unwrap().clone().unwrap().unwrap();
        let new = cache.find("a", Instant::now()).unwrap();
        assert!(!Arc::ptr_eq(&new, &old));
        assert_eq!((new.version.as_deref(), source.loads.load(Ordering::Relaxed)), (Some("2"), 3));
        cache.renew(begun).await;
        assert!(cache.loads().is_empty());
    }

    #[tokio::test]
    async fn what_nobody_used_or_cannot_be_looked_at_stays() {
        let (source, cache) = cache(&memory(100));
        let begun = Instant::now();
        cache.warm("a").await.unwrap();
        source.replace("a", "2");
        cache.renew(Instant::now() + Duration::from_secs(60)).await;
        assert!(cache.loads().is_empty());
        source.replace("a", "broken");
        cache.renew(begun).await;
        assert!(cache.loads().is_empty());
        assert_eq!(cache.len(), 1);
    }
}
