//! One call of the model, tried again where that may help.

use std::time::Duration;

use bytes::Bytes;

use super::work::Work;
use crate::model::{Model, Refusal};
use crate::progress::Progress;

/// The first pause before another attempt. Reason: what is usual between a service and its clients.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);

/// The longest pause before another attempt, unless the model asks for a longer one.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Why there is no answer, after how many calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) attempts: u32,
}

/// The answer to `body`. At most `concurrency` calls of a transform are under way; one that waits for its next attempt is not.
pub(super) async fn call<M: Model>(work: &Work<M>, body: Bytes) -> Result<Bytes, Refused> {
    let mut attempts = 0;
    loop {
        let permit = work.calls.acquire().await.expect("it is never closed");
        Progress::add(&work.progress.calls, 1);
        attempts += 1;
        let answer = work.model.invoke(body.clone(), work.settings.timeout).await;
        drop(permit);
        let refusal = match answer.and_then(|answer| bounded(answer, work.settings.response_bytes_max)) {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal,
        };
        if attempts > work.settings.retries || !is_transient(refusal.status) {
            return Err(Refused { refusal, attempts });
        }
        Progress::add(&work.progress.retries, 1);
        tokio::time::sleep(pause(attempts, refusal.retry_after, work.settings.timeout, fastrand::f64()))
            .await;
    }
}

/// Whether another attempt may help: time-outs, too many calls, and what went wrong on the other side.
fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429) || status >= 500
}

/// Whether a refusal is about when it was asked, not what: no record is to blame.
pub(super) fn is_overload(status: u16) -> bool {
    matches!(status, 408 | 429 | 502..=504)
}

/// An answer over the limit is none. 413 is no transient status.
fn bounded(answer: Bytes, limit: usize) -> Result<Bytes, Refusal> {
    if answer.len() <= limit {
        return Ok(answer);
    }
    let message = format!("expected an answer of at most {limit} bytes, found {}", answer.len());
    Err(Refusal { status: 413, message, retry_after: None })
}

/// The pause after attempt number `attempts`: doubling, with `jitter` (0 to 1) so that calls that failed together do not come
/// again together; what the model asks for is honoured up to the time that a call may take.
fn pause(attempts: u32, retry_after: Option<Duration>, timeout: Duration, jitter: f64) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << (attempts - 1).min(16)).min(BACKOFF_MAX);
    let jittered = doubled.mul_f64(0.5 + jitter / 2.0);
    jittered.max(retry_after.unwrap_or_default().min(timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let pause_ms = |attempts, jitter| pause(attempts, None, Duration::from_secs(600), jitter).as_millis();
        assert_eq!(
            [1, 2, 3, 7, 100].map(|attempts| pause_ms(attempts, 1.0)),
            [200, 400, 800, 10_000, 10_000]
        );
        assert_eq!(pause_ms(2, 0.0), 200);
    }

    #[test]
    fn what_the_model_asks_for_is_honoured() {
        let asked = |seconds| pause(1, Some(Duration::from_secs(seconds)), Duration::from_secs(60), 1.0);
        assert_eq!(asked(0), Duration::from_millis(200));
        assert_eq!(asked(20), Duration::from_secs(20));
        assert_eq!(asked(3600), Duration::from_secs(60));
    }

    #[test]
    fn what_may_pass() {
        for (status, transient) in
            [(400, false), (413, false), (408, true), (429, true), (500, true), (503, true)]
        {
            assert_eq!(is_transient(status), transient, "{status}");
        }
    }
}
