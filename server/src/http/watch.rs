//! What moves on a connection, and when it should end: idle, slow, stuck or draining.
//!
//! A connection lives on one thread; the atomics and the lock are never contended and only make this `Send`.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Limits;

/// How often a connection's limits are looked at. Reason: timeouts of whole seconds need no finer look, and a drain
/// should end a second after its last request.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Bytes of a head that are kept after its answer. Reason: usual heads are a tenth of this, and thousands of idle
/// connections should cost little.
const HEAD_BYTES_KEPT: usize = 2048;

/// What moves on one connection.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Requests being answered.
    in_flight: AtomicU32,
    /// Whether something was read since the last answer: a head has begun.
    has_head_begun: AtomicBool,
    /// Streamed answers of which a piece is with the client's side of the socket: it has to take it.
    awaited: AtomicU32,
    /// Counts reads and writes.
    movements: AtomicU32,
    /// What was read since the last answer and before the next request: its head, and perhaps a part of its body.
    head: Mutex<Vec<u8>>,
    /// The names in the certificate that the client showed.
    client_names: Vec<String>,
}

impl Watch {
    /// Of a connection whose client showed a certificate of these names.
    pub(super) fn of_client(client_names: Vec<String>) -> Self {
        Self { client_names, ..Self::default() }
    }

    /// The names in the certificate that the client showed.
    pub(super) fn client_names(&self) -> &[String] {
        &self.client_names
    }

    /// `bytes` were read.
    pub(super) fn has_read(&self, bytes: &[u8]) {
        self.has_moved();
        if self.in_flight.load(Ordering::Relaxed) == 0 {
            self.has_head_begun.store(true, Ordering::Relaxed);
            self.head().extend_from_slice(bytes);
        }
    }

    /// Something was read or written.
    pub(super) fn has_moved(&self) {
        let movements = self.movements.load(Ordering::Relaxed);
        self.movements.store(movements.wrapping_add(1), Ordering::Relaxed);
    }

    /// Whether a head that was read has both `Transfer-Encoding` and `Content-Length`.
    ///
    /// hyper follows the former, removes the latter and ends the connection after its answer, which is safe; but such
    /// a request is made to be read in two ways, so it is refused where it can be told. Behind another request of the
    /// same read (pipelining) it cannot.
    pub(super) fn has_two_lengths(&self) -> bool {
        has_two_lengths(&self.head())
    }

    fn head(&self) -> MutexGuard<'_, Vec<u8>> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_two_lengths(heads: &[u8]) -> bool {
    let (mut has_encoding, mut has_length) = (false, false);
    for line in heads.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            (has_encoding, has_length) = (false, false);
            continue;
        }
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        has_encoding |= name.eq_ignore_ascii_case(b"transfer-encoding");
        has_length |= name.eq_ignore_ascii_case(b"content-length");
        if has_encoding && has_length {
            return true;
        }
    }
    false
}

/// A request being answered.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Watch>);

impl InFlight {
    /// It begins.
    pub(super) fn new(watch: &Arc<Watch>) -> Self {
        watch.in_flight.fetch_add(1, Ordering::Relaxed);
        watch.has_head_begun.store(false, Ordering::Relaxed);
        Self(Arc::clone(watch))
    }

    /// Its connection's watch.
    pub(super) fn watch(&self) -> &Watch {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.has_head_begun.store(false, Ordering::Relaxed);
        let mut head = self.0.head();
        head.clear();
        head.shrink_to(HEAD_BYTES_KEPT);
    }
}

/// An answer that is being streamed: its request is in flight until its last piece is.
#[derive(Debug)]
pub(super) struct Streaming {
    open: InFlight,
    awaits_client: bool,
}

impl Streaming {
    /// Of the request `open`.
    pub(super) fn new(open: InFlight) -> Self {
        Self { open, awaits_client: false }
    }

    /// A piece was given to the connection: the client has to take it, before it is asked for the next.
    pub(super) fn wait_for_client(&mut self) {
        if !self.awaits_client {
            self.awaits_client = true;
            self.open.0.awaited.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The connection has room for a further piece: what comes of that is not the client's matter.
    pub(super) fn wait_for_server(&mut self) {
        if self.awaits_client {
            self.awaits_client = false;
            self.open.0.awaited.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.wait_for_server();
    }
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    GoOn,
    /// End it after what is being answered.
    End,
    /// End it at once.
    Cut,
}

/// What the looks at one connection found.
#[derive(Debug, Default)]
pub(super) struct Looks {
    movements: u32,
    /// Looks since something moved.
    still: u32,
    /// Looks since a head began.
    head: u32,
    /// Whether it was asked to end.
    is_ending: bool,
    /// HTTP/2 tells its client which requests it still answers.
    is_http2: bool,
}

impl Looks {
    /// At a new connection.
    pub(super) fn new(is_http2: bool) -> Self {
        Self { is_http2, ..Self::default() }
    }

    /// Looks again, [`LOOK_INTERVAL`] after the last time.
    pub(super) fn next(&mut self, watch: &Watch, limits: &Limits, is_draining: bool) -> Verdict {
        let movements = watch.movements.load(Ordering::Relaxed);
        let is_idle = watch.in_flight.load(Ordering::Relaxed) == 0;
        self.still = if movements == self.movements { self.still + 1 } else { 0 };
        self.movements = movements;
        let has_head_begun = is_idle && watch.has_head_begun.load(Ordering::Relaxed);
        self.head = if has_head_begun { self.head + 1 } else { 0 };
        let is_slow = LOOK_INTERVAL * self.head > limits.head_timeout;
        let waits_for_client = is_idle || watch.awaited.load(Ordering::Relaxed) > 0;
        let is_stuck = waits_for_client && LOOK_INTERVAL * self.still > limits.idle_timeout;
        if is_slow || is_stuck {
            return Verdict::Cut;
        }
        // Under load, an answer that says `Connection: close` ends the connection without a lost request; of HTTP/1.1,
        // only one on which nothing moved since the last look is ended from here.
        if is_draining && (self.still > 0 || self.is_http2) && !self.is_ending {
            self.is_ending = true;
            return Verdict::End;
        }
        Verdict::GoOn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_lengths(heads: &str, expected: bool) {
        assert_eq!(has_two_lengths(heads.as_bytes()), expected, "{heads:?}");
    }

    #[test]
    fn two_lengths_in_one_head_are_seen_in_any_order_and_case() {
        two_lengths("POST / HTTP/1.1\r\nContent-Length: 1\r\nTRANSFER-encoding: chunked\r\n\r\n", true);
        two_lengths(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nA: b\r\ncontent-length: 1\r\n\r\n",
            true,
        );
        two_lengths("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", false);
        two_lengths(
            "A / HTTP/1.1\r\nContent-Length: 1\r\n\r\nB / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            false,
        );
    }

    fn limits() -> Limits {
        let time = Duration::from_secs(1);
        Limits {
            connections: 1,
            body_bytes: 1,
            head_bytes: 1,
            headers: 1,
            head_timeout: time,
            body_timeout: time,
            request_timeout: time,
            idle_timeout: 2 * time,
            drain_timeout: time,
            queue_length: 1,
        }
    }

    /// Looks after each step; a step is a read, a request's begin or end, its answer's becoming a stream, a piece given to
    /// or taken by the client, a write, or nothing.
    fn check(steps: &str, is_draining: bool, expected: &[Verdict]) {
        let (watch, mut looks, limits) = (Arc::new(Watch::default()), Looks::default(), limits());
        let (mut open, mut streaming) = (None, None);
        for (number, (step, expected)) in steps.chars().zip(expected).enumerate() {
            match step {
                'r' => watch.has_read(b"x"),
                'b' => open = Some(InFlight::new(&watch)),
                'e' => (open, streaming) = (None, None),
                's' => streaming = open.take().map(Streaming::new),
                'g' => streaming.as_mut().map(Streaming::wait_for_client).unwrap_or_default(),
                'm' => streaming.as_mut().map(Streaming::wait_for_server).unwrap_or_default(),
                'w' => watch.has_moved(),
                _ => {}
            }
            assert_eq!(looks.next(&watch, &limits, is_draining), *expected, "look {number} of {steps}");
        }
        drop((open, streaming));
    }

    #[test]
    fn idle_slow_and_stuck_connections_are_cut() {
        use Verdict::{Cut, GoOn};
        check(".....", false, &[GoOn, GoOn, GoOn, GoOn, Cut]);
        check("rrr", false, &[GoOn, GoOn, Cut]);
        check("rbrrr", false, &[GoOn, GoOn, GoOn, GoOn, GoOn]);
        check("rb.........", false, &[GoOn; 11]);
        check("rbe.....", false, &[GoOn, GoOn, GoOn, GoOn, GoOn, Cut]);
    }

    #[test]
    fn a_stream_is_cut_when_its_client_takes_nothing_and_only_then() {
        use Verdict::{Cut, GoOn};
        check("rbs.......", false, &[GoOn; 11]);
        check("rbsr.......", false, &[GoOn; 12]);
        check("rbsg..", false, &[GoOn, GoOn, GoOn, GoOn, GoOn, Cut]);
        check("rbsgw.w.w.w.w.w.", false, &[GoOn; 17]);
        check("rbsgm......", false, &[GoOn; 12]);
        check("rbsgwe.....", false, &[GoOn, GoOn, GoOn, GoOn, GoOn, GoOn, GoOn, GoOn, GoOn, Cut]);
    }

    #[test]
    fn a_draining_connection_ends_once_when_it_is_still() {
        use Verdict::{End, GoOn};
        check("r.", true, &[GoOn, End]);
        check("rb.", true, &[GoOn, End, GoOn]);
    }

    #[test]
    fn a_head_is_forgotten_with_its_answer() {
        let watch = Arc::new(Watch::default());
        watch.has_read(&vec![b'x'; 10 * HEAD_BYTES_KEPT]);
        drop(InFlight::new(&watch));
        let head = watch.head();
        assert!(head.is_empty() && head.capacity() <= HEAD_BYTES_KEPT);
    }
}
