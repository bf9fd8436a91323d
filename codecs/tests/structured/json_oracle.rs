//! serde_json as the reference: on valid and on damaged documents the scanner accepts what a tree of serde_json, read
//! by the plain rules of the layouts, accepts, and the rows are the same.

use codecs::Format;
use dmatrix::RowSchema;
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{Decoded, assert_rows, decode, missing_allowed};

/// A JSON tree that keeps repeated keys, and whole numbers apart.
#[derive(Debug)]
enum Node {
    Null,
    Whole(u64),
    Number(f64),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
    Other,
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = elements.next_element()? {
            nodes.push(node);
        }
        Ok(Node::Array(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

impl Node {
    fn array(&self) -> Option<&[Node]> {
        if let Self::Array(nodes) = self { Some(nodes) } else { None }
    }

    /// The member `name`: `None` for no object, `Some(None)` for an object without it; twice is no object of ours.
    fn member(&self, name: &str) -> Option<Option<&Node>> {
        let Self::Object(members) = self else { return None };
        let mut found = members.iter().filter(|(key, _)| key == name).map(|(_, node)| node);
        let first = found.next();
        found.next().is_none().then_some(first)
    }

    fn numbers(&self) -> Option<Vec<f32>> {
        let number = |node: &Node| match node {
            Self::Null => Some(f32::NAN),
            Self::Whole(value) => Some(*value as f32),
            Self::Number(value) => Some(*value as f32).filter(|value| value.is_finite()),
            _ => None,
        };
        self.array()?.iter().map(number).collect()
    }

    fn whole_numbers(&self) -> Option<Vec<u64>> {
        let whole = |node: &Node| match node {
            Self::Whole(value) if *value <= u64::from(u32::MAX) => Some(*value),
            _ => None,
        };
        self.array()?.iter().map(whole).collect()
    }
}

/// A row and its width.
fn naive_row(node: &Node) -> Option<(Decoded, usize)> {
    if let Node::Array(_) = node {
        return naive_dense(node.numbers()?);
    }
    match (node.member("features")?, node.member("data")?) {
        (Some(features), None) => naive_dense(features.numbers()?),
        (None, Some(data)) => {
            let tensor = data.member("features")??;
            let (values, keys) = (tensor.member("values")?, tensor.member("keys")?);
            let shape = tensor.member("shape")?.map_or(Some(Vec::new()), Node::whole_numbers)?;
            let values_or_none = values.map_or(Some(Vec::new()), Node::numbers)?;
            let keys = keys.map_or(Some(Vec::new()), Node::whole_numbers)?;
            let product = shape.iter().try_fold(1_u64, |product, &dimension| {
                product.checked_mul(dimension).filter(|&product| product <= u64::from(u32::MAX))
            })?;
            let product = (!shape.is_empty()).then_some(product as usize);
            match product {
                None if keys.is_empty() => naive_dense(values_or_none),
                Some(product) if !keys.is_empty() || values_or_none.is_empty() => {
                    naive_sparse(&keys, &values_or_none, product)
                }
                Some(product) if product == values_or_none.len() => naive_dense(values_or_none),
                _ => None,
            }
        }
        _ => None,
    }
}

fn naive_dense(values: Vec<f32>) -> Option<(Decoded, usize)> {
    let width = values.len();
    (width > 0).then_some((Decoded::Dense(values), width))
}

fn naive_sparse(keys: &[u64], values: &[f32], width: usize) -> Option<(Decoded, usize)> {
    let mut entries: Vec<(u32, f32)> =
        keys.iter().map(|&key| key as u32).zip(values.iter().copied()).collect();
    entries.sort_by_key(|entry| entry.0);
    let is_valid = keys.len() == values.len()
        && entries.windows(2).all(|pair| pair[0].0 < pair[1].0)
        && entries.last().is_none_or(|last| (last.0 as usize) < width)
        && width > 0;
    is_valid.then_some((Decoded::Sparse(entries), width))
}

fn naive_body(node: &Node) -> Option<Vec<Decoded>> {
    let instances = match node {
        Node::Array(nodes) if nodes.first().is_some_and(|first| !matches!(first, Node::Array(_))) => {
            std::slice::from_ref(node)
        }
        Node::Array(nodes) if nodes.iter().all(|node| matches!(node, Node::Array(_))) => nodes,
        Node::Array(_) => return None,
        _ => node.member("instances")??.array()?,
    };
    let rows: Vec<(Decoded, usize)> = instances.iter().map(naive_row).collect::<Option<_>>()?;
    if !rows.windows(2).all(|pair| pair[0].1 == pair[1].1) {
        return None;
    }
    let is_sparse = rows.iter().any(|(row, _)| matches!(row, Decoded::Sparse(_)));
    let as_sparse = |row| match row {
        Decoded::Dense(values) if is_sparse => Decoded::Sparse((0..).zip(values).collect()),
        row => row,
    };
    Some(rows.into_iter().map(|(row, _)| as_sparse(row)).collect())
}

/// What the reference says; `Err` when it has no opinion (a number beyond f64, which it refuses even where it is
/// passed over).
fn reference(body: &[u8]) -> Result<Option<Vec<Decoded>>, ()> {
    let Ok(text) = std::str::from_utf8(body) else { return Ok(None) };
    match serde_json::from_str::<Node>(text) {
        Ok(node) => Ok(naive_body(&node)),
        Err(error) if error.to_string().starts_with("number out of range") => Err(()),
        Err(_) => Ok(None),
    }
}

/// Values rounded twice (through f64) may differ from ours by one unit in the last place.
fn is_close(a: f32, b: f32) -> bool {
    (a.is_nan() && b.is_nan()) || a.to_bits().abs_diff(b.to_bits()) <= 1
}

fn are_close(a: &Decoded, b: &Decoded) -> bool {
    match (a, b) {
        (Decoded::Dense(a), Decoded::Dense(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| is_close(a, b))
        }
        (Decoded::Sparse(a), Decoded::Sparse(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && is_close(a.1, b.1))
        }
        _ => false,
    }
}

/// A value as text and as its own f32.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => any::<f32>().prop_filter("finite", |value| value.is_finite()).prop_map(|value| format!("{value:e}")),
        8 => (-1000.0_f32..1000.0).prop_map(|value| value.to_string()),
        4 => (-1_000_000_i32..1_000_000, 0_u32..6).prop_map(|(digits, places)| format!("{digits}e-{places}")),
        1 => Just("null".to_owned()),
    ]
}

fn list(numbers: &[String]) -> String {
    format!("[{}]", numbers.join(", "))
}

fn instance(width: usize) -> impl Strategy<Value = String> {
    let keys = prop::sample::subsequence((0..width).collect::<Vec<_>>(), 0..=width).prop_shuffle();
    let dense = prop::collection::vec(number(), width);
    (dense, keys, 0..6_u8).prop_map(move |(numbers, keys, layout)| match layout {
        0 | 1 => format!(r#"{{"features": {}}}"#, list(&numbers)),
        2 => list(&numbers),
        3 => format!(r#"{{"data":{{"features":{{"values":{}}}}},"configuration":{{"a":[1]}}}}"#, list(&numbers)),
        4 => format!(r#"{{"data": {{"features": {{"shape": [{width}], "values": {}}}}}}}"#, list(&numbers)),
        _ => {
            let values = list(&numbers[..keys.len()]);
            format!(r#"{{"data": {{"features": {{"values": {values}, "keys": {keys:?}, "shape": [1, {width}]}}}}}}"#)
        }
    })
}

fn body() -> impl Strategy<Value = String> {
    let enveloped = (1_usize..6).prop_flat_map(|width| {
        prop::collection::vec(instance(width), 0..5)
            .prop_map(|instances| format!(r#"{{"instances": [{}]}}"#, instances.join(", ")))
    });
    let bare = (1_usize..6).prop_flat_map(|width| {
        prop::collection::vec(prop::collection::vec(number(), width), 0..5)
            .prop_map(|rows| list(&rows.iter().map(|row| list(row)).collect::<Vec<_>>()))
    });
    let row = prop::collection::vec(number(), 1..6).prop_map(|row| list(&row));
    prop_oneof![4 => enveloped, 1 => bare, 1 => row]
}

/// One change of a document.
fn damage() -> impl Strategy<Value = (prop::sample::Index, u8, u8)> {
    let bytes = prop::sample::select(&br#"{}[],:"\0123456789.eE+-nulltrfas xk"#[..]);
    (any::<prop::sample::Index>(), prop_oneof![9 => bytes, 1 => any::<u8>()], 0..4_u8)
}

fn apply(body: &mut Vec<u8>, (index, byte, kind): &(prop::sample::Index, u8, u8)) {
    if body.is_empty() {
        return;
    }
    let at = index.index(body.len());
    match kind {
        0 => body[at] = *byte,
        1 => body.insert(at, *byte),
        2 => drop(body.remove(at)),
        _ => body.truncate(at),
    }
}

fn schema() -> RowSchema {
    missing_allowed(&RowSchema::default())
}

fn assert_agreement(body: &[u8]) {
    let Ok(expected) = reference(body) else { return };
    let found = decode(Format::Json, &schema(), body);
    let text = String::from_utf8_lossy(body);
    match (&found, &expected) {
        (Ok(found), Some(expected)) => {
            let is_same =
                found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| are_close(a, b));
            assert!(is_same, "{text}: {found:?} is not {expected:?}");
        }
        (Err(_), None) => {}
        // An empty body is no rows, though not JSON.
        (Ok(rows), None) if body.is_empty() => assert!(rows.is_empty()),
        _ => panic!("{text}: {found:?}, but the reference says {expected:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn valid_documents_are_read_as_the_reference_reads_them(body in body()) {
        assert_agreement(body.as_bytes());
        prop_assert!(decode(Format::Json, &schema(), body.as_bytes()).is_ok());
    }

    #[test]
    fn damaged_documents_are_refused_when_the_reference_refuses_them(
        body in body(),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let mut body = body.into_bytes();
        for one in &damages {
            apply(&mut body, one);
            assert_agreement(&body);
        }
    }

    #[test]
    fn numbers_are_read_to_the_last_bit(numbers in prop::collection::vec(number(), 1..20)) {
        let expected: Vec<f32> = numbers.iter().map(|text| text.parse().unwrap_or(f32::NAN)).collect();
        let found = decode(Format::JsonLines, &schema(), list(&numbers).as_bytes()).expect("the line is a row");
        assert_rows(&found, &[Decoded::Dense(expected)], "numbers");
    }

    #[test]
    fn lines_and_envelope_give_the_same_rows(
        instances in (1_usize..6).prop_flat_map(|width| prop::collection::vec(instance(width), 0..6)),
    ) {
        let lines = decode(Format::JsonLines, &schema(), instances.join("\n").as_bytes()).expect("lines are rows");
        let envelope = format!(r#"{{"instances": [{}]}}"#, instances.join(","));
        let whole = decode(Format::Json, &schema(), envelope.as_bytes()).expect("the envelope is rows");
        assert_rows(&lines, &whole, "lines against envelope");
    }
}
