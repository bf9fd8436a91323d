//! The entries of a tar stream, one after the other, with long names and PAX records resolved.

use std::io::{self, Read};

use super::extended::Records;
use super::header::{BLOCK_BYTES, Header, Kind};
use crate::LoadError;

/// The most bytes of a long name or of PAX records. Reason: names have at most 1,024; extended attributes some thousands.
const EXTENDED_BYTES_MAX: u64 = 64 << 10;

/// One entry whose data follows.
#[derive(Debug)]
pub(super) struct Entry {
    /// As the archive spells it.
    pub(super) name: Vec<u8>,
    pub(super) is_directory: bool,
    pub(super) size: u64,
}

/// Reads entries. [`next`](Self::next) may be called when the data of the last one was read whole.
#[derive(Debug)]
pub(super) struct Reader<R> {
    input: R,
    /// How messages call what is read: the archive, then the last entry.
    place: String,
    headers_left: usize,
    headers_max: usize,
}

impl<R: Read> Reader<R> {
    /// Reads `input`, which messages call `place`.
    pub(super) fn new(input: R, place: String, headers_max: usize) -> Self {
        Self { input, place, headers_left: headers_max, headers_max }
    }

    /// The next entry, or none after the end of a whole archive.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, LoadError> {
        let mut name: Option<Vec<u8>> = None;
        let mut records: Option<Records> = None;
        loop {
            let Some(header) = self.header()? else {
                let is_pending = name.is_some() || records.is_some();
                return if is_pending {
                    Err(self.refuse("expected an entry after its name, found the end"))
                } else {
                    Ok(None)
                };
            };
            match header.kind {
                Kind::LongName if name.is_some() => {
                    return Err(self.refuse("expected one long name, found two"));
                }
                Kind::LongName => name = Some(self.long_name(header.size)?),
                Kind::Extended if records.is_some() => {
                    return Err(self.refuse("expected one PAX header, found two"));
                }
                Kind::Extended => records = Some(self.records(header.size)?),
                Kind::Global => {
                    if !self.records(header.size)?.is_empty() {
                        return Err(self.refuse("expected a global PAX header without path and size"));
                    }
                }
                Kind::Refused(what) => {
                    self.place =
                        String::from_utf8_lossy(name.as_deref().unwrap_or(&header.name)).into_owned();
                    return Err(self.refuse(&format!("expected a plain file or a directory, found {what}")));
                }
                Kind::File | Kind::Directory => {
                    return self.entry(header, name, records.unwrap_or_default()).map(Some);
                }
            }
        }
    }

    /// Copies the data of the entry that [`next`](Self::next) gave, and passes over its padding.
    pub(super) fn data(&mut self, entry: &Entry, output: &mut impl io::Write) -> Result<(), LoadError> {
        let copied =
            io::copy(&mut (&mut self.input).take(entry.size), output).map_err(|error| self.broken(&error))?;
        if copied != entry.size {
            return Err(self.refuse(&format!(
                "expected {} bytes, found {copied} and the end of the archive",
                entry.size
            )));
        }
        self.padding(entry.size)
    }

    /// Reads to the end of the input, which may hold nothing but zeros, and gives it back.
    pub(super) fn finish(mut self) -> Result<R, LoadError> {
        let mut block = [0; BLOCK_BYTES];
        loop {
            match self.input.read(&mut block) {
                Ok(0) => return Ok(self.input),
                Ok(count) if block[..count].iter().all(|&byte| byte == 0) => {}
                Ok(_) => {
                    return Err(
                        self.refuse("expected nothing after the end of the tar archive, found more bytes")
                    );
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    /// A refusal that names where the reader is.
    pub(super) fn refuse(&self, reason: &str) -> LoadError {
        LoadError::Archive { entry: self.place.clone(), reason: reason.to_owned() }
    }

    /// The refusal for an input that cannot be read further.
    pub(super) fn broken(&self, error: &io::Error) -> LoadError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.refuse("expected more bytes, found the end of the archive"),
            _ => self.refuse(&error.to_string()),
        }
    }

    /// The next header, or none at the two blocks of zeros that end an archive.
    fn header(&mut self) -> Result<Option<Header>, LoadError> {
        let block = self.block()?;
        if block.iter().all(|&byte| byte == 0) {
            if self.block()?.iter().all(|&byte| byte == 0) {
                return Ok(None);
            }
            return Err(self.refuse("expected two blocks of zeros at the end of the tar archive, found one"));
        }
        if self.headers_left == 0 {
            return Err(self.refuse(&format!("expected at most {} entries, found more", self.headers_max)));
        }
        self.headers_left -= 1;
        Header::parse(&block).map(Some).map_err(|reason| self.refuse(&format!("after this entry: {reason}")))
    }

    fn block(&mut self) -> Result<[u8; BLOCK_BYTES], LoadError> {
        let mut block = [0; BLOCK_BYTES];
        self.input.read_exact(&mut block).map_err(|error| self.broken(&error))?;
        Ok(block)
    }

    fn entry(&mut self, header: Header, long: Option<Vec<u8>>, records: Records) -> Result<Entry, LoadError> {
        let Records { path, size } = records;
        if long.is_some() && path.is_some() {
            return Err(self.refuse("expected one long name, found GNU's and PAX's"));
        }
        let name = long.or(path).unwrap_or(header.name);
        self.place = shown(&name);
        if let Some(size) = size.filter(|&size| size != header.size) {
            return Err(self
                .refuse(&format!("expected a PAX size of {} as in the header, found {size}", header.size)));
        }
        let is_directory = header.kind == Kind::Directory;
        if is_directory && header.size != 0 {
            return Err(self.refuse(&format!("expected a directory of 0 bytes, found {}", header.size)));
        }
        Ok(Entry { name, is_directory, size: header.size })
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, LoadError> {
        let mut name = self.extended(size)?;
        // GNU's ends with a NUL, some writers leave it out.
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn records(&mut self, size: u64) -> Result<Records, LoadError> {
        let bytes = self.extended(size)?;
        Records::parse(&bytes).map_err(|reason| self.refuse(&format!("after this entry: {reason}")))
    }

    fn extended(&mut self, size: u64) -> Result<Vec<u8>, LoadError> {
        if size > EXTENDED_BYTES_MAX {
            return Err(self.refuse(&format!(
                "expected an extended header of at most {EXTENDED_BYTES_MAX} bytes, found {size}"
            )));
        }
        let mut bytes = vec![0; size as usize];
        self.input.read_exact(&mut bytes).map_err(|error| self.broken(&error))?;
        self.padding(size)?;
        Ok(bytes)
    }

    fn padding(&mut self, size: u64) -> Result<(), LoadError> {
        let length = (size as usize).wrapping_neg() % BLOCK_BYTES;
        let mut padding = [0; BLOCK_BYTES];
        self.input.read_exact(&mut padding[..length]).map_err(|error| self.broken(&error))
    }
}

/// A name as messages show it.
fn shown(name: &[u8]) -> String {
    /// Enough to find an entry by, and no page of a log.
    const SHOWN_CHARS_MAX: usize = 300;
    let mut name = String::from_utf8_lossy(name).into_owned();
    if let Some((cut, _)) = name.char_indices().nth(SHOWN_CHARS_MAX) {
        name.truncate(cut);
        name.push('…');
    }
    name
}
