//! The compressions of pages. Nothing is made longer than a page may be.

use std::borrow::Cow;
use std::io::Read;

/// The longest page, as it is without compression. Reason: writers end pages at a mebibyte; a page of a whole row group of
/// a few million values still fits.
const PAGE_BYTES_MAX: usize = 256 << 20;

/// The bytes of a page that has `expected` of them without compression.
pub(super) fn expand(codec: i64, bytes: &[u8], expected: i64) -> Result<Cow<'_, [u8]>, String> {
    let expected = usize::try_from(expected).ok().filter(|expected| *expected <= PAGE_BYTES_MAX);
    let expected = expected.ok_or_else(|| format!("expected a page of at most {PAGE_BYTES_MAX} bytes"))?;
    let out = match codec {
        0 => return Ok(Cow::Borrowed(bytes)),
        _ if expected == 0 => Vec::new(),
        1 => snappy(bytes, expected)?,
        2 => all(flate2::read::MultiGzDecoder::new(bytes), expected)?,
        6 => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(bytes);
            all(decoder.map_err(|error| format!("zstd: {error}"))?, expected)?
        }
        other => {
            let name = ["", "", "", "LZO", "Brotli", "LZ4", "", "LZ4_RAW"];
            let name = usize::try_from(other).ok().and_then(|at| name.get(at)).unwrap_or(&"an unknown one");
            return Err(format!("expected the compression none, snappy, gzip or zstd, found {name}"));
        }
    };
    if out.len() == expected { Ok(Cow::Owned(out)) } else { Err(mismatch(expected, out.len())) }
}

fn mismatch(expected: usize, found: usize) -> String {
    format!("expected a page of {expected} bytes, found {found}")
}

/// All that `reader` gives, if it is not too much.
fn all(reader: impl Read, expected: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    reader.take(expected as u64 + 1).read_to_end(&mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

/// Snappy's raw format: a length, then literals and copies of what is already there.
fn snappy(bytes: &[u8], expected: usize) -> Result<Vec<u8>, String> {
    let ends = || String::from("snappy: expected more bytes, found the end");
    let mut at = 0;
    let stated = super::thrift::varint(bytes, &mut at)?;
    if stated != expected as u64 {
        return Err(format!("snappy: expected {expected} bytes, found {stated} stated"));
    }
    let mut out = Vec::new();
    let number = |at: usize, count: usize| -> Result<usize, String> {
        let stated = bytes.get(at..at + count).ok_or_else(ends)?;
        Ok(stated.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
    };
    while at < bytes.len() {
        let tag = usize::from(bytes[at]);
        at += 1;
        let (length, offset) = match tag & 3 {
            0 => {
                // Up to 60 in the tag; above that, it says in how many bytes.
                let more = (tag >> 2).saturating_sub(59);
                let length = if more == 0 { tag >> 2 } else { number(at, more)? } + 1;
                at += more;
                out.extend_from_slice(bytes.get(at..at + length).ok_or_else(ends)?);
                at += length;
                (0, 0)
            }
            1 => (((tag >> 2) & 7) + 4, (tag >> 5) << 8 | number(at, 1)?),
            2 => ((tag >> 2) + 1, number(at, 2)?),
            _ => ((tag >> 2) + 1, number(at, 4)?),
        };
        at += [0, 1, 2, 4][tag & 3];
        if tag & 3 != 0 && (offset == 0 || offset > out.len()) {
            return Err(format!("snappy: expected a copy of what is there, found one from {offset} before"));
        }
        if out.len() + length > expected {
            return Err(mismatch(expected, out.len() + length));
        }
        // What is copied may be what the copy wrote.
        for _ in 0..length {
            out.push(out[out.len() - offset]);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snappy_literals_and_copies() {
        let check = |bytes: &[u8], expected: &str| {
            assert_eq!(snappy(bytes, expected.len()).expect("sound"), expected.as_bytes());
        };
        check(b"\x03\x08abc", "abc");
        check(b"\x09\x08abc\x09\x03", "abcabcabc");
        check(b"\x06\x00a\x12\x01\x00", "aaaaaa");
        check(b"\x02\xf0\x01ab", "ab");
        for bad in [
            &b"\x03\x08ab"[..],
            b"\x09\x08abc\x09\x04",
            b"\x09\x08abc\x09\x00",
            b"\x03\x08abc\x09\x03",
            b"\x04",
        ] {
            let expected = usize::from(bad[0]);
            assert!(expand(1, bad, expected as i64).is_err(), "{bad:?}");
        }
    }
}
