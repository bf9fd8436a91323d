//! The one trait every family implements, and what a model says of itself.

use dmatrix::{DMatrix, Field, Predictions, ResponseLayout, RowSchema};

use crate::{Algorithm, Manifest, PredictError};

/// What a model is asked about. Rows for the tabular families; text, series, images and named tensors join with the
/// first model that needs them.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Input<'a> {
    /// Rows of features, as wide as the signature says.
    Rows(&'a DMatrix),
}

/// What a model takes and gives.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The algorithm's name, as in image URIs: `xgboost`, `linear-learner`, `kmeans`.
    pub algorithm: &'static str,
    /// The rows it takes: all that a decoder may not guess.
    pub rows: RowSchema,
    /// The names of the features, when the artifact knows them.
    pub feature_names: Vec<String>,
    /// The fields of an answer, without values.
    pub fields: Vec<Field>,
    /// How an answer is laid out.
    pub layout: ResponseLayout,
    /// The media type of an answer when the client does not say.
    pub default_accept: &'static str,
    /// Whether an undecodable payload is reported as an unsupported media type (SageMaker's XGBoost container) rather
    /// than as a bad request (the other families).
    pub undecodable_is_unsupported: bool,
    /// The media types of the payloads it takes, joined by `", "`; `None` is all that rows can be read from.
    pub media_types: Option<&'static str>,
}

impl Signature {
    /// What the families say that take rows of `columns` finite numbers and answer JSON unless they are asked otherwise.
    pub(crate) fn of_rows(
        algorithm: Algorithm,
        manifest: &Manifest,
        columns: usize,
        fields: Vec<Field>,
    ) -> Self {
        Self {
            algorithm: algorithm.name(),
            rows: manifest.row_schema(columns),
            feature_names: manifest.features.clone(),
            fields,
            layout: ResponseLayout::default(),
            default_accept: "application/json",
            undecodable_is_unsupported: false,
            media_types: None,
        }
    }

    /// Whether payloads of that media type (without parameters) are taken.
    pub fn takes(&self, media_type: &str) -> bool {
        self.media_types.is_none_or(|types| types.split(", ").any(|taken| taken == media_type))
    }
}

/// A model in memory. No lifecycle, no I/O; shared between threads.
pub trait Model: Send + Sync + std::fmt::Debug {
    /// What it takes and gives.
    fn signature(&self) -> &Signature;

    /// Scores `input` into `predictions`, whose buffers are reused.
    ///
    /// # Errors
    /// When the input is not what the signature says.
    fn predict(&self, input: Input<'_>, predictions: &mut Predictions) -> Result<(), PredictError>;

    /// Bytes of memory the model holds, as its loader counted them.
    fn memory_bytes(&self) -> usize;
}

/// What the environment of a SageMaker container says about loading and answering; all defaults are SageMaker's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// `SAGEMAKER_INFERENCE_OUTPUT`: the selected keys, comma-separated; empty is plain mode (XGBoost).
    pub inference_output: Option<String>,
    /// `SAGEMAKER_INFERENCE_ENSEMBLE`, default true: several XGBoost model files vote; otherwise they are refused.
    pub ensemble_disabled: bool,
    /// `SAGEMAKER_BATCH`: XGBoost answers one Python-style value or list a line.
    pub batch: bool,
    /// `XGBOOST_CSV_LEGACY`: XGBoost answers CSV as one comma-joined line.
    pub xgboost_csv_legacy: bool,
    /// `XGBOOST_LIBSVM_ONE_BASED`: libsvm indices of XGBoost requests start at 1, whatever the manifest says.
    pub xgboost_libsvm_one_based: bool,
}
