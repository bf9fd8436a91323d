//! A zip's members, by its central directory: stored or deflated, one disk, no encryption, checked by their CRC-32. After
//! PKWARE's APPNOTE; what is not needed (zip64, other methods) is refused by name.

use std::io::Read;

use flate2::read::DeflateDecoder;

use crate::LoadError;
use crate::tensors::refuse;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;

/// The longest comment at a zip's end: its length is a `u16`.
const COMMENT_BYTES_MAX: usize = u16::MAX as usize;
/// The most members. Reason: a module has two or three files; more is another archive.
const MEMBERS_MAX: usize = 64;
/// The most bytes of one member unpacked. Reason: as `UNFOLDED_VALUES_MAX` of arrays, four bytes each.
const MEMBER_BYTES_MAX: usize = 2_560_000_000;

/// Whether `bytes` begin as a zip.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(LOCAL)
}

/// One entry of the central directory.
struct Entry<'a> {
    name: String,
    method: u16,
    crc: u32,
    packed: &'a [u8],
    size_bytes: usize,
}

/// The members: names and bytes.
pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, LoadError> {
    let fault = |reason: String| refuse(file, format!("zip: {reason}"));
    let unpack = |entry: Entry<'_>| Ok((entry.name.clone(), entry.unpack().map_err(fault)?));
    entries(bytes).map_err(fault)?.into_iter().map(unpack).collect()
}

fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>, String> {
    let from = bytes.len().saturating_sub(END_BYTES + COMMENT_BYTES_MAX);
    let end = bytes[from..].windows(END.len()).rposition(|window| window == END);
    let end = end.ok_or("expected the end of a central directory, found none")? + from;
    let comment = usize::from(half(bytes, end + 20)?);
    if bytes.len() != end + END_BYTES + comment {
        return Err(format!(
            "expected the end after a comment of {comment} bytes, found {} bytes",
            bytes.len()
        ));
    }
    let count = usize::from(half(bytes, end + 10)?);
    if count > MEMBERS_MAX {
        return Err(format!("expected at most {MEMBERS_MAX} members, found {count}"));
    }
    let mut place = word(bytes, end + 16)? as usize;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (entry, length) = entry(bytes, place)?;
        entries.push(entry);
        place += length;
    }
    Ok(entries)
}

/// The entry at `place`, and its length in the directory.
fn entry(bytes: &[u8], place: usize) -> Result<(Entry<'_>, usize), String> {
    if bytes.get(place..place.saturating_add(CENTRAL.len())) != Some(CENTRAL) {
        return Err(format!("expected an entry of the central directory at byte {place}, found none"));
    }
    let flags = half(bytes, place + 8)?;
    if flags & 1 != 0 {
        return Err("expected members without encryption, found an encrypted one".into());
    }
    let (packed, size_bytes) = (word(bytes, place + 20)? as usize, word(bytes, place + 24)? as usize);
    if size_bytes > MEMBER_BYTES_MAX {
        return Err(format!("expected members of at most {MEMBER_BYTES_MAX} bytes, found {size_bytes}"));
    }
    let name_bytes = usize::from(half(bytes, place + 28)?);
    let length = CENTRAL_BYTES
        + name_bytes
        + usize::from(half(bytes, place + 30)?)
        + usize::from(half(bytes, place + 32)?);
    let name = part(bytes, place + CENTRAL_BYTES, name_bytes)?;
    let local = word(bytes, place + 42)? as usize;
    let data =
        local + LOCAL_BYTES + usize::from(half(bytes, local + 26)?) + usize::from(half(bytes, local + 28)?);
    let entry = Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        method: half(bytes, place + 10)?,
        crc: word(bytes, place + 16)?,
        packed: part(bytes, data, packed)?,
        size_bytes,
    };
    Ok((entry, length))
}

impl Entry<'_> {
    fn unpack(&self) -> Result<Vec<u8>, String> {
        let name = &self.name;
        let bytes = match self.method {
            0 => self.packed.to_vec(),
            8 => {
                let mut bytes = Vec::new();
                let mut reader = DeflateDecoder::new(self.packed).take(self.size_bytes as u64 + 1);
                reader.read_to_end(&mut bytes).map_err(|error| format!("{name:?}: {error}"))?;
                bytes
            }
            other => {
                return Err(format!("{name:?}: expected method 0 (stored) or 8 (deflated), found {other}"));
            }
        };
        if bytes.len() != self.size_bytes {
            return Err(format!("{name:?}: expected {} bytes, found {}", self.size_bytes, bytes.len()));
        }
        let mut crc = flate2::Crc::new();
        crc.update(&bytes);
        match crc.sum() == self.crc {
            true => Ok(bytes),
            false => Err(format!("{name:?}: expected CRC-32 {:08x}, found {:08x}", self.crc, crc.sum())),
        }
    }
}

fn part(bytes: &[u8], place: usize, length: usize) -> Result<&[u8], String> {
    let end = place.checked_add(length);
    let found = end.and_then(|end| bytes.get(place..end));
    found.ok_or_else(|| format!("expected {length} bytes at byte {place}, found the end of the file"))
}

fn half(bytes: &[u8], place: usize) -> Result<u16, String> {
    let part = part(bytes, place, 2)?;
    Ok(u16::from_le_bytes(part.try_into().expect("two bytes")))
}

fn word(bytes: &[u8], place: usize) -> Result<u32, String> {
    let part = part(bytes, place, 4)?;
    Ok(u32::from_le_bytes(part.try_into().expect("four bytes")))
}
