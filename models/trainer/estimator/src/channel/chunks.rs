//! A stream in pieces of about a mebibyte that end where records end, each with its place in the stream, so that pieces can
//! be decoded apart and a fault still names its row.

use std::io::{self, ErrorKind, Read};

use codecs::Format;
use codecs::framing::{RECORD_BYTES_MAX, RecordEnds, SplitType};

/// About how long a piece is. Reason: long enough that a piece's own costs vanish, short enough that a few pieces a thread are
/// little memory. It does not depend on the machine: the pieces are the blocks that rows are shuffled by.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// A piece of a stream: whole records.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// Bytes of the stream before it.
    pub(super) bytes_before: usize,
    /// Records of the stream before it; lines, of text.
    pub(super) records_before: usize,
    /// Whether the line before it was blank.
    pub(super) follows_blank_line: bool,
}

/// Cuts one stream into pieces.
pub(super) struct Chunks {
    input: Box<dyn Read + Send>,
    ends: Ends,
    /// What follows the last record of the piece before.
    rest: Vec<u8>,
    bytes_before: usize,
    records_before: usize,
    follows_blank_line: bool,
    is_done: bool,
}

/// How the ends of records are found.
enum Ends {
    /// Newlines. Those inside of quotes count too: no number needs one.
    Lines,
    /// RecordIO frames, and how many of the bytes that are held were looked at.
    Frames(Box<RecordEnds>, usize),
}

impl Chunks {
    pub(super) fn new(input: Box<dyn Read + Send>, format: Format) -> Self {
        let ends = match format {
            Format::RecordIo => Ends::Frames(Box::new(RecordEnds::new(SplitType::RecordIo)), 0),
            _ => Ends::Lines,
        };
        Self {
            input,
            ends,
            rest: Vec::new(),
            bytes_before: 0,
            records_before: 0,
            follows_blank_line: false,
            is_done: false,
        }
    }

    /// The next piece; `None` at the end. A stream that ends within a record ends with a piece that does.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>, String> {
        let mut held = std::mem::take(&mut self.rest);
        while !self.is_done {
            let want = CHUNK_BYTES.saturating_sub(held.len()).max(CHUNK_BYTES / 4);
            self.is_done = read_up_to(&mut self.input, want, &mut held).map_err(|error| error.to_string())?;
            let (end, records) = self.ends.last(&held)?;
            if end > 0 && !self.is_done {
                self.rest = held.split_off(end);
                return Ok(Some(self.chunk(held, records)));
            }
            if held.len() > RECORD_BYTES_MAX && !self.is_done {
                let record = self.records_before + 1;
                return Err(format!(
                    "record {record}: expected at most {RECORD_BYTES_MAX} bytes, found more"
                ));
            }
        }
        Ok((!held.is_empty()).then(|| self.chunk(held, 0)))
    }

    fn chunk(&mut self, bytes: Vec<u8>, records: usize) -> Chunk {
        let ends_blank = bytes.ends_with(b"\n\n") || bytes.ends_with(b"\n\r\n");
        let chunk = Chunk {
            bytes_before: self.bytes_before,
            records_before: self.records_before,
            follows_blank_line: self.follows_blank_line,
            bytes,
        };
        self.bytes_before += chunk.bytes.len();
        self.records_before += records;
        self.follows_blank_line = ends_blank;
        chunk
    }
}

impl Ends {
    /// Where the last whole record of `held` ends (0: none does), and how many there are.
    fn last(&mut self, held: &[u8]) -> Result<(usize, usize), String> {
        match self {
            Self::Lines => {
                let end = memchr::memrchr(b'\n', held).map_or(0, |at| at + 1);
                Ok((end, memchr::memchr_iter(b'\n', &held[..end]).count()))
            }
            Self::Frames(ends, seen) => {
                let (mut last, mut records) = (0, 0);
                while let Some(end) = ends.next_end(&held[*seen..]).map_err(|error| error.to_string())? {
                    *seen += end;
                    (last, records) = (*seen, records + 1);
                }
                // What follows the last record was looked at, and is the start of the next piece.
                *seen = held.len() - last;
                Ok((last, records))
            }
        }
    }
}

/// Appends up to `count` bytes; whether the input ended.
fn read_up_to(input: &mut dyn Read, count: usize, held: &mut Vec<u8>) -> io::Result<bool> {
    let end = held.len() + count;
    let mut filled = held.len();
    held.resize(end, 0);
    while filled < end {
        match input.read(&mut held[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    held.truncate(filled);
    Ok(filled < end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use codecs::record::Record;

    /// Gives a few bytes at a time.
    struct Trickle(Vec<u8>, usize);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.1).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    fn pieces(bytes: &[u8], format: Format) -> Vec<Chunk> {
        let mut chunks = Chunks::new(Box::new(Trickle(bytes.to_vec(), 100_000)), format);
        std::iter::from_fn(|| chunks.next().expect("sound records")).collect()
    }

    #[test]
    fn pieces_are_whole_lines_and_together_the_stream() {
        let text: String = (0..300_000).map(|row| format!("{row},1,2\n")).collect();
        let pieces = pieces(text.as_bytes(), Format::Csv);
        assert!(
            pieces.len() > 2 && pieces.iter().all(|piece| piece.bytes.len() <= CHUNK_BYTES + CHUNK_BYTES / 4)
        );
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        assert!(joined == text.as_bytes());
        for piece in &pieces {
            let first = String::from_utf8_lossy(&piece.bytes[..20]);
            assert!(first.starts_with(&format!("{},", piece.records_before)), "{first}");
        }
    }

    #[test]
    fn pieces_are_whole_frames() {
        let mut bytes = Vec::new();
        for row in 0..60_000 {
            let record = Record::dense(vec![row as f32; 8]).to_bytes();
            SplitType::RecordIo.join(&record, &mut bytes).expect("short");
        }
        let pieces = pieces(&bytes, Format::RecordIo);
        assert!(pieces.len() > 2);
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        assert!(joined == bytes);
        let frame = bytes.len() / 60_000;
        assert!(pieces.iter().all(|piece| piece.bytes_before == piece.records_before * frame));
    }

    #[test]
    fn a_long_line_is_one_piece() {
        let text = format!("1,{}\n2,3\n", "0,".repeat(CHUNK_BYTES));
        let pieces = pieces(text.as_bytes(), Format::Csv);
        assert_eq!(pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>(), text.len());
        assert!(pieces.iter().all(|piece| piece.bytes.ends_with(b"\n")));
    }
}
