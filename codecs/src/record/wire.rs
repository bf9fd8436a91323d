//! The wire format of protobuf: a message is fields, a field is a number and one of four kinds of content. Borrows
//! everything, checks every length against the bytes there.

/// What is wrong, by its offset in the record's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    /// The feature's position, from 1.
    pub(super) column: Option<usize>,
    pub(super) expected: &'static str,
    /// What stands there; `None` for a missing value that the model does not take.
    pub(super) found: Option<String>,
}

impl Fault {
    #[cold]
    pub(super) fn new(at: usize, expected: &'static str, found: impl Into<String>) -> Box<Self> {
        Box::new(Self { at, column: None, expected, found: Some(found.into()) })
    }
}

/// Boxed, because a result of two words is returned in registers, and this is the path of every byte.
pub(super) type Outcome<T> = Result<T, Box<Fault>>;

/// The most groups within each other. Reason: passing over one recurses; the schema has none.
const GROUP_DEPTH_MAX: usize = 32;

/// A field's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    /// A string, message or packed array.
    Delimited(Message<'a>),
    /// A group, passed over.
    Group,
}

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) content: Content<'a>,
    /// Where the field starts.
    pub(super) at: usize,
}

impl<'a> Field<'a> {
    /// The content of a field that the schema says is a string or a message.
    #[inline]
    pub(super) fn delimited(self) -> Outcome<Message<'a>> {
        match self.content {
            Content::Delimited(message) => Ok(message),
            other => Err(Fault::new(self.at, "a length-delimited field", other.name())),
        }
    }
}

impl Content<'_> {
    /// What the wire format calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Varint(_) => "a varint field",
            Self::Fixed64(_) => "a 64-bit field",
            Self::Fixed32(_) => "a 32-bit field",
            Self::Delimited(_) => "a length-delimited field",
            Self::Group => "a group",
        }
    }
}

/// Bytes of a record that are read from the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) bytes: &'a [u8],
    /// Where `bytes` starts in the record's payload.
    pub(super) at: usize,
}

impl<'a> Message<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next field, `None` at the end.
    #[inline(always)]
    pub(super) fn next_field(&mut self) -> Outcome<Option<Field<'a>>> {
        /// The low bits of a tag that say length-delimited.
        const DELIMITED: u8 = 2;
        let at = self.at;
        match *self.bytes {
            [] => Ok(None),
            [tag @ 8..0x80, ref rest @ ..] if tag & 7 == DELIMITED => {
                (self.bytes, self.at) = (rest, at + 1);
                let content = Content::Delimited(self.delimited()?);
                Ok(Some(Field { number: u32::from(tag >> 3), content, at }))
            }
            _ => self.other_field().map(Some),
        }
    }

    /// A field that is not length-delimited, or has a number above 15.
    #[inline(never)]
    fn other_field(&mut self) -> Outcome<Field<'a>> {
        let at = self.at;
        let (number, wire_type) = self.tag()?;
        let content = match wire_type {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(self.fixed()?),
            2 => Content::Delimited(self.delimited()?),
            3 => self.skip_group(number, 0)?,
            5 => Content::Fixed32(self.fixed()?),
            4 => return Err(Fault::new(at, "a field", "the end of a group that has not begun")),
            other => return Err(Fault::new(at, "a wire type from 0 to 5", other.to_string())),
        };
        Ok(Field { number, content, at })
    }

    /// The next varint.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Outcome<u64> {
        match *self.bytes {
            [low @ ..0x80, ref rest @ ..] => {
                (self.bytes, self.at) = (rest, self.at + 1);
                Ok(u64::from(low))
            }
            [low, high @ ..0x80, ref rest @ ..] => {
                (self.bytes, self.at) = (rest, self.at + 2);
                Ok(u64::from(low & 0x7F) | u64::from(high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Outcome<u64> {
        let mut value = 0;
        for (position, &byte) in self.bytes.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7F) << (7 * position);
            if byte < 0x80 {
                if position == 9 && byte > 1 {
                    break;
                }
                (self.bytes, self.at) = (&self.bytes[position + 1..], self.at + position + 1);
                return Ok(value);
            }
        }
        let found = if self.bytes.len() < 10 { "the end within a varint" } else { "a longer varint" };
        Err(Fault::new(self.at, "a varint of at most 64 bits", found))
    }

    fn tag(&mut self) -> Outcome<(u32, u8)> {
        let at = self.at;
        let tag = self.varint()?;
        match u32::try_from(tag).map(|tag| (tag >> 3, (tag & 7) as u8)) {
            Ok((number, wire_type)) if number > 0 => Ok((number, wire_type)),
            _ => Err(Fault::new(at, "a field number from 1 to 536870911", (tag >> 3).to_string())),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let Some((fixed, rest)) = self.bytes.split_first_chunk() else { return Err(self.cut_off(N as u64)) };
        (self.bytes, self.at) = (rest, self.at + N);
        Ok(*fixed)
    }

    #[inline(always)]
    fn delimited(&mut self) -> Outcome<Self> {
        let length = self.varint()?;
        let split = usize::try_from(length).ok().and_then(|length| self.bytes.split_at_checked(length));
        let Some((bytes, rest)) = split else { return Err(self.cut_off(length)) };
        let message = Self { bytes, at: self.at };
        (self.bytes, self.at) = (rest, self.at + bytes.len());
        Ok(message)
    }

    #[cold]
    fn cut_off(&self, length: u64) -> Box<Fault> {
        let found = format!("{} of the {length} bytes that its length says", self.bytes.len());
        Fault::new(self.at, "a whole field", found)
    }

    fn skip_group(&mut self, number: u32, depth: usize) -> Outcome<Content<'a>> {
        if depth == GROUP_DEPTH_MAX {
            return Err(Fault::new(self.at, "at most 32 groups within each other", "more"));
        }
        while !self.bytes.is_empty() {
            let at = self.at;
            match self.tag()? {
                (_, 0) => self.varint().map(|_| ())?,
                (_, 1) => self.fixed::<8>().map(|_| ())?,
                (_, 2) => self.delimited().map(|_| ())?,
                (inner, 3) => self.skip_group(inner, depth + 1).map(|_| ())?,
                (ended, 4) if ended == number => return Ok(Content::Group),
                (_, 5) => self.fixed::<4>().map(|_| ())?,
                _ => return Err(Fault::new(at, "a field or the end of the group", "neither")),
            }
        }
        Err(Fault::new(self.at, "the end of a group", "the end of the message"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_varint(bytes: &[u8], expected: Result<u64, &str>) {
        let outcome = Message::new(bytes).varint();
        assert_eq!(outcome.map_err(|fault| fault.found.unwrap()), expected.map_err(str::to_owned));
    }

    #[test]
    fn varints() {
        check_varint(&[0], Ok(0));
        check_varint(&[0x7F], Ok(127));
        check_varint(&[0x96, 0x01], Ok(150));
        check_varint(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], Ok(u64::MAX));
        check_varint(&[0x80, 0x00], Ok(0));
        check_varint(&[], Err("the end within a varint"));
        check_varint(&[0x80; 9], Err("the end within a varint"));
        check_varint(&[0x80; 11], Err("a longer varint"));
        check_varint(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02], Err("a longer varint"));
    }

    #[test]
    fn groups_are_passed_over() {
        let mut message = Message::new(&[0x0B, 0x10, 0x01, 0x13, 0x14, 0x0C, 0x18, 0x05]);
        assert_eq!(message.next_field().unwrap().map(|field| field.content), Some(Content::Group));
        assert_eq!(message.next_field().unwrap().map(|field| field.content), Some(Content::Varint(5)));
        assert_eq!(message.next_field(), Ok(None));
        assert!(Message::new(&[0x0B; 100]).next_field().is_err());
        assert!(Message::new(&[0x0B, 0x14]).next_field().is_err());
    }
}
