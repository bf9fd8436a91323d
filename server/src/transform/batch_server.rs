//! Models that transforms ask: a second [`ModelServer`] with a pool of its own, so that no batch stands before an online
//! prediction, and whose endpoints no request can name. It is asked as endpoints are, so the answers are theirs to the byte.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use codecs::{ContentType, ContentTypeError};
use transform::Refusal;
use transform::settings::{MIB, RESPONSE_BYTES_MAX};

use crate::error::Error;
use crate::faces::runtime::{CONTENT_TYPE_DEFAULT, told};
use crate::metrics::Metrics;
use crate::rt::Priority;
use crate::serving::{
    Capacity, Endpoint, Invocation, LoadedModel, ModelServer, ModelServerOptions, Prediction,
};

/// The largest payload. Reason: the largest `MaxPayloadInMB`; an online endpoint's own limit is no limit of a batch.
const BODY_BYTES_MAX: usize = 100 * MIB;

const _: () = assert!(RESPONSE_BYTES_MAX >= BODY_BYTES_MAX);

/// The most bytes that a buffer of the pool's threads keeps between calls. Reason: the rows of the default payload (6 MiB of CSV are
/// 3 MiB of rows), so that a batch does not grow them anew; those of the largest are given back.
const BUFFER_BYTES_KEPT: usize = 16 * MIB;

/// How long a call waits before it asks a full pool again. Reason: we are the pool's own client, so a full queue is no failure;
/// this is about what a batch takes to be scored.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// The one variant of each model.
const VARIANT: &str = "AllTraffic";

/// A data plane of models that transforms ask.
pub struct BatchServer {
    server: ModelServer,
    metrics: Arc<Metrics>,
    workers: usize,
    /// What tells the models of this server apart, whatever they are called.
    next: AtomicU64,
}

impl fmt::Debug for BatchServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchServer").field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl BatchServer {
    /// A pool of `workers` threads behind the online ones in priority; at most `queue_length` calls of a model wait for one.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(workers: usize, queue_length: usize) -> io::Result<Arc<Self>> {
        Self::start_with(workers, queue_length, Priority::Background)
    }

    /// As [`start`](Self::start), with threads of this priority.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start_with(workers: usize, queue_length: usize, priority: Priority) -> io::Result<Arc<Self>> {
        // Numbers of its own: the page's are those of the pool that answers requests.
        let metrics = Arc::new(Metrics::default());
        let (body_bytes_max, buffer_bytes_kept) = (BODY_BYTES_MAX, BUFFER_BYTES_KEPT);
        let options =
            ModelServerOptions { workers, priority, queue_length, body_bytes_max, buffer_bytes_kept };
        let server = ModelServer::start(options, Arc::clone(&metrics))?;
        Ok(Arc::new(Self { server, metrics, workers, next: AtomicU64::new(0) }))
    }

    /// Threads of the pool: more calls at once than these only wait.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// `model`, to be asked with payloads of `content_type` for answers of `accept`; `name` is for people.
    ///
    /// # Errors
    /// When either is not served: what no call could be answered for is refused before the first.
    pub fn model(
        self: &Arc<Self>,
        name: &str,
        model: Arc<LoadedModel>,
        content_type: Option<&str>,
        accept: Option<&str>,
    ) -> Result<BatchModel, Error> {
        let content_type = payload_type(content_type).map_err(Error::ContentType)?;
        model.answer_type.settle(accept).map_err(Error::Accept)?;
        let name = format!("{name}/{}", self.next.fetch_add(1, Ordering::Relaxed));
        let variant = self.metrics.variant(&name, VARIANT);
        let endpoint = Endpoint::of_one(VARIANT, model, variant, Capacity::new(u32::MAX));
        // Nothing stood there that somebody could wait for.
        drop(self.server.publish(&name, Some(endpoint)));
        let accept = accept.map(str::to_owned);
        Ok(BatchModel { batch: Arc::clone(self), name, content_type, accept })
    }
}

/// A model with the formats of one transform; it is let go of when this is dropped and its calls are answered.
#[derive(Debug)]
pub struct BatchModel {
    batch: Arc<BatchServer>,
    name: String,
    content_type: ContentType,
    accept: Option<String>,
}

impl BatchModel {
    async fn ask(&self, body: &Bytes, started: Instant, deadline: Instant) -> Result<Prediction, Error> {
        let invocation = Invocation {
            endpoint: &self.name,
            // Nothing is CSV without rows, whatever it is called.
            content_type: if body.is_empty() { CONTENT_TYPE_DEFAULT } else { self.content_type },
            encoding: None,
            accept: self.accept.as_deref(),
            point: 0,
            assignment_key: None,
            custom_attributes: None,
            target_variant: None,
            target_model: None,
            is_asynchronous: false,
            is_warmed: false,
            started,
            deadline,
        };
        self.batch.server.invoke(&invocation, body).await.result
    }
}

impl Drop for BatchModel {
    fn drop(&mut self) {
        // The reaper frees it; nobody waits for that.
        drop(self.batch.server.publish(&self.name, None));
    }
}

impl transform::Model for BatchModel {
    async fn invoke(&self, body: Bytes, timeout: Duration) -> Result<Bytes, Refusal> {
        if body.len() > BODY_BYTES_MAX {
            return Err(refusal(&Error::BodyTooLarge { limit_bytes: BODY_BYTES_MAX }));
        }
        let started = Instant::now();
        let deadline = started + timeout;
        loop {
            match self.ask(&body, started, deadline).await {
                Ok(prediction) => return Ok(prediction.body),
                Err(Error::QueueFull { .. }) if Instant::now() + FULL_PAUSE < deadline => {
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                Err(error) => return Err(refusal(&error)),
            }
        }
    }
}

/// The format of payloads whose Content-Type is `given`.
///
/// # Errors
/// When it is not served.
pub(super) fn payload_type(given: Option<&str>) -> Result<ContentType, ContentTypeError> {
    told(given).map_or(Ok(CONTENT_TYPE_DEFAULT), ContentType::parse)
}

/// What an endpoint would answer to `error`.
fn refusal(error: &Error) -> Refusal {
    let code = error.code();
    Refusal { status: code.status(), message: error.to_string(), retry_after: code.retry_after() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use models::LoadOptions;
    use transform::Model;

    use super::*;
    use crate::serving::{Cost, Loader};

    /// Two centroids, (0, 0) and (3, 4), as k-means writes them; a row costs `row_ns`, which chooses the thread.
    fn loaded(row_ns: u64) -> Arc<LoadedModel> {
        let scratch = tempfile::tempdir().unwrap();
        let values: Vec<u8> = [0.0_f32, 0.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let head = r#"{"centroids":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
        let length = (head.len() as u64).to_le_bytes();
        let folder = scratch.path().join("artifact");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("model.safetensors"), [&length[..], head.as_bytes(), &values].concat())
            .unwrap();
        fs::write(folder.join("manifest.json"), r#"{"algorithm": "kmeans", "k": 2, "feature_dim": 2}"#)
            .unwrap();
        let scratch = scratch.path().to_owned();
        let loader = Loader { scratch, options: LoadOptions::default(), default_accept: None };
        let mut model = loader.load(&loader.open(&folder).unwrap()).unwrap();
        model.cost = Cost { fixed_ns: 0, row_ns };
        Arc::new(model)
    }

    const TIME: Duration = Duration::from_secs(60);

    async fn ask(model: &BatchModel, body: &'static str) -> Result<String, (u16, String)> {
        let answer = model.invoke(Bytes::from_static(body.as_bytes()), TIME).await;
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        answer.map(text).map_err(|refusal| (refusal.status, refusal.message))
    }

    #[tokio::test]
    async fn it_answers_as_an_endpoint_does_inline_and_on_the_pool() {
        let batch = BatchServer::start(1, 4).unwrap();
        for row_ns in [1, 1_000_000_000] {
            let model = batch.model("m", loaded(row_ns), Some("text/csv"), Some("text/csv")).unwrap();
            assert_eq!(ask(&model, "3,3\n0,0\n").await.unwrap(), "1.0,1.0\n0.0,0.0\n");
            assert_eq!(ask(&model, "").await.unwrap(), "");
            let (status, message) = ask(&model, "3,3\n1,x\n").await.expect_err("not a number");
            assert_eq!(status, 400, "{message}");
            assert!(message.contains("row 2") && message.contains("expected"), "{message}");
        }
    }

    #[tokio::test]
    async fn formats_that_are_not_served_are_refused_before_any_call() {
        let batch = BatchServer::start(1, 4).unwrap();
        let check = |content_type, accept, status: Option<u16>| {
            let made = batch.model("m", loaded(1), content_type, accept);
            assert_eq!(made.err().map(|error| error.code().status()), status, "{content_type:?} {accept:?}");
        };
        check(None, None, None);
        check(Some("application/octet-stream"), None, None);
        check(Some("application/jsonlines"), Some("application/jsonlines"), None);
        check(Some("image/png"), None, Some(415));
        check(None, Some("image/png"), Some(406));
    }

    #[tokio::test]
    async fn a_dropped_model_is_gone_and_one_of_the_same_name_stays() {
        let batch = BatchServer::start(1, 4).unwrap();
        let one = batch.model("job", loaded(1), None, None).unwrap();
        let other = batch.model("job", loaded(1), None, Some("text/csv")).unwrap();
        let name = one.name.clone();
        drop(one);
        assert!(!batch.server.contains(&name));
        assert_eq!(ask(&other, "0,0\n").await.unwrap(), "0.0,0.0\n");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_queue_is_waited_for() {
        let batch = BatchServer::start(1, 1).unwrap();
        let model = Arc::new(batch.model("m", loaded(1_000_000_000), None, Some("text/csv")).unwrap());
        let calls: Vec<_> = (0..32)
            .map(|_| {
                let model = Arc::clone(&model);
                tokio::spawn(async move { ask(&model, "3,3\n").await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), "1.0,1.0\n");
        }
    }

    #[tokio::test]
    async fn time_that_is_over_is_a_refusal_that_may_be_tried_again() {
        let batch = BatchServer::start(1, 4).unwrap();
        let model = batch.model("m", loaded(1_000_000_000), None, None).unwrap();
        let refused = model.invoke(Bytes::from_static(b"3,3\n"), Duration::ZERO).await.expect_err("late");
        assert_eq!((refused.status, refused.retry_after.is_some()), (503, true));
    }
}
