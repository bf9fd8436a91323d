//! `aws-chunked` bodies: S3's own framing inside a body, each chunk signed over the one before it, with trailers behind the
//! last. A state machine: bytes in as they come, plain bytes out, nothing copied but what lies across two pieces.
//!
//! A chunk's bytes go out before its signature can be known to fit. So whoever takes them must not make them visible
//! before [`Decoder::finish`] has said yes.

use aws_lc_rs::hmac;
use bytes::Bytes;

use crate::digest::{self, Digest, EMPTY_SHA256, Hasher};
use crate::refusal::Refusal;

/// The longest line before a chunk. Reason: sixteen digits and a signature are 97 bytes.
const LINE_BYTES_MAX: usize = 256;

/// The largest chunk. Reason: the largest part of an upload.
const CHUNK_BYTES_MAX: u64 = 5 << 30;

/// Bytes of all trailers. Reason: a checksum and a signature are 150.
const TRAILER_BYTES_MAX: usize = 4 << 10;

/// The line that signs the trailers.
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// What makes chunk signatures: a key and the signature before.
#[derive(Clone)]
pub(crate) struct ChunkSigner {
    key: hmac::Key,
    /// The lines `MOMENT\nSCOPE\n` of every text that is signed.
    scope: String,
    before: Digest,
}

impl std::fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkSigner").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl ChunkSigner {
    /// After the signature of the head.
    pub(crate) fn new(key: hmac::Key, scope: String, seed: Digest) -> Self {
        Self { key, scope, before: seed }
    }

    /// Whether `signature` follows from the one before and these lines; it is then the one before.
    fn check(&mut self, algorithm: &str, lines: &str, signature: &Digest) -> Result<(), Refusal> {
        let text = format!("{algorithm}\n{}{}\n{lines}", self.scope, digest::hex(&self.before));
        if !digest::is_same(&digest::hmac(&self.key, text.as_bytes()), signature) {
            return Err(Refusal::Mismatch);
        }
        self.before = *signature;
        Ok(())
    }
}

/// What is being read.
#[derive(Debug)]
enum State {
    /// The line before a chunk.
    Line,
    /// A chunk's bytes.
    Data { left: u64 },
    /// The line end behind them.
    DataEnd,
    /// The lines behind the last chunk; an empty one ends it all.
    Trailer,
    /// Nothing may follow.
    Done,
}

/// The decoder of one body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// A line of which the end has not come.
    line: Vec<u8>,
    /// Of chunks that are signed: what their line says, and their bytes so far.
    signature: Option<Digest>,
    hasher: Option<Hasher>,
    signer: Option<ChunkSigner>,
    is_signed: bool,
    /// The trailers that the head announced.
    announced: Vec<String>,
    trailers: Vec<(String, String)>,
    trailer_signature: Option<Digest>,
    trailer_bytes: usize,
    plain_bytes: u64,
    declared_bytes: u64,
}

impl Decoder {
    /// For a body whose plain bytes are `declared_bytes`, with these trailers announced. Where `is_signed`, every chunk must
    /// have a signature; `signer` checks it where the key is known.
    pub(crate) fn new(
        is_signed: bool,
        signer: Option<ChunkSigner>,
        announced: Vec<String>,
        declared_bytes: u64,
    ) -> Self {
        Self {
            state: State::Line,
            line: Vec::new(),
            signature: None,
            hasher: None,
            signer,
            is_signed,
            announced,
            trailers: Vec::new(),
            trailer_signature: None,
            trailer_bytes: 0,
            plain_bytes: 0,
            declared_bytes,
        }
    }

    /// Takes the next bytes and appends what is plain in them to `out`.
    ///
    /// # Errors
    /// When the body is not framed so, or a signature does not fit.
    pub fn feed(&mut self, mut piece: Bytes, out: &mut Vec<Bytes>) -> Result<(), Refusal> {
        while !piece.is_empty() {
            match self.state {
                State::Data { left } => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                    let data = piece.split_to(here);
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&data);
                    }
                    out.push(data);
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
                }
                State::Done => return bad("nothing behind the last chunk", "more bytes"),
                State::Line | State::DataEnd | State::Trailer => {
                    if let Some(line) = self.take_line(&mut piece)? {
                        self.end_line(&line)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// That the body has come whole; gives its trailers.
    ///
    /// # Errors
    /// When it has not.
    pub fn finish(self) -> Result<Vec<(String, String)>, Refusal> {
        match self.state {
            State::Done => Ok(self.trailers),
            _ => bad("the last chunk", "the body's end before it"),
        }
    }

    /// A whole line without its end, once it has come.
    fn take_line(&mut self, piece: &mut Bytes) -> Result<Option<Vec<u8>>, Refusal> {
        let end = piece.iter().position(|byte| *byte == b'\n');
        let here = piece.split_to(end.map_or(piece.len(), |end| end + 1));
        if self.line.len() + here.len() > LINE_BYTES_MAX {
            return bad("a line of at most 256 bytes", "a longer one");
        }
        self.line.extend_from_slice(&here);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        if !line.ends_with(b"\r\n") {
            return bad("a line that ends in CR LF", "LF alone");
        }
        line.truncate(line.len() - 2);
        Ok(Some(line))
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        match self.state {
            State::Line => self.begin_chunk(line),
            State::DataEnd if !line.is_empty() => {
                bad("a line end behind a chunk", "more bytes than its size")
            }
            State::DataEnd => {
                self.end_chunk()?;
                self.state = State::Line;
                Ok(())
            }
            _ if line.is_empty() => self.end_trailers(),
            _ => self.trailer(line),
        }
    }

    /// `SIZE` or `SIZE;chunk-signature=SIGNATURE`.
    fn begin_chunk(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let Ok(line) = std::str::from_utf8(line) else { return bad("the size of a chunk", "other bytes") };
        let (size, extension) = match line.split_once(';') {
            Some((size, extension)) => (size, Some(extension)),
            None => (line, None),
        };
        let is_hex = (1..=16).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = Some(size).filter(|_| is_hex).and_then(|size| u64::from_str_radix(size, 16).ok());
        let Some(size) = size.filter(|size| *size <= CHUNK_BYTES_MAX) else {
            return bad("the size of a chunk in hexadecimal, at most 5 GiB", "something else");
        };
        self.signature = match (self.is_signed, extension.map(|text| text.strip_prefix("chunk-signature="))) {
            (false, None) => None,
            (false, Some(_)) => return bad("chunks without signature, as the head says", "one with"),
            (true, Some(Some(signature))) if digest::from_hex(signature.as_bytes()).is_some() => {
                digest::from_hex(signature.as_bytes())
            }
            (true, _) => return bad("chunk-signature= and 64 hexadecimal digits", "something else"),
        };
        self.plain_bytes += size;
        if self.plain_bytes > self.declared_bytes {
            return self.wrong_length();
        }
        self.hasher = self.signer.as_ref().map(|_| Hasher::new());
        if size > 0 {
            self.state = State::Data { left: size };
            return Ok(());
        }
        if self.plain_bytes != self.declared_bytes {
            return self.wrong_length();
        }
        self.end_chunk()?;
        self.state = State::Trailer;
        Ok(())
    }

    fn wrong_length(&self) -> Result<(), Refusal> {
        let found = format!("{} or more", self.plain_bytes);
        Err(Refusal::BadBody {
            expected: format!("{} bytes in all, as declared", self.declared_bytes),
            found,
        })
    }

    fn end_chunk(&mut self) -> Result<(), Refusal> {
        let (Some(signer), Some(hasher)) = (&mut self.signer, self.hasher.take()) else { return Ok(()) };
        let Some(signature) = self.signature.take() else { return Ok(()) };
        let lines = format!("{EMPTY_SHA256}\n{}", digest::hex(&hasher.finish()));
        signer.check("AWS4-HMAC-SHA256-PAYLOAD", &lines, &signature)
    }

    fn trailer(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.trailer_bytes += line.len();
        let pair = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':'));
        let Some((name, value)) = pair.filter(|_| self.trailer_bytes <= TRAILER_BYTES_MAX) else {
            return bad("trailers of at most 4096 bytes, each NAME:VALUE", "something else");
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == TRAILER_SIGNATURE {
            let is_first = self.trailer_signature.is_none();
            self.trailer_signature =
                digest::from_hex(value.as_bytes()).filter(|_| is_first && self.is_signed);
            return match self.trailer_signature {
                Some(_) => Ok(()),
                None => bad("one signature of 64 hexadecimal digits behind signed chunks", "something else"),
            };
        }
        let is_new = !self.trailers.iter().any(|(known, _)| *known == name);
        if !is_new || !self.announced.contains(&name) || self.trailer_signature.is_some() {
            return bad("trailers as x-amz-trailer announces them", "others");
        }
        self.trailers.push((name, value.to_owned()));
        Ok(())
    }

    fn end_trailers(&mut self) -> Result<(), Refusal> {
        if self.trailers.len() != self.announced.len() {
            return bad("trailers as x-amz-trailer announces them", "fewer");
        }
        if self.is_signed && !self.announced.is_empty() {
            let Some(signature) = self.trailer_signature else {
                return bad("a signature of the trailers", "none");
            };
            let text: String =
                self.trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            if let Some(signer) = &mut self.signer {
                let lines = digest::hex(&digest::sha256(text.as_bytes()));
                signer.check("AWS4-HMAC-SHA256-TRAILER", &lines, &signature)?;
            }
        } else if self.trailer_signature.is_some() {
            return bad("a signature of trailers where there are any", "one without");
        }
        self.state = State::Done;
        Ok(())
    }
}

fn bad<T>(expected: &str, found: &str) -> Result<T, Refusal> {
    Err(Refusal::BadBody { expected: expected.to_owned(), found: found.to_owned() })
}
