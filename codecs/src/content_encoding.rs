//! Content encodings of request bodies, with a cap on what they unpack to.
//!
//! Output grows in steps of `STEP_BYTES` and is measured after each, so a bomb stops at the cap. A stream must be
//! whole and must be all there is: what ends early or goes on after its end is refused.

use std::io;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::text;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentEncoding {
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `deflate` (zlib).
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// Why a body cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentEncodingError {
    /// Not one of ours, or several.
    #[error("unsupported content encoding {0:?}; served: one of gzip, deflate, br, zstd, identity")]
    Unsupported(String),
    /// The stream is damaged, ends early, or goes on after its end.
    #[error("{encoding} body: {reason}")]
    Damaged {
        /// The encoding.
        encoding: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// It unpacks to more than the cap.
    #[error("body unpacks to more than {limit_bytes} bytes")]
    TooLarge {
        /// The cap.
        limit_bytes: usize,
    },
}

/// Output is made room for in such steps. Reason: above a usual body, below what a flood of small bombs could hoard.
const STEP_BYTES: usize = 64 << 10;

/// The most gzip members or zstd frames of one body. Reason: parallel compressors cut at 128 KiB and more, so 1,024 are
/// 128 MiB, above any body's limit; each costs a fresh start, which millions of empty ones would abuse.
const MEMBERS_MAX: usize = 1024;

/// The largest zstd window. Reason: RFC 9659 holds the `zstd` content encoding to 8 MiB.
const ZSTD_WINDOW_BYTES_MAX: u64 = 8 << 20;

/// The base-2 logarithm of the largest window of deflate.
const DEFLATE_WINDOW_BITS: u8 = 15;

impl ContentEncoding {
    /// Reads a Content-Encoding header; `None` is identity.
    ///
    /// # Errors
    /// When the encoding is not served, or there are several.
    pub fn parse(header: &str) -> Result<Option<Self>, ContentEncodingError> {
        let name = header.trim();
        let is = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(name));
        match () {
            () if is(&["", "identity"]) => Ok(None),
            () if is(&["gzip", "x-gzip"]) => Ok(Some(Self::Gzip)),
            () if is(&["deflate"]) => Ok(Some(Self::Deflate)),
            () if is(&["br"]) => Ok(Some(Self::Brotli)),
            () if is(&["zstd"]) => Ok(Some(Self::Zstd)),
            () => Err(ContentEncodingError::Unsupported(text::shorten(name))),
        }
    }

    /// Unpacks `body` into `out` (cleared first), never past `limit_bytes`.
    ///
    /// # Errors
    /// When the body is damaged or too large.
    pub fn decode(
        self,
        body: &[u8],
        limit_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ContentEncodingError> {
        out.clear();
        let mut output = Output { encoding: self, limit_bytes, bytes: out };
        match self {
            Self::Gzip => output.inflate_members(body),
            Self::Deflate => {
                let rest = output.inflate(&mut Decompress::new(true), body)?;
                output.expect_end(rest)
            }
            Self::Brotli => output.unpack_brotli(body),
            Self::Zstd => output.unpack_zstd_frames(body),
        }
    }

    /// The token of the header.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// What a body unpacks to, under its cap.
struct Output<'a> {
    encoding: ContentEncoding,
    limit_bytes: usize,
    bytes: &'a mut Vec<u8>,
}

impl Output<'_> {
    fn inflate_members(&mut self, body: &[u8]) -> Result<(), ContentEncodingError> {
        let mut inflater = Decompress::new_gzip(DEFLATE_WINDOW_BITS);
        let mut rest = self.inflate(&mut inflater, body)?;
        for _ in 1..MEMBERS_MAX {
            if !rest.starts_with(b"\x1f\x8b") {
                return self.expect_end(rest);
            }
            inflater = Decompress::new_gzip(DEFLATE_WINDOW_BITS);
            rest = self.inflate(&mut inflater, rest)?;
        }
        if rest.is_empty() { Ok(()) } else { Err(self.too_many_members()) }
    }

    /// Unpacks one zlib or gzip stream, checksum included; gives what follows it.
    fn inflate<'b>(
        &mut self,
        inflater: &mut Decompress,
        body: &'b [u8],
    ) -> Result<&'b [u8], ContentEncodingError> {
        let mut rest = body;
        loop {
            let (read_before, written_before) = (inflater.total_in(), self.bytes.len());
            self.bytes.reserve(self.step());
            let status = inflater.decompress_vec(rest, self.bytes, FlushDecompress::None);
            let status = status.map_err(|error| self.damaged(&error.to_string()))?;
            // No more than `rest` holds, so the cast keeps it.
            rest = &rest[(inflater.total_in() - read_before) as usize..];
            self.check_limit()?;
            if status == Status::StreamEnd {
                return Ok(rest);
            }
            if rest.is_empty() && self.bytes.len() == written_before {
                return Err(self.ends_early());
            }
        }
    }

    fn unpack_brotli(&mut self, body: &[u8]) -> Result<(), ContentEncodingError> {
        let allocator = StandardAlloc::default;
        let mut state = BrotliState::new_strict(allocator(), allocator(), allocator());
        let (mut unread, mut read, mut total) = (body.len(), 0, 0);
        loop {
            let mut written = self.bytes.len();
            let mut room = self.step();
            self.bytes.resize(written + room, 0);
            let result = BrotliDecompressStream(
                &mut unread,
                &mut read,
                body,
                &mut room,
                &mut written,
                self.bytes,
                &mut total,
                &mut state,
            );
            self.bytes.truncate(written);
            self.check_limit()?;
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultSuccess => return self.expect_end(&body[read..]),
                BrotliResult::NeedsMoreInput => return Err(self.ends_early()),
                BrotliResult::ResultFailure => return Err(self.damaged("the stream is damaged")),
            }
        }
    }

    fn unpack_zstd_frames(&mut self, body: &[u8]) -> Result<(), ContentEncodingError> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_BYTES_MAX);
        let mut rest = self.unpack_zstd(&mut decoder, body)?;
        for _ in 1..MEMBERS_MAX {
            if !rest.starts_with(b"\x28\xb5\x2f\xfd") {
                return self.expect_end(rest);
            }
            rest = self.unpack_zstd(&mut decoder, rest)?;
        }
        if rest.is_empty() { Ok(()) } else { Err(self.too_many_members()) }
    }

    /// Unpacks one zstd frame and checks its checksum, if it has one; gives what follows it.
    fn unpack_zstd<'b>(
        &mut self,
        decoder: &mut FrameDecoder,
        mut body: &'b [u8],
    ) -> Result<&'b [u8], ContentEncodingError> {
        decoder.init(&mut body).map_err(|error| self.zstd_error(&error))?;
        if decoder.content_size() > (self.limit_bytes - self.bytes.len()) as u64 {
            return Err(ContentEncodingError::TooLarge { limit_bytes: self.limit_bytes });
        }
        loop {
            // The decoder holds back a window of output, so what it has read already counts before it is collected.
            let strategy = BlockDecodingStrategy::UptoBytes(STEP_BYTES);
            let is_last =
                decoder.decode_blocks(&mut body, strategy).map_err(|error| self.zstd_error(&error))?;
            decoder.collect_to_writer(&mut *self.bytes).map_err(|error| self.damaged(&error.to_string()))?;
            self.check_limit()?;
            if is_last {
                break;
            }
        }
        match decoder.get_checksum_from_data() {
            Some(checksum) if decoder.get_calculated_checksum() != Some(checksum) => {
                Err(self.damaged("the checksum does not match"))
            }
            _ => Ok(body),
        }
    }

    /// How much room to make: a step, or just enough to see that the cap is passed.
    fn step(&self) -> usize {
        STEP_BYTES.min(self.limit_bytes - self.bytes.len() + 1)
    }

    fn check_limit(&self) -> Result<(), ContentEncodingError> {
        let limit_bytes = self.limit_bytes;
        if self.bytes.len() > limit_bytes {
            Err(ContentEncodingError::TooLarge { limit_bytes })
        } else {
            Ok(())
        }
    }

    fn expect_end(&self, rest: &[u8]) -> Result<(), ContentEncodingError> {
        if rest.is_empty() {
            return Ok(());
        }
        Err(self.damaged(&format!(
            "expected the end of the body behind the stream, found {} more bytes",
            rest.len()
        )))
    }

    fn zstd_error(&self, error: &(dyn std::error::Error + 'static)) -> ContentEncodingError {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(io_error) = error.downcast_ref::<io::Error>()
                && io_error.kind() == io::ErrorKind::UnexpectedEof
            {
                return self.ends_early();
            }
            cause = error.source();
        }
        self.damaged(&error.to_string())
    }

    fn ends_early(&self) -> ContentEncodingError {
        self.damaged("the stream ends early")
    }

    fn too_many_members(&self) -> ContentEncodingError {
        self.damaged(&format!("more than {MEMBERS_MAX} streams in one body"))
    }

    #[cold]
    fn damaged(&self, reason: &str) -> ContentEncodingError {
        ContentEncodingError::Damaged { encoding: self.encoding.as_str(), reason: reason.to_owned() }
    }
}
