//! JSON and JSON Lines requests: every layout, and every refusal word by word.

use codecs::Format;
use dmatrix::{LabelPolicy, Missing, RowSchema};

use crate::{Decoded, assert_rows, decode, dense, missing_allowed, narrow_allowed, sparse};

fn check(schema: &RowSchema, body: &str, expected: &[Decoded]) {
    let found =
        decode(Format::Json, schema, body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
    assert_rows(&found, expected, body);
}

fn check_lines(schema: &RowSchema, body: &str, expected: &[Decoded]) {
    let found =
        decode(Format::JsonLines, schema, body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
    assert_rows(&found, expected, body);
}

fn check_error(schema: &RowSchema, body: impl AsRef<[u8]>, expected: &str) {
    let body = body.as_ref();
    assert_eq!(
        decode(Format::Json, schema, body),
        Err(expected.to_owned()),
        "{}",
        String::from_utf8_lossy(body)
    );
}

fn check_lines_error(schema: &RowSchema, body: &str, expected: &str) {
    assert_eq!(decode(Format::JsonLines, schema, body.as_bytes()), Err(expected.to_owned()), "{body}");
}

fn any() -> RowSchema {
    RowSchema::default()
}

const NAN: f32 = f32::NAN;

#[test]
fn every_layout_is_read() {
    let rows = [dense(&[1.5, 16.0]), dense(&[-2.0, 100.2])];
    check(&any(), r#"{"instances": [{"features": [1.5, 16.0]}, {"features": [-2.0, 100.2]}]}"#, &rows);
    check(
        &any(),
        r#"{"instances":[{"data":{"features":{"values":[1.5,16]}},"configuration":{}},[-2,100.2]]}"#,
        &rows,
    );
    check(&any(), r#"{"instances": [[1.5, 16.0], [-2.0, 100.2]]}"#, &rows);
    check(&any(), "[[1.5, 16.0], [-2.0, 100.2]]", &rows);
    check(&any(), " [ [ 1.5 , 16.0 ] ,\r\n\t[ -2e0 , 1002E-1 ] ] \n", &rows);
    check(&any(), "[1.5, 16.0]", &rows[..1]);
    check_lines(
        &any(),
        "{\"features\": [1.5, 16.0]}\n{\"data\": {\"features\": {\"values\": [-2.0, 100.2]}}}",
        &rows,
    );
    check_lines(&any(), "[1.5, 16.0]\r\n [-2.0, 100.2] \n\n \n", &rows);
}

#[test]
fn nothing_is_no_rows() {
    for body in ["", "[]", r#"{"instances": []}"#] {
        check(&any(), body, &[]);
    }
    for body in ["", "\n", " \r\n\n"] {
        check_lines(&any(), body, &[]);
    }
}

#[test]
fn sparse_instances_in_any_order_of_keys() {
    let row = [sparse(&[(26, 1.0), (182, 1.0), (232, 4.0)])];
    let in_order = r#"{"keys": [26, 182, 232], "shape": [2000], "values": [1, 1, 4]}"#;
    let reversed = r#"{"values": [4, 1, 1], "shape": [20, 100], "keys": [232, 182, 26]}"#;
    for tensor in [in_order, reversed] {
        check(&any(), &format!(r#"{{"instances": [{{"data": {{"features": {tensor}}}}}]}}"#), &row);
        check_lines(&RowSchema::exactly(2000), &format!(r#"{{"data": {{"features": {tensor}}}}}"#), &row);
    }
    check_lines(&any(), r#"{"data": {"features": {"shape": [5]}}}"#, &[sparse(&[])]);
    check_lines(
        &any(),
        r#"{"data": {"features": {"keys": [], "shape": [5], "values": []}}}"#,
        &[sparse(&[])],
    );
    check_lines(
        &any(),
        r#"{"data": {"features": {"shape": [2, 2], "values": [1, 2, 3, 4]}}}"#,
        &[dense(&[1.0, 2.0, 3.0, 4.0])],
    );
}

#[test]
fn dense_rows_beside_sparse_ones_become_sparse() {
    let zero = r#"{"data": {"features": {"keys": [2], "shape": [3], "values": [7]}}}"#;
    let whole = |values: [f32; 3]| sparse(&[(0, values[0]), (1, values[1]), (2, values[2])]);
    check_lines(
        &any(),
        &format!("[1, 2, 3]\n[4, 5, 6]\n{zero}\n[7, 8, 9]\n{zero}"),
        &[
            whole([1.0, 2.0, 3.0]),
            whole([4.0, 5.0, 6.0]),
            sparse(&[(2, 7.0)]),
            whole([7.0, 8.0, 9.0]),
            sparse(&[(2, 7.0)]),
        ],
    );
    check_lines(&any(), &format!("{zero}\n[1, 2, 3]"), &[sparse(&[(2, 7.0)]), whole([1.0, 2.0, 3.0])]);
}

#[test]
fn other_keys_are_passed_over_whatever_they_hold() {
    let body = r#"{"a": [1, {"b": [null, true, false, "\u00e9\"\\", -0.5e+7, 1e999]}], "instances": [
        {"id": "row \ud83d\ude00 1", "features": [1], "x": {}, "x": []}], "configuration": "é"}"#;
    check(&any(), body, &[dense(&[1.0])]);
    check(&any(), r#"{"\u0069nstances": [{"f\u0065atures": [1]}]}"#, &[dense(&[1.0])]);
    check(
        &any(),
        r#"{"instances": [{"features": [1], "feat\nures": 2, "instances": 3, "values": 4}]}"#,
        &[dense(&[1.0])],
    );
}

#[test]
fn missing_values() {
    check(&missing_allowed(&any()), "[1, null, 3]", &[dense(&[1.0, NAN, 3.0])]);
    let sentinel = RowSchema { missing: Missing::Sentinel(-999.0), ..any() };
    check(&sentinel, "[-999, null, 3]", &[dense(&[NAN, NAN, 3.0])]);
    check(
        &narrow_allowed(3),
        "[[1], [1, 2, 3], []]",
        &[dense(&[1.0, NAN, NAN]), dense(&[1.0, 2.0, 3.0]), dense(&[NAN; 3])],
    );
    check_lines(
        &narrow_allowed(3),
        r#"{"data": {"features": {"keys": [1], "shape": [2], "values": [7]}}}"#,
        &[sparse(&[(1, 7.0)])],
    );
    check_error(
        &any(),
        r#"{"instances": [[1], [null]]}"#,
        "row 2, column 1, byte 21: expected a number, found a missing value, which this model does not take",
    );
}

#[test]
fn widths() {
    check_error(
        &RowSchema::exactly(3),
        "[[1, 2, 3], [1, 2]]",
        "row 2, byte 12: expected 3 features, found 2",
    );
    check_error(
        &RowSchema::exactly(2),
        r#"{"instances": [{"features": [1, 2, 3]}]}"#,
        "row 1, byte 15: expected 2 features, found 3",
    );
    check_error(&any(), "[[1, 2], [1]]", "row 2, byte 9: expected 2 features, found 1");
    check_error(&narrow_allowed(2), "[1, 2, 3]", "row 1, byte 0: expected at most 2 features, found 3");
    check_error(&any(), "[[]]", "row 1, byte 1: expected at least one feature, found none");
    let tensor = |shape: &str| {
        format!(
            r#"{{"instances": [{{"data": {{"features": {{"keys": [1], "shape": {shape}, "values": [7]}}}}}}]}}"#
        )
    };
    check_error(&RowSchema::exactly(3), tensor("[4]"), "row 1, byte 15: expected 3 features, found 4");
    check_error(&RowSchema::exactly(3), tensor("[2]"), "row 1, byte 15: expected 3 features, found 2");
    check_error(&narrow_allowed(3), tensor("[4]"), "row 1, byte 15: expected at most 3 features, found 4");
}

#[test]
fn numbers_are_those_of_json() {
    let refused = |number: &str, found: &str| {
        check_error(
            &any(),
            format!("[[1, 2], [3, {number}]]"),
            &format!("row 2, column 2, byte 13: expected a number, found {found}"),
        );
    };
    for number in [
        "NaN",
        "Infinity",
        "-Infinity",
        "+1",
        "01",
        "-01",
        ".5",
        "1.",
        "-",
        "1.e5",
        "1e",
        "1e+",
        "nan",
        "TRUE",
    ] {
        refused(number, &format!("\"{number}\""));
    }
    check_error(&any(), "[0x10]", "row 1, column 1, byte 2: expected ',' or ']', found \"x10\"");
    refused("true", "\"true\"");
    refused("\"2\"", "the string \"2\"");
    refused("{}", "an object");
    refused("[2]", "an array");
    refused("", "\"]\"");
    check_error(
        &any(),
        "[1, 1e39]",
        "row 1, column 2, byte 4: expected a finite number within the range of f32, found \"1e39\"",
    );
    check_error(&any(), "[1, 2x]", "row 1, column 2, byte 5: expected ',' or ']', found \"x\"");
    check_error(&any(), "[1 2]", "row 1, column 1, byte 3: expected ',' or ']', found \"2\"");
    check_error(&any(), "[1,]", "row 1, column 2, byte 3: expected a number, found \"]\"");
    check(&any(), "[-0, 0.5, 1E2, 1e-46, 3.4028235e38]", &[dense(&[-0.0, 0.5, 100.0, 0.0, f32::MAX])]);
}

#[test]
fn what_is_not_a_layout_is_named() {
    check_error(
        &any(),
        " ",
        "byte 1: expected an object with \"instances\", or an array, found the end of the body",
    );
    check_error(&any(), "1", "byte 0: expected an object with \"instances\", or an array, found \"1\"");
    check_error(
        &any(),
        "\u{feff}[1]",
        "byte 0: expected JSON without a byte order mark, found a UTF-8 byte order mark",
    );
    check_error(&any(), "{}", "byte 1: expected the key \"instances\", found \"}\"");
    check_error(&any(), r#"{"features": [1]}"#, "byte 16: expected the key \"instances\", found \"}\"");
    check_error(&any(), r#"{"instances": 1}"#, "byte 14: expected an array of instances, found \"1\"");
    check_error(
        &any(),
        r#"{"instances": [1]}"#,
        "row 1, byte 15: expected an instance: an object or an array of numbers, found \"1\"",
    );
    check_error(
        &any(),
        r#"{"instances": [{}]}"#,
        "row 1, byte 16: expected the key \"features\" or \"data\", found \"}\"",
    );
    check_error(
        &any(),
        r#"{"instances": [{"features": 5}]}"#,
        "row 1, byte 28: expected an array of numbers, found \"5\"",
    );
    check_error(
        &any(),
        r#"{"instances": [{"data": [5]}]}"#,
        "row 1, byte 24: expected an object with \"features\", found an array",
    );
    check_error(
        &any(),
        r#"{"instances": [{"data": {}}]}"#,
        "row 1, byte 25: expected the key \"features\", found \"}\"",
    );
    check_error(
        &any(),
        r#"{"instances": [{"data": {"features": [5]}}]}"#,
        "row 1, byte 37: expected an object with \"values\", found an array",
    );
    check_error(
        &any(),
        r#"{"instances": [{"data": {"features": {}}}]}"#,
        "row 1, byte 38: expected the key \"values\", found \"}\"",
    );
    check_error(&any(), "[[1], 2]", "row 2, byte 6: expected an array of numbers, found \"2\"");
    check_error(
        &any(),
        r#"[{"features": [1]}]"#,
        "byte 1: expected a number or an array of numbers (objects belong in \"instances\"), found an object",
    );
    check_error(&any(), "[[1]] [2]", "byte 6: expected the end of the body, found an array");
    check_error(&any(), r#"{"instances": [[1]]}x"#, "byte 20: expected the end of the body, found \"x\"");
}

#[test]
fn a_key_of_ours_stands_once() {
    check_error(
        &any(),
        r#"{"instances": [], "instances": []}"#,
        "byte 31: expected one \"instances\" in an object, found an array",
    );
    check_error(
        &any(),
        r#"{"instances": [{"features": [1], "features": [1]}]}"#,
        "row 1, byte 45: expected one \"features\" in an object, found an array",
    );
    check_error(
        &any(),
        r#"{"instances": [{"features": [1], "data": {}}]}"#,
        "row 1, byte 41: expected either \"features\" or \"data\", not both, found an object",
    );
    let tensor = |members: &str| format!(r#"{{"instances": [{{"data": {{"features": {{{members}}}}}}}]}}"#);
    check_error(
        &any(),
        tensor(r#""values": [1], "values": [1]"#),
        "row 1, byte 63: expected one \"values\" in an object, found an array",
    );
    check_error(
        &any(),
        tensor(r#""keys": [1], "keys": [1]"#),
        "row 1, byte 59: expected one \"keys\" in an object, found an array",
    );
}

#[test]
fn sparse_instances_are_checked() {
    let tensor = |members: &str| format!(r#"{{"instances": [{{"data": {{"features": {{{members}}}}}}}]}}"#);
    let refused = |members: &str, expected: &str| check_error(&any(), tensor(members), expected);
    refused(
        r#""keys": [1, 1], "shape": [3], "values": [1, 2]"#,
        "row 1, byte 15: expected each key once, found key 1 again",
    );
    refused(
        r#""keys": [1, 3], "shape": [3], "values": [1, 2]"#,
        "row 1, column 2, byte 15: expected a key below the shape, found 3 for a shape of 3",
    );
    refused(
        r#""keys": [1], "shape": [3], "values": [1, 2]"#,
        "row 1, byte 15: expected as many values as keys, found 2 values for 1 keys",
    );
    refused(
        r#""keys": [1], "shape": [3]"#,
        "row 1, byte 15: expected as many values as keys, found 0 values for 1 keys",
    );
    refused(r#""keys": [1], "values": [1]"#, "row 1, byte 15: expected a shape beside the keys, found none");
    refused(
        r#""shape": [2], "values": [1]"#,
        "row 1, byte 15: expected a shape that multiplies out to the number of values, found 2 for 1 values",
    );
    refused(r#""shape": [0]"#, "row 1, byte 15: expected at least one feature, found none");
    let whole = "expected a whole number from 0 to 4294967295";
    for key in ["-1", "1.0", "1e0", "01", "4294967296", "99999999999", "null", "x"] {
        refused(
            &format!(r#""keys": [0, {key}]"#),
            &format!("row 1, column 2, byte 50: {whole}, found \"{key}\""),
        );
    }
    refused(
        r#""shape": [65536, 65536]"#,
        "row 1, byte 55: expected a shape of at most 4294967295 features, found \"65536\"",
    );
}

#[test]
fn json_lines_are_one_instance_each() {
    check_lines_error(
        &any(),
        "[1]\n\n[2]\n",
        "row 2, byte 4: expected an instance: an object or an array of numbers, found the end of the line",
    );
    check_lines_error(&any(), "[1] [2]", "row 1, byte 4: expected the end of the line, found an array");
    check_lines_error(
        &any(),
        "[1,\n2]",
        "row 1, column 2, byte 3: expected a number, found the end of the line",
    );
    check_lines_error(&any(), "[1],\n[2]", "row 1, byte 3: expected the end of the line, found \",\"");
    check_lines_error(
        &any(),
        "{\"data\": {\"features\": {\"values\": [1.5]}}",
        "row 1, byte 40: expected ',' or '}', found the end of the line",
    );
    check_lines_error(&any(), "[1, 2]\n[3]", "row 2, byte 7: expected 2 features, found 1");
    check_lines_error(
        &any(),
        "1\n",
        "row 1, byte 0: expected an instance: an object or an array of numbers, found \"1\"",
    );
}

#[test]
fn strings_are_strict() {
    let refused =
        |string: &[u8], expected: &str| check_error(&any(), [b"{\"", string, b"\": 1}"].concat(), expected);
    refused(b"a\nb", r#"byte 3: expected an escape of a control character, found "\n""#);
    refused(b"\\x", r#"byte 2: expected an escape of JSON, found "\\x""#);
    refused(b"\\u12g4", r#"byte 2: expected four hexadecimal digits after \u, found "\\u12g4""#);
    refused(b"\\ud800", r#"byte 2: expected a surrogate pair, found "\\ud800""#);
    refused(b"\\udc00", r#"byte 2: expected a surrogate pair, found "\\udc00""#);
    refused(
        b"\\ud800\\u0041",
        r#"byte 2: expected the second half of a surrogate pair, found "\\ud800\\u0041""#,
    );
    refused(b"a\xFFb", "byte 3: expected UTF-8, found \"\u{fffd}b\"");
    check_error(&any(), b"{\"abc", "byte 5: expected a closing quote, found the end of the body");
}

#[test]
fn json_has_no_labels_to_train_with() {
    let schema = RowSchema { labels: LabelPolicy::Required, ..any() };
    let expected = "byte 0: expected a format with labels: CSV, libsvm or RecordIO-protobuf, found JSON";
    check_error(&schema, "[[1]]", expected);
    check_lines_error(&schema, "[1]\n", expected);
}
