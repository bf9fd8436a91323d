//! Request bodies, under a cap on their size, their pauses, and their memory in all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::accept::Shared;
use crate::error::Error;

/// Bytes of bodies being received or waiting, over all connections. Reason: four thousand connections of 6 MiB would
/// be 24 GiB; this is what forty of them need at once, and the next hears to come again.
const BYTES_IN_FLIGHT_MAX: usize = 256 << 20;

/// The slowest a body may come once it took [`SLOW_AFTER`]. Reason: a client that sends a byte a second holds its
/// memory for hours; the slowest real link is a hundred times faster.
const BYTES_A_SECOND_MIN: usize = 512;

/// When slowness begins to count.
const SLOW_AFTER: Duration = Duration::from_secs(10);

/// What is read of a body that is refused, so that the client has sent it all and hears why. Reason: a close with
/// unread bytes resets the connection and may take the answer with it; beyond this the client is on its own.
const DISCARD_BYTES_MAX: usize = 16 << 20;

/// How long that may take.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// The pause after which a client is taken to wait for its answer. Reason: one that is sending fills its window again
/// within a round trip.
const DISCARD_PAUSE_MAX: Duration = Duration::from_millis(200);

/// The share of [`BYTES_IN_FLIGHT_MAX`] that one body takes, given back when dropped.
#[derive(Debug)]
pub(super) struct Share<'a> {
    taken: &'a AtomicUsize,
    bytes: usize,
    limit_bytes: usize,
}

impl<'a> Share<'a> {
    fn new(shared: &'a Shared) -> Self {
        // One body of the limit always fits.
        let limit_bytes = BYTES_IN_FLIGHT_MAX.max(shared.limits.body_bytes);
        Self { taken: &shared.body_bytes, bytes: 0, limit_bytes }
    }

    fn grow_to(&mut self, bytes: usize) -> Result<(), Error> {
        let more = bytes.saturating_sub(self.bytes);
        let taken = self.taken.fetch_add(more, Ordering::Relaxed) + more;
        self.bytes += more;
        if taken > self.limit_bytes {
            Err(Error::BodiesFull { limit_bytes: self.limit_bytes })
        } else {
            Ok(())
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Reads `body` up to `limit_bytes`.
///
/// # Errors
/// When it is too large, too slow, or breaks off.
pub(super) async fn read<'a>(
    body: &mut Incoming,
    shared: &'a Shared,
    limit_bytes: usize,
) -> Result<(Bytes, Share<'a>), Error> {
    let mut share = Share::new(shared);
    let too_large = || Error::BodyTooLarge { limit_bytes };
    let declared = body.size_hint().lower();
    if declared > limit_bytes as u64 {
        return Err(too_large());
    }
    // The usual request: its body came with its head, is one piece, and needs no copy and no timer.
    let Some(first) = next(body, shared, 0).await? else { return Ok((Bytes::new(), share)) };
    if first.len() > limit_bytes {
        return Err(too_large());
    }
    if body.is_end_stream() {
        return Ok((first, share));
    }
    let started = Instant::now();
    // What a client declares it must also send before it gets room for it.
    let mut received = BytesMut::from(first);
    while let Some(piece) = next(body, shared, received.len()).await? {
        let length = received.len() + piece.len();
        if length > limit_bytes {
            return Err(too_large());
        }
        share.grow_to(length)?;
        received.extend_from_slice(&piece);
        let taken = started.elapsed();
        if taken > shared.limits.request_timeout || is_slow(length, taken) {
            return Err(Error::BodyTimeout { received_bytes: length });
        }
    }
    Ok((received.freeze(), share))
}

fn is_slow(received_bytes: usize, taken: Duration) -> bool {
    taken > SLOW_AFTER && received_bytes < BYTES_A_SECOND_MIN * taken.as_secs() as usize
}

/// The next piece of data; trailers are passed over.
async fn next(body: &mut Incoming, shared: &Shared, received_bytes: usize) -> Result<Option<Bytes>, Error> {
    loop {
        // What is there already needs no timer.
        let frame = match body.frame().now_or_never() {
            Some(frame) => frame,
            None => timeout(shared.limits.body_timeout, body.frame())
                .await
                .map_err(|_| Error::BodyTimeout { received_bytes })?,
        };
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => return Err(Error::BodyBroken { received_bytes, reason: error.to_string() }),
        }
    }
}

/// Reads on, so that a client which is still sending hears its answer.
pub(super) async fn discard(body: &mut Incoming) {
    let all = async {
        let mut discarded_bytes = 0;
        while let Ok(Some(Ok(frame))) = timeout(DISCARD_PAUSE_MAX, body.frame()).await {
            discarded_bytes += frame.data_ref().map_or(0, Bytes::len);
            if discarded_bytes > DISCARD_BYTES_MAX {
                return;
            }
        }
    };
    // Whatever comes of it, the answer follows.
    let _ = timeout(DISCARD_TIME_MAX, all).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(received_bytes: usize, seconds: u64, expected: bool) {
        assert_eq!(is_slow(received_bytes, Duration::from_secs(seconds)), expected);
    }

    #[test]
    fn slowness_counts_after_a_while() {
        check(0, 10, false);
        check(1, 11, true);
        check(512 * 20, 20, false);
        check(512 * 20 - 1, 20, true);
    }

    #[test]
    fn a_share_is_given_back() {
        let taken = AtomicUsize::new(0);
        let share = || Share { taken: &taken, bytes: 0, limit_bytes: 100 };
        let mut first = share();
        first.grow_to(60).unwrap();
        first.grow_to(50).unwrap();
        let mut second = share();
        second.grow_to(40).unwrap();
        second.grow_to(41).expect_err("one too many");
        drop(first);
        second.grow_to(90).unwrap();
        drop(second);
        assert_eq!(taken.load(Ordering::Relaxed), 0);
    }
}
