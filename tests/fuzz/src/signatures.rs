//! Who calls: signatures in headers and queries, chunked bodies, the credentials file.

use access::claim::Claim;
use access::{Access, Credentials, Head, PayloadReader, Refusal};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use wire::Timestamp;

/// The key that the server of these targets knows. Nobody tells it to the fuzzer's inputs but the seeds.
const FILE: &str = r#"{"keys":[{"access_key_id":"AKIDEXAMPLE","secret_access_key":"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "allow":{"actions":["*"]}}]}"#;

/// When the seeds were signed.
const NOW: Timestamp = Timestamp(1_795_513_846_000);

/// A request as text: method, path and query; headers; an empty line; a body.
fn request(text: &str) -> Option<(&str, &str, Option<&str>, HeaderMap, &str)> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    Some((method, path, query, headers, body))
}

/// `Authorization` headers and presigned queries: parsed or refused, the same each time, and never taken without proof.
pub fn signature(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((method, path, query, headers, body)) = request(text) else { return };
    let claim = Claim::of(&headers, query);
    assert_eq!(claim, Claim::of(&headers, query), "the same request says the same");
    let access = Access::closed(Credentials::parse(FILE.as_bytes(), None).expect("the file is one"));
    let head = Head {
        method,
        path,
        query,
        authority: None,
        headers: &headers,
        client_names: &[],
        takes_tokens: true,
    };
    let judge = |now| {
        let (_, mut reader) = access.begin(&head, now)?.finish_declared("s3", &headers)?;
        reader.feed(Bytes::copy_from_slice(body.as_bytes()), &mut Vec::new())?;
        reader.finish()
    };
    if judge(NOW).is_ok() {
        assert!(!matches!(claim, Ok(Claim::Nothing | Claim::Bearer(_))), "somebody proved who they are");
        let late = judge(NOW.plus_millis(604_801_000));
        assert!(late.is_err(), "no signature is good for more than a week");
    }
    // A server that asks for nothing must take the same bytes apart without panic.
    let open = Access::open();
    if let Ok((_, mut reader)) =
        open.begin(&head, NOW).and_then(|pending| pending.finish_declared("s3", &headers))
    {
        let _ = reader.feed(Bytes::copy_from_slice(body.as_bytes()), &mut Vec::new());
    }
}

/// The headers behind a chunked body.
type Trailers = Vec<(String, String)>;

/// Unpacks `body` in pieces of `piece` bytes.
fn unpack(headers: &HeaderMap, body: &[u8], piece: usize) -> Result<(Vec<u8>, Trailers), Refusal> {
    let mut reader = PayloadReader::open(headers)?;
    let mut out = Vec::new();
    for piece in body.chunks(piece) {
        reader.feed(Bytes::copy_from_slice(piece), &mut out)?;
    }
    Ok((out.concat(), reader.finish()?))
}

/// `aws-chunked` bodies: the same however they are cut, and as long as declared.
pub fn aws_chunked(bytes: &[u8]) {
    let Some((&first, body)) = bytes.split_first() else { return };
    let mut headers = HeaderMap::new();
    let kind = match first % 3 {
        0 => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        1 => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        _ => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    };
    let declared = usize::from(first / 3);
    headers.insert("x-amz-content-sha256", HeaderValue::from_static(kind));
    headers.insert("x-amz-trailer", HeaderValue::from_static("x-amz-checksum-crc32"));
    headers.insert("x-amz-decoded-content-length", HeaderValue::from(declared));
    let whole = unpack(&headers, body, body.len().max(1));
    for piece in [1, 7] {
        let pieces = unpack(&headers, body, piece);
        assert_eq!(pieces.is_ok(), whole.is_ok(), "pieces of {piece}");
        assert_eq!(pieces.ok(), whole.clone().ok(), "pieces of {piece}");
    }
    if let Ok((plain, trailers)) = whole {
        assert_eq!(plain.len(), declared, "as long as declared");
        assert_eq!(trailers.len(), usize::from(first % 3 != 1), "the trailer that was announced");
    }
}

/// The credentials file: read or refused, and it never shows a secret.
pub fn credentials(bytes: &[u8]) {
    if let Ok(credentials) = Credentials::parse(bytes, None) {
        let again = Credentials::parse(bytes, Some(&credentials)).expect("what was read is readable");
        assert_eq!(again.len(), credentials.len());
        assert!(!format!("{credentials:?}").contains("K7MDENG"), "secrets are not shown");
    }
}
