//! What a Parquet file says of itself: its columns and row groups, from the footer.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::thrift::{self, Value};

/// The longest footer. Reason: a thousand columns in a hundred row groups take about ten mebibytes; as values it is a few
/// times as much.
const FOOTER_BYTES_MAX: u64 = 16 << 20;
/// What a file begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Float,
    Double,
}

impl Kind {
    /// Bytes of a plain value; of a truth value it is a bit.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Bool => 0,
            Self::Int32 | Self::Uint32 | Self::Float => 4,
            Self::Int64 | Self::Uint64 | Self::Double => 8,
        }
    }
}

/// A column of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Whether values may be missing.
    pub(super) is_optional: bool,
}

/// Where a column's values of one row group are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) codec: i64,
    pub(super) start: u64,
    pub(super) bytes: usize,
}

/// Some rows: one piece of every column.
#[derive(Debug)]
pub(super) struct RowGroup {
    pub(super) rows: usize,
    pub(super) chunks: Vec<Chunk>,
}

/// A file's footer.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) columns: Vec<Column>,
    pub(super) groups: Vec<RowGroup>,
}

impl Metadata {
    /// Reads the footer of `file`.
    pub(super) fn read(file: &mut File) -> Result<Self, String> {
        let io = |error: std::io::Error| error.to_string();
        let file_bytes = file.metadata().map_err(io)?.len();
        let mut tail = [0; 8];
        if file_bytes >= 12 {
            file.seek(SeekFrom::End(-8)).map_err(io)?;
            file.read_exact(&mut tail).map_err(io)?;
        }
        let [a, b, c, d, magic @ ..] = tail;
        if magic != *MAGIC {
            return Err("expected a Parquet file, which ends with PAR1, found another or only a part".into());
        }
        let footer_bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
        if footer_bytes > FOOTER_BYTES_MAX || footer_bytes > file_bytes - 12 {
            return Err(format!(
                "expected a footer of at most {FOOTER_BYTES_MAX} bytes within the file's {file_bytes}, found {footer_bytes}"
            ));
        }
        let mut footer = vec![0; footer_bytes as usize];
        file.seek(SeekFrom::Start(file_bytes - 8 - footer_bytes)).map_err(io)?;
        file.read_exact(&mut footer).map_err(io)?;
        let (root, _) = thrift::read(&footer).map_err(|reason| format!("footer: {reason}"))?;
        let columns = columns(root.list(2).unwrap_or_default())?;
        let groups = root.list(4).unwrap_or_default().iter().enumerate();
        let groups = groups.map(|(place, group)| {
            row_group(group, &columns, file_bytes).map_err(|reason| format!("row group {place}: {reason}"))
        });
        Ok(Self { groups: groups.collect::<Result<_, _>>()?, columns })
    }
}

/// The columns of a flat schema of numbers.
fn columns(schema: &[Value<'_>]) -> Result<Vec<Column>, String> {
    let [root, elements @ ..] = schema else { return Err("footer: expected a schema, found none".into()) };
    let columns = elements.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    if root.int(5) != Some(columns.len() as i64) {
        return Err(format!("footer: expected {} columns, found another count", columns.len()));
    }
    Ok(columns)
}

fn column(element: &Value<'_>) -> Result<Column, String> {
    let name = element.text(4).unwrap_or_default();
    let refused = |found: &str| {
        Err(format!("column {name:?}: expected numbers (boolean, integer, float or double), found {found}"))
    };
    if element.int(5).is_some_and(|children| children > 0) || element.int(3) == Some(2) {
        return refused("nested values");
    }
    let logical = match element.field(10) {
        Some(Value::Struct(fields)) => fields.first(),
        _ => None,
    };
    let is_unsigned = match (logical, element.int(6)) {
        (Some((10, integer)), _) => integer.field(2) == Some(&Value::Bool(false)),
        (None, None | Some(15..=18)) => false,
        (None, Some(11..=14)) => true,
        (Some((5, _)), _) | (None, Some(5)) => return refused("decimals"),
        (Some((6..=8, _)), _) | (None, Some(6..=10 | 21)) => return refused("dates or times"),
        (Some((1, _)), _) | (None, Some(0)) => return refused("strings"),
        (Some((11, _)), _) => return refused("a column without a type"),
        _ => return refused("another logical type"),
    };
    let kind = match (element.int(1), is_unsigned) {
        (Some(0), _) => Kind::Bool,
        (Some(1), false) => Kind::Int32,
        (Some(1), true) => Kind::Uint32,
        (Some(2), false) => Kind::Int64,
        (Some(2), true) => Kind::Uint64,
        (Some(3), _) => return refused("dates or times"),
        (Some(4), _) => Kind::Float,
        (Some(5), _) => Kind::Double,
        _ => return refused("strings or bytes"),
    };
    Ok(Column { is_optional: element.int(3) == Some(1), name, kind })
}

fn row_group(group: &Value<'_>, columns: &[Column], file_bytes: u64) -> Result<RowGroup, String> {
    let chunks = group.list(1).unwrap_or_default();
    if chunks.len() != columns.len() {
        return Err(format!("expected {} columns, found {}", columns.len(), chunks.len()));
    }
    let rows = group.int(3).and_then(|rows| usize::try_from(rows).ok());
    let rows = rows.ok_or("expected a number of rows, found none")?;
    let chunks = chunks.iter().zip(columns).map(|(value, column)| {
        chunk(value, file_bytes).map_err(|reason| format!("column {:?}: {reason}", column.name))
    });
    Ok(RowGroup { rows, chunks: chunks.collect::<Result<_, _>>()? })
}

fn chunk(chunk: &Value<'_>, file_bytes: u64) -> Result<Chunk, String> {
    if chunk.field(1).is_some() {
        return Err("expected its values in this file, found them in another".into());
    }
    let described = chunk.field(3).ok_or("expected a description, found none (is the file encrypted?)")?;
    let data = described.int(9).ok_or("expected the place of its pages, found none")?;
    let dictionary = described.int(11).filter(|dictionary| *dictionary > 0);
    let start = dictionary.map_or(data, |dictionary| dictionary.min(data));
    let bytes = described.int(7).unwrap_or(-1);
    let place = u64::try_from(start).ok().zip(u64::try_from(bytes).ok());
    let inside =
        place.filter(|(start, bytes)| start.checked_add(*bytes).is_some_and(|end| end <= file_bytes));
    let (start, bytes) = inside.ok_or_else(|| {
        format!("expected pages within the file's {file_bytes} bytes, found {bytes} bytes at {start}")
    })?;
    Ok(Chunk { codec: described.int(4).unwrap_or(-1), start, bytes: bytes as usize })
}
