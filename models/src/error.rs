//! Two errors by meaning: an artifact that cannot be loaded, an input that cannot be scored.

/// Why an artifact or a model file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file or directory cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The archive is unsafe, damaged or over a limit; the message names the entry.
    #[error("archive entry {entry:?}: {reason}")]
    Archive {
        /// The entry's name as the archive spells it, or the archive's own name.
        entry: String,
        /// What was expected and found.
        reason: String,
    },
    /// The manifest is not one, or contradicts the members.
    #[error("manifest.json: {0}")]
    Manifest(String),
    /// A model file is damaged, hostile or of a kind that is not served.
    #[error("{file}: {reason}")]
    Model {
        /// The member's name.
        file: String,
        /// What was expected, what was found and where.
        reason: String,
    },
    /// Nothing in the artifact is a model that is known.
    #[error("no model found: {0}")]
    Unrecognised(String),
}

/// Why rows cannot be scored. Decoders already hold rows to the signature: this is the second line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PredictError {
    /// The rows are not as wide as the model.
    #[error("expected rows of {expected} features, found {found}")]
    Width {
        /// The model's.
        expected: usize,
        /// The rows'.
        found: usize,
    },
    /// A value the model cannot take.
    #[error("row {row}, feature {feature}: {reason}")]
    Value {
        /// The row, from 1.
        row: usize,
        /// The feature, from 1.
        feature: usize,
        /// What was expected and found.
        reason: String,
    },
    /// Values so large that the score is beyond single precision.
    #[error("row {row}: the score of these values is beyond single precision")]
    Overflow {
        /// The row, from 1.
        row: usize,
    },
    /// The model is loaded, but cannot answer in the way its environment asks for; a fault of the deployment.
    #[error("{0}")]
    Unsupported(String),
    /// The kind of input is not the signature's.
    #[error("expected rows of features, found another kind of input")]
    Kind,
}
