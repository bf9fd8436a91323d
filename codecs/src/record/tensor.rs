//! The tensors of a record, straight into f32: packed or unpacked, single or double precision, or whole numbers.

use super::wire::{Content, Fault, Field, Message, Outcome};
use crate::rows::Shape;

/// A kind of tensor that rows can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TensorKind {
    Float32,
    Float64,
    Int32,
}

/// Where a tensor is read to: values and keys are appended.
pub(super) struct TensorBuffers<'b> {
    pub(super) values: &'b mut Vec<f32>,
    pub(super) keys: &'b mut Vec<u32>,
    /// Whether NaN stands for a missing value.
    pub(super) may_be_missing: bool,
}

/// Finds the one tensor of a `Value`.
#[inline(always)]
pub(super) fn find_tensor<'a>(value: Message<'a>) -> Outcome<(TensorKind, Message<'a>)> {
    const EXPECTED: &str = "a float32, float64 or int32 tensor";
    let mut fields = value;
    let mut found = None;
    while let Some(field) = fields.next_field()? {
        let kind = match field.number {
            2 => TensorKind::Float32,
            3 => TensorKind::Float64,
            7 => TensorKind::Int32,
            9 => return Err(Fault::new(field.at, EXPECTED, "bytes")),
            _ => continue,
        };
        if found.replace((kind, field.delimited()?)).is_some() {
            return Err(Fault::new(field.at, "one tensor in a value", "another"));
        }
    }
    found.ok_or_else(|| Fault::new(value.at, EXPECTED, "none"))
}

/// Reads a tensor, and gives its shape.
#[inline(always)]
pub(super) fn read_tensor(
    kind: TensorKind,
    tensor: Message<'_>,
    buffers: &mut TensorBuffers<'_>,
) -> Outcome<Shape> {
    let (mut fields, mut shape) = (tensor, Shape::default());
    let start = buffers.values.len();
    let key_start = buffers.keys.len();
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => read_values(kind, field, start, buffers)?,
            2 => read_keys(field, key_start, buffers.keys)?,
            3 => read_whole_numbers(field, |at, dimension| {
                let is_indexable = shape.push(dimension);
                let refuse = || Fault::new(at, "a shape of at most 4294967295 features", "a larger one");
                is_indexable.then_some(()).ok_or_else(refuse)
            })?,
            _ => {}
        }
    }
    Ok(shape)
}

#[inline(always)]
fn read_values(
    kind: TensorKind,
    field: Field<'_>,
    row_start: usize,
    buffers: &mut TensorBuffers<'_>,
) -> Outcome<()> {
    let values = &mut *buffers.values;
    let start = values.len();
    match (kind, field.content) {
        (TensorKind::Float32, Content::Delimited(packed)) => {
            let chunks = whole_chunks::<4>(packed)?;
            values.extend(chunks.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        }
        (TensorKind::Float32, Content::Fixed32(bytes)) => values.push(f32::from_le_bytes(bytes)),
        (TensorKind::Float64, Content::Delimited(packed)) => {
            let chunks = whole_chunks::<8>(packed)?;
            values.extend(chunks.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32));
        }
        (TensorKind::Float64, Content::Fixed64(bytes)) => values.push(f64::from_le_bytes(bytes) as f32),
        (TensorKind::Int32, Content::Varint(value)) => values.push(int32(value)),
        (TensorKind::Int32, Content::Delimited(mut packed)) => {
            while !packed.bytes.is_empty() {
                values.push(int32(packed.varint()?));
            }
        }
        (_, other) => return Err(Fault::new(field.at, "values of the tensor's type", other.name())),
    }
    if all_finite(&values[start..]) {
        return Ok(());
    }
    check_each(kind, field, row_start, start, buffers)
}

/// Protobuf's int32: the low 32 bits of a varint that was sign-extended to 64.
fn int32(varint: u64) -> f32 {
    varint as u32 as i32 as f32
}

fn whole_chunks<const N: usize>(packed: Message<'_>) -> Outcome<&[[u8; N]]> {
    let (chunks, rest) = packed.bytes.as_chunks();
    if rest.is_empty() {
        return Ok(chunks);
    }
    let found = format!("{} bytes", packed.bytes.len());
    let expected = if N == 4 { "packed values of 4 bytes each" } else { "packed values of 8 bytes each" };
    Err(Fault::new(packed.at, expected, found))
}

/// Whether no value is NaN or infinite: whether adding one to the exponent of none reaches the sign. A sum of bits,
/// because that vectorises on any machine and a test of each value does not.
#[inline]
fn all_finite(values: &[f32]) -> bool {
    const EXPONENT_ONE: u32 = 1 << 23;
    let sum = values.iter().fold(0, |sum, value| sum | (value.abs().to_bits() + EXPONENT_ONE));
    sum >> 31 == 0
}

/// Some value since `start` is not finite: NaN may be a missing one, all else is out of range.
#[cold]
fn check_each(
    kind: TensorKind,
    field: Field<'_>,
    row_start: usize,
    start: usize,
    buffers: &TensorBuffers<'_>,
) -> Outcome<()> {
    const EXPECTED: &str = "a finite number within the range of f32";
    for (position, value) in buffers.values[start..].iter().enumerate() {
        if value.is_finite() || (value.is_nan() && buffers.may_be_missing) {
            continue;
        }
        let (at, original) = match (kind, field.content) {
            (TensorKind::Float64, Content::Delimited(packed)) => {
                let bytes = packed.bytes[8 * position..].first_chunk().expect("each value had its chunk");
                (packed.at + 8 * position, f64::from_le_bytes(*bytes))
            }
            (TensorKind::Float64, Content::Fixed64(bytes)) => (field.at, f64::from_le_bytes(bytes)),
            (_, Content::Delimited(packed)) => (packed.at + 4 * position, f64::from(*value)),
            _ => (field.at, f64::from(*value)),
        };
        let found = (!value.is_nan()).then(|| format!("{original:e}"));
        let column = Some(start - row_start + position + 1);
        return Err(Box::new(Fault { at, column, expected: EXPECTED, found }));
    }
    Ok(())
}

fn read_keys(field: Field<'_>, row_start: usize, keys: &mut Vec<u32>) -> Outcome<()> {
    read_whole_numbers(field, |at, key| {
        let Ok(index) = u32::try_from(key) else {
            let column = Some(keys.len() - row_start + 1);
            let fault = Fault::new(at, "a key of at most 4294967295", key.to_string());
            return Err(Box::new(Fault { column, ..*fault }));
        };
        keys.push(index);
        Ok(())
    })
}

/// The varints of a repeated field, packed or not, each with its offset.
fn read_whole_numbers(field: Field<'_>, mut take: impl FnMut(usize, u64) -> Outcome<()>) -> Outcome<()> {
    match field.content {
        Content::Varint(value) => take(field.at, value),
        Content::Delimited(mut packed) => {
            while !packed.bytes.is_empty() {
                let at = packed.at;
                take(at, packed.varint()?)?;
            }
            Ok(())
        }
        other => Err(Fault::new(field.at, "whole numbers", other.name())),
    }
}
