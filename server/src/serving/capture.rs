//! Data capture, as far as a request sees it: a draw, and a bounded queue that is never waited for.
//!
//! What is captured leaves the request as reference-counted bytes; it becomes a line of JSON elsewhere
//! (`control/capture.rs`). A full queue drops the record and counts it: no request waits for a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::draw::mix;

/// Bytes of records that may wait to be written. Reason: a store that stalls for a minute under a usual load loses
/// nothing, and a server that captures everything stays within its memory.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Records that may wait, whatever their size. Reason: a record of no bytes still takes some hundred.
const WAITING_MAX: usize = 65_536;

/// What an endpoint captures of its requests.
#[derive(Debug)]
pub struct CapturePlan {
    /// The endpoint.
    pub endpoint: String,
    /// `s3://bucket/prefix`.
    pub destination: String,
    /// Requests whose mixed draw is below it are captured; `None` is all.
    pub threshold: Option<u64>,
    /// `Input` is captured.
    pub has_input: bool,
    /// `Output` is captured.
    pub has_output: bool,
    /// Media types whose text is written as it is, encoding `CSV`.
    pub csv_types: Vec<String>,
    /// The same, encoding `JSON`.
    pub json_types: Vec<String>,
    /// Where records go.
    pub queue: CaptureQueue,
}

impl CapturePlan {
    /// Whether a request with this draw is captured. The draw also chose the variant, so it is mixed first; and a shadow
    /// mixes it as it is, so something is added here, or capture and shadow would choose the same requests.
    pub fn samples(&self, draw: u64) -> bool {
        self.threshold.is_none_or(|threshold| mix(draw.wrapping_add(0x9e37_79b9_7f4a_7c15)) < threshold)
    }
}

/// One request and its answer.
#[derive(Debug)]
pub struct Captured {
    /// What is captured of it, and where to.
    pub plan: Arc<CapturePlan>,
    /// The variant that answered.
    pub variant: Bytes,
    /// The request's media type and body.
    pub input: Option<(String, Bytes)>,
    /// The answer's media type and body.
    pub output: Option<(String, Bytes)>,
    /// `X-Amzn-SageMaker-Custom-Attributes`.
    pub custom_attributes: Option<String>,
    /// `X-Amzn-SageMaker-Inference-Id`.
    pub inference_id: Option<String>,
    /// The request's id.
    pub event_id: String,
    /// Milliseconds since 1970.
    pub time_ms: i64,
}

impl Captured {
    fn size_bytes(&self) -> usize {
        let of = |side: &Option<(String, Bytes)>| side.as_ref().map_or(0, |(_, body)| body.len());
        of(&self.input) + of(&self.output)
    }
}

/// What the writer receives.
#[derive(Debug)]
pub enum CaptureEvent {
    /// A record to write.
    Record(Box<Captured>),
    /// The endpoint of this name is gone or captures no more: what is buffered of it goes out.
    Flush(String),
    /// The server ends: everything goes out, and whoever waits hears when.
    End(oneshot::Sender<()>),
}

/// The queue of records; clones share it.
#[derive(Debug, Clone)]
pub struct CaptureQueue {
    events: mpsc::Sender<CaptureEvent>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The other end.
#[derive(Debug)]
pub struct CaptureInbox {
    events: mpsc::Receiver<CaptureEvent>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl CaptureQueue {
    /// An empty queue.
    pub fn new() -> (Self, CaptureInbox) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let waiting_bytes = Arc::<AtomicUsize>::default();
        let inbox = CaptureInbox { events: receiver, waiting_bytes: Arc::clone(&waiting_bytes) };
        (Self { events: sender, waiting_bytes }, inbox)
    }

    /// Hands a record over; `false` when there is no room for it.
    pub fn offer(&self, captured: Captured) -> bool {
        let size_bytes = captured.size_bytes();
        let waiting_bytes = self.waiting_bytes.fetch_add(size_bytes, Ordering::Relaxed) + size_bytes;
        let is_taken = waiting_bytes <= WAITING_BYTES_MAX
            && self.events.try_send(CaptureEvent::Record(Box::new(captured))).is_ok();
        if !is_taken {
            self.waiting_bytes.fetch_sub(size_bytes, Ordering::Relaxed);
        }
        is_taken
    }

    /// Has what is buffered of `endpoint` written out, before its time comes.
    pub fn flush(&self, endpoint: &str) {
        // A queue that is full is being worked on, and its lines go out when they are old.
        let _ = self.events.try_send(CaptureEvent::Flush(endpoint.to_owned()));
    }

    /// Waits until everything that was captured is written out.
    pub async fn end(&self) {
        let (told, ended) = oneshot::channel();
        // A writer that is gone has nothing buffered.
        if self.events.send(CaptureEvent::End(told)).await.is_ok() {
            let _ = ended.await;
        }
    }
}

impl CaptureInbox {
    /// The next event; `None` when nobody can send one any more.
    pub async fn next(&mut self) -> Option<CaptureEvent> {
        let event = self.events.recv().await;
        if let Some(CaptureEvent::Record(captured)) = &event {
            self.waiting_bytes.fetch_sub(captured.size_bytes(), Ordering::Relaxed);
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::threshold;
    use super::*;

    fn plan(percentage: f64, queue: CaptureQueue) -> Arc<CapturePlan> {
        Arc::new(CapturePlan {
            endpoint: "e".into(),
            destination: "s3://b/p".into(),
            threshold: threshold(percentage / 100.0),
            has_input: true,
            has_output: true,
            csv_types: Vec::new(),
            json_types: Vec::new(),
            queue,
        })
    }

    fn captured(plan: &Arc<CapturePlan>, bytes: usize) -> Captured {
        Captured {
            plan: Arc::clone(plan),
            variant: Bytes::from_static(b"v"),
            input: Some(("text/csv".into(), vec![b'1'; bytes].into())),
            output: None,
            custom_attributes: None,
            inference_id: None,
            event_id: "id".into(),
            time_ms: 0,
        }
    }

    #[test]
    fn a_share_of_the_draws_is_sampled() {
        let count = |percentage| {
            let plan = plan(percentage, CaptureQueue::new().0);
            // A low-discrepancy walk over all 64 bits.
            (0..10_000_u64).filter(|n| plan.samples(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).count()
        };
        assert_eq!((count(0.0), count(100.0)), (0, 10_000));
        // Six standard deviations of Binomial(10,000, 0.2) are 240.
        assert!((1_760..2_240).contains(&count(20.0)), "{}", count(20.0));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_room_comes_back() {
        let (queue, mut inbox) = CaptureQueue::new();
        let plan = plan(100.0, queue.clone());
        let half = WAITING_BYTES_MAX / 2;
        assert!(queue.offer(captured(&plan, half)) && queue.offer(captured(&plan, half)));
        assert!(!queue.offer(captured(&plan, 1)));
        assert!(matches!(inbox.next().await, Some(CaptureEvent::Record(_))));
        assert!(queue.offer(captured(&plan, half)));
    }
}
