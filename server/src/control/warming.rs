//! Scale to zero: a serverless variant's model leaves memory when nobody has asked for long enough; the next request
//! brings it back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::serving::ModelMemory;

/// The shortest pause between two looks. Reason: a look costs microseconds, so it may be often, but not all the time.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// The longest. Reason: a model is unloaded no later than this after its time.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(10);

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
