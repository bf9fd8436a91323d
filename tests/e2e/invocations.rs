//! `/invocations`: every content type × every Accept answers what the pure function answers; what is wrong is said.

use harness::payload::{CONTENT_TYPES, Rows};
use harness::{Oracle, Request, artifacts};

use crate::{Forest, ROW, serve, serve_small};

const ACCEPTS: [&str; 4] =
    ["text/csv", "application/json", "application/jsonlines", "application/x-recordio-protobuf"];

#[test]
fn every_content_type_and_accept_answers_the_pure_function() {
    let models = [
        ("xgboost", artifacts::xgboost(Forest::SMALL)),
        ("kmeans", artifacts::kmeans(&[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], 4)),
        ("linear-learner", artifacts::regressor(&[1.5, -2.0, 0.25, 8.0], 0.5)),
    ];
    let rows = Rows::draw(9, 4, 11);
    for (name, artifact) in models {
        let oracle = Oracle::of_bytes(&artifact);
        let served = serve(&artifact, &[]);
        let mut client = served.server.connect();
        for content_type in CONTENT_TYPES {
            let body = rows.write(content_type);
            for accept in ACCEPTS {
                let request = Request::invoke(content_type, body.clone()).header("Accept", accept);
                let answer = client.call(&request);
                let what = format!("{name}: {content_type} to {accept}: {}", answer.text());
                assert_eq!(answer.status, 200, "{what}");
                assert_eq!(answer.body, oracle.answer(content_type, &body, accept), "{what}");
                assert_eq!(answer.header("content-type"), Some(accept), "{what}");
                assert_eq!(answer.header("x-clary-artifact"), Some(oracle.digest()), "{what}");
            }
        }
    }
}

#[test]
fn answers_look_as_the_public_containers_answers_do() {
    let centroids = [0.0, 0.0, 3.0, 4.0];
    let served = serve(&artifacts::kmeans(&centroids, 2), &[]);
    let answer = |accept: &str| {
        let answer = served.server.call(&Request::invoke("text/csv", "0,0\n3,4\n").header("Accept", accept));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    let json = r#"{"predictions": [{"closest_cluster": 0.0, "distance_to_cluster": 0.0}, {"closest_cluster": 1.0, "distance_to_cluster": 0.0}]}"#;
    assert_eq!(
        answer("application/json").replace(", ", ",").replace(": ", ":"),
        json.replace(", ", ",").replace(": ", ":")
    );
    assert_eq!(answer("text/csv"), "0.0,0.0\n1.0,0.0\n");
    assert_eq!(answer("*/*"), answer("application/json"));
}

#[test]
fn accept_is_negotiated() {
    let served = serve_small(&[]);
    let content_type = |accept: &str| {
        let answer = served.server.call(&Request::invoke("text/csv", ROW).header("Accept", accept));
        (answer.status, answer.header("content-type").unwrap_or_default().to_owned())
    };
    assert_eq!(content_type("*/*"), (200, "text/csv".to_owned()), "XGBoost's default");
    assert_eq!(content_type("application/json;q=0.5, application/jsonlines"), (200, ACCEPTS[2].to_owned()));
    assert_eq!(content_type("image/png, application/json;q=0.1"), (200, ACCEPTS[1].to_owned()));
    assert_eq!(content_type("image/png").0, 406);
    let json_by_default = serve_small(&["--default-accept", "application/json"]);
    let answer = json_by_default.server.call(&Request::invoke("text/csv", ROW));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn custom_attributes_come_back() {
    let served = serve_small(&[]);
    let request =
        Request::invoke("text/csv", ROW).header("X-Amzn-SageMaker-Custom-Attributes", "trace=7;a b");
    let answer = served.server.call(&request);
    assert_eq!(answer.header("x-amzn-sagemaker-custom-attributes"), Some("trace=7;a b"));
}

#[test]
fn an_empty_body_is_no_content() {
    let served = serve_small(&[]);
    let answer = served.server.call(&Request::invoke("text/csv", ""));
    assert_eq!((answer.status, answer.body.len()), (204, 0));
}

/// Sends `body` to a server of 4 features: its status, and words that its answer must hold.
#[track_caller]
fn refuse(served: &crate::Served, content_type: &str, body: &str, status: u16, words: &[&str]) {
    let answer = served.server.call(&Request::invoke(content_type, body));
    let text = answer.text();
    assert_eq!(answer.status, status, "{content_type}, {body:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{content_type}, {body:?}: {word:?} is not in {text:?}");
    }
}

#[test]
fn errors_of_xgboost_say_where_and_what() {
    let served = serve_small(&[]);
    let check =
        |content_type, body, status, words: &[&str]| refuse(&served, content_type, body, status, words);
    check("text/csv", "1,2,3,4\n1,x,3,4\n", 415, &["row 2", "column 2", "expected", "found"]);
    check("text/csv", "1,2,3,4,5\n", 400, &["row 1", "expected", "4 features", "found 5"]);
    check("text/csv", "1,2,3,1e39\n", 415, &["row 1", "column 4"]);
    check("text/csv", "1,2,3,inf\n", 415, &["row 1", "column 4"]);
    check("text/csv", "1,2,3,4\n\n1,2,3,4\n", 415, &["row 2"]);
    check("text/csv", "1;2;3;4\n", 415, &["row 1", "column 1"]);
    check("text/csv", "a,b,c,d\n1,2,3,4\n", 415, &["row 1", "column 1"]);
    check("text/libsvm", "1:0.5 4:1\n", 400, &["row 1", "expected", "found"]);
    check("text/libsvm", "1:0.5 1:1\n", 415, &["row 1"]);
    check("text/libsvm", "a:0.5\n", 415, &["row 1"]);
    check(
        "application/json",
        "{\"instances\": [{\"features\": [1, 2, 3, 4,]}]}",
        415,
        &["byte", "expected", "found"],
    );
    check(
        "application/json",
        "{\"instances\": [{\"features\": [1, 2, 3, \"4\"]}]}",
        415,
        &["expected", "found"],
    );
    check("application/json", "{\"instances\": [", 415, &["byte"]);
    check(
        "application/jsonlines",
        "{\"features\": [1, 2, 3, 4]}\n[1, 2, 3, 4, 5]\n",
        400,
        &["row 2", "found 5"],
    );
    check("application/x-recordio-protobuf", "not a record", 415, &["byte 0", "expected", "found"]);
    check("application/xml", "<a/>", 415, &["application/xml"]);
    check("text/csv;label_size=x", "1,2,3,4\n", 400, &["label_size"]);
    // A narrow row's end is missing, as in SageMaker's container.
    let answer = served.server.call(&Request::invoke("text/csv", "1,2,3\n"));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn errors_of_other_families_are_bad_requests() {
    let served = serve(&artifacts::regressor(&[1.0, 1.0, 1.0, 1.0], 0.0), &[]);
    let check =
        |content_type, body, status, words: &[&str]| refuse(&served, content_type, body, status, words);
    check("text/csv", "1,x,3,4\n", 400, &["row 1", "column 2"]);
    check("text/csv", "1,2,3\n", 400, &["row 1", "4 features", "found 3"]);
    check("text/csv", "1,,3,4\n", 400, &["row 1", "column 2", "missing"]);
    check("text/csv", "1,nan,3,4\n", 400, &["row 1", "column 2", "missing"]);
    check(
        "application/json",
        "{\"instances\": [{\"features\": [1, 2, 3, null]}]}",
        400,
        &["row 1", "column 4", "missing"],
    );
    check("application/json", "{\"instances\": [{\"features\": [1, 2, 3, NaN]}]}", 400, &["byte"]);
}

#[test]
fn paths_and_methods_are_told_apart() {
    let served = serve_small(&[]);
    let status = |method: &str, path: &str| served.server.call(&Request::new(method, path)).status;
    assert_eq!(status("GET", "/invocations"), 405);
    assert_eq!(status("POST", "/ping"), 405);
    assert_eq!(status("GET", "/nothing"), 404);
    assert_eq!(status("GET", "/invocations/x"), 404);
    let answer = served.server.call(&Request::new("DELETE", "/invocations"));
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

#[test]
fn a_request_without_content_type_is_refused() {
    let served = serve_small(&[]);
    let answer = served.server.call(&Request::new("POST", "/invocations").body(ROW));
    assert_eq!(answer.status, 415, "{}", answer.text());
    assert!(answer.text().contains("content-type"), "{}", answer.text());
}

#[test]
fn an_artifact_without_a_manifest_is_served() {
    let bare = artifacts::bare_xgboost(Forest::SMALL);
    let served = serve(&bare, &[]);
    let answer = served.server.call(&Request::invoke("text/csv", ROW));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let with_manifest =
        harness::score(&artifacts::xgboost(Forest::SMALL), "text/csv", ROW.as_bytes(), "text/csv");
    assert_eq!(answer.body, with_manifest);
}
