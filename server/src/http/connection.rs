//! One connection: TLS, HTTP/1.1 or HTTP/2, driven under its [`Watch`].

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::accept::Shared;
use super::answer::AnswerBody;
use super::io::Watched;
use super::watch::{InFlight, LOOK_INTERVAL, Looks, Verdict, Watch};
use super::{client_names, platform, service};
use crate::faces::Face;

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
            serve_http(stream, is_http2, Watch::default(), shared).await;
        }
        return;
    };
    match timeout(head_timeout, certificates.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let client = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let watch = Watch::of_client(client.map(client_names::of).unwrap_or_default());
            serve_http(stream, is_http2, watch, shared).await;
        }
        Ok(Err(error)) => {
            shared.metrics.tls_failures.increment(1);
            tracing::debug!(%error, "TLS handshake failed");
        }
        Err(_) => shared.metrics.tls_failures.increment(1),
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    is_http2: bool,
    watch: Watch,
    shared: Arc<Shared>,
) {
    let watch = Arc::new(watch);
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&watch)));
    let service = answers(Arc::clone(&shared), Arc::clone(&watch));
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
        watched(builder.serve_connection(io, service), Looks::new(true), &watch, &shared).await;
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            // The watch does it, without a timer a request.
            .header_read_timeout(None)
            // No `pipeline_flush`: hyper 1.12 then forgets to flush an answer that closes the connection while a
            // further request is in its buffer.
            // One buffer an answer: copying a usual body behind its head costs less than gathering the two.
            .writev(false)
            .max_headers(limits.headers)
            .max_header_size(limits.head_bytes)
            .max_buf_size(limits.head_bytes);
        watched(builder.serve_connection(io, service), Looks::new(false), &watch, &shared).await;
    }
}

/// A connection of either version.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Ends after what is being answered.
    fn end(self: Pin<&mut Self>);
}

impl<T, S> Connection for http1::Connection<TokioIo<Watched<T>>, S>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Answers,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<T, S> Connection for http2::Connection<TokioIo<Watched<T>>, S, TokioExecutor>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Answers,
    S::Future: Send + 'static,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives `connection`, looking every [`LOOK_INTERVAL`] whether it should end.
async fn watched(connection: impl Connection, mut looks: Looks, watch: &Watch, shared: &Shared) {
    let mut connection = pin!(connection);
    let mut look = pin!(tokio::time::sleep(LOOK_INTERVAL));
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
                let is_draining = shared.is_draining.load(Ordering::Relaxed);
                match looks.next(watch, &shared.limits, is_draining) {
                    Verdict::GoOn => {}
                    Verdict::End => connection.as_mut().end(),
                    Verdict::Cut => return,
                }
                look.as_mut().reset(Instant::now() + LOOK_INTERVAL);
            }
        }
    }
}

/// Requests to answers.
trait Answers: Service<Request<Incoming>, Response = Response<AnswerBody>, Error = Infallible> {}

impl<S: Service<Request<Incoming>, Response = Response<AnswerBody>, Error = Infallible>> Answers for S {}

/// What answers the requests of one connection. Its future has no box: hyper keeps a place for it.
fn answers(shared: Arc<Shared>, watch: Arc<Watch>) -> impl Answers<Future: Send> {
    service_fn(move |request| {
        let (shared, open) = (Arc::clone(&shared), InFlight::new(&watch));
        async move {
            let shared = &shared;
            Ok(match &shared.face {
                Face::Container(container) => service::answer(shared, container, open.watch(), request).await,
                Face::Platform(platform) => platform::answer(shared, platform, open, request).await,
            })
        }
    })
}
