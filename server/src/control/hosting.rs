//! What all endpoints' workers share: the data plane, the models in memory, the journal.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use telemetry::Telemetry;

use super::artifacts::Artifacts;
use super::journal::Journal;
use super::shared_models::SharedModels;
use crate::buckets::Buckets;
use crate::metrics::Metrics;
use crate::serving::capture::CaptureQueue;
use crate::serving::{ModelMemory, ModelServer};

/// What the control plane is built from.
#[derive(Debug)]
pub struct HostingParts {
    /// The data directory.
    pub data: PathBuf,
    /// Where artifacts come from.
    pub buckets: Arc<Buckets>,
    /// The data plane.
    pub server: Arc<ModelServer>,
    /// What models may hold.
    pub memory: Arc<ModelMemory>,
    /// The process's numbers.
    pub metrics: Arc<Metrics>,
    /// Logs of endpoints.
    pub telemetry: Arc<Telemetry>,
    /// Where captured requests go.
    pub capture: CaptureQueue,
    /// Threads of the pool: an instance never has more slots.
    pub threads: u32,
    /// How long requests of a fleet that leaves may take to finish.
    pub drain_limit: Duration,
    /// Whether an object that changed since it was pinned is served as it is.
    pub is_artifact_change_allowed: bool,
}

/// The shared parts.
#[derive(Debug)]
pub(super) struct Hosting {
    pub server: Arc<ModelServer>,
    pub models: Arc<SharedModels>,
    pub metrics: Arc<Metrics>,
    pub journal: Journal,
    pub capture: CaptureQueue,
    pub threads: u32,
    pub drain_limit: Duration,
}

impl Hosting {
    /// Makes the folders below the data directory.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(super) fn new(parts: HostingParts) -> std::io::Result<Arc<Self>> {
        let artifacts = Artifacts::open(&parts.data, parts.buckets, parts.is_artifact_change_allowed)?;
        let models = SharedModels::new(artifacts, parts.memory, Arc::clone(&parts.metrics));
        Ok(Arc::new(Self {
            server: parts.server,
            models: Arc::new(models),
            metrics: parts.metrics,
            journal: Journal::new(&parts.data, parts.telemetry),
            capture: parts.capture,
            threads: parts.threads,
            drain_limit: parts.drain_limit,
        }))
    }
}
