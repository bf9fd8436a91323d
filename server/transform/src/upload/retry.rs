//! Calls of a store that are tried again: failures of the moment, with pauses that spread.

use std::future::Future;
use std::time::Duration;

use object_store::{Error, Result};

/// How often a call is made. Reason: with pauses of up to ten seconds this is about half a minute of a store that fails, besides
/// what the store's client tries by itself; a longer outage is for the whole transform to be resumed after.
pub(crate) const TRIES_MAX: u32 = 7;

/// The shortest pause. Reason: a reset or an error of one node of many is over by then.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause. Reason: stores that shed load ask for seconds.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long a call without a body may take. Reason: twice what the store's client gives one request.
const TRY_TIME_BASE: Duration = Duration::from_secs(60);

/// The slowest that a body may go. Reason: slower lines than 128 KiB a second are broken ones.
const BYTES_A_SECOND_MIN: u64 = 128 << 10;

/// Pauses with decorrelated jitter: each is random between the shortest and three times the last.
#[derive(Debug)]
pub(crate) struct Pauses {
    last: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { last: PAUSE_MIN }
    }
}

impl Pauses {
    /// The next pause; `random` is in 0..1.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let most = (self.last * 3).max(PAUSE_MIN);
        self.last = (PAUSE_MIN + (most - PAUSE_MIN).mul_f64(random)).min(PAUSE_MAX);
        self.last
    }
}

/// Whether another try cannot help: the store said no, or it is not of the moment. Everything else (5xx, slow down, timeouts,
/// resets, answers that break off) is tried again.
pub(crate) fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}

/// One try of `call`, whose body has `bytes`, in the time that it may take.
pub(crate) async fn in_time<T>(bytes: usize, call: impl Future<Output = Result<T>>) -> Result<T> {
    let limit = TRY_TIME_BASE + Duration::from_secs(bytes as u64 / BYTES_A_SECOND_MIN);
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        let source = format!("expected an answer within {limit:?}, found none").into();
        Err(Error::Generic { store: "transform", source })
    })
}

/// Makes a call whose body has `bytes` until it succeeds, fails for good, or was made `TRIES_MAX` times.
///
/// # Errors
/// With what the store said last.
pub async fn retried<T, F: Future<Output = Result<T>>>(
    bytes: usize,
    mut call: impl FnMut() -> F,
) -> Result<T> {
    let mut pauses = Pauses::default();
    for _ in 1..TRIES_MAX {
        match in_time(bytes, call()).await {
            Err(error) if !is_final(&error) => {
                tracing::debug!(%error, "a call of a store is tried again");
                tokio::time::sleep(pauses.next(fastrand::f64())).await;
            }
            result => return result,
        }
    }
    in_time(bytes, call()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_their_bounds() {
        let mut pauses = Pauses::default();
        for (random, expected_ms) in [(0.0, 50), (1.0, 150), (1.0, 450), (0.5, 700), (0.0, 50)] {
            assert_eq!(pauses.next(random), Duration::from_millis(expected_ms), "{random}");
        }
        for _ in 0..10 {
            pauses.next(1.0);
        }
        assert_eq!(pauses.next(1.0), PAUSE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_the_moment_are_tried_again() {
        let check = async |failures: u32, error: fn() -> Error, expected_calls: u32, is_ok: bool| {
            let mut calls = 0;
            let result = retried(0, || {
                calls += 1;
                let fails = calls <= failures;
                async move { if fails { Err(error()) } else { Ok(()) } }
            });
            assert_eq!(result.await.is_ok(), is_ok);
            assert_eq!(calls, expected_calls);
        };
        let of_the_moment = || Error::Generic { store: "test", source: "503".into() };
        let for_good = || Error::NotFound { path: "x".into(), source: "404".into() };
        check(0, of_the_moment, 1, true).await;
        check(3, of_the_moment, 4, true).await;
        check(TRIES_MAX - 1, of_the_moment, TRIES_MAX, true).await;
        check(TRIES_MAX, of_the_moment, TRIES_MAX, false).await;
        check(1, for_good, 1, false).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_is_a_failure() {
        let hangs = in_time(8 << 20, std::future::pending::<Result<()>>()).await;
        assert!(hangs.expect_err("no answer").to_string().contains("expected an answer within"));
    }
}
