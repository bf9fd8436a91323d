//! One asynchronous request: its input fetched, the model asked, the answer (or the reason) stored, then taken out of the
//! queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use codecs::{ContentType, Format};
use object_store::{Attribute, ObjectStoreExt};
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};
use wire::Timestamp;

use super::queue::{self, AsyncRequest, Queued};
use crate::buckets::{Buckets, key_path};
use crate::control::{Database, ids, upload};
use crate::metrics::{Measure, Metrics, VariantMetrics};
use crate::serving::capture::{CapturePlan, Captured};
use crate::serving::{Invocation, ModelServer, Prediction};

/// The largest input. Reason: the service's own.
const INPUT_BYTES_MAX: u64 = 1 << 30;

/// Who hears of outcomes.
pub type Events = Arc<dyn Fn(&serde_json::Value) + Send + Sync>;

/// The format of an input that nobody named, as in synchronous calls.
const CONTENT_TYPE_DEFAULT: ContentType = ContentType::new(Format::Csv);

/// Mebibytes of inputs held at once, over all requests that run. Reason: two of the largest.
const HELD_MIB_MAX: usize = 2048;

/// What requests need to run.
pub struct Runner {
    server: Arc<ModelServer>,
    buckets: Arc<Buckets>,
    pub(super) metrics: Arc<Metrics>,
    database: Database,
    events: Events,
    held_mib: Semaphore,
}

/// What the model is asked.
struct Input<'a> {
    body: Bytes,
    /// What the object's own metadata say.
    content_type: Option<String>,
    /// Its share of the memory of inputs.
    _held: Option<SemaphorePermit<'a>>,
}

/// What became of a request.
enum Outcome {
    Answered { body: Bytes, content_type: &'static str },
    Failed(String),
}

impl Runner {
    /// Runs requests of the queue in `database` on `server`; `events` hears of each outcome.
    pub fn new(
        server: Arc<ModelServer>,
        buckets: Arc<Buckets>,
        metrics: Arc<Metrics>,
        database: Database,
        events: Events,
    ) -> Self {
        Self { server, buckets, metrics, database, events, held_mib: Semaphore::new(HELD_MIB_MAX) }
    }

    /// Whether the data plane has `endpoint`.
    pub(super) fn serves(&self, endpoint: &str) -> bool {
        self.server.contains(endpoint)
    }

    /// Runs `queued` to its end, whatever that is.
    pub(super) async fn run(&self, queued: Queued) {
        let Queued { sequence, request, body } = queued;
        let begun = Timestamp::now();
        let waited_ms = (begun.0 - request.received.0).max(0) as f64;
        let is_expired = begun > request.expires;
        let answered = if is_expired {
            Err("the request waited longer than its RequestTTLSeconds and was not run".to_owned())
        } else {
            self.answer(&request, body).await
        };
        let outcome = self.store(&request, answered.unwrap_or_else(Outcome::Failed)).await;
        self.measure(&request, |variant| {
            let is_failed = matches!(outcome, Outcome::Failed(_));
            variant.measure(Measure::InvocationsProcesssed, 1.0);
            variant.measure(Measure::InvocationFailures, f64::from(u8::from(is_failed)));
            variant.measure(Measure::ExpiredRequests, f64::from(u8::from(is_expired)));
            variant.measure(Measure::TimeInBacklog, waited_ms);
            let total_ms = (Timestamp::now().0 - request.received.0).max(0) as f64;
            variant.measure(Measure::TotalProcessingTime, total_ms);
        });
        (self.events)(&event(&request, &outcome));
        let removed = self.database.transact(move |transaction| queue::remove(transaction, sequence)).await;
        if let Err(error) = removed {
            tracing::error!(%error, "a finished asynchronous request stays in the queue and will run again");
        }
    }

    /// Notes what happened with the endpoint's first variant: which one was asked does not matter to a queue.
    fn measure(&self, request: &AsyncRequest, note: impl FnOnce(&VariantMetrics)) {
        if let Some(endpoint) = self.server.endpoint(&request.endpoint) {
            note(&endpoint.arms()[0].metrics);
        }
    }

    async fn answer(&self, request: &AsyncRequest, body: Option<Vec<u8>>) -> Result<Outcome, String> {
        let input = match (body, &request.input_location) {
            (Some(body), _) => Input { body: body.into(), content_type: None, _held: None },
            (None, Some(location)) => {
                let begun = Instant::now();
                let fetched = self.fetch(location).await;
                self.measure(request, |variant| {
                    variant.measure(Measure::RequestDownloadFailures, f64::from(u8::from(fetched.is_err())));
                    variant.measure_time(Measure::RequestDownloadLatency, begun.elapsed());
                });
                fetched?
            }
            (None, None) => return Err("the request has neither InputLocation nor a body".into()),
        };
        let Input { body, content_type, _held } = input;
        let content_type = content_type_of(request.content_type.as_deref(), content_type.as_deref())?;
        let started = Instant::now();
        let invocation = Invocation {
            endpoint: &request.endpoint,
            content_type,
            encoding: None,
            accept: request.accept.as_deref(),
            point: rand_point(),
            assignment_key: None,
            custom_attributes: request.custom_attributes.as_deref(),
            target_variant: None,
            target_model: None,
            is_asynchronous: true,
            is_warmed: false,
            started,
            deadline: started + Duration::from_secs(request.invocation_timeout_s),
        };
        let invoked = self.server.invoke(&invocation, &body).await;
        match invoked.result {
            Ok(prediction) => {
                if let Some(plan) = invoked.capture {
                    let variant = invoked.variant.unwrap_or_default();
                    self.capture(plan, request, variant, (content_type, body), &prediction);
                }
                Ok(Outcome::Answered { body: prediction.body, content_type: prediction.content_type })
            }
            Err(error) => Ok(Outcome::Failed(format!("the model answered with an error: {error}"))),
        }
    }

    /// Hands a record of the request over to whoever writes it.
    fn capture(
        &self,
        plan: Arc<CapturePlan>,
        request: &AsyncRequest,
        variant: Bytes,
        (content_type, body): (ContentType, Bytes),
        prediction: &Prediction,
    ) {
        let queue = plan.queue.clone();
        let captured = Captured {
            input: plan.has_input.then(|| (content_type.as_str().to_owned(), body)),
            output: plan.has_output.then(|| (prediction.content_type.to_owned(), prediction.body.clone())),
            variant,
            custom_attributes: request.custom_attributes.clone(),
            inference_id: Some(request.inference_id.clone()),
            event_id: ids::uuid(),
            time_ms: Timestamp::now().0,
            plan,
        };
        if !queue.offer(captured) {
            self.metrics.capture_dropped.increment(1);
        }
    }

    async fn fetch(&self, location: &str) -> Result<Input<'_>, String> {
        let failed = |error: &dyn std::fmt::Display| format!("failed to download {location}: {error}");
        let (bucket, key) = Buckets::parse_url(location).map_err(|error| failed(&error))?;
        let store = self.buckets.of(&bucket).map_err(|error| failed(&error))?;
        let path = key_path(&key).ok_or_else(|| failed(&"its parts have no names"))?;
        let answer = store.get(&path).await.map_err(|error| failed(&error))?;
        let size_bytes = answer.meta.size;
        if size_bytes > INPUT_BYTES_MAX {
            return Err(format!("{location}: expected at most {INPUT_BYTES_MAX} bytes, found {size_bytes}"));
        }
        let mib = u32::try_from(size_bytes >> 20).unwrap_or(u32::MAX) + 1;
        let held = self.held_mib.acquire_many(mib).await.map_err(|error| failed(&error))?;
        let content_type =
            answer.attributes.get(&Attribute::ContentType).map(|value| value.as_ref().to_owned());
        let body = answer.bytes().await.map_err(|error| failed(&error))?;
        Ok(Input { body, content_type, _held: Some(held) })
    }

    /// Stores the outcome; one whose answer cannot be stored has failed.
    async fn store(&self, request: &AsyncRequest, outcome: Outcome) -> Outcome {
        let outcome = match outcome {
            Outcome::Answered { body, content_type } => {
                let begun = Instant::now();
                let put = self.put(&request.output_location, body.clone(), content_type).await;
                self.measure(request, |variant| {
                    variant.measure(Measure::ResponseUploadFailures, f64::from(u8::from(put.is_err())));
                    variant.measure_time(Measure::ResponseUploadLatency, begun.elapsed());
                });
                match put {
                    Ok(()) => return Outcome::Answered { body, content_type },
                    Err(reason) => Outcome::Failed(reason),
                }
            }
            failed @ Outcome::Failed(_) => failed,
        };
        if let (Outcome::Failed(reason), Some(location)) = (&outcome, &request.failure_location)
            && let Err(error) = self.put(location, reason.clone().into(), "text/plain; charset=utf-8").await
        {
            tracing::error!(inference_id = request.inference_id, error, "a failure could not be told");
        }
        outcome
    }

    async fn put(&self, location: &str, body: Bytes, content_type: &'static str) -> Result<(), String> {
        let put = upload::put(&self.buckets, location, body, content_type).await;
        put.map_err(|error| format!("failed to upload {location}: {error:#}"))
    }
}

/// The format of an input: as the call says, else as its object says (the SageMaker SDK names it there alone), else the
/// format of every invocation without one.
fn content_type_of(of_call: Option<&str>, of_object: Option<&str>) -> Result<ContentType, String> {
    let is_said = |text: &&str| !text.ends_with("/octet-stream");
    match of_call.or(of_object).filter(is_said) {
        None => Ok(CONTENT_TYPE_DEFAULT),
        Some(text) => ContentType::parse(text).map_err(|error| format!("ContentType: {error}")),
    }
}

/// A draw for the choice of the variant.
fn rand_point() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random numbers");
    u64::from_ne_bytes(bytes)
}

/// What the success or error topic would hear.
fn event(request: &AsyncRequest, outcome: &Outcome) -> serde_json::Value {
    let mut event = json!({
        "eventName": "InferenceResult",
        "eventSource": "aws:sagemaker",
        "eventVersion": "1.0",
        "eventTime": Timestamp::now().iso8601_millis(),
        "receivedTime": request.received.iso8601_millis(),
        "inferenceId": request.inference_id,
        "requestParameters": {
            "contentType": request.content_type,
            "endpointName": request.endpoint,
            "inputLocation": request.input_location,
        },
    });
    match outcome {
        Outcome::Answered { content_type, .. } => {
            event["invocationStatus"] = "Completed".into();
            event["responseParameters"] =
                json!({ "contentType": content_type, "outputLocation": request.output_location });
        }
        Outcome::Failed(reason) => {
            event["invocationStatus"] = "Failed".into();
            event["failureReason"] = reason.clone().into();
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_names_the_format_or_else_the_object() {
        let check = |of_call, of_object, expected: &str| {
            assert_eq!(content_type_of(of_call, of_object).unwrap().as_str(), expected);
        };
        check(Some("application/json"), Some("text/csv"), "application/json");
        check(None, Some("application/jsonlines"), "application/jsonlines");
        check(None, Some("binary/octet-stream"), "text/csv");
        check(None, None, "text/csv");
        assert!(content_type_of(Some("image/png"), None).is_err());
    }
}
