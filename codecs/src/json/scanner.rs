//! A strict scanner of JSON text (RFC 8259): it moves over bytes, builds nothing, and says where it stopped and why.

use crate::number::{self, NumberError};
use crate::{DecodeError, Place, text};

/// The most arrays and objects within each other in a value that is passed over. Reason: passing over recurses, and
/// no layout of ours nests deeper than five.
const DEPTH_MAX: usize = 128;

/// The keys that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Instances,
    Features,
    Data,
    Values,
    Keys,
    Shape,
    /// Any other: its value is passed over.
    Other,
}

impl Key {
    /// A key by its raw text, which is well-formed.
    fn of(raw: &[u8]) -> Self {
        let mut room = [0; 16];
        let name = if raw.contains(&b'\\') { unescape_short(raw, &mut room) } else { raw };
        match name {
            b"instances" => Self::Instances,
            b"features" => Self::Features,
            b"data" => Self::Data,
            b"values" => Self::Values,
            b"keys" => Self::Keys,
            b"shape" => Self::Shape,
            _ => Self::Other,
        }
    }
}

/// What an escaped key spells, if it is ASCII and fits `room`; else nothing, which is no key of ours.
fn unescape_short<'r>(raw: &[u8], room: &'r mut [u8; 16]) -> &'r [u8] {
    let (mut at, mut length) = (0, 0);
    while at < raw.len() {
        let (byte, taken) = match (raw[at], raw.get(at + 1)) {
            (b'\\', Some(b'u')) => match hex4(&raw[at + 2..]).and_then(|unit| u8::try_from(unit).ok()) {
                Some(byte) => (byte, 6),
                None => return &[],
            },
            (b'\\', Some(_)) => return &[],
            (byte, _) => (byte, 1),
        };
        if length == room.len() {
            return &[];
        }
        room[length] = byte;
        length += 1;
        at += taken;
    }
    &room[..length]
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    bytes
        .first_chunk::<4>()?
        .iter()
        .try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
}

/// Where it stands in a JSON text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    /// The row and column for errors.
    pub(super) place: Place,
    /// What the end of `bytes` is called.
    end: &'static str,
}

impl<'a> Scanner<'a> {
    /// A scanner of `bytes` from `at` on, to an end of the name `end`.
    pub(super) fn new(bytes: &'a [u8], at: usize, end: &'static str) -> Self {
        Self { bytes, at, place: Place::default(), end }
    }

    /// The next byte after white space.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Moves over `byte`, after white space, if it stands there.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// Moves over `byte`, after white space.
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), DecodeError> {
        if self.take(byte) { Ok(()) } else { Err(self.refuse(expected)) }
    }

    /// Refuses anything but white space.
    pub(super) fn expect_end(&mut self) -> Result<(), DecodeError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.refuse(self.end)) }
    }

    /// Moves over `null`, if it stands here.
    pub(super) fn take_null(&mut self) -> bool {
        let is_there = self.bytes[self.at..].starts_with(b"null");
        self.at += if is_there { 4 } else { 0 };
        is_there
    }

    /// The number here.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<f32, NumberError> {
        let (value, length) = number::parse_json(&self.bytes[self.at..])?;
        self.at += length;
        Ok(value)
    }

    /// The whole number here, for keys and shapes.
    pub(super) fn whole_number(&mut self) -> Result<u64, DecodeError> {
        const EXPECTED: &str = "a whole number from 0 to 4294967295";
        self.peek();
        let rest = &self.bytes[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_whole = digits == 1 || (digits > 1 && digits <= 10 && rest[0] != b'0');
        if !is_whole || matches!(rest.get(digits), Some(b'.' | b'e' | b'E')) {
            return Err(self.refuse(EXPECTED));
        }
        let value = rest[..digits].iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        if value > u64::from(u32::MAX) {
            return Err(self.refuse(EXPECTED));
        }
        self.at += digits;
        Ok(value)
    }

    /// Moves from an array's element to the next one: false at the array's end. Before the first, `is_first` is set.
    #[inline]
    pub(super) fn next_element(&mut self, is_first: bool) -> Result<bool, DecodeError> {
        match (self.peek(), is_first) {
            (Some(b']'), _) => {
                self.at += 1;
                return Ok(false);
            }
            (_, true) => {}
            (Some(b','), false) => self.at += 1,
            (_, false) => return Err(self.refuse("',' or ']'")),
        }
        self.peek();
        Ok(true)
    }

    /// Moves to the value of an object's next member: none at the object's end. Before the first, `is_first` is set.
    pub(super) fn next_key(&mut self, is_first: bool) -> Result<Option<Key>, DecodeError> {
        if self.take(b'}') {
            return Ok(None);
        }
        if !is_first {
            self.expect(b',', "',' or '}'")?;
        }
        if self.peek() != Some(b'"') {
            return Err(self.refuse(if is_first { "a key in quotes or '}'" } else { "a key in quotes" }));
        }
        let key = Key::of(self.string()?);
        self.expect(b':', "':'")?;
        self.peek();
        Ok(Some(key))
    }

    /// Passes over the value here, whatever it is, if it is well-formed.
    pub(super) fn skip_value(&mut self) -> Result<(), DecodeError> {
        self.skip_nested(0)
    }

    fn skip_nested(&mut self, depth: usize) -> Result<(), DecodeError> {
        if depth == DEPTH_MAX {
            return Err(self.refuse("at most 128 values within each other"));
        }
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.skip_number(),
            Some(b'[') => {
                self.at += 1;
                let mut is_first = true;
                while self.next_element(is_first)? {
                    self.skip_nested(depth + 1)?;
                    is_first = false;
                }
                Ok(())
            }
            Some(b'{') => {
                self.at += 1;
                let mut is_first = true;
                while self.next_key(is_first)?.is_some() {
                    self.skip_nested(depth + 1)?;
                    is_first = false;
                }
                Ok(())
            }
            _ => self.skip_word(),
        }
    }

    fn skip_word(&mut self) -> Result<(), DecodeError> {
        let rest = &self.bytes[self.at..];
        match [&b"null"[..], b"true", b"false"].into_iter().find(|word| rest.starts_with(word)) {
            Some(word) => self.at += word.len(),
            None => return Err(self.refuse("a JSON value")),
        }
        Ok(())
    }

    /// Passes over a number of any size.
    fn skip_number(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        self.at += usize::from(self.bytes[self.at] == b'-');
        let whole = self.skip_digits();
        let is_whole = whole == 1 || (whole > 1 && self.bytes[self.at - whole] != b'0');
        let is_fraction = !self.take_if(|byte| byte == b'.') || self.skip_digits() > 0;
        let is_exponent = !self.take_if(|byte| matches!(byte, b'e' | b'E')) || {
            self.take_if(|byte| matches!(byte, b'+' | b'-'));
            self.skip_digits() > 0
        };
        if is_whole && is_fraction && is_exponent {
            return Ok(());
        }
        self.at = start;
        Err(self.refuse("a number"))
    }

    fn skip_digits(&mut self) -> usize {
        let digits = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        digits
    }

    fn take_if(&mut self, is_wanted: impl FnOnce(u8) -> bool) -> bool {
        let is_there = self.bytes.get(self.at).is_some_and(|&byte| is_wanted(byte));
        self.at += usize::from(is_there);
        is_there
    }

    /// Moves over the string here, checked, and gives its raw text, escapes included.
    fn string(&mut self) -> Result<&'a [u8], DecodeError> {
        self.at += 1;
        let (bytes, start) = (self.bytes, self.at);
        let mut is_ascii = true;
        loop {
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..=0x1F) => return Err(self.refuse("an escape of a control character")),
                Some(&byte) => {
                    is_ascii &= byte.is_ascii();
                    self.at += 1;
                }
                None => return Err(self.refuse("a closing quote")),
            }
        }
        let raw = &bytes[start..self.at];
        if let (false, Err(error)) = (is_ascii, std::str::from_utf8(raw)) {
            self.at = start + error.valid_up_to();
            return Err(self.refuse("UTF-8"));
        }
        self.at += 1;
        Ok(raw)
    }

    /// Moves over one escape; a surrogate must have its pair.
    fn escape(&mut self) -> Result<(), DecodeError> {
        let rest = &self.bytes[self.at + 1..];
        let length = match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => match (hex4(&rest[1..]), rest.get(5..7)) {
                (Some(0xD800..=0xDBFF), Some(br"\u")) => match hex4(&rest[7..]) {
                    Some(0xDC00..=0xDFFF) => 12,
                    _ => return Err(self.refuse("the second half of a surrogate pair")),
                },
                (Some(0xD800..=0xDFFF), _) => return Err(self.refuse("a surrogate pair")),
                (Some(_), _) => 6,
                (None, _) => return Err(self.refuse("four hexadecimal digits after \\u")),
            },
            _ => return Err(self.refuse("an escape of JSON")),
        };
        self.at += length;
        Ok(())
    }

    /// A refusal of what stands here.
    #[cold]
    pub(super) fn refuse(&self, expected: &'static str) -> DecodeError {
        let place = Place { byte: Some(self.at), ..self.place };
        DecodeError::malformed(place, expected, self.found())
    }

    /// What stands here, in words.
    fn found(&self) -> String {
        let rest = &self.bytes[self.at..];
        match rest.first() {
            None => self.end.to_owned(),
            Some(b'{') => "an object".to_owned(),
            Some(b'[') => "an array".to_owned(),
            Some(b'"') => {
                let length = rest[1..].iter().position(|&byte| byte == b'"').unwrap_or(rest.len() - 1);
                format!("the string {}", text::found(&rest[1..=length]))
            }
            Some(_) => {
                let length =
                    rest.iter().position(|byte| b" \t\r\n,:[]{}\"".contains(byte)).unwrap_or(rest.len());
                text::found(&rest[..length.max(1)])
            }
        }
    }
}
