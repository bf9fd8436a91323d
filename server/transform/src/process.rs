//! `DataProcessing` and inference ids: what is sent of a record, and what is written of it and its answer. Pure: bytes in, bytes
//! behind the others of a buffer out; numbers, spaces and quotes stay as they stand in the records.
//!
//! ```text
//! record ─InputFilter─► request ─model─► answer ─JoinSource─► joined ─OutputFilter─► filtered ─inference id─► written
//!    └──────────────────────────────(Input)────────────┘
//! ```
//!
//! ```
//! use codecs::framing::SplitType;
//! use transform::process::{DataProcessing, ObjectId, Processing};
//! use transform::settings::AssembleWith;
//!
//! let asked = DataProcessing {
//!     input_filter: Some("$[1:]"),
//!     joins_input: true,
//!     output_filter: Some("$[0,-1]"),
//!     content_type: Some("text/csv"),
//!     split_type: SplitType::Line,
//!     assemble_with: AssembleWith::Line,
//!     ..DataProcessing::default()
//! };
//! let processing = Processing::parse(&asked).unwrap().expect("there is something to do");
//! let (mut request, mut written) = (Vec::new(), Vec::new());
//! processing.request(b"id-7,1.50,2\n", &mut request).unwrap();
//! assert_eq!(request, b"1.50,2\n");
//! let answers = processing.split_answer(b"0.9\n", 1).unwrap();
//! let object = ObjectId::new("job", "in/x.csv");
//! processing.response(b"id-7,1.50,2\n", answers[0], object.record(0), &mut written).unwrap();
//! assert_eq!(written, b"id-7,0.9\n");
//! ```

mod error;
mod ids;

pub use error::ProcessError;
pub use ids::{ObjectId, RecordId};

use codecs::framing::SplitType;

use crate::settings::{AssembleWith, InferenceIds};

/// What a request says of processing, and what that depends on.
#[derive(Debug, Clone, Copy, Default)]
pub struct DataProcessing<'a> {
    /// `DataProcessing.InputFilter`: what of a record is sent; `$` where it is absent.
    pub input_filter: Option<&'a str>,
    /// `DataProcessing.JoinSource` is `Input`.
    pub joins_input: bool,
    /// `DataProcessing.OutputFilter`: what of the answer, joined or not, is written; `$` where it is absent.
    pub output_filter: Option<&'a str>,
    /// `DataCaptureConfig.GenerateInferenceId`.
    pub inference_ids: Option<&'a InferenceIds>,
    /// `TransformInput.ContentType`; absent: as endpoints, CSV.
    pub content_type: Option<&'a str>,
    /// `TransformOutput.Accept`; absent: as the content type, see [`Processing::accept`].
    pub accept: Option<&'a str>,
    /// `TransformInput.SplitType`.
    pub split_type: SplitType,
    /// `TransformOutput.AssembleWith`.
    pub assemble_with: AssembleWith,
    /// Whether `[1:4]` has element 4: the public guide says both.
    pub slices_include_end: bool,
}

/// Filters, joins and inference ids of a transform, parsed and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processing {
    accept: String,
}

impl Processing {
    /// What is asked for, checked: `None` where nothing is (no filter but `$`, no join, no ids), and then no rule holds.
    ///
    /// # Errors
    /// Which member is wrong, what is expected and found, and where in a path.
    pub fn parse(asked: &DataProcessing<'_>) -> Result<Option<Self>, ProcessError> {
        let _ = asked;
        Ok(None)
    }

    /// The media type that the model must be asked for: processing reads answers as the kind of the records.
    pub fn accept(&self) -> &str {
        &self.accept
    }

    /// Whether a request is the record, byte for byte: then [`Self::request`] need not be called.
    pub fn sends_records_whole(&self) -> bool {
        true
    }

    /// Whether what is written is the answer, byte for byte: then neither [`Self::split_answer`] nor [`Self::response`] need be
    /// called.
    pub fn writes_answers_whole(&self) -> bool {
        true
    }

    /// Appends what is sent of `record` to `out`: with the end of line that the record has, so that requests of several records
    /// are put together as records are. On an error `out` is as it was.
    ///
    /// # Errors
    /// What the filter expects of the record and does not find.
    pub fn request(&self, record: &[u8], out: &mut Vec<u8>) -> Result<(), ProcessError> {
        out.extend_from_slice(record);
        Ok(())
    }

    /// The answers to `records` records, without their ends of lines. JSON: the one document.
    ///
    /// # Errors
    /// When there are more answers than records, or fewer.
    pub fn split_answer<'b>(&self, answer: &'b [u8], records: usize) -> Result<Vec<&'b [u8]>, ProcessError> {
        let _ = records;
        Ok(vec![answer])
    }

    /// Appends what is written of `record`, whose answer is `answer`, to `out`; CSV and JSON Lines end with one `\n`. On an error
    /// `out` is as it was.
    ///
    /// # Errors
    /// What a join or the filter expects of the record or the answer, and does not find.
    pub fn response(
        &self,
        record: &[u8],
        answer: &[u8],
        id: RecordId<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ProcessError> {
        let _ = (record, id);
        out.extend_from_slice(answer);
        Ok(())
    }
}
