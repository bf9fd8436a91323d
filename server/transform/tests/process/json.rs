//! JSON and JSON Lines: documents.

use transform::process::DataProcessing;
use transform::settings::InferenceIds;

use crate::{JSON, JSON_LINES, processing, request, response};

const JOIN: DataProcessing<'static> = DataProcessing { joins_input: true, ..JSON };

/// What `filter` selects of `document`, in both formats.
fn check(filter: &str, document: &str, expected: &str) {
    let asked = DataProcessing { input_filter: Some(filter), ..JSON };
    assert_eq!(request(&asked, document).as_deref(), Ok(expected), "{filter} of {document}");
    let asked = DataProcessing { input_filter: Some(filter), ..JSON_LINES };
    let (line, expected) = (format!("{document}\r\n"), format!("{expected}\r\n"));
    assert_eq!(request(&asked, &line).as_deref(), Ok(&*expected), "{filter} of {line:?}");
}

fn check_error(filter: &str, document: &str, expected: &str) {
    let asked = DataProcessing { input_filter: Some(filter), ..JSON };
    let error = request(&asked, document).expect_err(document).to_string();
    assert_eq!(error, format!("DataProcessing.InputFilter {filter:?}: expected {expected}"), "{document}");
}

fn check_response(asked: &DataProcessing<'_>, record: &str, answer: &str, expected: &str) {
    assert_eq!(response(asked, record, answer).as_deref(), Ok(expected), "{record:?} and {answer:?}");
}

#[test]
fn one_value_is_its_text() {
    check("$.a", r#"{"a": 1.50}"#, "1.50");
    check("$.a", r#"{ "b" :2, "a" : [1 , 2] }"#, "[1 , 2]");
    check("$['a']['b']", r#"{"a": {"b": "x\u0041"}}"#, r#""x\u0041""#);
    check("$.a.b", r#"{"b": 1, "a": {"c": {"b": 2}, "b": null}}"#, "null");
    check("$[0]", "[1e400, 2]", "1e400");
    check("$[-1].a", r#"[{"a": 1}, {"a": -0.0}]"#, "-0.0");
    check("$[1][1]", "[[1,2],[3,4],[5]]", "4");
}

#[test]
fn keys_are_compared_by_what_they_spell() {
    check("$.a", r#"{"\u0061": 1}"#, "1");
    check("$.größe", r#"{"gr\u00f6\u00dfe": 1}"#, "1");
    check("$['a\"b']", r#"{"a\"b": 1}"#, "1");
    check("$['']", r#"{"a": 1, "": 2}"#, "2");
    check("$.a", r#"{"\ud800": 0, "a": 1}"#, "1");
    check("$.a", r#"{"a": 1, "a": 2}"#, "2");
}

#[test]
fn names_give_an_object() {
    check("$['a','c']", r#"{"a":1,"b":2,"c":{"d":3}}"#, r#"{"a": 1, "c": {"d":3}}"#);
    check("$['c','a']", r#"{"a":1,"b":2,"c":3}"#, r#"{"c": 3, "a": 1}"#);
    check("$.x['b','a']", r#"{"x":{"\u0061":1,"b":2}}"#, r#"{"b": 2, "\u0061": 1}"#);
    check("$['a','b'].x", r#"{"a":{"x":1},"b":{"x":[]}}"#, r#"{"a": 1, "b": []}"#);
}

#[test]
fn indexes_and_wildcards_give_an_array() {
    check("$[0,2]", "[1,2,3]", "[1, 3]");
    check("$[2,0,2]", "[1,2,3]", "[3, 1, 3]");
    check("$[1:]", "[1,2,3]", "[2, 3]");
    check("$[:-1]", "[1,2,3]", "[1, 2]");
    check("$[0,2:9]", "[1,2,3,4]", "[1, 3, 4]");
    check("$[0:2,3:]", "[1,2,3,4,5]", "[1, 2, 4, 5]");
    check("$[0:1]", "[ 1 , 2]", "[1]");
    check("$.a[*]", r#"{"a":[1,[2],{"b":3}]}"#, r#"[1, [2], {"b":3}]"#);
    check("$.id.*", r#"{"id":{"x":1,"y":[2]}}"#, "[1, [2]]");
    check("$[*].a", r#"[{"a":1},{"b":0,"a":2}]"#, "[1, 2]");
    check("$.*[0]", r#"{"x":[1,2],"y":[3]}"#, "[1, 3]");
}

#[test]
fn what_is_not_there_is_an_error() {
    check_error("$.b", r#"{"a":1}"#, r#"a member "b", found "{\"a\":1}""#);
    check_error("$.a", "[1]", r#"a member "a", found "[1]""#);
    check_error("$['a','b']", r#"{"a":1}"#, r#"a member "b", found "{\"a\":1}""#);
    check_error("$.a.b", r#"{"a":1}"#, r#"a member "b", found "1""#);
    check_error("$[*].a", r#"[{"a":1},{}]"#, r#"a member "a", found "{}""#);
    check_error("$[2]", "[1,2]", "element 2, counted from 0, found 2 in all");
    check_error("$[0,-3]", "[1,2]", "element -3, counted from 0, found 2 in all");
    check_error("$[2:]", "[1,2]", "at least one element, found none of 2");
    check_error("$[*]", "[]", "at least one element, found none of 0");
    check_error("$.*", "{}", "at least one member, found an empty object");
    check_error("$[0]", r#"{"a":1}"#, r#"an array, found "{\"a\":1}""#);
    check_error("$[*]", "7", r#"an array, found "7""#);
}

#[test]
fn a_record_that_is_not_json_is_refused_to_its_end() {
    let check = |document: &str, expected: &str| {
        let asked = DataProcessing { input_filter: Some("$.a"), ..JSON };
        assert_eq!(request(&asked, document).expect_err(document).to_string(), expected);
    };
    check("", "the record, byte 0: expected a JSON value, found the end");
    check("{\"a\":1", "the record, byte 6: expected ',' or '}', found the end");
    check("{\"a\":1} x", "the record, byte 8: expected the end of the JSON document, found \"x\"");
    check("{\"a\":1,\"b\":01}", "the record, byte 11: expected a number, found \"01}\"");
    check("\u{feff}{\"a\":1}", "the record, byte 0: expected a JSON value, found \"\\u{feff}{\\\"a\\\":1}\"");
}

#[test]
fn a_join_adds_a_member() {
    check_response(
        &JOIN,
        r#"{"id": 1.0}"#,
        r#"{"score": 0.9}"#,
        r#"{"id": 1.0, "SageMakerOutput": {"score": 0.9}}"#,
    );
    check_response(&JOIN, "{}", "[0.9]\n", r#"{"SageMakerOutput": [0.9]}"#);
    check_response(&JOIN, "{ }", "1", r#"{"SageMakerOutput": 1 }"#);
    check_response(&JOIN, "\n{\n  \"a\": [ 1 ]\n}\n", "1", "{\n  \"a\": [ 1 ], \"SageMakerOutput\": 1\n}");
    // Keys that stand twice, and their order, stay.
    check_response(&JOIN, r#"{"b":1,"a":2,"b":3}"#, "0", r#"{"b":1,"a":2,"b":3, "SageMakerOutput": 0}"#);
}

#[test]
fn a_join_overwrites_a_member_in_its_place() {
    check_response(&JOIN, r#"{"SageMakerOutput":[1],"a":2}"#, "0.5", r#"{"SageMakerOutput":0.5,"a":2}"#);
    check_response(
        &JOIN,
        r#"{"a":2, "SageMaker\u004futput" : 1 }"#,
        "0.5",
        r#"{"a":2, "SageMaker\u004futput" : 0.5 }"#,
    );
    check_response(
        &JOIN,
        r#"{"SageMakerOutput":1,"SageMakerOutput":2}"#,
        "0",
        r#"{"SageMakerOutput":0,"SageMakerOutput":0}"#,
    );
    // Only at the top.
    check_response(
        &JOIN,
        r#"{"a":{"SageMakerOutput":1}}"#,
        "0",
        r#"{"a":{"SageMakerOutput":1}, "SageMakerOutput": 0}"#,
    );
}

#[test]
fn what_is_no_object_becomes_one() {
    check_response(&JOIN, "[1, 2]\n", "0.9", r#"{"SageMakerInput": [1, 2], "SageMakerOutput": 0.9}"#);
    check_response(&JOIN, "null", "[]", r#"{"SageMakerInput": null, "SageMakerOutput": []}"#);
}

#[test]
fn lines_are_joined_alike() {
    let join = DataProcessing { joins_input: true, ..JSON_LINES };
    check_response(
        &join,
        "{\"id\":1}\n",
        "{\"score\": 0.9}",
        "{\"id\":1, \"SageMakerOutput\": {\"score\": 0.9}}\n",
    );
    check_response(&join, "[1]\r\n", "0\r", "{\"SageMakerInput\": [1], \"SageMakerOutput\": 0}\n");
    let filtered = DataProcessing { output_filter: Some("$['id','SageMakerOutput']"), ..join };
    check_response(
        &filtered,
        "{\"x\":[1,2],\"id\":7}",
        "{\"s\":1}",
        "{\"id\": 7, \"SageMakerOutput\": {\"s\":1}}\n",
    );
    let deep = DataProcessing { output_filter: Some("$.SageMakerOutput.score"), ..join };
    check_response(&deep, "{\"x\":1}", "{\"score\": 0.90}", "0.90\n");
}

#[test]
fn answers_that_are_not_json_are_not_joined() {
    let check = |record, answer, expected: &str| {
        assert_eq!(response(&JOIN, record, answer).expect_err(answer).to_string(), expected);
    };
    check("{}", "", "the answer, byte 0: expected a JSON value, found the end");
    check("{}", "{\"a\": NaN}", "the answer, byte 6: expected a JSON value, found \"NaN}\"");
    check("{}", "1\n2", "the answer, byte 2: expected the end of the JSON document, found \"2\"");
    check("1,2", "1", "the record, byte 1: expected the end of the JSON document, found \",2\"");
}

#[test]
fn ids_are_two_more_members() {
    let ids = InferenceIds { started: "2022-08-30T00:49:15Z".to_owned() };
    let own = r#""SageMakerInferenceId": "fac82b3e-8f39-88c5-98f2-36a39c6673d7", "SageMakerInferenceTime": "2022-08-30T00:49:15Z"}"#;
    let alone = DataProcessing { inference_ids: Some(&ids), ..JSON_LINES };
    check_response(&alone, "{}\n", r#"{"score": 0.9}"#, &format!("{{\"score\": 0.9, {own}\n"));
    check_response(&alone, "{}\n", "0.9", &format!("{{\"SageMakerOutput\": 0.9, {own}\n"));
    let joined = DataProcessing { joins_input: true, ..alone };
    check_response(&joined, "{\"a\":1}\n", "0.9", &format!("{{\"a\":1, \"SageMakerOutput\": 0.9, {own}\n"));
    let filtered = DataProcessing { output_filter: Some("$.SageMakerOutput"), ..joined };
    check_response(&filtered, "{\"a\":1}\n", "{\"s\":2}", &format!("{{\"s\":2, {own}\n"));
    let document = DataProcessing { inference_ids: Some(&ids), ..JSON };
    check_response(&document, "[]", "{\"predictions\": []}", &format!("{{\"predictions\": [], {own}"));
}

#[test]
fn an_answer_is_a_document_or_a_line_a_record() {
    let answer = b"{\"a\":1}\n{\"a\":2}\n";
    let lines = DataProcessing { joins_input: true, ..JSON_LINES };
    assert_eq!(processing(&lines).split_answer(answer, 2), Ok(vec![&answer[..7], &answer[8..15]]));
    assert!(processing(&lines).split_answer(b"1,2", 2).is_err(), "a line is no list of fields");
    assert_eq!(processing(&JOIN).split_answer(answer, 1), Ok(vec![&answer[..]]));
    assert!(processing(&JOIN).split_answer(answer, 2).is_err());
}
