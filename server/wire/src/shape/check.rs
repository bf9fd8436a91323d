//! The walk of a value along its shape: a wrong type ends it, broken constraints are gathered.

use serde_json::{Map, Value};

use super::table::{Range, Shape, ShapeKind};

/// Violations that a message spells out; the rest is counted. Reason: a person mends the first few, and a message is one
/// line of a log.
const SHOWN_MAX: usize = 16;

/// Characters of a value that a message repeats. Reason: enough to know it by.
const VALUE_CHARS_MAX: usize = 256;

/// Levels of a value. Reason: the deepest input that clients send has 12; a recursive shape must end somewhere.
const DEPTH_MAX: usize = 48;

/// A value of a type that its shape does not have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// Where, as in `productionVariants.1.member.modelName`.
    pub(super) path: String,
    /// What its shape has.
    pub(super) expected: &'static str,
    /// What it is.
    pub(super) found: String,
}

/// The walk, where it is and what it found.
#[derive(Debug, Default)]
pub(super) struct Check {
    path: Vec<String>,
    shown: Vec<String>,
    count: usize,
}

impl Check {
    /// What AWS says of the violations; `None` when there are none.
    pub(super) fn message(&self) -> Option<String> {
        let plural = if self.count == 1 { "" } else { "s" };
        let unshown = self.count - self.shown.len();
        let rest = if unshown == 0 { String::new() } else { format!("; and {unshown} more") };
        let shown = self.shown.join("; ");
        (self.count > 0).then(|| format!("{} validation error{plural} detected: {shown}{rest}", self.count))
    }

    /// Walks an object along a structure.
    pub(super) fn structure(
        &mut self,
        shape: Shape<'_>,
        object: &Map<String, Value>,
    ) -> Result<(), Mismatch> {
        let given = |name: &str| object.get(name).filter(|value| !value.is_null());
        for name in shape.required() {
            if given(name).is_none() {
                self.at(lower_camel(name), |check| check.violation(None, "Member must not be null"));
            }
        }
        if shape.is_union() {
            let count = shape.members().filter(|(name, _)| given(name).is_some()).count();
            if count != 1 {
                let found = Value::Object(object.clone());
                self.violation(Some(&found), "Member must have exactly one of its members set");
            }
        }
        for (name, member) in shape.members() {
            if let Some(value) = given(name) {
                self.at(lower_camel(name), |check| check.value(member, value))?;
            }
        }
        Ok(())
    }

    fn value(&mut self, shape: Shape<'_>, value: &Value) -> Result<(), Mismatch> {
        if self.path.len() > DEPTH_MAX {
            return Err(self.mismatch("at most 48 levels", value));
        }
        match (shape.kind(), value) {
            (ShapeKind::Structure, Value::Object(object)) => return self.structure(shape, object),
            (ShapeKind::List, Value::Array(items)) => return self.list(shape, items, value),
            (ShapeKind::Map, Value::Object(object)) => return self.map(shape, object, value),
            (ShapeKind::String | ShapeKind::Blob, Value::String(text)) => self.string(shape, text, value),
            (ShapeKind::Integer | ShapeKind::Long, Value::Number(number)) => match integer(shape, number) {
                Some(number) => self.range(shape.range(), number as f64, "value", value),
                None => return Err(self.mismatch(expected(shape.kind()), value)),
            },
            (ShapeKind::Float | ShapeKind::Double, Value::Number(number)) => {
                self.range(shape.range(), number.as_f64().unwrap_or(f64::NAN), "value", value);
            }
            (ShapeKind::Timestamp, Value::Number(_)) => {}
            (ShapeKind::Boolean, Value::Bool(_)) => {}
            (kind, _) => return Err(self.mismatch(expected(kind), value)),
        }
        Ok(())
    }

    fn list(&mut self, shape: Shape<'_>, items: &[Value], value: &Value) -> Result<(), Mismatch> {
        self.range(shape.range(), items.len() as f64, "length", value);
        let Some(element) = shape.element() else { return Ok(()) };
        for (index, item) in items.iter().enumerate() {
            self.at(format!("{}.member", index + 1), |check| match item {
                Value::Null => Err(check.mismatch(expected(element.kind()), item)),
                item => check.value(element, item),
            })?;
        }
        Ok(())
    }

    fn map(&mut self, shape: Shape<'_>, object: &Map<String, Value>, value: &Value) -> Result<(), Mismatch> {
        self.range(shape.range(), object.len() as f64, "length", value);
        let Some((key_shape, value_shape)) = shape.entry() else { return Ok(()) };
        for (key, item) in object {
            let key_value = Value::String(key.clone());
            let broken = broken(key_shape, key);
            if !broken.is_empty() {
                let constraint = format!("Map keys must satisfy constraint: [{}]", broken.join(", "));
                self.violation(Some(&key_value), &constraint);
            }
            self.at(key.clone(), |check| match (value_shape.kind(), item) {
                (kind, Value::Null) => Err(check.mismatch(expected(kind), item)),
                _ => check.value(value_shape, item),
            })?;
        }
        Ok(())
    }

    fn string(&mut self, shape: Shape<'_>, text: &str, value: &Value) {
        for constraint in broken(shape, text) {
            self.violation(Some(value), &constraint);
        }
    }

    fn range(&mut self, range: Range, found: f64, what: &str, value: &Value) {
        for constraint in outside(range, found, what) {
            self.violation(Some(value), &constraint);
        }
    }

    fn at<T>(&mut self, step: String, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let result = walk(self);
        self.path.pop();
        result
    }

    fn violation(&mut self, value: Option<&Value>, constraint: &str) {
        self.count += 1;
        if self.shown.len() < SHOWN_MAX {
            let value = value.map_or_else(|| "null".to_owned(), |value| format!("'{}'", shortened(value)));
            let path = self.path.join(".");
            self.shown.push(format!("Value {value} at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }

    fn mismatch(&self, expected: &'static str, found: &Value) -> Mismatch {
        Mismatch { path: self.path.join("."), expected, found: shortened(found) }
    }
}

/// The constraints that a string breaks, in AWS's words.
fn broken(shape: Shape<'_>, text: &str) -> Vec<String> {
    let mut broken = outside(shape.range(), text.chars().count() as f64, "length");
    if let Some(pattern) = shape.pattern().filter(|pattern| !pattern.is_match(text)) {
        broken.push(format!("Member must satisfy regular expression pattern: {}", pattern.as_str()));
    }
    let values = shape.values();
    if !values.is_empty() && !values.iter().any(|value| value == text) {
        broken.push(format!("Member must satisfy enum value set: [{}]", values.join(", ")));
    }
    broken
}

/// The bounds that a length or number breaks. As floating point: the bounds of the tables are small, and a number that
/// rounds is far beyond them.
fn outside(range: Range, found: f64, what: &str) -> Vec<String> {
    let bound = |sign: &str, bound: i64| format!("Member must have {what} {sign} than or equal to {bound}");
    let above = range.max.filter(|&max| found > max as f64).map(|max| bound("less", max));
    let below = range.min.filter(|&min| found < min as f64).map(|min| bound("greater", min));
    above.into_iter().chain(below).collect()
}

/// A number without a fraction that its shape can hold.
fn integer(shape: Shape<'_>, number: &serde_json::Number) -> Option<i64> {
    let number = number.as_i64()?;
    (shape.kind() == ShapeKind::Long || i32::try_from(number).is_ok()).then_some(number)
}

/// A member's name as it stands in a path.
fn lower_camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn shortened(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

const fn expected(kind: ShapeKind) -> &'static str {
    match kind {
        ShapeKind::Structure | ShapeKind::Map => "an object",
        ShapeKind::List => "an array",
        ShapeKind::String => "a string",
        ShapeKind::Blob => "a string of base64",
        ShapeKind::Integer => "an integer of 32 bits",
        ShapeKind::Long => "an integer of 64 bits",
        ShapeKind::Float | ShapeKind::Double => "a number",
        ShapeKind::Boolean => "true or false",
        ShapeKind::Timestamp => "a number of seconds since 1970",
    }
}
