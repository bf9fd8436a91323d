//! A piece of a stream to rows: what the project's codecs make of it, with weights, query ids and labels as training needs
//! them, and faults that name file and row.

use std::borrow::Cow;
use std::path::Path;

use codecs::{ContentType, DecodeError, Format};
use dmatrix::{DMatrix, LabelPolicy, RowSchema};

use super::chunks::Chunk;
use super::queries;
use crate::{Labels, RowRules, TrainError};

/// Decodes pieces of one channel.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    content_type: ContentType,
    schema: RowSchema,
    labels: Labels,
    /// Whether the second CSV column is the row's weight.
    is_weighted: bool,
    /// Whether labels may be there or not, as the first rows will tell.
    is_open: bool,
}

impl Decoder {
    pub(super) fn new(content_type: ContentType, labels: Labels, rules: &RowRules) -> Self {
        let mut content_type = content_type;
        let is_weighted = rules.csv_weights && content_type.format == Format::Csv;
        content_type.label_size += usize::from(is_weighted);
        let is_csv = content_type.format == Format::Csv;
        let policy = match labels {
            Labels::Required => LabelPolicy::Required,
            Labels::Optional if !is_csv || content_type.label_size > 0 => LabelPolicy::Required,
            Labels::Optional | Labels::Ignored => LabelPolicy::Ignored,
        };
        let schema = RowSchema {
            columns: rules.columns,
            missing: rules.missing,
            labels: policy,
            ..RowSchema::default()
        };
        let is_open = labels == Labels::Optional && !is_csv;
        Self { content_type, schema, labels, is_weighted, is_open }
    }

    /// Decodes the first piece of a channel, and holds the others to what it says: their width, whether there are labels.
    pub(super) fn settle(&mut self, file: &Path, chunk: &Chunk) -> Result<DMatrix, TrainError> {
        let mut decoded = self.decode(file, chunk);
        if self.is_open && decoded.is_err() {
            let unlabelled = RowSchema { labels: LabelPolicy::Ignored, ..self.schema.clone() };
            let other = Self { schema: unlabelled, ..self.clone() };
            if let Ok(rows) = other.decode(file, chunk) {
                (*self, decoded) = (other, Ok(rows));
            }
        }
        let rows = decoded?;
        if !rows.is_empty() {
            self.is_open = false;
            // A line of libsvm does not say how wide it is.
            if self.content_type.format != Format::LibSvm {
                self.schema.columns = Some(rows.columns());
            }
        }
        Ok(rows)
    }

    /// Whether [`settle`](Self::settle) saw a row.
    pub(super) fn is_settled(&self) -> bool {
        !self.is_open && (self.schema.columns.is_some() || self.content_type.format == Format::LibSvm)
    }

    /// Decodes a piece of `file`.
    pub(super) fn decode(&self, file: &Path, chunk: &Chunk) -> Result<DMatrix, TrainError> {
        let fault = |reason: String| TrainError::client(format!("{}: {reason}", file.display()));
        let mut content_type = self.content_type;
        if chunk.bytes_before > 0 {
            content_type.header = Some(false);
        }
        let is_blank = || chunk.bytes.iter().all(|byte| matches!(byte, b'\n' | b'\r'));
        if content_type.format == Format::Csv && chunk.follows_blank_line && !is_blank() {
            let row = chunk.records_before;
            return Err(fault(format!("row {row}: expected a number, found an empty line between rows")));
        }
        let (bytes, row_queries) = match content_type.format {
            Format::LibSvm => queries::split(&chunk.bytes, chunk.records_before).map_err(fault)?,
            _ => (Cow::Borrowed(chunk.bytes.as_slice()), Vec::new()),
        };
        let mut rows = DMatrix::new();
        codecs::decode(&content_type, &self.schema, &bytes, &mut rows)
            .map_err(|error| fault(moved(error, chunk).to_string()))?;
        rows.tags_mut().clear();
        *rows.queries_mut() = row_queries;
        if self.is_weighted {
            split_weights(&mut rows, chunk.records_before).map_err(fault)?;
        }
        if self.labels == Labels::Required || !rows.labels().is_empty() {
            check_labels(&rows, chunk.records_before).map_err(fault)?;
        }
        // A clone has no spare room: decoders guess what they need.
        Ok(rows.clone())
    }
}

/// The same fault by its place in the whole stream.
fn moved(mut error: DecodeError, chunk: &Chunk) -> DecodeError {
    if let DecodeError::Malformed { place, .. }
    | DecodeError::Width { place, .. }
    | DecodeError::MissingValue { place } = &mut error
    {
        place.row = place.row.map(|row| row + chunk.records_before);
        place.byte = place.byte.map(|byte| byte + chunk.bytes_before);
    }
    error
}

/// Takes every second label as the row's weight.
fn split_weights(rows: &mut DMatrix, rows_before: usize) -> Result<(), String> {
    let (pairs, _) = rows.labels().as_chunks::<2>();
    if let Some(row) = pairs.iter().position(|[_, weight]| !(weight.is_finite() && *weight >= 0.0)) {
        let ([_, found], row) = (pairs[row], rows_before + row + 1);
        return Err(format!("row {row}, column 2: expected a weight of at least 0, found {found}"));
    }
    let labels: Vec<f32> = pairs.iter().map(|[label, _]| *label).collect();
    let weights = pairs.iter().map(|[_, weight]| *weight).collect();
    *rows.labels_mut() = labels;
    *rows.weights_mut() = weights;
    Ok(())
}

/// One finite label a row.
fn check_labels(rows: &DMatrix, rows_before: usize) -> Result<(), String> {
    let (found, expected) = (rows.labels().len(), rows.rows());
    if found != expected {
        return Err(format!("expected one label a row, found {found} for {expected} rows"));
    }
    match rows.labels().iter().position(|label| !label.is_finite()) {
        Some(row) => Err(format!("row {}: expected a label, found a missing value", rows_before + row + 1)),
        None => Ok(()),
    }
}
