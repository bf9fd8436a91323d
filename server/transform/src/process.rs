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

mod csv;
mod draft;
mod error;
mod ids;
mod json;
mod kind;
mod path;
mod scanner;

pub use error::ProcessError;
pub use ids::{ObjectId, RecordId};

use codecs::framing::SplitType;
use memchr::{memchr, memchr_iter};

use self::draft::Draft;
use self::json::Added;
use self::kind::Kind;
use self::path::{Path, Selector};
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
    kind: Kind,
    accept: String,
    input_filter: Filter,
    joins_input: bool,
    output_filter: Filter,
    /// When the job began, if records get ids.
    started: Option<String>,
}

/// A path, and what it is for CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter {
    path: Path,
    /// What it selects of a CSV record.
    selectors: Vec<Selector>,
}

impl Processing {
    /// What is asked for, checked: `None` where nothing is (no filter but `$`, no join, no ids), and then no rule holds.
    ///
    /// # Errors
    /// Which member is wrong, what is expected and found, and where in a path.
    pub fn parse(asked: &DataProcessing<'_>) -> Result<Option<Self>, ProcessError> {
        let is_filtered =
            [asked.input_filter, asked.output_filter].into_iter().flatten().any(|path| path != "$");
        if !is_filtered && !asked.joins_input && asked.inference_ids.is_none() {
            return Ok(None);
        }
        let (kind, accept) = Kind::of(asked)?;
        let filter = |member, text: Option<&str>| {
            let path = Path::parse(member, text.unwrap_or("$"), kind, asked.slices_include_end)?;
            Ok(Filter { selectors: path.selectors(), path })
        };
        Ok(Some(Self {
            kind,
            accept,
            input_filter: filter("DataProcessing.InputFilter", asked.input_filter)?,
            joins_input: asked.joins_input,
            output_filter: filter("DataProcessing.OutputFilter", asked.output_filter)?,
            started: asked.inference_ids.map(|ids| ids.started.clone()),
        }))
    }

    /// The media type that the model must be asked for: processing reads answers as the kind of the records.
    pub fn accept(&self) -> &str {
        &self.accept
    }

    /// Whether what is written is a line for each record, whatever the lines of answers are.
    pub fn writes_lines(&self) -> bool {
        self.kind.is_line() && !self.writes_answers_whole()
    }

    /// Whether records get ids, which depend on how many records come before.
    pub fn numbers_records(&self) -> bool {
        self.started.is_some()
    }

    /// Whether a request is the record, byte for byte: then [`Self::request`] need not be called.
    pub fn sends_records_whole(&self) -> bool {
        self.input_filter.path.is_root()
    }

    /// Whether what is written is the answer, byte for byte: then neither [`Self::split_answer`] nor [`Self::response`] need be
    /// called.
    pub fn writes_answers_whole(&self) -> bool {
        self.output_filter.path.is_root() && !self.joins_input && self.started.is_none()
    }

    /// Appends what is sent of `record` to `out`: with the end of line that the record has, so that requests of several records
    /// are put together as records are. On an error `out` is as it was.
    ///
    /// # Errors
    /// What the filter expects of the record and does not find.
    pub fn request(&self, record: &[u8], out: &mut Vec<u8>) -> Result<(), ProcessError> {
        if self.sends_records_whole() {
            out.extend_from_slice(record);
            return Ok(());
        }
        let (line, end) = if self.kind.is_line() { csv::split_line(record) } else { (record, &[][..]) };
        let start = out.len();
        out.extend_from_slice(line);
        self.filter(&self.input_filter, out, start, "the record").inspect_err(|_| out.truncate(start))?;
        out.extend_from_slice(end);
        Ok(())
    }

    /// The answers to `records` records, without their ends of lines. JSON: the one document.
    ///
    /// # Errors
    /// When there are more answers than records, or fewer.
    pub fn split_answer<'b>(&self, answer: &'b [u8], records: usize) -> Result<Vec<&'b [u8]>, ProcessError> {
        if !self.kind.is_line() {
            return if records == 1 {
                Ok(vec![answer])
            } else {
                Err(ProcessError::Count { expected: records, found: 1 })
            };
        }
        let mut answers = Vec::with_capacity(records);
        let mut rest = answer;
        while !rest.is_empty() {
            let (line, behind) = rest.split_at(memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1));
            if answers.len() == records {
                return Err(ProcessError::Count { expected: records, found: count_lines(answer) });
            }
            answers.push(csv::split_line(line).0);
            rest = behind;
        }
        match answers[..] {
            [line] if records > 1 && self.kind == Kind::Csv => csv::split_fields(line, records),
            _ if answers.len() == records => Ok(answers),
            _ => Err(ProcessError::Count { expected: records, found: answers.len() }),
        }
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
        let start = out.len();
        let written = match self.kind {
            Kind::Csv => self.csv_response(record, answer, id, out),
            Kind::Json | Kind::JsonLines => self.json_response(record, answer, id, out),
        };
        written.inspect_err(|_| out.truncate(start))?;
        if self.kind.is_line() {
            out.push(b'\n');
        }
        Ok(())
    }

    fn csv_response(
        &self,
        record: &[u8],
        answer: &[u8],
        id: RecordId<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ProcessError> {
        let start = out.len();
        if self.joins_input {
            out.extend_from_slice(csv::split_line(record).0);
            out.push(b',');
        }
        out.extend_from_slice(csv::split_line(answer).0);
        self.filter(&self.output_filter, out, start, self.written())?;
        if let Some(started) = &self.started {
            for piece in [b",", &id.uuid()[..], b",", started.as_bytes()] {
                out.extend_from_slice(piece);
            }
        }
        Ok(())
    }

    fn json_response(
        &self,
        record: &[u8],
        answer: &[u8],
        id: RecordId<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ProcessError> {
        let (start, answer) = (out.len(), json::trim(answer));
        if self.joins_input {
            scanner::document(answer, "the answer")?;
            out.extend_from_slice(json::trim(record));
            let added = [Added { name: "SageMakerOutput", value: answer }];
            json::add(Draft::new(out, start, "the record"), "SageMakerInput", &added)?;
        } else {
            out.extend_from_slice(answer);
        }
        self.filter(&self.output_filter, out, start, self.written())?;
        let Some(started) = &self.started else { return Ok(()) };
        let [id, started] = [&id.uuid()[..], started.as_bytes()].map(|text| [b"\"", text, b"\""].concat());
        let id = Added { name: "SageMakerInferenceId", value: &id };
        let time = Added { name: "SageMakerInferenceTime", value: &started };
        json::add(Draft::new(out, start, self.written()), "SageMakerOutput", &[id, time])
    }

    /// What the output filter sees, in words.
    fn written(&self) -> &'static str {
        if self.joins_input { "the joined record" } else { "the answer" }
    }

    /// Puts what `filter` selects of what stands in `out` from `start` on in its place.
    fn filter(
        &self,
        filter: &Filter,
        out: &mut Vec<u8>,
        start: usize,
        what: &'static str,
    ) -> Result<(), ProcessError> {
        if filter.path.is_root() {
            return Ok(());
        }
        let draft = Draft::new(out, start, what);
        match self.kind {
            Kind::Csv => csv::select(&filter.path, &filter.selectors, draft),
            Kind::Json | Kind::JsonLines => json::select(&filter.path, draft),
        }
    }
}

/// How many lines `text` has, a last one without an end included.
pub(crate) fn count_lines(text: &[u8]) -> usize {
    let is_open = text.last().is_some_and(|&last| last != b'\n');
    memchr_iter(b'\n', text).count() + usize::from(is_open)
}
