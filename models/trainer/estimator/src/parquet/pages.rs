//! One column of one row group: its pages to numbers.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::compression::expand;
use super::encodings::{byte_streams, deltas, plain, runs};
use super::metadata::{Chunk, Column};
use super::thrift::{self, Value};

/// The `rows` numbers of a column's piece; what is missing is NaN.
pub(super) fn read(file: &mut File, column: &Column, chunk: &Chunk, rows: usize) -> Result<Vec<f32>, String> {
    let io = |error: std::io::Error| error.to_string();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(chunk.start)).map_err(io)?;
    file.take(chunk.bytes as u64).read_to_end(&mut bytes).map_err(io)?;
    let mut pages = Pages { column, codec: chunk.codec, dictionary: None, values: Vec::new(), rows };
    let mut at = 0;
    while pages.values.len() < rows {
        if at >= bytes.len() {
            return Err(format!("expected {rows} values, found {}", pages.values.len()));
        }
        let (header, length) = thrift::read(&bytes[at..]).map_err(|reason| format!("page: {reason}"))?;
        let start = at + length;
        let page_bytes = header.int(3).and_then(|count| usize::try_from(count).ok());
        let end = page_bytes.and_then(|count| start.checked_add(count)).filter(|end| *end <= bytes.len());
        at = end.ok_or("expected a page within its column, found a longer one")?;
        pages.take(&header, &bytes[start..at])?;
    }
    Ok(pages.values)
}

struct Pages<'a> {
    column: &'a Column,
    codec: i64,
    dictionary: Option<Vec<f32>>,
    values: Vec<f32>,
    rows: usize,
}

impl Pages<'_> {
    fn take(&mut self, header: &Value<'_>, bytes: &[u8]) -> Result<(), String> {
        let size = header.int(2).unwrap_or(-1);
        match header.int(1) {
            Some(0) => self.first_version(header.field(5), &expand(self.codec, bytes, size)?),
            Some(2) => {
                let described = header.field(7).ok_or("expected a dictionary, found none")?;
                let bytes = expand(self.codec, bytes, size)?;
                let count = count(described, 1)?;
                self.dictionary = Some(plain(self.column.kind, &bytes, count)?);
                Ok(())
            }
            Some(3) => self.second_version(header.field(8), bytes, size),
            // An index says nothing that is needed.
            Some(1) => Ok(()),
            _ => Err("expected a page of values or a dictionary, found another".into()),
        }
    }

    /// Levels and values are compressed together.
    fn first_version(&mut self, described: Option<&Value<'_>>, bytes: &[u8]) -> Result<(), String> {
        let described = described.ok_or("expected the description of a page, found none")?;
        let count = self.expected(described)?;
        let (levels, values) = match self.column.is_optional {
            false => (None, bytes),
            true if described.int(3) != Some(3) => {
                return Err("expected levels in runs, found them in another encoding".into());
            }
            true => {
                let (levels, values) = prefixed(bytes)?;
                (Some(levels), values)
            }
        };
        self.values(levels, values, count, described.int(2))
    }

    /// Levels stand before the values and are not compressed.
    fn second_version(
        &mut self,
        described: Option<&Value<'_>>,
        bytes: &[u8],
        size: i64,
    ) -> Result<(), String> {
        let described = described.ok_or("expected the description of a page, found none")?;
        let rows = self.expected(described)?;
        let (levels, repetitions) = (count(described, 5)?, count(described, 6)?);
        let before = levels.checked_add(repetitions).filter(|before| *before <= bytes.len());
        let before = before.ok_or("expected levels within their page, found more")?;
        let values = match described.field(7) {
            Some(Value::Bool(false)) => Cow::Borrowed(&bytes[before..]),
            _ => expand(self.codec, &bytes[before..], size.saturating_sub(before as i64))?,
        };
        let levels = self.column.is_optional.then(|| &bytes[repetitions..before]);
        self.values(levels, &values, rows, described.int(4))
    }

    /// The number of rows of a page, which is no more than are wanted.
    fn expected(&self, described: &Value<'_>) -> Result<usize, String> {
        let (found, wanted) = (count(described, 1)?, self.rows - self.values.len());
        if found > wanted { Err(format!("expected {wanted} more values, found {found}")) } else { Ok(found) }
    }

    fn values(
        &mut self,
        levels: Option<&[u8]>,
        bytes: &[u8],
        rows: usize,
        encoding: Option<i64>,
    ) -> Result<(), String> {
        let Some(levels) = levels else {
            let values = self.decode(bytes, rows, encoding)?;
            self.values.extend(values);
            return Ok(());
        };
        let levels = runs(levels, 1, rows)?;
        let present = levels.iter().filter(|level| **level == 1).count();
        let mut values = self.decode(bytes, present, encoding)?.into_iter();
        let placed = levels.iter().map(|level| if *level == 1 { values.next() } else { None });
        self.values.extend(placed.map(|value| value.unwrap_or(f32::NAN)));
        Ok(())
    }

    fn decode(&self, bytes: &[u8], count: usize, encoding: Option<i64>) -> Result<Vec<f32>, String> {
        let kind = self.column.kind;
        match encoding {
            _ if count == 0 => Ok(Vec::new()),
            Some(0) => plain(kind, bytes, count),
            Some(2 | 8) => {
                let dictionary = self.dictionary.as_ref().ok_or("expected a dictionary, found none")?;
                let [width, places @ ..] = bytes else { return Err("expected places, found none".into()) };
                let places = runs(places, usize::from(*width), count)?.into_iter();
                let value = |place: u32| {
                    let found = dictionary.get(place as usize).copied();
                    let length = dictionary.len();
                    found.ok_or_else(|| format!("expected a place below {length}, found {place}"))
                };
                places.map(value).collect()
            }
            Some(3) if kind.width() == 0 => {
                let values = runs(prefixed(bytes)?.0, 1, count)?;
                Ok(values.into_iter().map(|value| value as f32).collect())
            }
            Some(5) => deltas(kind, bytes, count),
            Some(9) => byte_streams(kind, bytes, count),
            other => Err(format!("expected an encoding of numbers, found number {}", other.unwrap_or(-1))),
        }
    }
}

/// The count in field `id`.
fn count(described: &Value<'_>, id: i16) -> Result<usize, String> {
    let count = described.int(id).and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| "expected a count of values or bytes, found none".into())
}

/// Bytes that their number stands before, and what follows them.
fn prefixed(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let (head, rest) = bytes.split_first_chunk().ok_or("expected a length, found the end")?;
    let length = u32::from_le_bytes(*head) as usize;
    rest.split_at_checked(length).ok_or_else(|| format!("expected {length} bytes, found {}", rest.len()))
}
