//! The pickle machine, protocols 0 to 5, restricted: it builds [`Value`]s and knows no other effect. There is no lookup,
//! no call and no import behind any opcode; an opcode or a name that a pickled Booster does not need is refused.
//!
//! Values live in an arena and are shared by index, so that a pickle that refers to one value a million times, or to
//! itself, costs an index each time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use super::value::{Global, Id, Value};

/// Most values a pickle may build, and most it may remember. A Booster's has a few and one for each feature's name and
/// type; at this limit they take some 60 MB.
const VALUES_MAX: usize = 1 << 20;
/// Deepest stack, marks included: a list of feature names stands on it in batches of 1,000.
const STACK_MAX: usize = 1 << 16;
/// Bytes that `encode` may copy, as a multiple of the pickle's size: a protocol 2 Booster encodes itself once.
const COPIED_MULTIPLE_MAX: usize = 4;
/// Longest decimal number in the text opcodes.
const NUMBER_BYTES_MAX: usize = 64;

/// What a pickle built, and which value it is of.
pub(super) struct Pickle<'a> {
    pub(super) values: Vec<Value<'a>>,
    pub(super) top: Id,
}

/// Runs the pickle that takes all of `bytes`.
///
/// # Errors
/// The opcode or name that is refused, with its byte offset.
pub(super) fn run(bytes: &[u8]) -> Result<Pickle<'_>, String> {
    let mut machine =
        Machine { bytes, at: 0, values: Vec::new(), stack: Vec::new(), memo: HashMap::new(), copied: 0 };
    loop {
        let start = machine.at;
        let step = machine.step().map_err(|reason| format!("pickle: {reason} (at byte {start})"))?;
        if let Some(top) = step {
            return Ok(Pickle { values: machine.values, top });
        }
    }
}

/// An entry of the stack.
#[derive(Clone, Copy)]
enum Entry {
    Mark,
    Value(Id),
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Entry>,
    memo: HashMap<u64, Id>,
    copied: usize,
}

type Step<T = ()> = Result<T, String>;

impl<'a> Machine<'a> {
    /// One opcode; the top of the stack when it was STOP.
    fn step(&mut self) -> Step<Option<Id>> {
        let opcode = self.take(1)?[0];
        match opcode {
            b'.' => return self.stop().map(Some),
            0x80 => self.protocol()?,
            0x95 => drop(self.take(8)?),
            b'(' => self.push_entry(Entry::Mark)?,
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'N' | 0x88 | 0x89 | b'I' | b'J' | b'K' | b'M' | b'L' | 0x8a | b'F' | b'G' => {
                self.push_number(opcode)?;
            }
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d => self.push_text(opcode)?,
            b'B' | b'C' | 0x8e | 0x96 => self.push_bytes(opcode)?,
            b')' | b't' | 0x85..=0x87 => self.push_tuple(opcode)?,
            b']' | b'l' | b'a' | b'e' => self.list(opcode)?,
            b'}' | b'd' | b's' | b'u' => self.dict(opcode)?,
            b'p' | b'q' | b'r' | 0x94 => self.remember(opcode)?,
            b'g' | b'h' | b'j' => self.recall(opcode)?,
            b'c' | 0x93 => self.global(opcode)?,
            b'R' => self.reduce()?,
            0x81 => self.new_object()?,
            b'b' => self.build()?,
            other => return Err(format!("the opcode 0x{other:02x} is not one a pickled Booster needs")),
        }
        Ok(None)
    }

    fn stop(&mut self) -> Step<Id> {
        let top = self.pop()?;
        match (self.stack.len(), self.bytes.len() - self.at) {
            (0, 0) => Ok(top),
            (0, left) => Err(format!("expected the end after the pickle, found {left} more bytes")),
            (left, _) => Err(format!("the pickle ends with {left} values unused")),
        }
    }

    fn protocol(&mut self) -> Step {
        match self.take(1)?[0] {
            0..=5 => Ok(()),
            other => Err(format!("expected a protocol from 0 to 5, found {other}")),
        }
    }

    // Bytes.

    fn take(&mut self, count: usize) -> Step<&'a [u8]> {
        let left = self.bytes.len() - self.at;
        if count > left {
            return Err(format!("expected {count} more bytes, found {left}"));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// A little-endian length of `width` bytes.
    fn length(&mut self, width: usize) -> Step<usize> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "a length is too long".into())
    }

    fn sized(&mut self, width: usize) -> Step<&'a [u8]> {
        let length = self.length(width)?;
        self.take(length)
    }

    /// Up to the next newline, which is consumed.
    fn line(&mut self) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let length =
            rest.iter().position(|byte| *byte == b'\n').ok_or("expected a newline, found the end")?;
        self.at += length + 1;
        Ok(&rest[..length])
    }

    fn number_line(&mut self) -> Step<&'a str> {
        let line = self.line()?;
        let text = std::str::from_utf8(line).ok().filter(|text| text.len() <= NUMBER_BYTES_MAX);
        text.ok_or_else(|| "expected a number, found other bytes".into())
    }

    // The stack.

    fn push_entry(&mut self, entry: Entry) -> Step {
        if self.stack.len() >= STACK_MAX {
            return Err(format!("the stack is deeper than {STACK_MAX}"));
        }
        self.stack.push(entry);
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) -> Step {
        if self.values.len() >= VALUES_MAX {
            return Err(format!("the pickle has more than {VALUES_MAX} values"));
        }
        self.values.push(value);
        self.push_entry(Entry::Value((self.values.len() - 1) as Id))
    }

    fn pop(&mut self) -> Step<Id> {
        match self.stack.pop() {
            Some(Entry::Value(id)) => Ok(id),
            Some(Entry::Mark) => Err("expected a value on the stack, found a mark".into()),
            None => Err("expected a value on the stack, found none".into()),
        }
    }

    fn top(&self) -> Step<Id> {
        match self.stack.last() {
            Some(Entry::Value(id)) => Ok(*id),
            _ => Err("expected a value on the stack, found none".into()),
        }
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.stack.iter().rposition(|entry| matches!(entry, Entry::Mark));
        let mark = mark.ok_or("expected a mark on the stack, found none")?;
        let above = self.stack.drain(mark..).skip(1);
        Ok(above
            .map(|entry| if let Entry::Value(id) = entry { id } else { unreachable!("the last mark") })
            .collect())
    }

    fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id as usize]
    }

    // Plain values.

    fn push_number(&mut self, opcode: u8) -> Step {
        let value = match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(self.take(4)?.try_into().expect("four bytes")).into()),
            b'K' => Value::Int(self.take(1)?[0].into()),
            b'M' => Value::Int(u16::from_le_bytes(self.take(2)?.try_into().expect("two bytes")).into()),
            b'G' => Value::Float(f64::from_be_bytes(self.take(8)?.try_into().expect("eight bytes"))),
            b'F' => {
                Value::Float(self.number_line()?.parse().map_err(|_| "expected a float, found other text")?)
            }
            0x8a => Value::Int(small_integer(self.sized(1)?)?),
            _ => match self.number_line()? {
                "00" if opcode == b'I' => Value::Bool(false),
                "01" if opcode == b'I' => Value::Bool(true),
                text => {
                    let text = text.strip_suffix('L').unwrap_or(text);
                    Value::Int(
                        text.parse().map_err(|_| "expected a whole number of 64 bits, found other text")?,
                    )
                }
            },
        };
        self.push(value)
    }

    fn push_text(&mut self, opcode: u8) -> Step {
        let bytes = match opcode {
            b'V' => return self.push_unicode_line(),
            b'S' => return self.push_quoted_line(),
            b'U' | 0x8c => self.sized(1)?,
            b'T' | b'X' => self.sized(4)?,
            _ => self.sized(8)?,
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => self.push(Value::Text(Rc::new(Cow::Borrowed(text)))),
            // Python 2's str is bytes.
            Err(_) if matches!(opcode, b'T' | b'U') => self.push(Value::Bytes(Rc::new(Cow::Borrowed(bytes)))),
            Err(_) => Err("a text is not UTF-8".into()),
        }
    }

    /// The text of protocol 0: Latin-1, with `\uXXXX` for what is not and for newlines and backslashes.
    fn push_unicode_line(&mut self) -> Step {
        let line = self.line()?;
        let mut text = String::with_capacity(line.len());
        let mut rest = line;
        while let [first, tail @ ..] = rest {
            let digits = match (first, tail.first()) {
                (b'\\', Some(b'u')) => 4,
                (b'\\', Some(b'U')) => 8,
                _ => {
                    text.push(char::from(*first));
                    rest = tail;
                    continue;
                }
            };
            let code = tail.get(1..=digits).and_then(|hex| std::str::from_utf8(hex).ok());
            let code = code.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
            text.push(code.ok_or("an escape in a text is not a character")?);
            rest = &tail[1 + digits..];
        }
        self.push(Value::Text(Rc::new(Cow::Owned(text))))
    }

    /// Python 2's `'latin-1'` in quotes; nothing that needs an escape is expected there.
    fn push_quoted_line(&mut self) -> Step {
        let line = self.line()?;
        let inner = match line {
            [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => inner,
            _ => return Err("expected a quoted string without escapes".into()),
        };
        let text = std::str::from_utf8(inner).map_err(|_| "a string is not UTF-8")?;
        self.push(Value::Text(Rc::new(Cow::Borrowed(text))))
    }

    fn push_bytes(&mut self, opcode: u8) -> Step {
        let bytes = match opcode {
            b'C' => self.sized(1)?,
            b'B' => self.sized(4)?,
            _ => self.sized(8)?,
        };
        self.push(Value::Bytes(Rc::new(Cow::Borrowed(bytes))))
    }

    // Containers.

    fn push_tuple(&mut self, opcode: u8) -> Step {
        let items = match opcode {
            b')' => Vec::new(),
            b't' => self.pop_to_mark()?,
            _ => {
                let mut items = (0..opcode - 0x84).map(|_| self.pop()).collect::<Step<Vec<_>>>()?;
                items.reverse();
                items
            }
        };
        self.push(Value::Tuple(items))
    }

    fn list(&mut self, opcode: u8) -> Step {
        let items = match opcode {
            b']' => return self.push(Value::List(Vec::new())),
            b'l' => {
                let items = self.pop_to_mark()?;
                return self.push(Value::List(items));
            }
            b'a' => vec![self.pop()?],
            _ => self.pop_to_mark()?,
        };
        let top = self.top()?;
        match &mut self.values[top as usize] {
            Value::List(list) => list.extend(items),
            _ => return Err("only a list can be appended to".into()),
        }
        Ok(())
    }

    fn dict(&mut self, opcode: u8) -> Step {
        let items = match opcode {
            b'}' => return self.push(Value::Dict(Vec::new())),
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        if items.len() % 2 != 0 {
            return Err("a dictionary has a key without a value".into());
        }
        let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        if opcode == b'd' {
            let pairs = pairs.collect();
            return self.push(Value::Dict(pairs));
        }
        let top = self.top()?;
        match &mut self.values[top as usize] {
            Value::Dict(dict) => dict.extend(pairs),
            _ => return Err("only a dictionary can be given entries".into()),
        }
        Ok(())
    }

    // The memo.

    fn remember(&mut self, opcode: u8) -> Step {
        let key = match opcode {
            b'p' => self.memo_line()?,
            b'q' => self.length(1)? as u64,
            b'r' => self.length(4)? as u64,
            _ => self.memo.len() as u64,
        };
        let top = self.top()?;
        if self.memo.len() >= VALUES_MAX {
            return Err(format!("the memo has more than {VALUES_MAX} entries"));
        }
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, opcode: u8) -> Step {
        let key = match opcode {
            b'g' => self.memo_line()?,
            b'h' => self.length(1)? as u64,
            _ => self.length(4)? as u64,
        };
        let id = self.memo.get(&key).copied().ok_or_else(|| format!("the memo has no entry {key}"))?;
        self.push_entry(Entry::Value(id))
    }

    fn memo_line(&mut self) -> Step<u64> {
        self.number_line()?.parse().map_err(|_| "expected a place in the memo, found other text".into())
    }

    // Names, and what they say about their arguments.

    fn global(&mut self, opcode: u8) -> Step {
        let name = if opcode == b'c' {
            let (module, class) = (self.line()?, self.line()?);
            Global::named(&String::from_utf8_lossy(module), &String::from_utf8_lossy(class))?
        } else {
            let (class, module) = (self.pop()?, self.pop()?);
            let (Value::Text(module), Value::Text(class)) = (self.value(module), self.value(class)) else {
                return Err("expected the texts of a name, found other values".into());
            };
            Global::named(module, class)?
        };
        self.push(Value::Global(name))
    }

    fn reduce(&mut self) -> Step {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let (Value::Global(name), Value::Tuple(arguments)) = (self.value(callable), self.value(arguments))
        else {
            return Err("only a known name can be given arguments".into());
        };
        let arguments: Vec<&Value<'a>> = arguments.iter().map(|id| self.value(*id)).collect();
        let value = match (name, arguments.as_slice()) {
            (
                Global::Reconstructor,
                [Value::Global(Global::Booster), Value::Global(Global::Object), Value::None],
            ) => Value::Booster(None),
            (Global::ByteArray, []) => Value::Bytes(Rc::new(Cow::Borrowed(&[]))),
            (Global::ByteArray, [Value::Bytes(bytes)]) => Value::Bytes(Rc::clone(bytes)),
            (Global::ByteArray | Global::Encode, [Value::Text(text), Value::Text(encoding)])
                if matches!(encoding.as_ref().as_ref(), "latin-1" | "latin1") =>
            {
                let text = Rc::clone(text);
                return self.push_latin1(&text);
            }
            (Global::OrderedDict, []) => Value::Dict(Vec::new()),
            (Global::Numpy, _) => Value::Inert,
            (name, _) => {
                return Err(format!("{name:?} is given arguments that a pickled Booster does not give it"));
            }
        };
        self.push(value)
    }

    /// Text back to the bytes it stands for, one a character.
    fn push_latin1(&mut self, text: &str) -> Step {
        self.copied += text.len();
        if self.copied > COPIED_MULTIPLE_MAX * self.bytes.len() {
            return Err("the pickle encodes its text over and over".into());
        }
        let bytes = text.chars().map(|character| u8::try_from(u32::from(character)));
        let bytes = bytes
            .collect::<Result<Vec<u8>, _>>()
            .map_err(|_| "expected Latin-1 text, found another character")?;
        self.push(Value::Bytes(Rc::new(Cow::Owned(bytes))))
    }

    fn new_object(&mut self) -> Step {
        let (arguments, class) = (self.pop()?, self.pop()?);
        match (self.value(class), self.value(arguments)) {
            (Value::Global(Global::Booster), Value::Tuple(arguments)) if arguments.is_empty() => {
                self.push(Value::Booster(None))
            }
            _ => Err("only a Booster can be made".into()),
        }
    }

    fn build(&mut self) -> Step {
        let (state, object) = (self.pop()?, self.top()?);
        match &mut self.values[object as usize] {
            Value::Booster(slot @ None) => *slot = Some(state),
            Value::Inert => {}
            _ => return Err("only a Booster can be given a state, once".into()),
        }
        Ok(())
    }
}

/// The little-endian two's complement of LONG1, up to 64 bits.
fn small_integer(bytes: &[u8]) -> Step<i64> {
    if bytes.len() > 8 {
        return Err("expected a whole number of 64 bits at most".into());
    }
    let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Ok(i64::from_le_bytes(wide))
}
