//! One connection: TLS, HTTP/1.1 or HTTP/2, and the watch that ends it when it idles, dawdles or drains.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::accept::Shared;
use super::io::Watched;
use super::service;

/// How often a connection's limits are looked at. Reason: timeouts of whole seconds need no finer look, and a drain
/// should end a second after its last request.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Streams of an HTTP/2 connection. Reason: the usual default of clients; more wait in the client.
const STREAMS_MAX: u32 = 128;

/// Streams that a client may open and reset before it is sent away. Reason: the rapid-reset attack.
const RESETS_MAX: usize = 32;

/// Bytes that an HTTP/2 client may send ahead, in a stream and in all. Reason: no less than a usual body, no more than
/// a connection may cost.
const WINDOW_BYTES: u32 = 1 << 20;

/// What starts an HTTP/2 connection without TLS; no method of HTTP/1.1 is `PRI`.
const PREFACE: &[u8] = b"PRI ";

/// Serves `stream` until it ends.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let head_timeout = shared.limits.head_timeout;
    let Some(certificates) = &shared.certificates else {
        let mut start = [0; PREFACE.len()];
        // Nothing within the time of a head: the client has nothing to ask.
        if let Ok(Ok(length)) = timeout(shared.limits.idle_timeout, stream.peek(&mut start)).await {
            let is_http2 = start[..length] == *PREFACE;
            serve_http(stream, is_http2, shared).await;
        }
        return;
    };
    match timeout(head_timeout, certificates.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve_http(stream, is_http2, shared).await;
        }
        Ok(Err(error)) => {
            shared.container.metrics.tls_failures.increment();
            tracing::debug!(%error, "TLS handshake failed");
        }
        Err(_) => shared.container.metrics.tls_failures.increment(),
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    is_http2: bool,
    shared: Arc<Shared>,
) {
    let watch = Arc::new(Watch::new(Arc::clone(&shared)));
    let io = Watched::new(stream, Arc::clone(&watch));
    let service = Answers(Arc::clone(&watch));
    let limits = &shared.limits;
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX));
        watched(builder.serve_connection(io, service), &watch).await;
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            // The watch does it, without a timer a request.
            .header_read_timeout(None)
            .pipeline_flush(true)
            .max_headers(limits.headers)
            .max_buf_size(limits.head_bytes);
        watched(builder.serve_connection(io, service), &watch).await;
    }
}

/// A connection of either version.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Ends after what is being answered.
    fn end(self: Pin<&mut Self>);
}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Connection for http1::Connection<Watched<T>, Answers> {
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Connection
    for http2::Connection<Watched<T>, Answers, TokioExecutor>
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives `connection`, looking every [`LOOK_INTERVAL`] whether it should end.
async fn watched(connection: impl Connection, watch: &Watch) {
    let mut connection = pin!(connection);
    let mut look = pin!(tokio::time::sleep(LOOK_INTERVAL));
    let mut state = Looks::default();
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = look.as_mut() => {
                match state.next(watch) {
                    Verdict::GoOn => {}
                    Verdict::End => connection.as_mut().end(),
                    Verdict::Cut => return,
                }
                look.as_mut().reset(Instant::now() + LOOK_INTERVAL);
            }
        }
    }
}

/// Requests to answers, for one connection.
struct Answers(Arc<Watch>);

impl Service<Request<Incoming>> for Answers {
    type Response = Response<Full<Bytes>>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = InFlight::new(&self.0);
        Box::pin(async move { Ok(service::answer(&open.0.shared, request).await) })
    }
}

/// What moves on a connection. Its threads are one; the atomics only make it `Send`.
pub(super) struct Watch {
    shared: Arc<Shared>,
    /// Requests being answered.
    in_flight: AtomicU32,
    /// Whether something was read since the last answer: a head has begun.
    has_head_begun: AtomicU32,
    /// Counts reads and writes.
    movements: AtomicU32,
}

impl Watch {
    fn new(shared: Arc<Shared>) -> Self {
        let zero = || AtomicU32::new(0);
        Self { shared, in_flight: zero(), has_head_begun: zero(), movements: zero() }
    }

    /// Something was read.
    pub(super) fn has_read(&self) {
        self.has_written();
        self.has_head_begun.store(1, Ordering::Relaxed);
    }

    /// Something was written.
    pub(super) fn has_written(&self) {
        let movements = self.movements.load(Ordering::Relaxed);
        self.movements.store(movements.wrapping_add(1), Ordering::Relaxed);
    }
}

/// A request being answered.
struct InFlight(Arc<Watch>);

impl InFlight {
    fn new(watch: &Arc<Watch>) -> Self {
        watch.in_flight.fetch_add(1, Ordering::Relaxed);
        watch.has_head_begun.store(0, Ordering::Relaxed);
        Self(Arc::clone(watch))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.has_head_begun.store(0, Ordering::Relaxed);
    }
}

/// What to do with a connection.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    GoOn,
    /// After what is being answered.
    End,
    /// At once.
    Cut,
}

/// What the looks at one connection found.
#[derive(Default)]
struct Looks {
    movements: u32,
    /// Looks since something moved.
    still: u32,
    /// Looks since a head began.
    head: u32,
    /// Whether it was asked to end.
    is_ending: bool,
}

impl Looks {
    fn next(&mut self, watch: &Watch) -> Verdict {
        let limits = &watch.shared.limits;
        let movements = watch.movements.load(Ordering::Relaxed);
        let is_idle = watch.in_flight.load(Ordering::Relaxed) == 0;
        self.still = if movements == self.movements { self.still + 1 } else { 0 };
        self.movements = movements;
        let has_head_begun = is_idle && watch.has_head_begun.load(Ordering::Relaxed) != 0;
        self.head = if has_head_begun { self.head + 1 } else { 0 };
        if LOOK_INTERVAL * self.head > limits.head_timeout
            || (is_idle && LOOK_INTERVAL * self.still > limits.idle_timeout)
        {
            return Verdict::Cut;
        }
        // Under load, an answer that says `Connection: close` ends the connection without a lost request; only one on
        // which nothing moved since the last look is ended from here.
        if watch.shared.is_draining.load(Ordering::Relaxed) && self.still > 0 && !self.is_ending {
            self.is_ending = true;
            return Verdict::End;
        }
        Verdict::GoOn
    }
}
