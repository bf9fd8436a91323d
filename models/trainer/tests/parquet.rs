//! `clary-train` on Parquet files, with the real XGBoost library: the model is that of the same rows as CSV.
//!
//! The library has to be there (`make native`); `CLARY_SKIP_NATIVE=1` leaves these tests out on machines without one.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn train(folder: &Path, algorithm: &str, rows: &Path, content_type: &str, settings: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clary-train"));
    command.current_dir(folder).arg(algorithm).arg("--train").arg(rows);
    command.args(["--content-type", content_type, "--out", "out"]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.output().expect("the program starts")
}

/// The rows of the files as CSV: what `make.py` beside them says.
fn csv() -> String {
    let line = |row: u32| {
        let place = f64::from(row);
        let (weight, large) = (place / 8.0 + 0.5, 4_000_000_000 - row * 256);
        let float = if row % 7 == 6 { String::new() } else { (place / 4.0).to_string() };
        let is_third = u8::from(row.is_multiple_of(3));
        format!("{},{weight},{is_third},{},{large},{float},{}\n", row % 2, place - 20.0, place * -0.5)
    };
    (0..40).map(line).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
fn a_model_of_parquet_is_that_of_csv() {
    if std::env::var_os("CLARY_SKIP_NATIVE").is_some_and(|value| value == "1") {
        return;
    }
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let text = scratch.path().join("rows.csv");
    fs::write(&text, csv()).expect("a file");
    let settings =
        ["objective=binary:logistic", "num_round=5", "nthread=1", "csv_weights=1", "min_child_weight=0"];
    let model = |rows: &Path, content_type| {
        let output = train(scratch.path(), "xgboost", rows, content_type, &settings);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(scratch.path().join("out/model.tar.gz")).expect("an artifact")
    };
    let expected = model(&text, "text/csv");
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("estimator/tests/parquet");
    for (name, content_type) in [("snappy.parquet", "application/x-parquet"), ("zstd.parquet", "parquet")] {
        assert!(model(&files.join(name), content_type) == expected, "{name}");
    }
}

#[test]
fn other_algorithms_refuse_parquet() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let settings = ["k=2", "feature_dim=2"];
    let output = train(scratch.path(), "kmeans", Path::new("a"), "application/x-parquet", &settings);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("found \"application/x-parquet\""), "{said}");
}
