//! The layouts of rows in JSON: the envelope `{"instances": [..]}` or bare arrays, and within it dense arrays, and
//! `data` objects that may be sparse.

use super::scanner::{Key, Scanner};
use crate::DecodeError;
use crate::number::NumberError;
use crate::rows::{RowBuilder, Shape};

/// Reads a whole body: an envelope, an array of rows, or an array of numbers, which is one row.
pub(super) fn read_body(scanner: &mut Scanner<'_>, builder: &mut RowBuilder<'_>) -> Result<(), DecodeError> {
    match scanner.peek() {
        Some(b'{') => read_envelope(scanner, builder)?,
        Some(b'[') => read_bare_rows(scanner, builder)?,
        _ => return Err(scanner.refuse("an object with \"instances\", or an array")),
    }
    scanner.place.row = None;
    scanner.expect_end()
}

/// Reads one instance, that is one row: an array, or an object with `features` or `data`.
pub(super) fn read_instance(
    scanner: &mut Scanner<'_>,
    builder: &mut RowBuilder<'_>,
) -> Result<(), DecodeError> {
    scanner.place.row = Some(builder.row());
    let start = scanner.at;
    match scanner.peek() {
        Some(b'[') => {
            read_numbers(scanner, builder)?;
            builder.end_row(None, start)
        }
        Some(b'{') => read_instance_object(scanner, builder),
        _ => Err(scanner.refuse("an instance: an object or an array of numbers")),
    }
}

fn read_envelope(scanner: &mut Scanner<'_>, builder: &mut RowBuilder<'_>) -> Result<(), DecodeError> {
    scanner.at += 1;
    let mut seen = Seen::default();
    let mut is_first = true;
    while let Some(key) = scanner.next_key(is_first)? {
        is_first = false;
        if key != Key::Instances {
            scanner.skip_value()?;
            continue;
        }
        seen.once(key, scanner)?;
        scanner.expect(b'[', "an array of instances")?;
        let mut is_first = true;
        while scanner.next_element(is_first)? {
            is_first = false;
            read_instance(scanner, builder)?;
        }
        scanner.place.row = None;
    }
    if seen.has(Key::Instances) { Ok(()) } else { Err(refuse_without(scanner, "the key \"instances\"")) }
}

fn read_bare_rows(scanner: &mut Scanner<'_>, builder: &mut RowBuilder<'_>) -> Result<(), DecodeError> {
    let start = scanner.at;
    scanner.at += 1;
    match scanner.peek() {
        Some(b'[' | b']') => {}
        Some(b'{') => {
            return Err(scanner.refuse("a number or an array of numbers (objects belong in \"instances\")"));
        }
        _ => {
            scanner.at = start;
            return read_instance(scanner, builder);
        }
    }
    let mut is_first = true;
    while scanner.next_element(is_first)? {
        is_first = false;
        scanner.place.row = Some(builder.row());
        if scanner.peek() != Some(b'[') {
            return Err(scanner.refuse("an array of numbers"));
        }
        read_instance(scanner, builder)?;
    }
    Ok(())
}

fn read_instance_object(scanner: &mut Scanner<'_>, builder: &mut RowBuilder<'_>) -> Result<(), DecodeError> {
    let start = scanner.at;
    scanner.at += 1;
    let (mut seen, mut shape) = (Seen::default(), None);
    let mut is_first = true;
    while let Some(key) = scanner.next_key(is_first)? {
        is_first = false;
        match key {
            Key::Features | Key::Data => {
                seen.once(key, scanner)?;
                if seen.has(Key::Features) && seen.has(Key::Data) {
                    return Err(scanner.refuse("either \"features\" or \"data\", not both"));
                }
                match key {
                    Key::Features => read_numbers(scanner, builder)?,
                    _ => shape = read_data(scanner, builder)?,
                }
            }
            _ => scanner.skip_value()?,
        }
    }
    if !seen.has(Key::Features) && !seen.has(Key::Data) {
        return Err(refuse_without(scanner, "the key \"features\" or \"data\""));
    }
    builder.end_row(shape, start)
}

/// Reads `{"features": {..}}`, and gives the features of the shape, if there is one.
fn read_data(scanner: &mut Scanner<'_>, builder: &mut RowBuilder<'_>) -> Result<Option<usize>, DecodeError> {
    scanner.expect(b'{', "an object with \"features\"")?;
    let (mut seen, mut shape) = (Seen::default(), None);
    let mut is_first = true;
    while let Some(key) = scanner.next_key(is_first)? {
        is_first = false;
        if key == Key::Features {
            seen.once(key, scanner)?;
            shape = read_tensor(scanner, builder)?;
        } else {
            scanner.skip_value()?;
        }
    }
    if seen.has(Key::Features) { Ok(shape) } else { Err(refuse_without(scanner, "the key \"features\"")) }
}

/// Reads `{"values": [..], "keys": [..], "shape": [..]}`, in any order.
fn read_tensor(
    scanner: &mut Scanner<'_>,
    builder: &mut RowBuilder<'_>,
) -> Result<Option<usize>, DecodeError> {
    scanner.expect(b'{', "an object with \"values\"")?;
    let (mut seen, mut shape) = (Seen::default(), Shape::default());
    let mut is_first = true;
    while let Some(key) = scanner.next_key(is_first)? {
        is_first = false;
        match key {
            Key::Values | Key::Keys | Key::Shape => seen.once(key, scanner)?,
            _ => {}
        }
        match key {
            Key::Values => read_numbers(scanner, builder)?,
            Key::Keys => read_keys(scanner, builder)?,
            Key::Shape => shape = read_shape(scanner)?,
            _ => scanner.skip_value()?,
        }
    }
    if !seen.has(Key::Values) && !seen.has(Key::Shape) {
        return Err(refuse_without(scanner, "the key \"values\""));
    }
    Ok(shape.features())
}

/// Reads an array of numbers into the row: the hot loop.
fn read_numbers(scanner: &mut Scanner<'_>, builder: &mut RowBuilder<'_>) -> Result<(), DecodeError> {
    scanner.expect(b'[', "an array of numbers")?;
    let mut is_first = true;
    while scanner.next_element(is_first).map_err(|error| in_column(error, builder))? {
        is_first = false;
        match scanner.number() {
            Ok(value) => builder.values.push(value),
            Err(error) => read_other(scanner, builder, error)?,
        }
    }
    Ok(())
}

/// What follows a value belongs to its column.
#[cold]
fn in_column(mut error: DecodeError, builder: &RowBuilder<'_>) -> DecodeError {
    if let DecodeError::Malformed { place, .. } = &mut error {
        place.column = Some(builder.row_values().len());
    }
    error
}

/// What is not a number of f32: a missing value, or an error.
#[cold]
fn read_other(
    scanner: &mut Scanner<'_>,
    builder: &mut RowBuilder<'_>,
    error: NumberError,
) -> Result<(), DecodeError> {
    let place = builder.next_place(scanner.at);
    if scanner.take_null() {
        builder.check_missing(place)?;
        builder.values.push(f32::NAN);
        return Ok(());
    }
    scanner.place = place;
    Err(scanner.refuse(error.expected()))
}

fn read_keys(scanner: &mut Scanner<'_>, builder: &mut RowBuilder<'_>) -> Result<(), DecodeError> {
    scanner.expect(b'[', "an array of keys")?;
    let mut is_first = true;
    while scanner.next_element(is_first)? {
        is_first = false;
        scanner.place.column = Some(builder.row_keys().len() + 1);
        builder.indices.push(scanner.whole_number()? as u32);
    }
    scanner.place.column = None;
    Ok(())
}

fn read_shape(scanner: &mut Scanner<'_>) -> Result<Shape, DecodeError> {
    scanner.expect(b'[', "an array of dimensions")?;
    let mut shape = Shape::default();
    let mut is_first = true;
    while scanner.next_element(is_first)? {
        is_first = false;
        let start = scanner.at;
        if !shape.push(scanner.whole_number()?) {
            scanner.at = start;
            return Err(scanner.refuse("a shape of at most 4294967295 features"));
        }
    }
    Ok(shape)
}

/// Points at the end of the object that lacks something.
#[cold]
fn refuse_without(scanner: &mut Scanner<'_>, expected: &'static str) -> DecodeError {
    scanner.at -= 1;
    scanner.refuse(expected)
}

/// The keys of one object that may stand once.
#[derive(Debug, Default)]
struct Seen(u8);

impl Seen {
    fn has(&self, key: Key) -> bool {
        self.0 & (1 << key as u8) != 0
    }

    fn once(&mut self, key: Key, scanner: &Scanner<'_>) -> Result<(), DecodeError> {
        if self.has(key) {
            return Err(scanner.refuse(match key {
                Key::Instances => "one \"instances\" in an object",
                Key::Features => "one \"features\" in an object",
                Key::Data => "one \"data\" in an object",
                Key::Values => "one \"values\" in an object",
                Key::Keys => "one \"keys\" in an object",
                Key::Shape | Key::Other => "one \"shape\" in an object",
            }));
        }
        self.0 |= 1 << key as u8;
        Ok(())
    }
}
