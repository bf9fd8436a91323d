//! SageMaker Runtime of `clary up`: the same answers as `clary serve`, the service's headers and errors, and events.

use harness::forest::Forest;
use harness::platform::{deploy, invoke, sagemaker};
use harness::{Answer, Request, Server, Up, artifacts, score};
use serde_json::{Value, json};

use crate::ROW;

/// A platform with one endpoint `e` of a small ensemble, and its artifact.
fn platform(arguments: &[&str]) -> (Server, Vec<u8>) {
    let artifact = artifacts::xgboost(Forest::SMALL);
    let server = Up::new().args(arguments).start();
    deploy(&server, "e", &artifact);
    (server, artifact)
}

fn stream(endpoint: &str) -> Request {
    Request::new("POST", &format!("/endpoints/{endpoint}/invocations-response-stream"))
        .header("Content-Type", "text/csv")
}

/// The answer's error: its code and its body.
fn error(answer: &Answer, status: u16, code: &str) -> Value {
    let found = (answer.status, answer.header("x-amzn-errortype"));
    assert_eq!(found, (status, Some(code)), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-amzn-requestid").is_some());
    serde_json::from_str(&answer.text()).unwrap()
}

fn message(answer: &Answer, status: u16, code: &str) -> String {
    error(answer, status, code)["Message"].as_str().unwrap().to_owned()
}

#[test]
fn an_endpoint_answers_as_its_artifact_says() {
    let (server, artifact) = platform(&[]);
    for accept in ["text/csv", "application/json", "application/jsonlines", "application/x-recordio-protobuf"]
    {
        let answer = server.call(&invoke("e", "text/csv", ROW).header("Accept", accept));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some(accept));
        assert_eq!(answer.body, score(&artifact, "text/csv", ROW.as_bytes(), accept), "{accept}");
        assert_eq!(answer.header("x-amzn-invoked-production-variant"), Some("AllTraffic"));
        assert!(answer.header("x-amzn-requestid").is_some() && answer.header("x-clary-artifact").is_some());
    }
}

#[test]
fn a_request_without_a_type_or_of_octets_is_csv() {
    let (server, artifact) = platform(&[]);
    let expected = score(&artifact, "text/csv", ROW.as_bytes(), "text/csv");
    let bare = Request::new("POST", "/endpoints/e/invocations");
    for request in [
        bare.clone(),
        bare.clone().header("Content-Type", "application/octet-stream"),
        bare.clone().header("Accept", "*/*"),
        bare.clone().header("Accept", "text/csv, application/json"),
    ] {
        let answer = server.call(&request.body(ROW));
        assert_eq!((answer.status, &answer.body), (200, &expected), "{}", answer.text());
    }
    let empty = server.call(&bare.header("Content-Type", "application/json").body(""));
    assert_eq!((empty.status, empty.body.len()), (200, 0), "{}", empty.text());
    assert_eq!(empty.header("x-amzn-invoked-production-variant"), Some("AllTraffic"));
}

#[test]
fn attributes_are_echoed_and_timing_is_told_when_asked() {
    let (server, _) = platform(&[]);
    let request = invoke("e", "text/csv", ROW).header("X-Amzn-SageMaker-Custom-Attributes", "trace=1");
    let answer = server.call(&request.header("Server-Timing", "*"));
    assert_eq!(answer.header("x-amzn-sagemaker-custom-attributes"), Some("trace=1"));
    assert!(answer.header("server-timing").is_some_and(|timing| timing.contains("predict;dur=")));
}

#[test]
fn what_is_not_there_is_a_validation_error_with_the_services_text() {
    let (server, _) = platform(&["--account-id", "123456789012"]);
    let check = |request: Request, expected: &str| {
        assert_eq!(message(&server.call(&request), 400, "ValidationError"), expected);
    };
    check(invoke("none", "text/csv", ROW), "Endpoint none of account 123456789012 not found.");
    check(invoke("E", "text/csv", ROW), "Endpoint E of account 123456789012 not found.");
    check(
        invoke("e", "text/csv", ROW).header("X-Amzn-SageMaker-Target-Variant", "other"),
        "Variant other not found for Endpoint e of account 123456789012.",
    );
    check(
        invoke("e", "text/csv", ROW).header("X-Amzn-SageMaker-Target-Model", "m.tar.gz"),
        "Endpoint e is not a multi-model endpoint and does not support target model header.",
    );
    check(
        invoke("e", "text/csv", ROW).header("X-Amzn-SageMaker-Target-Variant", "a_b"),
        "1 validation error detected: Value 'a_b' at 'targetVariant' failed to satisfy constraint: Member must \
         satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*$",
    );
    check(
        invoke("e", "text/csv", ROW).header("X-Amzn-SageMaker-Inference-Component", "c"),
        "Inference Component c not found for Endpoint e.",
    );
    let twice = invoke("e", "text/csv", ROW)
        .header("X-Amzn-SageMaker-Target-Variant", "AllTraffic")
        .header("X-Amzn-SageMaker-Target-Variant", "AllTraffic");
    check(twice, "header x-amzn-sagemaker-target-variant: expected one field, found several");
    let right = invoke("e", "text/csv", ROW).header("X-Amzn-SageMaker-Target-Variant", "AllTraffic");
    assert_eq!(server.call(&right).status, 200);
}

#[test]
fn an_endpoint_is_looked_for_before_anything_else_is_checked() {
    let (server, _) = platform(&["--body-limit", "100"]);
    let text = |request: Request| {
        let answer = server.call(&request);
        (answer.status, answer.text())
    };
    let wrong = |endpoint: &str| {
        invoke(endpoint, "image/png", vec![b'1'; 200]).header("X-Amzn-SageMaker-Target-Variant", "a_b")
    };
    assert!(text(wrong("none")).1.contains("not found"));
    assert!(text(wrong("e")).1.contains("targetVariant"));
    let large = text(invoke("e", "text/csv", vec![b'1'; 200]));
    assert_eq!(large, (413, "HTTP content length exceeded 100 bytes.".into()));
}

#[test]
fn what_the_model_refuses_is_a_model_error_with_what_it_said() {
    let (server, _) = platform(&["--region", "eu-west-1"]);
    let check = |content_type: &str, body: &str, status: u16, accept: Option<&str>| {
        let mut request = invoke("e", content_type, body);
        if let Some(accept) = accept {
            request = request.header("Accept", accept);
        }
        let body = error(&server.call(&request), 424, "ModelError");
        assert_eq!(body["OriginalStatusCode"], status, "{body}");
        let said = body["OriginalMessage"].as_str().unwrap();
        let message = body["Message"].as_str().unwrap();
        let start = format!(
            "Received client error ({status}) from primary with message \"{said}\". See https://eu-west-1."
        );
        assert!(message.starts_with(&start), "{message}");
        assert!(message.ends_with("in account 000000000000 for more information."), "{message}");
        assert!(
            body["LogStreamArn"]
                .as_str()
                .unwrap()
                .starts_with("arn:aws:logs:eu-west-1:000000000000:log-group:")
        );
    };
    check("image/png", ROW, 415, None);
    check("text/csv", "1,2,3,4,5\n", 400, None);
    check("text/csv", ROW, 406, Some("image/png"));
    check("application/json", "{", 415, None);
}

/// The parts of an event stream, taken apart by hand: headers as text, and payload.
fn events(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (total, headers) = (number(bytes), number(&bytes[4..]));
        let crc = |bytes: &[u8]| {
            let mut crc = flate2::Crc::new();
            crc.update(bytes);
            crc.sum() as usize
        };
        assert_eq!(number(&bytes[8..]), crc(&bytes[..8]), "the prelude's checksum");
        assert_eq!(number(&bytes[total - 4..]), crc(&bytes[..total - 4]), "the message's checksum");
        let (head, payload) = (&bytes[12..12 + headers], &bytes[12 + headers..total - 4]);
        events.push((String::from_utf8_lossy(head).into_owned(), payload.to_vec()));
        bytes = &bytes[total..];
    }
    events
}

#[test]
fn a_streamed_answer_is_the_whole_one_in_events() {
    let (server, artifact) = platform(&[]);
    for rows in [1, 40_000] {
        let body = ROW.repeat(rows);
        let answer =
            server.call(&stream("e").header("X-Amzn-SageMaker-Accept", "application/jsonlines").body(&*body));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/vnd.amazon.eventstream"));
        assert_eq!(answer.header("x-amzn-sagemaker-content-type"), Some("application/jsonlines"));
        assert_eq!(answer.header("x-amzn-invoked-production-variant"), Some("AllTraffic"));
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        let events = events(&answer.body);
        assert!(events.iter().all(|(head, payload)| {
            head.contains(":event-type\x07\x00\x0bPayloadPart")
                && head.contains(":message-type\x07\x00\x05event")
                && (1..=64 << 10).contains(&payload.len())
        }));
        let whole: Vec<u8> = events.iter().flat_map(|(_, payload)| payload.clone()).collect();
        let expected = score(&artifact, "text/csv", body.as_bytes(), "application/jsonlines");
        assert!(whole == expected, "{rows} rows");
        assert_eq!(events.len(), expected.len().div_ceil(64 << 10));
    }
}

#[test]
fn a_stream_that_cannot_begin_is_an_error_as_any() {
    let (server, _) = platform(&[]);
    let answer = server.call(&stream("none").body(ROW));
    assert_eq!(message(&answer, 400, "ValidationError"), "Endpoint none of account 000000000000 not found.");
    let answer = server.call(&stream("e").body("1,2,3,4,5\n"));
    assert_eq!(error(&answer, 424, "ModelError")["OriginalStatusCode"], 400);
    // Accept is of the stream, not of the prediction.
    let answer = server.call(&stream("e").header("Accept", "application/vnd.amazon.eventstream").body(ROW));
    assert_eq!(answer.header("x-amzn-sagemaker-content-type"), Some("text/csv"));
}

#[test]
fn a_deleted_endpoint_is_not_found_and_its_connections_stay() {
    let (server, _) = platform(&[]);
    let mut client = server.connect();
    assert_eq!(client.call(&invoke("e", "text/csv", ROW)).status, 200);
    sagemaker(&server, "DeleteEndpoint", &json!({"EndpointName": "e"}));
    let gone = || server.call(&invoke("e", "text/csv", ROW)).status == 400;
    let deadline = std::time::Instant::now() + harness::http::ANSWER_TIMEOUT;
    while !gone() {
        assert!(std::time::Instant::now() < deadline, "it still answers");
    }
    let answer = client.call(&invoke("e", "text/csv", ROW));
    assert_eq!(message(&answer, 400, "ValidationError"), "Endpoint e of account 000000000000 not found.");
}
