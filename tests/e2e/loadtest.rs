//! `clary-loadtest` against the server: its counts are the truth, its modes run.

use std::process::Command;

use harness::{Oracle, artifacts, programs::program};
use serde_json::Value;

use crate::{Forest, ROW, Served, serve_small};

/// Runs the generator with `arguments`: its JSON report and exit code.
fn run(arguments: &[&str]) -> (Value, Option<i32>) {
    let output = Command::new(program("clary-loadtest"))
        .args(arguments)
        .args(["--quiet", "--json", "-"])
        .output()
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (report.parse().unwrap_or_else(|_| panic!("no report: {report}{error}")), output.status.code())
}

fn url(served: &Served) -> String {
    format!("http://{}/invocations", served.server.address())
}

const PAYLOAD: [&str; 4] = ["--data", "@0.1,0.2,0.3,0.4", "--content-type", "text/csv"];

#[test]
fn an_open_loop_sends_exactly_its_schedule() {
    let served = serve_small(&[]);
    let url = url(&served);
    let digest = Oracle::of_bytes(&artifacts::xgboost(Forest::SMALL)).digest().to_owned();
    let arguments =
        [&["run", &url, "--rate", "200", "-d", "500ms", "--warm-up", "100ms", "-c", "4"][..], &PAYLOAD]
            .concat();
    let (report, code) = run(&arguments);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["answers"], 100);
    assert_eq!(report["statuses"]["200"], 100);
    assert_eq!(report["headers"]["x-clary-artifact"][&digest], 100);
    assert_eq!(report["errors"], 0);
    assert!(report["latency_ms"]["p50"].as_f64().unwrap() > 0.0);
}

#[test]
fn several_payloads_are_sent_in_turn() {
    let served = serve_small(&[]);
    let url = url(&served);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    std::fs::write(&file, ROW.repeat(2)).unwrap();
    let (report, code) = run(&[
        "run",
        &url,
        "--rate",
        "100",
        "-d",
        "400ms",
        "--warm-up",
        "0ms",
        "--data",
        file.to_str().unwrap(),
        "--data",
        "@x",
        "--content-type",
        "text/csv",
    ]);
    assert_eq!(code, Some(1), "refused requests are errors");
    assert_eq!(
        (&report["statuses"]["200"], &report["statuses"]["415"]),
        (&20.into(), &20.into()),
        "{report:#}"
    );
}

#[test]
fn ab_and_closed_compare_two_targets() {
    let (a, b) = (serve_small(&[]), serve_small(&[]));
    let (url_a, url_b) = (url(&a), url(&b));
    let arguments =
        [
            &[
                "ab",
                &url_a,
                &url_b,
                "--closed",
                "--slices",
                "2",
                "-d",
                "100ms",
                "--warm-up",
                "0ms",
                "-c",
                "2",
            ][..],
            &PAYLOAD,
        ]
        .concat();
    let (report, code) = run(&arguments);
    assert_eq!(code, Some(0), "{report:#}");
    for side in ["a", "b"] {
        assert_eq!(report[side]["slices"], 2);
        assert!(report[side]["answers"].as_u64().unwrap() > 0);
    }
    assert!(report["ratios"]["requests/s"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_ramp_ends_at_its_highest_rate() {
    let served = serve_small(&[]);
    let url = url(&served);
    // An objective that holds on any machine: the search is what is looked at.
    let limits = [
        "--slo-p99",
        "5s",
        "--start-rate",
        "50",
        "--max-rate",
        "100",
        "-d",
        "200ms",
        "--warm-up",
        "0ms",
        "--constant",
    ];
    let arguments = [&["ramp", &url][..], &limits, &PAYLOAD].concat();
    let (report, code) = run(&arguments);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report[0]["rate"], 100.0);
    assert_eq!(report[0]["steps"].as_array().unwrap().len(), 2);
}

#[test]
fn a_target_that_is_not_there_is_an_error() {
    let output = Command::new(program("clary-loadtest"))
        .args(["run", "http://127.0.0.1:1/", "--rate", "5"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("connection refused"));
}
