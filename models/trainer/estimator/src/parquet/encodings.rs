//! How values stand in a page: plain, run-length and bit-packed, delta, byte streams.

use super::metadata::Kind;
use super::thrift::{varint, zigzag};

/// The most values of a block of deltas. Reason: writers use 128 to 1024.
const DELTA_BLOCK_MAX: u64 = 1 << 16;

/// A number of `kind` from its bytes, the nearest of single precision.
fn number(kind: Kind, bytes: &[u8]) -> f32 {
    let mut wide = [0; 8];
    wide[..bytes.len().min(8)].copy_from_slice(bytes);
    integer(kind, u64::from_le_bytes(wide))
}

/// The same, from its bits.
fn integer(kind: Kind, bits: u64) -> f32 {
    match kind {
        Kind::Bool => f32::from(u8::from(bits != 0)),
        Kind::Int32 => bits as i32 as f32,
        Kind::Uint32 => bits as u32 as f32,
        Kind::Int64 => bits as i64 as f32,
        Kind::Uint64 => bits as f32,
        Kind::Float => f32::from_bits(bits as u32),
        Kind::Double => f64::from_bits(bits) as f32,
    }
}

/// `width` bits from bit `at`; those beyond the end are zero.
fn bits(bytes: &[u8], at: usize, width: usize) -> u64 {
    let mut window = [0; 16];
    let rest = bytes.get(at / 8..).unwrap_or_default();
    let count = rest.len().min(9);
    window[..count].copy_from_slice(&rest[..count]);
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    (u128::from_le_bytes(window) >> (at % 8)) as u64 & mask
}

fn short(count: usize, found: usize) -> String {
    format!("expected {count} values, found bytes for {found}")
}

/// The first `count` plain values.
pub(super) fn plain(kind: Kind, bytes: &[u8], count: usize) -> Result<Vec<f32>, String> {
    if kind == Kind::Bool {
        if bytes.len() < count.div_ceil(8) {
            return Err(short(count, bytes.len() * 8));
        }
        return Ok((0..count).map(|at| bits(bytes, at, 1) as f32).collect());
    }
    let width = kind.width();
    let needed = count.checked_mul(width).and_then(|needed| bytes.get(..needed));
    let needed = needed.ok_or_else(|| short(count, bytes.len() / width))?;
    Ok(needed.chunks_exact(width).map(|value| number(kind, value)).collect())
}

/// `count` values whose first bytes stand together, then the second ones, and so on.
pub(super) fn byte_streams(kind: Kind, bytes: &[u8], count: usize) -> Result<Vec<f32>, String> {
    let width = kind.width();
    if width == 0 || Some(bytes.len()) != count.checked_mul(width) {
        return Err(short(count, bytes.len().checked_div(width).unwrap_or(0)));
    }
    let value = |at| {
        let streams = (0..width).map(|stream| u64::from(bytes[stream * count + at]) << (8 * stream));
        integer(kind, streams.sum())
    };
    Ok((0..count).map(value).collect())
}

/// `count` numbers of `width` bits, in runs of equal ones or packed.
pub(super) fn runs(bytes: &[u8], width: usize, count: usize) -> Result<Vec<u32>, String> {
    if width > 32 {
        return Err(format!("expected numbers of at most 32 bits, found {width}"));
    }
    let (mut out, mut at) = (Vec::new(), 0);
    while out.len() < count {
        let head = varint(bytes, &mut at).map_err(|_| short(count, out.len()))?;
        let length = usize::try_from(head >> 1).unwrap_or(usize::MAX);
        let wanted = count - out.len();
        if head & 1 == 0 {
            let end = at + width.div_ceil(8);
            if end > bytes.len() {
                return Err(short(count, out.len()));
            }
            let value = bits(&bytes[at..end], 0, width) as u32;
            out.resize(out.len() + length.min(wanted), value);
            at = end;
        } else {
            // The last groups of eight may be cut where the values end.
            let packed = bytes.get(at..).unwrap_or_default();
            let wanted = wanted.min(length.saturating_mul(8));
            if packed.len() < (wanted * width).div_ceil(8) {
                return Err(short(count, out.len()));
            }
            out.extend((0..wanted).map(|place| bits(packed, place * width, width) as u32));
            at = at.saturating_add(length.saturating_mul(width));
        }
    }
    Ok(out)
}

/// `count` whole numbers as differences, packed in blocks.
pub(super) fn deltas(kind: Kind, bytes: &[u8], count: usize) -> Result<Vec<f32>, String> {
    if !matches!(kind, Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64) {
        return Err("expected whole numbers where differences are, found others".into());
    }
    let mut at = 0;
    let (block, pieces) = (varint(bytes, &mut at)?, varint(bytes, &mut at)?);
    let total = varint(bytes, &mut at)?;
    let mut value = zigzag(varint(bytes, &mut at)?);
    let a_piece = block.checked_div(pieces).unwrap_or(0) as usize;
    if block > DELTA_BLOCK_MAX || a_piece == 0 || !a_piece.is_multiple_of(8) || total < count as u64 {
        return Err(format!("expected blocks for {count} values, found {block} in {pieces} for {total}"));
    }
    let mut out = Vec::new();
    if count > 0 {
        out.push(integer(kind, value as u64));
    }
    while out.len() < count {
        let least = zigzag(varint(bytes, &mut at)?);
        let widths = bytes.get(at..at + pieces as usize).ok_or_else(|| short(count, out.len()))?;
        at += widths.len();
        for width in widths.iter().map(|width| usize::from(*width)) {
            let wanted = a_piece.min(count - out.len());
            if wanted == 0 {
                break;
            }
            let packed = bytes.get(at..).unwrap_or_default();
            if width > 64 || packed.len() < (wanted * width).div_ceil(8) {
                return Err(short(count, out.len()));
            }
            for place in 0..wanted {
                let delta = bits(packed, place * width, width) as i64;
                value = value.wrapping_add(least).wrapping_add(delta);
                out.push(integer(kind, value as u64));
            }
            at = at.saturating_add(a_piece / 8 * width);
        }
    }
    Ok(out)
}
