//! The subset of JSONPath that filters are written in, parsed.
//!
//! A path has at most one step that selects several values, so that the shape of what it selects follows from the path alone:
//! names give an object, a wildcard and indexes give an array, anything else gives the one value.

mod parser;

use std::ops::Range;

use super::error::{ProcessError, found};
use super::kind::Kind;

/// The most characters of a path. Reason: the API's limit.
pub(super) const CHARACTERS_MAX: usize = 63;

/// The most names in one pair of brackets. Reason: more do not fit [`CHARACTERS_MAX`], at two quotes and a comma each.
pub(super) const NAMES_MAX: usize = (CHARACTERS_MAX - 2) / 3;

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// The member of the request that it stands in.
    member: &'static str,
    /// As it was written, for messages.
    text: String,
    steps: Vec<Step>,
}

/// A step from a value to one or more within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// `.name`, `['name']`.
    Child(String),
    /// `['a','b']`.
    Children(Vec<String>),
    /// `.*`, `[*]`.
    Wildcard,
    /// `[3]`, `[-1]`.
    Element(i64),
    /// `[0,5:]`.
    Elements(Vec<Selector>),
}

impl Step {
    fn selects_several(&self) -> bool {
        matches!(self, Self::Children(_) | Self::Wildcard | Self::Elements(_))
    }
}

/// Elements of an array, or fields of a CSV record. Negative numbers count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selector {
    /// One, which must be there.
    Index(i64),
    /// Those that are there from `from` until before `to`; without it, to the end.
    Slice {
        /// The first.
        from: i64,
        /// The one behind the last.
        to: Option<i64>,
    },
}

impl Selector {
    /// What it selects of `count` elements; an index that is not there is given back.
    pub(super) fn range(self, count: usize) -> Result<Range<usize>, i64> {
        // No array of ours has 2^63 elements.
        let length = count as i64;
        let from_start = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
        match self {
            Self::Index(index) => match usize::try_from(from_start(index)) {
                Ok(at) if at < count => Ok(at..at + 1),
                _ => Err(index),
            },
            Self::Slice { from, to } => {
                let bound = |index: i64| from_start(index).clamp(0, length) as usize;
                let (from, to) = (bound(from), to.map_or(count, bound));
                Ok(from..to.max(from))
            }
        }
    }
}

impl Path {
    /// Reads the path of a member for records of `kind`.
    pub(super) fn parse(
        member: &'static str,
        text: &str,
        kind: Kind,
        slices_include_end: bool,
    ) -> Result<Self, ProcessError> {
        let steps = parser::steps(member, text, kind, slices_include_end)?;
        Ok(Self { member, text: text.to_owned(), steps })
    }

    /// Whether it selects all there is.
    pub(super) fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// From the root inwards.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What it selects of a flat array: a CSV record.
    pub(super) fn selectors(&self) -> Vec<Selector> {
        match self.steps.first() {
            Some(Step::Element(index)) => vec![Selector::Index(*index)],
            Some(Step::Elements(selectors)) => selectors.clone(),
            _ => vec![Selector::Slice { from: 0, to: None }],
        }
    }

    /// A record has not what it asks for.
    #[cold]
    pub(super) fn refuse(&self, expected: impl Into<String>, found: impl Into<String>) -> ProcessError {
        ProcessError::Selection {
            member: self.member,
            path: self.text.clone(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// An array, or a CSV record, of `count` has no element `index`.
    #[cold]
    pub(super) fn out_of_range(&self, index: i64, what: &str, count: usize) -> ProcessError {
        self.refuse(format!("{what} {index}, counted from 0"), format!("{count} in all"))
    }

    /// An object has no member `name`.
    #[cold]
    pub(super) fn absent(&self, name: &str, value: &[u8]) -> ProcessError {
        self.refuse(format!("a member {name:?}"), found(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(selector: Selector, count: usize, expected: &Result<Range<usize>, i64>) {
        assert_eq!(&selector.range(count), expected, "{selector:?} of {count}");
    }

    #[test]
    fn selectors_are_ranges() {
        let slice = |from, to| Selector::Slice { from, to };
        check(Selector::Index(0), 3, &Ok(0..1));
        check(Selector::Index(2), 3, &Ok(2..3));
        check(Selector::Index(3), 3, &Err(3));
        check(Selector::Index(-1), 3, &Ok(2..3));
        check(Selector::Index(-3), 3, &Ok(0..1));
        check(Selector::Index(-4), 3, &Err(-4));
        check(Selector::Index(0), 0, &Err(0));
        check(Selector::Index(i64::MIN), 3, &Err(i64::MIN));
        check(slice(0, None), 3, &Ok(0..3));
        check(slice(1, Some(2)), 3, &Ok(1..2));
        check(slice(1, Some(9)), 3, &Ok(1..3));
        check(slice(-2, None), 3, &Ok(1..3));
        check(slice(-9, Some(-1)), 3, &Ok(0..2));
        check(slice(2, Some(1)), 3, &Ok(2..2));
        check(slice(i64::MAX, Some(i64::MIN)), 3, &Ok(3..3));
        check(slice(0, None), 0, &Ok(0..0));
    }
}
