//! Why an output cannot be written.

use crate::batch::Position;
use crate::journal::JournalError;

/// Why an output cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The store fails.
    #[error("{key}: {source}")]
    Store {
        /// Which output.
        key: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// Another wrote the output meanwhile: theirs stays.
    #[error(
        "{key}: expected {expected} as when the transform began, found {found}: another wrote it meanwhile"
    )]
    Conflict {
        /// Which output.
        key: String,
        /// What stood there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The upload was ended by another.
    #[error("{key}: expected upload {upload} to be under way, found it ended by another")]
    Gone {
        /// Which output.
        key: String,
        /// Which upload.
        upload: String,
    },
    /// More than fits the parts.
    #[error("{key}: expected at most {parts} parts, found more")]
    TooLarge {
        /// Which output.
        key: String,
        /// The limit.
        parts: u32,
    },
    /// What is written is not what an earlier process wrote.
    #[error(
        "{key}: expected the answer to the run at byte {} to have {missing} bytes more, as when it was first written, found \
         the answer to byte {}",
        at.byte, found.byte
    )]
    Unlike {
        /// Which output.
        key: String,
        /// The run that is gone on with.
        at: Position,
        /// How many bytes of its answer did not come.
        missing: u64,
        /// What came instead.
        found: Position,
    },
    /// The journal fails.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
