//! The listening socket, and the one acceptor that hands each connection to the data-plane thread with the fewest.
//!
//! `SO_REUSEPORT` would let the kernel choose, by a hash: a few connections may then share one thread while others
//! idle.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

use super::connection;
use super::tls::Certificates;
use crate::config::Limits;
use crate::faces::Face;
use crate::metrics::Metrics;
use crate::rt;
use crate::serving::Health;

/// Connections the kernel keeps for us. Reason: a burst while the acceptor is not scheduled; the kernel caps it by its
/// own setting.
const BACKLOG: i32 = 1024;

/// Connections handed to a thread that it has not picked up. Reason: it picks up between two requests.
const HAND_OVER_MAX: usize = 1024;

/// Requests that the control runtime works on at once. Reason: each holds its body; what is beyond hears to come again.
const CONTROL_REQUESTS_MAX: usize = 1024;

/// Requests that the embedded S3 works on at once. Reason: each holds a file and some pieces of it, and a transfer lasts;
/// they must not take the places of the control plane's.
const OBJECT_REQUESTS_MAX: usize = 512;

/// How long the acceptor waits when it cannot accept: no file descriptor is free, or the connection limit is reached.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How often the draining server looks whether its connections have ended.
const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A bound socket.
#[derive(Debug)]
pub struct Listener(Socket);

impl Listener {
    /// Binds and listens; connections wait in the backlog until [`Acceptor::start`].
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart must not wait for the last connections' TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self(socket))
    }

    /// Where it is bound: the port that 0 became.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::Error::other("the socket is not of TCP"))
    }
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) face: Face,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) limits: Limits,
    pub(super) certificates: Option<Arc<Certificates>>,
    /// Set once; answers then end their connections.
    pub(super) is_draining: AtomicBool,
    /// Bytes of bodies that are being received.
    pub(super) body_bytes: AtomicUsize,
    /// Requests that the control runtime may work on.
    pub(super) control_places: Arc<Semaphore>,
    /// Requests that the embedded S3 may work on.
    pub(super) object_places: Arc<Semaphore>,
}

/// A data-plane thread, as the acceptor sees it.
#[derive(Debug)]
struct Worker {
    connections: Arc<AtomicUsize>,
    inbox: mpsc::Sender<(TcpStreamParts, Open)>,
}

type TcpStreamParts = std::net::TcpStream;

/// A connection's place in the counts of its thread and of the server, given back when dropped.
#[derive(Debug)]
struct Open {
    of_worker: Arc<AtomicUsize>,
    shared: Arc<Shared>,
}

impl Open {
    fn new(of_worker: &Arc<AtomicUsize>, shared: &Arc<Shared>) -> Self {
        of_worker.fetch_add(1, Ordering::Relaxed);
        shared.metrics.connections.increment(1);
        shared.metrics.connections_accepted.increment(1);
        Self { of_worker: Arc::clone(of_worker), shared: Arc::clone(shared) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.of_worker.fetch_sub(1, Ordering::Relaxed);
        self.shared.metrics.connections.decrement(1);
    }
}

/// The data plane: the acceptor and its threads.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    workers: Vec<Worker>,
    shared: Arc<Shared>,
}

impl Acceptor {
    /// Starts `threads` data-plane threads behind `listener`; [`run`](Self::run) accepts. In the control runtime.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(
        listener: Listener,
        threads: usize,
        face: Face,
        limits: Limits,
        certificates: Option<Arc<Certificates>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::from_std(listener.0.into())?;
        let (is_draining, body_bytes) = (AtomicBool::new(false), AtomicUsize::new(0));
        let shared = Arc::new(Shared {
            metrics: Arc::clone(face.metrics()),
            health: Arc::clone(face.health()),
            face,
            limits,
            certificates,
            is_draining,
            body_bytes,
            control_places: Arc::new(Semaphore::new(CONTROL_REQUESTS_MAX)),
            object_places: Arc::new(Semaphore::new(OBJECT_REQUESTS_MAX)),
        });
        let workers = (0..threads).map(|index| start_worker(index, &shared)).collect::<io::Result<_>>()?;
        Ok(Self { listener, workers, shared })
    }

    /// Accepts until `end` comes, then takes in what the kernel has already accepted and stops listening.
    pub async fn run(self, end: impl Future<Output = ()>) -> Draining {
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                () = self.accept_one() => {}
            }
        }
        self.shared.health.drain();
        while tokio::time::timeout(Duration::ZERO, self.accept_one()).await.is_ok() {}
        self.shared.is_draining.store(true, Ordering::Release);
        Draining { workers: self.workers, shared: self.shared }
    }

    async fn accept_one(&self) {
        if self.connections() >= self.shared.limits.connections {
            return tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        match self.listener.accept().await {
            Ok((stream, _)) => {
                let load = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
                let worker = self.workers.iter().min_by_key(load).expect("there is a thread at least");
                let open = Open::new(&worker.connections, &self.shared);
                let stream = stream.set_nodelay(true).and_then(|()| stream.into_std());
                // A client that is gone already is no matter, and neither is a full inbox: it waits there.
                if let Ok(stream) = stream {
                    let _ = worker.inbox.send((stream, open)).await;
                }
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn connections(&self) -> usize {
        self.workers.iter().map(|worker| worker.connections.load(Ordering::Relaxed)).sum()
    }
}

/// Whether the client, not the server, is at fault.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn start_worker(index: usize, shared: &Arc<Shared>) -> io::Result<Worker> {
    let (inbox, mut connections) = mpsc::channel::<(TcpStreamParts, Open)>(HAND_OVER_MAX);
    let shared = Arc::clone(shared);
    rt::spawn_data_plane(index, move || async move {
        while let Some((stream, open)) = connections.recv().await {
            // A descriptor that cannot be registered is dropped, and its connection with it.
            if let Ok(stream) = TcpStream::from_std(stream) {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    connection::serve(stream, shared).await;
                    drop(open);
                });
            }
        }
        // The server has ended: what is still open is cut with this thread's runtime.
    })?;
    Ok(Worker { connections: Arc::default(), inbox })
}

/// A server that accepts no more.
#[derive(Debug)]
pub struct Draining {
    workers: Vec<Worker>,
    shared: Arc<Shared>,
}

impl Draining {
    /// Waits for the open connections to end: how many had not, when the drain's time was over.
    pub async fn finish(self) -> usize {
        let open = || self.workers.iter().map(|worker| worker.connections.load(Ordering::Relaxed)).sum();
        let ended = async {
            while open() != 0_usize {
                tokio::time::sleep(DRAIN_LOOK_INTERVAL).await;
            }
        };
        match tokio::time::timeout(self.shared.limits.drain_timeout, ended).await {
            Ok(()) => 0,
            Err(_) => open(),
        }
    }
}
