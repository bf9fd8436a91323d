//! Media types: the closed set of formats with their parameters, and the choice of an answer's format.

/// A payload format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `text/csv`.
    Csv,
    /// `application/json`.
    Json,
    /// `application/jsonlines`.
    JsonLines,
    /// `text/libsvm`, `text/x-libsvm`; requests only.
    LibSvm,
    /// `application/x-recordio-protobuf`.
    RecordIo,
}

/// A media type with the parameters that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentType {
    /// The format.
    pub format: Format,
    /// CSV: this many leading label columns (`label_size`).
    pub label_size: usize,
    /// CSV: whether the first line is a header (`header=present|absent`); `None` leaves it to the artifact.
    pub header: Option<bool>,
    /// kNN: `verbose=true` in Accept.
    pub verbose: bool,
}

/// Why a media type is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentTypeError {
    /// Not one of ours.
    #[error("unsupported media type {found:?}; served: {served}")]
    Unsupported {
        /// What the client said, shortened.
        found: String,
        /// What there is.
        served: &'static str,
    },
    /// A parameter is not understood.
    #[error("media type parameter {name:?}: expected {expected}, found {found:?}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        found: String,
    },
}

impl ContentType {
    /// `format` without parameters.
    pub const fn new(format: Format) -> Self {
        Self { format, label_size: 0, header: None, verbose: false }
    }

    /// Reads a Content-Type header.
    ///
    /// # Errors
    /// When the type is not served or a parameter is not understood.
    pub fn parse(_header: &str) -> Result<Self, ContentTypeError> {
        todo!()
    }

    /// Chooses the answer's format from an Accept header (q-values, lists, wildcards, parameters); `default` where the
    /// header is absent or a wildcard.
    ///
    /// # Errors
    /// When nothing acceptable is served.
    pub fn from_accept(_accept: Option<&str>, _default: Self) -> Result<Self, ContentTypeError> {
        todo!()
    }

    /// The media type, without parameters.
    pub const fn as_str(self) -> &'static str {
        match self.format {
            Format::Csv => "text/csv",
            Format::Json => "application/json",
            Format::JsonLines => "application/jsonlines",
            Format::LibSvm => "text/libsvm",
            Format::RecordIo => "application/x-recordio-protobuf",
        }
    }
}
