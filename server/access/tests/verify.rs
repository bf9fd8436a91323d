//! Whole requests: signed ones pass, and everything else is refused for its own reason.

mod common;

use access::{Access, Credentials, Protocol, Refusal, Resource};
use common::{KEY_ID, MOMENT, NOW, Request, SECRET, access, access_with};
use proptest::prelude::*;

/// Expects `request` to be refused with a message that holds `words`.
fn refused(access: &Access, request: &Request, now_ms: i64, words: &str) {
    match request.verify(access, NOW.plus_millis(now_ms)) {
        Err(refusal) => assert!(refusal.to_string().contains(words), "{refusal}\nis not: {words}"),
        Ok(_) => panic!("taken, but expected: {words}"),
    }
}

const MISMATCH: &str = "does not match the signature you provided";

#[test]
fn signed_requests_pass() {
    let access = access();
    let caller = Request::invocation().signed().verify(&access, NOW).unwrap();
    assert_eq!(caller.name(), Some(KEY_ID));
    Request::put_object().signed().verify(&access, NOW).unwrap();
}

#[test]
fn an_open_server_takes_anybody() {
    let caller = Request::invocation().verify(&Access::open(), NOW).unwrap();
    assert_eq!(caller.name(), None);
    caller.may("sagemaker:DeleteEndpoint", Resource::Endpoint("a")).unwrap();
    Request::put_object().verify(&Access::open(), NOW).unwrap();
}

#[test]
fn wrong_requests_are_refused_for_their_reason() {
    let access = access();
    let request = Request::invocation();
    refused(
        &access,
        &request,
        0,
        "expected a Signature Version 4, a bearer token or a client certificate, found none",
    );

    let changed = |change: fn(&mut Request)| {
        let mut request = Request::invocation().signed();
        change(&mut request);
        request
    };
    let with_key = |key_id, secret| {
        let mut request = Request::invocation();
        let authorization = request.authorization(key_id, secret);
        request.headers.push(("authorization".into(), authorization));
        request
    };
    refused(&access, &with_key("AKIDOTHER", SECRET), 0, "\"AKIDOTHER\" is not one of this server's");
    refused(&access, &with_key(KEY_ID, "another secret"), 0, MISMATCH);
    refused(&access, &changed(|request| request.method = "PUT".into()), 0, MISMATCH);
    refused(&access, &changed(|request| request.path = "/endpoints/other/invocations".into()), 0, MISMATCH);
    refused(&access, &changed(|request| request.query = "a=1".into()), 0, MISMATCH);
    refused(&access, &changed(|request| request.body.push(b' ')), 0, MISMATCH);
    refused(&access, &changed(|request| *request.header("content-type") = "text/CSV".into()), 0, MISMATCH);
    refused(&access, &changed(|request| *request.header("host") = "127.0.0.1:8081".into()), 0, MISMATCH);
    refused(&access, &changed(|request| request.headers.retain(|(name, _)| name != "accept")), 0, MISMATCH);
    let routed = changed(|request| {
        request.headers.push(("x-amzn-sagemaker-target-variant".into(), "b".into()));
    });
    refused(&access, &routed, 0, "not signed: x-amzn-sagemaker-target-variant");
    let truncated = changed(|request| {
        let authorization = request.header("authorization");
        authorization.truncate(authorization.len() - 10);
    });
    refused(&access, &truncated, 0, "64 lower-case hexadecimal digits");
    // What is not signed may change: proxies do.
    changed(|request| request.headers.push(("user-agent".into(), "x".into()))).verify(&access, NOW).unwrap();
}

#[test]
fn a_request_has_its_time() {
    let access = access();
    let request = Request::invocation().signed();
    for early in [-300_001, 300_001] {
        refused(&access, &request, early, "Signature not current");
    }
    let at = |moment: &str| {
        let mut request = Request::invocation();
        moment.clone_into(request.header("x-amz-date"));
        request.signed()
    };
    at("20261124T094546Z").verify(&access, NOW).unwrap();
    at("20261124T095546Z").verify(&access, NOW).unwrap();
    refused(&access, &at("20261124T094545Z"), 0, "Signature not current");
    refused(&access, &at("20261124T095547Z"), 0, "Signature not current");
    // The day of the scope is that of the time.
    let mut other_day = Request::invocation().signed();
    *other_day.header("x-amz-date") = "20261125T095046Z".into();
    refused(&access, &other_day, 86_400_000, "scoped to the day 20261125");
}

#[test]
fn a_signature_is_for_one_service_and_region() {
    let access = access();
    let mut request = Request::invocation();
    request.service = "logs";
    let request = request.signed();
    let headers = request.header_map();
    let finish = |service| {
        let pending = access.begin(&request.head(&headers), NOW).unwrap();
        pending.finish(service, &access::digest::sha256(&request.body))
    };
    let refusal = finish("sagemaker").unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "Credential should be scoped to correct service: 'sagemaker', found \"logs\""
    );
    finish("logs").unwrap();

    let file = format!(
        r#"{{"keys":[{{"access_key_id":"{KEY_ID}","secret_access_key":"{SECRET}","allow":{{"actions":["*"]}}}}],
            "regions":["eu-west-1"]}}"#
    );
    let access = Access::closed(Credentials::parse(file.as_bytes(), None).unwrap());
    refused(
        &access,
        &Request::invocation().signed(),
        0,
        "scoped to a valid region of this server, found \"us-east-1\"",
    );
    let mut request = Request::invocation();
    request.region = "eu-west-1";
    request.signed().verify(&access, NOW).unwrap();
}

#[test]
fn a_request_is_served_once_unless_it_reads_from_s3() {
    let access = access();
    for request in [Request::invocation().signed(), Request::put_object().signed()] {
        request.verify(&access, NOW).unwrap();
        refused(&access, &request, 1, "used before");
        refused(&access, &request, 299_999, "used before");
    }
    // As boto3 has it: what tells its requests apart is not signed.
    let unsigned_id = |id: &str| {
        let mut request = Request::invocation();
        request.headers.retain(|(name, _)| !name.starts_with("amz-sdk"));
        let mut request = request.signed();
        request.headers.push(("amz-sdk-invocation-id".into(), id.into()));
        request
    };
    unsigned_id("one").verify(&access, NOW).unwrap();
    unsigned_id("two").verify(&access, NOW.plus_millis(1_000)).unwrap();
    refused(&access, &unsigned_id("one"), 1_000, "used before");
    refused(&access, &unsigned_id("three"), 3_000, "used before");
    // What nothing tells from another is the same.
    let mut bare = Request::invocation();
    bare.headers.retain(|(name, _)| !name.starts_with("amz-sdk"));
    let bare = bare.signed();
    let elsewhere = self::access();
    bare.verify(&elsewhere, NOW).unwrap();
    refused(&elsewhere, &bare, 0, "used before");
    let mut read = Request::put_object();
    read.method = "GET".into();
    let read = read.signed();
    read.verify(&access, NOW).unwrap();
    read.verify(&access, NOW).unwrap();
    // A request that was refused was not served.
    let mut wrong = Request::invocation();
    *wrong.header("amz-sdk-request") = "attempt=2".into();
    let mut wrong = wrong.signed();
    let body = std::mem::take(&mut wrong.body);
    refused(&access, &wrong, 0, MISMATCH);
    wrong.body = body;
    wrong.verify(&access, NOW).unwrap();
}

#[test]
fn a_declared_hash_is_the_bodys() {
    let access = access();
    let mut request = Request::put_object().signed();
    request.body.push(b'x');
    refused(&access, &request, 0, "body: expected what was signed, found one of SHA-256");
    let mut request = Request::put_object();
    request.headers.retain(|(name, _)| name != "x-amz-content-sha256");
    refused(&access, &request.signed(), 0, "x-amz-content-sha256: expected how the body is signed");
    // Other services do not take bodies that nobody signed.
    let mut request = Request::invocation();
    request.headers.push(("x-amz-content-sha256".into(), "UNSIGNED-PAYLOAD".into()));
    refused(&access, &request.signed(), 0, "declared to be unsigned");
}

#[test]
fn session_tokens_belong_to_their_key() {
    let with_token = |token: &str| {
        let mut request = Request::invocation();
        request.headers.push(("x-amz-security-token".into(), token.into()));
        request.signed()
    };
    let access_token = access_with(r#""session_token":"right","#);
    with_token("right").verify(&access_token, NOW).unwrap();
    refused(&access_token, &with_token("wrong"), 0, "security token");
    refused(&access_token, &Request::invocation().signed(), 0, "security token");
    refused(&access(), &with_token("right"), 0, "security token");
}

#[test]
fn rates_are_kept_by_the_requests_own_clock() {
    let access = access_with(r#""requests_per_second":2,"requests_per_second_per_variant":1,"#);
    let request = |attempt: usize| {
        let mut request = Request::invocation();
        *request.header("amz-sdk-request") = format!("attempt={attempt}");
        request.signed()
    };
    let caller = request(1).verify(&access, NOW).unwrap();
    request(2).verify(&access, NOW).unwrap();
    refused(&access, &request(3), 0, "Rate exceeded");
    request(4).verify(&access, NOW.plus_millis(500)).unwrap();
    assert!(caller.has_variant_rate());
    caller.admit("churn", "blue", NOW).unwrap();
    assert_eq!(caller.admit("churn", "blue", NOW), Err(Refusal::Throttled));
    caller.admit("churn", "green", NOW).unwrap();
    caller.admit("churn", "blue", NOW.plus_millis(1000)).unwrap();
}

#[test]
fn new_credentials_take_the_place_of_the_old() {
    let access = access();
    let mut request = Request::invocation();
    request.clone().signed().verify(&access, NOW).unwrap();
    access.replace(Credentials::parse(b"{}", None).unwrap());
    *request.header("amz-sdk-request") = "attempt=2".into();
    refused(&access, &request.signed(), 0, "is not one of this server's");
}

#[test]
fn tokens_and_certificates_invoke_and_nothing_else() {
    let hash = access::digest::hex(&access::digest::sha256(b"open sesame"));
    let allow = r#""allow":{"actions":["*"],"endpoints":["churn"],"buckets":["*"]}"#;
    let file = format!(
        r#"{{"bearer_tokens":[{{"name":"dashboard","sha256":"{hash}",{allow}}}],
            "certificates":[{{"name":"scoring.example.com",{allow}}}]}}"#
    );
    let access = Access::closed(Credentials::parse(file.as_bytes(), None).unwrap());
    let ask = |bearer: Option<&str>, names: &[&str], takes_tokens| {
        let mut request = Request::invocation();
        request.headers.extend(bearer.map(|token| ("authorization".into(), format!("Bearer {token}"))));
        let headers = request.header_map();
        let client_names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let head = access::Head { client_names: &client_names, takes_tokens, ..request.head(&headers) };
        let pending = access.begin(&head, NOW)?;
        assert!(!pending.wants_hash());
        pending.finish("sagemaker", &access::digest::sha256(b""))
    };
    for (caller, name) in [
        (ask(Some("open sesame"), &[], true), "dashboard"),
        (ask(None, &["other", "scoring.example.com"], true), "scoring.example.com"),
    ] {
        let caller = caller.unwrap();
        assert_eq!(caller.name(), Some(name));
        caller.may("sagemaker:InvokeEndpoint", Resource::Endpoint("churn")).unwrap();
        caller.may("sagemaker:InvokeEndpointAsync", Resource::Endpoint("churn")).unwrap();
        for (action, resource) in [
            ("sagemaker:InvokeEndpoint", Resource::Endpoint("other")),
            ("sagemaker:DescribeEndpoint", Resource::Endpoint("churn")),
            ("sagemaker:ListModels", Resource::Other),
            ("s3:GetObject", Resource::Bucket("b")),
        ] {
            let refusal = caller.may(action, resource).unwrap_err().to_string();
            assert!(refusal.contains("is not authorized to perform"), "{refusal}");
        }
    }
    let words = |result: Result<_, Refusal>| result.map(drop).unwrap_err().to_string();
    assert_eq!(words(ask(Some("open"), &[], true)), "the bearer token is not one of this server's");
    assert_eq!(words(ask(None, &["other"], true)), "the client certificate is not one of this server's");
    assert!(words(ask(None, &["scoring.example.com"], false)).contains("found none"));
}

#[test]
fn each_protocol_has_its_codes() {
    let check = |refusal: Refusal, codes: [&str; 4]| {
        let found = [Protocol::Json, Protocol::Runtime, Protocol::Query, Protocol::S3]
            .map(|protocol| refusal.to_error(protocol).code.as_str());
        assert_eq!(found, codes, "{refusal}");
    };
    let unsigned = "MissingAuthenticationToken";
    check(
        Refusal::Unsigned { takes_tokens: false },
        ["MissingAuthenticationTokenException", unsigned, unsigned, "AccessDenied"],
    );
    let unknown = "UnrecognizedClientException";
    check(Refusal::UnknownKey("a".into()), [unknown, unknown, "InvalidClientTokenId", "InvalidAccessKeyId"]);
    let invalid = "InvalidSignatureException";
    check(Refusal::Mismatch, [invalid, invalid, "SignatureDoesNotMatch", "SignatureDoesNotMatch"]);
    let skewed = Refusal::Skewed { at: NOW, now: NOW, skew_s: 300 };
    check(skewed, [invalid, invalid, "SignatureDoesNotMatch", "RequestTimeTooSkewed"]);
    let throttling = "ThrottlingException";
    check(Refusal::Throttled, [throttling, throttling, "Throttling", "SlowDown"]);
    let denied = "AccessDeniedException";
    let not_allowed = Refusal::NotAllowed { who: "a".into(), action: "b".into(), resource: "c".into() };
    check(not_allowed, [denied, denied, "AccessDenied", "AccessDenied"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    /// Any one byte of a signed request, changed.
    #[test]
    fn one_changed_byte_is_refused(place in 0usize..10_000, change in 1u8..=255, is_s3: bool) {
        let access = access();
        let request = if is_s3 { Request::put_object() } else { Request::invocation() }.signed();
        let mut changed = request.clone();
        let mut parts: Vec<&mut String> = vec![&mut changed.method, &mut changed.path];
        parts.extend(changed.headers.iter_mut().map(|(_, value)| value));
        let lengths: Vec<_> = parts.iter().map(|part| part.len()).chain([request.body.len()]).collect();
        let mut place = place % lengths.iter().sum::<usize>();
        let part = lengths.iter().position(|length| {
            let is_here = place < *length;
            if !is_here { place -= length }
            is_here
        });
        let part = part.expect("it is in one of them");
        if part == parts.len() {
            changed.body[place] ^= change;
        } else {
            let mut bytes = parts[part].clone().into_bytes();
            bytes[place] ^= change;
            let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
            // What HTTP itself refuses does not come this far.
            prop_assume!(http::HeaderValue::from_str(&text).is_ok());
            *parts[part] = text;
        }
        // Runs of spaces are one, and the scheme's order of words is free; nothing else may be the same.
        let is_same_to_http = |one: &Request, other: &Request| {
            one.headers.iter().zip(&other.headers).all(|(one, other)| {
                one.1.split_whitespace().eq(other.1.split_whitespace())
            }) && (&one.method, &one.path, &one.body) == (&other.method, &other.path, &other.body)
        };
        prop_assume!(!is_same_to_http(&request, &changed));
        prop_assert!(request.verify(&access, NOW).is_ok());
        let result = changed.verify(&Access::closed(Credentials::parse(
            format!(r#"{{"keys":[{{"access_key_id":"{KEY_ID}","secret_access_key":"{SECRET}","allow":{{"actions":["*"]}}}}]}}"#)
                .as_bytes(), None).expect("a file")), NOW);
        prop_assert!(result.is_err(), "{MOMENT} {changed:?}");
    }
}
