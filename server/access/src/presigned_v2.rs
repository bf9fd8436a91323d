//! Presigned URLs of Signature Version 2: HMAC-SHA1 over method, a few headers and the path. boto3 still makes them for S3
//! in the older regions unless it is told `s3v4`, so they are served; signatures of this version in a header are not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::canonical::pairs;
use crate::claim::{PresignedV2, shortened};
use crate::digest;
use crate::refusal::Refusal;

/// Parameters that choose what S3 does, and are signed.
const SIGNED: [&str; 26] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "restore",
    "select",
    "select-type",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
];

/// The same, by their start: `response-content-type` and its like.
const SIGNED_START: &str = "response-";

/// Parameters that are not signed and change nothing but which keys a list shows.
const UNSIGNED: [&str; 20] = [
    "AWSAccessKeyId",
    "Expires",
    "Signature",
    "content-md5",
    "content-type",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "start-after",
    "upload-id-marker",
    "x-id",
];

/// Whether `claim` fits the request.
///
/// # Errors
/// When the request has a parameter that this version cannot vouch for, or the signature does not fit.
pub(crate) fn verify(
    claim: &PresignedV2<'_>,
    secret: &str,
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let text = string_to_sign(claim, method, path, query, headers)?;
    let tag = digest::hmac_sha1(secret.as_bytes(), text.as_bytes());
    let Ok(signature) = STANDARD.decode(claim.signature.as_bytes()) else { return Err(Refusal::Mismatch) };
    if digest::is_same(&signature, &tag) { Ok(()) } else { Err(Refusal::Mismatch) }
}

fn string_to_sign(
    claim: &PresignedV2<'_>,
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
) -> Result<String, Refusal> {
    let mut resources = Vec::new();
    let mut amz = Vec::new();
    let (mut content_md5, mut content_type) = (None, None);
    for (name, value) in pairs(query) {
        match name {
            "content-md5" => content_md5 = Some(decoded(value)),
            "content-type" => content_type = Some(decoded(value)),
            _ if name.starts_with("x-amz-") => amz.push((name.to_owned(), decoded(value))),
            _ if SIGNED.contains(&name) || name.starts_with(SIGNED_START) => resources.push((name, value)),
            _ if UNSIGNED.contains(&name) => {}
            _ => {
                let found = shortened(name);
                return Err(Refusal::Malformed {
                    place: "query",
                    expected: "parameters that are signed",
                    found,
                });
            }
        }
    }
    let header = |name: &str| joined(headers, name);
    let content_md5 = header("content-md5").or(content_md5).unwrap_or_default();
    let content_type = header("content-type").or(content_type).unwrap_or_default();
    let in_headers = headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    for name in in_headers {
        let value = header(name).unwrap_or_default();
        match amz.iter().find(|(known, _)| known == name) {
            // What stands in both places must be the same: S3 would follow the header.
            Some((_, in_query)) if *in_query != value => return Err(Refusal::Mismatch),
            Some(_) => {}
            None => amz.push((name.to_owned(), value)),
        }
    }
    amz.sort();
    resources.sort_unstable();
    let mut text = format!("{method}\n{content_md5}\n{content_type}\n{}\n", claim.expires);
    for (name, value) in amz {
        text.extend([name.as_str(), ":", value.as_str(), "\n"]);
    }
    text.push_str(path);
    for (index, (name, value)) in resources.into_iter().enumerate() {
        text.extend([if index == 0 { "?" } else { "&" }, name]);
        let is_bare =
            !query.split('&').any(|pair| pair.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')));
        if !is_bare {
            text.extend(["=", &decoded(value)]);
        }
    }
    Ok(text)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes().trim_ascii()));
    let values: Vec<_> = values.collect();
    (!values.is_empty()).then(|| values.join(","))
}

#[cfg(test)]
mod tests {
    use wire::Timestamp;

    use super::*;
    use crate::claim::Claim;

    fn check(
        method: &str,
        path: &str,
        query: &str,
        headers: &[(&'static str, &str)],
        expected: Result<&str, &str>,
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let query = format!("AWSAccessKeyId=AK&Signature=x%3D&Expires=1795517446{query}");
        let nobody = HeaderMap::new();
        let Claim::PresignedV2(claim) = Claim::of(&nobody, Some(&query)).unwrap() else { panic!("{query}") };
        assert_eq!(claim.until, Timestamp(1_795_517_446_000));
        match (string_to_sign(&claim, method, path, &query, &map), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (result, _) => panic!("{query}: {result:?}"),
        }
    }

    #[test]
    fn the_text_is_as_clients_write_it() {
        check("GET", "/b/a%20b", "", &[], Ok("GET\n\n\n1795517446\n/b/a%20b"));
        check("PUT", "/b/k", "", &[("content-type", "a/b")], Ok("PUT\n\na/b\n1795517446\n/b/k"));
        check("PUT", "/b/k", "&content-type=a%2Fb", &[], Ok("PUT\n\na/b\n1795517446\n/b/k"));
        check("GET", "/b", "&uploads&prefix=x", &[], Ok("GET\n\n\n1795517446\n/b?uploads"));
        check(
            "PUT",
            "/b/k",
            "&uploadId=1&partNumber=2&x-amz-security-token=t%2F1",
            &[("x-amz-acl", "private")],
            Ok(
                "PUT\n\n\n1795517446\nx-amz-acl:private\nx-amz-security-token:t/1\n/b/k?partNumber=2&uploadId=1",
            ),
        );
        let disposition = "&response-content-disposition=attachment%3B%20a";
        check(
            "GET",
            "/b/k",
            disposition,
            &[],
            Ok("GET\n\n\n1795517446\n/b/k?response-content-disposition=attachment; a"),
        );
        check("GET", "/b/k", "&retention", &[], Err("retention"));
    }
}
