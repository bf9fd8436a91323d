//! What the parser takes and what it refuses.

use super::*;

const SIGNATURE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const MOMENT: &str = "20261124T095046Z";

/// An `Authorization` whose parts are as given.
fn header(credential: &str, signed_headers: &str, signature: &str) -> String {
    format!("{ALGORITHM} Credential={credential}, SignedHeaders={signed_headers}, Signature={signature}")
}

fn headers(authorization: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, authorization.parse().unwrap());
    headers.insert("x-amz-date", MOMENT.parse().unwrap());
    headers
}

/// Expects `authorization` to be taken, or refused with these words.
fn check(authorization: &str, expected: Result<[&str; 4], &str>) {
    let headers = headers(authorization);
    match (Claim::of(&headers, None), expected) {
        (Ok(Claim::Signature(claim)), Ok(expected)) => {
            let found = [&*claim.key_id, &*claim.region, &*claim.service, &*claim.signed_headers];
            assert_eq!(found, expected, "{authorization}");
            assert_eq!((claim.moment.as_str(), claim.expires_s), (MOMENT, None));
        }
        (Err(refusal), Err(words)) => {
            assert!(refusal.to_string().contains(words), "{authorization}: {refusal}");
        }
        (result, _) => panic!("{authorization}: {result:?}"),
    }
}

#[test]
fn authorizations_are_parsed_or_refused() {
    let credential = "AK/20261124/us-east-1/s3/aws4_request";
    let taken = Ok(["AK", "us-east-1", "s3", "host;x-amz-date"]);
    check(&header(credential, "host;x-amz-date", SIGNATURE), taken);
    // Order and spaces do not matter.
    check(
        &format!("{ALGORITHM} Signature={SIGNATURE},SignedHeaders=host;x-amz-date,Credential={credential}"),
        taken,
    );

    for parts in ["", "Credential=", "x", "Credential", "Signature=a,", ",,,"] {
        check(&format!("{ALGORITHM} {parts}"), Err("header authorization: expected"));
    }
    check(ALGORITHM, Err("not served"));
    check("AWS AK:c2ln", Err("expected AWS4-HMAC-SHA256, found \"AWS\""));
    check("AWS4-ECDSA-P256-SHA256 Credential=a", Err("not served"));
    check("Basic YTpi", Err("not served"));
    let twice = format!("{}, Signature={SIGNATURE}", header(credential, "host", SIGNATURE));
    check(&twice, Err("Signature twice"));
    check(&format!("{}, More=1", header(credential, "host", SIGNATURE)), Err("found More"));
    check(&header(credential, "host", &SIGNATURE[1..]), Err("64 lower-case"));
    check(&header(credential, "host", &SIGNATURE.to_uppercase()), Err("64 lower-case"));
    check(&header(credential, "host", &format!("{SIGNATURE}0")), Err("64 lower-case"));

    for credential in [
        "",
        "AK",
        "AK/20261124/us-east-1/s3",
        "AK/20261124/us-east-1/s3/aws5_request",
        "AK/20261124//s3/aws4_request",
        "/20261124/r/s3/aws4_request",
        "AK/20261124/r/s3/aws4_request/",
        "A/K/20261124/r/s3/aws4_request",
    ] {
        check(&header(credential, "host", SIGNATURE), Err("KEY/DAY/REGION/SERVICE/aws4_request"));
    }
    check(&header("AK/20261123/r/s3/aws4_request", "host", SIGNATURE), Err("the day 20261124"));

    for names in ["", "x-amz-date", "Host", "host;", ";host", "host;host", "x;host", "host;a b", "a;b"] {
        check(&header(credential, names, SIGNATURE), Err("names of signed headers"));
    }
    check(&format!("{ALGORITHM} {}", "a".repeat(AUTHORIZATION_BYTES_MAX)), Err("at most 8192 bytes"));
}

#[test]
fn the_time_comes_from_either_header() {
    let mut headers = headers(&header("AK/20261124/r/s3/aws4_request", "host", SIGNATURE));
    let mut of = |name: &'static str, value: Option<&str>| {
        match value {
            Some(value) => drop(headers.insert(name, value.parse().unwrap())),
            None => drop(headers.remove(name)),
        }
        match Claim::of(&headers, None) {
            Ok(Claim::Signature(claim)) => Ok(claim.moment.as_str().to_owned()),
            Ok(claim) => panic!("{claim:?}"),
            Err(refusal) => Err(refusal.to_string()),
        }
    };
    assert_eq!(of("date", Some("Tue, 24 Nov 2026 01:00:00 GMT")), Ok(MOMENT.into()), "x-amz-date goes first");
    assert_eq!(of("x-amz-date", None), Ok("20261124T010000Z".into()));
    assert_eq!(of("date", Some(MOMENT)), Ok(MOMENT.into()));
    assert!(of("date", Some("yesterday")).unwrap_err().contains("header date"));
    assert!(of("date", None).unwrap_err().contains("header x-amz-date: expected a time"));
    assert!(of("x-amz-date", Some("20261124")).unwrap_err().contains("header x-amz-date: expected a time"));
}

fn check_query(query: &str, expected: Result<Option<u32>, &str>) {
    let nobody = HeaderMap::new();
    match (Claim::of(&nobody, Some(query)), expected) {
        (Ok(Claim::Signature(claim)), Ok(expires_s @ Some(_))) => {
            assert_eq!(claim.expires_s, expires_s, "{query}");
            assert_eq!((&*claim.key_id, &*claim.signed_headers), ("AK", "host;x"));
        }
        (Ok(Claim::Nothing), Ok(None)) => {}
        (Err(refusal), Err(words)) => assert!(refusal.to_string().contains(words), "{query}: {refusal}"),
        (result, _) => panic!("{query}: {result:?}"),
    }
}

#[test]
fn presigned_queries_are_parsed_or_refused() {
    let query = |expires: &str| {
        format!(
            "a=1&X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential=AK%2F20261124%2Fr%2Fs3%2Faws4_request&X-Amz-Date={MOMENT}\
             &X-Amz-Expires={expires}&X-Amz-SignedHeaders=host%3Bx&X-Amz-Signature={SIGNATURE}"
        )
    };
    check_query("", Ok(None));
    check_query("list-type=2&X-Amz-Date=x", Ok(None));
    check_query(&query("1"), Ok(Some(1)));
    check_query(&query("604800"), Ok(Some(604_800)));
    for expires in ["0", "604801", "-1", "", "1e3", "99999999999"] {
        check_query(&query(expires), Err("X-Amz-Expires"));
    }
    let query = query("60");
    for part in
        ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"]
    {
        check_query(&query.replace(part, "X-Other"), Err("fewer"));
        check_query(&format!("{query}&{part}=1"), Err("twice"));
    }
    check_query(&query.replace(MOMENT, "now"), Err("X-Amz-Date"));
    check_query(&query.replace(ALGORITHM, "AWS4-ECDSA-P256-SHA256"), Err("not served"));
    check_query(&query.replace("AK%2F", "%FF%2F"), Err("UTF-8"));
    check_query("AWSAccessKeyId=AK&Signature=x", Err("fewer"));
    check_query("AWSAccessKeyId=AK&Signature=x&Expires=soon", Err("seconds since 1970"));
    check_query("AWSAccessKeyId=AK&Signature=x&Expires=99999999999", Err("seconds since 1970"));
}

#[test]
fn one_request_makes_one_claim() {
    let text = header("AK/20261124/r/s3/aws4_request", "host", SIGNATURE);
    let mut headers = headers(&text);
    let v2 = "AWSAccessKeyId=AK&Signature=x&Expires=1795517446";
    let refusal = Claim::of(&headers, Some(v2)).unwrap_err().to_string();
    assert!(refusal.contains("none beside a presigned query"), "{refusal}");
    headers.append(AUTHORIZATION, "Bearer x".parse().unwrap());
    let refusal = Claim::of(&headers, None).unwrap_err().to_string();
    assert!(refusal.contains("expected one, found several"), "{refusal}");
    headers.insert(AUTHORIZATION, "bearer  abc".parse().unwrap());
    assert_eq!(Claim::of(&headers, None), Ok(Claim::Bearer("abc")));
}
