//! An S3 store that stands before another one and fails as real ones do: errors, broken connections before and after the work
//! was done, answers that end too early or come slowly; by a schedule drawn from a seed. Buckets of a [`Synthetic`] store it
//! answers itself.
//!
//! The one idea: a client that survives this store has a path for every way in which a request can go wrong, and the test says
//! which of them were met.

mod message;
mod schedule;

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::synthetic::Synthetic;
pub use message::{Head, answer, refuse, unescape};
pub use schedule::Fault;
use schedule::Schedule;

/// How long either side may stay silent. Reason: as tests wait for answers; a connection that nobody uses ends with the test.
const SILENCE_MAX: Duration = crate::http::ANSWER_TIMEOUT;

/// Between two pieces of a slow answer. Reason: long enough for a reader that stands still to show, short enough for many.
const PIECE_PAUSE: Duration = Duration::from_millis(10);

/// Pieces of a slow answer.
const PIECES: usize = 4;

/// The largest body that is passed on. Reason: it is held in memory; parts of uploads in tests are far smaller.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// The store; gone when dropped.
#[derive(Debug)]
pub struct FaultStore {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The store behind, if there is one.
    upstream: Option<SocketAddr>,
    synthetic: Option<Arc<Synthetic>>,
    schedule: Mutex<Schedule>,
    requests: AtomicU64,
    is_over: AtomicBool,
}

impl FaultStore {
    /// Before the store at `upstream`, without faults yet; they are drawn from `seed`.
    pub fn before(upstream: SocketAddr, seed: u64) -> Self {
        Self::start(Some(upstream), None, seed)
    }

    /// Only `synthetic`, without faults yet.
    pub fn synthetic(synthetic: Arc<Synthetic>, seed: u64) -> Self {
        Self::start(None, Some(synthetic), seed)
    }

    fn start(upstream: Option<SocketAddr>, synthetic: Option<Arc<Synthetic>>, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            synthetic,
            schedule: Mutex::new(Schedule::new(seed)),
            requests: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let store = Self { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if shared.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(socket), shared) = (socket, Arc::clone(&shared)) else { continue };
                // A client that goes away is no affair of the store.
                std::thread::spawn(move || shared.serve(socket));
            }
        });
        store
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As `AWS_ENDPOINT_URL` spells it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, so many of a thousand requests fail; 0 turns faults off.
    pub fn fail_per_mille(&self, per_mille: u32) {
        self.shared.schedule.lock().unwrap().set_per_mille(per_mille);
    }

    /// How often each fault was served.
    pub fn served(&self) -> HashMap<Fault, u64> {
        self.shared.schedule.lock().unwrap().served.clone()
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for FaultStore {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the accepting thread; it may be gone.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Answers requests of a connection until it, or a fault, ends.
    fn serve(&self, socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        let mut reader = BufReader::with_capacity(64 << 10, socket.try_clone()?);
        let mut writer = socket;
        while let Some(head) = Head::read(&mut reader)? {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let range = head.header("range").unwrap_or_default();
            let name = format!("{} {} {range}", head.method(), head.target());
            let fault = self.schedule.lock().unwrap().draw(&name);
            if self.answer(&head, fault, &mut reader, &mut writer)?.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Answers one request; `None` when the connection is to end.
    fn answer(
        &self,
        head: &Head,
        fault: Option<Fault>,
        reader: &mut BufReader<TcpStream>,
        writer: &mut TcpStream,
    ) -> io::Result<Option<()>> {
        if head.header("transfer-encoding").is_some() {
            refuse(writer, "411 Length Required", "MissingContentLength")?;
            return Ok(None);
        }
        let length = head.body_bytes().unwrap_or(0);
        if fault == Some(Fault::ResetBefore) {
            return Ok(None);
        }
        if let Some(synthetic) = self.synthetic.as_ref().filter(|synthetic| synthetic.is_of(head)) {
            let mut body = reader.take(length);
            return match fault {
                Some(Fault::InternalError | Fault::SlowDown | Fault::CutRequest) => {
                    io::copy(&mut body, &mut io::sink())?;
                    error(fault, writer).map(Some)
                }
                _ => {
                    let mut answer = Damaged { writer, fault, pieces: 0 };
                    synthetic.answer(head, &mut body, &mut answer).map(Some)
                }
            };
        }
        let body = read_body(reader, length)?;
        match fault {
            Some(Fault::InternalError | Fault::SlowDown) => error(fault, writer).map(Some),
            Some(Fault::CutRequest) => {
                self.pass_on(head, &body[..body.len() / 2])?;
                Ok(None)
            }
            _ => self.forward(head, &body, fault, writer),
        }
    }

    /// Sends a request to the store behind.
    fn pass_on(&self, head: &Head, body: &[u8]) -> io::Result<BufReader<TcpStream>> {
        let upstream = self.upstream.ok_or(io::ErrorKind::ConnectionRefused)?;
        let mut stream = TcpStream::connect(upstream)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.write_all(&head.to_bytes("Connection: close\r\n"))?;
        stream.write_all(body)?;
        Ok(BufReader::with_capacity(64 << 10, stream))
    }

    /// Sends a request to the store behind, and its answer back as `fault` has it.
    fn forward(
        &self,
        head: &Head,
        body: &[u8],
        fault: Option<Fault>,
        writer: &mut TcpStream,
    ) -> io::Result<Option<()>> {
        let mut upstream = self.pass_on(head, body)?;
        let answer = Head::read(&mut upstream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let has_body = head.method() != "HEAD" && answer.status() != 204 && answer.status() != 304;
        let length = answer.body_bytes().filter(|_| has_body);
        let mut content = Vec::new();
        if has_body {
            upstream.take(length.unwrap_or(BODY_BYTES_MAX)).read_to_end(&mut content)?;
        }
        if fault == Some(Fault::ResetAfter) || length.is_some_and(|length| content.len() as u64 != length) {
            return Ok(None);
        }
        if fault == Some(Fault::ShortAnswer) && !content.is_empty() {
            writer.write_all(&answer.to_bytes(""))?;
            writer.write_all(&content[..content.len() / 2])?;
            return Ok(None);
        }
        // Whatever had no length before has one now.
        let is_framed = length.is_some() || !has_body;
        writer.write_all(&answer.to_bytes(if is_framed { "" } else { "Connection: close\r\n" }))?;
        let piece = if fault == Some(Fault::Slow) { content.len().div_ceil(PIECES) } else { content.len() };
        for piece in content.chunks(piece.max(1)) {
            writer.write_all(piece)?;
            if fault == Some(Fault::Slow) {
                pause();
            }
        }
        Ok(is_framed.then_some(()))
    }
}

/// An answer on its way, that goes wrong as the schedule says.
struct Damaged<'a> {
    writer: &'a mut TcpStream,
    fault: Option<Fault>,
    pieces: usize,
}

impl Write for Damaged<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pieces += 1;
        match self.fault {
            Some(Fault::ResetAfter) => Err(io::ErrorKind::ConnectionReset.into()),
            // The head is the first piece.
            Some(Fault::ShortAnswer) if self.pieces > 1 => {
                self.writer.write_all(&bytes[..bytes.len() / 2])?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Some(Fault::Slow) => {
                if self.pieces <= PIECES {
                    pause();
                }
                self.writer.write(bytes)
            }
            _ => self.writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn read_body(reader: &mut BufReader<TcpStream>, length: u64) -> io::Result<Vec<u8>> {
    assert!(length <= BODY_BYTES_MAX, "a body of {length} bytes is not held in memory");
    let mut body = vec![0; length as usize];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn error(fault: Option<Fault>, writer: &mut TcpStream) -> io::Result<()> {
    match fault {
        Some(Fault::SlowDown) => refuse(writer, "503 Slow Down", "SlowDown"),
        _ => refuse(writer, "500 Internal Server Error", "InternalError"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a slow answer is slow: nothing is waited for")]
fn pause() {
    std::thread::sleep(PIECE_PAUSE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Client, Request};
    use crate::synthetic::{INPUT, KEY, OUTPUT, ROW_BYTES};

    fn stores(count: u64) -> (Arc<Synthetic>, FaultStore, FaultStore) {
        let synthetic = Arc::new(Synthetic::new(count, 3));
        let behind = FaultStore::synthetic(Arc::clone(&synthetic), 1);
        let before = FaultStore::before(behind.address(), 2);
        (synthetic, behind, before)
    }

    #[test]
    fn what_has_no_fault_is_passed_on() {
        let (synthetic, _behind, store) = stores(1000);
        let mut client = Client::connect(store.address());
        let range = "bytes=2795-2804";
        let answer = client.call(&Request::get(&format!("/{INPUT}/{KEY}")).header("Range", range));
        let mut expected = [0; 10];
        synthetic.rows().fill(2795, &mut expected);
        assert_eq!((answer.status, &answer.body[..]), (206, &expected[..]));
        assert_eq!(answer.header("content-range"), Some("bytes 2795-2804/28000"));
        let listed = client.call(&Request::get(&format!("/{INPUT}?list-type=2&prefix=in%2F"))).text();
        assert!(listed.contains(&format!("<Size>{}</Size>", 1000 * ROW_BYTES)), "{listed}");
        let head = client.call(&Request::get(&format!("/{INPUT}/other")));
        assert_eq!(head.status, 404);
    }

    #[test]
    fn an_upload_is_kept_by_its_sums() {
        let (synthetic, _behind, store) = stores(1);
        let mut client = Client::connect(store.address());
        let path = format!("/{OUTPUT}/out/rows.csv.out");
        let begun = client.call(&Request::new("POST", &format!("{path}?uploads")).body("")).text();
        let id = begun.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
        assert!(client.call(&Request::get(&format!("/{OUTPUT}?uploads"))).text().contains(&id));
        for (number, body) in [(2, "cd"), (1, "ab")] {
            let target = format!("{path}?partNumber={number}&uploadId={id}");
            assert_eq!(client.call(&Request::new("PUT", &target).body(body)).status, 200);
        }
        assert_eq!((synthetic.sink().unfinished(), synthetic.sink().keys().len()), (1, 0));
        let parts = "<PartNumber>1</PartNumber><PartNumber>2</PartNumber>";
        let complete = Request::new("POST", &format!("{path}?uploadId={id}"));
        assert_eq!(client.call(&complete.body(parts)).status, 200);
        let object = synthetic.sink().object("out/rows.csv.out").unwrap();
        assert_eq!((object.bytes(), object.parts(), synthetic.sink().unfinished()), (4, 2, 0));
        assert_eq!(object.is(&mut &b"abcd"[..]), Ok(()));
        assert!(object.is(&mut &b"abdd"[..]).is_err());
        assert!(object.is(&mut &b"abcde"[..]).is_err());
        assert!(object.is(&mut &b"abc"[..]).is_err());
    }

    #[test]
    fn every_fault_is_met_and_a_third_try_succeeds() {
        let (synthetic, _behind, store) = stores(100);
        store.fail_per_mille(1000);
        let mut expected = vec![0; 100 * ROW_BYTES];
        synthetic.rows().fill(0, &mut expected);
        let request = Request::get(&format!("/{INPUT}/{KEY}"));
        for _ in 0..40 {
            let is_whole = (0..3).any(|_| {
                let mut stream = TcpStream::connect(store.address()).unwrap();
                stream.write_all(&request.to_bytes()).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let mut answer = Vec::new();
                // A break is a short answer too.
                let _ = stream.read_to_end(&mut answer);
                answer.ends_with(&expected)
            });
            assert!(is_whole);
        }
        let served = store.served();
        assert!(Fault::ALL.iter().all(|fault| served.contains_key(fault)), "{served:?}");
    }
}
