//! A bare hyper echo with the layout of `clary serve`: one acceptor that hands connections to a current-thread runtime a core.
//! What is served is held against it. As a program it prints its address and runs until its standard input ends.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    dead_code,
    reason = "a bench: a panic is its failure, stdout its report; the benches take it as a module, without its main"
)]

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request as HyperRequest, Response};
use hyper_util::rt::{TokioIo, TokioTimer};

/// The body limit of the echo: as a real server, it has one.
const ECHO_BYTES_MAX: usize = 6 << 20;

fn main() {
    println!("{}", start());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

/// A bare echo: an acceptor on a thread of its own, connections dealt out in turn to a current-thread runtime a core.
pub(crate) fn start() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let lanes: Vec<_> = (0..cores).map(|_| start_lane()).collect();
    std::thread::spawn(move || {
        for (index, socket) in listener.incoming().map_while(Result::ok).enumerate() {
            lanes[index % cores].blocking_send(socket).unwrap();
        }
    });
    address
}

/// One core's runtime; takes connections from the acceptor.
fn start_lane() -> tokio::sync::mpsc::Sender<std::net::TcpStream> {
    /// Accepted connections that wait for their runtime. Reason: more than any comparison opens.
    const WAITING_MAX: usize = 256;
    let (sender, mut sockets) = tokio::sync::mpsc::channel::<std::net::TcpStream>(WAITING_MAX);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            while let Some(socket) = sockets.recv().await {
                socket.set_nonblocking(true).unwrap();
                socket.set_nodelay(true).unwrap();
                let socket = tokio::net::TcpStream::from_std(socket).unwrap();
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(socket), service_fn(echo));
                tokio::spawn(connection);
            }
        });
    });
    sender
}

async fn echo(request: HyperRequest<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    #[expect(clippy::disallowed_methods, reason = "Limited caps it")]
    let body = Limited::new(request.into_body(), ECHO_BYTES_MAX).collect().await;
    Ok(Response::new(Full::new(body.map(Collected::to_bytes).unwrap_or_default())))
}
