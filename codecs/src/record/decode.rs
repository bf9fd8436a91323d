//! Framed records to rows: fields are taken in the order they come, tensors go straight to the row's buffers.

use dmatrix::{DMatrix, LabelPolicy, Missing, RowSchema, RowTag};

use super::VALUES;
use super::tensor::{TensorBuffers, find_tensor, read_tensor};
use super::wire::{Fault, Field, Message, Outcome};
use crate::recordio::{Payload, Records};
use crate::rows::{self, RowBuilder, Shape};
use crate::{DecodeError, Place, text};

/// Decodes a body of framed records, one a row.
pub(crate) fn decode(schema: &RowSchema, body: &[u8], rows: &mut DMatrix) -> Result<(), DecodeError> {
    rows::fill(schema, rows, |builder| {
        let mut records = Records::new(body);
        let mut labels_a_row = None;
        while let Some(payload) = records.next_payload()? {
            let label_start = builder.labels.len();
            let record = read_record(payload.bytes, builder).map_err(|fault| refusal(*fault, &payload))?;
            builder.end_row(record.shape.features(), payload.start)?;
            if let Some(tag) = record.tag {
                builder.tag_last_row(tag);
            }
            if schema.labels == LabelPolicy::Required {
                let labels = builder.labels.len() - label_start;
                check_labels(labels, *labels_a_row.get_or_insert(labels), &payload)?;
            }
        }
        Ok(())
    })
}

/// What a record holds beside values and keys.
struct Contents {
    shape: Shape,
    tag: Option<RowTag>,
}

#[inline(always)]
fn read_record(payload: &[u8], builder: &mut RowBuilder<'_>) -> Outcome<Contents> {
    let mut contents = Contents { shape: Shape::default(), tag: None };
    let (mut has_features, mut has_label) = (false, false);
    let keeps_label = builder.schema().labels == LabelPolicy::Required;
    let mut fields = Message::new(payload);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => {
                let value = read_entry(field, "the feature \"values\"", &mut has_features)?;
                contents.shape = read_features(value, builder)?;
            }
            2 if keeps_label => {
                let value = read_entry(field, "the label \"values\"", &mut has_label)?;
                read_label(value, builder)?;
            }
            2 => field.delimited().map(|_| ())?,
            3 => contents.tag.get_or_insert_default().uid = Some(read_string(field)?.to_owned()),
            4 => contents.tag.get_or_insert_default().metadata = Some(read_string(field)?.to_owned()),
            5 => read_string(field).map(|_| ())?,
            _ => {}
        }
    }
    if has_features { Ok(contents) } else { Err(Fault::new(payload.len(), "the feature \"values\"", "none")) }
}

/// The value of a map's entry, whose key must be `values` and new.
#[inline(always)]
fn read_entry<'a>(field: Field<'a>, expected: &'static str, is_seen: &mut bool) -> Outcome<Message<'a>> {
    let entry = field.delimited()?;
    let (mut fields, mut key, mut value) = (entry, None, None);
    while let Some(field) = fields.next_field()? {
        let slot = match field.number {
            1 => &mut key,
            2 => &mut value,
            _ => continue,
        };
        if slot.replace(field.delimited()?).is_some() {
            return Err(Fault::new(field.at, "one key and one value in an entry", "another"));
        }
    }
    let key = key.map_or(&[][..], |key| key.bytes);
    if key != VALUES.as_bytes() {
        return Err(Fault::new(entry.at, expected, text::found(key)));
    }
    if std::mem::replace(is_seen, true) {
        return Err(Fault::new(entry.at, "\"values\" once", "\"values\" again"));
    }
    value.ok_or_else(|| Fault::new(entry.at, "a value beside the key", "none"))
}

#[inline(always)]
fn read_features(value: Message<'_>, builder: &mut RowBuilder<'_>) -> Outcome<Shape> {
    let (kind, tensor) = find_tensor(value)?;
    let may_be_missing = builder.schema().missing != Missing::Refused;
    let (values, keys) = (&mut builder.values, &mut builder.indices);
    read_tensor(kind, tensor, &mut TensorBuffers { values, keys, may_be_missing })
}

#[inline(never)]
fn read_label(value: Message<'_>, builder: &mut RowBuilder<'_>) -> Outcome<()> {
    let (kind, tensor) = find_tensor(value)?;
    let mut keys = Vec::new();
    let values = &mut builder.labels;
    read_tensor(kind, tensor, &mut TensorBuffers { values, keys: &mut keys, may_be_missing: false })
        .map_err(|fault| Fault { column: None, found: fault.found.or(Some("NaN".to_owned())), ..*fault })?;
    if keys.is_empty() { Ok(()) } else { Err(Fault::new(tensor.at, "a dense label", "keys")) }
}

fn read_string<'a>(field: Field<'a>) -> Outcome<&'a str> {
    let string = field.delimited()?;
    std::str::from_utf8(string.bytes)
        .map_err(|error| Fault::new(string.at + error.valid_up_to(), "UTF-8", text::found(string.bytes)))
}

fn check_labels(found: usize, expected: usize, payload: &Payload<'_>) -> Result<(), DecodeError> {
    if found == expected && found > 0 {
        return Ok(());
    }
    let expected = if found == 0 { "a label" } else { "as many labels as in the first row" };
    let found = if found == 0 { "none".to_owned() } else { found.to_string() };
    let place = Place { row: Some(payload.row), column: None, byte: Some(payload.start) };
    Err(DecodeError::malformed(place, expected, found))
}

#[cold]
fn refusal(fault: Fault, payload: &Payload<'_>) -> DecodeError {
    let byte = payload.start + if payload.is_joined { 0 } else { fault.at };
    let place = Place { row: Some(payload.row), column: fault.column, byte: Some(byte) };
    match fault.found {
        Some(found) => DecodeError::malformed(place, fault.expected, found),
        None => DecodeError::MissingValue { place },
    }
}
