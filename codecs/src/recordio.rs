//! RecordIO frames: `u32 magic | u32 flag:3,length:29 | payload | zero padding to 4 bytes`, little-endian. A record is
//! one whole frame, or a first, some middle and a last one whose payloads are joined with the magic between them (a
//! writer that scans for the magic cuts it out of the payload). A length is only ever compared with the bytes there.

use crate::framing::Fault;
use crate::{DecodeError, Place};

const MAGIC: u32 = 0xCED7_230A;
pub(crate) const HEADER_BYTES: usize = 8;
const LENGTH_BITS: u32 = 29;

/// The longest payload of one frame: what 29 bits hold.
pub(crate) const PAYLOAD_BYTES_MAX: usize = (1 << LENGTH_BITS) - 1;

/// Which part of a record a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    First,
    Middle,
    Last,
}

impl Part {
    /// Whether a record ends with it.
    pub(crate) fn is_last(self) -> bool {
        matches!(self, Self::Whole | Self::Last)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) part: Part,
    pub(crate) length: usize,
}

impl Header {
    #[inline]
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Fault> {
        let (words, _) = bytes.as_chunks();
        let (magic, word) = (u32::from_le_bytes(words[0]), u32::from_le_bytes(words[1]));
        if magic != MAGIC {
            return Err(wrong_magic(magic));
        }
        let part = match word >> LENGTH_BITS {
            0 => Part::Whole,
            1 => Part::First,
            2 => Part::Middle,
            3 => Part::Last,
            flag => return Err(Fault::unexpected(4, "a part flag from 0 to 3", flag.to_string())),
        };
        Ok(Self { part, length: word as usize & PAYLOAD_BYTES_MAX })
    }

    pub(crate) fn frame_bytes(self) -> usize {
        HEADER_BYTES + self.length + padding(self.length)
    }

    /// Holds `padding`, what of the frame is behind the payload, to zeros.
    #[inline]
    pub(crate) fn check_padding(self, padding: &[u8]) -> Result<(), Fault> {
        match padding.iter().find(|&&byte| byte != 0) {
            Some(stray) => {
                let at = HEADER_BYTES + self.length;
                Err(Fault::unexpected(at, "padding of zero bytes", format!("{stray:#04X}")))
            }
            None => Ok(()),
        }
    }
}

#[cold]
fn wrong_magic(found: u32) -> Fault {
    Fault::unexpected(0, "the RecordIO magic 0xCED7230A", format!("{found:#010X}"))
}

fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

/// The length of the first record of `body`, frames and padding included.
#[inline(always)]
fn record_bytes(body: &[u8]) -> Result<usize, Fault> {
    let (mut at, mut is_open) = (0, false);
    loop {
        let rest = &body[at..];
        let Some(header) = rest.first_chunk() else {
            check_begun_magic(rest).map_err(|fault| fault.moved(at))?;
            return Err(truncation(body.len(), rest.len(), None));
        };
        let header = Header::parse(header).map_err(|fault| fault.moved(at))?;
        check_order(header.part, is_open).map_err(|fault| fault.moved(at))?;
        let Some(frame) = rest.get(..header.frame_bytes()) else {
            return Err(truncation(body.len(), rest.len(), Some(header)));
        };
        let padding = &frame[HEADER_BYTES + header.length..];
        header.check_padding(padding).map_err(|fault| fault.moved(at))?;
        at += frame.len();
        is_open = !header.part.is_last();
        if !is_open {
            return Ok(at);
        }
    }
}

/// What the end of the data, at `end`, cuts off: a frame of which `seen` bytes came, and its header, where that is whole.
#[cold]
pub(crate) fn truncation(end: usize, seen: usize, header: Option<Header>) -> Fault {
    let (expected, found) = match header {
        Some(header) => {
            ("a whole frame", format!("the end after {seen} of its {} bytes", header.frame_bytes()))
        }
        None if seen == 0 => ("the last part of a record", "the end".to_owned()),
        None => ("a frame header of 8 bytes", format!("the end after {seen} of them")),
    };
    Fault::unexpected(end, expected, found)
}

/// Whether a frame of `part` may stand where a record is open, or is not.
pub(crate) fn check_order(part: Part, is_open: bool) -> Result<(), Fault> {
    let continues = matches!(part, Part::Middle | Part::Last);
    if continues == is_open {
        return Ok(());
    }
    let (expected, found) = match is_open {
        true => ("a middle or last part", "the start of another record"),
        false => ("a whole record or a first part", "a middle or last part"),
    };
    Err(Fault::unexpected(4, expected, found.to_owned()))
}

/// Fewer bytes than a header: a wrong magic is an error already.
#[cold]
pub(crate) fn check_begun_magic(header: &[u8]) -> Result<(), Fault> {
    match header.first_chunk() {
        Some(magic) if *magic != MAGIC.to_le_bytes() => Err(wrong_magic(u32::from_le_bytes(*magic))),
        _ => Ok(()),
    }
}

/// The payload of a record whose frames have been checked: a part of `record`, or joined in `joined`.
pub(crate) fn payload<'a>(record: &'a [u8], joined: &'a mut Vec<u8>) -> &'a [u8] {
    let (header, rest) = split_header(record);
    if header.part == Part::Whole {
        return &rest[..header.length];
    }
    joined.clear();
    let mut frames = record;
    loop {
        let (header, rest) = split_header(frames);
        joined.extend_from_slice(&rest[..header.length]);
        if header.part == Part::Last {
            return joined;
        }
        joined.extend_from_slice(&MAGIC.to_le_bytes());
        frames = &frames[header.frame_bytes()..];
    }
}

#[inline]
fn split_header(frames: &[u8]) -> (Header, &[u8]) {
    let (header, rest) = frames.split_first_chunk().expect("the scan has seen the header");
    (Header::parse(header).expect("the scan has parsed the header"), rest)
}

/// Appends a frame whose payload `write` appends; its length is what was written.
///
/// # Panics
/// When `write` appends more than [`PAYLOAD_BYTES_MAX`]: the caller has checked.
pub(crate) fn write_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = out.len() - start - HEADER_BYTES;
    assert!(length <= PAYLOAD_BYTES_MAX, "a frame holds what 29 bits count");
    out[start + 4..start + HEADER_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&[0; 3][..padding(length)]);
}

/// The payload of one record of a body, and where it is.
pub(crate) struct Payload<'a> {
    pub(crate) bytes: &'a [u8],
    /// The record's number, from 1.
    pub(crate) row: usize,
    /// Where the payload starts in the body; of a record in parts, where its first frame starts.
    pub(crate) start: usize,
    /// Whether parts were joined, so that offsets in `bytes` say nothing about the body.
    pub(crate) is_joined: bool,
}

/// The records of a whole body, one after the other.
pub(crate) struct Records<'a> {
    body: &'a [u8],
    at: usize,
    row: usize,
    joined: Vec<u8>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, row: 0, joined: Vec::new() }
    }

    /// The next payload, `None` at the end of the body.
    #[inline]
    pub(crate) fn next_payload(&mut self) -> Result<Option<Payload<'_>>, DecodeError> {
        let rest = &self.body[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        self.row += 1;
        let length = record_bytes(rest).map_err(|fault| refusal(fault, self.row, self.at))?;
        let record = &rest[..length];
        let (start, row) = (self.at, self.row);
        self.at += record.len();
        let (header, rest) = split_header(record);
        if header.part == Part::Whole {
            let (bytes, start) = (&rest[..header.length], start + HEADER_BYTES);
            return Ok(Some(Payload { bytes, row, start, is_joined: false }));
        }
        Ok(Some(Payload { bytes: payload(record, &mut self.joined), row, start, is_joined: true }))
    }
}

#[cold]
fn refusal(fault: Fault, row: usize, start: usize) -> DecodeError {
    let Fault::Unexpected { at, expected, found } = fault else {
        unreachable!("a body sets no limit of its own")
    };
    let place = Place { row: Some(row), column: None, byte: Some(start + at) };
    DecodeError::malformed(place, expected, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(flag: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(&mut out, |out| out.extend_from_slice(payload));
        out[7] |= (flag << 5) as u8;
        out
    }

    fn payloads(body: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let mut records = Records::new(body);
        let mut all = Vec::new();
        while let Some(payload) = records.next_payload().map_err(|error| error.to_string())? {
            all.push(payload.bytes.to_vec());
        }
        Ok(all)
    }

    fn check(body: &[u8], expected: Result<&[&[u8]], &str>) {
        let expected =
            expected.map(|all| all.iter().map(|one| one.to_vec()).collect()).map_err(str::to_owned);
        assert_eq!(payloads(body), expected);
    }

    #[test]
    fn whole_records() {
        check(b"", Ok(&[]));
        check(&frame(0, b""), Ok(&[b""]));
        check(&[frame(0, b"abcde"), frame(0, b"wxyz")].concat(), Ok(&[b"abcde", b"wxyz"]));
    }

    #[test]
    fn parts_are_joined_with_the_magic_between_them() {
        let body = [frame(1, b"ab"), frame(2, b""), frame(3, b"cdefg"), frame(0, b"z")].concat();
        check(&body, Ok(&[b"ab\x0A\x23\xD7\xCE\x0A\x23\xD7\xCEcdefg", b"z"]));
    }

    #[test]
    fn damage_is_named_with_record_and_byte() {
        let good = frame(0, b"abcd");
        let with = |tail: &[u8]| [&good, tail].concat();
        check(
            &with(b"\0\0\0\0"),
            Err("row 2, byte 12: expected the RecordIO magic 0xCED7230A, found 0x00000000"),
        );
        check(
            &with(&MAGIC.to_be_bytes()),
            Err("row 2, byte 12: expected the RecordIO magic 0xCED7230A, found 0x0A23D7CE"),
        );
        check(
            &with(&good[..6]),
            Err("row 2, byte 18: expected a frame header of 8 bytes, found the end after 6 of them"),
        );
        check(
            &with(&good[..9]),
            Err("row 2, byte 21: expected a whole frame, found the end after 9 of its 12 bytes"),
        );
        check(
            &frame(0, b"abcde")[..14],
            Err("row 1, byte 14: expected a whole frame, found the end after 14 of its 16 bytes"),
        );
        check(
            &with(&frame(3, b"x")),
            Err("row 2, byte 16: expected a whole record or a first part, found a middle or last part"),
        );
        check(
            &[frame(1, b"x"), frame(0, b"y")].concat(),
            Err("row 1, byte 16: expected a middle or last part, found the start of another record"),
        );
        check(&frame(1, b"x"), Err("row 1, byte 12: expected the last part of a record, found the end"));
        check(&frame(5, b"x"), Err("row 1, byte 4: expected a part flag from 0 to 3, found 5"));
        let mut padded = frame(0, b"x");
        padded[10] = 7;
        check(&padded, Err("row 1, byte 9: expected padding of zero bytes, found 0x07"));
        let lie = [MAGIC.to_le_bytes(), (PAYLOAD_BYTES_MAX as u32).to_le_bytes()].concat();
        check(
            &lie,
            Err("row 1, byte 8: expected a whole frame, found the end after 8 of its 536870920 bytes"),
        );
    }
}
