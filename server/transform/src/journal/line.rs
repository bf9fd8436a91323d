//! The lines of a journal.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::done::Finished;
use super::{JournalError, LINE_BYTES_MAX};
use crate::batch::Position;
use crate::input::InputObject;
use crate::progress::Failure;
use crate::store::Standing;

/// The first line: whose journal it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The transform's identity.
    pub(super) job: String,
    /// The digest of what decides on the bytes of outputs.
    pub(super) settings: String,
}

/// An input in one version, and where its output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectName {
    /// Its key.
    pub object: String,
    /// Its version: its entity tag, else when it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The key of its output.
    pub output: String,
}

impl From<&InputObject> for ObjectName {
    fn from(object: &InputObject) -> Self {
        Self { object: object.path.to_string(), version: version(object), output: object.output.to_string() }
    }
}

/// What tells versions of an input apart.
pub(super) fn version(object: &InputObject) -> Option<String> {
    let modified = || {
        let since = object.modified?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(format!("modified {}", since.as_nanos()))
    };
    object.e_tag.clone().or_else(modified)
}

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// An object's output stands.
    Finished {
        /// Which.
        #[serde(flatten)]
        name: ObjectName,
        /// What it is.
        #[serde(flatten)]
        finished: Finished,
    },
    /// An upload in parts was begun.
    Begun {
        /// Of which object.
        #[serde(flatten)]
        name: ObjectName,
        /// Its id.
        upload: String,
        /// The mark that the object will have.
        mark: String,
        /// What stood there before.
        standing: Standing,
        /// The bytes of its first parts, which say how all are cut.
        part_bytes: u64,
    },
    /// A part is stored.
    Part {
        /// Of which upload.
        upload: String,
        /// The part.
        #[serde(flatten)]
        part: StoredPart,
    },
    /// All parts of an upload are stored: it is about to be completed.
    Sealed {
        /// Which upload.
        upload: String,
        /// Bytes of the object.
        bytes: u64,
        /// The end of the input.
        end: Position,
    },
    /// An upload was given up.
    Aborted {
        /// Which upload.
        upload: String,
    },
    /// An object or a record failed.
    Failed(Failure),
}

/// A part that is stored, and where in the input it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPart {
    /// Its number, from 1.
    pub number: u32,
    /// Its bytes.
    pub bytes: u64,
    /// What the store calls it.
    pub part_e_tag: String,
    /// The run that straddles its end.
    pub at: Position,
    /// How much of that run's answer is in it and the parts before.
    pub skip: u64,
}

impl Line {
    pub(super) fn finished(object: &InputObject, finished: Finished) -> Self {
        Self::Finished { name: object.into(), finished }
    }
}

/// A line as bytes, its end included.
pub(super) fn to_bytes(line: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("lines have string keys only");
    bytes.push(b'\n');
    bytes
}

/// Reads a line, without its end.
pub(super) fn parse<T: for<'de> Deserialize<'de>>(
    place: &str,
    number: usize,
    bytes: &[u8],
) -> Result<T, JournalError> {
    let wrong = |found: String| JournalError::Line { place: place.to_owned(), line: number, found };
    if bytes.len() > LINE_BYTES_MAX {
        return Err(wrong(format!("one of {} bytes, over the limit of {LINE_BYTES_MAX}", bytes.len())));
    }
    #[expect(clippy::disallowed_methods, reason = "at most LINE_BYTES_MAX")]
    serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))
}

/// Holds a journal's first line to what is expected of it.
pub(super) fn check_head(place: &str, expected: &Head, bytes: &[u8]) -> Result<(), JournalError> {
    let found: Head = parse(place, 1, bytes)?;
    let place = place.to_owned();
    if found.job != expected.job {
        return Err(JournalError::OtherJob { place, expected: expected.job.clone(), found: found.job });
    }
    if found.settings != expected.settings {
        let (expected, found) = (expected.settings.clone(), found.settings);
        return Err(JournalError::OtherSettings { place, expected, found });
    }
    Ok(())
}
