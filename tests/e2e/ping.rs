//! `/ping`, `/execution-parameters`, `/metrics`: what a platform and an operator look at.

use harness::{Request, Serve};

use crate::{ROW, serve_small};

#[test]
fn ping_is_200_and_empty_when_all_is_well() {
    let served = serve_small(&[]);
    let answer = served.server.call(&Request::get("/ping"));
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
}

#[test]
fn a_server_without_a_model_listens_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.tar.gz");
    std::fs::write(&path, b"not a model").unwrap();
    let mut server = Serve::model(&path).listen();
    server
        .wait_for("the refusal", |server| server.call(&Request::get("/ping")).text().contains("not loaded"));
    assert_eq!(server.call(&Request::get("/ping")).status, 503);
    let answer = server.call(&Request::invoke("text/csv", ROW));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    // A good one arrives: no restart.
    harness::artifacts::replace(&path, &harness::artifacts::xgboost(crate::Forest::SMALL));
    server.wait_until_ready();
    assert_eq!(server.call(&Request::invoke("text/csv", ROW)).status, 200);
}

#[test]
fn execution_parameters_are_json() {
    let served = serve_small(&["--body-limit", "3MiB", "--workers", "2"]);
    let answer = served.server.call(&Request::get("/execution-parameters"));
    assert_eq!(answer.status, 200);
    let parameters: serde_json::Value = answer.text().parse().unwrap();
    assert_eq!(parameters["BatchStrategy"], "MULTI_RECORD");
    assert_eq!(parameters["MaxPayloadInMB"], 3);
    assert!(parameters["MaxConcurrentTransforms"].as_u64().unwrap() >= 1);
}

#[test]
fn metrics_count_requests() {
    let served = serve_small(&[]);
    for body in [ROW, ROW, "x\n"] {
        served.server.call(&Request::invoke("text/csv", body));
    }
    let answer = served.server.call(&Request::get("/metrics"));
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let text = answer.text();
    let names: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(!names.is_empty(), "{text}");
    // Prometheus refuses a family that is there twice.
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "{names:?}");
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for sample in samples {
        let value = sample.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok() || value == "+Inf", "{sample}");
    }
}

#[test]
fn server_timing_is_there_on_request() {
    let served = serve_small(&[]);
    let plain = served.server.call(&Request::invoke("text/csv", ROW));
    assert_eq!(plain.header("server-timing"), None);
    let timed = served.server.call(&Request::invoke("text/csv", ROW).header("Server-Timing", "1"));
    let timing = timed.header("server-timing").expect("asked for");
    for phase in ["queue;dur=", "decode;dur=", "predict;dur=", "encode;dur="] {
        assert!(timing.contains(phase), "{timing}");
    }
}
