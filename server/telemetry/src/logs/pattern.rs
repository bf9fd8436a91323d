//! Filter patterns of messages: terms, `"quoted ones"`, `?any of these`, `-none of these`. They are found anywhere in a
//! message, and their case matters. Patterns of fields (`{ $.level = … }`, `[ip, user, …]`) and of regular expressions
//! are not served.

/// Terms of one pattern. Reason: the public service's limit of a pattern is 1,024 bytes.
const PATTERN_BYTES_MAX: usize = 1024;

/// Which messages are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    /// Reads a pattern; an empty one shows everything.
    ///
    /// # Errors
    /// Says what is expected, when it is none, or one that is not served.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!(
                "expected a pattern of at most {PATTERN_BYTES_MAX} bytes, found {}",
                text.len()
            ));
        }
        let mut pattern = Self::default();
        let mut rest = text.trim_start();
        if rest.starts_with(['{', '[']) {
            return Err("expected terms; patterns of JSON and of fields are not served".to_owned());
        }
        while !rest.is_empty() {
            let (terms, after_sign) = match rest.as_bytes()[0] {
                b'?' => (&mut pattern.any, &rest[1..]),
                b'-' => (&mut pattern.none, &rest[1..]),
                _ => (&mut pattern.all, rest),
            };
            let (term, after) = term(after_sign)?;
            terms.push(term);
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    /// Whether `message` is shown.
    pub fn shows(&self, message: &str) -> bool {
        self.all.iter().all(|term| message.contains(term.as_str()))
            && (self.any.is_empty() || self.any.iter().any(|term| message.contains(term.as_str())))
            && !self.none.iter().any(|term| message.contains(term.as_str()))
    }
}

/// The first term of `text`, and what follows it.
fn term(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let term = &text[..end];
        return match term.as_bytes() {
            [] => Err("expected a term after ? or -, found none".to_owned()),
            [b'%', .., b'%'] => Err("expected terms; regular expressions are not served".to_owned()),
            _ => Ok((term.to_owned(), &text[end..])),
        };
    };
    let (mut term, mut is_escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if is_escaped => {
                term.push(c);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return Ok((term, &quoted[at + 1..])),
            _ => term.push(c),
        }
    }
    Err("expected a quote at the end of a quoted term, found none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, message: &str, expected: bool) {
        assert_eq!(Pattern::parse(pattern).unwrap().shows(message), expected, "{pattern} on {message}");
    }

    #[test]
    fn messages_are_shown_by_their_terms() {
        check("", "anything", true);
        check("  ", "anything", true);
        check("ERROR", "an ERROR", true);
        check("ERROR", "an error", false);
        check("a b", "b then a", true);
        check("a b", "only a", false);
        check("\"a b\"", "a b", true);
        check("\"a b\"", "a  b", false);
        check(r#""say \"hi\"""#, "to say \"hi\"", true);
        check("?a ?b", "only b", true);
        check("?x ?z", "only b", false);
        check("a -b", "a", true);
        check("a -b", "a b", false);
        check("-\"a b\"", "b a", true);
        check("x ?a ?b", "x b", true);
        check("x ?a ?b", "x", false);
    }

    #[test]
    fn what_is_not_served_is_refused() {
        for wrong in ["{ $.a = 1 }", "[a, b]", "%a.*b%", "\"open", "?", "a -", &"x".repeat(1025)] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
