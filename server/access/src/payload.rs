//! Bodies that prove themselves while they come: of a declared hash, or in `aws-chunked` framing. What goes out may only be
//! made visible once [`PayloadReader::finish`] has said yes.

use bytes::Bytes;
use http::HeaderMap;

use crate::chunked::{ChunkSigner, Decoder};
use crate::digest::{self, Digest, Hasher};
use crate::refusal::Refusal;

/// The header that says how the body is signed.
pub const CONTENT_SHA256: &str = "x-amz-content-sha256";

/// What stands there for a body that is not.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_CHUNKS_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_CHUNKS_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// The most trailers. Reason: one of each checksum.
const TRAILERS_MAX: usize = 8;

/// What a request says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// Its hash.
    Hash(Digest),
    /// That it is not signed.
    Unsigned,
    /// That it is in chunks.
    Chunked {
        /// Whether each is signed.
        is_signed: bool,
        /// Whether trailers follow.
        has_trailer: bool,
    },
}

impl Declared {
    /// What `x-amz-content-sha256` says; `None` when there is none.
    ///
    /// # Errors
    /// When it says something else.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let mut values = headers.get_all(CONTENT_SHA256).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let value = value.as_bytes();
        let is_one = values.next().is_none();
        let declared = match std::str::from_utf8(value).unwrap_or_default() {
            UNSIGNED => Some(Self::Unsigned),
            SIGNED_CHUNKS => Some(Self::Chunked { is_signed: true, has_trailer: false }),
            SIGNED_CHUNKS_TRAILER => Some(Self::Chunked { is_signed: true, has_trailer: true }),
            UNSIGNED_CHUNKS_TRAILER => Some(Self::Chunked { is_signed: false, has_trailer: true }),
            _ => digest::from_hex(value).map(Self::Hash),
        };
        match declared.filter(|_| is_one) {
            Some(declared) => Ok(Some(declared)),
            None => Err(Refusal::Malformed {
                place: "header x-amz-content-sha256",
                expected: "one SHA-256, UNSIGNED-PAYLOAD or a STREAMING- form of AWS4-HMAC-SHA256",
                found: crate::claim::shortened(&String::from_utf8_lossy(value)),
            }),
        }
    }
}

/// A body on its way.
#[derive(Debug)]
pub struct PayloadReader(Kind);

#[derive(Debug)]
enum Kind {
    /// As it comes.
    Plain,
    /// Of a hash that was signed.
    Hashed { hasher: Hasher, expected: Digest },
    /// In chunks.
    Chunked(Box<Decoder>),
}

impl PayloadReader {
    /// Of a request that nobody checks: chunks are unpacked, their signatures passed over.
    ///
    /// # Errors
    /// When the head does not say how the body is framed.
    pub fn open(headers: &HeaderMap) -> Result<Self, Refusal> {
        match Declared::of(headers)? {
            Some(declared @ Declared::Chunked { .. }) => Self::new(declared, None, headers),
            _ => Ok(Self(Kind::Plain)),
        }
    }

    /// Of a request whose signature was checked.
    pub(crate) fn new(
        declared: Declared,
        signer: Option<ChunkSigner>,
        headers: &HeaderMap,
    ) -> Result<Self, Refusal> {
        Ok(Self(match declared {
            Declared::Unsigned => Kind::Plain,
            Declared::Hash(expected) => Kind::Hashed { hasher: Hasher::new(), expected },
            Declared::Chunked { is_signed, has_trailer } => {
                let announced = if has_trailer { announced(headers)? } else { Vec::new() };
                let bytes = decoded_bytes(headers)?;
                Kind::Chunked(Box::new(Decoder::new(
                    is_signed,
                    signer.filter(|_| is_signed),
                    announced,
                    bytes,
                )))
            }
        }))
    }

    /// Whether the framing is taken off, so that `Content-Length` is not that of what goes out.
    pub fn is_chunked(&self) -> bool {
        matches!(self.0, Kind::Chunked(_))
    }

    /// Takes the next bytes, and appends to `out` what they hold.
    ///
    /// # Errors
    /// When the body is not as it should be.
    pub fn feed(&mut self, piece: Bytes, out: &mut Vec<Bytes>) -> Result<(), Refusal> {
        match &mut self.0 {
            Kind::Plain => {}
            Kind::Hashed { hasher, .. } => hasher.update(&piece),
            Kind::Chunked(decoder) => return decoder.feed(piece, out),
        }
        out.push(piece);
        Ok(())
    }

    /// That all has come and is what was signed; gives the trailers.
    ///
    /// # Errors
    /// When it is not.
    pub fn finish(self) -> Result<Vec<(String, String)>, Refusal> {
        match self.0 {
            Kind::Plain => Ok(Vec::new()),
            Kind::Chunked(decoder) => decoder.finish(),
            Kind::Hashed { hasher, expected } => {
                let found = hasher.finish();
                if found == expected { Ok(Vec::new()) } else { Err(wrong_hash(&found)) }
            }
        }
    }
}

/// The refusal of a body of another hash.
pub(crate) fn wrong_hash(found: &Digest) -> Refusal {
    Refusal::Body(format!("one of SHA-256 {}", digest::hex(found)))
}

/// The names in `x-amz-trailer`.
fn announced(headers: &HeaderMap) -> Result<Vec<String>, Refusal> {
    let values = headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
    let names: Vec<_> = names.filter(|name| !name.is_empty()).take(TRAILERS_MAX + 1).collect();
    if (1..=TRAILERS_MAX).contains(&names.len()) {
        return Ok(names);
    }
    let (place, expected) = ("header x-amz-trailer", "the names of one to eight trailers");
    Err(Refusal::Malformed { place, expected, found: format!("{} or more", names.len()) })
}

/// `x-amz-decoded-content-length`.
fn decoded_bytes(headers: &HeaderMap) -> Result<u64, Refusal> {
    let value = headers.get("x-amz-decoded-content-length").and_then(|value| value.to_str().ok());
    let is_number =
        |text: &&str| (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    value.filter(is_number).and_then(|text| text.parse().ok()).ok_or(Refusal::Malformed {
        place: "header x-amz-decoded-content-length",
        expected: "the number of plain bytes",
        found: value.map_or_else(|| "none".into(), crate::claim::shortened),
    })
}

#[cfg(test)]
mod tests;
