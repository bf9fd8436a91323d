//! What a model answers to several records at once, and what that allows: whether answers can be put one after another.

use codecs::framing::SplitType;
use codecs::{ContentType, Format};

use super::{AssembleWith, ErrorPolicy, PayloadLimit, Settings, SettingsError};
use crate::batch;

/// What a model answers to several records that are sent together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answers {
    /// Nobody has said.
    #[default]
    Unknown,
    /// CSV, a line for each.
    CsvLines,
    /// CSV, one line for all.
    CsvLine,
    /// JSON, a line for each.
    JsonLines,
    /// A JSON document for all.
    JsonDocument,
    /// A frame of bytes for each.
    RecordIo,
}

impl Answers {
    /// Those of a media type, where CSV has a line for each.
    pub fn of(answer_type: ContentType) -> Self {
        match answer_type.format {
            Format::Csv => Self::CsvLines,
            Format::JsonLines => Self::JsonLines,
            Format::Json => Self::JsonDocument,
            Format::RecordIo => Self::RecordIo,
            // Nothing is answered in it.
            Format::LibSvm => Self::Unknown,
        }
    }

    /// Whether each record's is a line of its own, whatever it is sent with.
    pub fn are_lines(self) -> bool {
        matches!(self, Self::CsvLines | Self::JsonLines)
    }

    /// Whether they are one text, which two of, one after another, are not.
    pub fn are_one(self) -> bool {
        matches!(self, Self::CsvLine | Self::JsonDocument)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "answers of another format",
            Self::CsvLines => "text/csv",
            Self::CsvLine => "text/csv of one line",
            Self::JsonLines => "application/jsonlines",
            Self::JsonDocument => "application/json",
            Self::RecordIo => "application/x-recordio-protobuf",
        }
    }
}

impl Settings {
    /// The same for a model that answers so; where answers are joined or filtered as lines, what is written is lines.
    ///
    /// # Errors
    /// When such answers cannot be put together as it is asked.
    pub fn answered(mut self, answers: Answers) -> Result<Self, SettingsError> {
        let writes_lines = self.processing.as_ref().is_some_and(crate::process::Processing::writes_lines);
        self.answers = match answers {
            Answers::CsvLine if writes_lines => Answers::CsvLines,
            answers => answers,
        };
        self.check_endless()?;
        if self.error_policy == ErrorPolicy::Placeholder && self.answers == Answers::RecordIo {
            return Err(SettingsError::Pairing {
                member: "error policy",
                expected: "fail or quarantine with answers of application/x-recordio-protobuf, which has no record that \
                           could stand for an answer"
                    .to_owned(),
                found: "placeholder".to_owned(),
            });
        }
        Ok(self)
    }

    /// Pieces of an endless payload are answered one by one: what those answers are together must be what one answer is.
    fn check_endless(&self) -> Result<(), SettingsError> {
        if !self.answers.are_one() || !batch::is_cut_at_will(self) {
            return Ok(());
        }
        Err(SettingsError::Pairing {
            member: "TransformOutput.Accept",
            expected: "text/csv with a line for each record, application/jsonlines or application/x-recordio-protobuf with \
                       MaxPayloadInMB 0, whose pieces are answered one by one (or BatchStrategy SingleRecord, or a \
                       MaxPayloadInMB)"
                .to_owned(),
            found: self.answers.as_str().to_owned(),
        })
    }

    /// The header of CSV is the first batch's alone: the others would lose their first record, or the header be one.
    pub(super) fn check_header(&self) -> Result<(), SettingsError> {
        let content_type = self.content_type.as_deref().and_then(|text| ContentType::parse(text).ok());
        let has_header = content_type.is_some_and(|content_type| content_type.header == Some(true));
        if !has_header || self.split_type != SplitType::Line {
            return Ok(());
        }
        Err(SettingsError::Pairing {
            member: "TransformInput.ContentType",
            expected: "no header=present with SplitType Line, where only the first batch has the header (SplitType None \
                       sends an object with its header)"
                .to_owned(),
            found: "header=present".to_owned(),
        })
    }

    /// What a person should know of what was asked for.
    pub fn warnings(&self) -> Vec<&'static str> {
        let splits_frames = self.answers == Answers::RecordIo && self.assemble_with == AssembleWith::Line;
        let warning = "AssembleWith Line puts a newline behind the frames of each batch of application/x-recordio-protobuf, \
                       which readers of RecordIO do not expect: AssembleWith None gives frames alone";
        if splits_frames { vec![warning] } else { Vec::new() }
    }

    /// Whether there is no limit to a payload.
    pub(crate) fn is_endless(&self) -> bool {
        self.payload_limit == PayloadLimit::Endless
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{BatchStrategy, Compression, ExecutionParameters, Extensions, Requested};

    fn endless(split_type: SplitType, content_type: &str, accept: &str) -> Requested {
        Requested {
            content_type: Some(content_type.to_owned()),
            accept: Some(accept.to_owned()),
            split_type: Some(split_type),
            payload_mb: Some(0),
            compression: Some(Compression::None),
            ..Requested::default()
        }
    }

    /// `expected`: what the answers are, or a part of the refusal.
    #[track_caller]
    fn check(requested: Requested, expected: Result<Answers, &str>) {
        let found = requested.resolve(ExecutionParameters::default());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.settings.answers, expected),
            (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found}"),
            (found, expected) => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn what_the_request_says_of_answers() {
        let accept =
            |accept: Option<&str>| Requested { accept: accept.map(str::to_owned), ..Requested::default() };
        check(accept(None), Ok(Answers::Unknown));
        check(accept(Some("text/csv")), Ok(Answers::CsvLines));
        check(accept(Some("application/jsonlines")), Ok(Answers::JsonLines));
        check(accept(Some("application/json; verbose=true")), Ok(Answers::JsonDocument));
        check(accept(Some("application/x-recordio-protobuf")), Ok(Answers::RecordIo));
        // Who knows the model says which of these it is.
        check(accept(Some("*/*")), Ok(Answers::Unknown));
        check(accept(Some("text/csv;q=0.5, application/json")), Ok(Answers::Unknown));
    }

    #[test]
    fn documents_are_no_answer_to_an_endless_payload() {
        use SplitType::{Line, None, RecordIo};
        let refused = Err("TransformOutput.Accept: expected text/csv with a line for each record");
        check(endless(Line, "text/csv", "application/json"), refused);
        check(endless(None, "text/csv", "application/json"), refused);
        check(endless(None, "application/jsonlines", "application/json"), refused);
        check(
            endless(RecordIo, "application/x-recordio-protobuf", "application/json"),
            Err("found application/json"),
        );
        check(endless(Line, "text/csv", "text/csv"), Ok(Answers::CsvLines));
        // One document, sent whole, has one answer; so has each record that is sent alone.
        check(endless(None, "application/json", "application/json"), Ok(Answers::JsonDocument));
        check(endless(None, "text/csv;header=present", "application/json"), Ok(Answers::JsonDocument));
        let single = Requested {
            strategy: Some(BatchStrategy::SingleRecord),
            ..endless(Line, "text/csv", "application/json")
        };
        check(single, Ok(Answers::JsonDocument));
        let limited = Requested { payload_mb: Some(1), ..endless(Line, "text/csv", "application/json") };
        check(limited, Ok(Answers::JsonDocument));
    }

    #[test]
    fn one_line_for_all_is_a_document_unless_it_is_split() {
        let settings = |input_filter: Option<&str>, join| {
            let requested = Requested {
                assemble_with: Some(AssembleWith::Line),
                input_filter: input_filter.map(str::to_owned),
                join,
                ..endless(SplitType::Line, "text/csv", "text/csv")
            };
            requested.resolve(ExecutionParameters::default()).unwrap().settings
        };
        settings(None, false).answered(Answers::CsvLine).unwrap_err();
        settings(Some("$[1:]"), false).answered(Answers::CsvLine).unwrap_err();
        assert_eq!(settings(None, true).answered(Answers::CsvLine).unwrap().answers, Answers::CsvLines);
    }

    #[test]
    fn a_header_is_the_first_batchs_alone() {
        let with = |split_type, content_type: &str| Requested {
            content_type: Some(content_type.to_owned()),
            split_type: Some(split_type),
            ..Requested::default()
        };
        let refused = Err("TransformInput.ContentType: expected no header=present with SplitType Line");
        check(with(SplitType::Line, "text/csv; header=present"), refused);
        check(with(SplitType::Line, "text/csv; header=absent"), Ok(Answers::Unknown));
        check(with(SplitType::None, "text/csv; header=present"), Ok(Answers::Unknown));
    }

    #[test]
    fn placeholders_are_text() {
        let placeholder = |accept: &str| Requested {
            accept: Some(accept.to_owned()),
            extensions: Extensions { error_policy: ErrorPolicy::Placeholder, ..Extensions::default() },
            ..Requested::default()
        };
        let refused = Err("error policy: expected fail or quarantine");
        check(placeholder("application/x-recordio-protobuf"), refused);
        check(placeholder("text/csv"), Ok(Answers::CsvLines));
    }

    #[test]
    fn newlines_between_frames_are_warned_of() {
        let settings = |accept: &str, assemble_with| {
            let accept = Some(accept.to_owned());
            let requested = Requested { accept, assemble_with: Some(assemble_with), ..Requested::default() };
            requested.resolve(ExecutionParameters::default()).unwrap().settings
        };
        let frames = "application/x-recordio-protobuf";
        assert_eq!(settings(frames, AssembleWith::Line).warnings().len(), 1);
        assert!(settings(frames, AssembleWith::None).warnings().is_empty());
        assert!(settings("text/csv", AssembleWith::Line).warnings().is_empty());
    }
}
