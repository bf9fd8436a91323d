//! CSV: the fields of lines.

use transform::process::DataProcessing;
use transform::settings::InferenceIds;

use crate::{CSV, processing, request, response};

const JOIN: DataProcessing<'static> = DataProcessing { joins_input: true, ..CSV };

fn check_request(filter: &str, record: &str, expected: &str) {
    let asked = DataProcessing { input_filter: Some(filter), ..CSV };
    assert_eq!(request(&asked, record).as_deref(), Ok(expected), "{filter} of {record:?}");
}

fn check_response(asked: &DataProcessing<'_>, record: &str, answer: &str, expected: &str) {
    assert_eq!(response(asked, record, answer).as_deref(), Ok(expected), "{record:?} and {answer:?}");
}

fn check_split(answer: &str, records: usize, expected: &[&str]) {
    let answers = processing(&JOIN).split_answer(answer.as_bytes(), records).expect(answer);
    let answers: Vec<_> =
        answers.into_iter().map(|answer| std::str::from_utf8(answer).expect("UTF-8")).collect();
    assert_eq!(answers, expected, "{answer:?}");
}

fn check_split_error(answer: &str, records: usize, found: usize) {
    let error = processing(&JOIN).split_answer(answer.as_bytes(), records).expect_err(answer).to_string();
    let expected =
        format!("expected an answer of {records} lines, one a record, to join or filter; found {found}");
    assert_eq!(error, expected, "{answer:?}");
}

#[test]
fn requests_keep_the_end_of_line() {
    check_request("$[1:]", "a,1,2\n", "1,2\n");
    check_request("$[1:]", "a,1,2\r\n", "1,2\r\n");
    check_request("$[1:]", "a,1,2", "1,2");
    check_request("$[:-1]", "a,1,2\r\n", "a,1\r\n");
    check_request("$[2,0]", "a,1,2\n", "2,a\n");
    let whole = DataProcessing { output_filter: Some("$[0]"), ..CSV };
    assert_eq!(request(&whole, "a,1,\"2\n").as_deref(), Ok("a,1,\"2\n"));
}

#[test]
fn a_join_is_the_line_then_the_answer() {
    check_response(&JOIN, "1,2,3\n", "0.9", "1,2,3,0.9\n");
    check_response(&JOIN, "1,2,3\r\n", "0.9", "1,2,3,0.9\n");
    check_response(&JOIN, "1,2,3", "0.9\n", "1,2,3,0.9\n");
    check_response(&JOIN, " 1.0 ,\"a,b\"\n", "\"[0.1, 0.9]\",1", " 1.0 ,\"a,b\",\"[0.1, 0.9]\",1\n");
    check_response(&JOIN, "\u{feff}1,\u{e9}\n", "0.50", "\u{feff}1,\u{e9},0.50\n");
    check_response(&JOIN, "\n", "0.9", ",0.9\n");
}

#[test]
fn output_filters_see_the_joined_record() {
    let filtered = |filter, record, answer, expected| {
        check_response(&DataProcessing { output_filter: Some(filter), ..JOIN }, record, answer, expected);
    };
    filtered("$[0,-1]", "id,1,2\n", "0.9", "id,0.9\n");
    filtered("$[-2:]", "id,1,2\n", "0.1,0.9", "0.1,0.9\n");
    filtered("$[0,3:]", "id,1,2\n", "a,b", "id,a,b\n");
    filtered("$[0:2,4:]", "a,b,c,d\r\n", "e,f", "a,b,e,f\n");
    filtered("$", "id,1\n", "0.9", "id,1,0.9\n");
    let alone = DataProcessing { output_filter: Some("$[1]"), ..CSV };
    check_response(&alone, "id,1,2\n", "0.1,0.9", "0.9\n");
}

#[test]
fn ids_are_the_last_two_columns() {
    let ids = InferenceIds { started: "2022-08-30T00:49:15Z".to_owned() };
    let asked = DataProcessing { inference_ids: Some(&ids), ..CSV };
    let id = "fac82b3e-8f39-88c5-98f2-36a39c6673d7";
    check_response(&asked, "1,2\n", "0.9", &format!("0.9,{id},2022-08-30T00:49:15Z\n"));
    let joined = DataProcessing { output_filter: Some("$[0,-1]"), joins_input: true, ..asked };
    check_response(&joined, "1,2\n", "0.9", &format!("1,0.9,{id},2022-08-30T00:49:15Z\n"));
}

#[test]
fn answers_are_lines() {
    check_split("0.1\n0.2\n", 2, &["0.1", "0.2"]);
    check_split("0.1\n0.2", 2, &["0.1", "0.2"]);
    check_split("0.1\r\n0.2\r\n", 2, &["0.1", "0.2"]);
    check_split("0.1,0.9\n", 1, &["0.1,0.9"]);
    check_split("\n", 1, &[""]);
    check_split("\n\n", 2, &["", ""]);
    check_split_error("", 1, 0);
    check_split_error("0.1\n0.2\n", 1, 2);
    check_split_error("0.1\n0.2\n0.3\n0.4", 2, 4);
    check_split_error("0.1\n0.2\n", 3, 2);
    check_split_error("0.1\n\n", 1, 2);
}

/// Two bodies that XGBoost's container writes: `XGBOOST_CSV_LEGACY`, and lists with `SAGEMAKER_BATCH`.
#[test]
fn answers_of_one_line_and_of_lists() {
    check_split("0.1,0.2,0.3", 3, &["0.1", "0.2", "0.3"]);
    check_split("\"[0, 1]\",\"[1, 0]\"\n", 2, &["\"[0, 1]\"", "\"[1, 0]\""]);
    check_split_error("0.1,0.2,0.3", 2, 1);
    check_split_error("0.1,0.2,0.3,0.4", 2, 1);
    check_split_error("\"0.1,0.2", 2, 1);
    check_split("[0.1, 0.9]\n[0.8, 0.2]\n", 2, &["[0.1, 0.9]", "[0.8, 0.2]"]);
}

#[test]
fn what_cannot_be_filtered_is_refused() {
    let asked = DataProcessing { input_filter: Some("$[2:]"), output_filter: Some("$[9]"), ..JOIN };
    let error = request(&asked, "1,2\n").expect_err("two fields").to_string();
    assert_eq!(error, "DataProcessing.InputFilter \"$[2:]\": expected at least one field, found none of 2");
    let error = response(&asked, "1,2\n", "0.9").expect_err("three fields").to_string();
    assert_eq!(
        error,
        "DataProcessing.OutputFilter \"$[9]\": expected field 9, counted from 0, found 3 in all"
    );
    let error = response(&DataProcessing { output_filter: Some("$[0]"), ..JOIN }, "1,\"2\n", "0.9");
    assert_eq!(
        error.expect_err("an open quote").to_string(),
        "the joined record, byte 2: expected a field that its closing quote ends, found \"\\\"2,0.9\"",
    );
}
