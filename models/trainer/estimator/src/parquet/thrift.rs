//! Thrift's compact protocol, as far as Parquet's metadata need it: bytes to a tree of values.

/// The deepest nesting. Reason: Parquet's metadata are six levels deep.
const DEPTH_MAX: usize = 16;

/// A value of the protocol.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Bool(bool),
    Int(i64),
    /// A floating-point number, which no field that is read here is.
    Double,
    Bytes(&'a [u8]),
    /// Also sets.
    List(Vec<Value<'a>>),
    Struct(Vec<(i16, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The field `id` of a struct.
    pub(super) fn field(&self, id: i16) -> Option<&Self> {
        match self {
            Self::Struct(fields) => fields.iter().find(|(known, _)| *known == id).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The whole number in field `id`.
    pub(super) fn int(&self, id: i16) -> Option<i64> {
        match self.field(id) {
            Some(Self::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// The elements of the list in field `id`.
    pub(super) fn list(&self, id: i16) -> Option<&[Value<'a>]> {
        match self.field(id) {
            Some(Self::List(values)) => Some(values),
            _ => None,
        }
    }

    /// The text in field `id`.
    pub(super) fn text(&self, id: i16) -> Option<String> {
        match self.field(id) {
            Some(Self::Bytes(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }
}

/// Reads the struct that `bytes` begin with: it, and how long it is.
pub(super) fn read(bytes: &[u8]) -> Result<(Value<'_>, usize), String> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.structure(0)?;
    Ok((value, reader.at))
}

/// The unsigned number of variable length at `*at`, which moves behind it.
pub(super) fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or("expected a number, found the end")?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("expected a number of at most 10 bytes, found a longer one".into())
}

/// A number whose sign is its lowest bit.
pub(super) fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("expected {count} bytes at {}, found the end", self.at))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn int(&mut self) -> Result<i64, String> {
        Ok(zigzag(varint(self.bytes, &mut self.at)?))
    }

    fn structure(&mut self, depth: usize) -> Result<Value<'a>, String> {
        if depth > DEPTH_MAX {
            return Err(format!("expected at most {DEPTH_MAX} levels, found more"));
        }
        let (mut fields, mut last) = (Vec::new(), 0_i16);
        loop {
            let head = self.byte()?;
            let (delta, kind) = (head >> 4, head & 15);
            if kind == 0 {
                return Ok(Value::Struct(fields));
            }
            last = match delta {
                0 => self.int()? as i16,
                delta => last.wrapping_add(i16::from(delta)),
            };
            // A truth value stands in the head of its field.
            let value = match kind {
                1 | 2 => Value::Bool(kind == 1),
                kind => self.value(kind, depth + 1)?,
            };
            fields.push((last, value));
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<Value<'a>, String> {
        match kind {
            1 | 2 => Ok(Value::Bool(self.byte()? == 1)),
            3 => Ok(Value::Int(i64::from(self.byte()? as i8))),
            4..=6 => Ok(Value::Int(self.int()?)),
            7 => self.take(8).map(|_| Value::Double),
            8 => {
                let count = varint(self.bytes, &mut self.at)?;
                Ok(Value::Bytes(self.take(usize::try_from(count).unwrap_or(usize::MAX))?))
            }
            9 | 10 => self.elements(depth),
            12 => self.structure(depth),
            kind => Err(format!("expected a field, found one of the unknown type {kind} at {}", self.at)),
        }
    }

    fn elements(&mut self, depth: usize) -> Result<Value<'a>, String> {
        if depth > DEPTH_MAX {
            return Err(format!("expected at most {DEPTH_MAX} levels, found more"));
        }
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => varint(self.bytes, &mut self.at)?,
            count => u64::from(count),
        };
        // Every element has a byte at least.
        if count > (self.bytes.len() - self.at) as u64 {
            return Err(format!("expected a list, found one of {count} elements in fewer bytes"));
        }
        (0..count).map(|_| self.value(head & 15, depth + 1)).collect::<Result<_, _>>().map(Value::List)
    }
}
