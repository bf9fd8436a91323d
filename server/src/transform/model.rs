//! The one model of a command: fetched, loaded and warmed before anything is read.

use std::sync::Arc;

use anyhow::Context;
use transform::Settings;
use transform::settings::{BatchStrategy, ExecutionParameters, PAYLOAD_MB_DEFAULT, PAYLOAD_MB_MAX};

use super::{BatchModel, BatchServer};
use crate::config::TransformConfig;
use crate::rt::{self, Priority};
use crate::serving::{LoadedModel, Loader};
use crate::store::Source;

/// Calls that may wait for a thread of the pool. Reason: as many as a transform may have under way.
const QUEUE_LENGTH: usize = 100;

/// Loads the model that `config` names.
///
/// # Errors
/// When it cannot be had or is refused.
pub(super) async fn load(config: &TransformConfig) -> anyhow::Result<Arc<LoadedModel>> {
    let default_accept = Loader::default_accept(config.default_accept.as_deref());
    let loader = Loader {
        scratch: config.scratch.clone(),
        options: config.load.clone(),
        default_accept: default_accept.context("--default-accept")?,
    };
    let source = Source::parse(&config.model, &config.aws.0)?;
    let fetched = source.fetch(&config.scratch).await?;
    let loaded = rt::blocking(move || loader.load(&loader.open(fetched.path())?)).await;
    Ok(Arc::new(loaded.with_context(|| format!("model {source}"))?))
}

/// `model` with the formats of `settings`, on a pool of its own.
///
/// # Errors
/// When the system gives no threads, or the formats are not served.
pub(super) fn publish(
    config: &TransformConfig,
    model: Arc<LoadedModel>,
    settings: &Settings,
) -> anyhow::Result<BatchModel> {
    let batch = BatchServer::start_with(config.workers, QUEUE_LENGTH, Priority::Usual)?;
    let (content_type, accept) = (settings.content_type.as_deref(), settings.accept.as_deref());
    Ok(batch.model("transform", model, content_type, accept)?)
}

/// What a model says of itself, as a container's `GET /execution-parameters` does: payloads are smaller where many calls at once
/// would have more than the API's limit in flight.
pub(super) fn execution_parameters(workers: usize) -> ExecutionParameters {
    let workers = (workers as u64).clamp(1, PAYLOAD_MB_MAX);
    ExecutionParameters {
        max_concurrent_transforms: Some(workers),
        batch_strategy: Some(BatchStrategy::MultiRecord),
        max_payload_in_mb: Some((PAYLOAD_MB_MAX / workers).clamp(1, PAYLOAD_MB_DEFAULT as u64)),
    }
}
