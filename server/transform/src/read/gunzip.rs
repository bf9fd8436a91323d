//! gzip, unpacked as it comes: any number of members, checksums held to, and no more than a piece of output at a time.

use bytes::{Buf as _, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use futures_util::{StreamExt as _, stream};

use super::{Pieces, ReadError};

/// A piece of output. Reason: what a bomb can make of one step; large enough that its cost does not count.
const PIECE_BYTES: usize = 256 << 10;

/// The base-2 logarithm of the largest window of deflate.
const WINDOW_BITS: u8 = 15;

/// The first byte of a member. The next is looked at with the rest of its header.
const MAGIC: u8 = 0x1F;

/// What is wrong with packed bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {byte} of the packed bytes: expected {expected}, found {found}")]
pub struct GunzipError {
    /// Where, in the packed bytes.
    pub byte: u64,
    /// What gzip asks for there.
    pub expected: &'static str,
    /// What stands there.
    pub found: String,
}

/// Unpacks one stream. Synchronous: [`feed`](Self::feed) a piece, take [`next_piece`](Self::next_piece) until it gives `None`,
/// feed the next, and [`finish`](Self::finish). No bytes at all are an empty stream.
#[derive(Debug, Default)]
pub struct Gunzip {
    packed: Bytes,
    /// Packed bytes before those in `packed`.
    byte: u64,
    /// The member that is being unpacked.
    member: Option<Decompress>,
}

impl Gunzip {
    /// Takes packed bytes, once those before are used up.
    ///
    /// # Panics
    /// When they are not.
    pub fn feed(&mut self, packed: Bytes) {
        assert!(self.packed.is_empty(), "pieces are taken before more is fed");
        self.packed = packed;
    }

    /// More of what they unpack to; `None` when that needs more of them.
    ///
    /// # Errors
    /// When they are not gzip, or damaged.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, GunzipError> {
        while !self.packed.is_empty() {
            let mut member = match self.member.take() {
                Some(member) => member,
                None => self.begin()?,
            };
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let before = member.total_in();
            let status = member.decompress_vec(&self.packed, &mut piece, FlushDecompress::None);
            // No more than `packed` holds, so the cast keeps it.
            let used = (member.total_in() - before) as usize;
            self.packed.advance(used);
            self.byte += used as u64;
            let has_ended = match status {
                Ok(status) => status == Status::StreamEnd,
                Err(error) => return Err(self.error("a sound gzip member", error.to_string())),
            };
            if !has_ended {
                if used == 0 && piece.is_empty() {
                    return Err(self.error("a gzip member", "bytes that lead nowhere".to_owned()));
                }
                self.member = Some(member);
            }
            if !piece.is_empty() {
                // A small piece must not keep the room of a large one: many of them may wait for a record's end.
                piece.shrink_to_fit();
                return Ok(Some(piece.into()));
            }
        }
        Ok(None)
    }

    /// Ends the stream, after `next_piece` has given `None`.
    ///
    /// # Errors
    /// When it ends within a member.
    pub fn finish(&self) -> Result<(), GunzipError> {
        match self.member {
            Some(_) => Err(self.error("the rest of a gzip member", "the end".to_owned())),
            None => Ok(()),
        }
    }

    /// Starts a member, which must look like one: behind another, zeros or garbage are no member.
    fn begin(&self) -> Result<Decompress, GunzipError> {
        let first = self.packed[0];
        if first == MAGIC {
            return Ok(Decompress::new_gzip(WINDOW_BITS));
        }
        let expected = match self.byte {
            0 => "a gzip member, which starts with 1f 8b",
            _ => "another gzip member, which starts with 1f 8b, or the end",
        };
        Err(self.error(expected, format!("{first:02x}")))
    }

    fn error(&self, expected: &'static str, found: String) -> GunzipError {
        GunzipError { byte: self.byte, expected, found }
    }
}

/// What `packed` unpacks to, from the unpacked byte `from` on.
pub(super) fn unpack(packed: Pieces, object: String, from: u64) -> Pieces {
    let unpacking = Unpacking { packed, gunzip: Gunzip::default(), object, skip: from };
    stream::unfold(Some(unpacking), Unpacking::next).boxed()
}

/// Where the unpacking of a stream stands.
struct Unpacking {
    packed: Pieces,
    gunzip: Gunzip,
    object: String,
    /// Unpacked bytes to drop before one is given.
    skip: u64,
}

impl Unpacking {
    async fn next(unpacking: Option<Self>) -> Option<(Result<Bytes, ReadError>, Option<Self>)> {
        let mut unpacking = unpacking?;
        match unpacking.step().await.transpose()? {
            Ok(piece) => Some((Ok(piece), Some(unpacking))),
            Err(error) => Some((Err(error), None)),
        }
    }

    async fn step(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            while let Some(mut piece) = self.gunzip.next_piece().map_err(|error| self.refusal(error))? {
                let dropped = piece.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                self.skip -= dropped as u64;
                piece.advance(dropped);
                if !piece.is_empty() {
                    return Ok(Some(piece));
                }
            }
            match self.packed.next().await {
                Some(packed) => self.gunzip.feed(packed?),
                None => {
                    self.gunzip.finish().map_err(|error| self.refusal(error))?;
                    return Ok(None);
                }
            }
        }
    }

    fn refusal(&self, error: GunzipError) -> ReadError {
        let GunzipError { byte, expected, found } = error;
        ReadError::Packed { object: self.object.clone(), byte, expected, found }
    }
}
