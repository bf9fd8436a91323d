//! The requests to S3 that `object_store` does not have, as a server sees them.

use std::sync::{Arc, Mutex};

use object_store::aws::AmazonS3Builder;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{Error, RetryConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use transform::Store;
use transform::input::{Found, Listing, Outputs, Source};
use transform::store::Standing;

/// A server that gives the next of its answers to whatever is asked, and keeps what was.
struct Server {
    store: Store,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn server(answers: &[(u16, &str)], is_unsigned: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers: Vec<_> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        for (status, body) in answers {
            let (stream, _) = listener.accept().await.unwrap();
            answer(stream, status, &body, &heard).await;
        }
    });
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let builder = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_skip_signature(is_unsigned)
        .with_retry(retry);
    let builder = builder.with_access_key_id("AKID").with_secret_access_key("secret");
    Server { store: Store::s3(builder).unwrap(), asked }
}

/// Reads a request, keeps it, and answers.
async fn answer(mut stream: TcpStream, status: u16, body: &str, heard: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let head_end = |bytes: &[u8]| bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if head_end(&request).is_some_and(|end| request.len() >= end + length) {
            break;
        }
        let mut block = [0; 4096];
        let count = stream.read(&mut block).await.unwrap();
        assert!(count > 0, "the client left");
        request.extend_from_slice(&block[..count]);
    }
    heard.lock().unwrap().push(String::from_utf8(request).unwrap());
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
}

impl Server {
    fn asked(&self, number: usize) -> String {
        self.asked.lock().unwrap()[number].clone()
    }
}

const FIRST_PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>bucket</Bucket>
<KeyMarker></KeyMarker><NextKeyMarker>out/b &amp; c.out</NextKeyMarker><NextUploadIdMarker>two+2</NextUploadIdMarker>
<MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>
<Upload><Key>out/a.out</Key><UploadId>one</UploadId><Initiator><ID>x</ID></Initiator><StorageClass>STANDARD</StorageClass></Upload>
<Upload><Key>out/b &amp; c.out</Key><UploadId>two+2</UploadId></Upload>
</ListMultipartUploadsResult>"#;

const LAST_PAGE: &str = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>\
    <Upload><Key>out//odd</Key><UploadId>odd</UploadId></Upload>\
    <Upload><Key>out/z</Key><UploadId>three</UploadId></Upload></ListMultipartUploadsResult>";

#[tokio::test]
async fn unfinished_uploads_are_listed_page_by_page() {
    let server = server(&[(200, FIRST_PAGE), (200, LAST_PAGE)], false).await;
    let found = server.store.uploads.unfinished("out/a+ü").await.unwrap();
    let found: Vec<_> = found.iter().map(|upload| (upload.path.as_ref(), upload.id.as_str())).collect();
    assert_eq!(found, [("out/a.out", "one"), ("out/b & c.out", "two+2"), ("out/z", "three")]);
    let first = server.asked(0);
    assert!(first.starts_with("GET /bucket/?"), "{first}");
    for expected in ["uploads=&", "prefix=out%2Fa%2B%C3%BC&", "X-Amz-Signature="] {
        assert!(first.contains(expected), "{expected}: {first}");
    }
    let second = server.asked(1);
    for expected in ["key-marker=out%2Fb%20%26%20c.out&", "upload-id-marker=two%2B2&"] {
        assert!(second.contains(expected), "{expected}: {second}");
    }
}

#[tokio::test]
async fn no_uploads_are_an_empty_list() {
    let empty = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
    let server = server(&[(200, empty)], true).await;
    assert_eq!(server.store.uploads.unfinished("").await.unwrap(), []);
    assert!(!server.asked(0).contains("X-Amz-"), "asked without a signature: {}", server.asked(0));
}

async fn complete(standing: &Standing, status: u16, body: &str) -> (object_store::Result<String>, String) {
    let server = server(&[(status, body)], false).await;
    let part = |e_tag: &str| PartId { content_id: e_tag.into() };
    let (path, id) = (Path::from("out/a b"), "up&load".to_owned());
    let parts = vec![part("\"one\""), part("<two>")];
    let completed = server.store.uploads.complete_if(&path, &id, parts, standing).await;
    (completed.map(|completed| completed.e_tag.unwrap()), server.asked(0))
}

const COMPLETED: &str = "<CompleteMultipartUploadResult><Location>x</Location><ETag>&quot;done-2&quot;</ETag>\
    </CompleteMultipartUploadResult>";

#[tokio::test]
async fn completions_say_what_must_stand_there() {
    let (completed, asked) = complete(&Standing::Nothing, 200, COMPLETED).await;
    assert_eq!(completed.unwrap(), "\"done-2\"");
    assert!(asked.starts_with("POST /bucket/out/a%20b?uploadId=up%26load&"), "{asked}");
    assert!(
        asked.contains("if-none-match: *\r\n") && asked.contains("SignedHeaders=host%3Bif-none-match"),
        "{asked}"
    );
    let parts = "<Part><PartNumber>1</PartNumber><ETag>&quot;one&quot;</ETag></Part>\
        <Part><PartNumber>2</PartNumber><ETag>&lt;two&gt;</ETag></Part>";
    assert!(asked.contains(parts), "{asked}");
    let (_, asked) = complete(&Standing::Version("\"old\"".into()), 200, COMPLETED).await;
    assert!(asked.contains("if-match: \"old\"\r\n"), "{asked}");
    let (completed, asked) = complete(&Standing::Unversioned, 200, COMPLETED).await;
    assert_eq!(completed.unwrap(), "\"done-2\"");
    assert!(!asked.to_lowercase().contains("match"), "{asked}");
}

#[tokio::test]
async fn refusals_are_told_by_meaning() {
    let check = async |status: u16, body: &str, is_expected: fn(&Error) -> bool, said: &str| {
        let (refused, _) = complete(&Standing::Nothing, status, body).await;
        let error = refused.expect_err(said);
        assert!(is_expected(&error) && error.to_string().contains(said), "{status}: {error:?}");
    };
    let refusal = |code: &str| format!("<Error><Code>{code}</Code><Message>because</Message></Error>");
    check(404, &refusal("NoSuchUpload"), |error| matches!(error, Error::NotFound { .. }), "NoSuchUpload")
        .await;
    let is_condition = |error: &Error| matches!(error, Error::Precondition { .. });
    check(412, &refusal("PreconditionFailed"), is_condition, "because").await;
    check(403, &refusal("AccessDenied"), |error| matches!(error, Error::PermissionDenied { .. }), "Denied")
        .await;
    let is_of_the_moment = |error: &Error| matches!(error, Error::Generic { .. });
    check(503, &refusal("SlowDown"), is_of_the_moment, "SlowDown").await;
    check(409, &refusal("ConditionalRequestConflict"), is_of_the_moment, "Conflict").await;
    // An error after the answer began.
    check(200, &refusal("InternalError"), is_of_the_moment, "InternalError: because").await;
    check(200, "", is_of_the_moment, "answer").await;
    check(200, "<html>", is_of_the_moment, "answer").await;
    check(500, "<<<&&&", is_of_the_moment, "without an error that can be read").await;
}

const FIRST_KEYS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix>in/te</Prefix><KeyCount>3</KeyCount>
<IsTruncated>true</IsTruncated><NextContinuationToken>next</NextContinuationToken>
<Contents><Key>in/te//odd</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;1&quot;</ETag><Size>7</Size></Contents>
<Contents><Key>in/tests/</Key><ETag>&quot;2&quot;</ETag><Size>0</Size></Contents>
<Contents><Key>in/tests/a &amp; b.csv</Key><ETag>&quot;3&quot;</ETag><Size>9</Size></Contents>
</ListBucketResult>"#;

const LAST_KEYS: &str = "<ListBucketResult><IsTruncated>false</IsTruncated>\
    <Contents><Key>in/tests/c</Key><ETag>&quot;4&quot;</ETag><Size>0</Size></Contents></ListBucketResult>";

/// What is listed of `in/te` by a server that gives these answers, as text, and the error that ends the list.
async fn listed(answers: &[(u16, &str)]) -> (Vec<String>, Option<String>, Server) {
    let server = server(answers, false).await;
    let outputs = Outputs { prefix: Path::from("out"), are_beside_inputs: false };
    let source = Source::Prefix("in/te".to_owned());
    let mut found = Vec::new();
    let mut listing = match Listing::begin(&server.store, "bucket", &source, outputs).await {
        Ok(listing) => listing,
        Err(error) => return (found, Some(error.to_string()), server),
    };
    let error = loop {
        match listing.next().await {
            Ok(Some(Found::Object(object))) => {
                found.push(format!("{} {} {}", object.path, object.size, object.e_tag.unwrap_or_default()));
            }
            Ok(Some(Found::Unusable { key, .. })) => found.push(format!("unusable {key}")),
            Ok(Some(Found::Warning(message))) => found.push(message),
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    (found, error, server)
}

/// A key that is no path, in or before a page, hides none behind it.
#[tokio::test]
async fn keys_are_listed_by_what_they_begin_with() {
    let (found, error, server) = listed(&[(200, FIRST_KEYS), (200, LAST_KEYS)]).await;
    assert_eq!(error, None);
    assert_eq!(
        found,
        ["unusable in/te//odd", "in/tests/a & b.csv 9 \"3\"", "in/tests/c 0 \"4\""],
        "markers of folders are passed over"
    );
    let first = server.asked(0);
    assert!(first.starts_with("GET /bucket/?") && !first.contains("start-after"), "{first}");
    for expected in ["list-type=2&", "prefix=in%2Fte&"] {
        assert!(first.contains(expected), "{expected}: {first}");
    }
    assert!(server.asked(1).contains("start-after=in%2Ftests%2Fa%20%26%20b.csv&"), "{}", server.asked(1));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_gone_on_with_after_failures_and_ends() {
    let (found, error, _) =
        listed(&[(503, ""), (200, FIRST_KEYS), (500, "<"), (200, "<List"), (200, LAST_KEYS)]).await;
    assert_eq!((found.len(), error), (3, None));
    let (_, error, _) = listed(&[(403, "")]).await;
    assert!(error.unwrap().starts_with("listing in/te: "));
    let (found, error, _) = listed(&[(200, FIRST_KEYS), (200, FIRST_KEYS)]).await;
    assert_eq!(found.len(), 2);
    assert!(error.unwrap().contains("expected keys behind \"in/tests/a & b.csv\", found none"));
}
