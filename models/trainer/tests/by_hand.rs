//! `clary-train` by hand and over several hosts, with algorithms that need no native library.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

mod scratch;

use scratch::{Scratch, fail, labelled_csv, succeed};

/// The seed of the rows.
const SEED: u64 = 7;

/// A scratch folder with rows in `rows.csv`.
fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("rows.csv", &labelled_csv(600, SEED));
    scratch
}

fn command(scratch: &Scratch, words: &str) -> Command {
    let mut command = scratch.command(words.split_whitespace());
    command.env("CLARY_THREADS", "2");
    command
}

fn train(scratch: &Scratch, words: &str) -> Output {
    command(scratch, words).output().expect("the program starts")
}

fn metrics(scratch: &Scratch) -> Value {
    serde_json::from_str(&scratch.read("out/metrics.json")).expect("JSON")
}

const LINEAR: &str = "linear-learner --train rows.csv --content-type text/csv --out out --set \
                      predictor_type=binary_classifier --set epochs=5 --set mini_batch_size=50";

#[test]
fn a_holdout_is_measured_by_the_artifact_that_was_written() {
    let scratch = scratch();
    let said = succeed(&train(
        &scratch,
        &format!("{LINEAR} --holdout 0.25 --stratify label --seed 3 --test rows.csv"),
    ));
    assert!(said.contains("\nmetric ") && said.contains("\naccuracy "), "{said}");
    let metrics = metrics(&scratch);
    for part in ["train", "held", "test"] {
        assert!(metrics["metrics"][part]["accuracy"].as_f64().expect("measured") > 0.85, "{part}: {metrics}");
    }
    assert_eq!(metrics["held_rows_sha256"][0].as_str().expect("a digest").len(), 64);
    assert!(scratch.path("out/model.tar.gz").is_file());
    assert_eq!(scratch.read("out/predictions.csv").lines().count(), 1 + 150);
    assert!(scratch.read("out/report.svg").contains("receiver operating characteristic"));
}

#[test]
fn folds_give_out_of_fold_predictions_and_one_model() {
    let scratch = scratch();
    for aggregate in ["refit", "best"] {
        succeed(&train(&scratch, &format!("{LINEAR} --folds 3 --aggregate {aggregate}")));
        let metrics = metrics(&scratch);
        assert!(metrics["metrics"]["mean"]["auc"].as_f64().expect("measured") > 0.9, "{metrics}");
        let predictions = scratch.read("out/predictions.csv");
        let places: Vec<&str> =
            predictions.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
        assert_eq!(places, (0..600).map(|row| row.to_string()).collect::<Vec<_>>(), "every row once");
    }
    let output = train(&scratch, &format!("{LINEAR} --folds 3 --aggregate ensemble_mean"));
    fail(&output, 2, "expected refit or best with linear-learner");
}

#[test]
fn clusters_are_measured_without_labels() {
    let scratch = scratch();
    let words = "kmeans --train rows.csv --content-type text/csv --out out --set k=2 --set feature_dim=4 --holdout 0.2";
    succeed(&train(&scratch, words));
    assert!(metrics(&scratch)["metrics"]["held"]["msd"].as_f64().expect("measured") > 0.0);
}

#[test]
fn words_that_are_wrong_are_named() {
    let scratch = scratch();
    fail(&train(&scratch, "perceptron"), 64, "unknown word \"perceptron\": expected train, xgboost");
    fail(&train(&scratch, "kmeans --rows rows.csv"), 64, "--rows");
    fail(&train(&scratch, "kmeans --train rows.csv"), 2, "--out is required");
    fail(&train(&scratch, &format!("{LINEAR} --set rate=1")), 2, "rate");
    let libsvm = LINEAR.replace("text/csv", "text/libsvm");
    fail(&train(&scratch, &libsvm), 2, "expected a content type of");
    fail(
        &train(&scratch, "pca --train rows.csv --out out --model old"),
        2,
        "pca does not go on from an earlier model",
    );
    assert!(succeed(&train(&scratch, "--help")).contains("Algorithms: xgboost"));
    let listed = succeed(&train(&scratch, "kmeans --list-hyperparameters"));
    assert!(listed.contains("\nk: a whole number") || listed.starts_with("k: "), "{listed}");
}

/// Answers as S3 does where a bucket has one object, `data/a.csv`; ends with the program that asks.
fn bucket(rows: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let rows = rows.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
                let mut request = String::new();
                while reader.read_line(&mut request).is_ok_and(|count| count > 2) {}
                let list = format!(
                    "<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated><Contents>\
                     <Key>data/a.csv</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>{}</Size>\
                     <ETag>\"e\"</ETag></Contents></ListBucketResult>",
                    rows.len()
                );
                let (status, body) = match request.split_whitespace().next() {
                    Some("HEAD") => ("404 Not Found", String::new()),
                    _ if request.contains("list-type=2") => ("200 OK", list),
                    _ if request.starts_with("GET /b/data/a.csv ") => ("200 OK", rows),
                    _ => ("404 Not Found", String::new()),
                };
                let mut stream = stream;
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
                     etag: \"e\"\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())));
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn rows_are_fetched_from_s3() {
    let scratch = scratch();
    let endpoint = bucket(labelled_csv(300, SEED));
    let train = |source: &str| {
        let words = LINEAR.replace("--train rows.csv", &format!("--train {source}"));
        let mut command = command(&scratch, &words);
        command.env("AWS_ENDPOINT_URL", &endpoint).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
        command.output().expect("the program starts")
    };
    succeed(&train("s3://b/data/"));
    assert!(metrics(&scratch)["metrics"]["train"]["accuracy"].as_f64().expect("measured") > 0.8);
}

/// The hosts of one job as processes, each with its own base folder and half of the rows.
fn hosts(
    algorithm: &str,
    hyperparameters: &Value,
    scratch: &Scratch,
    count: usize,
    bad: Option<usize>,
) -> Vec<Child> {
    let names: Vec<String> = (1..=count).map(|host| format!("algo-{host}")).collect();
    let free = TcpListener::bind("127.0.0.1:0").expect("a loopback").local_addr().expect("bound");
    let all = labelled_csv(600, SEED);
    let lines: Vec<&str> = all.lines().collect();
    let start = |(rank, name): (usize, &String)| {
        let base = scratch.path(name);
        let put = |file: &str, text: String| {
            let path = base.join(file);
            fs::create_dir_all(path.parent().expect("below the base")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        put("input/config/hyperparameters.json", hyperparameters.to_string());
        let resources = json!({"current_host": name, "hosts": names});
        put("input/config/resourceconfig.json", resources.to_string());
        put("input/config/inputdataconfig.json", json!({"train": {"ContentType": "text/csv"}}).to_string());
        let share = lines.iter().skip(rank).step_by(count).map(|line| format!("{line}\n"));
        let bad = if bad == Some(rank) { "1,x,2,3\n" } else { "" };
        put("input/data/train/rows.csv", share.collect::<String>() + bad);
        let mut command = Command::new(env!("CARGO_BIN_EXE_clary-train"));
        command.arg("train").env("SAGEMAKER_BASE_DIR", &base).env("CLARY_ALGORITHM", algorithm);
        command.env("CLARY_COLLECTIVE_ADDRESS", free.to_string()).env("CLARY_THREADS", "1");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    names.iter().enumerate().map(start).collect()
}

#[test]
fn two_hosts_train_one_model() {
    let scratch = scratch();
    let values = json!({"predictor_type": "binary_classifier", "epochs": "3", "mini_batch_size": "50", "feature_dim": "3"});
    for host in hosts("linear-learner", &values, &scratch, 2, None) {
        let output = host.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(scratch.path("algo-1/model/manifest.json").is_file());
    assert!(!scratch.path("algo-2/model/manifest.json").exists(), "host 0 writes the model");
}

#[test]
fn a_host_that_fails_fails_the_others_with_its_reason() {
    let scratch = scratch();
    let values = json!({"predictor_type": "binary_classifier", "epochs": "3", "feature_dim": "3"});
    for host in hosts("linear-learner", &values, &scratch, 3, Some(1)) {
        let output = host.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for host in ["algo-1", "algo-2", "algo-3"] {
        let reason = scratch.read(&format!("{host}/output/failure"));
        assert!(
            reason.starts_with("ClientError: ") && reason.contains("row 201, column 2"),
            "{host}: {reason}"
        );
        assert_eq!(reason.matches("ClientError").count(), 1, "{host}: {reason}");
    }
}
