//! JSON as XGBoost writes it, as a serde data format: strict RFC 8259 plus the three tokens `NaN`, `Infinity` and
//! `-Infinity`, which XGBoost prints for floats that have no decimal (the threshold of a categorical split, for one).
//!
//! Not serde_json, for two reasons: it refuses those tokens, and it rounds a decimal to f64 before f32. Here a number
//! wanted as f32 is parsed once, correctly rounded, so a model reads back to the bits that were trained.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::syntax::{DEPTH_MAX, SyntaxError};

type Result<T> = std::result::Result<T, SyntaxError>;

/// Reads one JSON value that takes all of `bytes`.
///
/// # Errors
/// When it is not JSON or not a `T`; the message ends with the byte offset.
pub(super) fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> std::result::Result<T, String> {
    let mut reader = Reader { bytes, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| format!("JSON: {error} (at byte {})", reader.at))
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is not white space, not consumed.
    fn token(&mut self) -> Result<u8> {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ => return Ok(byte),
            }
        }
        Err(SyntaxError::new("expected a value, found the end of the file"))
    }

    fn end(&mut self) -> Result<()> {
        match self.token() {
            Ok(byte) => Err(unexpected("the end of the file", byte)),
            Err(_) => Ok(()),
        }
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        let found = self.token()?;
        if found != byte {
            return Err(unexpected(&format!("{:?}", char::from(byte)), found));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<()> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(SyntaxError::new(format!("expected {word:?}, found another word")));
        }
        self.at += word.len();
        Ok(())
    }

    fn enter(&mut self) -> Result<()> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SyntaxError::new(format!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(())
    }

    /// The text of one number by JSON's grammar, and whether it is an integer.
    fn number(&mut self) -> Result<(&'de str, bool)> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading = self.peek();
        let digits = self.digits()?;
        if leading == Some(b'0') && digits > 1 {
            return Err(SyntaxError::new("a number starts with a needless zero"));
        }
        let mut is_integer = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            is_integer = false;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            is_integer = false;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).expect("digits and signs are ASCII");
        Ok((text, is_integer))
    }

    fn digits(&mut self) -> Result<usize> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.at - start {
            0 => Err(match self.peek() {
                Some(byte) => unexpected("a digit", byte),
                None => SyntaxError::new("expected a digit, found the end of the file"),
            }),
            count => Ok(count),
        }
    }

    /// `NaN`, `Infinity` or `-Infinity`, when one of them is next.
    fn special(&mut self) -> Result<Option<f32>> {
        let (word, value) = match (self.token()?, self.bytes.get(self.at + 1)) {
            (b'N', _) => ("NaN", f32::NAN),
            (b'I', _) => ("Infinity", f32::INFINITY),
            (b'-', Some(b'I')) => ("-Infinity", f32::NEG_INFINITY),
            _ => return Ok(None),
        };
        self.word(word)?;
        Ok(Some(value))
    }

    fn float(&mut self) -> Result<f32> {
        if let Some(value) = self.special()? {
            return Ok(value);
        }
        let (text, _) = self.number()?;
        let value: f32 = text.parse().map_err(|_| SyntaxError::new(format!("{text} is not a number")))?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(SyntaxError::new(format!("{text} is beyond the range of float32")))
        }
    }

    fn visit_number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if let Some(value) = self.special()? {
            return visitor.visit_f32(value);
        }
        let (text, is_integer) = self.number()?;
        let too_large = || SyntaxError::new(format!("{text} is out of range"));
        // An integer has no negative zero.
        if is_integer && text != "-0" {
            visitor.visit_i64(text.parse().map_err(|_| too_large())?)
        } else {
            let value: f64 = text.parse().map_err(|_| too_large())?;
            if value.is_finite() { visitor.visit_f64(value) } else { Err(too_large()) }
        }
    }

    fn visit_string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let text = utf8(&self.bytes[start..self.at])?;
                    self.at += 1;
                    return visitor.visit_borrowed_str(text);
                }
                Some(b'\\') => return visitor.visit_string(self.escaped(start)?),
                other => self.plain(other)?,
            }
        }
    }

    /// Steps over one byte that stands for itself in a string.
    fn plain(&mut self, byte: Option<u8>) -> Result<()> {
        match byte {
            None => Err(SyntaxError::new("expected '\"', found the end of the file")),
            Some(0..=0x1f) => Err(SyntaxError::new("a control character in a string is not escaped")),
            Some(_) => {
                self.at += 1;
                Ok(())
            }
        }
    }

    /// The rest of a string whose first escape is next.
    fn escaped(&mut self, start: usize) -> Result<String> {
        let mut text = utf8(&self.bytes[start..self.at])?.to_owned();
        let mut run = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    text.push_str(utf8(&self.bytes[run..self.at])?);
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.push_str(utf8(&self.bytes[run..self.at])?);
                    self.at += 1;
                    text.push(self.escape()?);
                    run = self.at;
                }
                other => self.plain(other)?,
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let byte = self.peek().ok_or_else(|| SyntaxError::new("an escape is cut short"))?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(unexpected("an escape", byte)),
        })
    }

    fn unicode(&mut self) -> Result<char> {
        let unit = self.hex4()?;
        let lone = || SyntaxError::new("half of a surrogate pair in a string");
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit).ok_or_else(lone);
        }
        if !self.bytes[self.at..].starts_with(b"\\u") {
            return Err(lone());
        }
        self.at += 2;
        let low = self.hex4()?.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or_else(lone)?;
        char::from_u32(0x10000 + ((unit - 0xd800) << 10) + low).ok_or_else(lone)
    }

    fn hex4(&mut self) -> Result<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| SyntaxError::new("expected four hexadecimal digits"))?;
            self.at += 1;
        }
        Ok(unit)
    }
}

fn unexpected(wanted: &str, found: u8) -> SyntaxError {
    SyntaxError::new(format!("expected {wanted}, found {:?}", char::from(found)))
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| SyntaxError::new("a string is not UTF-8"))
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = SyntaxError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.token()? {
            b'"' => self.visit_string(visitor),
            b'[' => {
                self.enter()?;
                let value = visitor.visit_seq(Members { reader: self, is_first: true })?;
                self.expect(b']')?;
                self.depth -= 1;
                Ok(value)
            }
            b'{' => {
                self.enter()?;
                let value = visitor.visit_map(Members { reader: self, is_first: true })?;
                self.expect(b'}')?;
                self.depth -= 1;
                Ok(value)
            }
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            b'-' | b'0'..=b'9' | b'N' | b'I' => self.visit_number(visitor),
            other => Err(unexpected("a value", other)),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.token()? {
            b'-' | b'0'..=b'9' | b'N' | b'I' => visitor.visit_f32(self.float()?),
            _ => self.deserialize_any(visitor),
        }
    }

    /// Checks a number without working it out: half of a tree's arrays are of no use to a prediction.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.token()? {
            b'-' | b'0'..=b'9' | b'N' | b'I' => {
                if self.special()?.is_none() {
                    self.number()?;
                }
                visitor.visit_unit()
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.token()? == b'n' {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// The members of an array or object, the opening bracket read, the closing one left.
struct Members<'a, 'de> {
    reader: &'a mut Reader<'de>,
    is_first: bool,
}

impl Members<'_, '_> {
    /// Whether another member follows; steps over the comma before it.
    fn advance(&mut self, close: u8) -> Result<bool> {
        let next = self.reader.token()?;
        if self.is_first {
            self.is_first = false;
            return Ok(next != close);
        }
        match next {
            b',' => {
                self.reader.at += 1;
                Ok(true)
            }
            _ if next == close => Ok(false),
            _ => Err(unexpected(&format!("',' or {:?}", char::from(close)), next)),
        }
    }
}

impl<'de> SeqAccess<'de> for Members<'_, 'de> {
    type Error = SyntaxError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.advance(b']')? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = SyntaxError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.advance(b'}')? {
            return Ok(None);
        }
        match self.reader.token()? {
            b'"' => seed.deserialize(&mut *self.reader).map(Some),
            other => Err(unexpected("a key in quotes", other)),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

/// Whether `bytes` are JSON of any shape.
///
/// # Errors
/// As [`from_slice`].
pub(super) fn check(bytes: &[u8]) -> std::result::Result<(), String> {
    from_slice::<IgnoredAny>(bytes).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_floats(text: &str, expected: &[f32]) {
        let found: Vec<f32> = from_slice(text.as_bytes()).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&found), bits(expected), "{text}");
    }

    fn check_text(text: &str, expected: &str) {
        assert_eq!(from_slice::<String>(text.as_bytes()).unwrap(), expected);
    }

    fn check_refused(text: &str, expected: &str) {
        let error = from_slice::<IgnoredAny>(text.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }

    #[test]
    fn floats_are_rounded_once() {
        check_floats("[5E-1,-1.25,3,-0,1e-40 , 7E+2]", &[0.5, -1.25, 3.0, -0.0, 1e-40, 700.0]);
        check_floats("[NaN,Infinity,-Infinity]", &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
        // Just above the middle of two f32: through f64 it would round to even, downwards.
        check_floats("[1.00000005960464477540]", &[1.000_000_1]);
        check_floats(" [ ] ", &[]);
    }

    #[test]
    fn strings_keep_their_text() {
        check_text(r#""gr\u00f6\u00dfe""#, "größe");
        check_text(r#""\ud83c\udf33 \n\t\"\\\/""#, "🌳 \n\t\"\\/");
        check_text("\"長さ\"", "長さ");
    }

    #[test]
    fn only_json_is_read() {
        check_refused("[1,]", "expected a value");
        check_refused("[01]", "needless zero");
        check_refused("[+1]", "expected a value");
        check_refused("[.5]", "expected a value");
        check_refused("[1.]", "expected a digit");
        check_refused("{\"a\":1,}", "expected a key");
        check_refused("{a:1}", "expected a key");
        check_refused("[1 2]", "expected ',' or ']'");
        check_refused("{} {}", "expected the end");
        check_refused("[\"\u{1}\"]", "control character");
        check_refused(r#"["\ud800"]"#, "surrogate");
        check_refused(r#"["\x"]"#, "expected an escape");
        check_refused("[nan]", "expected \"null\"");
        check_refused("", "found the end");
        check_refused(&"[".repeat(100_000), "nested deeper");
        assert!(from_slice::<Vec<f32>>(b"[1e39]").unwrap_err().contains("beyond the range"));
        assert!(from_slice::<Vec<i32>>(b"[99999999999]").unwrap_err().contains("99999999999"));
        assert!(from_slice::<String>(b"\"\xff\"").unwrap_err().contains("UTF-8"));
    }
    /// Numbers as null: serde_json's default reading of a decimal may be off by one unit in the last place.
    fn without_numbers(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Number(_) => serde_json::Value::Null,
            serde_json::Value::Array(items) => items.into_iter().map(without_numbers).collect(),
            serde_json::Value::Object(members) => {
                members.into_iter().map(|(name, value)| (name, without_numbers(value))).collect()
            }
            other => other,
        }
    }

    /// serde_json is the oracle of the grammar: the same texts are JSON to both.
    #[test]
    fn damaged_texts_are_judged_as_serde_json_judges_them() {
        let seeds = [
            r#"{"a":[1,-2.5e-3,true,false,null,"x\u00e9\n"],"b":{"c":[]}}"#,
            r#" [ 0, 10.0E+2 , {"k" : "\ud83c\udf33"} , -0 ] "#,
        ];
        let alphabet: Vec<char> = "{}[]\":,01-+.eE \n\\utrfalsndé".chars().collect();
        let mut random = fastrand::Rng::with_seed(23);
        let mut accepted = 0;
        for round in 0..40_000 {
            let mut text: Vec<char> = seeds[round % seeds.len()].chars().collect();
            for _ in 0..random.usize(1..3) {
                let place = random.usize(..text.len());
                match random.u8(..3) {
                    0 => text[place] = alphabet[random.usize(..alphabet.len())],
                    1 => text.insert(place, alphabet[random.usize(..alphabet.len())]),
                    _ => drop(text.remove(place)),
                }
            }
            let text: String = text.into_iter().collect();
            let oracle = serde_json::from_str::<serde_json::Value>(&text).ok().map(without_numbers);
            let found = from_slice::<serde_json::Value>(text.as_bytes()).ok().map(without_numbers);
            accepted += usize::from(found.is_some());
            assert_eq!(found, oracle, "{text}");
        }
        assert!(accepted > 1000, "{accepted} of the texts are JSON");
    }
}
