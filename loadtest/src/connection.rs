//! One keep-alive connection: opens, sends one request, reads one whole answer, opens again when the server closed it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::response::{Body, Head, parse_head};
use crate::tally::{Failure, Tally};
use crate::target::Target;

/// Bytes asked of the socket at once. Reason: an answer of a prediction is a few hundred bytes; large ones come in
/// few reads.
const READ_BYTES: usize = 64 << 10;

/// A byte stream, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// TLS for one host.
#[derive(Clone)]
pub(crate) struct Tls {
    /// The client's configuration.
    pub(crate) connector: TlsConnector,
    /// The name the certificate must carry.
    pub(crate) name: ServerName<'static>,
}

/// A connection to the target, open or not.
pub(crate) struct Connection {
    target: Arc<Target>,
    tls: Option<Tls>,
    timeout: Duration,
    watched: Arc<[String]>,
    /// The counts of this thread; borrowed between waits, never across one.
    tally: Rc<RefCell<Tally>>,
    stream: Option<Box<dyn Stream>>,
    opened: bool,
    buffer: Vec<u8>,
}

impl Connection {
    /// Not open yet.
    pub(crate) fn new(
        target: Arc<Target>,
        tls: Option<Tls>,
        timeout: Duration,
        watched: Arc<[String]>,
        tally: Rc<RefCell<Tally>>,
    ) -> Self {
        let buffer = Vec::with_capacity(2 * READ_BYTES);
        Self { target, tls, timeout, watched, tally, stream: None, opened: false, buffer }
    }

    /// Opens the connection now, so that no request pays for it.
    ///
    /// # Errors
    /// When the server cannot be reached within the time limit.
    pub(crate) async fn open(&mut self) -> Result<(), Failure> {
        let dialled = tokio::time::timeout(self.timeout, dial(&self.target, self.tls.as_ref()));
        let stream = dialled.await.unwrap_or(Err(std::io::ErrorKind::TimedOut.into()));
        self.stream = Some(stream.map_err(|error| Failure::Connect(error.kind()))?);
        self.opened = true;
        Ok(())
    }

    /// Sends request `index` and reads its answer to the last byte; the status. Traffic and watched headers go to the
    /// tally when the request is `counted`.
    ///
    /// # Errors
    /// When there is no whole answer within the time limit.
    pub(crate) async fn exchange(&mut self, index: u64, counted: bool) -> Result<u16, Failure> {
        if self.stream.as_mut().is_some_and(is_closed) {
            self.stream = None;
        }
        if self.stream.is_none() {
            self.tally.borrow_mut().reconnects += u64::from(self.opened);
            self.open().await?;
        }
        let answer = tokio::time::timeout(self.timeout, self.converse(index)).await;
        let answer = answer.unwrap_or(Err(Failure::TimedOut));
        // After a failure the rest of the answer may still come: the connection is of no more use.
        if !matches!(answer, Ok(Answer { head: Head { keep_alive: true, .. }, .. })) {
            self.stream = None;
        }
        let answer = answer?;
        if counted {
            self.count(index, &answer);
        }
        Ok(answer.head.status)
    }

    fn count(&self, index: u64, answer: &Answer) {
        let mut tally = self.tally.borrow_mut();
        tally.bytes_sent += self.target.request(index).len() as u64;
        tally.bytes_received += answer.bytes;
        for (place, header) in answer.head.watched.iter().zip(0..) {
            if let Some(place) = place {
                tally.header(header, &self.buffer[place.clone()]);
            }
        }
    }

    async fn converse(&mut self, index: u64) -> Result<Answer, Failure> {
        let broken = |error: std::io::Error| Failure::Broken(error.kind());
        let stream = self.stream.as_mut().expect("opened before");
        stream.write_all(self.target.request(index)).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        self.buffer.clear();
        let mut head = read_head(stream, self.target.is_head, &self.watched, &mut self.buffer).await?;
        let mut bytes = self.buffer.len() as u64;
        // The head stays in the buffer, for the watched headers; the body passes behind it.
        let mut fresh = head.bytes;
        loop {
            let rest = &self.buffer[fresh..];
            let (taken, ended) = head.body.feed(rest).map_err(Failure::Malformed)?;
            if ended && taken < rest.len() {
                return Err(Failure::Malformed("bytes after the answer"));
            }
            if ended {
                return Ok(Answer { head, bytes });
            }
            fresh = head.bytes;
            self.buffer.truncate(fresh);
            let count = read_more(stream, &mut self.buffer).await?;
            bytes += count as u64;
            if count == 0 {
                let may_end = matches!(head.body, Body::UntilClose { .. });
                return if may_end { Ok(Answer { head, bytes }) } else { Err(Failure::Closed) };
            }
        }
    }
}

struct Answer {
    head: Head,
    bytes: u64,
}

async fn dial(target: &Target, tls: Option<&Tls>) -> std::io::Result<Box<dyn Stream>> {
    let socket = TcpStream::connect(target.address).await?;
    socket.set_nodelay(true)?;
    Ok(match tls {
        None => Box::new(socket),
        Some(tls) => Box::new(tls.connector.connect(tls.name.clone(), socket).await?),
    })
}

/// Whether the server has closed an idle connection (or, as wrongly, sent bytes unasked).
fn is_closed(stream: &mut Box<dyn Stream>) -> bool {
    let mut byte = [0u8; 1];
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_ready()
}

/// Reads until the final head is whole; interim answers (1xx) are passed over.
async fn read_head(
    stream: &mut Box<dyn Stream>,
    is_head_request: bool,
    watched: &[String],
    buffer: &mut Vec<u8>,
) -> Result<Head, Failure> {
    loop {
        match parse_head(buffer, watched, is_head_request).map_err(Failure::Malformed)? {
            Some(head) if head.status == 101 => {
                return Err(Failure::Malformed("switching protocols unasked"));
            }
            Some(head) if head.status < 200 => drop(buffer.drain(..head.bytes)),
            Some(head) => return Ok(head),
            None if read_more(stream, buffer).await? > 0 => {}
            None => return Err(Failure::Closed),
        }
    }
}

/// Appends what the socket has; 0 at its end.
async fn read_more(stream: &mut Box<dyn Stream>, buffer: &mut Vec<u8>) -> Result<usize, Failure> {
    buffer.reserve(READ_BYTES);
    stream.read_buf(buffer).await.map_err(|error| Failure::Broken(error.kind()))
}
