//! XML as a value, and its one writer: what Query services and S3 answer with.
//!
//! Only what those need: elements, attributes, text. There is no reader here, no mixed content, and no indentation.

use std::fmt;

use serde_json::Value;

use crate::Timestamp;

/// What every document begins with.
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Members that are maps, not structures, which JSON does not tell apart.
const MAPS: [&str; 1] = ["ExtendedStatistics"];

/// An element: a name, attributes, and either text or children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(String),
    Children(Vec<Element>),
}

impl Element {
    /// An element without content yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), attributes: Vec::new(), content: Content::Children(Vec::new()) }
    }

    /// An element that holds text.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { content: Content::Text(text.into()), ..Self::new(name) }
    }

    /// With this attribute; `xmlns` is one too.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// With this child at the end; text that stood there goes.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.push(child);
        self
    }

    /// With these children at the end.
    #[must_use]
    pub fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        children.into_iter().for_each(|child| self.push(child));
        self
    }

    /// With a child that holds text.
    #[must_use]
    pub fn field(self, name: &str, text: impl Into<String>) -> Self {
        self.child(Self::text(name, text))
    }

    /// Puts a child at the end.
    pub fn push(&mut self, child: Self) {
        match &mut self.content {
            Content::Children(children) => children.push(child),
            Content::Text(_) => self.content = Content::Children(vec![child]),
        }
    }

    /// A JSON value as Query services write it: lists as `member`, maps as `entry`, numbers under a name that ends in `Timestamp` or
    /// `Timestamps` (seconds since 1970) as ISO 8601.
    pub fn from_json(name: &str, value: &Value) -> Self {
        let is_time = name.ends_with("Timestamp") || name.ends_with("Timestamps");
        Self::from_json_as(name, value, is_time)
    }

    fn from_json_as(name: &str, value: &Value, is_time: bool) -> Self {
        match value {
            Value::Object(entries) if MAPS.contains(&name) => {
                let entries = entries.iter().map(|(key, value)| {
                    let entry = Self::new("entry").field("key", key.as_str());
                    entry.child(Self::from_json("value", value))
                });
                Self::new(name).children(entries)
            }
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| Self::from_json(name, value));
                Self::new(name).children(members)
            }
            Value::Array(items) => {
                let items = items.iter().map(|item| Self::from_json_as("member", item, is_time));
                Self::new(name).children(items)
            }
            Value::Number(number) if is_time => {
                Self::text(name, Timestamp::from_seconds(number.as_f64().unwrap_or_default()).iso8601())
            }
            Value::String(text) => Self::text(name, text.as_str()),
            Value::Null => Self::new(name),
            Value::Bool(_) | Value::Number(_) => Self::text(name, value.to_string()),
        }
    }

    /// As a whole document.
    pub fn to_document(&self) -> String {
        format!("{DECLARATION}{self}")
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}=\"{}\"", Escaped(value))?;
        }
        match &self.content {
            Content::Children(children) if children.is_empty() => return f.write_str("/>"),
            Content::Text(text) => write!(f, ">{}", Escaped(text))?,
            Content::Children(children) => {
                f.write_str(">")?;
                children.iter().try_for_each(|child| child.fmt(f))?;
            }
        }
        write!(f, "</{}>", self.name)
    }
}

/// Text or an attribute's value, with what has a meaning in XML taken out of it.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(needs_escape) {
            f.write_str(&rest[..at])?;
            let found = rest[at..].chars().next().expect("something was found");
            f.write_str(escape(found))?;
            rest = &rest[at + found.len_utf8()..];
        }
        f.write_str(rest)
    }
}

fn needs_escape(c: char) -> bool {
    matches!(c, '&' | '<' | '>' | '"' | '\'' | '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}

/// Line ends and tabs as references, so that readers keep them in attributes and do not normalise them. What XML 1.0
/// cannot hold at all is shown as a replacement character.
fn escape(c: char) -> &'static str {
    match c {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&apos;",
        '\t' => "&#x9;",
        '\n' => "&#xA;",
        '\r' => "&#xD;",
        _ => "\u{fffd}",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(element: &Element, expected: &str) {
        assert_eq!(element.to_string(), expected);
    }

    #[test]
    fn elements_are_written() {
        check(&Element::new("A"), "<A/>");
        check(&Element::text("A", ""), "<A></A>");
        check(&Element::text("A", "b"), "<A>b</A>");
        check(
            &Element::new("A").attribute("xmlns", "urn:x").field("B", "c"),
            r#"<A xmlns="urn:x"><B>c</B></A>"#,
        );
        check(&Element::text("A", "gone").child(Element::new("B")), "<A><B/></A>");
        assert_eq!(Element::new("A").to_document(), format!("{DECLARATION}<A/>"));
    }

    #[test]
    fn text_is_escaped() {
        check(&Element::text("A", "<b> & \"c\" 'd'"), "<A>&lt;b&gt; &amp; &quot;c&quot; &apos;d&apos;</A>");
        check(&Element::text("A", "a\r\n\tb\0\u{1b}"), "<A>a&#xD;&#xA;&#x9;b\u{fffd}\u{fffd}</A>");
        check(&Element::new("A").attribute("b", "\"<ü>"), "<A b=\"&quot;&lt;ü&gt;\"/>");
        check(&Element::text("A", "日本"), "<A>日本</A>");
    }

    #[test]
    fn json_becomes_members() {
        let value =
            json!({"Label": "m", "Datapoints": [{"Timestamp": 1_704_164_645, "Sum": 2.5}], "On": true});
        let expected = "<R><Label>m</Label><Datapoints><member><Timestamp>2024-01-02T03:04:05Z</Timestamp>\
            <Sum>2.5</Sum></member></Datapoints><On>true</On></R>";
        // The order of a map's members is not ours to settle: compare by parts.
        let written = Element::from_json("R", &value).to_string();
        for part in ["<Label>m</Label>", "<On>true</On>", "<Timestamp>2024-01-02T03:04:05Z</Timestamp>"] {
            assert!(written.contains(part), "expected {part} as in {expected}, found {written}");
        }
        let times = json!([1_704_164_645]);
        check(
            &Element::from_json("Timestamps", &times),
            "<Timestamps><member>2024-01-02T03:04:05Z</member></Timestamps>",
        );
        let map = json!({"p50": 2.5});
        check(
            &Element::from_json("ExtendedStatistics", &map),
            "<ExtendedStatistics><entry><key>p50</key><value>2.5</value></entry></ExtendedStatistics>",
        );
        check(
            &Element::from_json("Values", &json!([1, 2.5])),
            "<Values><member>1</member><member>2.5</member></Values>",
        );
    }
}
