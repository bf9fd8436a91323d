//! S3's HTTP interface, request by request, without a socket.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests: a failure is the finding, and bodies are ours"
)]

mod support;

use bytes::Bytes;
use http::{Request, StatusCode};
use objects::Body;
use support::{Wire, read};

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let wire = Wire::new().await;
    let headers = [
        ("content-type", "text/csv"),
        ("cache-control", "no-cache"),
        ("content-encoding", "aws-chunked,gzip"),
        ("x-amz-meta-colour", "blue"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
        ),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-date", "20260101T000000Z"),
    ];
    let put = wire.check("PUT /bucket/a/b.csv", &headers, "123456789", 200, "").await;
    assert_eq!(put.header("etag"), "\"25f9e794323b453885f5181f1b624d0b\"");
    let got = wire.check("GET /bucket/a/b.csv", &[], "", 200, "").await;
    assert_eq!(got.text(), "123456789");
    for (name, value) in [
        ("content-type", "text/csv"),
        ("cache-control", "no-cache"),
        ("content-encoding", "gzip"),
        ("x-amz-meta-colour", "blue"),
        ("content-length", "9"),
        ("accept-ranges", "bytes"),
        ("etag", "\"25f9e794323b453885f5181f1b624d0b\""),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    let head = wire.check("HEAD /bucket/a/b.csv", &[], "", 200, "").await;
    assert_eq!((head.header("content-length"), head.body.len()), ("9", 0));
    assert!(head.header("last-modified").ends_with(" GMT"));
    let named = wire.check("GET /bucket/a/b.csv?response-content-type=x%2Fy", &[], "", 200, "").await;
    assert_eq!(named.header("content-type"), "x/y");
    wire.put("plain", "").await;
    let plain = wire.check("GET /bucket/plain", &[], "", 200, "").await;
    assert_eq!((plain.header("content-type"), plain.header("content-length")), ("binary/octet-stream", "0"));
}

#[tokio::test]
async fn every_key_is_a_key() {
    let wire = Wire::new().await;
    let long = format!("/bucket/{}", "k".repeat(1024));
    let keys = [
        "/bucket/a",
        "/bucket/a/b",
        "/bucket/a/",
        "/bucket/a//b",
        "/bucket//",
        "/bucket//a",
        "/bucket/A",
        "/bucket/..",
        "/bucket/../x",
        "/bucket/./x",
        "/bucket/%2E%2E/%2E%2E/etc/passwd",
        "/bucket/a%00b",
        "/bucket/%F0%9F%A6%80",
        "/bucket/a+b",
        "/bucket/a%2Bb",
        "/bucket/a%20b",
        "/bucket/a~1",
        "/bucket/50%25",
        "/bucket/index.sqlite",
        "/bucket/%7E",
        long.as_str(),
    ];
    for key in keys {
        wire.check(&format!("PUT {key}"), &[], key, 200, "").await;
    }
    for key in keys {
        // `+` and `%2B` are the same key: the later one's bytes.
        let expected = if key == "/bucket/a+b" { "/bucket/a%2Bb" } else { key };
        assert_eq!(wire.check(&format!("GET {key}"), &[], "", 200, "").await.text(), expected);
    }
    wire.check(&format!("PUT /bucket/{}", "k".repeat(1025)), &[], "", 400, "KeyTooLongError").await;
    wire.check("PUT /bucket/%FF", &[], "", 400, "InvalidURI").await;
    for key in keys {
        wire.check(&format!("DELETE {key}"), &[], "", 204, "").await;
        wire.check(&format!("GET {key}"), &[], "", 404, "NoSuchKey").await;
    }
    wire.check("DELETE /bucket", &[], "", 204, "").await;
}

#[tokio::test]
async fn ranges_are_those_of_http() {
    let wire = Wire::new().await;
    wire.put("k", "0123456789").await;
    let check = async |range: &str, status: u16, expected: &str, content_range: &str| {
        let code = if status == 416 { "InvalidRange" } else { "" };
        let answer = wire.check("GET /bucket/k", &[("range", range)], "", status, code).await;
        if status != 416 {
            assert_eq!(answer.text(), expected, "{range}");
        }
        assert_eq!(answer.header("content-range"), content_range, "{range}");
    };
    check("bytes=0-0", 206, "0", "bytes 0-0/10").await;
    check("bytes=2-4", 206, "234", "bytes 2-4/10").await;
    check("bytes=8-", 206, "89", "bytes 8-9/10").await;
    check("bytes=-3", 206, "789", "bytes 7-9/10").await;
    check("bytes=-30", 206, "0123456789", "bytes 0-9/10").await;
    check("bytes=5-500", 206, "56789", "bytes 5-9/10").await;
    check("bytes=10-", 416, "", "bytes */10").await;
    check("bytes=-0", 416, "", "bytes */10").await;
    // Several ranges, other units and nonsense are no range.
    check("bytes=0-1,3-4", 200, "0123456789", "").await;
    check("rows=0-1", 200, "0123456789", "").await;
    check("bytes=b-a", 200, "0123456789", "").await;
    let head = wire.check("HEAD /bucket/k", &[("range", "bytes=2-4")], "", 206, "").await;
    assert_eq!(head.header("content-length"), "3");
}

#[tokio::test]
async fn conditions_hold_reads_and_writes() {
    let wire = Wire::new().await;
    let etag = wire.put("k", "one").await.header("etag").to_owned();
    let bare = etag.trim_matches('"').to_owned();
    let past = "Sat, 01 Jan 2000 00:00:00 GMT";
    wire.check("GET /bucket/k", &[("if-match", &etag)], "", 200, "").await;
    wire.check("GET /bucket/k", &[("if-match", &bare)], "", 200, "").await;
    wire.check("GET /bucket/k", &[("if-match", "\"x\"")], "", 412, "PreconditionFailed").await;
    let same = wire.check("GET /bucket/k", &[("if-none-match", &etag)], "", 304, "").await;
    assert_eq!((same.header("etag"), same.body.len()), (etag.as_str(), 0));
    wire.check("HEAD /bucket/k", &[("if-none-match", &etag)], "", 304, "").await;
    wire.check("GET /bucket/k", &[("if-modified-since", past)], "", 200, "").await;
    wire.check("GET /bucket/k", &[("if-unmodified-since", past)], "", 412, "PreconditionFailed").await;

    wire.check("PUT /bucket/k", &[("if-none-match", "*")], "two", 412, "PreconditionFailed").await;
    wire.check("PUT /bucket/new", &[("if-none-match", "*")], "new", 200, "").await;
    wire.check("PUT /bucket/k", &[("if-match", "\"x\"")], "two", 412, "PreconditionFailed").await;
    wire.check("PUT /bucket/none", &[("if-match", &etag)], "two", 404, "NoSuchKey").await;
    assert_eq!(wire.call("GET /bucket/k", &[], "").await.text(), "one");
    wire.check("PUT /bucket/k", &[("if-match", &etag)], "two", 200, "").await;
    wire.check("DELETE /bucket/k", &[("if-match", &etag)], "", 412, "PreconditionFailed").await;
    assert_eq!(wire.call("GET /bucket/k", &[], "").await.text(), "two");
}

#[tokio::test]
async fn what_is_not_as_announced_is_not_stored() {
    let wire = Wire::new().await;
    let check = async |headers: &[(&str, &str)], status: u16, code: &str| {
        wire.check("PUT /bucket/k", headers, "123456789", status, code).await
    };
    check(&[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], 400, "BadDigest").await;
    check(&[("content-md5", "x")], 400, "InvalidDigest").await;
    check(&[("x-amz-checksum-crc32", "AAAAAA==")], 400, "BadDigest").await;
    check(&[("x-amz-checksum-crc32", "AA")], 400, "InvalidArgument").await;
    check(&[("x-amz-checksum-sha256", "AAAAAA==")], 400, "InvalidArgument").await;
    wire.check("GET /bucket/k", &[], "", 404, "NoSuchKey").await;
    check(&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")], 200, "").await;
    let put =
        check(&[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-sdk-checksum-algorithm", "CRC32")], 200, "")
            .await;
    assert_eq!(put.header("x-amz-checksum-crc32"), "y/Q5Jg==");
    let got = wire.check("GET /bucket/k", &[("x-amz-checksum-mode", "ENABLED")], "", 200, "").await;
    assert_eq!(got.header("x-amz-checksum-crc32"), "y/Q5Jg==");
    let part = [("x-amz-checksum-mode", "ENABLED"), ("range", "bytes=0-1")];
    assert_eq!(wire.check("GET /bucket/k", &part, "", 206, "").await.header("x-amz-checksum-crc32"), "");
    let asked = [("x-amz-object-attributes", "ETag,Checksum,ObjectSize")];
    let attributes = wire.check("GET /bucket/k?attributes", &asked, "", 200, "").await;
    assert_eq!((attributes.element("ObjectSize"), attributes.element("ChecksumCRC32")), ("9", "y/Q5Jg=="));
    let large = "x".repeat(2049);
    check(&[("x-amz-meta-a", &large)], 400, "MetadataTooLarge").await;
}

#[tokio::test]
async fn checksums_may_follow_the_body() {
    let wire = Wire::new().await;
    let check = async |checksum: &'static str, status: u16| {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-amz-checksum-crc32", http::HeaderValue::from_static(checksum));
        let frames = [http_body::Frame::data(Bytes::from("123456789")), http_body::Frame::trailers(trailers)];
        let frames = frames.map(Ok::<_, std::io::Error>);
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        let request = Request::put("/bucket/k")
            .header("x-amz-decoded-content-length", "9")
            .header("content-length", "100")
            .header("content-encoding", "aws-chunked")
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .header("x-amz-sdk-checksum-algorithm", "CRC32")
            .body(Body::http_body_unsync(body))
            .unwrap();
        let answer = read(wire.wire.call(request).await).await;
        assert_eq!(answer.head.status.as_u16(), status, "{}", answer.text());
    };
    check("AAAAAA==", 400).await;
    check("y/Q5Jg==", 200).await;
    let got = wire.check("GET /bucket/k", &[("x-amz-checksum-mode", "ENABLED")], "", 200, "").await;
    assert_eq!((got.header("x-amz-checksum-crc32"), got.header("content-encoding")), ("y/Q5Jg==", ""));
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_what_was_there() {
    let wire = Wire::new().await;
    wire.put("k", "one").await;
    let parts = [Ok(Bytes::from("tw")), Err(std::io::Error::other("the client left"))];
    let frames = parts.map(|part| part.map(http_body::Frame::data));
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
    let request =
        Request::put("/bucket/k").header("content-length", "3").body(Body::http_body_unsync(body)).unwrap();
    let answer = read(wire.wire.call(request).await).await;
    assert_eq!((answer.head.status, answer.element("Code")), (StatusCode::BAD_REQUEST, "IncompleteBody"));
    assert_eq!(wire.call("GET /bucket/k", &[], "").await.text(), "one");
    assert_eq!(std::fs::read_dir(wire._scratch.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn buckets_are_made_found_and_removed() {
    let wire = Wire::new().await;
    wire.check("HEAD /absent", &[], "", 404, "").await;
    let made = wire.check("PUT /new-bucket", &[], "", 200, "").await;
    assert_eq!(made.header("location"), "/new-bucket");
    wire.check("PUT /new-bucket", &[], "", 200, "").await;
    let head = wire.check("HEAD /new-bucket", &[], "", 200, "").await;
    assert_eq!(head.header("x-amz-bucket-region"), "us-east-1");
    let constraint = "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";
    wire.check("PUT /in-europe", &[], constraint, 200, "").await;
    wire.check("PUT /in-europe", &[], constraint, 409, "BucketAlreadyOwnedByYou").await;
    let location = wire.check("GET /in-europe?location", &[], "", 200, "").await;
    assert!(location.text().contains(">eu-west-1</LocationConstraint>"), "{}", location.text());
    let location = wire.check("GET /new-bucket?location", &[], "", 200, "").await;
    assert!(location.text().contains("LocationConstraint"), "{}", location.text());
    let all = wire.check("GET /", &[], "", 200, "").await;
    assert_eq!(all.text().matches("<Name>").count(), 3);
    assert_eq!(all.element("ID"), "000000000000");
    wire.put("k", "x").await;
    wire.check("DELETE /bucket", &[], "", 409, "BucketNotEmpty").await;
    wire.check("DELETE /new-bucket", &[], "", 204, "").await;
    wire.check("DELETE /new-bucket", &[], "", 404, "NoSuchBucket").await;
    wire.check("PUT /Upper", &[], "", 400, "InvalidBucketName").await;
    wire.check("GET /absent", &[], "", 404, "NoSuchBucket").await;
    let missing = wire.check("PUT /absent/k", &[], "x", 404, "NoSuchBucket").await;
    assert_eq!(missing.element("Resource"), "/absent/k");
    assert_eq!(missing.element("RequestId"), missing.header("x-amz-request-id"));
    let owner = [("x-amz-expected-bucket-owner", "111111111111")];
    wire.check("GET /bucket/k", &owner, "", 403, "AccessDenied").await;
    wire.check("HEAD /bucket", &owner, "", 403, "").await;
    wire.check("HEAD /bucket", &[("x-amz-expected-bucket-owner", "000000000000")], "", 200, "").await;
}

#[tokio::test]
async fn lists_speak_both_versions() {
    let wire = Wire::new().await;
    for key in ["a%20b", "a/1", "a/2", "a%2Bb", "%C3%A9"] {
        wire.put(key, "x").await;
    }
    let line = "GET /bucket?list-type=2&delimiter=%2F&encoding-type=url&max-keys=2";
    let first = wire.check(line, &[], "", 200, "").await;
    assert_eq!((first.element("KeyCount"), first.element("IsTruncated")), ("2", "true"));
    assert_eq!((first.element("EncodingType"), first.element("Key")), ("url", "a%20b"));
    assert!(first.text().contains("<Key>a%2Bb</Key>"), "{}", first.text());
    assert!(first.element("ETag").contains("9dd4e461268c8034f5c8564e155c67a6"));
    let token = first.element("NextContinuationToken");
    let second = wire.check(&format!("{line}&continuation-token={token}"), &[], "", 200, "").await;
    assert_eq!((second.element("Key"), second.element("IsTruncated")), ("%C3%A9", "false"));
    assert!(
        second.text().contains("<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>"),
        "{}",
        second.text()
    );
    let first = wire.check("GET /bucket?max-keys=1&delimiter=%2F&prefix=a%2F", &[], "", 200, "").await;
    assert_eq!((first.element("Key"), first.element("NextMarker")), ("a/1", "a/1"));
    let rest = wire.check("GET /bucket?marker=a%2F1", &[], "", 200, "").await;
    assert_eq!((rest.element("Key"), rest.text().matches("<Key>").count()), ("a/2", 2));
    let after = wire.check("GET /bucket?list-type=2&start-after=a%2F2", &[], "", 200, "").await;
    assert_eq!(after.element("Key"), "é");
    let versions = wire.check("GET /bucket?versions", &[], "", 200, "").await;
    assert_eq!(versions.text().matches("<VersionId>null</VersionId>").count(), 5);
    wire.check("GET /bucket?list-type=2&continuation-token=%21", &[], "", 400, "InvalidArgument").await;
    wire.check("GET /bucket?list-type=2&encoding-type=x", &[], "", 400, "InvalidArgument").await;
    wire.check("GET /bucket?list-type=2&max-keys=-1", &[], "", 400, "InvalidArgument").await;
    let none = wire.check("GET /bucket?list-type=2&max-keys=0", &[], "", 200, "").await;
    assert_eq!((none.element("KeyCount"), none.element("IsTruncated")), ("0", "false"));
}

#[tokio::test]
async fn copies_take_or_replace_what_is_said_of_the_source() {
    let wire = Wire::new().await;
    let headers = [("content-type", "text/csv"), ("x-amz-meta-a", "1"), ("x-amz-tagging", "t=1")];
    let etag = wire.check("PUT /bucket/from%20a", &headers, "bytes", 200, "").await.header("etag").to_owned();
    let source = ("x-amz-copy-source", "/bucket/from%20a");
    let copied = wire.check("PUT /bucket/to", &[source], "", 200, "").await;
    assert!(copied.element("ETag").contains(etag.trim_matches('"')), "{}", copied.text());
    let got = wire.check("GET /bucket/to", &[], "", 200, "").await;
    assert_eq!(
        (got.text(), got.header("content-type"), got.header("x-amz-meta-a")),
        ("bytes", "text/csv", "1")
    );
    assert_eq!(got.header("x-amz-tagging-count"), "1");
    let replace = ("x-amz-metadata-directive", "REPLACE");
    wire.check("PUT /bucket/to", &[source, replace, ("content-type", "a/b")], "", 200, "").await;
    let got = wire.check("GET /bucket/to", &[], "", 200, "").await;
    assert_eq!((got.text(), got.header("content-type"), got.header("x-amz-meta-a")), ("bytes", "a/b", ""));
    wire.check("PUT /bucket/from%20a", &[source], "", 400, "InvalidRequest").await;
    wire.check("PUT /bucket/from%20a", &[source, replace], "", 200, "").await;
    assert_eq!(wire.call("GET /bucket/from%20a", &[], "").await.text(), "bytes");
    let other = ("x-amz-copy-source-if-match", "\"x\"");
    wire.check("PUT /bucket/to", &[source, other], "", 412, "PreconditionFailed").await;
    let same = ("x-amz-copy-source-if-none-match", etag.as_str());
    wire.check("PUT /bucket/to", &[source, same], "", 412, "PreconditionFailed").await;
    wire.check("PUT /bucket/to", &[("x-amz-copy-source", "bucket/none")], "", 404, "NoSuchKey").await;
    wire.check("PUT /bucket/to", &[("x-amz-copy-source", "absent/k")], "", 404, "NoSuchBucket").await;
    // A copy is its own: the source goes, it stays.
    wire.check("DELETE /bucket/from%20a", &[], "", 204, "").await;
    assert_eq!(wire.call("GET /bucket/to", &[], "").await.text(), "bytes");
}

#[tokio::test]
async fn parts_come_in_any_order() {
    let wire = Wire::new().await;
    let begun = wire.check("POST /bucket/k?uploads", &[("content-type", "a/b")], "", 200, "").await;
    let id = begun.element("UploadId").to_owned();
    let part = async |number: u32, body: &str| {
        let line = format!("PUT /bucket/k?partNumber={number}&uploadId={id}");
        wire.check(&line, &[], body, 200, "").await.header("etag").to_owned()
    };
    let third = part(3, "ccc").await;
    let first = part(1, "a").await;
    part(2, "wrong").await;
    let second = part(2, "bb").await;
    wire.check("GET /bucket/k", &[], "", 404, "NoSuchKey").await;
    let listed = wire.check(&format!("GET /bucket/k?uploadId={id}&max-parts=2"), &[], "", 200, "").await;
    assert_eq!((listed.element("IsTruncated"), listed.element("NextPartNumberMarker")), ("true", "2"));
    let uploads = wire.check("GET /bucket?uploads", &[], "", 200, "").await;
    assert_eq!((uploads.element("UploadId"), uploads.element("Key")), (id.as_str(), "k"));
    let complete = async |parts: &[(u32, &str)], status: u16, code: &str| {
        let part = |(number, etag): &(u32, &str)| {
            format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>",
                etag.replace('"', "&quot;")
            )
        };
        let parts: String = parts.iter().map(part).collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        wire.check(&format!("POST /bucket/k?uploadId={id}"), &[], &body, status, code).await
    };
    complete(&[], 400, "MalformedXML").await;
    complete(&[(2, &second), (1, &first)], 400, "InvalidPartOrder").await;
    complete(&[(1, &second)], 400, "InvalidPart").await;
    complete(&[(1, &first), (4, &first)], 400, "InvalidPart").await;
    let parts = [(1, first.as_str()), (2, &second), (3, &third)];
    let done = complete(&parts, 200, "").await;
    let again = complete(&parts, 200, "").await;
    assert_eq!(done.element("ETag"), again.element("ETag"));
    assert!(done.element("ETag").contains("-3"), "{}", done.text());
    let got = wire.check("GET /bucket/k", &[], "", 200, "").await;
    assert_eq!((got.text(), got.header("content-type")), ("abbccc", "a/b"));
    let got = wire.check("GET /bucket/k?partNumber=2", &[], "", 206, "").await;
    assert_eq!((got.text(), got.header("x-amz-mp-parts-count")), ("bb", "3"));
    assert_eq!(got.header("content-range"), "bytes 1-2/6");
    wire.check("GET /bucket/k?partNumber=4", &[], "", 416, "InvalidRange").await;
    let left = std::fs::read_dir(wire._scratch.path().join("incoming")).unwrap().count();
    assert_eq!(left, 0, "the parts are gone");
    wire.check(&format!("PUT /bucket/k?partNumber=1&uploadId={id}"), &[], "x", 404, "NoSuchUpload").await;
}

#[tokio::test]
async fn parts_are_copied_and_uploads_aborted() {
    let wire = Wire::new().await;
    wire.put("from", "0123456789").await;
    let id = wire.check("POST /bucket/k?uploads", &[], "", 200, "").await.element("UploadId").to_owned();
    let line = |number: &str| format!("PUT /bucket/k?partNumber={number}&uploadId={id}");
    let source = ("x-amz-copy-source", "bucket/from");
    let copied =
        wire.check(&line("1"), &[source, ("x-amz-copy-source-range", "bytes=2-4")], "", 200, "").await;
    let etag = copied.element("ETag").to_owned();
    wire.check(&line("2"), &[source, ("x-amz-copy-source-range", "bytes=20-40")], "", 416, "InvalidRange")
        .await;
    wire.check(&line("2"), &[source, ("x-amz-copy-source-range", "bytes=2-")], "", 400, "InvalidArgument")
        .await;
    wire.check(&line("0"), &[], "x", 400, "InvalidArgument").await;
    wire.check(&line("10001"), &[], "x", 400, "InvalidArgument").await;
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    wire.check(&format!("POST /bucket/k?uploadId={id}"), &[], &body, 200, "").await;
    assert_eq!(wire.call("GET /bucket/k", &[], "").await.text(), "234");
    let id = wire.check("POST /bucket/k?uploads", &[], "", 200, "").await.element("UploadId").to_owned();
    wire.check(&format!("PUT /bucket/k?partNumber=1&uploadId={id}"), &[], "x", 200, "").await;
    wire.check(&format!("DELETE /bucket/other?uploadId={id}"), &[], "", 404, "NoSuchUpload").await;
    wire.check(&format!("DELETE /bucket/k?uploadId={id}"), &[], "", 204, "").await;
    wire.check(&format!("DELETE /bucket/k?uploadId={id}"), &[], "", 404, "NoSuchUpload").await;
    assert_eq!(std::fs::read_dir(wire._scratch.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn checksums_of_parts_make_one_of_the_object() {
    let wire = Wire::new().await;
    for (kind, expected) in [("COMPOSITE", "-2"), ("FULL_OBJECT", "y/Q5Jg==")] {
        let headers = [("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", kind)];
        let begun = wire.check("POST /bucket/k?uploads", &headers, "", 200, "").await;
        let id = begun.element("UploadId").to_owned();
        let mut parts = String::new();
        for (number, body) in [(1, "12345"), (2, "6789")] {
            let put = wire
                .check(&format!("PUT /bucket/k?partNumber={number}&uploadId={id}"), &[], body, 200, "")
                .await;
            let (etag, crc) = (put.header("etag").replace('"', ""), put.header("x-amz-checksum-crc32"));
            assert!(!crc.is_empty());
            parts += &format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><ChecksumCRC32>{crc}</ChecksumCRC32></Part>"
            );
        }
        let line = format!("POST /bucket/k?uploadId={id}");
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        if kind == "FULL_OBJECT" {
            wire.check(&line, &[("x-amz-checksum-crc32", "AAAAAA==")], &body, 400, "BadDigest").await;
        }
        let done = wire.check(&line, &[], &body, 200, "").await;
        assert!(done.element("ChecksumCRC32").ends_with(expected), "{}", done.text());
        let got = wire.check("GET /bucket/k", &[("x-amz-checksum-mode", "ENABLED")], "", 200, "").await;
        assert_eq!(got.header("x-amz-checksum-type"), kind);
    }
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let wire = Wire::new().await;
    wire.put("a", "x").await;
    wire.put("b%20c", "x").await;
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>b c</Key></Object><Object><Key>none</Key></Object>\
        <Object><Key>a</Key><VersionId>v</VersionId></Object></Delete>";
    let answer = wire.check("POST /bucket?delete", &[], body, 200, "NoSuchVersion").await;
    assert_eq!(answer.text().matches("<Deleted>").count(), 3, "{}", answer.text());
    let listed = wire.check("GET /bucket?list-type=2", &[], "", 200, "").await;
    assert_eq!(listed.element("KeyCount"), "0");
    wire.check("POST /bucket?delete", &[], "<Delete></Delete>", 400, "MalformedXML").await;
    wire.check("POST /bucket?delete", &[], "no XML", 400, "MalformedXML").await;
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>";
    let answer = wire.check("POST /bucket?delete", &[], quiet, 200, "").await;
    assert!(!answer.text().contains("<Deleted>"));
}

#[tokio::test]
async fn sub_resources_answer_as_of_a_fresh_bucket() {
    let wire = Wire::new().await;
    wire.put("k", "x").await;
    wire.check("GET /bucket?versioning", &[], "", 200, "").await;
    wire.check("GET /bucket?acl", &[], "", 200, "").await;
    wire.check("GET /bucket?policy", &[], "", 404, "NoSuchBucketPolicy").await;
    wire.check("GET /bucket?tagging", &[], "", 404, "NoSuchTagSet").await;
    let code = "ServerSideEncryptionConfigurationNotFoundError";
    wire.check("GET /bucket?encryption", &[], "", 404, code).await;
    wire.check("GET /bucket?lifecycle", &[], "", 404, "NoSuchLifecycleConfiguration").await;
    wire.check("GET /absent?acl", &[], "", 404, "NoSuchBucket").await;
    wire.check("GET /bucket/k?acl", &[], "", 200, "").await;
    wire.check("GET /bucket/none?acl", &[], "", 404, "NoSuchKey").await;
    wire.check("PUT /bucket?encryption", &[], "<x/>", 200, "").await;
    wire.check("PUT /bucket?publicAccessBlock", &[], "<x/>", 200, "").await;
    wire.check("PUT /bucket?versioning", &[], "<x/>", 501, "NotImplemented").await;
    wire.check("PUT /bucket?policy", &[], "{}", 501, "NotImplemented").await;
    wire.check("DELETE /bucket?policy", &[], "", 204, "").await;
    wire.check("HEAD /bucket", &[], "", 200, "").await;
    let key = ("x-amz-server-side-encryption-customer-algorithm", "AES256");
    wire.check("PUT /bucket/k", &[key], "x", 501, "NotImplemented").await;
    wire.check("PUT /bucket/k", &[("x-amz-server-side-encryption", "aws:kms")], "x", 200, "").await;
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>";
    wire.check("PUT /bucket/k?tagging", &[], tags, 200, "").await;
    let got = wire.check("GET /bucket/k?tagging", &[], "", 200, "").await;
    assert_eq!(got.element("Value"), "b c");
    wire.check("DELETE /bucket/k?tagging", &[], "", 204, "").await;
    wire.check("GET /bucket/k?versionId=x", &[], "", 404, "NoSuchVersion").await;
    wire.check("GET /bucket/k?versionId=null", &[], "", 200, "").await;
    wire.check("POST /bucket/k", &[], "x", 501, "NotImplemented").await;
    let form = ("content-type", "multipart/form-data; boundary=x");
    wire.check("POST /bucket", &[form], "--x--", 501, "NotImplemented").await;
    wire.check("GET /bucket?uploads&delimiter=%2F", &[], "", 501, "NotImplemented").await;
}

#[tokio::test]
async fn a_bucket_may_stand_in_the_host() {
    let wire = Wire::with_domain(Some("s3.local")).await;
    wire.check("PUT /a/k", &[("host", "bucket.s3.local")], "x", 200, "").await;
    let listed = wire.check("GET /?list-type=2", &[("host", "bucket.s3.local")], "", 200, "").await;
    assert_eq!(listed.element("Key"), "a/k");
    assert_eq!(wire.call("GET /bucket/a/k", &[("host", "s3.local")], "").await.text(), "x");
    assert_eq!(wire.call("GET /bucket/a/k", &[("host", "127.0.0.1:8080")], "").await.text(), "x");
    wire.check("GET /?policy", &[("host", "bucket.s3.local")], "", 404, "NoSuchBucketPolicy").await;
}

#[tokio::test]
async fn every_error_says_what_was_expected_and_found() {
    let wire = Wire::new().await;
    for (line, body, status, code) in [
        ("PUT /Not_A_Bucket", "", 400, "InvalidBucketName"),
        ("GET /ab/k", "", 400, "InvalidBucketName"),
        ("GET /absent/k", "", 404, "NoSuchBucket"),
        ("GET /bucket/absent", "", 404, "NoSuchKey"),
        ("POST /bucket?delete", "<Delete", 400, "MalformedXML"),
        ("POST /bucket?delete", "", 400, "MissingRequestBodyError"),
        ("GET /bucket/k?unheard-of", "", 501, "NotImplemented"),
        ("POST /bucket/k", "x", 501, "NotImplemented"),
        ("PUT /bucket/k?partNumber=0&uploadId=x", "", 400, "InvalidArgument"),
        ("GET /bucket/k?uploadId=x", "", 404, "NoSuchUpload"),
        ("POST /bucket/k?uploadId=x", "<a/>", 400, "MalformedXML"),
        ("GET /bucket?list-type=2&max-keys=x", "", 400, "InvalidArgument"),
    ] {
        let answer = wire.check(line, &[], body, status, code).await;
        let message = answer.element("Message");
        assert!(message.contains("expected") && message.contains("found"), "{line}: {message}");
    }
    let long =
        wire.check(&format!("PUT /bucket/{}", "k".repeat(1025)), &[], "", 400, "KeyTooLongError").await;
    assert_eq!(long.element("Message"), "key: expected 1 to 1024 bytes, found 1025");
}
