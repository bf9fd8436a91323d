//! Paths that are served, and where and why others are not.

use super::*;

fn parse(text: &str, kind: Kind) -> Result<Vec<Step>, ProcessError> {
    steps("InputFilter", text, kind, false)
}

fn check(text: &str, expected: &[Step]) {
    assert_eq!(parse(text, Kind::Json).as_deref(), Ok(expected), "{text}");
}

fn check_error(text: &str, kind: Kind, expected: &str) {
    let error = parse(text, kind).expect_err(text).to_string();
    assert_eq!(error, format!("InputFilter {text:?}, {expected}"));
}

fn child(name: &str) -> Step {
    Step::Child(name.to_owned())
}

fn children(names: &[&str]) -> Step {
    Step::Children(names.iter().map(|&name| name.to_owned()).collect())
}

fn slice(from: i64, to: Option<i64>) -> Selector {
    Selector::Slice { from, to }
}

#[test]
fn names() {
    check("$", &[]);
    check("$.a", &[child("a")]);
    check("$.a.b", &[child("a"), child("b")]);
    check("$.a_b-9", &[child("a_b-9")]);
    check("$.größe.値", &[child("größe"), child("値")]);
    check("$['a']['b']", &[child("a"), child("b")]);
    check("$[\"a b\"]", &[child("a b")]);
    check("$['']", &[child("")]);
    check("$[ 'a' ]", &[child("a")]);
    check(r"$['it\'s']", &[child("it's")]);
    check(r#"$['"\\']"#, &[child("\"\\")]);
    check("$['a.b[0]']", &[child("a.b[0]")]);
    check("$['id','SageMakerOutput']", &[children(&["id", "SageMakerOutput"])]);
    check("$.x['a', \"b\"].y", &[child("x"), children(&["a", "b"]), child("y")]);
}

#[test]
fn wildcards_and_indexes() {
    check("$.*", &[Step::Wildcard]);
    check("$[*]", &[Step::Wildcard]);
    check("$.id.*", &[child("id"), Step::Wildcard]);
    check("$[*].score", &[Step::Wildcard, child("score")]);
    check("$[0]", &[Step::Element(0)]);
    check("$[-1][2].a", &[Step::Element(-1), Step::Element(2), child("a")]);
    check("$[1,3,5]", &[Step::Elements([1, 3, 5].map(Selector::Index).to_vec())]);
    check("$[1:]", &[Step::Elements(vec![slice(1, None)])]);
    check("$[:5]", &[Step::Elements(vec![slice(0, Some(5))])]);
    check("$[:]", &[Step::Elements(vec![slice(0, None)])]);
    check("$[:-1]", &[Step::Elements(vec![slice(0, Some(-1))])]);
    check("$[ 2 : 5 ]", &[Step::Elements(vec![slice(2, Some(5))])]);
    check("$[0,5:]", &[Step::Elements(vec![Selector::Index(0), slice(5, None)])]);
    check("$[0:2,246:]", &[Step::Elements(vec![slice(0, Some(2)), slice(246, None)])]);
    check("$[-3:-1, 0]", &[Step::Elements(vec![slice(-3, Some(-1)), Selector::Index(0)])]);
}

#[test]
fn slices_can_include_their_end() {
    let check = |text, expected| {
        assert_eq!(steps("F", text, Kind::Csv, true), Ok(vec![Step::Elements(vec![expected])]), "{text}");
    };
    check("$[1:4]", slice(1, Some(5)));
    check("$[:-2]", slice(0, Some(-1)));
    check("$[:-1]", slice(0, None));
    check("$[1:]", slice(1, None));
}

#[test]
fn csv_has_no_names_and_one_step() {
    assert_eq!(parse("$[*]", Kind::Csv), Ok(vec![]));
    assert_eq!(parse("$[2]", Kind::Csv), Ok(vec![Step::Element(2)]));
    const NAMES: &str =
        "expected indexes and slices, as in $[0,2:] (a CSV record is a flat array without names)";
    check_error("$.features", Kind::Csv, &format!("character 2: {NAMES}, found \".features\""));
    check_error("$['a','b']", Kind::Csv, &format!("character 2: {NAMES}, found \"['a','b']\""));
    const ONE: &str = "expected the end (a CSV record is a flat array: one step is all there is)";
    check_error("$[1:][0]", Kind::Csv, &format!("character 6: {ONE}, found \"[0]\""));
}

#[test]
fn refusals_say_where_and_what_is_served() {
    let check = |text, expected| check_error(text, Kind::Json, expected);
    check("", "character 1: expected '$', where every path starts, found the end");
    check("a", "character 1: expected '$', where every path starts, found \"a\"");
    check("$a", "character 2: expected '.', '[' or the end, found \"a\"");
    check("$[0", "character 4: expected ',' or ']', found the end");
    check("$[0]x", "character 5: expected '.', '[' or the end, found \"x\"");
    check("$..a", "character 3: expected a name or '*' (recursive descent '..' is not served), found \".a\"");
    check("$.a b", "character 4: expected '.', '[' or the end, found \" b\"");
    check(
        "$.",
        "character 3: expected a name of letters, digits, '_' and '-', or '*' (others as ['name']), found the end",
    );
    for (text, at, found) in
        [("$[?(@.a>1)]", 3, "\"?(@.a>1)]\""), ("$[]", 3, "\"]\""), ("$[(1)]", 3, "\"(1)]\"")]
    {
        check_error(text, Kind::Json, &format!("character {at}: expected {IN_BRACKETS}, found {found}"));
    }
    check("$[0:9:2]", "character 6: expected ',' or ']' (slices with a step are not served), found \":2]\"");
    check("$['a',0]", "character 7: expected a name in quotes, as before the comma, found \"0]\"");
    check("$[0,'a']", "character 5: expected an index or a slice, as before the comma, found \"'a']\"");
    check("$[0,]", "character 5: expected an index or a slice, as before the comma, found \"]\"");
    check("$['a','a']", "character 7: expected each name once, found \"'a']\"");
    check("$['a", "character 5: expected a closing quote, found the end");
    check(r"$['\n']", "character 5: expected a quote or a backslash behind a backslash, found \"n']\"");
    check("$[-]", "character 4: expected an index of 1 to 18 digits, found \"]\"");
    check("$[-0]", "character 3: expected an index (-1 is the last, 0 the first), found \"-0]\"");
    check(
        "$[9999999999999999999]",
        "character 3: expected an index of 1 to 18 digits, found \"9999999999999999999]\"",
    );
    check("$[*].a[*]", "character 7: expected at most one step that selects several values, found \"[*]\"");
}

#[test]
fn paths_are_at_most_63_characters() {
    let longest = format!("$.{}", "ä".repeat(61));
    check(&longest, &[child(&"ä".repeat(61))]);
    let longer = format!("{longest}b");
    check_error(&longer, Kind::Json, "character 64: expected at most 63 characters, found 64");
    let names: Vec<String> = (0..15).map(|index| format!("'{index:x}'")).collect();
    check(
        &format!("$[{}]", names.join(",")),
        &[Step::Children((0..15).map(|index| format!("{index:x}")).collect())],
    );
}
