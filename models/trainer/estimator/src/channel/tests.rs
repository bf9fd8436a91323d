//! Channels of files as algorithms read them.

use std::fs;

use dmatrix::{Row, Storage};

use super::*;

fn job() -> Job {
    Job::for_tests(&[], &[])
}

fn read(files: &[(&str, &str)], content_type: &str, csv_weights: bool) -> Result<DMatrix, String> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let channel = Channel::for_tests("train", folder.path(), content_type, Labels::Required)
        .map_err(|error| error.to_string())?;
    let root = folder.path().display().to_string();
    let rules = RowRules { columns: None, missing: Missing::Allowed, csv_weights };
    channel.read(&rules, &job()).map_err(|error| error.to_string().replace(&root, ""))
}

#[test]
fn files_are_joined_in_sorted_order() {
    let files = [("b.csv", "2,5,6\n"), ("a/x.csv", "1,3,4\n"), ("_SUCCESS", "no"), (".hidden", "no")];
    let rows = read(&files, "csv", false).expect("good files");
    assert_eq!((rows.rows(), rows.columns()), (2, 2));
    assert_eq!(rows.labels(), [1.0, 2.0]);
    assert_eq!(rows.values(), [3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn weights_are_the_second_column() {
    let rows = read(&[("a.csv", "1,0.5,3\n0,2,4\n")], "text/csv", true).expect("good files");
    assert_eq!(rows.labels(), [1.0, 0.0]);
    assert_eq!(rows.weights(), [0.5, 2.0]);
    assert_eq!(rows.values(), [3.0, 4.0]);
}

#[test]
fn empty_cells_are_missing() {
    let rows = read(&[("a.csv", "1,,3\n")], "text/csv", false).expect("good files");
    assert!(rows.values()[0].is_nan());
}

#[test]
fn libsvm_rows_are_as_wide_as_the_widest() {
    let rows = read(&[("a", "1 0:1 3:2\n"), ("b", "0 5:7\n")], "text/libsvm", false).expect("good files");
    assert_eq!((rows.rows(), rows.columns(), rows.storage()), (2, 6, Storage::Sparse));
    assert_eq!(rows.row(1), Row::Sparse { indices: &[5], values: &[7.0] });
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let check = |files: &[(&str, &str)], content_type, weights, expected: &[&str]| {
        let error = read(files, content_type, weights).expect_err("something is wrong");
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    };
    check(&[("a.csv", "1,2\n1,x\n")], "text/csv", false, &["/a.csv", "row 2", "column 2", "x"]);
    check(&[("a.csv", "1,2\n"), ("b.csv", "1,2,3\n")], "text/csv", false, &["/b.csv", "row 1"]);
    check(&[("a.csv", ",2\n")], "text/csv", false, &["/a.csv", "row 1", "label"]);
    check(&[("a.csv", "1,-1,2\n")], "text/csv", true, &["row 1, column 2", "weight of at least 0", "-1"]);
    check(&[("a.csv", "")], "text/csv", false, &["channel train: expected rows", "found none"]);
    check(&[("_a.csv", "1,2\n")], "text/csv", false, &["channel train: expected files", "found none"]);
    check(&[("a/b/c/d/e.csv", "1,2\n")], "text/csv", false, &["at most 3 folder levels", "/a/b/c/d"]);
    check(&[("a", "1 2:3\n")], "application/json", false, &["carries no labels"]);
    check(&[("a", "1 2:3\n")], "application/x-parquet", false, &["/a: expected a Parquet file"]);
    check(&[("a", "1 2:3\n")], "text/csv;label_size=2", false, &["expected label_size=1, found 2"]);
    check(&[("a", "1 2:3\n")], "image/png", false, &["image/png"]);
}

#[test]
fn a_stop_request_ends_reading() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    fs::write(folder.path().join("a.csv"), "1,2\n").expect("a file");
    let job = job();
    job.stop.ask();
    let channel = Channel::for_tests("train", folder.path(), "csv", Labels::Required).expect("known");
    let rules = RowRules::finite(None);
    assert_eq!(channel.read(&rules, &job).expect_err("stopped").exit_code(), 143);
}

#[test]
fn a_missing_folder_is_the_callers_mistake() {
    let channel =
        Channel::for_tests("train", Path::new("/nonexistent"), "csv", Labels::Required).expect("known");
    let error = channel.read(&RowRules::finite(None), &job()).expect_err("no folder");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn query_ids_come_beside_the_rows() {
    let rows = read(&[("a", "1 qid:4 0:1\n0 qid:4 1:1\n"), ("b", "2 qid:9 0:3\n")], "text/libsvm", false);
    let rows = rows.expect("good files");
    assert_eq!((rows.queries(), rows.labels()), (&[4, 4, 9][..], &[1.0, 0.0, 2.0][..]));
    assert_eq!(rows.row(1), Row::Sparse { indices: &[1], values: &[1.0] });
    let check = |files: &[(&str, &str)], expected: &str| {
        let error = read(files, "text/libsvm", false).expect_err("something is wrong");
        assert!(error.contains(expected), "{error}");
    };
    check(&[("a", "1 qid:4 0:1\n"), ("b", "1 qid:5 0:1\n1 qid:4 0:1\n")], "/b: expected the rows of a query");
    check(&[("a", "1 qid:4 0:1\n"), ("b", "1 0:1\n")], "/b: expected query ids in all rows or in none");
}

#[test]
fn a_fault_far_into_a_file_is_named_by_its_row() {
    let check = |content_type, line: fn(usize) -> String, bad: &str, expected: &str| {
        let mut text: String = (0..300_000).map(line).collect();
        text.push_str(bad);
        let error = read(&[("a", text.as_str())], content_type, false).expect_err("something is wrong");
        assert!(error.contains(expected), "{error}");
    };
    check("text/csv", |row| format!("{row},1,2\n"), "1,2,x\n", "/a: row 300001, column 3, byte 3188894");
    check("text/csv", |row| format!("{row},1,2\n"), "1,2,3,4\n", "/a: row 300001");
    check(
        "text/csv",
        |row| format!("{row},1,2\n"),
        ",2,3\n",
        "/a: row 300001, column 1, byte 3188890: expected a label",
    );
    check(
        "text/csv;header=present",
        |row| if row == 0 { "a,b,c\n".into() } else { format!("{row},1,2\n") },
        "1,2,x\n",
        "row 300001",
    );
    check("text/libsvm", |row| format!("{row} 0:1 1:2 # n\n"), "1 0:x\n", "/a: row 300001");
}

#[test]
fn labels_may_be_there_or_not() {
    let read = |files: &[(&str, Vec<u8>)]| {
        let folder = tempfile::tempdir().expect("a scratch folder");
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).expect("a file");
        }
        let path = folder.path();
        let channel = Channel::for_tests("test", path, "recordio-protobuf", Labels::Optional).expect("known");
        channel.read(&RowRules::finite(None), &job()).map_err(|error| error.to_string())
    };
    let record = |label: Option<f32>| {
        let record = codecs::record::Record::dense(vec![1.0, 2.0]);
        let record = label.into_iter().fold(record, codecs::record::Record::with_label);
        let mut framed = Vec::new();
        codecs::framing::SplitType::RecordIo.join(&record.to_bytes(), &mut framed).expect("short");
        framed
    };
    assert_eq!(read(&[("a", record(Some(3.0)))]).expect("labelled").labels(), [3.0]);
    assert_eq!(read(&[("a", record(None)), ("b", record(None))]).expect("unlabelled").labels(), [0.0; 0]);
    let error = read(&[("a", record(Some(3.0))), ("b", record(None))]).expect_err("both");
    assert!(error.contains("/b: row 1") && error.contains("expected a label"), "{error}");
}

#[test]
fn a_selection_is_read_from_any_number_of_pieces() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let text: String = (0..300_000).map(|row| format!("{row},1,2\n")).collect();
    fs::write(folder.path().join("a.csv"), &text).expect("a file");
    let mut channel = Channel::for_tests("train", folder.path(), "csv", Labels::Required).expect("known");
    channel.selection = Selection::Marked((0..300_000).map(|row| row % 1000 == 7).collect());
    let rows = channel.read(&RowRules::finite(None), &job()).expect("some are selected");
    let expected: Vec<f32> = (0..300).map(|thousand| thousand as f32 * 1000.0 + 7.0).collect();
    assert_eq!(rows.labels(), expected);
}
