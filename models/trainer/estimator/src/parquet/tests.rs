//! Files that pyarrow wrote (`tests/parquet/make.py`), and what becomes of them when they are damaged.

use std::fs;

use super::*;
use crate::{Channel, Job, Order};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet").join(name)
}

fn read(path: &Path, csv_weights: bool, missing: Missing) -> Result<DMatrix, String> {
    let channel = Channel::for_tests("train", path, "application/x-parquet", Labels::Required);
    let rules = RowRules { columns: None, missing, csv_weights };
    let job = Job::for_tests(&[], &[]);
    channel.and_then(|channel| channel.read(&rules, &job)).map_err(|error| error.to_string())
}

/// The features of a row of the files, as `make.py` says.
fn features(row: usize) -> [f32; 5] {
    let place = row as f32;
    [
        f32::from(u8::from(row.is_multiple_of(3))),
        place - 20.0,
        (4_000_000_000 - row as u32 * 256) as f32,
        if row % 7 == 6 { f32::NAN } else { place / 4.0 },
        place * -0.5,
    ]
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn all_compressions_pages_and_encodings_give_the_same_rows() {
    let expected: Vec<f32> = (0..40).flat_map(features).collect();
    for name in ["plain", "snappy", "snappy2", "gzip", "zstd", "encodings"] {
        let path = fixture(&format!("{name}.parquet"));
        let rows = read(&path, true, Missing::Allowed).expect(name);
        assert_eq!((rows.rows(), rows.columns()), (40, 5), "{name}");
        assert_eq!(bits(rows.values()), bits(&expected), "{name}");
        assert_eq!(rows.labels(), (0..40).map(|row| (row % 2) as f32).collect::<Vec<_>>(), "{name}");
        assert_eq!(rows.weights(), (0..40).map(|row| row as f32 / 8.0 + 0.5).collect::<Vec<_>>(), "{name}");
        let unweighted = read(&path, false, Missing::Allowed).expect(name);
        assert_eq!((unweighted.columns(), unweighted.weights().len(), unweighted.values()[6]), (6, 0, 0.625));
    }
}

#[test]
fn several_files_are_one_channel_and_can_be_passed_over_again() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, from) in [("a.parquet", "snappy"), ("b/c.parquet", "gzip"), ("d.parquet", "empty")] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::copy(fixture(&format!("{from}.parquet")), path).expect("a copy");
    }
    let channel = Channel::for_tests("train", folder.path(), "parquet", Labels::Required).expect("known");
    let rules = RowRules { columns: Some(5), missing: Missing::Allowed, csv_weights: true };
    let mut rows = channel.open(&rules, 32, &Job::for_tests(&[], &[])).expect("good files");
    for _ in 0..2 {
        let (mut batch, mut weights) = (DMatrix::new(), 0.0);
        let mut pass = rows.pass(Order::Shuffled { seed: 3 }).expect("a pass");
        while pass.next(&mut batch).expect("a batch") {
            weights += batch.weights().iter().sum::<f32>();
        }
        assert_eq!(weights, 235.0);
    }
    fs::copy(fixture("narrow.parquet"), folder.path().join("e.parquet")).expect("a copy");
    let error = read(folder.path(), true, Missing::Allowed).expect_err("widths differ");
    assert!(error.contains("/e.parquet: expected 5 features, found 4"), "{error}");
}

#[test]
fn what_is_no_number_is_refused_by_name() {
    let check = |name: &str, expected: &[&str]| {
        let error = read(&fixture(name), name == "bad_weight.parquet", Missing::Refused).expect_err(name);
        for part in expected.iter().chain(&[name]) {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    };
    check("text.parquet", &["column \"city\"", "strings"]);
    check("nested.parquet", &["column \"point\"", "nested"]);
    check("list.parquet", &["column \"history\"", "nested"]);
    check("date.parquet", &["column \"day\"", "dates or times"]);
    check("time.parquet", &["column \"at\"", "dates or times"]);
    check("decimal.parquet", &["column \"price\"", "decimals"]);
    check("brotli.parquet", &["column \"label\"", "snappy, gzip or zstd, found Brotli"]);
    check("no_label.parquet", &["row 2, column 1: expected a label"]);
    check("bad_weight.parquet", &["row 2, column 2: expected a weight of at least 0, found -1"]);
    check("plain.parquet", &["row 7, column 6: expected a number, found a missing value"]);
    let error = read(&fixture("empty.parquet"), true, Missing::Allowed).expect_err("no rows");
    assert!(error.contains("expected rows in") && error.contains("found none"), "{error}");
}

#[test]
fn a_sentinel_is_missing() {
    let rows = read(&fixture("snappy.parquet"), true, Missing::Sentinel(-20.0)).expect("good file");
    assert!(rows.values()[1].is_nan());
}

#[test]
fn damaged_files_are_errors_or_other_rows_but_never_a_panic() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("a.parquet");
    let try_bytes = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a file");
        read(&path, true, Missing::Allowed)
    };
    let mut random = fastrand::Rng::with_seed(5);
    for name in ["plain", "snappy", "gzip", "zstd", "encodings"] {
        let good = fs::read(fixture(&format!("{name}.parquet"))).expect("a file");
        for length in (0..good.len()).step_by(97) {
            assert!(try_bytes(&good[..length]).is_err(), "{name} cut at {length}");
        }
        for _ in 0..80 {
            let mut bad = good.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bad.len());
                bad[at] = random.u8(..);
            }
            if let Ok(rows) = try_bytes(&bad) {
                assert_eq!(rows.labels().len(), rows.rows());
            }
        }
        let mut long = good.clone();
        let at = good.len() - 8;
        long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(try_bytes(&long).expect_err("too long").contains("expected a footer of at most"));
    }
}
