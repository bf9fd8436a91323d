//! Calls of the platform's APIs: forms, JSON inputs held to their shapes, event streams.

use serde_json::{Map, Value};
use wire::query::Form;
use wire::{event_stream, shape};

/// A form body: what is read has the operation's name and is typed by its shape without a panic.
pub fn query_form(bytes: &[u8]) {
    let Ok(form) = Form::parse(bytes) else { return };
    let input = Map::from_iter(form.input);
    // Whoever serves it does the same: typed by the shape, then held to it.
    if let Some(shape) = shape::table("monitoring").and_then(|table| table.input(&form.operation)) {
        let typed = wire::query::typed_members(shape, input);
        refuse_or_pass("monitoring", &form.operation, &typed);
    }
}

/// `service.Operation`, a line break, and a JSON input.
pub fn call_shape(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((target, input)) = text.split_once('\n') else { return };
    let Some((service, operation)) = target.split_once('.') else { return };
    if let Ok(Value::Object(input)) = serde_json::from_str(input) {
        refuse_or_pass(service, operation, &input);
    }
}

/// A message of an event stream: what is read is written as the same bytes.
pub fn event_message(bytes: &[u8]) {
    if let Ok(Some((message, length))) = event_stream::read(bytes) {
        assert!(length <= bytes.len(), "a message is no longer than its bytes");
        assert!(message.payload.len() < length, "its payload is a part of it");
    }
}

/// A refusal has a message of one line that people can read.
fn refuse_or_pass(service: &str, operation: &str, input: &Map<String, Value>) {
    if let Err(error) = shape::validate(service, operation, input) {
        assert!(!error.message.is_empty() && error.message.len() < 1 << 20, "{} bytes", error.message.len());
    }
}
