//! The canonical request: the text that a Signature Version 4 signs, byte for byte as AWS's own clients write it.
//!
//! What clients send is what they signed: paths and queries are taken as they came, never decoded. S3 signs the path as
//! it is; the other services take out its dot segments and encode it once more.

use std::borrow::Cow;

use http::HeaderMap;

use crate::claim::shortened;
use crate::refusal::Refusal;
use crate::split;

/// The parts of a query, as they came: `a=b&c` is `("a", "b")` and `("c", "")`.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The head of a request, as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Canonical<'a> {
    /// `POST`.
    pub method: &'a str,
    /// As it came.
    pub path: &'a str,
    /// As it came, without its `?`.
    pub query: Option<&'a str>,
    /// What stands for `host` where HTTP/2 has none.
    pub authority: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The names of the signed ones, joined by `;`.
    pub signed_headers: &'a str,
    /// Whether the path is signed as it is.
    pub is_s3: bool,
}

impl Canonical<'_> {
    /// Appends all but the last line, the payload's hash, to `out`.
    ///
    /// # Errors
    /// When a header that must be signed is not.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        out.extend_from_slice(self.method.as_bytes());
        out.push(b'\n');
        if self.is_s3 {
            out.extend_from_slice(self.path.as_bytes());
        } else {
            push_path(out, self.path);
        }
        out.push(b'\n');
        push_query(out, self.query.unwrap_or_default());
        out.push(b'\n');
        self.push_headers(out)?;
        out.push(b'\n');
        out.extend_from_slice(self.signed_headers.as_bytes());
        out.push(b'\n');
        Ok(())
    }

    fn push_headers(&self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut decisive = 0;
        for name in split::parts(self.signed_headers, b';') {
            decisive += usize::from(must_be_signed(name));
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            let mut has_one = false;
            for value in self.headers.get_all(name) {
                if has_one {
                    out.push(b',');
                }
                push_folded(out, value.as_bytes());
                has_one = true;
            }
            match (has_one, name, self.authority) {
                (true, ..) => {}
                (false, "host", Some(authority)) => out.extend_from_slice(authority.as_bytes()),
                // What was signed did not arrive.
                _ => return Err(Refusal::Mismatch),
            }
            out.push(b'\n');
        }
        let present = self.headers.keys().filter(|name| must_be_signed(name.as_str())).count();
        if present == decisive { Ok(()) } else { Err(self.unsigned()) }
    }

    /// The refusal that names the headers that had to be signed.
    fn unsigned(&self) -> Refusal {
        let is_signed = |name: &str| self.signed_headers.split(';').any(|signed| signed == name);
        let names = self.headers.keys().map(http::HeaderName::as_str);
        let names: Vec<_> = names.filter(|name| must_be_signed(name) && !is_signed(name)).collect();
        Refusal::UnsignedHeader(shortened(&names.join(", ")))
    }
}

/// Whether a header decides what a request does, so that nobody on the way may add it.
fn must_be_signed(name: &str) -> bool {
    name.starts_with("x-amz") && (name[5..].starts_with('-') || name[5..].starts_with("n-sagemaker-"))
}

/// The bytes of a path that stand for themselves.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~')
}

/// `path` without dot segments and doubled slashes, encoded (once more).
fn push_path(out: &mut Vec<u8>, path: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in normalised(path).as_bytes() {
        if is_plain(byte) {
            out.push(byte);
        } else {
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

/// Takes out `.`, `..` and empty segments, as RFC 3986 and AWS's clients do.
fn normalised(path: &str) -> Cow<'_, str> {
    if path.is_empty() {
        return Cow::Borrowed("/");
    }
    let is_normal = path.starts_with('/')
        && split::parts(&path[1..], b'/').all(|segment| !matches!(segment, "" | "." | ".."));
    if is_normal || path == "/" {
        return Cow::Borrowed(path);
    }
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let first = if path.starts_with('/') { "/" } else { "" };
    let last = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    Cow::Owned(format!("{first}{}{last}", segments.join("/")))
}

/// The query sorted by name, then value, without its signature.
fn push_query(out: &mut Vec<u8>, query: &str) {
    if query.is_empty() {
        return;
    }
    let mut sorted: Vec<_> = pairs(query).filter(|(name, _)| *name != "X-Amz-Signature").collect();
    sorted.sort_unstable();
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_bytes());
    }
}

/// `value` without spaces around it, and with one where several stand.
fn push_folded(out: &mut Vec<u8>, value: &[u8]) {
    let value = value.trim_ascii();
    let has_run = value.contains(&b'\t') || value.windows(2).any(|pair| pair == b"  ");
    if !has_run {
        out.extend_from_slice(value);
        return;
    }
    let words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn check_path(path: &str, expected: &str) {
        assert_eq!(written(|out| push_path(out, path)), expected, "{path}");
    }

    #[test]
    fn paths_are_normalised_and_encoded_once_more() {
        check_path("", "/");
        check_path("/", "/");
        check_path("/endpoints/a-b_c.d~e/invocations", "/endpoints/a-b_c.d~e/invocations");
        check_path("/a%20b", "/a%2520b");
        check_path("/a+b:c", "/a%2Bb%3Ac");
        check_path("//a///b", "/a/b");
        check_path("/a/./b/../c", "/a/c");
        check_path("/a/b/..", "/a");
        check_path("/../..", "/");
        check_path("/a/", "/a/");
        check_path("/a/..//", "/");
        check_path("/ሴ", "/%E1%88%B4");
    }

    fn check_query(query: &str, expected: &str) {
        assert_eq!(written(|out| push_query(out, query)), expected, "{query}");
    }

    #[test]
    fn queries_are_sorted() {
        check_query("", "");
        check_query("b=2&a=1", "a=1&b=2");
        check_query("a=2&a=1&a", "a=&a=1&a=2");
        check_query("uploads", "uploads=");
        check_query("a=b=c", "a=b=c");
        check_query("a-b=1&a=2", "a=2&a-b=1");
        check_query("a=1&&b=2", "=&a=1&b=2");
        check_query("B=1&a=1&A=1", "A=1&B=1&a=1");
        check_query("X-Amz-Signature=x&a=%20", "a=%20");
        check_query("X-Amz-Signature=x", "");
    }

    fn check_value(value: &str, expected: &str) {
        assert_eq!(written(|out| push_folded(out, value.as_bytes())), expected, "{value:?}");
    }

    #[test]
    fn values_are_trimmed_and_folded() {
        check_value("", "");
        check_value("  ", "");
        check_value(" a ", "a");
        check_value("a b", "a b");
        check_value("a  b   c", "a b c");
        check_value("\ta\tb", "a b");
        check_value("\"a  b\"", "\"a b\"");
    }

    fn check_headers(headers: &[(&'static str, &str)], signed: &str, expected: Result<&str, Refusal>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let head = Canonical {
            method: "GET",
            path: "/",
            query: None,
            authority: Some("h2"),
            headers: &map,
            signed_headers: signed,
            is_s3: false,
        };
        let mut out = Vec::new();
        let result = head.push_headers(&mut out).map(|()| String::from_utf8(out).unwrap());
        assert_eq!(result, expected.map(str::to_owned), "{headers:?}");
    }

    #[test]
    fn headers_are_as_signed() {
        check_headers(&[("host", "a"), ("x", "1")], "host", Ok("host:a\n"));
        check_headers(&[("host", "a"), ("b", "1"), ("b", " 2 ")], "b;host", Ok("b:1,2\nhost:a\n"));
        check_headers(&[], "host", Ok("host:h2\n"));
        check_headers(&[("host", "a")], "b;host", Err(Refusal::Mismatch));
        let unsigned = |name: &str| Err(Refusal::UnsignedHeader(name.into()));
        check_headers(&[("host", "a"), ("x-amz-acl", "b")], "host", unsigned("x-amz-acl"));
        let target = "x-amzn-sagemaker-target-variant";
        check_headers(&[("host", "a"), (target, "b")], "host", unsigned(target));
        check_headers(&[("host", "a"), ("x-amzn-trace-id", "b")], "host", Ok("host:a\n"));
        check_headers(
            &[("host", "a"), ("x-amz-a", "b"), ("x-amz-a", "c")],
            "host;x-amz-a",
            Ok("host:a\nx-amz-a:b,c\n"),
        );
    }
}
