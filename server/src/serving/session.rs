//! `encode ∘ predict ∘ decode` over buffers that a thread reuses from request to request.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use codecs::content_encoding::ContentEncoding;
use codecs::{ContentType, ContentTypeError};
use dmatrix::{DMatrix, Predictions};
use models::{Input, Signature};

use super::LoadedModel;
use crate::error::Error;
use crate::metrics::Phases;

/// The most bytes a buffer keeps between requests. Reason: one large batch must not hold its memory for ever; what a
/// usual request needs is a hundredth of this.
pub(super) const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// What a payload is and what its answer should be.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// The payload's format.
    pub content_type: ContentType,
    /// How it is packed.
    pub encoding: Option<ContentEncoding>,
    /// The answer's format.
    pub answer_type: ContentType,
    /// The most bytes it may unpack to.
    pub body_bytes_max: usize,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// In the format of the [`Ask`]; empty when there was no row.
    pub body: Bytes,
    /// The media type of `body`.
    pub content_type: &'static str,
    /// How many rows were scored.
    pub rows: usize,
    /// How long each part took.
    pub phases: Phases,
}

/// A thread's buffers. Between [`decode`](Self::decode) and [`score`](Self::score) it holds the rows of one request.
#[derive(Debug)]
pub struct Session {
    buffer_bytes_kept: usize,
    rows: DMatrix,
    predictions: Predictions,
    unpacked: Vec<u8>,
    encoded: Vec<u8>,
}

impl Default for Session {
    fn default() -> Self {
        Self::keeping(BUFFER_BYTES_KEPT)
    }
}

impl Session {
    /// Buffers of which each keeps at most so many bytes between requests.
    pub(super) fn keeping(buffer_bytes_kept: usize) -> Self {
        let (rows, predictions) = (DMatrix::new(), Predictions::new());
        Self { buffer_bytes_kept, rows, predictions, unpacked: Vec::new(), encoded: Vec::new() }
    }

    /// Reads `body` into this session's rows, and says how long that took.
    ///
    /// # Errors
    /// When the body is not rows that the model takes.
    pub fn decode(&mut self, model: &LoadedModel, ask: &Ask, body: &[u8]) -> Result<Duration, Error> {
        let started = Instant::now();
        let signature = model.model.signature();
        check_type(signature, ask.content_type)?;
        let body = match ask.encoding {
            None => body,
            Some(encoding) => {
                encoding.decode(body, ask.body_bytes_max, &mut self.unpacked)?;
                &self.unpacked
            }
        };
        codecs::decode(&ask.content_type, &signature.rows, body, &mut self.rows).map_err(|source| {
            Error::Decode { source, is_unsupported: signature.undecodable_is_unsupported }
        })?;
        Ok(started.elapsed())
    }

    /// Scores the rows that [`decode`](Self::decode) left, and writes the answer.
    ///
    /// # Errors
    /// When the model does not take the rows.
    pub fn score(&mut self, model: &LoadedModel, ask: &Ask) -> Result<Prediction, Error> {
        let rows = self.rows.rows();
        let content_type = ask.answer_type.as_str();
        if rows == 0 {
            return Ok(Prediction { body: Bytes::new(), content_type, rows, phases: Phases::default() });
        }
        let started = Instant::now();
        model.model.predict(Input::Rows(&self.rows), &mut self.predictions)?;
        let predicted = Instant::now();
        self.encoded.clear();
        codecs::encode(&ask.answer_type, &self.predictions, self.rows.tags(), &mut self.encoded);
        let body = Bytes::copy_from_slice(&self.encoded);
        let (predict, encode) = (predicted - started, predicted.elapsed());
        let phases = Phases { predict, encode, ..Phases::default() };
        Ok(Prediction { body, content_type, rows, phases })
    }

    /// The rows that [`decode`](Self::decode) left.
    pub fn rows(&self) -> &DMatrix {
        &self.rows
    }

    /// Takes the rows out, for another thread to score.
    pub(super) fn take_rows(&mut self) -> DMatrix {
        std::mem::take(&mut self.rows)
    }

    /// Puts rows in, as [`decode`](Self::decode) does.
    pub(super) fn put_rows(&mut self, rows: DMatrix) {
        self.rows = rows;
    }

    /// Runs `work`; a panic in it is an error, and the buffers are new.
    pub(super) fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let result = catch_unwind(AssertUnwindSafe(|| work(&mut *self)));
        result.unwrap_or_else(|_| {
            tracing::error!("a prediction panicked; its request is answered with an error");
            *self = Self::keeping(self.buffer_bytes_kept);
            Err(Error::Panicked)
        })
    }

    /// Gives back what a large request made the buffers grow to.
    pub(super) fn trim(&mut self) {
        let kept = self.buffer_bytes_kept;
        if size_of_val(self.rows.values()) + size_of_val(self.rows.indices()) > kept {
            self.rows = DMatrix::new();
        }
        if self.predictions.fields().iter().any(|field| size_of_val(&*field.values) > kept) {
            self.predictions = Predictions::new();
        }
        for buffer in [&mut self.unpacked, &mut self.encoded] {
            if buffer.capacity() > kept {
                *buffer = Vec::new();
            }
        }
    }
}

/// Refuses payloads of a type that this model's family does not take.
pub fn check_type(signature: &Signature, content_type: ContentType) -> Result<(), Error> {
    match signature.media_types {
        Some(served) if !signature.takes(content_type.as_str()) => {
            let found = content_type.as_str().to_owned();
            Err(Error::ContentType(ContentTypeError::Unsupported { found, served }))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use codecs::Format;
    use dmatrix::{Field, FieldShape, NumberStyle, ResponseLayout, RowSchema};
    use models::{Model, PredictError};

    use super::super::{AnswerType, Capacity, Cost, Models, ProductionVariant};
    use super::*;
    use crate::metrics::Metrics;

    /// Sums its rows; a row that starts with 13 makes it panic.
    #[derive(Debug)]
    pub(crate) struct SumModel(Signature);

    impl SumModel {
        pub(crate) fn new(columns: usize) -> Self {
            Self(Signature {
                algorithm: "sum",
                rows: RowSchema::exactly(columns),
                feature_names: Vec::new(),
                fields: vec![Field::new("score", FieldShape::Scalar, NumberStyle::Float)],
                layout: ResponseLayout::default(),
                default_accept: "text/csv",
                undecodable_is_unsupported: false,
                media_types: None,
            })
        }
    }

    impl Model for SumModel {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn predict(&self, input: Input<'_>, predictions: &mut Predictions) -> Result<(), PredictError> {
            let Input::Rows(rows) = input else { return Err(PredictError::Kind) };
            if Some(rows.columns()) != self.0.rows.columns {
                let expected = self.0.rows.columns.unwrap_or_default();
                return Err(PredictError::Width { expected, found: rows.columns() });
            }
            predictions.reset(rows.rows(), &self.0.fields, &self.0.layout);
            for (row, values) in rows.values().chunks(rows.columns()).enumerate() {
                assert!(values[0] != 13.0, "an unlucky row");
                predictions.fields_mut()[0].values[row] = values.iter().sum();
            }
            Ok(())
        }

        fn memory_bytes(&self) -> usize {
            64
        }
    }

    pub(crate) fn loaded(row_ns: u64) -> LoadedModel {
        LoadedModel {
            model: Box::new(SumModel::new(2)),
            digest: Bytes::from_static(b"00ff"),
            cost: Cost { fixed_ns: 0, row_ns },
            answer_type: AnswerType::Negotiated(ContentType::new(Format::Csv)),
        }
    }

    pub(crate) fn variant(name: &str) -> ProductionVariant {
        ProductionVariant {
            name: Bytes::copy_from_slice(name.as_bytes()),
            config: Bytes::from_static(b"config"),
            weight: 1.0,
            models: Models::One(Arc::new(loaded(100))),
            instances: 1,
            capacity: Capacity::new(1),
            metrics: Metrics::default().variant("test", name),
        }
    }

    fn with_rows(values: &[f32]) -> Session {
        let mut session = Session::default();
        session.put_rows(DMatrix::from_dense(values.to_vec(), 2));
        session
    }

    const ASK: Ask = Ask {
        content_type: ContentType::new(Format::Csv),
        encoding: None,
        answer_type: ContentType::new(Format::Csv),
        body_bytes_max: 1024,
    };

    #[test]
    fn a_panic_is_an_error_and_the_session_lives_on() {
        let model = loaded(100);
        let mut session = with_rows(&[13.0, 1.0]);
        let error = session.guarded(|session| session.score(&model, &ASK)).expect_err("a panic");
        assert!(matches!(error, Error::Panicked));
        session.put_rows(DMatrix::from_dense(vec![1.0, 2.0], 2));
        session.guarded(|session| session.score(&model, &ASK)).expect("a prediction");
    }

    #[test]
    fn a_type_that_the_family_does_not_take_is_unsupported() {
        let mut model = SumModel::new(2);
        let decode = |model: SumModel, format| {
            let model = LoadedModel { model: Box::new(model), ..loaded(100) };
            let ask = Ask { content_type: ContentType::new(format), ..ASK };
            Session::default().decode(&model, &ask, br#"{"features": [1, 2]}"#).map(drop)
        };
        model.0.media_types = Some("application/json, application/jsonlines");
        let error = decode(SumModel(model.0.clone()), Format::Csv).expect_err("not taken");
        assert_eq!(error.code().status(), 415, "{error}");
        decode(model, Format::JsonLines).expect("taken");
    }

    #[test]
    fn no_row_is_an_empty_answer() {
        let prediction = Session::default().score(&loaded(100), &ASK).expect("an answer");
        assert_eq!((prediction.rows, prediction.body.len()), (0, 0));
    }

    #[test]
    fn large_buffers_are_given_back_and_small_ones_kept() {
        let mut session = with_rows(&vec![1.0; BUFFER_BYTES_KEPT]);
        session.encoded = Vec::with_capacity(64);
        session.unpacked = Vec::with_capacity(BUFFER_BYTES_KEPT + 1);
        session.trim();
        assert_eq!((session.rows.values().len(), session.unpacked.capacity()), (0, 0));
        assert_eq!(session.encoded.capacity(), 64);
    }
}
