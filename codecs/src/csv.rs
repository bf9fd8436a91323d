//! text/csv after RFC 4180, straight into dense rows of f32.
//!
//! Commas only; rows end with LF or CRLF; cells may be quoted and padded with blanks. Rows count from 1 with the header
//! line, columns with the label columns, as a spreadsheet shows them. Nearly every cell is a bare number before a comma
//! or a newline and is read in one pass; [`cell`] knows the rest of the grammar and is asked only where that fails.

mod cell;
mod encode;

pub(crate) use encode::encode;

use std::mem;

use dmatrix::{CsvHeader, DMatrix, LabelPolicy, Missing, RowSchema};

use self::cell::{Cell, Stop};
use crate::number::{NumberError, parse_text};
use crate::width::DenseWidth;
use crate::{ContentType, DecodeError, Place, text};

/// Decodes `body`; at training (`LabelPolicy::Required`) there is at least one label column.
pub(crate) fn decode(
    content_type: &ContentType,
    schema: &RowSchema,
    body: &[u8],
    rows: &mut DMatrix,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(content_type, schema, body, rows);
    let result = reader.read();
    if result.is_err() {
        reader.values.clear();
        reader.labels.clear();
    }
    let columns = reader.width.columns();
    *rows.begin_dense() = reader.values;
    *rows.labels_mut() = reader.labels;
    rows.finish_dense(columns);
    result
}

struct Reader<'a> {
    body: &'a [u8],
    has_header: bool,
    /// Leading columns of labels.
    label_size: usize,
    keeps_labels: bool,
    takes_missing: bool,
    width: DenseWidth,
    /// Taken out of the matrix while they are filled.
    values: Vec<f32>,
    labels: Vec<f32>,
}

impl<'a> Reader<'a> {
    fn new(content_type: &ContentType, schema: &RowSchema, body: &'a [u8], rows: &mut DMatrix) -> Self {
        let keeps_labels = schema.labels == LabelPolicy::Required;
        Self {
            body,
            has_header: content_type.header.unwrap_or(schema.csv_header == CsvHeader::Skip),
            label_size: content_type.label_size.max(usize::from(keeps_labels)),
            keeps_labels,
            takes_missing: schema.missing != Missing::Refused,
            width: DenseWidth::new(schema),
            values: mem::take(rows.begin_dense()),
            labels: mem::take(rows.labels_mut()),
        }
    }

    fn read(&mut self) -> Result<(), DecodeError> {
        self.refuse_byte_order_mark()?;
        let mut at = self.skip_header()?;
        while at < self.body.len() {
            if text::line_end(self.body, at).is_some() {
                return self.expect_only_newlines(at);
            }
            let (row_at, start) = (at, self.values.len());
            at = self.read_labels(at)?;
            at = self.read_features(at, start)?;
            let row = self.row();
            self.width.end_row(&mut self.values, start, || Place {
                row: Some(row),
                column: None,
                byte: Some(row_at),
            })?;
            if self.width.rows() == 1 {
                self.reserve(at - row_at, self.body.len() - at);
            }
        }
        Ok(())
    }

    /// Makes room for the rest of the payload, should its rows be as long as the first one.
    fn reserve(&mut self, row_bytes: usize, rest_bytes: usize) {
        let rows = rest_bytes.div_ceil(row_bytes);
        // A cell takes two bytes with its comma: no estimate may go beyond that.
        self.values.reserve(rows.saturating_mul(self.width.columns()).min(rest_bytes / 2 + 1));
    }

    /// The hot loop. Reads cells from `at` to the end of the row, whose values stand from `start` on; gives where the
    /// next row starts.
    fn read_features(&mut self, mut at: usize, start: usize) -> Result<usize, DecodeError> {
        loop {
            let bytes = &self.body[at..];
            if let Ok((value, length)) = parse_text(bytes)
                && !value.is_nan()
            {
                match bytes.get(length) {
                    Some(b',') => {
                        self.values.push(value);
                        at += length + 1;
                        continue;
                    }
                    Some(b'\n') => {
                        self.values.push(value);
                        return Ok(at + length + 1);
                    }
                    _ => {}
                }
            }
            let column = self.label_size + self.values.len() - start + 1;
            let cell = self.cell(at, column)?;
            let value = self.feature(&cell, column)?;
            self.values.push(value);
            match cell.stop {
                Stop::Comma => at = cell.next,
                Stop::RowEnd => return Ok(cell.next),
            }
        }
    }

    /// Reads or passes over the label columns, each of which a comma must follow.
    fn read_labels(&mut self, mut at: usize) -> Result<usize, DecodeError> {
        for column in 1..=self.label_size {
            let cell = self.cell(at, column)?;
            if self.keeps_labels {
                let label = self.number(&cell, column)?.filter(|label| !label.is_nan());
                let Some(label) = label else {
                    return Err(DecodeError::malformed(
                        self.place(&cell, column),
                        "a label",
                        "a missing value",
                    ));
                };
                self.labels.push(label);
            }
            if cell.stop == Stop::RowEnd {
                let place = self.place(&cell, column);
                let expected = "a comma and features behind the label columns";
                return Err(DecodeError::malformed(place, expected, "the end of the row"));
            }
            at = cell.next;
        }
        Ok(at)
    }

    /// The feature in `cell`; NaN where it is missing and may be.
    fn feature(&self, cell: &Cell<'_>, column: usize) -> Result<f32, DecodeError> {
        match self.number(cell, column)? {
            Some(value) if !value.is_nan() => Ok(value),
            _ if self.takes_missing => Ok(f32::NAN),
            _ => Err(DecodeError::MissingValue { place: self.place(cell, column) }),
        }
    }

    /// The number in `cell`, `None` where it is empty.
    fn number(&self, cell: &Cell<'_>, column: usize) -> Result<Option<f32>, DecodeError> {
        if cell.content.is_empty() {
            return if self.is_blank_row(cell, column) { Err(self.blank_row(cell.at)) } else { Ok(None) };
        }
        match parse_text(cell.content) {
            Ok((value, length)) if length == cell.content.len() => Ok(Some(value)),
            Err(NumberError::OutOfRange) => Err(self.not_a_number(cell, column, NumberError::OutOfRange)),
            _ => Err(self.not_a_number(cell, column, NumberError::Malformed)),
        }
    }

    #[cold]
    fn not_a_number(&self, cell: &Cell<'_>, column: usize, error: NumberError) -> DecodeError {
        let is_first = self.row() == 1 && self.values.is_empty() && self.labels.is_empty();
        let looks_like_a_header =
            is_first && error == NumberError::Malformed && cell.content[0].is_ascii_alphabetic();
        let expected = if looks_like_a_header {
            "a number (a header line is announced by text/csv;header=present)"
        } else {
            error.expected()
        };
        DecodeError::malformed(self.place(cell, column), expected, text::found(cell.content))
    }

    fn cell(&self, at: usize, column: usize) -> Result<Cell<'a>, DecodeError> {
        cell::read(self.body, at).map_err(|fault| {
            let place = Place { row: Some(self.row()), column: Some(column), byte: Some(fault.at) };
            DecodeError::malformed(place, fault.expected, fault.found)
        })
    }

    /// A row that is one bare cell of blanks: nobody writes that and means a missing value.
    fn is_blank_row(&self, cell: &Cell<'_>, column: usize) -> bool {
        column == 1 && cell.stop == Stop::RowEnd && !cell.is_quoted
    }

    #[cold]
    fn blank_row(&self, at: usize) -> DecodeError {
        let place = Place { row: Some(self.row()), column: None, byte: Some(at) };
        DecodeError::malformed(place, "a row", "a blank line")
    }

    /// Newlines may follow the last row, and nothing behind them.
    fn expect_only_newlines(&self, at: usize) -> Result<(), DecodeError> {
        let mut rest = at;
        while let Some(next) = text::line_end(self.body, rest) {
            rest = next;
        }
        if rest == self.body.len() { Ok(()) } else { Err(self.blank_row(at)) }
    }

    fn refuse_byte_order_mark(&self) -> Result<(), DecodeError> {
        if !self.body.starts_with(b"\xef\xbb\xbf") {
            return Ok(());
        }
        let place = Place { row: Some(1), column: Some(1), byte: Some(0) };
        Err(DecodeError::malformed(place, "CSV without a byte order mark", "a UTF-8 byte order mark"))
    }

    /// Passes over the header line, if there is one.
    fn skip_header(&self) -> Result<usize, DecodeError> {
        let mut at = 0;
        if !self.has_header || self.body.is_empty() {
            return Ok(at);
        }
        for column in 1.. {
            let place = |byte| Place { row: Some(1), column: Some(column), byte: Some(byte) };
            let cell = cell::read(self.body, at)
                .map_err(|fault| DecodeError::malformed(place(fault.at), fault.expected, fault.found))?;
            if cell.content.is_empty() && self.is_blank_row(&cell, column) {
                return Err(DecodeError::malformed(place(cell.at), "a header", "a blank line"));
            }
            at = cell.next;
            if cell.stop == Stop::RowEnd {
                break;
            }
        }
        Ok(at)
    }

    fn place(&self, cell: &Cell<'_>, column: usize) -> Place {
        Place { row: Some(self.row()), column: Some(column), byte: Some(cell.at) }
    }

    /// The number of the row that is being read.
    fn row(&self) -> usize {
        self.width.rows() + usize::from(self.has_header) + 1
    }
}
