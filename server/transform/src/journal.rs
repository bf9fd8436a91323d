//! What is done, durably: finished objects, and the parts of large ones, so that a transform that was killed goes on.
//!
//! Lines of JSON, only ever appended, the first of which says whose journal it is. In a file, a line is written at once (a
//! killed process loses none) and flushed to the disk at most once a second. In a store, lines are gathered into segments, one
//! object each, at most one every five seconds. What a crash loses is done again; a line never says more than what is stored.

mod done;
mod file;
mod line;
mod segments;

use std::path::PathBuf;
use std::sync::Arc;

use object_store::path::Path;

use crate::input::InputObject;
use crate::progress::Failure;
use crate::store::Store;

pub use done::{Done, Finished};
pub use line::{Line, ObjectName, StoredPart};

/// The folder beside outputs, or below them, of what transforms keep there: journals and shares, by job. No transform reads what
/// is in one.
pub const FOLDER: &str = "_clary";

/// The longest line. Reason: two keys of 1024 bytes, escaped, and a failure's reason; a longer one is not ours.
const LINE_BYTES_MAX: usize = 256 << 10;

/// The most bytes of a journal. Reason: 300 bytes for each of three million objects; the whole of it is read at the start.
const JOURNAL_BYTES_MAX: u64 = 1 << 30;

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It is of another transform.
    #[error("journal {place}: expected one of job {expected:?}, found one of job {found:?}")]
    OtherJob {
        /// Where it is.
        place: String,
        /// Whose it should be.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// What is to be done has changed since it was begun.
    #[error(
        "journal {place}: expected one of the same model and settings (digest {expected}), found one of others \
         (digest {found}): what they wrote cannot be gone on with"
    )]
    OtherSettings {
        /// Where it is.
        place: String,
        /// The digest of what is to be done.
        expected: String,
        /// The digest of what was done.
        found: String,
    },
    /// A line that is none of a journal's.
    #[error("journal {place}: line {line}: expected a line of a journal, found {found}")]
    Line {
        /// Where it is.
        place: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        found: String,
    },
    /// It is too large.
    #[error("journal {place}: expected at most {JOURNAL_BYTES_MAX} bytes, found more")]
    TooLarge {
        /// Where it is.
        place: String,
    },
    /// Another process writes it.
    #[error("journal {place}: expected it to be free, found it in use by another process")]
    InUse {
        /// Where it is.
        place: String,
    },
    /// Its file cannot be read or written.
    #[error("journal {place}: {source}")]
    Io {
        /// Where it is.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its store fails.
    #[error("journal {place}: {source}")]
    Store {
        /// Where it is.
        place: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
}

/// Where a journal is kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// Nowhere: a transform that is killed starts again.
    Nowhere,
    /// In a file of this machine; its folder exists.
    File(PathBuf),
    /// In segments below a folder of a store.
    Folder {
        /// The store.
        store: Store,
        /// The folder.
        folder: Path,
    },
}

impl Place {
    /// The usual place in a store: beside the outputs, in a folder that no output has.
    pub fn beside(store: Store, output_prefix: &Path, job: &str) -> Self {
        Self::Folder { store, folder: output_prefix.clone().join(FOLDER).join(job) }
    }
}

/// What is done, as it is written. Clones write the same journal.
#[derive(Debug, Clone)]
pub struct Journal(Backend);

#[derive(Debug, Clone)]
enum Backend {
    Nowhere,
    File(Arc<file::FileJournal>),
    Folder(Arc<segments::FolderJournal>),
}

impl Journal {
    /// Opens the journal of `job` at `place`, made if there is none, and what it says is done. `settings` is the digest of all
    /// that decides on the bytes of outputs: a journal of another is refused.
    ///
    /// # Errors
    /// When it is of another transform, is damaged elsewhere than at its end, or cannot be read and written.
    pub async fn open(place: Place, job: &str, settings: &str) -> Result<(Self, Done), JournalError> {
        let head = line::Head { job: job.to_owned(), settings: settings.to_owned() };
        match place {
            Place::Nowhere => Ok((Self::nowhere(), Done::default())),
            Place::File(path) => {
                let (journal, done) = file::FileJournal::open(path, head).await?;
                Ok((Self(Backend::File(Arc::new(journal))), done))
            }
            Place::Folder { store, folder } => {
                let (journal, done) = segments::FolderJournal::open(store, folder, head).await?;
                Ok((Self(Backend::Folder(journal)), done))
            }
        }
    }

    /// A journal that keeps nothing.
    pub fn nowhere() -> Self {
        Self(Backend::Nowhere)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When it cannot be written, or the journal has become too large.
    pub async fn append(&self, line: &Line) -> Result<(), JournalError> {
        match &self.0 {
            Backend::Nowhere => Ok(()),
            Backend::File(journal) => journal.append(line).await,
            Backend::Folder(journal) => journal.append(line).await,
        }
    }

    /// Notes that an object whose output another than [`crate::upload::Writer`] wrote is finished.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn finished(&self, object: &InputObject, finished: Finished) -> Result<(), JournalError> {
        self.append(&Line::finished(object, finished)).await
    }

    /// Notes a failure, for people: a later run tries the object again.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn failed(&self, failure: &Failure) -> Result<(), JournalError> {
        self.append(&Line::Failed(failure.clone())).await
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// When that fails.
    pub async fn flush(&self) -> Result<(), JournalError> {
        match &self.0 {
            Backend::Nowhere => Ok(()),
            Backend::File(journal) => journal.flush().await,
            Backend::Folder(journal) => journal.flush().await,
        }
    }

    /// Removes the journal: of a transform that is complete, there is nothing to go on with.
    ///
    /// # Errors
    /// When that fails.
    pub async fn remove(self) -> Result<(), JournalError> {
        match &self.0 {
            Backend::Nowhere => Ok(()),
            Backend::File(journal) => journal.remove().await,
            Backend::Folder(journal) => journal.remove().await,
        }
    }
}
