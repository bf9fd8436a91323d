//! One CSV row through a 100-tree model over keep-alive HTTP on loopback, against a bare hyper echo of the same row.
//!
//! Both servers have the same layout: one acceptor that hands connections to a current-thread runtime a core. The load
//! generator runs them in alternating slices, so that a slow minute of the machine hits both; what counts are the
//! ratios of the medians. Then the artifact is replaced over and over under 70 % of the measured rate, open loop, and no
//! request may fail. `cargo bench -p tests --bench end_to_end`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench: a panic is its failure, stdout its report"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::forest::Forest;
use harness::payload::Rows;
use harness::{Client, Request, Serve, Server, artifacts};
use serde_json::Value;

#[path = "../examples/echo.rs"]
mod echo;

/// Keep-alive connections of the three comparisons.
const CONNECTIONS: [&str; 3] = ["1", "16", "64"];

/// Slices of each server in one comparison, and the length of one.
const SLICES: &str = "9";
const SLICE: &str = "700ms";

/// Starts of the server whose median is reported.
const STARTS: usize = 9;

/// How long the artifact is replaced under load, and the share of the measured rate that is sent meanwhile.
const RELOAD_TIME: &str = "30s";
const RELOAD_LOAD: f64 = 0.7;

fn main() {
    // `cargo test --benches` only asks whether it links.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.tar.gz");
    std::fs::write(&path, artifacts::xgboost(Forest::BENCH)).unwrap();
    let row = Rows::draw(1, Forest::BENCH.features, 3).write("text/csv");
    let payload = folder.path().join("row.csv");
    std::fs::write(&payload, &row).unwrap();

    let starts = (0..STARTS).map(|_| start_to_first_answer(&path, &row).0);
    println!(
        "start to first answer  {:.1} ms (median of {STARTS})",
        median(starts.map(|took| took.as_secs_f64() * 1e3))
    );
    let (_, server) = start_to_first_answer(&path, &row);
    println!("resident memory        {:.1} MB after the first answer", megabytes(&server));
    // The answer is checked before it is timed.
    let expected = harness::Oracle::of_path(&path).answer("text/csv", &row, "text/csv");
    assert_eq!(Client::connect(server.address()).call(&Request::invoke("text/csv", row)).body, expected);

    let echo = echo::start();
    println!("\nclary serve against a bare hyper echo, closed loop, {SLICES} × {SLICE} each, medians\n");
    println!(
        "{:>11}  {:>12}  {:>12}  {:>7}  {:>10}  {:>10}  {:>7}",
        "connections", "echo/s", "clary/s", "ratio", "echo p99", "clary p99", "ratio"
    );
    let mut clary_rate = f64::INFINITY;
    for connections in CONNECTIONS {
        let report = compare(echo, server.address(), &payload, connections);
        let median = |side: &str, name: &str| report["medians"][side][name].as_f64().unwrap();
        println!(
            "{connections:>11}  {:>12.0}  {:>12.0}  {:>7.3}  {:>7.3} ms  {:>7.3} ms  {:>7.3}",
            median("a", "requests/s"),
            median("b", "requests/s"),
            report["ratios"]["requests/s"].as_f64().unwrap(),
            median("a", "p99"),
            median("b", "p99"),
            report["ratios"]["p99"].as_f64().unwrap(),
        );
        // The rate of 16 connections, which the reloads use.
        if connections == CONNECTIONS[1] {
            clary_rate = median("b", "requests/s");
        }
    }
    println!("\nresident memory        {:.1} MB after the load", megabytes(&server));
    drop(server);
    reload_under_load(Serve::model(&path).start(), &path, &payload, clary_rate);
}

/// Replaces the artifact until the load ends: no request may fail, and each answer names one of the two versions.
fn reload_under_load(mut server: Server, path: &Path, payload: &Path, sustainable_rate: f64) {
    let rate = sustainable_rate * RELOAD_LOAD;
    let mut load = Command::new(harness::programs::program("clary-loadtest"))
        .args([
            "run",
            &format!("http://{}/invocations", server.address()),
            "--rate",
            &rate.to_string(),
            "--poisson",
        ])
        .args([
            "--duration",
            RELOAD_TIME,
            "-c",
            "16",
            "--content-type",
            "text/csv",
            "--quiet",
            "--json",
            "-",
            "--data",
        ])
        .arg(payload)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let versions = [2, 3].map(|seed| artifacts::xgboost(Forest { seed, ..Forest::BENCH }));
    let digests = versions.each_ref().map(|version| harness::Oracle::of_bytes(version).digest().to_owned());
    let request = Request::invoke("text/csv", std::fs::read(payload).unwrap());
    let mut reloads = 0;
    while load.try_wait().unwrap().is_none() {
        let next = reloads % 2;
        artifacts::replace(path, &versions[next]);
        server.wait_for("the new artifact", |server| {
            server.call(&request).header("x-clary-artifact") == Some(&digests[next])
        });
        reloads += 1;
    }
    let report: Value = String::from_utf8(load.wait_with_output().unwrap().stdout).unwrap().parse().unwrap();
    assert_eq!(report["errors"], 0, "{report:#}");
    let named = report["headers"]["x-clary-artifact"].as_object().unwrap();
    assert_eq!(named.values().filter_map(Value::as_u64).sum::<u64>(), report["answers"].as_u64().unwrap());
    println!(
        "{reloads} reloads at {rate:.0}/s     0 of {} requests failed, p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms",
        report["answers"],
        report["latency_ms"]["p50"].as_f64().unwrap(),
        report["latency_ms"]["p99"].as_f64().unwrap(),
        report["latency_ms"]["p99.9"].as_f64().unwrap(),
    );
    println!("resident memory        {:.1} MB after the reloads", megabytes(&server));
}

fn megabytes(server: &Server) -> f64 {
    server.memory_bytes() as f64 / 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// From before the process is made to the last byte of its first prediction.
fn start_to_first_answer(path: &Path, row: &[u8]) -> (Duration, Server) {
    // As a user starts it: the harness looks at the artifact fifty times a second, which shows in a p99.
    let server = Serve::model(path).args(&["--reload-interval", "1s"]).listen();
    let started = server.started();
    let request = Request::invoke("text/csv", row);
    let mut client = server.connect();
    while client.call(&request).status != 200 {
        assert!(started.elapsed() < harness::http::ANSWER_TIMEOUT, "the model never loads\n{}", server.log());
    }
    (started.elapsed(), server)
}

/// The load generator's A/B report: the echo is A, the server B.
fn compare(echo: SocketAddr, server: SocketAddr, payload: &Path, connections: &str) -> Value {
    let urls = [echo, server].map(|address| format!("http://{address}/invocations"));
    let output = Command::new(harness::programs::program("clary-loadtest"))
        .arg("ab")
        .args(urls)
        .args(["--closed", "--slices", SLICES, "--duration", SLICE, "--warm-up", "100ms", "-c", connections])
        .args(["--content-type", "text/csv", "--accept", "text/csv", "--quiet", "--json", "-", "--data"])
        .arg(payload)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    assert_eq!(report["b"]["errors"], 0, "{report:#}");
    report
}
