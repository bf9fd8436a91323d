//! MXNet's NDArray files: lists and dictionaries of arrays.
//!
//! Little-endian: `u64 0x112`, `u64 0`, `u64 arrays`, the arrays, `u64 names`, the names (`u64 length`, bytes). An array is
//! `u32` version (0xF993FAC9 or, with NumPy's shapes, 0xF993FACA), `i32 storage` (0 dense, 1 row-sparse), for row-sparse the
//! stored shape, the shape (`u32 rank`, `i64` sides), `i32 device kind`, `i32 device`, `i32 type`, for row-sparse the type and
//! shape of the indices, values, and for row-sparse the indices. The older version 0xF993FAC8 has no storage.

use super::SUPPORTED;
use crate::LoadError;
use crate::tensors::{check_finite, refuse};

const LIST_MAGIC: u64 = 0x112;
const VERSION_1: u32 = 0xF993_FAC8;
const VERSION_2: u32 = 0xF993_FAC9;
const VERSION_3: u32 = 0xF993_FACA;
const DENSE: u32 = 0;
const ROW_SPARSE: u32 = 1;
const TYPE_F32: u32 = 0;
const TYPE_F64: u32 = 1;
const TYPE_I64: u32 = 6;

/// The most arrays of a file. Reason: the largest of the layouts has three; a module may add some of its own.
const ARRAYS_MAX: u64 = 64;
/// The most sides of an array. Reason: all that is read are vectors and matrices; MXNet's largest tensors have five.
const RANK_MAX: u32 = 8;
/// The most bytes of a name.
const NAME_BYTES_MAX: u64 = 256;
/// The most values of an array that row-sparse storage may unfold to. Reason: ten million features of 64 factors, at 2.5 GB
/// the largest model that these algorithms are documented for.
const UNFOLDED_VALUES_MAX: usize = 640_000_000;

/// One array.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    /// Its name without `arg:` or `aux:`; empty in a list.
    pub(super) name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// A tensor of our own.
type Tensor = (&'static str, Vec<usize>, Vec<f32>);

impl Array {
    /// As a matrix.
    pub(super) fn matrix(&self, file: &str, name: &'static str) -> Result<Tensor, LoadError> {
        match self.shape[..] {
            [_, _] => Ok((name, self.shape.clone(), self.values.clone())),
            _ => Err(refuse(file, format!("array {name}: expected two sides, found shape {:?}", self.shape))),
        }
    }

    /// As a vector; a matrix of one row or one column is one, too.
    pub(super) fn vector(&self, file: &str, name: &'static str) -> Result<Tensor, LoadError> {
        match self.shape[..] {
            [_] | [1, _] | [_, 1] => Ok((name, vec![self.values.len()], self.values.clone())),
            _ => Err(refuse(file, format!("array {name}: expected a vector, found shape {:?}", self.shape))),
        }
    }
}

/// Reads a whole file.
pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Vec<Array>, LoadError> {
    let mut input = Input { file, bytes, offset: 0 };
    let magic = input.word("the magic number of an array list")?;
    if magic != LIST_MAGIC {
        return Err(refuse(file, format!("expected an MXNet array list, found other bytes; {SUPPORTED}")));
    }
    input.expect("the reserved word", 0)?;
    let count = input.at_most("the number of arrays", ARRAYS_MAX)?;
    let mut arrays = (0..count).map(|_| input.array()).collect::<Result<Vec<_>, _>>()?;
    match input.at_most("the number of names", ARRAYS_MAX)? {
        0 => {}
        names if names != count => {
            return Err(input.fault(format!("expected {count} names, one an array, found {names}")));
        }
        _ => {
            for array in &mut arrays {
                array.name = input.name()?;
            }
        }
    }
    if input.offset != bytes.len() {
        return Err(input.fault(format!("expected the end of the file, found {} bytes", bytes.len())));
    }
    for (index, array) in arrays.iter().enumerate() {
        let name = if array.name.is_empty() { index.to_string() } else { array.name.clone() };
        check_finite(file, &name, &array.values)?;
    }
    Ok(arrays)
}

/// Bytes with a place.
struct Input<'a> {
    file: &'a str,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Input<'a> {
    fn fault(&self, reason: impl AsRef<str>) -> LoadError {
        refuse(self.file, format!("byte {}: {}", self.offset, reason.as_ref()))
    }

    fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], LoadError> {
        let left = &self.bytes[self.offset..];
        let Some(taken) = left.get(..length) else {
            return Err(self.fault(format!("expected {what} of {length} bytes, found {} bytes", left.len())));
        };
        self.offset += length;
        Ok(taken)
    }

    fn half(&mut self, what: &str) -> Result<u32, LoadError> {
        let bytes = self.take(4, what)?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("four were taken")))
    }

    fn word(&mut self, what: &str) -> Result<u64, LoadError> {
        let bytes = self.take(8, what)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("eight were taken")))
    }

    fn expect(&mut self, what: &str, expected: u64) -> Result<(), LoadError> {
        match self.word(what)? {
            found if found == expected => Ok(()),
            found => Err(self.fault(format!("expected {what} to be {expected}, found {found}; {SUPPORTED}"))),
        }
    }

    fn at_most(&mut self, what: &str, limit: u64) -> Result<u64, LoadError> {
        match self.word(what)? {
            found if found <= limit => Ok(found),
            found => Err(self.fault(format!("expected {what} to be at most {limit}, found {found}"))),
        }
    }

    /// `arg:name` as `name`.
    fn name(&mut self) -> Result<String, LoadError> {
        let length = self.at_most("a name's length", NAME_BYTES_MAX)?;
        let bytes = self.take(length as usize, "a name")?;
        let name = String::from_utf8_lossy(bytes);
        let bare = name.strip_prefix("arg:").or(name.strip_prefix("aux:")).unwrap_or(&name);
        Ok(bare.to_owned())
    }

    /// Sides, the first of which is at least `first`, and the others 1.
    fn shape(&mut self, first: usize) -> Result<Vec<usize>, LoadError> {
        let rank = self.half("the rank")?;
        if rank == 0 || rank > RANK_MAX {
            return Err(self.fault(format!("expected 1 to {RANK_MAX} sides, found {rank}")));
        }
        (0..rank).map(|side| self.side(if side == 0 { first } else { 1 })).collect()
    }

    fn side(&mut self, least: usize) -> Result<usize, LoadError> {
        let side = self.word("a side")?;
        let valid = usize::try_from(side).ok().filter(|side| (least..=u32::MAX as usize).contains(side));
        valid.ok_or_else(|| {
            self.fault(format!("expected a side of at least {least}, found {}", side.cast_signed()))
        })
    }

    fn array(&mut self) -> Result<Array, LoadError> {
        let version = self.half("an array's version")?;
        let storage = match version {
            VERSION_1 => DENSE,
            VERSION_2 | VERSION_3 => self.half("the storage")?,
            _ => {
                let reason =
                    format!("expected an array's version {VERSION_2:#x}, found {version:#x}; {SUPPORTED}");
                return Err(self.fault(reason));
            }
        };
        match storage {
            DENSE => {
                let shape = self.shape(1)?;
                self.take(8, "the device")?;
                let kind = self.half("the type")?;
                let values = self.values(kind, &shape)?;
                Ok(Array { name: String::new(), shape, values })
            }
            ROW_SPARSE => self.row_sparse(),
            other => Err(self.fault(format!("expected dense (0) or row-sparse (1) storage, found {other}"))),
        }
    }

    /// Rows that are stored, and their places; the others are 0.
    fn row_sparse(&mut self) -> Result<Array, LoadError> {
        // Its number of rows may be that of before the last change, which MXNet makes later: the indices' counts.
        let mut stored = self.shape(0)?;
        let shape = self.shape(1)?;
        self.take(8, "the device")?;
        let kind = self.half("the type")?;
        let index_kind = self.half("the type of the indices")?;
        let index_shape = self.shape(0)?;
        if index_kind != TYPE_I64 || index_shape.len() != 1 || stored[1..] != shape[1..] {
            return Err(self.fault(format!(
                "expected row numbers of type {TYPE_I64} for rows like those of {shape:?}, found shape {index_shape:?} of \
                 type {index_kind} for {stored:?}"
            )));
        }
        stored[0] = index_shape[0];
        let rows = self.values(kind, &stored)?;
        let width: usize = shape[1..].iter().product();
        let length = shape[0].checked_mul(width).filter(|&length| length <= UNFOLDED_VALUES_MAX);
        let Some(length) = length else {
            return Err(
                self.fault(format!("expected at most {UNFOLDED_VALUES_MAX} values, found shape {shape:?}"))
            );
        };
        let mut values = vec![0.0; length];
        for row in rows.chunks_exact(width) {
            let place = self.word("a row number")?;
            let place = usize::try_from(place).ok().filter(|place| *place < shape[0]).ok_or_else(|| {
                self.fault(format!("expected a row number below {}, found {place}", shape[0]))
            })?;
            values[place * width..][..width].copy_from_slice(row);
        }
        Ok(Array { name: String::new(), shape, values })
    }

    fn values(&mut self, kind: u32, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let size = match kind {
            TYPE_F32 => 4,
            TYPE_F64 => 8,
            other => {
                return Err(self.fault(format!("expected f32 (type 0) or f64 (type 1), found type {other}")));
            }
        };
        let length = shape.iter().try_fold(size, |length: usize, side| length.checked_mul(*side));
        let length =
            length.ok_or_else(|| self.fault(format!("expected fewer values, found shape {shape:?}")))?;
        let bytes = self.take(length, "values")?;
        Ok(match kind {
            TYPE_F32 => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            _ => bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
        })
    }
}
