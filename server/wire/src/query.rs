//! The AWS Query protocol: a form body becomes an operation and its input.
//!
//! `Dimensions.member.1.Name=a` is a member of an item of a list, `Tags.entry.1.key=k` of a map; both nest. Every value
//! is a text: which ones are numbers, the form does not say.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::shape::{Shape, ShapeKind};
use crate::{AwsError, ErrorCode, Timestamp};

/// Parameters of one form. Reason: the largest request there is (a thousand metrics with thirty dimensions and two
/// texts each) stays below it.
const PARAMETERS_MAX: usize = 100_000;

/// Parts of one name. Reason: no operation nests deeper than half of it, and dropping a value recurses.
const DEPTH_MAX: usize = 16;

/// The highest index of a list. Reason: as many parameters as there may be.
const INDEX_MAX: usize = PARAMETERS_MAX;

/// A form, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// `Action`.
    pub operation: String,
    /// `Version`, which names the service.
    pub version: String,
    /// The other parameters.
    pub input: Map<String, Value>,
}

impl Form {
    /// Reads a form body.
    ///
    /// # Errors
    /// `SerializationException` when it is not one; `MissingParameter` without `Action`.
    pub fn parse(body: &[u8]) -> Result<Self, AwsError> {
        let text = std::str::from_utf8(body).map_err(|_| malformed("expected ASCII, found other bytes"))?;
        let mut root = Node::default();
        for (number, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if number == PARAMETERS_MAX {
                return Err(malformed(&format!("expected at most {PARAMETERS_MAX} parameters, found more")));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            root.put(&decoded(name)?, decoded(value)?)?;
        }
        let mut input = match root.into_value() {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        let operation = text_of(&mut input, "Action").ok_or_else(|| {
            AwsError::new(ErrorCode::MissingParameter, "The request must contain the parameter Action")
        })?;
        let version = text_of(&mut input, "Version").unwrap_or_default();
        Ok(Self { operation, version, input })
    }

    /// `Version` of a form, without reading the rest of it.
    pub fn version_of(body: &[u8]) -> Option<&str> {
        let text = std::str::from_utf8(body).ok()?;
        text.split('&').find_map(|pair| pair.strip_prefix("Version="))
    }
}

/// Turns the texts of a form's input into what the operation's shape has there: numbers, booleans, moments (in seconds since
/// 1970), and the empty list that a form writes as an empty text. What does not read as such stays a text, for the
/// shape's own check to refuse.
pub fn typed(shape: Shape<'_>, value: Value) -> Value {
    match (shape.kind(), value) {
        (ShapeKind::Structure, Value::Object(members)) => Value::Object(typed_members(shape, members)),
        (ShapeKind::List, Value::Array(items)) => match shape.element() {
            Some(element) => Value::Array(items.into_iter().map(|item| typed(element, item)).collect()),
            None => Value::Array(items),
        },
        (ShapeKind::List, Value::String(text)) if text.is_empty() => Value::Array(Vec::new()),
        (ShapeKind::Integer | ShapeKind::Long, Value::String(text)) => {
            text.parse::<i64>().map_or(Value::String(text), Value::from)
        }
        (ShapeKind::Float | ShapeKind::Double, Value::String(text)) => {
            let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            number.map_or(Value::String(text), Value::Number)
        }
        (ShapeKind::Boolean, Value::String(text)) => match text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::String(text),
        },
        (ShapeKind::Timestamp, Value::String(text)) => {
            Timestamp::parse(&text).map_or(Value::String(text), Timestamp::to_json)
        }
        (_, value) => value,
    }
}

/// The same of a whole input.
pub fn typed_members(shape: Shape<'_>, members: Map<String, Value>) -> Map<String, Value> {
    let typed_member = |(name, value): (String, Value)| match shape.member(&name) {
        Some(member) => (name, typed(member, value)),
        None => (name, value),
    };
    members.into_iter().map(typed_member).collect()
}

fn text_of(input: &mut Map<String, Value>, name: &str) -> Option<String> {
    match input.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Parameters whose names share a beginning.
#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    below: BTreeMap<Part, Node>,
}

/// A part of a name; indexes sort as numbers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Index(usize),
    Name(String),
}

impl Node {
    fn put(&mut self, name: &str, value: String) -> Result<(), AwsError> {
        let mut node = self;
        for (depth, part) in name.split('.').enumerate() {
            if depth == DEPTH_MAX || part.is_empty() {
                return Err(malformed(&format!(
                    "expected a name of 1 to {DEPTH_MAX} parts, found {}",
                    short(name)
                )));
            }
            node = node.below.entry(Part::of(part, name)?).or_default();
        }
        if node.text.replace(value).is_some() {
            return Err(malformed(&format!("expected each parameter once, found {} again", short(name))));
        }
        Ok(())
    }

    /// A text where nothing is below it, a list or a map where the form says so, else a structure.
    fn into_value(mut self) -> Value {
        if self.below.is_empty() {
            return Value::String(self.text.unwrap_or_default());
        }
        if self.below.len() == 1 {
            let member = self.below.remove(&Part::Name("member".to_owned()));
            if let Some(member) = member {
                return member.into_list().unwrap_or_else(|node| structure([("member".to_owned(), node)]));
            }
            let entry = self.below.remove(&Part::Name("entry".to_owned()));
            if let Some(entry) = entry {
                return entry.into_map().unwrap_or_else(|node| structure([("entry".to_owned(), node)]));
            }
        }
        structure(self.below.into_iter().map(|(part, node)| (part.into_name(), node)))
    }

    fn into_list(self) -> Result<Value, Self> {
        if !self.is_numbered() {
            return Err(self);
        }
        Ok(Value::Array(self.below.into_values().map(Self::into_value).collect()))
    }

    fn into_map(self) -> Result<Value, Self> {
        if !self.is_numbered() {
            return Err(self);
        }
        let entries = self.below.into_values().filter_map(|mut entry| {
            let key = entry.below.remove(&Part::Name("key".to_owned()))?.text?;
            let value = entry.below.remove(&Part::Name("value".to_owned())).unwrap_or_default();
            Some((key, value.into_value()))
        });
        Ok(Value::Object(entries.collect()))
    }

    fn is_numbered(&self) -> bool {
        !self.below.is_empty() && self.below.keys().all(|part| matches!(part, Part::Index(_)))
    }
}

impl Part {
    fn of(part: &str, name: &str) -> Result<Self, AwsError> {
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Name(part.to_owned()));
        }
        let index = part.parse().ok().filter(|index| *index <= INDEX_MAX);
        index.map(Self::Index).ok_or_else(|| {
            malformed(&format!("expected an index of at most {INDEX_MAX}, found {}", short(name)))
        })
    }

    fn into_name(self) -> String {
        match self {
            Self::Index(index) => index.to_string(),
            Self::Name(name) => name,
        }
    }
}

fn structure(members: impl IntoIterator<Item = (String, Node)>) -> Value {
    Value::Object(members.into_iter().map(|(name, node)| (name, node.into_value())).collect())
}

/// `+` is a space, `%41` is `A`.
fn decoded(text: &str) -> Result<String, AwsError> {
    let text = text.replace('+', " ");
    match percent_decode_str(&text).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(malformed(&format!("expected UTF-8, found {}", short(&text)))),
    }
}

fn malformed(what: &str) -> AwsError {
    AwsError::new(ErrorCode::SerializationException, format!("form: {what}"))
}

/// A name for an error, quoted, not longer than a line.
fn short(name: &str) -> String {
    let shown: String = name.chars().take(80).collect();
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(form: &str, expected: &Value) {
        let form = format!("Action=Do&Version=2010-08-01&{form}");
        let found = Form::parse(form.as_bytes()).unwrap();
        assert_eq!((found.operation.as_str(), found.version.as_str()), ("Do", "2010-08-01"));
        assert_eq!(&Value::Object(found.input), expected, "{form}");
    }

    #[test]
    fn names_become_structures_lists_and_maps() {
        check("", &json!({}));
        check("A=1&B=", &json!({"A": "1", "B": ""}));
        check("A", &json!({"A": ""}));
        check("A.B.C=x&A.D=y", &json!({"A": {"B": {"C": "x"}, "D": "y"}}));
        check("L.member.1=a&L.member.2=b", &json!({"L": ["a", "b"]}));
        check("L.member.10=c&L.member.2=b&L.member.1=a", &json!({"L": ["a", "b", "c"]}));
        check(
            "Dimensions.member.1.Name=n&Dimensions.member.1.Value=v&Dimensions.member.2.Name=m",
            &json!({"Dimensions": [{"Name": "n", "Value": "v"}, {"Name": "m"}]}),
        );
        check(
            "M.member.1.D.member.1.Name=n&M.member.1.S.Sum=3",
            &json!({"M": [{"D": [{"Name": "n"}], "S": {"Sum": "3"}}]}),
        );
        check(
            "A.entry.1.key=k&A.entry.1.value=v&A.entry.2.key=l&A.entry.2.value.X=1",
            &json!({"A": {"k": "v", "l": {"X": "1"}}}),
        );
        check("A.member=x", &json!({"A": {"member": "x"}}));
    }

    #[test]
    fn texts_are_decoded() {
        check("A=a+b%20c%2Bd%26%3D", &json!({"A": "a b c+d&="}));
        check("A=%E6%97%A5", &json!({"A": "日"}));
        check("A%2EB=1", &json!({"A": {"B": "1"}}));
    }

    #[test]
    fn texts_become_what_the_shape_has() {
        let form = "Action=GetMetricStatistics&Namespace=N&MetricName=5&StartTime=2024-01-02T03:04:05Z&\
                    EndTime=1704164645.5&Period=60&Statistics.member.1=Sum&Dimensions=";
        let input = Form::parse(form.as_bytes()).unwrap().input;
        let shape = crate::shape::table("monitoring").unwrap().input("GetMetricStatistics").unwrap();
        let expected = json!({
            "Namespace": "N", "MetricName": "5", "StartTime": 1_704_164_645, "EndTime": 1_704_164_645.5,
            "Period": 60, "Statistics": ["Sum"], "Dimensions": []
        });
        assert_eq!(Value::Object(typed_members(shape, input)), expected);
        let alarm = crate::shape::table("monitoring").unwrap().input("PutMetricAlarm").unwrap();
        let input = json!({"ActionsEnabled": "false", "Threshold": "0.5", "EvaluationPeriods": "x"});
        let Value::Object(members) = typed(alarm, input) else { panic!("a structure") };
        assert_eq!(members["ActionsEnabled"], json!(false));
        assert_eq!((&members["Threshold"], &members["EvaluationPeriods"]), (&json!(0.5), &json!("x")));
    }

    fn refuse(form: &[u8], part: &str) {
        let error = Form::parse(form).unwrap_err();
        assert!(error.message.contains(part), "expected {part:?} in {error}");
    }

    #[test]
    fn what_is_no_form_is_refused() {
        refuse(b"", "Action");
        refuse(b"Action.X=1", "Action");
        refuse(b"\xff", "ASCII");
        refuse(b"Action=%ff", "UTF-8");
        refuse(b"Action=Do&A=1&A=2", "again");
        refuse(b"Action=Do&A..B=1", "parts");
        refuse(b"Action=Do&L.member.999999999=1", "index");
        refuse(format!("Action=Do&{}=1", vec!["a"; 17].join(".")).as_bytes(), "parts");
        refuse("a=1&".repeat(PARAMETERS_MAX + 1).as_bytes(), "again");
        let many: String = (0..=PARAMETERS_MAX).map(|number| format!("a{number}=&")).collect();
        refuse(many.as_bytes(), "at most");
    }

    #[test]
    fn the_version_is_found_without_reading_the_rest() {
        assert_eq!(Form::version_of(b"Action=A&Version=2011-06-15"), Some("2011-06-15"));
        assert_eq!(Form::version_of(b"Action=A"), None);
    }

    #[test]
    fn foreign_bytes_do_not_panic() {
        let pieces =
            ["A", ".member.", ".entry.", "1", "0", "=", "&", "%", "%4", "+", "key", "value", ".", "é"];
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut form = String::from("Action=X&");
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                form.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            }
            if let Ok(found) = Form::parse(form.as_bytes()) {
                assert!(found.operation.starts_with('X'));
            }
        }
    }
}
