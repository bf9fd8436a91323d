//! One error for all decoders: what was expected, what was found, and where.

use std::fmt;

/// Where in a payload something is wrong. Rows and columns count from 1, as people and editors do; byte offsets from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The row (record, line, instance).
    pub row: Option<usize>,
    /// The column (cell, feature position).
    pub column: Option<usize>,
    /// The byte offset in the payload.
    pub byte: Option<usize>,
}

/// What a decoder wanted to see.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// A phrase such as `a number` or `a closing quote`.
    Phrase(&'static str),
    /// A count of features.
    Features(usize),
    /// At most this many features.
    FeaturesAtMost(usize),
    /// A feature index below this number.
    IndexBelow(usize),
    /// At most this many rows.
    RowsAtMost(usize),
    /// At most this many values in all rows together.
    ValuesAtMost(usize),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phrase(phrase) => f.write_str(phrase),
            Self::Features(count) => write!(f, "{count} features"),
            Self::FeaturesAtMost(count) => write!(f, "at most {count} features"),
            Self::IndexBelow(count) => write!(f, "a feature index below {count}"),
            Self::RowsAtMost(count) => write!(f, "at most {count} rows"),
            Self::ValuesAtMost(count) => write!(f, "at most {count} values in all rows together"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, value) in [("row", self.row), ("column", self.column), ("byte", self.byte)] {
            if let Some(value) = value {
                write!(f, "{separator}{name} {value}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// Why a payload is not rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not of the format.
    #[error("{place}: expected {expected}, found {found}")]
    Malformed {
        /// Where.
        place: Place,
        /// What the format asks for there.
        expected: Expected,
        /// What stands there, shortened and made printable.
        found: String,
    },
    /// The rows are well-formed but not of the model's width.
    #[error("{place}: expected {expected}, found {found}")]
    Width {
        /// Where.
        place: Place,
        /// The model's number of features.
        expected: Expected,
        /// The row's.
        found: usize,
    },
    /// A value is missing and the model does not take missing values.
    #[error("{place}: expected a number, found a missing value, which this model does not take")]
    MissingValue {
        /// Where.
        place: Place,
    },
}

impl DecodeError {
    /// The bytes at `place` are not the `expected` phrase; `found` is already shortened and printable.
    #[cold]
    pub(crate) fn malformed(place: Place, expected: &'static str, found: impl Into<String>) -> Self {
        Self::Malformed { place, expected: Expected::Phrase(expected), found: found.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_where_expected_and_found() {
        let place = Place { row: Some(17), column: Some(3), byte: Some(1204) };
        let error = DecodeError::malformed(place, "a number", "\"abc\"");
        assert_eq!(error.to_string(), "row 17, column 3, byte 1204: expected a number, found \"abc\"");
        let place = Place { row: Some(2), ..Place::default() };
        let error = DecodeError::Width { place, expected: Expected::Features(30), found: 29 };
        assert_eq!(error.to_string(), "row 2: expected 30 features, found 29");
    }
}
