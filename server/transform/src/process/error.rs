//! Why a record cannot be processed, or a transform's processing is not served.

/// What was expected, found, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// A path is not of the subset that is served, or not for this kind of record.
    #[error("{member} {path:?}, character {at}: expected {expected}, found {found}")]
    Path {
        /// `DataProcessing.InputFilter` or `DataProcessing.OutputFilter`.
        member: &'static str,
        /// It.
        path: String,
        /// Where in it, from 1.
        at: usize,
        /// What is served there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Members of the request do not go together.
    #[error("{member}: expected {expected}, found {found}")]
    Pairing {
        /// The member that is wrong.
        member: &'static str,
        /// What the others ask of it.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A record or an answer is not of its format.
    #[error("{text}, byte {byte}: expected {expected}, found {found}")]
    Malformed {
        /// `the record` or `the answer`.
        text: &'static str,
        /// Where in it, from 0.
        byte: usize,
        /// What the format asks for there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A record has not what a path asks for.
    #[error("{member} {path:?}: expected {expected}, found {found}")]
    Selection {
        /// `DataProcessing.InputFilter` or `DataProcessing.OutputFilter`.
        member: &'static str,
        /// It.
        path: String,
        /// What it asks for.
        expected: String,
        /// What there is.
        found: String,
    },
    /// There are not as many answers as records.
    #[error("expected an answer of {expected} lines, one a record, to join or filter; found {found}")]
    Count {
        /// Records.
        expected: usize,
        /// Answers.
        found: usize,
    },
}

impl ProcessError {
    /// `text` is not of its format at `byte`.
    #[cold]
    pub(super) fn malformed(text: &'static str, bytes: &[u8], byte: usize, expected: &'static str) -> Self {
        Self::Malformed { text, byte, expected, found: found(&bytes[byte.min(bytes.len())..]) }
    }
}

/// What stands in `bytes`, printable whatever it is, and cut short: one line of a log.
#[cold]
pub(super) fn found(bytes: &[u8]) -> String {
    /// The most bytes that are shown. Reason: they are enough to find the place.
    const SHOWN_BYTES_MAX: usize = 40;
    if bytes.is_empty() {
        return "the end".to_owned();
    }
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]);
    let ellipsis = if bytes.len() > SHOWN_BYTES_MAX { "…" } else { "" };
    format!("{shown:?}{ellipsis}")
}
