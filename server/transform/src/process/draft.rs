//! A text at the end of a buffer, and behind it what is made of it: so records are rewritten without a buffer of their own.

use std::ops::Range;

/// Where something stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// From `start` until before `end`.
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Its bytes in the text that it is of.
    pub(super) fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start..self.end]
    }
}

/// A text that is being rewritten.
#[derive(Debug)]
pub(super) struct Draft<'o> {
    out: &'o mut Vec<u8>,
    source: Range<usize>,
    /// What the text is, for messages.
    pub(super) what: &'static str,
}

impl<'o> Draft<'o> {
    /// Rewrites what stands in `out` from `start` on.
    pub(super) fn new(out: &'o mut Vec<u8>, start: usize, what: &'static str) -> Self {
        let source = start..out.len();
        Self { out, source, what }
    }

    /// The text.
    pub(super) fn source(&self) -> &[u8] {
        &self.out[self.source.clone()]
    }

    /// Appends a part of the text to what is made of it.
    pub(super) fn copy(&mut self, span: Span) {
        let start = self.source.start;
        self.out.extend_from_within(start + span.start..start + span.end);
    }

    /// Appends `bytes` to what is made of the text.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Puts what was made of the text in its place.
    pub(super) fn finish(self) {
        self.out.drain(self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_replaced_by_what_is_made_of_it() {
        let mut out = b"before abc".to_vec();
        let mut draft = Draft::new(&mut out, 7, "the record");
        assert_eq!(draft.source(), b"abc");
        draft.copy(Span::new(1, 3));
        draft.push(b"-");
        draft.copy(Span::new(0, 3));
        assert_eq!(draft.source(), b"abc");
        draft.finish();
        assert_eq!(out, b"before bc-abc");
    }
}
