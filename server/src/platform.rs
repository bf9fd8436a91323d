//! What the faces of `clary up` share.

use std::sync::Arc;
use std::time::Duration;

use objects::{Domains, S3Wire};
use telemetry::Telemetry;
use tokio::time::timeout;
use wire::Scope;

use crate::buckets::Buckets;
use crate::control::async_inference::Dispatcher;
use crate::control::autoscaling::Scaler;
use crate::control::sampler::Live;
use crate::control::training::TrainingJobs;
use crate::control::transform::TransformJobs;
use crate::control::{Alarms, Control, Database};
use crate::metrics::Metrics;
use crate::serving::capture::CaptureQueue;
use crate::serving::{Health, ModelServer};

/// The platform: each part is owned by the module of its type.
#[derive(Debug)]
pub struct Platform {
    /// Region and account of ARNs, where a request does not say.
    pub scope: Scope,
    /// The data plane.
    pub server: Arc<ModelServer>,
    /// The durable state.
    pub database: Database,
    /// Where objects are.
    pub buckets: Arc<Buckets>,
    /// The embedded S3's HTTP interface; `None` where the buckets are in another store.
    pub s3: Option<Arc<S3Wire>>,
    /// Names of this host below which hosts are buckets.
    pub domains: Domains,
    /// What changes endpoints.
    pub control: Arc<Control>,
    /// What changes them by load and time.
    pub scaler: Arc<Scaler>,
    /// Who may call, and what each may do.
    pub access: Arc<access::Access>,
    /// Requests that are answered to S3.
    pub async_queue: Arc<Dispatcher>,
    /// Transform jobs.
    pub transforms: Arc<TransformJobs>,
    /// Training jobs.
    pub trainings: Arc<TrainingJobs>,
    /// Captured requests on their way to their bucket.
    pub capture: CaptureQueue,
    /// What health checks hear.
    pub health: Arc<Health>,
    /// From a request's head to its answer.
    pub request_timeout: Duration,
    /// How long a request waits for a model to be loaded.
    pub cold_wait: Duration,
    /// The process's numbers.
    pub metrics: Arc<Metrics>,
    /// Series and logs that are read back.
    pub telemetry: Arc<Telemetry>,
    /// What was counted since the last period of the series ended.
    pub live: Arc<Live>,
    /// What alarms there are, and their states.
    pub alarms: Arc<Alarms>,
    /// The control plane's runtime.
    pub runtime: tokio::runtime::Handle,
    /// The lock of the data directory: held as long as anything may write there.
    pub lock: std::fs::File,
}

/// How long the end of the server waits for what is buffered. Reason: a store that does not answer must not hold up a
/// restart, and a platform kills at 30 s.
const FINISH_TIME_MAX: Duration = Duration::from_secs(3);

/// The same, for training jobs. Reason: programs that are told to end have twenty seconds to write a checkpoint, and are killed
/// then, so that none is left.
const TRAINING_TIME_MAX: Duration = Duration::from_secs(22);

impl Platform {
    /// Writes out what is buffered, once no request comes any more.
    pub async fn finish(&self) {
        let (captured, suspended, cut) = tokio::join!(
            timeout(FINISH_TIME_MAX, self.capture.end()),
            timeout(FINISH_TIME_MAX, self.transforms.suspend()),
            timeout(TRAINING_TIME_MAX, self.trainings.suspend()),
        );
        if captured.is_err() {
            tracing::warn!("captured requests are lost: the store did not take them in time");
        }
        if suspended.is_err() {
            tracing::warn!("transform jobs are cut: the next start goes on with them");
        }
        if cut.is_err() {
            tracing::warn!(
                "training jobs are cut: the next start ends what is left of them, and begins them again"
            );
        }
    }
}
