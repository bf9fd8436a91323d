//! Random records against slow, independent readings of them.

use std::fmt::Write as _;

use fastrand::Rng;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use transform::process::{DataProcessing, ProcessError};

use crate::{CSV, JSON, JSON_LINES, request, response};

/// Random records of each test. Reason: a second or two without optimization.
const CASES: usize = 20_000;

const NAMES: [&str; 5] = ["a", "b", "c d", "é", "it's"];

/// A path as the tests know it.
#[derive(Debug, Clone)]
enum Step {
    Names(Vec<&'static str>),
    Wildcard,
    Elements(Vec<Selector>),
}

#[derive(Debug, Clone, Copy)]
enum Selector {
    Index(i64),
    Slice(Option<i64>, Option<i64>),
}

impl Selector {
    fn draw(random: &mut Rng) -> Self {
        let mut bound = || random.bool().then(|| random.i64(-5..6));
        match bound() {
            Some(index) if bound().is_some() => Self::Index(index),
            from => Self::Slice(from, bound()),
        }
    }

    /// Which of `count` elements; none where an index is not there.
    fn select(self, count: usize) -> Option<Vec<usize>> {
        let count = count as i64;
        let absolute = |index: i64| if index < 0 { count + index } else { index };
        let is_selected = |at: &i64| match self {
            Self::Index(index) => *at == absolute(index),
            Self::Slice(from, to) => {
                from.is_none_or(|from| *at >= absolute(from)) && to.is_none_or(|to| *at < absolute(to))
            }
        };
        let selected: Vec<usize> = (0..count).filter(is_selected).map(|at| at as usize).collect();
        (!matches!(self, Self::Index(_)) || !selected.is_empty()).then_some(selected)
    }

    fn write(self, path: &mut String) {
        let bound = |index: Option<i64>| index.map(|index| index.to_string()).unwrap_or_default();
        path.push_str(&match self {
            Self::Index(index) => index.to_string(),
            Self::Slice(from, to) => format!("{}:{}", bound(from), bound(to)),
        });
    }
}

fn selectors(random: &mut Rng) -> Vec<Selector> {
    (0..random.usize(1..4)).map(|_| Selector::draw(random)).collect()
}

/// The places that all of `selectors` select together: none where there are none, or an index is not there.
fn places(selectors: &[Selector], count: usize) -> Option<Vec<usize>> {
    let places: Option<Vec<Vec<usize>>> = selectors.iter().map(|selector| selector.select(count)).collect();
    places.map(|places| places.concat()).filter(|places| !places.is_empty())
}

impl Step {
    /// A step that often leads on from `value`.
    fn draw(random: &mut Rng, value: &Value, may_select_several: bool) -> Self {
        let there: Vec<&'static str> = NAMES.into_iter().filter(|name| value.get(name).is_some()).collect();
        let name = |random: &mut Rng| {
            let names = if there.is_empty() || random.u8(..8) == 0 { &NAMES[..] } else { &there };
            names[random.usize(..names.len())]
        };
        match random.u8(..10) {
            0 if may_select_several => Self::Wildcard,
            1..4 if may_select_several && value.is_object() => {
                let mut names = vec![name(random)];
                let second = name(random);
                names.extend((second != names[0]).then_some(second));
                Self::Names(names)
            }
            1..4 if may_select_several => Self::Elements(selectors(random)),
            4..9 if value.is_array() => Self::Elements(vec![Selector::Index(random.i64(-2..3))]),
            _ => Self::Names(vec![name(random)]),
        }
    }

    fn selects_several(&self) -> bool {
        match self {
            Self::Names(names) => names.len() > 1,
            Self::Wildcard => true,
            Self::Elements(selectors) => !matches!(selectors[..], [Selector::Index(_)]),
        }
    }

    /// One of its spellings.
    fn write(&self, random: &mut Rng, path: &mut String) {
        let blank = if random.u8(..4) == 0 { " " } else { "" };
        match self {
            Self::Wildcard => path.push_str(if random.bool() { ".*" } else { "[*]" }),
            Self::Names(names)
                if names.len() == 1 && names[0].chars().all(char::is_alphabetic) && random.bool() =>
            {
                write!(path, ".{}", names[0]).expect("a string takes all");
            }
            Self::Names(names) => {
                let names: Vec<String> = names
                    .iter()
                    .map(|name| {
                        if random.bool() {
                            format!("\"{name}\"")
                        } else {
                            format!("'{}'", name.replace('\'', "\\'"))
                        }
                    })
                    .collect();
                write!(path, "[{blank}{}]", names.join(&format!(",{blank}"))).expect("a string takes all");
            }
            Self::Elements(selectors) => {
                path.push('[');
                for (position, selector) in selectors.iter().enumerate() {
                    path.push_str(if position == 0 { "" } else { "," });
                    path.push_str(blank);
                    selector.write(path);
                }
                path.push(']');
            }
        }
    }
}

/// What `steps` select of `value`, by building it.
fn select(value: &Value, steps: &[Step]) -> Option<Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value.clone()) };
    let all = |values: Vec<&Value>| -> Option<Value> {
        let selected: Option<Vec<Value>> = values.into_iter().map(|value| select(value, rest)).collect();
        selected.filter(|selected| !selected.is_empty()).map(Value::Array)
    };
    match step {
        Step::Names(names) if names.len() == 1 => select(value.get(names[0])?, rest),
        Step::Names(names) => {
            let member = |name: &&str| Some(((*name).to_owned(), select(value.get(*name)?, rest)?));
            Some(Value::Object(names.iter().map(member).collect::<Option<Map<_, _>>>()?))
        }
        Step::Wildcard => match value {
            Value::Array(elements) => all(elements.iter().collect()),
            Value::Object(members) => all(members.values().collect()),
            _ => None,
        },
        Step::Elements(selectors) => {
            let elements = value.as_array()?;
            let places = places(selectors, elements.len())?;
            if step.selects_several() {
                all(places.into_iter().map(|at| &elements[at]).collect())
            } else {
                select(&elements[places[0]], rest)
            }
        }
    }
}

fn document(random: &mut Rng, depth: usize) -> Value {
    match random.u8(..if depth == 0 { 4 } else { 10 }) {
        0 => Value::Null,
        1 => json!(random.i64(..)),
        2 => json!(random.bool()),
        3 => json!(["", "a\"b", "]},{[", "\\", "\u{1}\u{2028}é"][random.usize(..5)]),
        4..7 => (0..random.usize(..6)).map(|_| document(random, depth - 1)).collect(),
        _ => {
            let members = (0..random.usize(..7))
                .map(|_| (NAMES[random.usize(..NAMES.len())].to_owned(), document(random, depth - 1)));
            Value::Object(members.collect())
        }
    }
}

#[test]
fn json_selections_are_those_of_a_slow_evaluator() {
    let mut random = Rng::with_seed(1);
    let (mut selected, mut absent) = (0, 0);
    for _ in 0..CASES {
        let document = document(&mut random, 4);
        if !document.is_array() && !document.is_object() {
            continue;
        }
        let (mut steps, mut path, mut value) = (Vec::new(), "$".to_owned(), Some(document.clone()));
        for _ in 0..random.usize(1..3) {
            let may_select_several = !steps.iter().any(Step::selects_several);
            let step = Step::draw(&mut random, value.as_ref().unwrap_or(&Value::Null), may_select_several);
            value = value.as_ref().and_then(|value| select(value, std::slice::from_ref(&step)));
            if step.selects_several() {
                // The next step is of each of them.
                let first =
                    |value: Value| value.get(0).or_else(|| value.as_object()?.values().next()).cloned();
                value = value.and_then(first);
            }
            step.write(&mut random, &mut path);
            steps.push(step);
        }
        if path.chars().count() > 63 {
            continue;
        }
        let text = if random.bool() { document.to_string() } else { format!("{document:#}\n") };
        let found = request(&DataProcessing { input_filter: Some(&path), ..JSON }, &text);
        let expected = select(&document, &steps);
        match (&found, &expected) {
            (Ok(found), Some(expected)) => {
                assert_eq!(&serde_json::from_str::<Value>(found).expect(found), expected, "{path} of {text}");
                selected += 1;
            }
            (Err(ProcessError::Selection { .. }), None) => absent += 1,
            _ => panic!("{path} of {text}: {found:?} is not {expected:?}"),
        }
    }
    assert!(selected > CASES / 5 && absent > CASES / 5, "{selected} selected, {absent} absent");
}

#[test]
fn json_joins_are_those_of_a_map() {
    let mut random = Rng::with_seed(2);
    let asked = DataProcessing { joins_input: true, ..JSON_LINES };
    for _ in 0..CASES {
        let (mut record, answer) = (document(&mut random, 3), document(&mut random, 2));
        if let (Value::Object(members), true) = (&mut record, random.bool()) {
            members.insert("SageMakerOutput".to_owned(), json!([1, {"SageMakerOutput": 2}]));
        }
        let joined = response(&asked, &format!("{record}\n"), &answer.to_string()).expect("both are JSON");
        let expected = match record {
            Value::Object(mut members) => {
                members.insert("SageMakerOutput".to_owned(), answer);
                Value::Object(members)
            }
            record => json!({"SageMakerInput": record, "SageMakerOutput": answer}),
        };
        assert!(joined.ends_with('\n') && joined.matches('\n').count() == 1, "{joined:?} is a line");
        assert_eq!(serde_json::from_str::<Value>(&joined).expect(&joined), expected);
    }
}

#[test]
fn what_is_json_is_what_another_reader_takes() {
    const PIECES: [&str; 24] = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u00e9", "\\n", "0", "12", "-", ".", "e", "+", "true",
        "null", "\"a\"", " ", "\n", "\u{1}", "é", "\"k\":",
    ];
    let mut random = Rng::with_seed(3);
    let asked = DataProcessing { joins_input: true, ..JSON };
    let mut taken = 0;
    for _ in 0..CASES {
        let mut text = if random.u8(..4) == 0 { String::new() } else { document(&mut random, 3).to_string() };
        for _ in 0..random.usize(..3) {
            let at = random.usize(..=text.len());
            if text.is_char_boundary(at) {
                text.insert_str(at, PIECES[random.usize(..PIECES.len())]);
            }
        }
        let is_json = serde_json::from_str::<&RawValue>(&text).is_ok();
        assert_eq!(response(&asked, "{}", &text).is_ok(), is_json, "{text:?} as an answer");
        assert_eq!(response(&asked, &text, "0").is_ok(), is_json, "{text:?} as a record");
        taken += usize::from(is_json);
    }
    assert!(taken > CASES / 5 && taken < CASES * 4 / 5, "{taken} are JSON");
}

fn field(random: &mut Rng) -> String {
    let pieces: &[&str] = match random.u8(..4) {
        0 => return String::new(),
        1 => &["a", ",", "\"\"", " ", "é"],
        _ => &["1", "0.50", " ", "é", "-"],
    };
    let text: String = (0..random.usize(1..4)).map(|_| pieces[random.usize(..pieces.len())]).collect();
    if pieces[1] == "," {
        format!("{}\"{text}\"{}", [" ", ""][random.usize(..2)], ["", "\t"][random.usize(..2)])
    } else {
        text
    }
}

#[test]
fn csv_selections_are_those_of_the_fields() {
    let mut random = Rng::with_seed(4);
    let (mut selected, mut absent) = (0, 0);
    for _ in 0..CASES {
        let fields: Vec<String> = (0..random.usize(1..8)).map(|_| field(&mut random)).collect();
        let (record, answer) = fields.split_at(random.usize(..fields.len()));
        let (selectors, mut path) = (selectors(&mut random), String::new());
        Step::Elements(selectors.clone()).write(&mut random, &mut path);
        let path = format!("${path}");
        let found = if record.is_empty() {
            let end = ["", "\n", "\r\n"][random.usize(..3)];
            let asked = DataProcessing { input_filter: Some(&path), ..CSV };
            let found = request(&asked, &(fields.join(",") + end));
            found.map(|found| found.strip_suffix(end).expect("the end of line is kept").to_owned())
        } else {
            let asked = DataProcessing { joins_input: true, output_filter: Some(&path), ..CSV };
            let found = response(&asked, &(record.join(",") + "\n"), &answer.join(","));
            found.map(|found| found.strip_suffix('\n').expect("a line").to_owned())
        };
        let expected = places(&selectors, fields.len())
            .map(|places| places.into_iter().map(|at| &*fields[at]).collect::<Vec<_>>().join(","));
        match (&found, &expected) {
            (Ok(found), Some(expected)) => {
                assert_eq!(found, expected, "{path} of {fields:?}");
                selected += 1;
            }
            (Err(ProcessError::Selection { .. }), None) => absent += 1,
            _ => panic!("{path} of {fields:?}: {found:?} is not {expected:?}"),
        }
    }
    assert!(selected > CASES / 5 && absent > CASES / 10, "{selected} selected, {absent} absent");
}
