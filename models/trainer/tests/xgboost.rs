//! `clary-train` itself, with the real XGBoost library: by hand and as a training container. What it wrote is loaded by
//! the serving crate.
//!
//! The library has to be there (`make native`); `CLARY_SKIP_NATIVE=1` leaves these tests out on machines without one.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use dmatrix::{DMatrix, Predictions};
use models::{Artifact, Input, LoadOptions};

mod scratch;

use scratch::{Scratch, fail, labelled_csv, succeed};

/// Starts the program where the scratch folder stands for `/opt/ml`, and for the user's own.
fn train(scratch: &Scratch, arguments: &[&str]) -> Output {
    let mut command = scratch.command(arguments.iter().copied());
    command.env("SAGEMAKER_BASE_DIR", scratch.folder()).output().expect("the program starts")
}

/// Whether the tests that need the library are left out.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
fn is_skipped() -> bool {
    std::env::var_os("CLARY_SKIP_NATIVE").is_some_and(|value| value == "1")
}

/// Scores two rows that are clearly of class 0 and of class 1.
fn score_clear_cases(artifact: &Path) -> Vec<f32> {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let artifact = Artifact::open(artifact, scratch.path()).expect("an artifact");
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    let rows = DMatrix::from_dense(vec![0.1, 0.1, 0.5, 0.9, 0.9, 0.5], 3);
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(&rows), &mut predictions).expect("rows of three features");
    predictions.fields()[0].values.clone()
}

const BY_HAND: &[&str] = &[
    "xgboost",
    "--train",
    "train.csv",
    "--content-type",
    "text/csv",
    "--out",
    "out",
    "--set",
    "objective=binary:logistic",
    "--set",
    "num_round=20",
    "--set",
    "nthread=1",
];

#[test]
fn a_model_trained_by_hand_is_served() {
    if is_skipped() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("train.csv", &labelled_csv(500, 1));
    let said = succeed(&train(&scratch, &[BY_HAND, &["--holdout", "0.2", "--seed", "3"]].concat()));
    assert!(said.contains("train: 400 rows of 3 features"), "{said}");
    assert!(said.contains("validation: 100 rows of 3 features"), "{said}");
    let last = said.lines().find(|line| line.starts_with("[19]\t")).expect("the last round's metrics");
    assert!(last.contains("\ttrain-logloss:0.") && last.contains("\tvalidation-logloss:0."), "{last}");
    let scores = score_clear_cases(&scratch.path("out/model.tar.gz"));
    assert!(scores[0] < 0.1 && scores[1] > 0.9, "{scores:?}");
}

#[test]
fn the_same_job_writes_the_same_bytes() {
    if is_skipped() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("train.csv", &labelled_csv(200, 1));
    let artifact = || {
        succeed(&train(&scratch, BY_HAND));
        fs::read(scratch.path("out/model.tar.gz")).expect("the artifact")
    };
    assert_eq!(artifact(), artifact());
}

#[test]
fn the_manifest_says_what_serving_may_not_guess() {
    if is_skipped() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("train.csv", &labelled_csv(50, 1));
    succeed(&train(&scratch, BY_HAND));
    let unpacked = tempfile::tempdir().expect("a scratch folder");
    let artifact = Artifact::open(&scratch.path("out/model.tar.gz"), unpacked.path()).expect("an artifact");
    let manifest = artifact.manifest();
    assert_eq!(manifest.feature_dim, Some(3));
    assert_eq!(manifest.narrow_rows, dmatrix::NarrowRows::Refuse);
    assert_eq!(manifest.missing, dmatrix::Missing::Allowed);
    assert_eq!(manifest.warm_up.len(), 3);
    assert_eq!(manifest.hyperparameters["num_round"], "20");
    assert!(manifest.metrics["train:logloss"].as_f64().is_some_and(|value| value > 0.0));
    assert!(manifest.sha256.contains_key("xgboost-model"));
    assert_eq!(artifact.assumptions(), [] as [String; 0]);
}

#[test]
fn a_container_trains_with_hyperparameters_and_a_folder_alone() {
    if is_skipped() {
        return;
    }
    let scratch = Scratch::new();
    scratch
        .write("input/config/hyperparameters.json", r#"{"num_round": "5", "objective": "binary:logistic"}"#)
        .write("input/data/train/part-0.libsvm", "1 0:0.9 1:0.9\n0 0:0.1 1:0.2\n1 0:0.8\n0 2:0.5\n");
    succeed(&train(&scratch, &["train"]));
    assert!(scratch.path("model/xgboost-model").is_file());
    assert!(scratch.read("model/manifest.json").contains("\"format\": \"xgboost/1\""));
    assert!(!scratch.path("output/failure").exists());
    Artifact::open(&scratch.path("model"), scratch.folder()).expect("a directory that is an artifact");
}

#[test]
fn what_folds_answered_is_no_part_of_the_model() {
    if is_skipped() {
        return;
    }
    let folds = r#"{"num_round": "2", "objective": "binary:logistic", "_kfold": "2"}"#;
    let rows = labelled_csv(40, 1);
    let scratch = Scratch::new();
    scratch
        .write("input/config/hyperparameters.json", folds)
        .write("input/config/inputdataconfig.json", r#"{"train": {"ContentType": "text/csv"}}"#)
        .write("input/data/train/part-0.csv", &rows)
        .write("train.csv", &rows);
    succeed(&train(&scratch, &["train"]));
    assert_eq!(scratch.read("output/data/predictions.csv").lines().count(), 40);
    assert!(scratch.path("model/xgboost-model-1").is_file());
    assert!(!scratch.path("model/predictions.csv").exists());
    let by_hand = [BY_HAND, &["--set", "_kfold=2"]].concat();
    succeed(&train(&scratch, &by_hand));
    assert_eq!(scratch.read("out/predictions.csv").lines().count(), 40);
    // The report's own predictions of held rows keep their name.
    succeed(&train(&scratch, &[&by_hand[..], &["--holdout", "0.25"]].concat()));
    assert_eq!(scratch.read("out/data/predictions.csv").lines().count(), 40);
    assert!(scratch.read("out/predictions.csv").starts_with("row,fold,label"));
}

#[test]
fn early_stopping_keeps_the_best_rounds() {
    if is_skipped() {
        return;
    }
    for booster in ["gbtree", "dart", "gblinear"] {
        let scratch = Scratch::new();
        // Labels of pure chance: what is learnt only makes validation worse.
        let mut random = fastrand::Rng::with_seed(5);
        let mut noise =
            || (0..60).map(|_| format!("{},{}\n", random.f32(), random.f32())).collect::<String>();
        scratch.write("t.csv", &noise()).write("v.csv", &noise());
        let booster = format!("booster={booster}");
        let arguments = [
            "xgboost",
            "--train",
            "t.csv",
            "--validation",
            "v.csv",
            "--content-type",
            "csv",
            "--out",
            "o",
            "--set",
            "num_round=200",
            "--set",
            "early_stopping_rounds=3",
            "--set",
            "model_format=json",
            "--set",
            &booster,
        ];
        let said = succeed(&train(&scratch, &arguments));
        let note = said.lines().find_map(|line| line.strip_prefix("stopping early: the best round is "));
        let best: usize = note.unwrap_or_else(|| panic!("{booster}: {said}")).parse().expect("a round");
        let rounds = said.lines().filter(|line| line.contains("]\ttrain-")).count();
        assert_eq!(rounds, best + 1 + 3, "{booster}");
        let unpacked = tempfile::tempdir().expect("a scratch folder");
        let artifact = Artifact::open(&scratch.path("o/model.tar.gz"), unpacked.path()).expect("an artifact");
        artifact.load(&LoadOptions::default()).expect("a model");
        let metrics = &artifact.manifest().metrics;
        let line = said
            .lines()
            .find(|line| line.starts_with(&format!("[{best}]\t")))
            .expect("the best round's line");
        let shown = format!("{:.5}", metrics["validation:rmse"].as_f64().expect("a number"));
        assert!(line.ends_with(&shown), "{booster}: {line} does not end with {shown}");
    }
}

#[test]
fn own_metrics_stand_beside_the_librarys() {
    if is_skipped() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("train.csv", &labelled_csv(300, 2));
    let said = succeed(&train(&scratch, &[BY_HAND, &["--set", "eval_metric=error,accuracy,f1"]].concat()));
    let line = said.lines().find(|line| line.starts_with("[19]\t")).expect("the last round's metrics");
    let value = |name: &str| -> f64 {
        let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("{name} is not in {line}"));
        rest.split('\t').next().expect("a value").parse().expect("a number")
    };
    assert!((value("train-error:") + value("train-accuracy:") - 1.0).abs() < 1e-4, "{line}");
    assert!(value("train-f1:") > 0.9, "{line}");
}

#[test]
fn every_objective_trains() {
    if is_skipped() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("two.csv", &labelled_csv(100, 4));
    let positive = labelled_csv(100, 4).lines().map(|line| format!("1{line}\n")).collect::<String>();
    scratch.write("positive.csv", &positive);
    let check = |data: &str, settings: &[&str]| {
        let mut arguments = vec!["xgboost", "--train", data, "--content-type", "csv", "--out", "o"];
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        arguments.extend(["--set", "num_round=3"]);
        succeed(&train(&scratch, &arguments));
        let scores = score_clear_cases(&scratch.path("o/model.tar.gz"));
        assert!(
            scores.len() >= 2 && scores.iter().all(|score| score.is_finite()),
            "{settings:?}: {scores:?}"
        );
    };
    for objective in
        ["reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:logistic", "reg:absoluteerror"]
    {
        check("two.csv", &[&format!("objective={objective}")]);
    }
    for objective in ["binary:logistic", "binary:logitraw", "binary:hinge", "reg:pseudohubererror"] {
        check("two.csv", &[&format!("objective={objective}")]);
    }
    for objective in ["reg:gamma", "reg:tweedie", "count:poisson", "survival:cox", "survival:aft"] {
        check("positive.csv", &[&format!("objective={objective}")]);
    }
    check("two.csv", &["objective=multi:softmax", "num_class=2"]);
    check("two.csv", &["objective=multi:softprob", "num_class=2"]);
    check("two.csv", &["tree_method=hist", "monotone_constraints=(1,1,0)"]);
    check("two.csv", &["tree_method=exact", "interaction_constraints=[[0,1],[2]]"]);
    check("two.csv", &["tree_method=gpu_hist", "grow_policy=lossguide", "max_leaves=4"]);
    check("two.csv", &["booster=dart", "rate_drop=0.5"]);
}

#[test]
fn mistakes_leave_their_reason_and_code() {
    let check = |hyperparameters: &str, data: &str, expected: &str| {
        let scratch = Scratch::new();
        scratch
            .write("input/config/hyperparameters.json", hyperparameters)
            .write("input/config/inputdataconfig.json", r#"{"train": {"ContentType": "text/csv"}}"#)
            .write("input/data/train/a.csv", data);
        fail(&train(&scratch, &["train"]), 2, expected);
        let failure = scratch.read("output/failure");
        assert!(failure.starts_with("ClientError: ") && failure.contains(expected), "{failure}");
        assert!(!scratch.path("model").exists(), "no model is written");
    };
    check("{}", "1,2\n", "num_round is required");
    check(r#"{"num_round": "1", "silent": "1"}"#, "1,2\n", "unknown hyperparameter \"silent\"");
    check(r#"{"num_round": "1", "eta": "7"}"#, "1,2\n", "eta: expected a number in [0, 1], found \"7\"");
    check(r#"{"num_round": "1"}"#, "1,2\n1,two\n", "row 2, column 2");
    check(r#"{"num_round": "1"}"#, "", "expected rows");
    check(
        r#"{"num_round": "1", "objective": "binary:logistic"}"#,
        "1,2\n3,2\n",
        "channel train, row 2: expected a label in [0, 1] with objective binary:logistic, found 3",
    );
    check(
        r#"{"num_round": "1", "objective": "multi:softmax", "num_class": "3"}"#,
        "1,2\n3,2\n",
        "row 2: expected a class from 0 to 2",
    );
    check(r#"{"num_round": "1", "early_stopping_rounds": "1"}"#, "1,2\n", "needs the channel validation");
}

#[test]
fn words_and_libraries_that_are_not_there_are_named() {
    let scratch = Scratch::new();
    scratch.write("train.csv", "1,2\n");
    fail(&train(&scratch, &["serve"]), 64, "unknown word \"serve\": expected train, xgboost");
    let arguments =
        ["xgboost", "--train", "train.csv", "--content-type", "csv", "--out", "o", "--set", "num_round=1"];
    let library = ["--xgboost-lib", "/nonexistent/libxgboost.so"];
    fail(&train(&scratch, &[&arguments[..], &library].concat()), 3, "make native");
}

/// SIGTERM after the first metric line: the rounds so far are the model, and the exit code is 0.
#[test]
fn a_stop_request_saves_what_was_learnt() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;
    if is_skipped() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("train.csv", &labelled_csv(2_000, 1));
    let mut child = scratch
        .command(["xgboost", "--train", "train.csv", "--content-type", "csv", "--out", "out", "--set"])
        .args(["objective=binary:logistic", "--set", "num_round=1000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.starts_with("[0]\t") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).expect("UTF-8"), 0, "the first round is announced");
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill starts");
    assert!(killed.success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{rest}");
    assert!(rest.contains("stopping after ") && rest.contains("wrote "), "{rest}");
    let scores = score_clear_cases(&scratch.path("out/model.tar.gz"));
    assert!(scores[0] < scores[1], "{scores:?}");
}
