//! A strict scanner of JSON text (RFC 8259): it moves over a text, builds nothing, and says where values stand. It holds no text,
//! so that what is found can be copied within the buffer that the text is in.

use super::draft::Span;
use super::error::ProcessError;

/// The most arrays and objects within each other. Reason: as many as JSON readers usually take, and one bit of a word each.
const DEPTH_MAX: u32 = u128::BITS;

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// Its key, quotes included.
    pub(super) key: Span,
    /// Its value.
    pub(super) value: Span,
}

/// Where it stands in a text; every call is given the same text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner {
    pub(super) at: usize,
    /// What the text is, for messages.
    what: &'static str,
}

/// Where the one value of `text` stands, which is checked to its end.
pub(super) fn document(text: &[u8], what: &'static str) -> Result<Span, ProcessError> {
    check_utf8(text, what)?;
    let mut scanner = Scanner::new(0, what);
    let value = scanner.value(text)?;
    scanner.expect_end(text)?;
    Ok(value)
}

/// Refuses what is not UTF-8: the first thing to do with a foreign text.
pub(super) fn check_utf8(text: &[u8], what: &'static str) -> Result<(), ProcessError> {
    match std::str::from_utf8(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(ProcessError::malformed(what, text, error.valid_up_to(), "UTF-8")),
    }
}

impl Scanner {
    /// At the byte `at`.
    pub(super) fn new(at: usize, what: &'static str) -> Self {
        Self { at, what }
    }

    /// Moves over the value that comes next, whatever it is.
    pub(super) fn value(&mut self, text: &[u8]) -> Result<Span, ProcessError> {
        self.skip_blanks(text);
        let start = self.at;
        let mut nesting = Nesting::default();
        loop {
            self.skip_blanks(text);
            match text.get(self.at) {
                Some(&opening @ (b'{' | b'[')) => {
                    let is_object = opening == b'{';
                    if !nesting.open(is_object) {
                        return Err(self.refuse(text, "at most 128 values within each other"));
                    }
                    self.at += 1;
                    if !self.take(text, if is_object { b'}' } else { b']' }) {
                        if is_object {
                            self.key(text)?;
                        }
                        continue;
                    }
                    nesting.close();
                }
                _ => self.scalar(text)?,
            }
            // A value is over, and with it those that it is the last of.
            loop {
                let Some(is_object) = nesting.innermost() else { return Ok(Span::new(start, self.at)) };
                if self.separator(text, is_object)? {
                    if is_object {
                        self.key(text)?;
                    }
                    break;
                }
                nesting.close();
            }
        }
    }

    /// The next member of the object that is open: none at its end. Before the first, `is_first` is set.
    pub(super) fn next_member(
        &mut self,
        text: &[u8],
        is_first: bool,
    ) -> Result<Option<Member>, ProcessError> {
        let is_over = if is_first { self.take(text, b'}') } else { !self.separator(text, true)? };
        if is_over {
            return Ok(None);
        }
        let key = self.key(text)?;
        Ok(Some(Member { key, value: self.value(text)? }))
    }

    /// The next element of the array that is open: none at its end. Before the first, `is_first` is set.
    pub(super) fn next_element(&mut self, text: &[u8], is_first: bool) -> Result<Option<Span>, ProcessError> {
        let is_over = if is_first { self.take(text, b']') } else { !self.separator(text, false)? };
        if is_over { Ok(None) } else { self.value(text).map(Some) }
    }

    /// Moves over `byte`, after white space, if it comes next.
    pub(super) fn take(&mut self, text: &[u8], byte: u8) -> bool {
        self.skip_blanks(text);
        let is_there = text.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// Refuses anything but white space.
    pub(super) fn expect_end(&mut self, text: &[u8]) -> Result<(), ProcessError> {
        self.skip_blanks(text);
        if self.at == text.len() { Ok(()) } else { Err(self.refuse(text, "the end of the JSON document")) }
    }

    /// Moves over a comma, or over the end of what is open: false.
    fn separator(&mut self, text: &[u8], is_object: bool) -> Result<bool, ProcessError> {
        let (end, expected) = if is_object { (b'}', "',' or '}'") } else { (b']', "',' or ']'") };
        if self.take(text, b',') {
            Ok(true)
        } else if self.take(text, end) {
            Ok(false)
        } else {
            Err(self.refuse(text, expected))
        }
    }

    /// Moves over a key and its colon.
    fn key(&mut self, text: &[u8]) -> Result<Span, ProcessError> {
        self.skip_blanks(text);
        if text.get(self.at) != Some(&b'"') {
            return Err(self.refuse(text, "a key in quotes"));
        }
        let start = self.at;
        self.string(text)?;
        let key = Span::new(start, self.at);
        if self.take(text, b':') { Ok(key) } else { Err(self.refuse(text, "':'")) }
    }

    fn scalar(&mut self, text: &[u8]) -> Result<(), ProcessError> {
        match text.get(self.at) {
            Some(b'"') => self.string(text),
            Some(b'-' | b'0'..=b'9') => self.number(text),
            _ => {
                let rest = &text[self.at..];
                match [&b"null"[..], b"true", b"false"].into_iter().find(|word| rest.starts_with(word)) {
                    Some(word) => {
                        self.at += word.len();
                        Ok(())
                    }
                    None => Err(self.refuse(text, "a JSON value")),
                }
            }
        }
    }

    fn string(&mut self, text: &[u8]) -> Result<(), ProcessError> {
        self.at += 1;
        loop {
            match text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.escape(text)?,
                Some(0..=0x1F) => return Err(self.refuse(text, "an escape of a control character")),
                Some(_) => self.at += 1,
                None => return Err(self.refuse(text, "a closing quote")),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self, text: &[u8]) -> Result<(), ProcessError> {
        let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        match text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') if text.get(self.at + 2..self.at + 6).is_some_and(is_hex) => self.at += 6,
            _ => return Err(self.refuse(text, "an escape of JSON")),
        }
        Ok(())
    }

    fn number(&mut self, text: &[u8]) -> Result<(), ProcessError> {
        let start = self.at;
        self.at += usize::from(text[self.at] == b'-');
        let whole = self.at;
        let is_whole = self.digits(text) && (text[whole] != b'0' || self.at == whole + 1);
        let is_fraction = !self.take_one(text, b".") || self.digits(text);
        let is_exponent = !self.take_one(text, b"eE") || {
            self.take_one(text, b"+-");
            self.digits(text)
        };
        if is_whole && is_fraction && is_exponent {
            return Ok(());
        }
        self.at = start;
        Err(self.refuse(text, "a number"))
    }

    /// Moves over digits: false where there are none.
    fn digits(&mut self, text: &[u8]) -> bool {
        let start = self.at;
        while text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at > start
    }

    /// Moves over one of `bytes`, if it stands here.
    fn take_one(&mut self, text: &[u8], bytes: &[u8]) -> bool {
        let is_there = text.get(self.at).is_some_and(|byte| bytes.contains(byte));
        self.at += usize::from(is_there);
        is_there
    }

    fn skip_blanks(&mut self, text: &[u8]) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(self.at) {
            self.at += 1;
        }
    }

    /// A refusal of what stands here.
    #[cold]
    fn refuse(&self, text: &[u8], expected: &'static str) -> ProcessError {
        ProcessError::malformed(self.what, text, self.at, expected)
    }
}

/// The arrays and objects that are open.
#[derive(Debug, Default)]
struct Nesting {
    /// Which of them are objects; the innermost is the lowest bit.
    are_objects: u128,
    depth: u32,
}

impl Nesting {
    /// False where no more can be open.
    fn open(&mut self, is_object: bool) -> bool {
        let has_room = self.depth < DEPTH_MAX;
        self.depth += u32::from(has_room);
        self.are_objects = (self.are_objects << 1) | u128::from(is_object);
        has_room
    }

    fn close(&mut self) {
        self.are_objects >>= 1;
        self.depth -= 1;
    }

    /// Whether the innermost is an object; none where nothing is open.
    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.are_objects & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) {
        let found = document(text.as_bytes(), "the record").map(|span| span.of(text.as_bytes()));
        assert_eq!(found, Ok(text.trim().as_bytes()), "{text}");
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok(), "{text}: the oracle too");
    }

    fn check_error(text: &[u8], expected: &str) {
        let error = document(text, "the record").expect_err(&String::from_utf8_lossy(text)).to_string();
        assert_eq!(error, format!("the record, {expected}"));
    }

    #[test]
    fn values() {
        for text in
            ["null", "true", "false", "0", "-0", "12", "1.50", "1e9", "1E-9", "0.5e+10", "1e999", "\"\""]
        {
            check(text);
        }
        for text in ["[]", "[ ]", "{}", "{ }", "[1,2]", "[[],{},[{}]]", " {\"a\" : [1 , {\"b\":null}] } \r\n"]
        {
            check(text);
        }
        check(r#"["a\"b","\\","\u00e9\ud83d\ude00","ü値","\/\b\f\n\r\t"]"#);
        check(&format!("{}{}", "[".repeat(100), "]".repeat(100)));
    }

    #[test]
    fn refusals() {
        check_error(b"", "byte 0: expected a JSON value, found the end");
        check_error(b"nul", "byte 0: expected a JSON value, found \"nul\"");
        check_error(b"NaN", "byte 0: expected a JSON value, found \"NaN\"");
        check_error(b"[1,]", "byte 3: expected a JSON value, found \"]\"");
        check_error(b"[1 2]", "byte 3: expected ',' or ']', found \"2]\"");
        check_error(b"[1}", "byte 2: expected ',' or ']', found \"}\"");
        check_error(b"{\"a\":1]", "byte 6: expected ',' or '}', found \"]\"");
        check_error(b"{\"a\":1,}", "byte 7: expected a key in quotes, found \"}\"");
        check_error(b"{a:1}", "byte 1: expected a key in quotes, found \"a:1}\"");
        check_error(b"{\"a\" 1}", "byte 5: expected ':', found \"1}\"");
        check_error(b"{} {}", "byte 3: expected the end of the JSON document, found \"{}\"");
        check_error(b"01", "byte 0: expected a number, found \"01\"");
        check_error(b"1.", "byte 0: expected a number, found \"1.\"");
        check_error(b"-", "byte 0: expected a number, found \"-\"");
        check_error(b"1e+", "byte 0: expected a number, found \"1e+\"");
        check_error(b"\"a", "byte 2: expected a closing quote, found the end");
        check_error(b"\"\\x\"", "byte 1: expected an escape of JSON, found \"\\\\x\\\"\"");
        check_error(b"\"\\u12g4\"", "byte 1: expected an escape of JSON, found \"\\\\u12g4\\\"\"");
        check_error(b"\"a\nb\"", "byte 2: expected an escape of a control character, found \"\\nb\\\"\"");
        check_error(b"\"\xff\"", "byte 1: expected UTF-8, found \"\u{fffd}\\\"\"");
        check_error(b"\xef\xbb\xbf1", "byte 0: expected a JSON value, found \"\\u{feff}1\"");
        let deep = "[".repeat(200);
        check_error(
            deep.as_bytes(),
            &format!("byte 128: expected at most 128 values within each other, found {:?}…", "[".repeat(40)),
        );
    }
}
