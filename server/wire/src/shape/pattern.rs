//! Patterns of the service models, in the dialect that the services read them: a whole match, and classes of ASCII.
//!
//! They are written for Java. What differs is translated; the few that look ahead or behind, which no engine of linear
//! time does, stand here beside an equal that does not.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

/// The longest text that is matched. Reason: matching takes time in proportion, and no member of a served operation that
/// has a pattern may be longer than 10,240 characters.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The largest compiled pattern. Reason: the largest of the tables takes a tenth.
const COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `.` does not match what Java takes for the end of a line.
const ANY_BUT_LINE_ENDS: &str = r"[^\n\r\x{85}\x{2028}\x{2029}]";

/// Patterns that look ahead or behind, and what they come to.
const WITHOUT_LOOKING: &[(&str, &str)] = &[
    // Not blank.
    (r"(?!\s*$).+", r".*\S.*"),
    (r"(?!^[.-])^([a-zA-Z0-9-_.]+)", r"[a-zA-Z0-9_][a-zA-Z0-9_.\-]*"),
    // A name does not end in a hyphen.
    (
        r"(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*\/)?([a-zA-Z0-9]([a-zA-Z0-9-]){0,62})(?<!-)",
        r"(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*/)?[a-zA-Z0-9]([a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?",
    ),
    (
        r"(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*\/)?([a-zA-Z0-9]([a-zA-Z0-9-]){0,62})(?<!-)(\/[0-9]{1,9})?",
        r"(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*/)?[a-zA-Z0-9]([a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?(/[0-9]{1,9})?",
    ),
    // No two dots in a row.
    (r"/(?!.*\.\.)[a-zA-Z0-9/_.\-]+", r"/(\.|\.?([a-zA-Z0-9/_\-]\.?)+)"),
    // No space at either end; no control character, colon, slash or bar anywhere.
    (
        r"(?!((^[ ]+.*)|(.*([\u0000-\u001f]|[\u007f-\u009f]|[:/|])+.*)|(.*[ ]+$))).+",
        r"[^ \x{0}-\x{1f}\x{7f}-\x{9f}:/|\x{2028}\x{2029}]([^\x{0}-\x{1f}\x{7f}-\x{9f}:/|\x{2028}\x{2029}]*[^ \x{0}-\x{1f}\x{7f}-\x{9f}:/|\x{2028}\x{2029}])?",
    ),
];

/// A pattern, compiled when it is first matched.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self { text, compiled: OnceLock::new() }
    }
}

impl Pattern {
    /// As the model has it, and as clients read it.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `text` is of this pattern.
    pub(super) fn is_match(&self, text: &str) -> bool {
        text.len() <= TEXT_BYTES_MAX && self.compiled().is_some_and(|regex| regex.is_match(text))
    }

    /// `None` when the pattern is beyond this engine, which a test rules out for those of the tables.
    pub(super) fn compiled(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| compile(&self.text)).as_ref()
    }
}

fn compile(text: &str) -> Option<Regex> {
    let plain = WITHOUT_LOOKING.iter().find(|(looking, _)| *looking == text);
    let translated = translate(plain.map_or(text, |(_, plain)| plain));
    RegexBuilder::new(&format!(r"\A(?:{translated})\z")).size_limit(COMPILED_BYTES_MAX).build().ok()
}

/// From Java's dialect to that of the engine.
fn translate(java: &str) -> String {
    let mut out = String::with_capacity(java.len() * 2);
    let mut rest = java.chars();
    let mut is_class = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' => escape(&mut rest, &mut out),
            '.' if !is_class => out.push_str(ANY_BUT_LINE_ENDS),
            _ => {
                // No pattern has a class within a class.
                is_class = (is_class || c == '[') && c != ']';
                out.push(c);
            }
        }
    }
    out
}

/// What follows a backslash. Classes become bracketed classes, which may stand inside another.
fn escape(rest: &mut std::str::Chars<'_>, out: &mut String) {
    match rest.next() {
        Some('d') => out.push_str("[0-9]"),
        Some('w') => out.push_str("[a-zA-Z0-9_]"),
        Some('s') => out.push_str(r"[ \t\n\x0B\f\r]"),
        Some('S') => out.push_str(r"[^ \t\n\x0B\f\r]"),
        Some('p') => property(rest, out),
        Some('u') => {
            let unit = code_unit(rest);
            let code = if (0xD800..0xDC00).contains(&unit) {
                // The other half of the pair follows: `\uXXXX`.
                let low = rest.nth(1).map_or(0, |_| code_unit(rest));
                0x10000 + ((unit - 0xD800) << 10) + low.saturating_sub(0xDC00)
            } else {
                unit
            };
            out.push_str(&format!(r"\x{{{code:X}}}"));
        }
        Some(other) => {
            out.push('\\');
            out.push(other);
        }
        None => out.push('\\'),
    }
}

fn code_unit(rest: &mut std::str::Chars<'_>) -> u32 {
    let digits: String = rest.by_ref().take(4).collect();
    u32::from_str_radix(&digits, 16).unwrap_or(0)
}

/// `{Name}` of a property: Java's names of ASCII classes, or a general category of Unicode.
fn property(rest: &mut std::str::Chars<'_>, out: &mut String) {
    let name: String = rest.by_ref().skip(1).take_while(|&c| c != '}').collect();
    match name.as_str() {
        "Alnum" => out.push_str("[a-zA-Z0-9]"),
        "Print" => out.push_str(r"[\x20-\x7E]"),
        "ASCII" => out.push_str(r"[\x00-\x7F]"),
        _ => out.push_str(&format!(r"\p{{{name}}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        let pattern = Pattern::from(pattern.to_owned());
        let regex = pattern.compiled().unwrap_or_else(|| panic!("{pattern:?} does not compile"));
        assert_eq!(pattern.is_match(text), expected, "{} on {text:?}: {regex}", pattern.as_str());
    }

    #[test]
    fn the_match_is_whole_and_of_ascii() {
        check("[a-z]+", "abc", true);
        check("[a-z]+", "abc1", false);
        check("[a-z]+", "abc\n", false);
        check("a|b", "ab", false);
        check(r"\d{3}", "123", true);
        check(r"\d{3}", "١٢٣", false);
        check(r"[\w.]+", "a_1.", true);
        check(r"[\w.]+", "é", false);
        check(r"[\S]+", "é-x", true);
        check(r"[\S]+", "a b", false);
        check(r"[\S\s]*", "a\nb", true);
        check(".*", "a b", true);
        check(".*", "a\u{2028}b", false);
        check(".*", "a\rb", false);
        check(r"^arn:.+\/x$", "arn:a/x", true);
    }

    #[test]
    fn properties_and_code_units_are_read_as_java_reads_them() {
        check(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "Größe 3 = 🙂", false);
        check(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "Größe 3 =", true);
        check(r"[\p{Alnum}\-]+", "a-1", true);
        check(r"\p{Print}+", "a b~", true);
        check(r"\p{Print}+", "é", false);
        check(r"\p{ASCII}*", "\u{0}\u{7f}", true);
        let text = r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*";
        check(text, "a é 🙂\t", true);
        check(text, "\u{1}", false);
        check(text, "\n", false);
    }

    /// The equals of the looking patterns, against what those say in words.
    #[test]
    fn patterns_that_look_around_have_equals() {
        let [not_blank, no_first_dot, name, versioned, no_two_dots, policy] = WITHOUT_LOOKING else {
            panic!("six")
        };
        for (text, expected) in [("a", true), (" a ", true), (" ", false), ("", false), ("\t \t", false)] {
            check(not_blank.0, text, expected);
        }
        for (text, expected) in [("a.b-", true), (".a", false), ("-a", false), ("_a", true), ("", false)] {
            check(no_first_dot.0, text, expected);
        }
        let arn = "arn:aws:sagemaker:us-east-1:000000000000:model-package/a/1";
        for (text, expected) in [("a-b", true), ("a-", false), ("a", true), ("-a", false), (arn, true)] {
            check(versioned.0, text, expected);
            check(name.0, text, expected && text != arn);
        }
        for name in [name, versioned] {
            check(name.0, &"a".repeat(63), true);
            check(name.0, &"a".repeat(64), false);
        }
        check(name.0, "arn:aws:sagemaker:us-east-1:000000000000:algorithm/a", true);
        for (text, expected) in [
            ("/a", true),
            ("/", false),
            ("/..", false),
            ("/.", true),
            ("/a.b.c/.d", true),
            ("/a..b", false),
            ("a", false),
        ] {
            check(no_two_dots.0, text, expected);
        }
        for (text, expected) in
            [("a b", true), (" a", false), ("a ", false), ("a:b", false), ("é", true), ("", false)]
        {
            check(policy.0, text, expected);
        }
    }

    #[test]
    fn a_long_text_is_refused_before_it_is_matched() {
        check(".*", &"a".repeat(TEXT_BYTES_MAX), true);
        check(".*", &"a".repeat(TEXT_BYTES_MAX + 1), false);
    }
}
