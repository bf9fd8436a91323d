//! MXNet's NDArray list files, as SageMaker's own k-means writes them (`model_algo-1`): read only, one array of f32.
//!
//! Little-endian: `u64 0x112`, `u64 0`, `u64 arrays`, the arrays, `u64 names`, the names. An array of version 2 is
//! `u32 0xF993FAC9`, `i32 storage` (0 dense), `u32 rank`, `i64` sides, `i32 device kind`, `i32 device`, `i32 type`
//! (0 is f32), values. Held to a file that MXNet 1.9.1 wrote; that AWS's k-means writes the same is what its examples
//! show, who read `model_algo-1` with `mx.nd.load` and take the first array.

use crate::LoadError;
use crate::tensors::{check_finite, refuse};

/// The member's name.
pub(crate) const FILE_NAME: &str = "model_algo-1";

const LIST_MAGIC: u64 = 0x112;
const ARRAY_V2_MAGIC: u32 = 0xF993_FAC9;
const TYPE_F32: i32 = 0;

/// What to do instead, for the reader of an error.
const SUPPORTED: &str =
    "served are XGBoost files, model.safetensors with manifest.json, and k-means as one MXNet array of f32";

/// Refuses a file that does not begin as a list of arrays.
pub(crate) fn check_magic(file: &str, bytes: &[u8]) -> Result<(), LoadError> {
    if bytes == LIST_MAGIC.to_le_bytes() {
        return Ok(());
    }
    let found = if bytes.starts_with(b"PK") {
        "a zip archive, as other SageMaker algorithms write"
    } else {
        "other bytes"
    };
    Err(refuse(file, format!("expected an MXNet array list, found {found}; {SUPPORTED}")))
}

/// Reads the one matrix of a list: its values, row-major, and its columns.
pub(crate) fn read_matrix(file: &str, bytes: &[u8]) -> Result<(Vec<f32>, usize), LoadError> {
    let mut input = Input { file, bytes, offset: 0 };
    check_magic(file, &input.take::<8>("the magic number")?)?;
    input.expect_u64("the reserved word", 0)?;
    input.expect_u64("the number of arrays", 1)?;
    input.expect_u32("the array's version", ARRAY_V2_MAGIC)?;
    input.expect_u32("the storage kind (dense)", 0)?;
    input.expect_u32("the rank", 2)?;
    let rows = input.side("the number of rows")?;
    let columns = input.side("the number of columns")?;
    input.take::<8>("the device")?;
    input.expect_u32("the type (0, f32)", TYPE_F32 as u32)?;
    let length = rows.checked_mul(columns).and_then(|values| values.checked_mul(4));
    let left = bytes.len() - input.offset;
    let Some(length) = length.filter(|&length| length <= left) else {
        return Err(refuse(
            file,
            format!("expected {rows} × {columns} values of four bytes, found {left} bytes"),
        ));
    };
    let (chunks, _) = bytes[input.offset..input.offset + length].as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    input.offset += length;
    input.expect_u64("the number of names", 0)?;
    if input.offset != bytes.len() {
        return Err(refuse(
            file,
            format!("expected the end at byte {}, found {} bytes", input.offset, bytes.len()),
        ));
    }
    check_finite(file, "0", &values)?;
    Ok((values, columns))
}

/// Bytes with a place.
struct Input<'a> {
    file: &'a str,
    bytes: &'a [u8],
    offset: usize,
}

impl Input<'_> {
    fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N], LoadError> {
        let chunk = self.bytes[self.offset..].first_chunk::<N>().copied();
        let chunk = chunk.ok_or_else(|| {
            refuse(self.file, format!("expected {what} at byte {}, found the end of the file", self.offset))
        })?;
        self.offset += N;
        Ok(chunk)
    }

    fn side(&mut self, what: &str) -> Result<usize, LoadError> {
        let place = self.offset;
        let side = i64::from_le_bytes(self.take(what)?);
        let valid = usize::try_from(side).ok().filter(|&side| side > 0);
        valid.ok_or_else(|| refuse(self.file, format!("expected {what} at byte {place}, found {side}")))
    }

    fn expect_u32(&mut self, what: &str, expected: u32) -> Result<(), LoadError> {
        let place = self.offset;
        let found = u32::from_le_bytes(self.take(what)?);
        self.check(what, place, u64::from(expected), u64::from(found))
    }

    fn expect_u64(&mut self, what: &str, expected: u64) -> Result<(), LoadError> {
        let place = self.offset;
        let found = u64::from_le_bytes(self.take(what)?);
        self.check(what, place, expected, found)
    }

    fn check(&self, what: &str, place: usize, expected: u64, found: u64) -> Result<(), LoadError> {
        if expected == found {
            return Ok(());
        }
        let reason = format!("expected {what} to be {expected} at byte {place}, found {found}; {SUPPORTED}");
        Err(refuse(self.file, reason))
    }
}
