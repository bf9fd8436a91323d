//! What the JSON and UBJSON readers share: one error, one limit on nesting.

/// How deep arrays and objects may nest. XGBoost's own files nest eight deep (ten inside a pickle); the rest is room.
pub(super) const DEPTH_MAX: usize = 32;

/// Why a document cannot be read. The reader that was asked adds the offset.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct SyntaxError(String);

impl SyntaxError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl serde::de::Error for SyntaxError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}
