//! A bucket that takes objects of any size and keeps their lengths and checksums.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::{Condvar, Mutex};

use flate2::Crc;

use super::listed;
use crate::fault_store::{Head, answer, refuse, unescape};

/// The largest object that is kept with its bytes. Reason: journals and reports, which are read again.
const KEPT_BYTES_MAX: u64 = 1 << 20;

/// A bucket.
#[derive(Debug, Default)]
pub struct Sink {
    state: Mutex<State>,
    /// Whether parts are held, and how many are.
    gate: Mutex<Gate>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct Gate {
    is_closed: bool,
    waiting: usize,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Kept>,
    /// Unfinished uploads by id: their keys and their parts by number.
    uploads: BTreeMap<String, (String, BTreeMap<u32, Part>)>,
    begun: u64,
}

/// What is kept of a run of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    bytes: u64,
    checksum: u32,
}

/// What is kept of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    parts: Vec<Part>,
    content: Option<Vec<u8>>,
}

impl Kept {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// How many parts it came in.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Whether it is what `expected` gives, by the checksums of its parts.
    ///
    /// # Errors
    /// Where the first difference is: a part, or the length.
    pub fn is(&self, expected: &mut impl Read) -> Result<(), String> {
        for (index, part) in self.parts.iter().enumerate() {
            let found = sum(&mut expected.take(part.bytes)).expect("expected bytes can be read");
            if found != *part {
                return Err(format!("part {}: {part:?} where {found:?} was expected", index + 1));
            }
        }
        match sum(expected).expect("expected bytes can be read").bytes {
            0 => Ok(()),
            more => Err(format!("ends {more} bytes too early")),
        }
    }
}

impl Sink {
    /// The object at `key`.
    pub fn object(&self, key: &str) -> Option<Kept> {
        self.state.lock().unwrap().objects.get(key).cloned()
    }

    /// Its keys.
    pub fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    /// How many uploads are unfinished.
    pub fn unfinished(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// From now on, parts are not answered, or are again.
    pub fn hold(&self, is_closed: bool) {
        self.gate.lock().unwrap().is_closed = is_closed;
        self.opened.notify_all();
    }

    /// How many parts wait to be answered.
    pub fn held(&self) -> usize {
        self.gate.lock().unwrap().waiting
    }

    /// Waits while parts are held.
    fn pass(&self) {
        let mut gate = self.gate.lock().unwrap();
        gate.waiting += 1;
        gate = self.opened.wait_while(gate, |gate| gate.is_closed).unwrap();
        gate.waiting -= 1;
    }

    /// Answers a request.
    pub(super) fn answer(
        &self,
        head: &Head,
        key: &str,
        body: &mut impl Read,
        to: &mut impl Write,
    ) -> io::Result<()> {
        let key = unescape(&key.replace('+', "%2B"));
        match (head.method(), head.query("uploadId")) {
            ("GET", None) if key.is_empty() && head.query("uploads").is_some() => self.uploads(head, to),
            ("POST", None) if key.is_empty() && head.query("delete").is_some() => self.delete(body, to),
            (_, None) if key.is_empty() => listed(head, &self.listing(), to),
            ("POST", None) => self.begin(&key, to),
            ("PUT", Some(id)) => self.part(head, &id, body, to),
            ("POST", Some(id)) => self.complete(&id, body, to),
            ("DELETE", Some(id)) => {
                self.state.lock().unwrap().uploads.remove(&id);
                answer(to, "204 No Content", "", b"")
            }
            ("PUT", None) => self.put(head, key, body, to),
            ("DELETE", None) => {
                self.state.lock().unwrap().objects.remove(&key);
                answer(to, "204 No Content", "", b"")
            }
            ("GET" | "HEAD", None) => self.get(head, &key, to),
            _ => refuse(to, "405 Method Not Allowed", "MethodNotAllowed"),
        }
    }

    fn listing(&self) -> Vec<(String, u64, String)> {
        let state = self.state.lock().unwrap();
        let listed = |(key, object): (&String, &Kept)| (key.clone(), object.bytes(), e_tag(&object.parts));
        state.objects.iter().map(listed).collect()
    }

    fn uploads(&self, head: &Head, to: &mut impl Write) -> io::Result<()> {
        let prefix = head.query("prefix").unwrap_or_default();
        let state = self.state.lock().unwrap();
        let uploads: String = state
            .uploads
            .iter()
            .filter(|(_, (key, _))| key.starts_with(&prefix))
            .map(|(id, (key, _))| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>"))
            .collect();
        drop(state);
        let document = format!(
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{uploads}</ListMultipartUploadsResult>"
        );
        answer(to, "200 OK", "Content-Type: application/xml\r\n", document.as_bytes())
    }

    fn begin(&self, key: &str, to: &mut impl Write) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.begun += 1;
        let id = format!("upload-{}", state.begun);
        state.uploads.insert(id.clone(), (key.to_owned(), BTreeMap::new()));
        drop(state);
        let document = format!(
            "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        );
        answer(to, "200 OK", "Content-Type: application/xml\r\n", document.as_bytes())
    }

    fn part(&self, head: &Head, id: &str, body: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
        let part = sum(body)?;
        if Some(part.bytes) != head.body_bytes() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let number = head.query("partNumber").and_then(|number| number.parse().ok());
        self.pass();
        let e_tag = e_tag(std::slice::from_ref(&part));
        let mut state = self.state.lock().unwrap();
        let is_taken = match (state.uploads.get_mut(id), number) {
            (Some((_, parts)), Some(number @ 1..=10_000)) => {
                parts.insert(number, part);
                true
            }
            _ => false,
        };
        drop(state);
        match is_taken {
            true => answer(to, "200 OK", &format!("ETag: {e_tag}\r\n"), b""),
            false => refuse(to, "404 Not Found", "NoSuchUpload"),
        }
    }

    fn complete(&self, id: &str, body: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
        let mut document = String::new();
        body.read_to_string(&mut document)?;
        let numbers: Vec<u32> = document
            .split("<PartNumber>")
            .skip(1)
            .filter_map(|rest| rest.split('<').next()?.parse().ok())
            .collect();
        let mut state = self.state.lock().unwrap();
        let Some((key, mut parts)) = state.uploads.remove(id) else {
            drop(state);
            return refuse(to, "404 Not Found", "NoSuchUpload");
        };
        let parts: Option<Vec<Part>> = numbers.iter().map(|number| parts.remove(number)).collect();
        let Some(parts) = parts.filter(|parts| !parts.is_empty()) else {
            drop(state);
            return refuse(to, "400 Bad Request", "InvalidPart");
        };
        let e_tag = e_tag(&parts);
        state.objects.insert(key.clone(), Kept { parts, content: None });
        drop(state);
        let document = format!(
            "<CompleteMultipartUploadResult><Bucket>{}</Bucket><Key>{key}</Key><ETag>{e_tag}</ETag></CompleteMultipartUploadResult>",
            super::OUTPUT
        );
        answer(to, "200 OK", "Content-Type: application/xml\r\n", document.as_bytes())
    }

    fn put(&self, head: &Head, key: String, body: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
        let mut content = Vec::new();
        body.take(KEPT_BYTES_MAX).read_to_end(&mut content)?;
        let head_of = sum(&mut content.as_slice())?;
        let rest = sum(body)?;
        if Some(head_of.bytes + rest.bytes) != head.body_bytes() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let is_small = rest.bytes == 0;
        let parts = if is_small { vec![head_of] } else { vec![head_of, rest] };
        let e_tag = e_tag(&parts);
        let mut state = self.state.lock().unwrap();
        if head.header("if-none-match").is_some() && state.objects.contains_key(&key) {
            drop(state);
            return refuse(to, "412 Precondition Failed", "PreconditionFailed");
        }
        state.objects.insert(key, Kept { parts, content: is_small.then_some(content) });
        drop(state);
        answer(to, "200 OK", &format!("ETag: {e_tag}\r\n"), b"")
    }

    /// Removes the keys that the body lists.
    fn delete(&self, body: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
        let mut document = String::new();
        body.read_to_string(&mut document)?;
        let mut deleted = String::new();
        let mut state = self.state.lock().unwrap();
        for key in document.split("<Key>").skip(1).filter_map(|rest| rest.split('<').next()) {
            state.objects.remove(key);
            deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
        }
        drop(state);
        let document = format!("<DeleteResult>{deleted}</DeleteResult>");
        answer(to, "200 OK", "Content-Type: application/xml\r\n", document.as_bytes())
    }

    fn get(&self, head: &Head, key: &str, to: &mut impl Write) -> io::Result<()> {
        let Some(object) = self.object(key) else { return refuse(to, "404 Not Found", "NoSuchKey") };
        let content = match (&object.content, head.method()) {
            (_, "HEAD") => &[],
            (Some(content), _) => content.as_slice(),
            (None, _) => return refuse(to, "501 Not Implemented", "NotImplemented"),
        };
        write!(
            to,
            "HTTP/1.1 200 OK\r\nETag: {}\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
            e_tag(&object.parts),
            object.bytes()
        )?;
        to.write_all(content)?;
        to.flush()
    }
}

/// What is kept of `bytes`.
fn sum(bytes: &mut impl Read) -> io::Result<Part> {
    let mut crc = Crc::new();
    let mut piece = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        match bytes.read(&mut piece)? {
            0 => return Ok(Part { bytes: length, checksum: crc.sum() }),
            count => {
                crc.update(&piece[..count]);
                length += count as u64;
            }
        }
    }
}

fn e_tag(parts: &[Part]) -> String {
    let sums: Vec<String> = parts.iter().take(8).map(|part| format!("{:08x}", part.checksum)).collect();
    format!("\"{}-{}\"", sums.join(""), parts.len())
}
