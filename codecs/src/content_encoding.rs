//! Content encodings of request bodies, with a cap on what they unpack to.

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
    /// Not one of ours.
    #[error("unsupported content encoding {0:?}; served: gzip, deflate, br, zstd, identity")]
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

impl ContentEncoding {
    /// Reads a Content-Encoding header; `None` is identity.
    ///
    /// # Errors
    /// When the encoding is not served.
    pub fn parse(_header: &str) -> Result<Option<Self>, ContentEncodingError> {
        todo!()
    }

    /// Unpacks `body` into `out` (cleared first), never past `limit_bytes`.
    ///
    /// # Errors
    /// When the body is damaged or too large.
    pub fn decode(self, _body: &[u8], _limit_bytes: usize, _out: &mut Vec<u8>) -> Result<(), ContentEncodingError> {
        todo!()
    }
}
