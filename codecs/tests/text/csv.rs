//! CSV: what is read, what is refused and in which words.

use dmatrix::{CsvHeader, LabelPolicy, Missing, NarrowRows, RowSchema, Storage};
use proptest::prelude::*;

use crate::{bits, decode};

const NAN: f32 = f32::NAN;

fn allowing(columns: usize) -> RowSchema {
    RowSchema { missing: Missing::Allowed, ..RowSchema::exactly(columns) }
}

fn check(schema: &RowSchema, body: &str, columns: usize, expected: &[f32]) {
    check_as("text/csv", schema, body, columns, expected, &[]);
}

fn check_as(
    content_type: &str,
    schema: &RowSchema,
    body: &str,
    columns: usize,
    expected: &[f32],
    labels: &[f32],
) {
    let rows = decode(content_type, schema, body.as_bytes()).expect(body);
    assert_eq!((rows.storage(), rows.columns()), (Storage::Dense, columns), "{body:?}");
    assert_eq!(bits(rows.values()), bits(expected), "{body:?}");
    assert_eq!(rows.labels(), labels, "{body:?}");
    assert!(rows.weights().is_empty(), "{body:?}");
}

fn check_error(content_type: &str, schema: &RowSchema, body: impl AsRef<[u8]>, expected: &str) {
    assert_eq!(decode(content_type, schema, body.as_ref()).expect_err(expected), expected);
}

#[test]
fn rows_of_numbers() {
    let schema = RowSchema::exactly(3);
    check(&schema, "1,2.5,-3e2\n", 3, &[1.0, 2.5, -300.0]);
    check(&schema, "1,2,3", 3, &[1.0, 2.0, 3.0]);
    check(&schema, "1,2,3\r\n4,5,6\r\n", 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check(&schema, "1,2,3\n4,5,6\r\n\n\r\n", 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check(&schema, "\"1\", \"2\"\t,\" 3 \"\n", 3, &[1.0, 2.0, 3.0]);
    check(&schema, " 1,\t2 , 3\t\r\n", 3, &[1.0, 2.0, 3.0]);
    check(&schema, "", 3, &[]);
    check(&schema, "\n\r\n", 3, &[]);
    check(&RowSchema::default(), "1,2\n3,4\n", 2, &[1.0, 2.0, 3.0, 4.0]);
    check(&RowSchema::default(), "7", 1, &[7.0]);
}

#[test]
fn missing_values() {
    check(&allowing(3), ",,\n", 3, &[NAN, NAN, NAN]);
    check(&allowing(3), "nan, NaN ,\"\"\r\n1,,3", 3, &[NAN, NAN, NAN, 1.0, NAN, 3.0]);
    check(&allowing(1), "\"\"\n1\n", 1, &[NAN, 1.0]);
    let sentinel = RowSchema { missing: Missing::Sentinel(-999.0), ..RowSchema::exactly(3) };
    check(&sentinel, "-999,,-999.0\n-998.9999,1,-9.99e2\n", 3, &[NAN, NAN, NAN, -998.9999, 1.0, NAN]);
    // Not scanned for unless it is set.
    check(&allowing(1), "-999", 1, &[-999.0]);
}

#[test]
fn headers() {
    let schema = RowSchema::exactly(2);
    let skip = RowSchema { csv_header: CsvHeader::Skip, ..schema.clone() };
    check(&skip, "age,\"a \"\"b\"\",\nc\"\n1,2\n", 2, &[1.0, 2.0]);
    check(&skip, "age,height", 2, &[]);
    check(&skip, "", 2, &[]);
    check_as("text/csv; header=present", &schema, "1,2\n3,4\n", 2, &[3.0, 4.0], &[]);
    check_as("text/csv; header=absent", &skip, "1,2\n3,4\n", 2, &[1.0, 2.0, 3.0, 4.0], &[]);
}

#[test]
fn labels() {
    let schema = RowSchema::exactly(2);
    let training = RowSchema { labels: LabelPolicy::Required, ..schema.clone() };
    check_as("text/csv; label_size=1", &schema, "cat,1,2\n\"d,og\",3,4\n", 2, &[1.0, 2.0, 3.0, 4.0], &[]);
    check_as("text/csv; label_size=2", &schema, ",9,1,2\n", 2, &[1.0, 2.0], &[]);
    check_as("text/csv", &training, "0,1,2\n1,3,4\n", 2, &[1.0, 2.0, 3.0, 4.0], &[0.0, 1.0]);
    check_as("text/csv; label_size=2", &training, "0, 0.5,1,2\n", 2, &[1.0, 2.0], &[0.0, 0.5]);
}

#[test]
fn narrow_rows_are_filled_where_the_schema_says_so() {
    let schema = RowSchema { narrow_rows: NarrowRows::FillMissing, ..RowSchema::exactly(3) };
    check(&schema, "1\n1,2\n1,2,3\n", 3, &[1.0, NAN, NAN, 1.0, 2.0, NAN, 1.0, 2.0, 3.0]);
    check_error("text/csv", &schema, "1,2,3,4\n", "row 1, byte 0: expected at most 3 features, found 4");
}

#[test]
fn golden_errors() {
    let check = |body: &str, expected: &str| check_error("text/csv", &RowSchema::exactly(2), body, expected);
    check("1,2\n1,x\n", r#"row 2, column 2, byte 6: expected a number, found "x""#);
    check("1,2\r\n3, 4.5.6 \r\n", r#"row 2, column 2, byte 8: expected a number, found "4.5.6""#);
    check("1;2\n", r#"row 1, column 1, byte 0: expected a number, found "1;2""#);
    check("1,2\n1\n", "row 2, byte 4: expected 2 features, found 1");
    check("1,2\n1,2,3\n", "row 2, byte 4: expected 2 features, found 3");
    check(
        "1,2,\n",
        "row 1, column 3, byte 4: expected a number, found a missing value, which this model does not take",
    );
    check(
        "1,\n",
        "row 1, column 2, byte 2: expected a number, found a missing value, which this model does not take",
    );
    check(
        "1,nan",
        "row 1, column 2, byte 2: expected a number, found a missing value, which this model does not take",
    );
    check("1,2\n\n3,4\n", "row 2, byte 4: expected a row, found a blank line");
    check("1,2\n \t\n", "row 2, byte 6: expected a row, found a blank line");
    check("\n1,2", "row 1, byte 0: expected a row, found a blank line");
    check(
        "1,inf\n",
        r#"row 1, column 2, byte 2: expected a finite number within the range of f32, found "inf""#,
    );
    check(
        "-1e39,1",
        r#"row 1, column 1, byte 0: expected a finite number within the range of f32, found "-1e39""#,
    );
    check("1,\"2\n3,4\n", "row 1, column 2, byte 2: expected a closing quote, found the end of the payload");
    check(
        "1,\"2\"3\n",
        r#"row 1, column 2, byte 5: expected a comma or the end of the row behind a closing quote, found "3""#,
    );
    check("1,\"2\"\"\"\n", r#"row 1, column 2, byte 3: expected a number, found "2\"\"""#);
    check("1\r2\n", r#"row 1, column 1, byte 0: expected a number, found "1\r2""#);
    check(
        "age,height\n1,2\n",
        r#"row 1, column 1, byte 0: expected a number (a header line is announced by text/csv;header=present), found "age""#,
    );
    check(
        "\u{feff}1,2\n",
        "row 1, column 1, byte 0: expected CSV without a byte order mark, found a UTF-8 byte order mark",
    );
    let long = format!("1,{}\n", "x".repeat(100));
    check(&long, &format!("row 1, column 2, byte 2: expected a number, found \"{}…\"", "x".repeat(37)));
    check_error(
        "text/csv",
        &RowSchema::exactly(2),
        b"1,\xff\xfe\0\n",
        "row 1, column 2, byte 2: expected a number, found \"\u{fffd}\u{fffd}\\0\"",
    );
}

#[test]
fn golden_errors_beside_headers_and_labels() {
    let schema = RowSchema::exactly(2);
    let training = RowSchema { labels: LabelPolicy::Required, ..schema.clone() };
    let header = "text/csv; header=present";
    check_error(header, &schema, "a,b\n1,x", r#"row 2, column 2, byte 6: expected a number, found "x""#);
    check_error(header, &schema, "\n1,2", "row 1, column 1, byte 0: expected a header, found a blank line");
    check_error(
        header,
        &schema,
        "a,\"b\n1,2",
        "row 1, column 2, byte 2: expected a closing quote, found the end of the payload",
    );
    let labelled = "text/csv; label_size=1";
    check_error(labelled, &schema, "9,1,x", r#"row 1, column 3, byte 4: expected a number, found "x""#);
    check_error(labelled, &schema, "9,1", "row 1, byte 0: expected 2 features, found 1");
    check_error(
        labelled,
        &schema,
        "9,1,2\n9\n",
        "row 2, column 1, byte 6: expected a comma and features behind the label columns, found the end of the row",
    );
    check_error(
        labelled,
        &training,
        "cat,1,2",
        r#"row 1, column 1, byte 0: expected a number (a header line is announced by text/csv;header=present), found "cat""#,
    );
    check_error(
        labelled,
        &training,
        "1,1,2\n,1,2",
        "row 2, column 1, byte 6: expected a label, found a missing value",
    );
    check_error(
        labelled,
        &training,
        "nan,1,2",
        "row 1, column 1, byte 0: expected a label, found a missing value",
    );
    check_error("text/csv", &RowSchema::default(), "1,2\n3\n", "row 2, byte 4: expected 2 features, found 1");
}

#[test]
fn an_error_leaves_no_rows() {
    let mut rows = crate::used_matrix();
    let content_type = codecs::ContentType::new(codecs::Format::Csv);
    codecs::decode(&content_type, &RowSchema::exactly(2), b"1,2\n3,x\n", &mut rows).expect_err("x");
    assert_eq!((rows.rows(), rows.values().len(), rows.labels().len()), (0, 0, 0));
}

/// The same in the plainest words; only for payloads without quotes. `None` is an error.
fn naive(schema: &RowSchema, body: &str) -> Option<Vec<f32>> {
    let mut lines: Vec<&str> = body.split('\n').collect();
    let last = lines.len() - 1;
    for line in &mut lines[..last] {
        *line = line.strip_suffix('\r').unwrap_or(line);
    }
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let mut values = Vec::new();
    let mut width = schema.columns;
    for line in lines {
        let cells: Vec<&str> = line.split(',').map(|cell| cell.trim_matches([' ', '\t'])).collect();
        if cells == [""] || *width.get_or_insert(cells.len()) != cells.len() {
            return None;
        }
        for cell in cells {
            let value = if cell.is_empty() { NAN } else { cell.parse().ok()? };
            if value.is_infinite() || (value.is_nan() && schema.missing == Missing::Refused) {
                return None;
            }
            values.push(value);
        }
    }
    Some(values)
}

fn check_twin(schema: &RowSchema, body: &str) -> Result<(), TestCaseError> {
    let found = decode("text/csv", schema, body.as_bytes()).map(|rows| bits(rows.values()));
    let expected = naive(schema, body).map(|values| bits(&values));
    prop_assert_eq!(found.clone().ok(), expected, "{:?}: {:?}", body, found);
    Ok(())
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<f32>().prop_filter("finite", |value| value.is_finite()).prop_map(|value| value.to_string()),
        4 => (-1e4_f64..1e4, 0_usize..12).prop_map(|(value, places)| format!("{value:.places$}")),
        2 => any::<f64>().prop_map(|value| format!("{value:e}")),
        1 => "[ \t]?[-+]?[0-9]{0,12}\\.?[0-9]{0,20}([eE][-+]?[0-9]{1,3})?[ \t]?",
        1 => Just(String::new()),
        1 => Just("NaN".to_owned()),
    ]
}

proptest! {
    #[test]
    fn rows_are_those_of_the_naive_twin(
        cells in prop::collection::vec(prop::collection::vec(cell(), 3), 0..6),
        newline in prop_oneof![Just("\n"), Just("\r\n")],
        is_ended in any::<bool>(),
    ) {
        let lines: Vec<String> = cells.iter().map(|row| row.join(",")).collect();
        let body = lines.join(newline) + if is_ended { newline } else { "" };
        check_twin(&allowing(3), &body)?;
        check_twin(&RowSchema::exactly(3), &body)?;
    }

    #[test]
    fn any_text_is_taken_or_refused_as_by_the_naive_twin(body in "[0-9.,eE+\\-\n\r\t naif]{0,40}") {
        check_twin(&RowSchema { missing: Missing::Allowed, ..RowSchema::default() }, &body)?;
        check_twin(&allowing(2), &body)?;
    }

    #[test]
    fn any_bytes_are_taken_or_refused(body in prop::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), any::<u8>()], 0..60)) {
        for content_type in ["text/csv", "text/csv;header=present", "text/csv;label_size=2"] {
            if let Ok(rows) = decode(content_type, &allowing(2), &body) {
                prop_assert_eq!(rows.values().len(), 2 * rows.rows());
            }
        }
    }
}
