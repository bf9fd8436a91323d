//! UBJSON (draft 12) as XGBoost writes it since 1.6, as a serde data format: big-endian numbers, arrays that state
//! their type and length. The same structures read from it as from [`super::json`].
//!
//! A stated length is checked against the bytes that are left before anything is allocated.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::syntax::{DEPTH_MAX, SyntaxError};

type Result<T> = std::result::Result<T, SyntaxError>;

/// Reads one UBJSON value that takes all of `bytes`.
///
/// # Errors
/// When it is not UBJSON or not a `T`; the message ends with the byte offset.
pub(super) fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> std::result::Result<T, String> {
    let mut reader = Reader { bytes, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| format!("UBJSON: {error} (at byte {})", reader.at))
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8]> {
        if count > self.remaining() {
            return Err(SyntaxError::new(format!("expected {count} more bytes, found {}", self.remaining())));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take gives what was asked"))
    }

    fn marker(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn end(&self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(SyntaxError::new(format!("expected the end of the file, found {count} more bytes"))),
        }
    }

    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SyntaxError::new(format!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(())
    }

    fn integer(&mut self, marker: u8) -> Result<Option<i64>> {
        Ok(Some(match marker {
            b'i' => i8::from_be_bytes(self.array()?).into(),
            b'U' | b'C' => u8::from_be_bytes(self.array()?).into(),
            b'I' => i16::from_be_bytes(self.array()?).into(),
            b'l' => i32::from_be_bytes(self.array()?).into(),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Ok(None),
        }))
    }

    /// A length: an integer with its marker.
    fn length(&mut self) -> Result<usize> {
        let marker = self.marker()?;
        let length = self.integer(marker)?.ok_or_else(|| unexpected("a length", marker))?;
        usize::try_from(length).map_err(|_| SyntaxError::new(format!("{length} is not a length")))
    }

    /// A string without its marker, as keys are.
    fn text(&mut self) -> Result<&'de str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| SyntaxError::new("a string is not UTF-8"))
    }

    fn visit<V: Visitor<'de>>(&mut self, marker: u8, visitor: V) -> Result<V::Value> {
        match marker {
            b'd' => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'i' | b'U' | b'C' | b'I' | b'l' | b'L' => {
                visitor.visit_i64(self.integer(marker)?.expect("these are the integer markers"))
            }
            b'S' => visitor.visit_borrowed_str(self.text()?),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'Z' => visitor.visit_unit(),
            b'[' => self.visit_array(visitor),
            b'{' => self.visit_object(visitor),
            other => Err(unexpected("a value", other)),
        }
    }

    fn visit_array<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.enter()?;
        let mut elements = Elements::open(self)?;
        let is_counted = elements.left.is_some();
        let value = visitor.visit_seq(&mut elements)?;
        if elements.left.is_some_and(|left| left > 0) {
            return Err(SyntaxError::new("an array is longer than expected"));
        }
        if !is_counted {
            let close = self.marker()?;
            if close != b']' {
                return Err(unexpected("']'", close));
            }
        }
        self.depth -= 1;
        Ok(value)
    }

    fn visit_object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.enter()?;
        let value = visitor.visit_map(Entries { reader: self })?;
        let close = self.marker()?;
        if close != b'}' {
            return Err(unexpected("'}'", close));
        }
        self.depth -= 1;
        Ok(value)
    }
}

fn unexpected(wanted: &str, found: u8) -> SyntaxError {
    SyntaxError::new(format!("expected {wanted}, found the marker {:?}", char::from(found)))
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = SyntaxError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let marker = self.marker()?;
        self.visit(marker, visitor)
    }

    /// Steps over an array of numbers at once: half of a tree's arrays are of no use to a prediction.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if !self.bytes[self.at..].starts_with(b"[$") {
            return self.deserialize_any(visitor);
        }
        self.at += 1;
        let Elements { marker, left, .. } = Elements::open(self)?;
        let size = marker.and_then(fixed_size).expect("open gave an array with a type");
        self.take(left.expect("open gave an array with a length") * size)?;
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.peek() == Some(b'Z') {
            self.at += 1;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// One element of an array whose type was stated once.
struct Typed<'a, 'de> {
    reader: &'a mut Reader<'de>,
    marker: u8,
}

impl<'de> Deserializer<'de> for Typed<'_, 'de> {
    type Error = SyntaxError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.visit(self.marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// The elements of an array: `$ type # count`, `# count`, or up to `]`.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    marker: Option<u8>,
    left: Option<usize>,
}

impl<'a, 'de> Elements<'a, 'de> {
    fn open(reader: &'a mut Reader<'de>) -> Result<Self> {
        let mut marker = None;
        let mut element_bytes = 1;
        if reader.peek() == Some(b'$') {
            reader.at += 1;
            let stated = reader.marker()?;
            element_bytes = fixed_size(stated).ok_or_else(|| unexpected("the type of an array", stated))?;
            if reader.peek() != Some(b'#') {
                return Err(SyntaxError::new("an array states its type without its length"));
            }
            marker = Some(stated);
        }
        let mut left = None;
        if reader.peek() == Some(b'#') {
            reader.at += 1;
            let count = reader.length()?;
            if count.checked_mul(element_bytes).is_none_or(|bytes| bytes > reader.remaining()) {
                let remaining = reader.remaining();
                return Err(SyntaxError::new(format!(
                    "an array states {count} elements, {remaining} bytes are left"
                )));
            }
            left = Some(count);
        }
        Ok(Self { reader, marker, left })
    }
}

/// Bytes of one element of a typed array; only numbers are XGBoost's.
fn fixed_size(marker: u8) -> Option<usize> {
    match marker {
        b'i' | b'U' => Some(1),
        b'I' => Some(2),
        b'l' | b'd' => Some(4),
        b'L' | b'D' => Some(8),
        _ => None,
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = SyntaxError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        match &mut self.left {
            Some(0) => return Ok(None),
            Some(left) => *left -= 1,
            None if self.reader.peek() == Some(b']') => return Ok(None),
            None => {}
        }
        match self.marker {
            Some(marker) => seed.deserialize(Typed { reader: self.reader, marker }).map(Some),
            None => seed.deserialize(&mut *self.reader).map(Some),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

/// The entries of an object, up to its `}`.
struct Entries<'a, 'de> {
    reader: &'a mut Reader<'de>,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = SyntaxError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if self.reader.peek() == Some(b'}') {
            return Ok(None);
        }
        let key = self.reader.text()?;
        seed.deserialize(serde::de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(&mut *self.reader)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    fn check<T: for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug>(bytes: &[u8], expected: &T) {
        assert_eq!(from_slice::<T>(bytes).unwrap(), *expected);
    }

    fn check_refused(bytes: &[u8], expected: &str) {
        let error = from_slice::<IgnoredAny>(bytes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn every_array_form_is_read() {
        check(b"[$d#U\x02\x3f\x00\x00\x00\xbf\x80\x00\x00", &vec![0.5f32, -1.0]);
        check(b"[#i\x02U\x07l\xff\xff\xff\xff", &vec![7i32, -1]);
        check(b"[I\x01\x00L\x00\x00\x00\x00\x00\x00\x00\x05]", &vec![256i32, 5]);
        check(b"[$U#L\x00\x00\x00\x00\x00\x00\x00\x00", &Vec::<u8>::new());
        check(b"[TF]", &vec![true, false]);
        check(b"{U\x01aSU\x02hi}", &std::collections::BTreeMap::from([("a".to_owned(), "hi".to_owned())]));
    }

    #[test]
    fn lengths_are_held_to_the_bytes() {
        check_refused(b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff", "states 9223372036854775807 elements");
        check_refused(b"[#L\x00\x00\x00\x00\x7f\xff\xff\xff", "states 2147483647 elements");
        check_refused(b"[#i\xff", "-1 is not a length");
        check_refused(b"SL\x00\x00\x00\x01\x00\x00\x00\x00", "expected 4294967296 more bytes");
        check_refused(b"[$d]", "without its length");
        check_refused(b"[$[#U\x01", "type of an array");
        check_refused(b"H", "found the marker 'H'");
        check_refused(b"ZZ", "expected the end");
        check_refused(&[b'['; 100_000], "nested deeper");
        check_refused(b"SU\x01\xff", "UTF-8");
    }
}
