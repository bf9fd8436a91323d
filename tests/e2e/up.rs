//! `clary up`: one port for many services. Which request goes where, how each protocol writes its errors, what happens to
//! bodies, and one server a data directory.

use harness::platform::call;
use harness::{Answer, Request, Server, Up};
use serde_json::{Value, json};

/// Of S3's scope.
const S3: &str =
    "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00";
/// Of SageMaker's.
const SAGEMAKER: &str = "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/sagemaker/aws4_request, SignedHeaders=host, Signature=00";

fn form(server: &Server, body: &str) -> Answer {
    let content_type = "application/x-www-form-urlencoded; charset=utf-8";
    server.call(&Request::new("POST", "/").header("Content-Type", content_type).body(body))
}

/// A request id as every service gives one: 36 characters in five groups.
fn is_id(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.text()).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// A call of an operation that no service has; the answer's media type is its protocol's.
fn unknown(server: &Server, target: &str, content_type: &str) {
    let answer = call(server, target, &json!({}));
    assert_eq!((answer.status, answer.header("content-type")), (400, Some(content_type)), "{target}");
    assert!(is_id(answer.header("x-amzn-requestid").unwrap_or_default()), "{:?}", answer.headers);
    let body = json(&answer);
    assert_eq!(body["__type"], "UnknownOperationException", "{target}");
    assert_eq!(body["message"], body["Message"], "both spellings");
    let operation = target.rsplit('.').next().unwrap();
    assert!(body["message"].as_str().unwrap().contains(operation), "{body}");
}

#[test]
fn each_json_service_answers_in_its_own_protocol() {
    let server = Up::new().start();
    unknown(&server, "SageMaker.MakeCoffee", "application/x-amz-json-1.1");
    unknown(&server, "Logs_20140328.MakeCoffee", "application/x-amz-json-1.1");
    unknown(&server, "AnyScaleFrontendService.MakeCoffee", "application/x-amz-json-1.1");
    unknown(&server, "GraniteServiceVersion20100801.MakeCoffee", "application/x-amz-json-1.0");
    unknown(&server, "AmazonEC2ContainerRegistry_V20150921.DescribeImages", "application/x-amz-json-1.1");
    unknown(&server, "DynamoDB_20120810.GetItem", "application/x-amz-json-1.1");
    let line = server.log().lines().filter(|line| line.contains("MakeCoffee")).count();
    assert!(line >= 4, "each is logged once:\n{}", server.log());
}

#[test]
fn a_body_that_is_not_json_is_a_serialization_exception() {
    let server = Up::new().start();
    for body in ["{", "[]", "1", "\u{0}"] {
        let request = Request::new("POST", "/").header("X-Amz-Target", "SageMaker.ListModels").body(body);
        let answer = server.call(&request);
        assert_eq!(answer.status, 400);
        assert_eq!(json(&answer)["__type"], "SerializationException", "{body:?}");
    }
    let request = Request::new("POST", "/").header("X-Amz-Target", "SageMaker.ListModels");
    let long = server.call(&request.body(vec![b' '; (2 << 20) + 1]));
    assert_eq!((long.status, &json(&long)["__type"]), (400, &json!("SerializationException")));
    assert!(long.text().contains("at most 2097152 bytes"), "{}", long.text());
}

#[test]
fn query_errors_are_xml_with_the_services_namespace() {
    let server = Up::new().start();
    for (version, namespace) in [
        ("2011-06-15", "https://sts.amazonaws.com/doc/2011-06-15/"),
        ("2010-05-08", "https://iam.amazonaws.com/doc/2010-05-08/"),
        ("2010-08-01", "http://monitoring.amazonaws.com/doc/2010-08-01/"),
    ] {
        let answer = form(&server, &format!("Action=MakeCoffee&Version={version}"));
        assert_eq!((answer.status, answer.header("content-type")), (400, Some("text/xml")), "{version}");
        let text = answer.text();
        let id = text.split("<RequestId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        assert!(is_id(id) && answer.header("x-amzn-requestid") == Some(id), "{text}");
        assert!(text.contains(&format!("<ErrorResponse xmlns=\"{namespace}\"><Error><Type>Sender</Type>")));
        assert!(text.contains("<Code>InvalidAction</Code>"), "{text}");
    }
    let text = form(&server, "Action=A&Version=1999-01-01").text();
    assert!(text.contains("expected 2011-06-15, 2010-05-08 or 2010-08-01, found"), "{text}");
    assert_eq!(form(&server, "Version=2011-06-15").status, 400);
}

#[test]
fn query_answers_are_framed_with_the_operation_and_the_request() {
    let server = Up::new().args(&["--account-id", "123456789012"]).start();
    let answer = form(&server, "Action=GetCallerIdentity&Version=2011-06-15");
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    assert!(text.contains("<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"));
    assert!(text.contains("<Account>123456789012</Account>"), "{text}");
    let id = answer.header("x-amzn-requestid").unwrap();
    assert!(
        text.contains(&format!("<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>")),
        "{text}"
    );
}

#[test]
fn the_region_is_the_scopes() {
    let server = Up::new().args(&["--region", "us-west-2"]).start();
    let region = |authorization: Option<&str>| {
        let mut request = Request::new("POST", "/").header("X-Amz-Target", "SageMaker.DescribeEndpoint");
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = server.call(&request.body(r#"{"EndpointName":"none"}"#));
        let text = json(&answer)["message"].as_str().unwrap().to_owned();
        text.split(':').nth(3).map(str::to_owned).unwrap_or(text)
    };
    assert_eq!(region(None), "us-west-2");
    assert_eq!(region(Some(SAGEMAKER)), "eu-west-1");
    assert_eq!(region(Some("AWS4-HMAC-SHA256 Credential=A/D/R\"R/sagemaker/aws4_request")), "us-west-2");
}

#[test]
fn what_the_other_protocols_ask_is_refused_by_name() {
    let server = Up::new().start();
    let cbor = Request::new("POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics");
    let answer = server.call(&cbor.header("smithy-protocol", "rpc-v2-cbor").body(""));
    assert_eq!(answer.header("x-amzn-errortype"), Some("UnknownOperationException"), "{}", answer.text());
    let metrics = Request::new("PUT", "/BatchPutMetrics").header("Authorization", SAGEMAKER).body("{}");
    let answer = server.call(&metrics);
    assert_eq!(answer.header("x-amzn-errortype"), Some("UnknownOperationException"), "{}", answer.text());
    let scaler = Request::new("POST", "/externalscaler.ExternalScaler/IsActive");
    let answer = server.call(&scaler.header("Content-Type", "application/grpc").body(""));
    assert!(answer.text().contains("expected gRPC over HTTP/2"), "{}", answer.text());
}

#[test]
fn own_paths_give_way_to_buckets_of_their_names() {
    let server = Up::new().start();
    let put = |path: &str, body: &str| {
        let answer = server.call(&Request::new("PUT", path).header("Authorization", S3).body(body));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    };
    for bucket in ["/ping", "/metrics", "/endpoints"] {
        put(bucket, "");
        put(&format!("{bucket}/key"), "object");
        let own = server.call(&Request::get(bucket));
        let listed = server.call(&Request::get(bucket).header("Authorization", S3));
        assert!(listed.text().contains("<Key>key</Key>"), "{}", listed.text());
        assert_eq!(own.text().contains("<Key>"), bucket == "/endpoints", "{}", own.text());
        let presigned = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2FD%2FR%2Fs3%2Faws4_request&X-Amz-Signature=00";
        let listed = server.call(&Request::get(&format!("{bucket}{presigned}")));
        assert!(listed.text().contains("<Key>key</Key>"), "{}", listed.text());
        assert_eq!(server.call(&Request::get(&format!("{bucket}/key"))).text(), "object");
    }
}

/// The head of an answer to HEAD, and what follows it.
fn head(server: &Server, path: &str) -> (String, String) {
    let mut client = server.connect();
    let request = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    client.send(request.as_bytes()).unwrap();
    let text = String::from_utf8(client.until_closed()).unwrap();
    let (head, rest) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), rest.to_owned())
}

#[test]
fn own_paths_answer_get_and_head_alone() {
    let server = Up::new().start();
    for path in ["/ping", "/healthz", "/metrics"] {
        let get = server.call(&Request::get(path));
        assert_eq!(get.status, 200, "{path}");
        let (head, body) = head(&server, path);
        assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head}");
        let put = server.call(&Request::new("PUT", path).body(""));
        assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
    let metrics = server.call(&Request::get("/metrics")).text();
    assert!(metrics.contains("clary_"), "{metrics}");
}

#[test]
fn a_missing_object_or_bucket_is_a_404_without_a_body_to_head() {
    let server = Up::new().start();
    for path in ["/nowhere", "/nowhere/key"] {
        let (head, body) = head(&server, path);
        assert!(head.starts_with("HTTP/1.1 404 ") && body.is_empty(), "{head}");
    }
    let answer = server.call(&Request::get("/nowhere/key"));
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("<Code>NoSuchBucket</Code>"), "{}", answer.text());
    assert!(answer.header("x-amz-request-id").is_some() && answer.header("x-amz-id-2").is_some());
}

#[test]
fn a_data_directory_has_one_server() {
    let data = tempfile::tempdir().unwrap();
    let server = Up::on(data.path()).start();
    let second = Up::on(data.path()).output();
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && text.contains("expected no other server on it"), "{text}");
    drop(server);
    Up::on(data.path()).start();
}

#[test]
fn an_open_server_stays_on_its_machine() {
    let data = tempfile::tempdir().unwrap();
    let output = Up::on(data.path()).environment("CLARY_LISTEN", "0.0.0.0:0").output();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("expected --credentials"), "{text}");
}
