//! The choice of an answer's format by an Accept header, after RFC 9110 §12.5.1: each format we serve has the quality
//! of the most specific range that names it; the highest wins, then the earlier range, then the default.

use std::cmp::Reverse;

use super::{ContentType, ContentTypeError, Format, parameter, split_unquoted};
use crate::text;

/// Formats of answers. libsvm has no predictions.
const ANSWERS: [Format; 4] = [Format::Csv, Format::Json, Format::JsonLines, Format::RecordIo];

/// How closely a media range names a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    /// `*/*`.
    Any,
    /// `text/*`.
    Type,
    /// `text/csv`.
    Exact,
}

/// What an Accept header says of one format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offer {
    specificity: Specificity,
    /// In thousandths, from 0 (never) to 1000.
    quality: u16,
    /// Where in the header the range stands.
    position: usize,
    /// The answer, with the parameters of an exact range.
    answer: ContentType,
}

impl ContentType {
    /// Chooses the answer's format from an Accept header (q-values, lists, wildcards, parameters); `default` where the
    /// header is absent, empty or a wildcard.
    ///
    /// # Errors
    /// When nothing acceptable is served, or a parameter of a served type is not understood.
    pub fn from_accept(accept: Option<&str>, default: Self) -> Result<Self, ContentTypeError> {
        const SERVED: &str =
            "text/csv, application/json, application/jsonlines, application/x-recordio-protobuf";
        let Some(header) = accept.map(str::trim).filter(|header| !header.is_empty()) else {
            return Ok(default);
        };
        let mut best: Option<Offer> = None;
        for format in ANSWERS {
            let plain = if format == default.format { default } else { Self::new(format) };
            let Some(offer) = offer(header, plain)?.filter(|offer| offer.quality > 0) else { continue };
            let rank = |offer: &Offer| {
                (offer.quality, Reverse(offer.position), offer.answer.format == default.format)
            };
            // The earlier format of `ANSWERS` where all else is equal.
            if best.as_ref().is_none_or(|best| rank(&offer) > rank(best)) {
                best = Some(offer);
            }
        }
        best.map(|offer| offer.answer)
            .ok_or_else(|| ContentTypeError::Unsupported { found: text::shorten(header), served: SERVED })
    }
}

/// What `header` says of the format of `plain`, which is the answer to a wildcard.
fn offer(header: &str, plain: ContentType) -> Result<Option<Offer>, ContentTypeError> {
    let mut best: Option<Offer> = None;
    for (position, range) in split_unquoted(header, b',').enumerate() {
        let mut parts = split_unquoted(range, b';');
        let name = parts.next().unwrap_or_default().trim();
        let Some(specificity) = specificity(name, plain) else { continue };
        let answer = if specificity == Specificity::Exact { ContentType::new(plain.format) } else { plain };
        let mut offer = Offer { specificity, quality: 1000, position, answer };
        for part in parts {
            let (name, value) = parameter(part);
            if name.eq_ignore_ascii_case("q") {
                offer.quality = quality(&value).ok_or_else(|| {
                    ContentTypeError::parameter(
                        name,
                        "a number from 0 to 1 of at most three decimals",
                        &value,
                    )
                })?;
            } else if specificity == Specificity::Exact {
                offer.answer.set_parameter(part)?;
            }
        }
        let rank = |offer: &Offer| (offer.specificity, offer.quality);
        if best.as_ref().is_none_or(|best| rank(&offer) > rank(best)) {
            best = Some(offer);
        }
    }
    Ok(best)
}

/// How closely the media range `name` names the format of `plain`, if at all.
fn specificity(name: &str, plain: ContentType) -> Option<Specificity> {
    if name == "*/*" || name == "*" {
        return Some(Specificity::Any);
    }
    if let Some(kind) = name.strip_suffix("/*") {
        let (own, _) = plain.as_str().split_once('/')?;
        return own.eq_ignore_ascii_case(kind).then_some(Specificity::Type);
    }
    (Format::from_name(name) == Some(plain.format)).then_some(Specificity::Exact)
}

/// A q-value in thousandths.
fn quality(value: &str) -> Option<u16> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let is_decimal = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !is_decimal || !matches!(whole, "0" | "1") {
        return None;
    }
    let thousandths = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: ContentType = ContentType::new(Format::Csv);
    const JSON: ContentType = ContentType::new(Format::Json);

    /// With `text/csv` as the default.
    fn check(accept: &str, expected: Format) {
        let chosen = ContentType::from_accept(Some(accept), CSV).map(|chosen| chosen.format);
        assert_eq!(chosen, Ok(expected), "{accept:?}");
    }

    fn check_error(accept: &str, expected: &str) {
        assert_eq!(ContentType::from_accept(Some(accept), CSV).expect_err(accept).to_string(), expected);
    }

    #[test]
    fn no_wish_is_the_default() {
        for accept in [
            None,
            Some(""),
            Some("  "),
            Some("*/*"),
            Some("*"),
            Some("*/*;q=0.8"),
            Some("text/html, */*;q=0.1"),
        ] {
            assert_eq!(ContentType::from_accept(accept, JSON), Ok(JSON), "{accept:?}");
        }
        let verbose = ContentType { verbose: true, ..JSON };
        assert_eq!(ContentType::from_accept(Some("*/*"), verbose), Ok(verbose));
    }

    #[test]
    fn one_type() {
        check("text/csv", Format::Csv);
        check("Application/JSON", Format::Json);
        check("application/json; charset=utf-8", Format::Json);
        check("application/jsonlines", Format::JsonLines);
        check("application/x-recordio-protobuf", Format::RecordIo);
    }

    #[test]
    fn lists_and_qualities() {
        check("application/json, text/csv", Format::Json);
        check("application/json;q=0.5, text/csv", Format::Csv);
        check("application/json;q=0.5, text/csv;q=0.49", Format::Json);
        check("text/html, application/jsonlines;q=0.3", Format::JsonLines);
        check("application/json, text/plain, */*", Format::Json);
        check("*/*;q=0.1, application/json", Format::Json);
        check("text/csv;q=0, */*", Format::Json);
        check("text/csv;q=0.1, */*;q=0.2", Format::Json);
        check("application/*, application/json;q=0", Format::JsonLines);
        check(",, text/csv ,", Format::Csv);
    }

    #[test]
    fn wildcards_of_one_kind() {
        check("text/*", Format::Csv);
        check("application/*", Format::Json);
        check("application/*;q=0.1, text/*", Format::Csv);
        let lines = ContentType::new(Format::JsonLines);
        assert_eq!(ContentType::from_accept(Some("application/*"), lines), Ok(lines));
    }

    #[test]
    fn parameters_of_the_chosen_range() {
        let chosen = ContentType::from_accept(Some("text/csv;q=0.2, application/json; verbose=true"), CSV);
        assert_eq!(chosen, Ok(ContentType { verbose: true, ..JSON }));
        let verbose = ContentType { verbose: true, ..JSON };
        assert_eq!(ContentType::from_accept(Some("application/json"), verbose), Ok(JSON));
    }

    #[test]
    fn nothing_acceptable() {
        const SERVED: &str =
            "served: text/csv, application/json, application/jsonlines, application/x-recordio-protobuf";
        for accept in
            ["text/html", "text/libsvm", "image/*", "*/*;q=0", "text/csv;q=0", "application/octet-stream"]
        {
            check_error(accept, &format!("unsupported media type {accept:?}; {SERVED}"));
        }
        check_error(
            "text/csv;q=2",
            r#"media type parameter "q": expected a number from 0 to 1 of at most three decimals, found "2""#,
        );
        check_error(
            "text/csv; charset=utf-16",
            r#"media type parameter "charset": expected utf-8 or us-ascii, found "utf-16""#,
        );
        // What is not ours is not ours to judge.
        check("text/html; charset=utf-16, text/csv;q=0.5", Format::Csv);
    }

    #[test]
    fn qualities() {
        let check = |value: &str, expected| assert_eq!(quality(value), expected, "{value}");
        check("1", Some(1000));
        check("1.000", Some(1000));
        check("0", Some(0));
        check("0.", Some(0));
        check("0.5", Some(500));
        check("0.025", Some(25));
        for bad in ["", ".5", "1.001", "0.1234", "-0", "2", "0.x", "1e0"] {
            check(bad, None);
        }
    }
}
