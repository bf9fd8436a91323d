//! An object's bytes: by ranged GETs ahead of who reads, of one version of the object, and unpacked.
//!
//! All of it is one stream of pieces ([`Pieces`]), which reads nothing that nobody asks for, but for the few ranges ahead.

mod attempt;
mod gunzip;
mod lines;
mod ranges;
mod stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::ObjectStore;

pub use gunzip::Gunzip;
pub use lines::{Lines, open_lines};
pub use stream::{from_reader, pieces};

use crate::input::InputObject;
use crate::progress::Progress;
use crate::settings::Compression;

/// An object's bytes, in order, in pieces of any length but none.
pub type Pieces = BoxStream<'static, Result<Bytes, ReadError>>;

/// A ranged GET. Reason: long enough that a request's latency does not count beside the transfer, short enough that a few of
/// them are little memory.
pub const RANGE_BYTES: u64 = 8 << 20;

/// Ranges that are read before somebody asks for them. Reason: one comes in while another is worked on, and one is spare.
pub const RANGES_AHEAD: usize = 2;

/// Attempts at a range. Reason: the store's own client tries a request again; this is for answers that break or fall short on
/// the way, which under a bad network happens several times in a range.
pub const ATTEMPTS_MAX: u32 = 8;

/// The first pause before another attempt. Reason: a store that says that it is busy wants a moment.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// The longest pause before another attempt. Reason: the API's cap on retries of calls, halved: reads hold up everything.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How objects are read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The length of a ranged GET.
    pub range_bytes: u64,
    /// Ranges read ahead.
    pub ranges_ahead: usize,
    /// Attempts at a range.
    pub attempts_max: u32,
    /// The first pause between attempts.
    pub backoff_first: Duration,
    /// Where bytes read (as they are stored) are counted.
    pub progress: Option<Arc<Progress>>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            range_bytes: RANGE_BYTES,
            ranges_ahead: RANGES_AHEAD,
            attempts_max: ATTEMPTS_MAX,
            backoff_first: BACKOFF_FIRST,
            progress: None,
        }
    }
}

/// A share of an object of lines: those whose first byte lies in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadSpan {
    /// Its first byte.
    pub from: u64,
    /// Where the next share starts; `None`: the object's end.
    pub to: Option<u64>,
}

/// Why an object cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is another version than the one that was listed.
    #[error(
        "{object}, byte {byte}: expected the version that was listed, found that it has changed ({found})"
    )]
    Changed {
        /// Its key.
        object: String,
        /// How far it was read, as it is stored.
        byte: u64,
        /// What shows it.
        found: String,
    },
    /// It is gone.
    #[error("{object}: expected an object, found none")]
    Missing {
        /// Its key.
        object: String,
    },
    /// The store does not give it.
    #[error("{object}, byte {byte}: the store failed in attempt {attempts}: {source}")]
    Store {
        /// Its key.
        object: String,
        /// How far it was read, as it is stored.
        byte: u64,
        /// How often it was tried.
        attempts: u32,
        /// What the store said.
        source: object_store::Error,
    },
    /// Its bytes end before its size, in every attempt.
    #[error(
        "{object}, byte {byte}: expected the bytes up to {end}, found the end of the answer in attempt {attempts}"
    )]
    Truncated {
        /// Its key.
        object: String,
        /// How far it was read, as it is stored.
        byte: u64,
        /// Where the range ends.
        end: u64,
        /// How often it was tried.
        attempts: u32,
    },
    /// More bytes came than were asked for.
    #[error("{object}, byte {byte}: expected no bytes from {end} on, found more")]
    Overlong {
        /// Its key.
        object: String,
        /// Where the answer starts.
        byte: u64,
        /// Where it should have ended.
        end: u64,
    },
    /// It is not gzip, or not whole.
    #[error("{object}, byte {byte} of the packed bytes: expected {expected}, found {found}")]
    Packed {
        /// Its key.
        object: String,
        /// Where, in the bytes as they are stored.
        byte: u64,
        /// What gzip asks for there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A stream that is no object fails.
    #[error("{object}, byte {byte}: {source}")]
    Stream {
        /// What it is called.
        object: String,
        /// How far it was read.
        byte: u64,
        /// What went wrong.
        source: io::Error,
    },
}

/// The bytes of `object` from the unpacked byte `from` on. Packed bytes are unpacked from the start and dropped up to there.
pub fn open(
    store: &Arc<dyn ObjectStore>,
    object: &InputObject,
    compression: Compression,
    from: u64,
    options: &ReadOptions,
) -> Pieces {
    match compression {
        Compression::None => ranges::read(store, object, from..object.size, options).boxed(),
        Compression::Gzip => {
            let packed = ranges::read(store, object, 0..object.size, options).boxed();
            gunzip::unpack(packed, object.path.to_string(), from)
        }
    }
}

#[cfg(test)]
mod tests;
