//! A share of an object of lines, so that several runners read one object: whatever the cuts, each line is read once.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use object_store::ObjectStore;

use super::{Pieces, ReadError, ReadOptions, ReadSpan, ranges};
use crate::input::InputObject;

/// A ranged GET beyond the share's end, where the rest of one line is looked for. Reason: most lines are far shorter.
const TAIL_RANGE_BYTES: u64 = 64 << 10;

/// The lines of a share.
pub struct Lines {
    /// Where the first of them starts in the object.
    pub start: u64,
    /// Their bytes.
    pub pieces: Pieces,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("start", &self.start).finish_non_exhaustive()
    }
}

/// The lines of an unpacked `object` whose first byte lies in `span`: from the first line that starts there (so the byte before
/// the share is looked at) to the end of the last, which may lie beyond the share.
///
/// # Errors
/// When the object cannot be read up to its first line.
pub async fn open_lines(
    store: &Arc<dyn ObjectStore>,
    object: &InputObject,
    span: ReadSpan,
    options: &ReadOptions,
) -> Result<Lines, ReadError> {
    let to = span.to.map_or(object.size, |to| to.min(object.size));
    let from = span.from.min(to);
    let mut cut =
        Cut { pieces: source(store, object, from.saturating_sub(1)..to, options), at: from, to, rest: None };
    if from > 0 && from < to {
        cut.at -= 1;
        cut.skip_line().await?;
    }
    let start = cut.at;
    let pieces =
        if start < to { stream::unfold(Some(cut), Cut::next).boxed() } else { stream::empty().boxed() };
    Ok(Lines { start, pieces })
}

/// The share's bytes as other objects are read, then those behind it in small steps and only when they are asked for.
fn source(
    store: &Arc<dyn ObjectStore>,
    object: &InputObject,
    span: std::ops::Range<u64>,
    options: &ReadOptions,
) -> Pieces {
    let behind = ReadOptions {
        range_bytes: TAIL_RANGE_BYTES.min(options.range_bytes),
        ranges_ahead: 0,
        ..options.clone()
    };
    let tail = ranges::read(store, object, span.end..object.size, &behind);
    ranges::read(store, object, span, options).chain(tail).boxed()
}

/// Where the reading of a share stands.
struct Cut {
    pieces: Pieces,
    /// Where `rest`, or the next piece, starts in the object.
    at: u64,
    /// Where the next share starts.
    to: u64,
    /// A piece that is read and not given.
    rest: Option<Bytes>,
}

impl Cut {
    /// Passes over the line that another share has begun, unless it reaches the end of this one.
    async fn skip_line(&mut self) -> Result<(), ReadError> {
        while self.at < self.to
            && let Some(mut piece) = self.pieces.next().await.transpose()?
        {
            let newline = memchr::memchr(b'\n', &piece);
            let skipped = newline.map_or(piece.len(), |newline| newline + 1);
            self.at += skipped as u64;
            if newline.is_some() {
                self.rest = Some(piece.split_off(skipped)).filter(|rest| !rest.is_empty());
                break;
            }
        }
        Ok(())
    }

    /// The next piece, up to the end of the line in which the share's last byte lies.
    async fn next(cut: Option<Self>) -> Option<(Result<Bytes, ReadError>, Option<Self>)> {
        let mut cut = cut?;
        let mut piece = match cut.rest.take() {
            Some(rest) => rest,
            None => match cut.pieces.next().await? {
                Ok(piece) => piece,
                Err(error) => return Some((Err(error), None)),
            },
        };
        let end = cut.at + piece.len() as u64;
        if end < cut.to {
            cut.at = end;
            return Some((Ok(piece), Some(cut)));
        }
        let last = (cut.to - 1).saturating_sub(cut.at) as usize;
        match memchr::memchr(b'\n', &piece[last..]) {
            Some(newline) => {
                piece.truncate(last + newline + 1);
                Some((Ok(piece), None))
            }
            None => {
                cut.at = end;
                Some((Ok(piece), Some(cut)))
            }
        }
    }
}
