//! AWS's event streams (`application/vnd.amazon.eventstream`): messages of named headers and a payload, framed by lengths
//! and checksums.
//!
//! Writing goes straight into one buffer; reading is for the tests and for clients, and believes nothing it reads.

/// The media type of an event stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Bytes before the headers: the two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;

/// The checksum behind the payload.
const CHECKSUM_BYTES: usize = 4;

/// The largest message that is read. Reason: the protocol's own limit.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The longest headers of a message. Reason: the protocol's own limit.
const HEADERS_BYTES_MAX: usize = 128 << 10;

/// The type of a header whose value is a string; the only one that is written.
const STRING: u8 = 7;

/// Appends a message to `out`.
///
/// # Panics
/// When a name is longer than 255 bytes or a value than 65,535: both are ours.
pub fn write(headers: &[(&str, &str)], payload: &[u8], out: &mut Vec<u8>) {
    let headers_bytes: usize = headers.iter().map(|(name, value)| 4 + name.len() + value.len()).sum();
    let total_bytes = PRELUDE_BYTES + headers_bytes + payload.len() + CHECKSUM_BYTES;
    out.reserve(total_bytes);
    let start = out.len();
    out.extend_from_slice(&length(total_bytes));
    out.extend_from_slice(&length(headers_bytes));
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
    for (name, value) in headers {
        out.push(u8::try_from(name.len()).expect("our names are short"));
        out.extend_from_slice(name.as_bytes());
        out.push(STRING);
        out.extend_from_slice(&u16::try_from(value.len()).expect("our values are short").to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("a message has less than 4 GiB").to_be_bytes()
}

/// Appends an event of `kind` (`PayloadPart`) that carries raw bytes.
pub fn write_event(kind: &str, payload: &[u8], out: &mut Vec<u8>) {
    let headers =
        [(":message-type", "event"), (":event-type", kind), (":content-type", "application/octet-stream")];
    write(&headers, payload, out);
}

/// Appends an exception of `kind` (`ModelStreamError`), whose members are JSON.
pub fn write_exception(kind: &str, members: &serde_json::Value, out: &mut Vec<u8>) {
    let headers =
        [(":message-type", "exception"), (":exception-type", kind), (":content-type", "application/json")];
    write(&headers, members.to_string().as_bytes(), out);
}

/// A message, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its headers of type string, in their order.
    pub headers: Vec<(&'a str, &'a str)>,
    /// What it carries.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// The header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| *candidate == name).map(|&(_, value)| value)
    }
}

/// Why bytes are not an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventStreamError {
    /// A length that cannot be.
    #[error("event stream: expected {expected}, found {found}")]
    Length {
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: usize,
    },
    /// A checksum that does not fit.
    #[error("event stream: expected the checksum {expected:08x} of the {part}, found {found:08x}")]
    Checksum {
        /// Of what.
        part: &'static str,
        /// What it is by the bytes.
        expected: u32,
        /// What stands there.
        found: u32,
    },
    /// A header that is cut off, of another type, or not text.
    #[error("event stream: expected headers of type string, found {0}")]
    Header(&'static str),
}

/// The first message of `bytes` and how long it is; `None` when it is not there in full yet.
///
/// # Errors
/// When no message begins so.
pub fn read(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, EventStreamError> {
    let Some((prelude, _)) = bytes.split_at_checked(PRELUDE_BYTES) else { return Ok(None) };
    let number =
        |at: usize| u32::from_be_bytes([prelude[at], prelude[at + 1], prelude[at + 2], prelude[at + 3]]);
    checked("prelude", &prelude[..8], number(8))?;
    let (total_bytes, headers_bytes) = (number(0) as usize, number(4) as usize);
    if !(PRELUDE_BYTES + CHECKSUM_BYTES..=MESSAGE_BYTES_MAX).contains(&total_bytes) {
        return Err(EventStreamError::Length {
            expected: "a message of 16 bytes to 16 MiB",
            found: total_bytes,
        });
    }
    let room = total_bytes - PRELUDE_BYTES - CHECKSUM_BYTES;
    if headers_bytes > room.min(HEADERS_BYTES_MAX) {
        return Err(EventStreamError::Length {
            expected: "headers that fit their message",
            found: headers_bytes,
        });
    }
    let Some(message) = bytes.get(..total_bytes) else { return Ok(None) };
    let (checked_bytes, checksum) = message.split_at(total_bytes - CHECKSUM_BYTES);
    checked(
        "message",
        checked_bytes,
        u32::from_be_bytes([checksum[0], checksum[1], checksum[2], checksum[3]]),
    )?;
    let (headers, payload) = checked_bytes[PRELUDE_BYTES..].split_at(headers_bytes);
    Ok(Some((Message { headers: read_headers(headers)?, payload }, total_bytes)))
}

fn checked(part: &'static str, bytes: &[u8], found: u32) -> Result<(), EventStreamError> {
    let expected = crc32fast::hash(bytes);
    if expected == found { Ok(()) } else { Err(EventStreamError::Checksum { part, expected, found }) }
}

fn read_headers(mut bytes: &[u8]) -> Result<Vec<(&str, &str)>, EventStreamError> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name = text(take(&mut bytes, 1)?[0].into(), &mut bytes)?;
        if take(&mut bytes, 1)?[0] != STRING {
            return Err(EventStreamError::Header("another type"));
        }
        let length = take(&mut bytes, 2)?;
        let value = text(u16::from_be_bytes([length[0], length[1]]).into(), &mut bytes)?;
        headers.push((name, value));
    }
    Ok(headers)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], EventStreamError> {
    let (taken, rest) =
        bytes.split_at_checked(count).ok_or(EventStreamError::Header("their end within one"))?;
    *bytes = rest;
    Ok(taken)
}

fn text<'a>(count: usize, bytes: &mut &'a [u8]) -> Result<&'a str, EventStreamError> {
    std::str::from_utf8(take(bytes, count)?).map_err(|_| EventStreamError::Header("bytes that are not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_event("PayloadPart", payload, &mut out);
        out
    }

    #[test]
    fn a_message_has_the_protocols_bytes() {
        let mut out = Vec::new();
        write(&[], b"", &mut out);
        // The empty message of the protocol's own test vectors.
        assert_eq!(out, [0, 0, 0, 16, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff]);
        out.clear();
        write(&[("a", "bc")], b"xyz", &mut out);
        assert_eq!(out[..8], [0, 0, 0, 26, 0, 0, 0, 7]);
        assert_eq!(out[12..22], *b"\x01a\x07\x00\x02bcxyz");
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = event(b"0.5\n");
        let first = out.len();
        write_exception("ModelStreamError", &serde_json::json!({"Message": "m"}), &mut out);
        let (message, length) = read(&out).unwrap().unwrap();
        assert_eq!((message.payload, length), (&b"0.5\n"[..], first));
        assert_eq!(message.header(":event-type"), Some("PayloadPart"));
        assert_eq!(message.header(":content-type"), Some("application/octet-stream"));
        let (message, length) = read(&out[first..]).unwrap().unwrap();
        assert_eq!((message.payload, length), (&br#"{"Message":"m"}"#[..], out.len() - first));
        assert_eq!(message.header(":message-type"), Some("exception"));
        assert_eq!(message.header(":exception-type"), Some("ModelStreamError"));
        assert_eq!(message.header(":event-type"), None);
    }

    #[test]
    fn half_a_message_is_not_one_yet() {
        let whole = event(b"payload");
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), Ok(None), "{length}");
        }
    }

    #[test]
    fn a_changed_byte_is_found() {
        let whole = event(b"payload");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            read(&changed).expect_err("a checksum does not fit");
        }
    }

    /// A prelude of these lengths whose checksum fits.
    fn prelude(total_bytes: u32, headers_bytes: u32) -> Vec<u8> {
        let mut bytes = [total_bytes.to_be_bytes(), headers_bytes.to_be_bytes()].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_before_anything_is_awaited() {
        for (total_bytes, headers_bytes) in [(15, 0), (0, 0), (16, 1), (u32::MAX, 0), (1 << 20, 200 << 10)] {
            let error = read(&prelude(total_bytes, headers_bytes)).expect_err("it cannot be");
            assert!(matches!(error, EventStreamError::Length { .. }), "{error}");
        }
        assert_eq!(read(&prelude(16 << 20, 0)), Ok(None));
    }

    /// A message of these bytes as headers.
    fn with_headers(headers: &[u8]) -> Vec<u8> {
        let mut bytes = prelude(16 + headers.len() as u32, headers.len() as u32);
        bytes.extend_from_slice(headers);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    #[test]
    fn headers_that_are_not_strings_are_refused() {
        for headers in [
            &b"\x01"[..],
            b"\x01a",
            b"\x01a\x07",
            b"\x01a\x07\x00\x02b",
            b"\x01a\x00",
            b"\x01\xff\x07\x00\x00",
        ] {
            let bytes = with_headers(headers);
            let error = read(&bytes).expect_err("no headers");
            assert!(matches!(error, EventStreamError::Header(_)), "{error}");
        }
        let bytes = with_headers(b"\x01a\x07\x00\x00");
        assert_eq!(read(&bytes).unwrap().unwrap().0.headers, [("a", "")]);
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let whole = event(b"payload");
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bytes.len();
                bytes[at] = (state >> 20) as u8;
            }
            // With the prelude's checksum made to fit, so that what lies behind it is reached too.
            let fits = crc32fast::hash(&bytes[..8]).to_be_bytes();
            bytes[8..12].copy_from_slice(&fits);
            if let Ok(Some((message, length))) = read(&bytes) {
                assert!(message.payload.len() < length && length <= bytes.len());
            }
        }
    }
}
