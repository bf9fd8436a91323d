//! A small, strict HTTP/1.1 response reader: status, framing, a few watched headers. It keeps no body.
//!
//! Strict because a load generator that forgives a broken answer reports a broken server as a fast one. Every length
//! has a limit, and nothing here panics on any bytes.

use std::ops::Range;

/// The longest head of an answer. Reason: servers send hundreds of bytes; 64 KiB leaves room for long cookies.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;

/// The most header lines of an answer. Reason: as above, and it bounds the work of one answer.
pub(crate) const HEADERS_MAX: usize = 128;

/// The longest body of an answer. Reason: 1 GiB is beyond any prediction; what is above is a runaway server.
pub(crate) const BODY_BYTES_MAX: u64 = 1 << 30;

/// The longest line of chunk framing or trailer. Reason: a size is 16 digits; extensions are rare and short.
const CHUNK_LINE_BYTES_MAX: usize = 4 << 10;

/// How many headers can be counted by value.
pub(crate) const WATCHED_MAX: usize = 8;

/// What is wrong with an answer.
pub(crate) type Malformed = &'static str;

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// Bytes of the head, the empty line included.
    pub(crate) bytes: usize,
    /// How the body ends.
    pub(crate) body: Body,
    /// Whether the connection can carry another request.
    pub(crate) keep_alive: bool,
    /// Where the values of the watched headers stand.
    pub(crate) watched: [Option<Range<usize>>; WATCHED_MAX],
}

/// How much of a body is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunks),
    /// Whatever comes before the connection closes.
    UntilClose {
        /// Bytes so far.
        bytes: u64,
    },
}

/// Reads a head from the front of `bytes`; `None` when it is not whole yet. `watched` are lower-case names.
pub(crate) fn parse_head(
    bytes: &[u8],
    watched: &[String],
    is_head_request: bool,
) -> Result<Option<Head>, Malformed> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX { Err("head over 64 KiB") } else { Ok(None) };
    };
    if end > HEAD_BYTES_MAX {
        return Err("head over 64 KiB");
    }
    let mut at = find(&bytes[..end + 2], b"\r\n").expect("the head ends with one");
    let (status, mut keep_alive) = parse_status_line(&bytes[..at])?;
    let mut framing = Framing::default();
    let mut places = [const { None }; WATCHED_MAX];
    at += 2;
    let mut count = 0;
    while at < end + 2 {
        count += 1;
        if count > HEADERS_MAX {
            return Err("over 128 header lines");
        }
        let length = find(&bytes[at..end + 2], b"\r\n").expect("the head ends with one");
        let line = at..at + length;
        at = line.end + 2;
        let (name, value) = split_header(bytes, line)?;
        framing.header(&bytes[name.clone()], &bytes[value.clone()], &mut keep_alive)?;
        for (place, watched) in places.iter_mut().zip(watched) {
            if bytes[name.clone()].eq_ignore_ascii_case(watched.as_bytes()) {
                *place = Some(value.clone());
            }
        }
    }
    let body = framing.body(status, is_head_request)?;
    keep_alive &= !matches!(body, Body::UntilClose { .. });
    Ok(Some(Head { status, bytes: end + 4, body, keep_alive, watched: places }))
}

/// `HTTP/1.1 200 OK` to the status and whether the version keeps connections alive.
fn parse_status_line(line: &[u8]) -> Result<(u16, bool), Malformed> {
    let keep_alive = match line.get(..9) {
        Some(b"HTTP/1.1 ") => true,
        Some(b"HTTP/1.0 ") => false,
        _ => return Err("status line is not HTTP/1.1"),
    };
    let digits = line.get(9..12).filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let digits = digits.ok_or("status is not three digits")?;
    if !matches!(line.get(12), None | Some(b' ')) {
        return Err("status is not three digits");
    }
    if has_control(line) {
        return Err("control character in the status line");
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    if (100..600).contains(&status) { Ok((status, keep_alive)) } else { Err("status is not in 100..600") }
}

/// The places of a header line's name and trimmed value.
fn split_header(bytes: &[u8], line: Range<usize>) -> Result<(Range<usize>, Range<usize>), Malformed> {
    let text = &bytes[line.clone()];
    let colon = memchr::memchr(b':', text).ok_or("header line without a colon")?;
    if colon == 0 || !text[..colon].iter().all(|&byte| TOKEN_BYTES[usize::from(byte)]) {
        return Err("header name is not a token");
    }
    let value = &text[colon + 1..];
    if has_control(value) {
        return Err("control character in a header value");
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let lead = value.iter().take_while(|byte| is_blank(byte)).count();
    let tail = value[lead..].iter().rev().take_while(|byte| is_blank(byte)).count();
    Ok((line.start..line.start + colon, line.start + colon + 1 + lead..line.end - tail))
}

/// Which bytes a name may hold: a table, since an answer has a hundred of them.
const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'#'..=b'\'' | b'*' | b'+')
            || matches!(byte as u8, b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
        byte += 1;
    }
    table
};

/// What the headers say of the body's end.
#[derive(Debug, Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    fn header(&mut self, name: &[u8], value: &[u8], keep_alive: &mut bool) -> Result<(), Malformed> {
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = parse_decimal(value).ok_or("content-length is not a number")?;
            if self.length.replace(length).is_some() {
                return Err("content-length twice");
            }
            if length > BODY_BYTES_MAX {
                return Err("body over 1 GiB");
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err("transfer-encoding is not exactly chunked");
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            let has = |word: &[u8]| {
                value.split(|b| *b == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
            };
            *keep_alive = !has(b"close") && (*keep_alive || has(b"keep-alive"));
        }
        Ok(())
    }

    fn body(&self, status: u16, is_head_request: bool) -> Result<Body, Malformed> {
        if self.chunked && self.length.is_some() {
            return Err("both content-length and transfer-encoding");
        }
        if is_head_request || status < 200 || status == 204 || status == 304 {
            return Ok(Body::Length(0));
        }
        Ok(match (self.chunked, self.length) {
            (true, _) => Body::Chunked(Chunks::default()),
            (_, Some(length)) => Body::Length(length),
            _ => Body::UntilClose { bytes: 0 },
        })
    }
}

impl Body {
    /// Takes what belongs to the body from the front of `bytes`: how many, and whether the body ends there.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                Ok((taken, *left == 0))
            }
            Self::Chunked(chunks) => chunks.feed(bytes),
            Self::UntilClose { bytes: total } => {
                *total += bytes.len() as u64;
                if *total > BODY_BYTES_MAX { Err("body over 1 GiB") } else { Ok((bytes.len(), false)) }
            }
        }
    }
}

/// The state of a chunked body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    state: ChunkState,
    /// The unfinished framing line.
    line: Vec<u8>,
    /// Bytes of all chunks so far.
    total: u64,
    trailers: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ChunkState {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
}

impl Chunks {
    fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            if let ChunkState::Data(left) = self.state {
                let taken = usize::try_from(left).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                at += taken;
                let left = left - taken as u64;
                self.state = if left == 0 { ChunkState::DataEnd } else { ChunkState::Data(left) };
                continue;
            }
            let byte = bytes[at];
            at += 1;
            self.line.push(byte);
            if self.line.len() > CHUNK_LINE_BYTES_MAX {
                return Err("chunk line over 4 KiB");
            }
            if byte == b'\n' && self.end_line()? {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// Acts on one line of framing; true when the body ends with it.
    fn end_line(&mut self) -> Result<bool, Malformed> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r\n").ok_or("chunk line does not end with CRLF")?;
        let ended = match self.state {
            ChunkState::Size => {
                self.state = self.begin_chunk(line)?;
                false
            }
            ChunkState::DataEnd if line.is_empty() => {
                self.state = ChunkState::Size;
                false
            }
            ChunkState::DataEnd => return Err("chunk does not end with CRLF"),
            ChunkState::Trailer if line.is_empty() => true,
            ChunkState::Trailer => {
                self.trailers += 1;
                if self.trailers > HEADERS_MAX {
                    return Err("over 128 trailer lines");
                }
                false
            }
            ChunkState::Data(_) => unreachable!("data has no lines"),
        };
        Ok(ended)
    }

    fn begin_chunk(&mut self, line: &[u8]) -> Result<ChunkState, Malformed> {
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        if digits.is_empty() || digits.len() > 16 {
            return Err("chunk size is not a hexadecimal number");
        }
        let mut size = 0u64;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16).ok_or("chunk size is not a hexadecimal number")?;
            size = size << 4 | u64::from(digit);
        }
        self.total = self.total.saturating_add(size);
        if self.total > BODY_BYTES_MAX {
            return Err("body over 1 GiB");
        }
        Ok(if size == 0 { ChunkState::Trailer } else { ChunkState::Data(size) })
    }
}

/// Digits only: no sign, no blank, no overflow.
fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text.iter().try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// The first place of `needle`, which ends in a newline.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
    ends.filter(|&end| bytes[..end].ends_with(needle)).map(|end| end - needle.len()).next()
}

/// Whether a value holds what no value may; a plain loop over all bytes, which the compiler makes wide.
fn has_control(value: &[u8]) -> bool {
    value.iter().fold(false, |found, &byte| found | (byte.is_ascii_control() & (byte != b'\t')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, Malformed> {
        parse_head(text.as_bytes(), &["x-clary-artifact".to_owned()], false)
    }

    /// Feeds `text` whole, then byte by byte: (status, body bytes consumed, ended), the same both ways.
    fn read(text: &str) -> Result<(u16, usize, bool), Malformed> {
        let head = head(text)?.ok_or("head is not whole")?;
        let rest = &text.as_bytes()[head.bytes..];
        let (taken, ended) = head.body.clone().feed(rest)?;
        let mut body = head.body.clone();
        let (mut taken_singly, mut ended_singly) = (0, false);
        while taken_singly < rest.len() && !ended_singly {
            let (one, end) = body.feed(&rest[taken_singly..=taken_singly])?;
            taken_singly += one;
            ended_singly = end;
        }
        if !rest.is_empty() {
            assert_eq!((taken, ended), (taken_singly, ended_singly), "{text:?}");
        }
        Ok((head.status, taken, ended))
    }

    fn check(text: &str, expected: (u16, usize, bool)) {
        assert_eq!(read(text), Ok(expected), "{text:?}");
    }

    fn refuse(text: &str, reason: &str) {
        assert_eq!(read(text), Err(reason), "{text:?}");
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200, 5, true));
        check("HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhelloX", (200, 5, true));
        check("HTTP/1.1 200\r\nContent-Length: 5 \r\n\r\nhel", (200, 3, false));
        check("HTTP/1.1 204 No Content\r\n\r\n", (204, 0, true));
        check("HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", (503, 13, true));
        check(
            "HTTP/1.1 200 x\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: v\r\n\r\n",
            (200, 23, true),
        );
        check("HTTP/1.0 200 OK\r\n\r\nuntil the end", (200, 13, false));
    }

    #[test]
    fn hostile_answers_are_refused() {
        refuse("HTTP/2 200 OK\r\n\r\n", "status line is not HTTP/1.1");
        refuse("ICY 200 OK\r\n\r\n", "status line is not HTTP/1.1");
        refuse("\r\n\r\n", "status line is not HTTP/1.1");
        refuse("HTTP/1.1 20 OK\r\n\r\n", "status is not three digits");
        refuse("HTTP/1.1 2000 OK\r\n\r\n", "status is not three digits");
        refuse("HTTP/1.1 999 OK\r\n\r\n", "status is not in 100..600");
        refuse("HTTP/1.1 200 O\nK\r\n\r\n", "control character in the status line");
        refuse("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "header name is not a token");
        refuse("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "header line without a colon");
        refuse("HTTP/1.1 200 OK\r\n: b\r\n\r\n", "header name is not a token");
        refuse("HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n", "control character in a header value");
        refuse("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "content-length is not a number");
        refuse("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", "content-length is not a number");
        refuse(
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "content-length is not a number",
        );
        refuse("HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", "body over 1 GiB");
        refuse("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "content-length twice");
        refuse(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "transfer-encoding is not exactly chunked",
        );
        let both = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        refuse(both, "both content-length and transfer-encoding");
    }

    #[test]
    fn hostile_chunks_are_refused() {
        let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let size = "chunk size is not a hexadecimal number";
        for (body, reason) in [
            ("\r\n", size),
            ("x\r\n", size),
            ("-1\r\n", size),
            ("0x3\r\nabc\r\n", size),
            ("00000000000000001\r\n", size),
            ("3\nabc", "chunk line does not end with CRLF"),
            ("3\r\nabcd\r\n", "chunk does not end with CRLF"),
            ("ffffffffffffffff\r\n", "body over 1 GiB"),
            ("20000000\r\n", "body never ends"),
        ] {
            match read(&chunked(body)) {
                Ok((200, _, false)) => assert_eq!(reason, "body never ends", "{body:?}"),
                other => assert_eq!(other, Err(reason), "{body:?}"),
            }
        }
        refuse(&chunked(&format!("1;{}", "a".repeat(5_000))), "chunk line over 4 KiB");
        refuse(&chunked(&format!("0\r\n{}", "a: b\r\n".repeat(200))), "over 128 trailer lines");
    }

    #[test]
    fn heads_have_limits() {
        assert_eq!(head(&"a".repeat(HEAD_BYTES_MAX + 1)), Err("head over 64 KiB"));
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(head(&long), Err("head over 64 KiB"));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(head(&many), Err("over 128 header lines"));
        assert_eq!(head("HTTP/1.1 200 OK\r\nA: b\r\n"), Ok(None));
    }

    #[test]
    fn connections_are_kept_as_the_headers_say() {
        let kept = |text: &str| head(text).unwrap().unwrap().keep_alive;
        assert!(kept("HTTP/1.1 204 x\r\n\r\n"));
        assert!(!kept("HTTP/1.1 204 x\r\nConnection: foo, Close\r\n\r\n"));
        assert!(!kept("HTTP/1.0 204 x\r\n\r\n"));
        assert!(kept("HTTP/1.0 204 x\r\nConnection: keep-alive\r\n\r\n"));
        assert!(!kept("HTTP/1.1 200 x\r\n\r\n"), "a body until the end uses the connection up");
    }

    #[test]
    fn watched_headers_are_found_in_any_case() {
        let text = "HTTP/1.1 204 x\r\nX-CLARY-Artifact: \t abc \r\n\r\n";
        let head = head(text).unwrap().unwrap();
        assert_eq!(&text[head.watched[0].clone().unwrap()], "abc");
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let head = parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", &[], true).unwrap().unwrap();
        assert_eq!(head.body, Body::Length(0));
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut random = fastrand::Rng::with_seed(1);
        let seed = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 12\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..random.usize(1..6) {
                let place = random.usize(..bytes.len());
                bytes[place] = random.u8(..);
            }
            match parse_head(&bytes, &[], false) {
                Ok(Some(mut head)) => {
                    let rest = &bytes[head.bytes..];
                    if let Ok((taken, _)) = head.body.feed(rest) {
                        assert!(taken <= rest.len());
                    }
                }
                Ok(None) => {}
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 1_000, "{refused}");
    }
}
