//! A JSON object that remembers which keys were asked for, and errors that name the key.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON object whose keys are taken one by one; what is left at the end was not known.
pub(super) struct Object(Map<String, Value>);

/// Names a key, what it takes, and what it holds.
pub(super) fn mismatch(key: &str, expected: &str, found: &Value) -> String {
    /// Enough to recognise a value in a message, short enough for a log line.
    const SHOWN_CHARS_MAX: usize = 80;
    let mut text = found.to_string();
    if let Some((cut, _)) = text.char_indices().nth(SHOWN_CHARS_MAX) {
        text.truncate(cut);
        text.push('…');
    }
    format!("{key}: expected {expected}, found {text}")
}

impl Object {
    /// Takes a key's value out.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key)
    }

    /// Text.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(mismatch(key, "text", &other)),
        }
    }

    /// A whole number from `least`.
    pub(super) fn whole(&mut self, key: &str, least: usize) -> Result<Option<usize>, String> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number =
            value.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|&number| number >= least);
        number.map(Some).ok_or_else(|| mismatch(key, &format!("a whole number from {least}"), &value))
    }

    /// A finite number.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.take(key) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| mismatch(key, "a number", &value))
    }

    /// One of a closed set of words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, String> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let known = words.iter().find(|(word, _)| value.as_str() == Some(word)).map(|&(_, meaning)| meaning);
        known.map(Some).ok_or_else(|| {
            let list: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            mismatch(key, &list.join(" or "), &value)
        })
    }

    /// A list.
    pub(super) fn list(&mut self, key: &str) -> Result<Vec<Value>, String> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(mismatch(key, "a list", &other)),
        }
    }

    /// An object.
    pub(super) fn object(&mut self, key: &str) -> Result<Map<String, Value>, String> {
        match self.take(key) {
            None => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object),
            Some(other) => Err(mismatch(key, "an object", &other)),
        }
    }

    /// The keys nobody took.
    pub(super) fn left(self) -> Vec<String> {
        self.0.into_iter().map(|(key, _)| key).collect()
    }
}

// By hand, since serde_json lets the last of two equal keys win and a manifest must not say two things.
impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Object, A::Error> {
                let mut object = Map::new();
                while let Some((key, value)) = access.next_entry::<String, Value>()? {
                    if object.contains_key(&key) {
                        return Err(A::Error::custom(format!("{key}: expected once, found twice")));
                    }
                    object.insert(key, value);
                }
                Ok(Object(object))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}
