//! `/models`: the platform loads, lists, invokes and unloads.

use std::net::SocketAddr;
use std::path::Path;

use harness::forest::Forest;
use harness::http::call;
use harness::{Oracle, Request, Serve, Server, artifacts};

use crate::ROW;

/// Unpacks a small model as the platform does, under `base`/models/`name`/model; its score comes from `seed`.
fn provide(base: &Path, name: &str, seed: u64) -> String {
    let folder = base.join("models").join(name).join("model");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("xgboost-model"), Forest { seed, ..Forest::SMALL }.to_json()).unwrap();
    folder.to_str().unwrap().to_owned()
}

fn load(address: SocketAddr, name: &str, url: &str) -> u16 {
    let body = serde_json::json!({"model_name": name, "url": url}).to_string();
    let request = Request::new("POST", "/models").header("Content-Type", "application/json").body(body);
    call(address, &request).status
}

fn invoke(server: &Server, name: &str) -> harness::Answer {
    let request = Request::new("POST", &format!("/models/{name}/invoke"));
    server.call(&request.header("Content-Type", "text/csv").body(ROW))
}

#[test]
fn models_come_and_go() {
    let base = tempfile::tempdir().unwrap();
    let server = Serve::multi_model(base.path()).start();
    let address = server.address();
    let (a, b) = (provide(base.path(), "a", 1), provide(base.path(), "b", 2));
    assert_eq!(invoke(&server, "a").status, 404);
    assert_eq!((load(address, "a", &a), load(address, "b", &b)), (200, 200));
    assert_eq!(load(address, "a", &a), 409);
    for (name, url) in [("a", &a), ("b", &b)] {
        let answer = invoke(&server, name);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let oracle = Oracle::of_path(Path::new(url));
        assert_eq!(answer.body, oracle.answer("text/csv", ROW.as_bytes(), "text/csv"));
    }
    let list: serde_json::Value = server.call(&Request::get("/models")).text().parse().unwrap();
    let mut names: Vec<_> =
        list["models"].as_array().unwrap().iter().map(|m| m["modelName"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["a", "b"]);
    let one: serde_json::Value = server.call(&Request::get("/models/a")).text().parse().unwrap();
    assert_eq!((&one["modelName"], &one["modelUrl"]), (&"a".into(), &a.as_str().into()));
    assert_eq!(server.call(&Request::new("DELETE", "/models/a")).status, 200);
    assert_eq!(server.call(&Request::new("DELETE", "/models/a")).status, 404);
    assert_eq!(server.call(&Request::get("/models/a")).status, 404);
    assert_eq!(invoke(&server, "a").status, 404);
    assert_eq!(invoke(&server, "b").status, 200);
    assert_eq!(load(address, "a", &a), 200);
}

#[test]
fn a_broken_model_is_refused_and_the_others_serve() {
    let base = tempfile::tempdir().unwrap();
    let server = Serve::multi_model(base.path()).start();
    let address = server.address();
    let good = provide(base.path(), "good", 1);
    let broken = provide(base.path(), "broken", 1);
    std::fs::write(Path::new(&broken).join("xgboost-model"), b"{\"learner\": ").unwrap();
    assert_eq!(load(address, "good", &good), 200);
    assert_eq!(load(address, "broken", &broken), 400);
    assert_eq!(load(address, "missing", "/nonexistent"), 400);
    assert_eq!(invoke(&server, "good").status, 200);
}

#[test]
fn what_does_not_fit_is_507() {
    let base = tempfile::tempdir().unwrap();
    let server = Serve::multi_model(base.path()).args(&["--model-memory", "64KiB"]).start();
    let address = server.address();
    let small = provide(base.path(), "small", 1);
    let folder = base.path().join("models/large/model");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("xgboost-model"), Forest::BENCH.to_json()).unwrap();
    assert_eq!(load(address, "small", &small), 200);
    assert_eq!(load(address, "large", folder.to_str().unwrap()), 507);
    assert_eq!(invoke(&server, "small").status, 200);
}

#[test]
fn a_model_loaded_by_many_at_once_is_loaded_once() {
    let base = tempfile::tempdir().unwrap();
    let server = Serve::multi_model(base.path()).start();
    let address = server.address();
    let url = provide(base.path(), "a", 1);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..8).map(|_| scope.spawn(|| load(address, "a", &url))).collect();
        loads.into_iter().map(|load| load.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| matches!(status, 200 | 409)), "{statuses:?}");
    assert!(statuses.contains(&200), "{statuses:?}");
    assert_eq!(invoke(&server, "a").status, 200);
}

#[test]
fn requests_that_are_no_load_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let server = Serve::multi_model(base.path()).start();
    let post = |body: &str| {
        server
            .call(&Request::new("POST", "/models").header("Content-Type", "application/json").body(body))
            .status
    };
    for body in [
        "",
        "{}",
        "[]",
        "{\"model_name\": 1, \"url\": \"/x\"}",
        "{\"model_name\": \"a\"",
        "{\"model_name\": \"\", \"url\": \"/x\"}",
    ] {
        assert_eq!(post(body), 400, "{body}");
    }
    let single = crate::serve(&artifacts::xgboost(Forest::SMALL), &[]);
    assert_eq!(single.server.call(&Request::get("/models")).status, 404);
}
