//! Media types: the closed set of formats with their parameters, and the choice of an answer's format.
//!
//! Names of types and parameters are matched in any case, blanks around `;` and `=` do not matter, values may be
//! quoted. Parameters nobody here knows are passed over; known ones are understood or refused.

mod accept;

use std::borrow::Cow;

use crate::text;

/// A payload format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `text/csv`.
    Csv,
    /// `application/json`.
    Json,
    /// `application/jsonlines`.
    JsonLines,
    /// `text/libsvm`, `text/x-libsvm`; requests only.
    LibSvm,
    /// `application/x-recordio-protobuf`.
    RecordIo,
}

impl Format {
    /// The format of a media type without parameters, or of a training channel's short name.
    fn from_name(name: &str) -> Option<Self> {
        const NAMES: [(&str, Format); 11] = [
            ("text/csv", Format::Csv),
            ("csv", Format::Csv),
            ("application/json", Format::Json),
            ("application/jsonlines", Format::JsonLines),
            ("application/x-jsonlines", Format::JsonLines),
            ("application/x-ndjson", Format::JsonLines),
            ("text/libsvm", Format::LibSvm),
            ("text/x-libsvm", Format::LibSvm),
            ("libsvm", Format::LibSvm),
            ("application/x-recordio-protobuf", Format::RecordIo),
            ("recordio-protobuf", Format::RecordIo),
        ];
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, format)| format)
    }
}

/// A media type with the parameters that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentType {
    /// The format.
    pub format: Format,
    /// CSV: this many leading label columns (`label_size`).
    pub label_size: usize,
    /// CSV: whether the first line is a header (`header=present|absent`); `None` leaves it to the artifact.
    pub header: Option<bool>,
    /// kNN: `verbose=true` in Accept.
    pub verbose: bool,
}

/// Why a media type is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentTypeError {
    /// Not one of ours.
    #[error("unsupported media type {found:?}; served: {served}")]
    Unsupported {
        /// What the client said, shortened.
        found: String,
        /// What there is.
        served: &'static str,
    },
    /// A parameter is not understood.
    #[error("media type parameter {name:?}: expected {expected}, found {found:?}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        found: String,
    },
}

impl ContentTypeError {
    fn parameter(name: &str, expected: &'static str, found: &str) -> Self {
        Self::Parameter { name: text::shorten(name), expected, found: text::shorten(found) }
    }
}

/// The most label columns of a row. Reason: multi-label data sets have tens; a row is not skipped by accident.
const LABEL_SIZE_MAX: usize = 1024;

impl ContentType {
    /// `format` without parameters.
    pub const fn new(format: Format) -> Self {
        Self { format, label_size: 0, header: None, verbose: false }
    }

    /// Reads a Content-Type header.
    ///
    /// # Errors
    /// When the type is not served or a parameter is not understood.
    pub fn parse(header: &str) -> Result<Self, ContentTypeError> {
        const SERVED: &str = "text/csv, application/json, application/jsonlines, text/libsvm, text/x-libsvm, \
                              application/x-recordio-protobuf";
        // What clients usually send: a name and nothing else.
        if let Some(format) = Format::from_name(header) {
            return Ok(Self::new(format));
        }
        let mut parts = split_unquoted(header, b';');
        let name = parts.next().unwrap_or_default().trim();
        let format = Format::from_name(name)
            .ok_or_else(|| ContentTypeError::Unsupported { found: text::shorten(name), served: SERVED })?;
        let mut content_type = Self::new(format);
        for part in parts {
            content_type.set_parameter(part)?;
        }
        Ok(content_type)
    }

    /// The media type, without parameters.
    pub const fn as_str(self) -> &'static str {
        match self.format {
            Format::Csv => "text/csv",
            Format::Json => "application/json",
            Format::JsonLines => "application/jsonlines",
            Format::LibSvm => "text/libsvm",
            Format::RecordIo => "application/x-recordio-protobuf",
        }
    }

    /// Takes `key=value` over when it is known. A later one wins over an earlier one, as in most servers.
    fn set_parameter(&mut self, part: &str) -> Result<(), ContentTypeError> {
        let (name, value) = parameter(part);
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("label_size") {
            self.label_size = label_size(&value)
                .ok_or_else(|| ContentTypeError::parameter(name, "a whole number from 0 to 1024", &value))?;
        } else if is("header") {
            self.header = Some(one_of(name, &value, ["present", "absent"], "present or absent")?);
        } else if is("verbose") {
            self.verbose = one_of(name, &value, ["true", "false"], "true or false")?;
        } else if is("charset") {
            one_of(name, &value, ["utf-8", "us-ascii"], "utf-8 or us-ascii")?;
        }
        Ok(())
    }
}

fn label_size(value: &str) -> Option<usize> {
    // `usize::from_str` takes a plus sign; a media type has no use for one.
    let size = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten()?;
    (size <= LABEL_SIZE_MAX).then_some(size)
}

/// Whether `value` is the first of two words rather than the second.
fn one_of(
    name: &str,
    value: &str,
    words: [&str; 2],
    expected: &'static str,
) -> Result<bool, ContentTypeError> {
    match words.map(|word| word.eq_ignore_ascii_case(value)) {
        [true, _] => Ok(true),
        [_, true] => Ok(false),
        _ => Err(ContentTypeError::parameter(name, expected, value)),
    }
}

/// `key=value` apart, without blanks and quotes; a part without `=` is a key with an empty value.
fn parameter(part: &str) -> (&str, Cow<'_, str>) {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    let value = value.trim();
    let value = match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(quoted) if quoted.contains('\\') => Cow::Owned(unescape(quoted)),
        Some(quoted) => Cow::Borrowed(quoted),
        None => Cow::Borrowed(value),
    };
    (name.trim(), value)
}

/// A quoted string's content with its backslashes resolved.
fn unescape(quoted: &str) -> String {
    let mut characters = quoted.chars();
    let mut plain = String::with_capacity(quoted.len());
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain
}

/// The pieces of a header between `separator` bytes that do not stand in quotes.
fn split_unquoted(header: &str, separator: u8) -> impl Iterator<Item = &str> {
    debug_assert!(separator.is_ascii(), "a cut at an ASCII byte is a character boundary");
    let mut rest = Some(header);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                _ => return byte == separator && !is_quoted,
            }
            false
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: ContentType) {
        assert_eq!(ContentType::parse(header), Ok(expected), "{header:?}");
    }

    fn check_error(header: &str, expected: &str) {
        assert_eq!(ContentType::parse(header).expect_err(header).to_string(), expected);
    }

    #[test]
    fn names_in_any_case_and_with_blanks() {
        check("text/csv", ContentType::new(Format::Csv));
        check("  Text/CSV ; ", ContentType::new(Format::Csv));
        check("csv", ContentType::new(Format::Csv));
        check("application/json", ContentType::new(Format::Json));
        check("application/jsonlines", ContentType::new(Format::JsonLines));
        check("application/x-jsonlines", ContentType::new(Format::JsonLines));
        check("application/x-ndjson", ContentType::new(Format::JsonLines));
        check("text/libsvm", ContentType::new(Format::LibSvm));
        check("text/X-LibSVM", ContentType::new(Format::LibSvm));
        check("libsvm", ContentType::new(Format::LibSvm));
        check("application/x-recordio-protobuf", ContentType::new(Format::RecordIo));
        check("recordio-protobuf", ContentType::new(Format::RecordIo));
    }

    #[test]
    fn every_name_of_ours_reads_back() {
        for format in [Format::Csv, Format::Json, Format::JsonLines, Format::LibSvm, Format::RecordIo] {
            check(ContentType::new(format).as_str(), ContentType::new(format));
        }
    }

    #[test]
    fn parameters() {
        let csv = ContentType::new(Format::Csv);
        check("text/csv;label_size=2", ContentType { label_size: 2, ..csv });
        check("text/csv; Label_Size = \"2\" ;", ContentType { label_size: 2, ..csv });
        check("text/csv; charset=UTF-8; header=present", ContentType { header: Some(true), ..csv });
        check("text/csv;charset=\"us-ascii\";header=ABSENT", ContentType { header: Some(false), ..csv });
        check("text/csv; charset=\"utf\\-8\"", csv);
        check("text/csv; profile=\"a;label_size=9\\\";header=x\"; flag", csv);
        check(
            "application/json; verbose=true",
            ContentType { verbose: true, ..ContentType::new(Format::Json) },
        );
    }

    #[test]
    fn refusals() {
        const SERVED: &str = "served: text/csv, application/json, application/jsonlines, text/libsvm, \
                              text/x-libsvm, application/x-recordio-protobuf";
        check_error("", &format!("unsupported media type \"\"; {SERVED}"));
        check_error("text/plain", &format!("unsupported media type \"text/plain\"; {SERVED}"));
        check_error(
            "text/csv, text/csv",
            &format!("unsupported media type \"text/csv, text/csv\"; {SERVED}"),
        );
        check_error("a/\n\u{1b}", &format!("unsupported media type \"a/\\n\\u{{1b}}\"; {SERVED}"));
        check_error(
            "text/csv; label_size=-1",
            r#"media type parameter "label_size": expected a whole number from 0 to 1024, found "-1""#,
        );
        for size in ["", "+1", "1.0", "1025", "99999999999999999999999"] {
            assert!(ContentType::parse(&format!("text/csv;label_size={size}")).is_err(), "{size}");
        }
        check_error(
            "text/csv; charset=latin1",
            r#"media type parameter "charset": expected utf-8 or us-ascii, found "latin1""#,
        );
        check_error(
            "text/csv; header",
            r#"media type parameter "header": expected present or absent, found """#,
        );
        check_error(
            "application/json; verbose=yes",
            r#"media type parameter "verbose": expected true or false, found "yes""#,
        );
    }
}
