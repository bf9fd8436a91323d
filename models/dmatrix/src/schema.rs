//! What a decoder may not guess: it comes from the artifact, or is a documented default.

/// Whether the first CSV line is a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CsvHeader {
    /// There is none: every line is a row (SageMaker's rule).
    #[default]
    Absent,
    /// The first line is a header and is skipped.
    Skip,
}

/// The index of the first feature in libsvm text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexBase {
    /// Features count from 0 (SageMaker's documented rule).
    #[default]
    Zero,
    /// Features count from 1 (the libsvm tools' rule); index 0 is refused.
    One,
}

/// What a missing value (an empty CSV cell, a JSON `null`, NaN) means.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Missing {
    /// It is an error that names its place.
    #[default]
    Refused,
    /// It becomes NaN, and the model knows what to do.
    Allowed,
    /// As `Allowed`, and so does every value equal to this one.
    Sentinel(f32),
}

/// What a dense row with fewer features than the model means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NarrowRows {
    /// It is an error that names row, expected and found.
    #[default]
    Refuse,
    /// The features at its end are missing (SageMaker's rule for XGBoost).
    FillMissing,
}

/// What is done with labels beside the features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelPolicy {
    /// Inference: CSV has `label_size` label columns (0 unless the request says so); a libsvm line may start with a
    /// label (a first token without a colon); a RecordIO label is passed over.
    #[default]
    Ignored,
    /// Training: every row has its label and it is kept (libsvm: the first token, `label[:weight]`).
    Required,
}

/// The most rows of one payload. Reason: a body of 100 MiB (the largest batch payload of the API) of two-byte CSV
/// rows is 52 million; what is above is an attack or a mistake.
pub const ROWS_MAX: usize = 64 << 20;

/// What a model says of the rows it takes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowSchema {
    /// The number of features; `None` where none is known (the first dense row then sets it).
    pub columns: Option<usize>,
    /// What a row with fewer features means. More features than `columns` are always refused.
    pub narrow_rows: NarrowRows,
    /// What a missing value means.
    pub missing: Missing,
    /// Whether CSV has a header, unless the request's `header` parameter says.
    pub csv_header: CsvHeader,
    /// Where libsvm indices start.
    pub libsvm_index_base: IndexBase,
    /// What is done with labels.
    pub labels: LabelPolicy,
}

impl RowSchema {
    /// Rows of exactly `columns` features, no missing values, the documented defaults.
    pub fn exactly(columns: usize) -> Self {
        Self { columns: Some(columns), ..Self::default() }
    }
}
