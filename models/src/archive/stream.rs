//! The bytes of a tar, from a gzip file or a plain one: hashed, counted and capped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use super::{Limits, is_archive};
use crate::digest::Hashing;

/// How every gzip stream begins.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes of a read from the disk. Reason: a system call each 64 KiB costs nothing beside inflating them.
const BUFFER_BYTES: usize = 64 << 10;

type Source = BufReader<Capped<Hashing<File>>>;

/// A reader that fails beyond a number of bytes.
#[derive(Debug)]
struct Capped<R> {
    inner: R,
    left: u64,
    bytes_max: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)? as u64;
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            io::Error::other(format!("expected an archive of at most {} bytes, found more", self.bytes_max))
        })?;
        Ok(count as usize)
    }
}

#[derive(Debug)]
enum Inner {
    // Boxed: its state is larger than the rest.
    Gzip(Box<GzDecoder<Source>>),
    Plain(Source),
}

/// The tar stream of an archive.
#[derive(Debug)]
pub(super) struct Stream {
    inner: Inner,
    limits: Limits,
    unpacked_bytes: u64,
}

impl Stream {
    /// Tells gzip from tar by their magic numbers; anything else is refused.
    pub(super) fn new(file: File, limits: Limits) -> io::Result<Self> {
        let bytes_max = limits.compressed_bytes_max;
        let capped = Capped { inner: Hashing::new(file), left: bytes_max, bytes_max };
        let mut source = BufReader::with_capacity(BUFFER_BYTES, capped);
        let start = source.fill_buf()?;
        let inner = if start.starts_with(&GZIP_MAGIC) {
            Inner::Gzip(Box::new(GzDecoder::new(source)))
        } else if is_archive(start) {
            Inner::Plain(source)
        } else {
            let start = &start[..start.len().min(8)];
            return Err(io::Error::other(format!(
                "expected a gzip-compressed tar, found a file that begins {start:02x?}"
            )));
        };
        Ok(Self { inner, limits, unpacked_bytes: 0 })
    }

    /// Ends the stream, which was read to its end, and gives the digest of the archive's bytes.
    pub(super) fn finish(self) -> io::Result<String> {
        let mut source = match self.inner {
            Inner::Gzip(decoder) => decoder.into_inner(),
            Inner::Plain(source) => source,
        };
        if !source.fill_buf()?.is_empty() {
            return Err(io::Error::other(
                "expected the end of the file after the gzip stream, found more bytes",
            ));
        }
        Ok(source.into_inner().inner.finish())
    }

    fn compressed_bytes(&self) -> u64 {
        match &self.inner {
            Inner::Gzip(decoder) => decoder.get_ref().get_ref().inner.count(),
            Inner::Plain(source) => source.get_ref().inner.count(),
        }
    }

    fn check_limits(&self) -> io::Result<()> {
        let Limits { unpacked_bytes_max, ratio_max, ratio_free_bytes, .. } = self.limits;
        if self.unpacked_bytes > unpacked_bytes_max {
            return Err(io::Error::other(format!(
                "expected at most {unpacked_bytes_max} bytes unpacked, found more"
            )));
        }
        let compressed = self.compressed_bytes();
        if self.unpacked_bytes > ratio_free_bytes && self.unpacked_bytes / ratio_max > compressed {
            let unpacked = self.unpacked_bytes;
            return Err(io::Error::other(format!(
                "expected at most {ratio_max} bytes unpacked for each byte of the archive, found {unpacked} of {compressed}"
            )));
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.inner {
            Inner::Gzip(decoder) => decoder.read(buffer)?,
            Inner::Plain(source) => source.read(buffer)?,
        };
        self.unpacked_bytes += count as u64;
        self.check_limits()?;
        Ok(count)
    }
}
