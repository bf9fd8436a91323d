//! text/libsvm into compressed sparse rows: `label[:weight] index:value index:value … # comment`.
//!
//! At inference the label may be missing: a first token without a colon is a label and is passed over. Indices count
//! from the base the schema names, never from what a payload looks like. Rows are numbered by their line, columns by
//! their token; blank lines and lines of comments are no rows.

use std::mem;

use dmatrix::{DMatrix, IndexBase, LabelPolicy, Missing, ROWS_MAX, RowSchema};
use memchr::memchr;

use crate::number::{NumberError, leading_whole, parse_text};
use crate::{DecodeError, Expected, Place, text};

/// The largest feature index as written. Reason: libsvm's own tools hold it in a C `int`.
const INDEX_MAX: u64 = i32::MAX as u64;

/// Decodes `body`; an absent feature has no entry.
pub(crate) fn decode(schema: &RowSchema, body: &[u8], rows: &mut DMatrix) -> Result<(), DecodeError> {
    let mut reader = Reader::new(schema, body, rows);
    let result = reader.read();
    let columns = schema.columns.unwrap_or(reader.columns_seen);
    let Reader { indices, values, offsets, labels, weights, .. } = reader;
    let parts = rows.begin_sparse();
    if result.is_ok() {
        (*parts.indices, *parts.values, *parts.offsets) = (indices, values, offsets);
        (*rows.labels_mut(), *rows.weights_mut()) = (labels, weights);
    }
    rows.finish_sparse(columns);
    result
}

struct Reader<'a> {
    body: &'a [u8],
    policy: LabelPolicy,
    base: u32,
    /// Indices, counted from 0, end below this.
    index_limit: u32,
    takes_missing: bool,
    /// The line being read, from 1, and where it starts.
    line: usize,
    line_at: usize,
    /// One more than the largest index so far.
    columns_seen: usize,
    /// Taken out of the matrix while they are filled.
    indices: Vec<u32>,
    values: Vec<f32>,
    offsets: Vec<usize>,
    labels: Vec<f32>,
    weights: Vec<f32>,
    /// To sort a row whose indices do not ascend.
    entries: Vec<(u32, f32)>,
}

impl<'a> Reader<'a> {
    fn new(schema: &RowSchema, body: &'a [u8], rows: &mut DMatrix) -> Self {
        let base = match schema.libsvm_index_base {
            IndexBase::Zero => 0,
            IndexBase::One => 1,
        };
        let parts = rows.begin_sparse();
        let (indices, values, offsets) =
            (mem::take(parts.indices), mem::take(parts.values), mem::take(parts.offsets));
        Self {
            body,
            policy: schema.labels,
            base,
            index_limit: schema
                .columns
                .map_or(u32::MAX, |columns| u32::try_from(columns).unwrap_or(u32::MAX)),
            takes_missing: schema.missing != Missing::Refused,
            line: 0,
            line_at: 0,
            columns_seen: 0,
            indices,
            values,
            offsets,
            labels: mem::take(rows.labels_mut()),
            weights: mem::take(rows.weights_mut()),
            entries: Vec::new(),
        }
    }

    fn read(&mut self) -> Result<(), DecodeError> {
        let mut at = 0;
        while at < self.body.len() {
            self.line += 1;
            self.line_at = at;
            at = text::skip_blanks(self.body, at);
            if let Some(next) = self.line_end(at) {
                at = next;
                continue;
            }
            at = self.read_label(at)?;
            at = self.read_features(at)?;
        }
        Ok(())
    }

    /// Reads the label at training; passes over one at inference, if there is one.
    fn read_label(&mut self, at: usize) -> Result<usize, DecodeError> {
        if self.policy == LabelPolicy::Ignored && self.token(at).contains(&b':') {
            return Ok(at);
        }
        let (label, mut next) = self.read_number(at, "a label")?;
        if self.policy == LabelPolicy::Required {
            let is_weighted = self.body.get(next) == Some(&b':');
            if label.is_nan() {
                return Err(self.malformed(at, "a label"));
            }
            if is_weighted {
                let (weight, end) = self.read_number(next + 1, "a weight")?;
                self.weights.push(weight);
                next = end;
            }
            self.labels.push(label);
            let rows_before = self.labels.len() - 1;
            let is_uniform = self.weights.len() == if is_weighted { rows_before + 1 } else { 0 };
            if !is_uniform {
                return Err(self.malformed(at, "weights in all rows or in none"));
            }
        }
        if self.is_token_end(next) { Ok(next) } else { Err(self.malformed(at, "a label and a blank")) }
    }

    /// The hot loop. Reads `index:value` tokens from `at` to the end of the line and closes the row; gives where the
    /// next line starts.
    fn read_features(&mut self, mut at: usize) -> Result<usize, DecodeError> {
        let start = self.indices.len();
        // One more than the index before: the least that the next may be.
        let mut least = 0;
        let mut is_ascending = true;
        loop {
            at = text::skip_blanks(self.body, at);
            let Some((written, digits)) = leading_whole(&self.body[at..]) else {
                let Some(next) = self.line_end(at) else { return Err(self.not_an_index(at)) };
                self.end_row(start, least, is_ascending)?;
                return Ok(next);
            };
            if self.body.get(at + digits) != Some(&b':') {
                return Err(self.not_an_index(at));
            }
            let index = self.index(at, written)?;
            let value_at = at + digits + 1;
            let (value, end) = match parse_text(&self.body[value_at..]) {
                Ok((value, length)) if self.is_token_end(value_at + length) => (value, value_at + length),
                Ok(_) => return Err(self.not_a_value(value_at, NumberError::Malformed)),
                Err(error) => return Err(self.not_a_value(value_at, error)),
            };
            if value.is_nan() && !self.takes_missing {
                return Err(DecodeError::MissingValue { place: self.place(value_at) });
            }
            is_ascending &= index >= least;
            least = index + 1;
            self.indices.push(index);
            self.values.push(value);
            at = end;
        }
    }

    /// The feature index, from 0, that is `written` at `at`.
    #[inline]
    fn index(&self, at: usize, written: u64) -> Result<u32, DecodeError> {
        if written > INDEX_MAX {
            return Err(self.malformed(at, "a feature index of at most 2147483647"));
        }
        // At most `INDEX_MAX`, so the cast keeps it.
        match (written as u32).checked_sub(self.base) {
            Some(index) if index < self.index_limit => Ok(index),
            Some(_) => Err(DecodeError::Width {
                place: self.place(at),
                expected: Expected::IndexBelow(self.index_limit as usize + self.base as usize),
                found: written as usize,
            }),
            None => Err(self.malformed(at, "a feature index of at least 1")),
        }
    }

    #[inline]
    fn end_row(&mut self, start: usize, least: u32, is_ascending: bool) -> Result<(), DecodeError> {
        let mut end = least;
        if !is_ascending {
            end = self.sort_row(start)?;
        }
        self.columns_seen = self.columns_seen.max(end as usize);
        if self.offsets.len() > ROWS_MAX {
            let expected = Expected::RowsAtMost(ROWS_MAX);
            return Err(DecodeError::Malformed {
                place: self.row_place(),
                expected,
                found: "more".to_owned(),
            });
        }
        self.offsets.push(self.indices.len());
        Ok(())
    }

    /// Sorts the entries from `start` on by their index; gives one more than the largest.
    #[inline(never)]
    fn sort_row(&mut self, start: usize) -> Result<u32, DecodeError> {
        self.entries.clear();
        self.entries.extend(self.indices.drain(start..).zip(self.values.drain(start..)));
        self.entries.sort_unstable_by_key(|&(index, _)| index);
        if let Some(pair) = self.entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let found = format!("index {} twice", pair[0].0 + self.base);
            return Err(DecodeError::malformed(self.row_place(), "every feature index once", found));
        }
        self.indices.extend(self.entries.iter().map(|&(index, _)| index));
        self.values.extend(self.entries.iter().map(|&(_, value)| value));
        Ok(self.entries.last().map_or(0, |&(index, _)| index + 1))
    }

    /// The number at `at` and where it ends; what follows it is the caller's to check.
    fn read_number(&self, at: usize, expected: &'static str) -> Result<(f32, usize), DecodeError> {
        match parse_text(&self.body[at..]) {
            Ok((value, length)) => Ok((value, at + length)),
            Err(NumberError::Malformed) => Err(self.malformed(at, expected)),
            Err(error) => Err(self.malformed(at, error.expected())),
        }
    }

    /// Where the next line starts, if nothing but a comment stands from `at` to the end of this one.
    #[inline]
    fn line_end(&self, at: usize) -> Option<usize> {
        match self.body.get(at) {
            None => Some(at),
            Some(b'#') => {
                Some(memchr(b'\n', &self.body[at..]).map_or(self.body.len(), |length| at + length + 1))
            }
            Some(_) => text::line_end(self.body, at),
        }
    }

    #[inline]
    fn is_token_end(&self, at: usize) -> bool {
        matches!(self.body.get(at), None | Some(b' ' | b'\t' | b'\n' | b'#'))
            || text::line_end(self.body, at).is_some()
    }

    /// The bytes from `at` to the next blank or the end of the line.
    fn token(&self, at: usize) -> &'a [u8] {
        let bytes = &self.body[at..];
        let end = bytes.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'#'));
        &bytes[..end.unwrap_or(bytes.len())]
    }

    #[cold]
    fn not_an_index(&self, at: usize) -> DecodeError {
        if self.token(at).starts_with(b"qid:") {
            return self.malformed(at, "index:value (query ids of ranking are not read)");
        }
        self.malformed(at, "index:value")
    }

    #[cold]
    fn not_a_value(&self, at: usize, error: NumberError) -> DecodeError {
        self.malformed(at, error.expected())
    }

    #[cold]
    fn malformed(&self, at: usize, expected: &'static str) -> DecodeError {
        let token = self.token(at);
        let found = if token.is_empty() { "nothing".to_owned() } else { text::found(token) };
        DecodeError::malformed(self.place(at), expected, found)
    }

    #[cold]
    fn place(&self, at: usize) -> Place {
        let before = &self.body[self.line_at..at];
        let is_inside = before.last().is_some_and(|byte| !matches!(byte, b' ' | b'\t'));
        let tokens =
            before.split(|byte| matches!(byte, b' ' | b'\t')).filter(|token| !token.is_empty()).count();
        Place { row: Some(self.line), column: Some(tokens + usize::from(!is_inside)), byte: Some(at) }
    }

    fn row_place(&self) -> Place {
        Place { row: Some(self.line), column: None, byte: Some(self.line_at) }
    }
}
