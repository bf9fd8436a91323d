//! libsvm: what is read, what is refused and in which words.

use dmatrix::{IndexBase, LabelPolicy, Missing, Row, RowSchema, Storage};
use proptest::prelude::*;

use crate::{bits, decode};

fn training() -> RowSchema {
    RowSchema { labels: LabelPolicy::Required, ..RowSchema::default() }
}

fn one_based(columns: usize) -> RowSchema {
    RowSchema { libsvm_index_base: IndexBase::One, ..RowSchema::exactly(columns) }
}

/// Rows of `(index, value)`.
fn check(schema: &RowSchema, body: &str, columns: usize, expected: &[&[(u32, f32)]]) {
    check_labelled(schema, body, columns, expected, &[], &[]);
}

fn check_labelled(
    schema: &RowSchema,
    body: &str,
    columns: usize,
    expected: &[&[(u32, f32)]],
    labels: &[f32],
    weights: &[f32],
) {
    let rows = decode("text/libsvm", schema, body.as_bytes()).expect(body);
    assert_eq!(
        (rows.storage(), rows.columns(), rows.rows()),
        (Storage::Sparse, columns, expected.len()),
        "{body:?}"
    );
    for (row, expected) in expected.iter().enumerate() {
        let Row::Sparse { indices, values } = rows.row(row) else { panic!("libsvm rows are sparse") };
        assert_eq!(indices, expected.iter().map(|entry| entry.0).collect::<Vec<_>>(), "{body:?}");
        assert_eq!(bits(values), bits(&expected.iter().map(|entry| entry.1).collect::<Vec<_>>()), "{body:?}");
    }
    assert_eq!((rows.labels(), rows.weights()), (labels, weights), "{body:?}");
}

fn check_error(schema: &RowSchema, body: &str, expected: &str) {
    assert_eq!(decode("text/x-libsvm", schema, body.as_bytes()).expect_err(body), expected);
}

#[test]
fn rows_with_and_without_labels() {
    let schema = RowSchema::exactly(4);
    check(&schema, "0:1.5 3:-2\n", 4, &[&[(0, 1.5), (3, -2.0)]]);
    check(&schema, "1 0:1.5 3:-2\r\n-1 2:3", 4, &[&[(0, 1.5), (3, -2.0)], &[(2, 3.0)]]);
    check(&schema, "1\n0\n", 4, &[&[], &[]]);
    check(&schema, " \t1  0:1\t3:2 \n\n  \n# nothing\n1:1 # 2:2\n", 4, &[&[(0, 1.0), (3, 2.0)], &[(1, 1.0)]]);
    check(&schema, "1:1#2:2\r\n", 4, &[&[(1, 1.0)]]);
    check(&schema, "", 4, &[]);
    check(&schema, "# only a comment", 4, &[]);
    check(&RowSchema::default(), "0:1 7:2\n1:1\n", 8, &[&[(0, 1.0), (7, 2.0)], &[(1, 1.0)]]);
    check(&RowSchema::default(), "1\n", 0, &[&[]]);
}

#[test]
fn indices_count_from_the_schema_alone() {
    check(&RowSchema::exactly(4), "1:1 2:2\n", 4, &[&[(1, 1.0), (2, 2.0)]]);
    check(&one_based(4), "1:1 4:2\n", 4, &[&[(0, 1.0), (3, 2.0)]]);
}

#[test]
fn unsorted_indices_are_sorted() {
    check(
        &RowSchema::exactly(4),
        "3:3 0:0 2:2\n0:1 1:1\n",
        4,
        &[&[(0, 0.0), (2, 2.0), (3, 3.0)], &[(0, 1.0), (1, 1.0)]],
    );
    check(&RowSchema::default(), "9:3 0:0\n", 10, &[&[(0, 0.0), (9, 3.0)]]);
}

#[test]
fn labels_and_weights_of_training() {
    check_labelled(&training(), "1 0:1\n-0.5 1:2\n", 2, &[&[(0, 1.0)], &[(1, 2.0)]], &[1.0, -0.5], &[]);
    check_labelled(&training(), "1:0.25 0:1\n0:4\n", 1, &[&[(0, 1.0)], &[]], &[1.0, 0.0], &[0.25, 4.0]);
}

#[test]
fn missing_values() {
    let allowed = RowSchema { missing: Missing::Allowed, ..RowSchema::exactly(4) };
    check(&allowed, "0:nan 1:NaN\n", 4, &[&[(0, f32::NAN), (1, f32::NAN)]]);
    let sentinel = RowSchema { missing: Missing::Sentinel(0.0), ..RowSchema::exactly(4) };
    check(&sentinel, "0:0 1:-0.0 2:1\n", 4, &[&[(0, f32::NAN), (1, f32::NAN), (2, 1.0)]]);
}

#[test]
fn golden_errors() {
    let check = |body: &str, expected: &str| check_error(&RowSchema::exactly(4), body, expected);
    check("1 0:1\n1 2:x 3:4\n", r#"row 2, column 2, byte 10: expected a number, found "x""#);
    check("1 0:1 4:1\n", "row 1, column 3, byte 6: expected a feature index below 4, found 4");
    check("\n\n1 9:1\n", "row 3, column 2, byte 4: expected a feature index below 4, found 9");
    check(
        "1 2147483648:1\n",
        r#"row 1, column 2, byte 2: expected a feature index of at most 2147483647, found "2147483648:1""#,
    );
    check(
        "1 99999999999999999999999:1",
        r#"row 1, column 2, byte 2: expected a feature index of at most 2147483647, found "99999999999999999999999:1""#,
    );
    check("1 2:1 0:1 2:3\n", "row 1, byte 0: expected every feature index once, found index 2 twice");
    check("1 2:1 2:3\n", "row 1, byte 0: expected every feature index once, found index 2 twice");
    check("1 2\n", r#"row 1, column 2, byte 2: expected index:value, found "2""#);
    check("1 -2:1\n", r#"row 1, column 2, byte 2: expected index:value, found "-2:1""#);
    check("1 1.5:1\n", r#"row 1, column 2, byte 2: expected index:value, found "1.5:1""#);
    check("1 a:1\n", r#"row 1, column 2, byte 2: expected index:value, found "a:1""#);
    check("a:1\n", r#"row 1, column 1, byte 0: expected index:value, found "a:1""#);
    check("1 2:\n", "row 1, column 2, byte 4: expected a number, found nothing");
    check("1 2: 3\n", "row 1, column 2, byte 4: expected a number, found nothing");
    check("1 2:3,4:5\n", r#"row 1, column 2, byte 4: expected a number, found "3,4:5""#);
    check("1 2:3\r4:5\n", r#"row 1, column 2, byte 4: expected a number, found "3""#);
    check(
        "1 2:1e39\n",
        r#"row 1, column 2, byte 4: expected a finite number within the range of f32, found "1e39""#,
    );
    check("x 0:1\n", r#"row 1, column 1, byte 0: expected a label, found "x""#);
    check("1x 0:1\n", r#"row 1, column 1, byte 0: expected a label and a blank, found "1x""#);
    check(
        "1 qid:3 0:1\n",
        r#"row 1, column 2, byte 2: expected index:value (query ids of ranking are not read), found "qid:3""#,
    );
    check("1,2,3\n", r#"row 1, column 1, byte 0: expected a label and a blank, found "1,2,3""#);
    check(
        "1 0:nan\n",
        "row 1, column 2, byte 4: expected a number, found a missing value, which this model does not take",
    );
    check_error(
        &one_based(4),
        "1 0:1\n",
        r#"row 1, column 2, byte 2: expected a feature index of at least 1, found "0:1""#,
    );
    check_error(
        &one_based(4),
        "1 5:1\n",
        "row 1, column 2, byte 2: expected a feature index below 5, found 5",
    );
    check_error(
        &one_based(4),
        "1 3:1 3:1\n",
        "row 1, byte 0: expected every feature index once, found index 3 twice",
    );
}

#[test]
fn golden_errors_of_training() {
    let check = |body: &str, expected: &str| check_error(&training(), body, expected);
    check("nan 0:1\n", r#"row 1, column 1, byte 0: expected a label, found "nan""#);
    check("1: 0:1\n", "row 1, column 1, byte 2: expected a weight, found nothing");
    check("1:2:3 0:1\n", r#"row 1, column 1, byte 0: expected a label and a blank, found "1:2:3""#);
    check(
        "1:0.5 0:1\n1 0:1\n",
        r#"row 2, column 1, byte 10: expected weights in all rows or in none, found "1""#,
    );
    check(
        "1 0:1\n1:0.5 0:1\n",
        r#"row 2, column 1, byte 6: expected weights in all rows or in none, found "1:0.5""#,
    );
}

/// The same in the plainest words: rows of sorted entries. `None` is an error.
fn naive(body: &str, columns: usize) -> Option<Vec<Vec<(u32, f32)>>> {
    let lines = body.split_inclusive('\n').map(|line| match line.strip_suffix('\n') {
        Some(line) => line
            .split('#')
            .next()
            .filter(|text| text.len() < line.len())
            .or(line.strip_suffix('\r'))
            .unwrap_or(line),
        None => line.split('#').next().unwrap_or_default(),
    });
    let mut rows = Vec::new();
    for line in lines {
        let mut tokens = line.split([' ', '\t']).filter(|token| !token.is_empty()).peekable();
        let Some(first) = tokens.peek() else { continue };
        if !first.contains(':') {
            let label: f32 = first.parse().ok()?;
            tokens.next();
            if label.is_infinite() {
                return None;
            }
        }
        let mut row = Vec::new();
        for token in tokens {
            let (index, value) = token.split_once(':')?;
            let digits = index.bytes().all(|byte| byte.is_ascii_digit()).then_some(index)?;
            let entry: (u32, f32) = (digits.parse().ok()?, value.parse().ok()?);
            if !entry.1.is_finite() || entry.0 as usize >= columns {
                return None;
            }
            row.push(entry);
        }
        row.sort_by_key(|entry| entry.0);
        if row.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }
        rows.push(row);
    }
    Some(rows)
}

fn check_twin(body: &str) -> Result<(), TestCaseError> {
    let found = decode("text/libsvm", &RowSchema::exactly(12), body.as_bytes());
    let expected = naive(body, 12);
    match (found, expected) {
        (Ok(found), Some(expected)) => {
            prop_assert_eq!(found.rows(), expected.len(), "{:?}", body);
            for (row, expected) in expected.iter().enumerate() {
                let Row::Sparse { indices, values } = found.row(row) else {
                    panic!("libsvm rows are sparse")
                };
                let entries: Vec<_> =
                    indices.iter().zip(values).map(|(&index, value)| (index, value.to_bits())).collect();
                let expected: Vec<_> =
                    expected.iter().map(|&(index, value)| (index, value.to_bits())).collect();
                prop_assert_eq!(entries, expected, "{:?}", body);
            }
        }
        (found, expected) => {
            prop_assert_eq!(found.is_ok(), expected.is_some(), "{:?}: {:?}, {:?}", body, found, expected);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn rows_are_those_of_the_naive_twin(
        rows in prop::collection::vec((prop::option::of("-?[0-9]{1,2}"), prop::collection::vec((0_u32..13, -1e4_f64..1e4, 0_usize..10), 0..6)), 0..6),
        newline in prop_oneof![Just("\n"), Just("\r\n"), Just(" # end\n")],
    ) {
        let mut body = String::new();
        for (label, entries) in rows {
            let tokens = entries.iter().map(|(index, value, places)| format!("{index}:{value:.places$}"));
            body += &label.into_iter().chain(tokens).collect::<Vec<_>>().join(" ");
            body += newline;
        }
        check_twin(&body)?;
    }

    #[test]
    fn any_text_is_taken_or_refused_as_by_the_naive_twin(body in "[0-9]?( ?[0-9]{1,2}:[0-9.e\\-]{1,3}|[0-9:. \t\n\r#x\\-]){0,20}") {
        check_twin(&body)?;
    }

    #[test]
    fn any_bytes_are_taken_or_refused(body in prop::collection::vec(prop_oneof![Just(b':'), Just(b' '), Just(b'\n'), b'0'..=b'9', any::<u8>()], 0..60)) {
        for schema in [training(), one_based(5), RowSchema::default()] {
            if let Ok(rows) = decode("text/libsvm", &schema, &body) {
                prop_assert_eq!(rows.offsets().len(), rows.rows() + 1);
            }
        }
    }
}
