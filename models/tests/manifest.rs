//! The manifest: what is understood, what is refused and in which words, and that reading undoes writing.

use dmatrix::{CsvHeader, IndexBase, Missing, NarrowRows};
use models::manifest::{MANIFEST_BYTES_MAX, PredictorType};
use models::{Algorithm, Manifest};
use proptest::prelude::*;

fn read(text: &str) -> Manifest {
    Manifest::from_json(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).0
}

/// Asserts the words of a refusal.
#[track_caller]
fn check_refused(text: &str, expected: &str) {
    let error = Manifest::from_json(text.as_bytes()).expect_err(text).to_string();
    assert_eq!(error, format!("manifest.json: {expected}"));
}

/// As [`check_refused`], of a k-means manifest with one more member.
#[track_caller]
fn check_key(member: &str, expected: &str) {
    check_refused(&format!("{{\"algorithm\": \"kmeans\", {member}}}"), expected);
}

#[test]
fn the_least_manifest_has_the_documented_defaults() {
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        assert_eq!(read(&format!("{{\"algorithm\": \"{name}\"}}")), Manifest::new(algorithm));
        assert_eq!(read(&format!("{{\"format\": \"{name}/1\"}}")), Manifest::new(algorithm));
    }
    let xgboost = Manifest::new(Algorithm::Xgboost);
    assert_eq!((xgboost.missing, xgboost.narrow_rows), (Missing::Allowed, NarrowRows::FillMissing));
    let kmeans = Manifest::new(Algorithm::Kmeans);
    assert_eq!((kmeans.missing, kmeans.narrow_rows), (Missing::Refused, NarrowRows::Refuse));
    assert_eq!((kmeans.libsvm_index_base, kmeans.csv_header), (IndexBase::Zero, CsvHeader::Absent));
}

#[test]
fn every_key_is_read() {
    let manifest = read(
        r#"{"format": "xgboost/1", "format_version": 1, "algorithm": "xgboost", "feature_dim": 2,
            "features": ["a", "b"], "libsvm_index_base": 1, "missing": -999, "csv_header": "skip",
            "narrow_rows": "refuse", "warm_up": [[1, null], [2.5, 3]], "created_by": "a trainer",
            "hyperparameters": {"eta": "0.1"}, "metrics": {"validation:rmse": 0.5},
            "sha256": {"xgboost-model": "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"}}"#,
    );
    assert_eq!(manifest.feature_dim, Some(2));
    assert_eq!(manifest.features, ["a", "b"]);
    assert_eq!(manifest.libsvm_index_base, IndexBase::One);
    assert_eq!(manifest.missing, Missing::Sentinel(-999.0));
    assert_eq!(manifest.csv_header, CsvHeader::Skip);
    assert_eq!(manifest.narrow_rows, NarrowRows::Refuse);
    assert_eq!(manifest.warm_up, [vec![Some(1.0), None], vec![Some(2.5), Some(3.0)]]);
    assert_eq!(manifest.created_by.as_deref(), Some("a trainer"));
    assert_eq!(manifest.hyperparameters["eta"], "0.1");
    assert_eq!(manifest.metrics["validation:rmse"], 0.5);
    assert!(manifest.sha256["xgboost-model"].starts_with("e3b0c442"), "lower case");
    let schema = manifest.row_schema(2);
    assert_eq!((schema.columns, schema.missing), (Some(2), Missing::Sentinel(-999.0)));
    for text in ["null", "\"nan\"", "\"NaN\""] {
        assert_eq!(
            read(&format!("{{\"algorithm\": \"xgboost\", \"missing\": {text}}}")).missing,
            Missing::Allowed
        );
    }
    let linear = read(
        r#"{"algorithm": "linear-learner", "predictor_type": "binary_classifier", "loss": "logistic",
            "threshold": 0.25, "num_classes": 2, "best_hyperparameters": {}}"#,
    );
    assert_eq!(linear.predictor_type, Some(PredictorType::BinaryClassifier));
    assert_eq!(
        (linear.loss.as_deref(), linear.threshold, linear.num_classes),
        (Some("logistic"), Some(0.25), Some(2))
    );
}

#[test]
fn keys_that_are_not_known_are_passed_over_and_named() {
    let text = r#"{"algorithm": "kmeans", "colour": "red", "k": 2, "predictor_type": "regressor"}"#;
    let (manifest, unknown) = Manifest::from_json(text.as_bytes()).expect("a manifest");
    assert_eq!(manifest.k, Some(2));
    assert_eq!(unknown, ["colour", "predictor_type"]);
}

/// The algorithms as a refusal lists them.
fn algorithms() -> String {
    let names = [
        "xgboost",
        "linear-learner",
        "kmeans",
        "pca",
        "knn",
        "factorization-machines",
        "randomcutforest",
        "lda",
    ];
    names.map(|name| format!("{name:?}")).join(" or ")
}

#[test]
fn what_is_no_manifest_is_refused() {
    check_refused("", "EOF while parsing a value at line 1 column 0");
    check_refused("[]", "invalid type: sequence, expected a JSON object at line 1 column 0");
    check_refused("{}", &format!("algorithm: expected {}, found no such key", algorithms()));
    check_refused("{\"k\": 1, \"k\": 1}", "k: expected once, found twice at line 1 column 16");
    check_refused("{} x", "trailing characters at line 1 column 4");
    let deep = "{\"metrics\": ".to_owned() + &"[".repeat(1_000);
    assert!(
        Manifest::from_json(deep.as_bytes()).expect_err("too deep").to_string().contains("recursion limit")
    );
    let large = vec![b' '; MANIFEST_BYTES_MAX as usize + 1];
    assert!(
        Manifest::from_json(&large).expect_err("too large").to_string().contains("at most 16777216 bytes")
    );
}

#[test]
fn versions_above_ours_are_refused() {
    let expected = "expected a whole number from 1 to 1, the highest this program reads";
    for found in ["2", "0", "-1", "1.0", "\"1\""] {
        check_key(
            &format!("\"format_version\": {found}"),
            &format!("format_version: {expected}, found {found}"),
        );
    }
    let expected = "format: expected \"ALGORITHM/1\" with an algorithm that is served";
    check_key("\"format\": \"kmeans/2\"", &format!("{expected}, found \"kmeans/2\""));
    check_key("\"format\": \"word2vec/1\"", &format!("{expected}, found \"word2vec/1\""));
    check_key("\"format\": 1", &format!("{expected}, found 1"));
    check_key(
        "\"format\": \"xgboost/1\"",
        "format: expected \"kmeans/1\" as algorithm says, found \"xgboost/1\"",
    );
    let expected = format!("algorithm: expected {}", algorithms());
    check_refused(r#"{"algorithm": "ntm"}"#, &format!("{expected}, found \"ntm\""));
    check_refused(r#"{"algorithm": null}"#, &format!("{expected}, found null"));
}

#[test]
fn wrong_values_are_refused_by_key() {
    for (member, expected) in [
        (r#""feature_dim": 0"#, "feature_dim: expected a whole number from 1, found 0"),
        (r#""feature_dim": "4""#, "feature_dim: expected a whole number from 1, found \"4\""),
        (r#""feature_dim": 1e3"#, "feature_dim: expected a whole number from 1, found 1000.0"),
        (r#""feature_dim": 999999999"#, "feature_dim: expected at most 268435456, found 999999999"),
        (r#""features": "a""#, "features: expected a list, found \"a\""),
        (r#""features": ["a", 1]"#, "features[1]: expected text, found 1"),
        (r#""libsvm_index_base": 2"#, "libsvm_index_base: expected 0 or 1, found 2"),
        (r#""libsvm_index_base": true"#, "libsvm_index_base: expected 0 or 1, found true"),
        (r#""csv_header": "maybe""#, "csv_header: expected \"refuse\" or \"skip\", found \"maybe\""),
        (r#""narrow_rows": 0"#, "narrow_rows: expected \"refuse\" or \"missing\", found 0"),
        (
            r#""missing": "none""#,
            "missing: expected null, \"nan\" or a number of single precision, found \"none\"",
        ),
        (
            r#""missing": 1e39"#,
            "missing: expected null, \"nan\" or a number of single precision, found 1e+39",
        ),
        (r#""warm_up": {}"#, "warm_up: expected a list, found {}"),
        (r#""warm_up": [1]"#, "warm_up[0]: expected a list of numbers and nulls, found 1"),
        (
            r#""warm_up": [[1], ["x"]]"#,
            "warm_up[1][0]: expected null or a number of single precision, found \"x\"",
        ),
        (r#""created_by": 1"#, "created_by: expected text, found 1"),
        (r#""hyperparameters": []"#, "hyperparameters: expected an object, found []"),
        (r#""metrics": 1"#, "metrics: expected an object, found 1"),
        (r#""sha256": "x""#, "sha256: expected an object, found \"x\""),
        (r#""sha256": {"m": "abc"}"#, "sha256[\"m\"]: expected 64 hexadecimal digits, found \"abc\""),
        (r#""sha256": {"m": 1}"#, "sha256[\"m\"]: expected 64 hexadecimal digits, found 1"),
        (r#""k": 0"#, "k: expected a whole number from 1, found 0"),
    ] {
        check_key(member, expected);
    }
    let long = format!("\"created_by\": [\"{}\"]", "x".repeat(200));
    check_key(&long, &format!("created_by: expected text, found [\"{}…", "x".repeat(78)));
}

#[test]
fn contradictions_are_refused() {
    for (member, expected) in [
        (r#""feature_dim": 2, "features": ["a"]"#, "features: expected 2 names as feature_dim says, found 1"),
        (r#""feature_dim": 2, "warm_up": [[1, 2], [1]]"#, "warm_up[1]: expected 2 values, found 1"),
        (r#""features": ["a"], "warm_up": [[1, 2]]"#, "warm_up[0]: expected 1 values, found 2"),
        (r#""warm_up": [[1, 2], [1]]"#, "warm_up[1]: expected 2 values, found 1"),
        (
            r#""warm_up": [[1, null]]"#,
            "warm_up[0][1]: expected a number, since kmeans takes no missing values",
        ),
        (r#""missing": null"#, "missing: expected no such key, since kmeans takes no missing values"),
        (r#""missing": 0"#, "missing: expected no such key, since kmeans takes no missing values"),
        (
            r#""narrow_rows": "missing""#,
            "narrow_rows: expected \"refuse\", since kmeans takes no missing values",
        ),
    ] {
        check_key(member, expected);
    }
    let rows = vec!["[1]"; 10_001].join(",");
    check_key(&format!("\"warm_up\": [{rows}]"), "warm_up: expected at most 10000 rows, found 10001");
}

fn manifests() -> impl Strategy<Value = Manifest> {
    let missing = prop_oneof![Just(Missing::Allowed), (-1e30_f32..1e30).prop_map(Missing::Sentinel)];
    let row = prop::collection::vec(prop::option::of(-1e30_f32..1e30), 3);
    let keys = (missing, any::<[bool; 4]>(), prop::collection::vec(row, 0..4), "[ -~]{0,12}");
    keys.prop_map(|(missing, [one, skip, narrow, named], warm_up, text)| {
        let mut manifest = Manifest::new(Algorithm::Xgboost);
        manifest.missing = missing;
        manifest.libsvm_index_base = if one { IndexBase::One } else { IndexBase::Zero };
        manifest.csv_header = if skip { CsvHeader::Skip } else { CsvHeader::Absent };
        manifest.narrow_rows = if narrow { NarrowRows::FillMissing } else { NarrowRows::Refuse };
        manifest.feature_dim = named.then_some(3);
        manifest.features = if named { vec![text.clone(), "ü".into(), "\"".into()] } else { Vec::new() };
        manifest.warm_up = warm_up;
        manifest.sha256 = [(text.clone(), "0".repeat(64))].into();
        manifest.hyperparameters.insert(text.clone(), text.clone().into());
        manifest.created_by = one.then_some(text);
        manifest
    })
}

proptest! {
    #[test]
    fn reading_undoes_writing(manifest in manifests()) {
        let text = manifest.to_json();
        let (read, unknown) = Manifest::from_json(&text).expect("what we write");
        prop_assert_eq!(&read, &manifest);
        prop_assert_eq!(unknown, [] as [&str; 0]);
        prop_assert_eq!(read.to_json(), text);
    }

    #[test]
    fn noise_never_panics(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut text = Manifest::new(Algorithm::Xgboost).to_json();
        for (place, byte) in edits {
            let place = place.index(text.len());
            text[place] = byte;
        }
        drop(Manifest::from_json(&text));
    }
}
