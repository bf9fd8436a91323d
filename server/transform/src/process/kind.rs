//! What records are read as, and which members of a request have to go together so that they can be.

use codecs::framing::SplitType;
use codecs::{ContentType, Format};

use super::DataProcessing;
use super::error::ProcessError;
use crate::settings::AssembleWith;

/// What a record is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line of fields.
    Csv,
    /// A document, alone in its object.
    Json,
    /// A document on a line.
    JsonLines,
}

impl Kind {
    const SERVED: &str =
        "text/csv, application/json or application/jsonlines, which filters, joins and inference ids need";

    /// The kind of both the records and the answers, and the media type to ask the model for.
    pub(super) fn of(asked: &DataProcessing<'_>) -> Result<(Self, String), ProcessError> {
        let given = asked.content_type.unwrap_or("text/csv");
        let content_type = ContentType::parse(given).ok();
        let kind = content_type.and_then(|content_type| Self::from_format(content_type.format));
        let kind =
            kind.ok_or_else(|| pairing("TransformInput.ContentType", Self::SERVED, &format!("{given:?}")))?;
        let accept = kind.settle(asked.accept)?;
        kind.check_framing(asked.split_type, asked.assemble_with)?;
        Ok((kind, accept))
    }

    /// Whether a record is a line.
    pub(super) fn is_line(self) -> bool {
        self != Self::Json
    }

    fn from_format(format: Format) -> Option<Self> {
        match format {
            Format::Csv => Some(Self::Csv),
            Format::Json => Some(Self::Json),
            Format::JsonLines => Some(Self::JsonLines),
            Format::LibSvm | Format::RecordIo => None,
        }
    }

    fn media_type(self) -> ContentType {
        ContentType::new(match self {
            Self::Csv => Format::Csv,
            Self::Json => Format::Json,
            Self::JsonLines => Format::JsonLines,
        })
    }

    /// `Accept` as it is given, where it names this kind; where it leaves the choice, this kind.
    fn settle(self, accept: Option<&str>) -> Result<String, ProcessError> {
        let own = self.media_type();
        let given = accept.map(str::trim).unwrap_or_default();
        let answer = ContentType::from_accept(Some(given), own).ok();
        if answer.is_none_or(|answer| answer.format != own.format) {
            let expected = format!("{}, as ContentType, since answers are processed", own.as_str());
            return Err(pairing("TransformOutput.Accept", &expected, &format!("{given:?}")));
        }
        let is_choice = given.is_empty() || given.contains('*');
        Ok(if is_choice { own.as_str().to_owned() } else { given.to_owned() })
    }

    fn check_framing(self, split_type: SplitType, assemble_with: AssembleWith) -> Result<(), ProcessError> {
        let (split, assemble, name) = match self {
            Self::Csv | Self::JsonLines => (SplitType::Line, AssembleWith::Line, "Line"),
            Self::Json => (SplitType::None, AssembleWith::None, "None"),
        };
        let expected =
            format!("{name}, for {} with filters, joins or inference ids", self.media_type().as_str());
        if split_type != split {
            let found = match split_type {
                SplitType::None => "None",
                SplitType::Line => "Line",
                SplitType::RecordIo => "RecordIO",
                SplitType::TfRecord => "TFRecord",
            };
            return Err(pairing("TransformInput.SplitType", &expected, found));
        }
        if assemble_with != assemble {
            let found = if assemble_with == AssembleWith::Line { "Line" } else { "None" };
            return Err(pairing("TransformOutput.AssembleWith", &expected, found));
        }
        Ok(())
    }
}

fn pairing(member: &'static str, expected: &str, found: &str) -> ProcessError {
    ProcessError::Pairing { member, expected: expected.to_owned(), found: found.to_owned() }
}
