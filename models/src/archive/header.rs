//! One tar header: 512 bytes, read strictly.

/// Bytes of a header, and the unit that data is padded to.
pub(super) const BLOCK_BYTES: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// The next entry's name, too long for its header (GNU).
    LongName,
    /// Records about the next entry (PAX).
    Extended,
    /// Records about all entries that follow (PAX).
    Global,
    /// What is never unpacked, by name.
    Refused(&'static str),
}

/// A header's fields that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// As the header spells it, prefix included.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// Bytes of data that follow.
    pub(super) size: u64,
}

impl Header {
    /// Reads a header whose block is not all zeros.
    pub(super) fn parse(block: &[u8; BLOCK_BYTES]) -> Result<Self, String> {
        check_sum(block)?;
        let name = name(block);
        let kind = kind(block[156], &name);
        let size = number(&block[124..136]).ok_or_else(|| {
            format!("size: expected an octal number, found {:?}", String::from_utf8_lossy(&block[124..136]))
        })?;
        Ok(Self { name, kind, size })
    }
}

/// The sum of all bytes, those of the sum itself counted as blanks.
fn check_sum(block: &[u8; BLOCK_BYTES]) -> Result<(), String> {
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    let stored: u64 = block[148..156].iter().map(|&byte| u64::from(byte)).sum();
    let computed = sum - stored + 8 * u64::from(b' ');
    match number(&block[148..156]) {
        Some(found) if found == computed => Ok(()),
        Some(found) => Err(format!("expected a tar header of checksum {computed}, found {found}")),
        None => Err("expected a tar header, found no checksum".into()),
    }
}

fn name(block: &[u8; BLOCK_BYTES]) -> Vec<u8> {
    let name = until_nul(&block[..100]);
    // Only the POSIX version has a prefix; GNU's keeps times in its place, the oldest has nothing there.
    let prefix = if &block[257..263] == b"ustar\0" { until_nul(&block[345..500]) } else { b"" };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn kind(flag: u8, name: &[u8]) -> Kind {
    match flag {
        // The oldest tars mark a directory by its name only.
        b'\0' if name.ends_with(b"/") => Kind::Directory,
        b'0' | b'\0' => Kind::File,
        b'5' => Kind::Directory,
        b'L' => Kind::LongName,
        b'x' => Kind::Extended,
        b'g' => Kind::Global,
        b'1' => Kind::Refused("a hard link"),
        b'2' => Kind::Refused("a symbolic link"),
        b'3' => Kind::Refused("a character device"),
        b'4' => Kind::Refused("a block device"),
        b'6' => Kind::Refused("a FIFO"),
        b'7' => Kind::Refused("a contiguous file"),
        b'K' => Kind::Refused("a long link name"),
        b'S' => Kind::Refused("a sparse file"),
        b'M' => Kind::Refused("a part of a multi-volume archive"),
        b'V' => Kind::Refused("a volume label"),
        b'D' => Kind::Refused("a directory dump"),
        _ => Kind::Refused("an entry of unknown type"),
    }
}

/// Octal digits between blanks and NULs, or a big-endian number of base 256 (GNU); an empty field is no number.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        let (high, low) = field[1..].split_at(field.len() - 9);
        return high
            .iter()
            .all(|&byte| byte == 0)
            .then(|| low.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)));
    }
    let start = field.iter().position(|&byte| byte != b' ')?;
    let field = &field[start..];
    let digits = field.iter().position(|&byte| !(b'0'..=b'7').contains(&byte)).unwrap_or(field.len());
    let (digits, rest) = field.split_at(digits);
    let ends_well = rest.iter().all(|&byte| byte == b' ' || byte == 0);
    // Twelve octal digits are 36 bits: no overflow.
    (ends_well && !digits.is_empty())
        .then(|| digits.iter().fold(0, |sum, &digit| sum << 3 | u64::from(digit - b'0')))
}
