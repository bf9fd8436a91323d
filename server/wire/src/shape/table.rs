//! A service's table: the inputs of its operations, and the shapes that they are made of.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::pattern::Pattern;

/// The shapes of one service.
#[derive(Debug, Deserialize)]
pub struct Table {
    /// The shape of each operation's input; `None` where there is nothing to give.
    operations: BTreeMap<String, Option<String>>,
    shapes: BTreeMap<String, Facts>,
}

/// A shape as its table has it.
#[derive(Debug, Deserialize)]
struct Facts {
    #[serde(rename = "type")]
    kind: ShapeKind,
    #[serde(default)]
    members: BTreeMap<String, String>,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default, rename = "union")]
    is_union: bool,
    member: Option<String>,
    key: Option<String>,
    value: Option<String>,
    #[serde(flatten)]
    range: Range,
    pattern: Option<Pattern>,
    #[serde(default, rename = "enum")]
    values: Vec<String>,
}

/// Bounds of a length or of a number, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Range {
    /// The least.
    pub min: Option<i64>,
    /// The most.
    pub max: Option<i64>,
}

/// The JSON type of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShapeKind {
    /// An object with known members.
    Structure,
    /// An array of one shape.
    List,
    /// An object of any keys.
    Map,
    /// A string.
    String,
    /// A number without a fraction, of 32 bits.
    Integer,
    /// A number without a fraction, of 64 bits.
    Long,
    /// Any number.
    Float,
    /// Any number.
    Double,
    /// `true` or `false`.
    Boolean,
    /// Seconds since 1970.
    Timestamp,
    /// Bytes, in base64.
    Blob,
}

impl Table {
    /// Reads a table, and looks whether every shape that it names stands in it.
    ///
    /// # Errors
    /// Which shape is missing, or what is no JSON of a table.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let table: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let named = table.operations.values().flatten();
        let named = named.chain(table.shapes.values().flat_map(Facts::parts));
        for name in named {
            if !table.shapes.contains_key(name) {
                return Err(format!("expected a shape {name}, found none"));
            }
        }
        Ok(table)
    }

    /// The input of `operation`; `None` when the table does not have the operation, or it takes nothing.
    pub fn input(&self, operation: &str) -> Option<Shape<'_>> {
        let name = self.operations.get(operation)?.as_deref()?;
        Some(self.shape(name))
    }

    /// The names of the operations.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.operations.keys().map(String::as_str)
    }

    fn shape(&self, name: &str) -> Shape<'_> {
        Shape { table: self, facts: self.shapes.get(name).expect("looked up when the table was read") }
    }

    #[cfg(test)]
    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.shapes.values().filter_map(|facts| facts.pattern.as_ref())
    }
}

impl Facts {
    fn parts(&self) -> impl Iterator<Item = &String> {
        self.members.values().chain(&self.member).chain(&self.key).chain(&self.value)
    }
}

/// A shape of a table.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    table: &'a Table,
    facts: &'a Facts,
}

impl<'a> Shape<'a> {
    /// Its JSON type.
    pub fn kind(self) -> ShapeKind {
        self.facts.kind
    }

    /// The members of a structure, by name.
    pub fn members(self) -> impl Iterator<Item = (&'a str, Shape<'a>)> {
        self.facts.members.iter().map(move |(name, shape)| (name.as_str(), self.table.shape(shape)))
    }

    /// The member of this name of a structure.
    pub fn member(self, name: &str) -> Option<Shape<'a>> {
        self.facts.members.get(name).map(|shape| self.table.shape(shape))
    }

    /// What a list is a list of.
    pub fn element(self) -> Option<Shape<'a>> {
        self.facts.member.as_deref().map(|shape| self.table.shape(shape))
    }

    /// What the keys and values of a map are.
    pub fn entry(self) -> Option<(Shape<'a>, Shape<'a>)> {
        let (key, value) = (self.facts.key.as_deref()?, self.facts.value.as_deref()?);
        Some((self.table.shape(key), self.table.shape(value)))
    }

    /// The members that a structure must have.
    pub fn required(self) -> &'a [String] {
        &self.facts.required
    }

    /// Whether a structure has exactly one member of those it names.
    pub fn is_union(self) -> bool {
        self.facts.is_union
    }

    /// The bounds of its length, or of its value when it is a number.
    pub fn range(self) -> Range {
        self.facts.range
    }

    /// The strings that it may be; empty when it may be any.
    pub fn values(self) -> &'a [String] {
        &self.facts.values
    }

    pub(super) fn pattern(self) -> Option<&'a Pattern> {
        self.facts.pattern.as_ref()
    }
}
