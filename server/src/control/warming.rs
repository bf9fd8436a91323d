//! Scale to zero: a serverless variant's model leaves memory when nobody has asked for long enough; the next request
//! brings it back. And what is replaced below a multi-model variant's prefix is loaded anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::serving::ModelMemory;

/// The shortest pause between two looks. Reason: a look costs microseconds, so it may be often, but not all the time.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// The longest. Reason: a model is unloaded no later than this after its time.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// The pause between two looks at the artifacts of multi-model variants. Reason: each look is a request to the store for
/// each model that was used since the last one; who replaces a model under its name waits no longer than this.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(15);

/// Loads models anew whose artifacts were replaced, for ever; runs on the control runtime.
pub async fn renew(memory: Arc<ModelMemory>) {
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(RENEWAL_INTERVAL).await;
        let begun = Instant::now();
        for cache in memory.caches() {
            cache.renew(since).await;
        }
        since = begun;
    }
}

/// Unloads what was idle for `idle`, for ever; runs on the control runtime.
pub async fn unload_idle(memory: Arc<ModelMemory>, idle: Duration) {
    let pause = (idle / 4).clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX);
    loop {
        tokio::time::sleep(pause).await;
        for cache in memory.caches() {
            cache.unload_idle(Instant::now(), idle);
        }
    }
}
