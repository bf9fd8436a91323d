//! A raw HTTP/1.1 client: sends exactly the bytes it is given, also when they are wrong, in pieces, or too few.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long any answer may take before the test fails. Reason: far beyond any limit the tests set on a server, far
/// below what a person waits for.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A byte stream: a socket, or TLS over one.
pub trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// An answer, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Name (lower case) and value of each header line.
    pub headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 shows as replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request to be written.
#[derive(Debug, Clone)]
pub struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// A request line and a Host header.
    pub fn new(method: &str, path: &str) -> Self {
        Self { head: format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n"), body: Vec::new() }
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST of `body` to /invocations.
    pub fn invoke(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", "/invocations").header("Content-Type", content_type).body(body)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// Sets the body, with its Content-Length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// The bytes of the request.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// One connection.
pub struct Client {
    stream: Box<dyn Stream>,
    socket: TcpStream,
    /// What came after the last answer.
    rest: Vec<u8>,
}

impl Client {
    /// Connects to `address`.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// When nothing listens.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        TcpStream::connect_timeout(&address, ANSWER_TIMEOUT).map(Self::over)
    }

    /// Over a connected socket.
    pub fn over(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        socket.set_write_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        Self { stream: Box::new(socket.try_clone().unwrap()), socket, rest: Vec::new() }
    }

    /// Speaks through what `wrap` makes of the socket: TLS.
    #[must_use]
    pub fn wrapped(self, wrap: impl FnOnce(TcpStream) -> Box<dyn Stream>) -> Self {
        let stream = wrap(self.socket.try_clone().unwrap());
        Self { stream, ..self }
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Sends `bytes` as they are.
    ///
    /// # Errors
    /// When the server has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        // The server may have closed first; then there is nobody to tell.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Sends a request and reads its answer.
    pub fn call(&mut self, request: &Request) -> Answer {
        self.send(&request.to_bytes()).unwrap();
        self.answer().expect("an answer")
    }

    /// Reads one answer; none when the connection closes or breaks before the first byte of one.
    pub fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, length)) = parse(&self.rest, false) {
                self.rest.drain(..length);
                if answer.status >= 200 {
                    return Some(answer);
                }
                continue;
            }
            let mut piece = [0u8; 16 << 10];
            match self.stream.read(&mut piece) {
                Ok(0) if self.rest.is_empty() => return None,
                Ok(0) => {
                    let answer = parse(&self.rest, true).map(|(answer, _)| answer);
                    return Some(answer.unwrap_or_else(|| panic!("half an answer: {:?}", self.rest_text())));
                }
                Ok(count) => self.rest.extend_from_slice(&piece[..count]),
                Err(error) if is_timeout(&error) => {
                    panic!("no answer in {ANSWER_TIMEOUT:?}: {:?}", self.rest_text())
                }
                Err(error) if self.rest.is_empty() => {
                    assert!(is_gone(&error), "{error}");
                    return None;
                }
                Err(error) => panic!("half an answer, then {error}: {:?}", self.rest_text()),
            }
        }
    }

    /// Waits until the server closes the connection; what it still sent.
    pub fn until_closed(&mut self) -> Vec<u8> {
        let mut piece = [0u8; 16 << 10];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return std::mem::take(&mut self.rest),
                Ok(count) => self.rest.extend_from_slice(&piece[..count]),
                Err(error) if is_timeout(&error) => panic!("still open after {ANSWER_TIMEOUT:?}"),
                Err(error) => {
                    assert!(is_gone(&error), "{error}");
                    return std::mem::take(&mut self.rest);
                }
            }
        }
    }

    fn rest_text(&self) -> String {
        String::from_utf8_lossy(&self.rest).into_owned()
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// Whether the peer has closed, in any of the ways the system reports it.
fn is_gone(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof)
}

/// One request on a connection of its own.
pub fn call(address: SocketAddr, request: &Request) -> Answer {
    Client::connect(address).call(request)
}

/// The first answer in `bytes` and its length; `closed` says that no more will come.
fn parse(bytes: &[u8], closed: bool) -> Option<(Answer, usize)> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).expect("a head is text");
    let mut lines = head.trim_end().split("\r\n");
    let status_line = lines.next().unwrap();
    let status = status_line.strip_prefix("HTTP/1.1 ").or(status_line.strip_prefix("HTTP/1.0 "));
    let status: u16 = status.and_then(|rest| rest.get(..3)?.parse().ok()).expect("a status line");
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').expect("a header line"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let rest = &bytes[head_end..];
    let length = if status < 200 || status == 204 || status == 304 {
        0
    } else if answer.header("transfer-encoding") == Some("chunked") {
        let (body, length) = unchunk(rest)?;
        answer.body = body;
        return Some((answer, head_end + length));
    } else if let Some(length) = answer.header("content-length") {
        length.parse().expect("a length")
    } else if closed {
        rest.len()
    } else {
        return None;
    };
    answer.body = rest.get(..length)?.to_vec();
    Some((answer, head_end + length))
}

/// The body of a chunked answer, when it is whole, and its length on the wire.
fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line = bytes[at..].windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).unwrap();
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        at += line + 2;
        body.extend_from_slice(bytes.get(at..at + size)?);
        at += size;
        assert_eq!(bytes.get(at..at + 2)?, b"\r\n");
        at += 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}
