//! A connection between host 0 and another: messages of an operation's number, a length and bytes.
//!
//! A host that ends closes its connection, which the other side sees at once; a machine that is gone without a word is
//! found by TCP's keep-alive. While host 0 waits for one host, it looks at all others twice a second.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use crate::TrainError;

/// The most bytes of a message. Reason: samples and sums of wide models are tens of megabytes; more is a length that was
/// misread, or another program's.
const MESSAGE_BYTES_MAX: u64 = 4 << 30;
/// Memory is made room for in such steps, so that a length alone allocates nothing.
const STEP_BYTES: usize = 4 << 20;
/// How long a host may compute before it comes to the operation that others wait in. Reason: an epoch over a host's share
/// of very much data; a job that hangs ends.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// How often a wait looks at the other hosts.
const WATCH_EVERY: Duration = Duration::from_millis(500);
/// When an idle connection is asked for life, and how often until it counts as gone: a machine without power is found in
/// about ten seconds.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
/// The longest reason that a host gives for leaving.
const REASON_BYTES_MAX: usize = 4096;
/// Number and length.
const HEAD_BYTES: usize = 9;

/// What hosts do together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// A host says who it is.
    Hello = 1,
    /// Host 0 says that all are there.
    Go = 2,
    Reduce = 3,
    Gather = 4,
    Broadcast = 5,
    /// A host fails: whose fault it is, and why.
    Abort = 6,
}

impl Operation {
    fn of(number: u8) -> Option<Self> {
        let all = [Self::Hello, Self::Go, Self::Reduce, Self::Gather, Self::Broadcast, Self::Abort];
        all.into_iter().find(|operation| *operation as u8 == number)
    }
}

/// A connection to a host.
pub(super) struct Link {
    name: String,
    stream: TcpStream,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.name).finish()
    }
}

impl Link {
    /// To the host `name` over `stream`.
    pub(super) fn new(name: &str, stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WATCH_EVERY))?;
        stream.set_write_timeout(Some(WAIT_MAX))?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(Self { name: name.to_owned(), stream })
    }

    /// The host at the other end.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    pub(super) fn local_address(&self) -> Option<IpAddr> {
        self.stream.local_addr().ok().map(|address| address.ip())
    }

    pub(super) fn peer_address(&self) -> Option<IpAddr> {
        self.stream.peer_addr().ok().map(|address| address.ip())
    }

    /// Sends one message.
    pub(super) fn send(&mut self, operation: Operation, bytes: &[u8]) -> Result<(), TrainError> {
        let mut head = [operation as u8; HEAD_BYTES];
        head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        let sent = match bytes.len() {
            // One packet for what is small.
            0..=65_536 => self.stream.write_all(&[&head, bytes].concat()),
            _ => self.stream.write_all(&head).and_then(|()| self.stream.write_all(bytes)),
        };
        sent.map_err(|error| self.last_words().unwrap_or_else(|| self.gone(&error)))
    }

    /// Receives one message of `operation`, while `others` are watched.
    pub(super) fn receive(
        &mut self,
        operation: Operation,
        others: &mut [&mut Link],
    ) -> Result<Vec<u8>, TrainError> {
        self.receive_before(operation, others, Instant::now() + WAIT_MAX)
    }

    /// The same, with another end of patience.
    pub(super) fn receive_before(
        &mut self,
        operation: Operation,
        others: &mut [&mut Link],
        deadline: Instant,
    ) -> Result<Vec<u8>, TrainError> {
        let mut head = [0; HEAD_BYTES];
        self.fill(&mut head, others, deadline)?;
        let (number, length) = head.split_first().expect("a head is nine bytes");
        let length = u64::from_le_bytes(length.try_into().expect("eight are left"));
        let name = &self.name;
        match Operation::of(*number) {
            Some(Operation::Abort) => {
                let mut reason = vec![0; (length as usize).min(REASON_BYTES_MAX)];
                self.fill(&mut reason, others, deadline)?;
                return Err(self.failed(&reason));
            }
            Some(found) if found != operation => Err(TrainError::Internal(format!(
                "host {name}: expected {operation:?} as here, found {found:?}"
            ))),
            Some(_) if length <= MESSAGE_BYTES_MAX => Ok(()),
            _ => Err(TrainError::Internal(format!(
                "host {name}: expected a message of at most {MESSAGE_BYTES_MAX} bytes, found something else"
            ))),
        }?;
        let length = length as usize;
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let start = bytes.len();
            bytes.resize(length.min(start + STEP_BYTES), 0);
            self.fill(&mut bytes[start..], others, deadline)?;
        }
        Ok(bytes)
    }

    /// Says why this host leaves; it does not matter whether anybody hears it.
    pub(super) fn abort(&mut self, error: &TrainError) {
        let mut reason = vec![error.exit_code()];
        reason.extend(error.to_string().into_bytes());
        reason.truncate(REASON_BYTES_MAX);
        drop(self.send(Operation::Abort, &reason));
    }

    /// Reads exactly `buffer`; twice a second the `others` are looked at.
    fn fill(
        &mut self,
        buffer: &mut [u8],
        others: &mut [&mut Link],
        deadline: Instant,
    ) -> Result<(), TrainError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => return Err(self.gone(&ErrorKind::UnexpectedEof.into())),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    others.iter_mut().try_for_each(|other| other.look())?;
                    if Instant::now() >= deadline {
                        return Err(TrainError::Internal(format!(
                            "host {}: expected an answer in time, found none",
                            self.name
                        )));
                    }
                }
                Err(error) => return Err(self.gone(&error)),
            }
        }
        Ok(())
    }

    /// Whether the host is still there; what it sent stays unread, unless it is that it fails.
    fn look(&mut self) -> Result<(), TrainError> {
        let mut first = [0];
        self.stream.set_nonblocking(true).map_err(|error| self.gone(&error))?;
        let seen = self.stream.peek(&mut first);
        self.stream.set_nonblocking(false).map_err(|error| self.gone(&error))?;
        match seen {
            Ok(0) => Err(self.gone(&ErrorKind::UnexpectedEof.into())),
            Ok(_) if first[0] == Operation::Abort as u8 => {
                Err(self.last_words().unwrap_or_else(|| self.gone(&ErrorKind::UnexpectedEof.into())))
            }
            Ok(_) => Ok(()),
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(self.gone(&error)),
        }
    }

    /// Why the host failed, if it said so before it closed the connection.
    fn last_words(&mut self) -> Option<TrainError> {
        let mut head = [0; HEAD_BYTES];
        self.stream.read_exact(&mut head).ok()?;
        (head[0] == Operation::Abort as u8).then_some(())?;
        let length = u64::from_le_bytes(head[1..].try_into().ok()?);
        let mut reason = vec![0; (length as usize).min(REASON_BYTES_MAX)];
        self.stream.read_exact(&mut reason).ok()?;
        Some(self.failed(&reason))
    }

    /// The reason of another host, with its fault.
    fn failed(&self, reason: &[u8]) -> TrainError {
        let (code, text) = reason.split_first().unwrap_or((&3, &[]));
        let text = String::from_utf8_lossy(text);
        // What host 0 passes on names the host already.
        let text = if text.starts_with("host ") {
            text.into_owned()
        } else {
            format!("host {} failed: {text}", self.name)
        };
        match code {
            1 => TrainError::Algorithm(text),
            2 => TrainError::Client(text),
            143 => TrainError::Stopped,
            _ => TrainError::Internal(text),
        }
    }

    fn gone(&self, error: &io::Error) -> TrainError {
        let why = if error.kind() == ErrorKind::UnexpectedEof {
            "it closed the connection".into()
        } else {
            error.to_string()
        };
        TrainError::Internal(format!("host {} is gone: {why}", self.name))
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
