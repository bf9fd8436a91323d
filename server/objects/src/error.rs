//! What can go wrong, by meaning. The wire has one table from here to S3's codes (`wire/error.rs`).

use std::io;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such bucket.
    #[error("bucket {0:?}: expected an existing one, found none of this name")]
    NoBucket(String),
    /// A bucket of this name exists.
    #[error("bucket {0:?}: expected a free name, found it taken")]
    BucketTaken(String),
    /// A bucket that still has objects.
    #[error("bucket {0:?}: expected it to be empty, found objects in it")]
    BucketNotEmpty(String),
    /// A name that no bucket may have.
    #[error(
        "bucket name: expected 3 to 63 lower-case letters, digits, dots and hyphens, with a letter or digit at both ends, found {0:?}"
    )]
    BucketName(String),
    /// No more buckets.
    #[error("buckets: expected at most {limit}, found as many")]
    TooManyBuckets {
        /// The limit.
        limit: usize,
    },
    /// No such object.
    #[error("key {0:?}: expected an object, found none")]
    NoKey(String),
    /// A key that no object may have.
    #[error("key: expected 1 to {limit} bytes, found {found}")]
    KeyLength {
        /// The limit.
        limit: usize,
        /// What it has.
        found: usize,
    },
    /// No such upload.
    #[error("upload {0:?}: expected one that is under way, found none")]
    NoUpload(String),
    /// Too many uploads under way.
    #[error("uploads: expected at most {limit} under way, found as many")]
    TooManyUploads {
        /// The limit.
        limit: u64,
    },
    /// A part number that no part may have.
    #[error("part number: expected 1 to {limit}, found {found}")]
    PartNumber {
        /// The limit.
        limit: u32,
        /// What was given.
        found: i64,
    },
    /// A part that was not uploaded, or is not what the client thinks.
    #[error("part {number}: expected {expected}, found {found}")]
    Part {
        /// Its number.
        number: u32,
        /// What the client named.
        expected: String,
        /// What there is.
        found: String,
    },
    /// Parts that do not ascend.
    #[error("parts: expected ascending numbers, found {0} after one as high")]
    PartOrder(u32),
    /// A list of parts that is empty.
    #[error("parts: expected at least one, found none")]
    NoParts,
    /// A condition that does not hold.
    #[error("condition {0}: expected it to hold, found that it does not")]
    Precondition(&'static str),
    /// The client's copy is as good.
    #[error("the object is what the client has")]
    NotModified {
        /// Its tag.
        etag: String,
        /// Its age.
        modified_ms: i64,
    },
    /// A range outside the object.
    #[error("range: expected one within {size} bytes, found another")]
    Range {
        /// What the object has.
        size: u64,
    },
    /// Bytes that are not those that were announced.
    #[error("{name}: expected {expected}, found {found}")]
    Digest {
        /// Which checksum.
        name: &'static str,
        /// What the client computed.
        expected: String,
        /// What we computed.
        found: String,
    },
    /// Fewer or more bytes than announced.
    #[error("body: expected {expected} bytes, found {found}")]
    Length {
        /// The announcement.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A body that broke off.
    #[error("body: expected its end, found {0}")]
    Body(String),
    /// Over a limit.
    #[error("{what}: expected at most {limit} bytes, found more")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// An argument that is not what it should be.
    #[error("{name}: expected {expected}, found {found:?}")]
    Argument {
        /// Which.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// The disk fails.
    #[error("{place}: {source}")]
    Io {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The transaction that a change shared with others fails.
    #[error("commit: {0}")]
    Commit(String),
    /// The index fails.
    #[error("index: {0}")]
    Index(#[from] rusqlite::Error),
    /// What the index holds of an object is not what was written there.
    #[error("index: expected the details of an object, found {0}")]
    Details(#[from] serde_json::Error),
    /// The runtime goes down.
    #[error("the server is stopping")]
    Stopping,
}

/// The crate's results.
pub type Result<T> = std::result::Result<T, Error>;

/// Wraps the failure of file work at `place`.
pub(crate) fn io(place: &std::path::Path) -> impl FnOnce(io::Error) -> Error {
    let place = place.display().to_string();
    move |source| Error::Io { place, source }
}

/// Why a task of the store gave nothing: its runtime goes down. A panic in it goes on in who waits.
pub(crate) fn stopping(error: tokio::task::JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Error::Stopping,
    }
}
