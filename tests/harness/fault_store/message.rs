//! Heads of HTTP messages, as far as a store between two others needs them: read, asked, written again.

use std::io::{self, BufRead, Read, Write};

/// The largest head. Reason: S3's own limit on headers is 8 KiB; eight times that is a mistake of the test.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// The first line and the headers of a request or an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// `GET /bucket/key HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub first: String,
    /// As they were sent.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The next head; `None` at the end of the stream.
    ///
    /// # Errors
    /// When the stream breaks, ends inside a head, or holds something else.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut limited = reader.take(HEAD_BYTES_MAX);
        let Some(first) = line(&mut limited)? else { return Ok(None) };
        let mut headers = Vec::new();
        loop {
            let line = line(&mut limited)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                return Ok(Some(Self { first, headers }));
            }
            let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A request's method.
    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    /// A request's path, as it was sent.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// What a request's query says of `name`: the empty string where it only names it.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target().split_once('?')?;
        query.split('&').find_map(|pair| {
            let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
            (found == name).then(|| unescape(value))
        })
    }

    /// A request's path and query.
    pub fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// An answer's status.
    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// How long the body is, where the head says so.
    pub fn body_bytes(&self) -> Option<u64> {
        self.header("content-length").and_then(|length| length.parse().ok())
    }

    /// Its bytes, without `Connection` and with the headers in `more`.
    pub fn to_bytes(&self, more: &str) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("connection"))
        {
            text += &format!("{name}: {value}\r\n");
        }
        text += more;
        text += "\r\n";
        text.into_bytes()
    }
}

/// The next line, without its end; `None` at the end of the stream.
fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    match line.strip_suffix("\r\n") {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Text of a query without its escapes.
pub fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()))
            .flatten();
        plain.push(match (escaped, bytes[at]) {
            (Some(byte), _) => byte,
            (None, b'+') => b' ',
            (None, byte) => byte,
        });
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Writes an answer without a body of ours: `status` is `200 OK`, each of `headers` ends with a line end.
///
/// # Errors
/// When nobody listens.
pub fn answer(to: &mut impl Write, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    to.write_all(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n").as_bytes())?;
    to.write_all(body)?;
    to.flush()
}

/// Writes one of S3's errors.
///
/// # Errors
/// When nobody listens.
pub fn refuse(to: &mut impl Write, status: &str, code: &str) -> io::Result<()> {
    let body = format!("<Error><Code>{code}</Code><Message>as the schedule says</Message></Error>");
    answer(to, status, "Content-Type: application/xml\r\n", body.as_bytes())
}
