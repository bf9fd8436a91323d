//! What a batch transform must write, without one: an object cut into records, packed into payloads, each payload asked of an
//! online endpoint, and the answers put together. Written plainly, apart from the code under test.

use crate::payload::frame;

/// What separates records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Nothing.
    None,
    /// Newlines.
    Line,
    /// Frames with a magic number.
    RecordIo,
    /// Frames with checksums.
    TfRecord,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Line, Self::RecordIo, Self::TfRecord];

    /// As the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Line => "Line",
            Self::RecordIo => "RecordIO",
            Self::TfRecord => "TFRecord",
        }
    }

    /// `contents`, one record each, as an object.
    pub fn join(self, contents: &[Vec<u8>]) -> Vec<u8> {
        let one = |content: &Vec<u8>| match self {
            Self::None | Self::Line => content.clone(),
            Self::RecordIo => frame(content),
            Self::TfRecord => tf_frame(content),
        };
        contents.iter().flat_map(one).collect()
    }

    /// The records of an object, as they stand in it.
    pub fn records(self, object: &[u8]) -> Vec<&[u8]> {
        let word = |at: usize| u32::from_le_bytes(object[at..at + 4].try_into().unwrap()) as usize;
        let mut records = Vec::new();
        let mut at = 0;
        while at < object.len() {
            let length = match self {
                Self::None => object.len(),
                Self::Line => object[at..]
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(object.len() - at, |end| end + 1),
                Self::RecordIo => 8 + (word(at + 4) & 0x1FFF_FFFF).next_multiple_of(4),
                Self::TfRecord => 16 + word(at),
            };
            records.push(&object[at..at + length]);
            at += length;
        }
        records
    }

    /// What a record holds.
    pub fn content(self, record: &[u8]) -> &[u8] {
        let length = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap()) as usize;
        match self {
            Self::None | Self::Line => record,
            Self::RecordIo => &record[8..8 + length(4)],
            Self::TfRecord => &record[12..12 + length(0)],
        }
    }

    /// The payloads of an object: one for each record, or as many records as fit `limit_bytes`. `None`: a record does not fit.
    pub fn payloads(self, object: &[u8], is_multi: bool, limit_bytes: usize) -> Option<Vec<Vec<u8>>> {
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        for record in self.records(object) {
            let record = if is_multi { record } else { self.content(record) };
            match payloads.last_mut() {
                Some(last) if is_multi && last.len() + record.len() <= limit_bytes => last.extend(record),
                _ if record.len() > limit_bytes => return None,
                _ => payloads.push(record.to_vec()),
            }
        }
        Some(payloads)
    }
}

/// The output of `answers`.
pub fn assemble(answers: &[Vec<u8>], with_lines: bool) -> Vec<u8> {
    let mut output = Vec::new();
    for answer in answers {
        output.extend(answer);
        if with_lines && !answer.is_empty() && !answer.ends_with(b"\n") {
            output.push(b'\n');
        }
    }
    output
}

/// A TFRecord frame around `payload`.
pub fn tf_frame(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let masked = |bytes: &[u8]| crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8).to_le_bytes();
    [&length[..], &masked(&length), payload, &masked(payload)].concat()
}

/// The Castagnoli checksum, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = !0u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ if sum & 1 == 1 { 0x82F6_3B78 } else { 0 };
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_records_come_apart_again() {
        let contents = vec![b"1,2\n".to_vec(), b"\n".to_vec(), b"3,4,5\r\n".to_vec()];
        for split in [Split::Line, Split::RecordIo, Split::TfRecord] {
            let object = split.join(&contents);
            let found: Vec<&[u8]> =
                split.records(&object).into_iter().map(|record| split.content(record)).collect();
            assert_eq!(found, contents, "{split:?}");
        }
    }

    #[test]
    fn payloads_are_as_full_as_they_can_be() {
        let check = |object: &str, limit, expected: Option<&[&str]>| {
            let found = Split::Line.payloads(object.as_bytes(), true, limit);
            let expected = expected.map(|all| all.iter().map(|one| one.as_bytes().to_vec()).collect());
            assert_eq!(found, expected, "{object:?} by {limit}");
        };
        check("", 4, Some(&[]));
        check("a\nb\nc", 4, Some(&["a\nb\n", "c"]));
        check("a\nb\nc", 5, Some(&["a\nb\nc"]));
        check("abcd\n", 4, None);
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }
}
