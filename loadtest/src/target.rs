//! Where requests go and what they say: a URL, and each payload's request as ready bytes.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use anyhow::{Context, anyhow, ensure};

/// The most bytes of one payload. Reason: 100 MiB is the largest batch payload of SageMaker's API.
pub(crate) const PAYLOAD_BYTES_MAX: u64 = 100 << 20;

/// The most lines of further headers. Reason: a signed request takes a kilobyte ready to send; this many take two gigabytes.
pub(crate) const HEADER_LINES_MAX: usize = 2_000_000;

/// The parts of an `http://` or `https://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// Whether the connection is encrypted.
    pub(crate) is_tls: bool,
    /// The host, without brackets.
    pub(crate) host: String,
    /// The port, 80 or 443 unless given.
    pub(crate) port: u16,
    /// Host and port as the Host header shows them.
    pub(crate) authority: String,
    /// Path and query, at least `/`.
    pub(crate) path: String,
}

impl Url {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// When it is not one, has user information, or holds bytes that do not belong in a request line.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let (scheme, rest) =
            text.split_once("://").context("expected http://host or https://host, found no ://")?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => anyhow::bail!("expected the scheme http or https, found {scheme:?}"),
        };
        ensure!(
            rest.bytes().all(|b| b.is_ascii_graphic()),
            "{text:?} holds a blank or a byte that is not ASCII"
        );
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        ensure!(!authority.contains('@'), "user information in a URL is not supported: pass a header");
        let (host, port) = split_port(authority)?;
        ensure!(!host.is_empty(), "{text:?} has no host");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self { is_tls, host: host.to_owned(), port, authority: authority.to_owned(), path })
    }

    /// The first address of the host.
    ///
    /// # Errors
    /// When the name has none.
    pub(crate) fn resolve(&self) -> anyhow::Result<SocketAddr> {
        let mut addresses = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .with_context(|| format!("cannot resolve {}", self.host))?;
        addresses.next().with_context(|| format!("{} has no address", self.host))
    }
}

fn split_port(authority: &str) -> anyhow::Result<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').context("expected ] after an IPv6 address")?;
            ensure!(after.is_empty() || after.starts_with(':'), "expected a port after ], found {after:?}");
            (host, after.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port
        .map(|port| port.parse().with_context(|| format!("expected a port, found {port:?}")))
        .transpose()?;
    Ok((host, port))
}

/// A header as given: `Name: value`.
pub(crate) fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| format!("expected `Name: value`, found {text:?}"))?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty()
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    {
        return Err(format!("expected a header name, found {name:?}"));
    }
    if value.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(format!("control character in the value of {name}"));
    }
    if ["content-length", "transfer-encoding", "host"]
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
    {
        return Err(format!("{name} is set from the payload and the URL"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// What every request of a run has in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestShape {
    /// The method; POST with a payload, else GET, when not given.
    pub(crate) method: Option<String>,
    /// Content-Type.
    pub(crate) content_type: Option<String>,
    /// Accept.
    pub(crate) accept: Option<String>,
    /// Further headers.
    pub(crate) headers: Vec<(String, String)>,
    /// Headers of one request each, taken in turn: a signature fits one request only.
    pub(crate) header_lines: Vec<Vec<(String, String)>>,
}

/// A run's requests: one a payload, as they go over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Where, resolved once.
    pub(crate) address: SocketAddr,
    /// Ready requests, at least one, taken in turn.
    pub(crate) requests: Vec<Vec<u8>>,
    /// Whether answers have no body (HEAD).
    pub(crate) is_head: bool,
}

impl Target {
    /// Writes the request of each of `payloads` (or one without a body).
    ///
    /// # Errors
    /// When the URL's host cannot be resolved.
    pub(crate) fn new(url: &Url, shape: &RequestShape, payloads: &[Vec<u8>]) -> anyhow::Result<Self> {
        let address = url.resolve()?;
        let method = shape.method.as_deref().unwrap_or(if payloads.is_empty() { "GET" } else { "POST" });
        let is_head = method == "HEAD";
        let lines = &shape.header_lines;
        let requests = (0..payloads.len().max(lines.len()).max(1)).map(|index| {
            let body = (!payloads.is_empty()).then(|| &payloads[index % payloads.len()]);
            let line = if lines.is_empty() { &[][..] } else { &lines[index % lines.len()] };
            write_request(url, method, shape, line, body)
        });
        Ok(Self { address, requests: requests.collect(), is_head })
    }

    /// The request of arrival `index`.
    pub(crate) fn request(&self, index: u64) -> &[u8] {
        &self.requests[(index % self.requests.len() as u64) as usize]
    }
}

fn write_request(
    url: &Url,
    method: &str,
    shape: &RequestShape,
    line: &[(String, String)],
    body: Option<&Vec<u8>>,
) -> Vec<u8> {
    let mut head = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", url.path, url.authority);
    let length = body.map(|body| body.len().to_string());
    let own = [("Content-Type", &shape.content_type), ("Accept", &shape.accept), ("Content-Length", &length)];
    let given = shape.headers.iter().chain(line).map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).chain(given)
    {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    let mut request = head.into_bytes();
    request.extend_from_slice(body.map_or(&[], Vec::as_slice));
    request
}

/// Reads a `--data` argument: the bytes of a file, or with a leading `@` the text itself.
///
/// # Errors
/// When the file cannot be read or is too large.
pub(crate) fn read_payload(argument: &str) -> anyhow::Result<Vec<u8>> {
    if let Some(text) = argument.strip_prefix('@') {
        return Ok(text.as_bytes().to_vec());
    }
    let bytes = std::fs::metadata(argument).with_context(|| format!("payload {argument}"))?.len();
    ensure!(
        bytes <= PAYLOAD_BYTES_MAX,
        "payload {argument}: expected at most {PAYLOAD_BYTES_MAX} bytes, found {bytes}"
    );
    std::fs::read(argument).with_context(|| format!("payload {argument}"))
}

/// Reads a `--header-lines` file: a request a line, its headers parted by tabs.
///
/// # Errors
/// When the file cannot be read, or a line holds what is no header.
pub(crate) fn read_header_lines(path: &Path) -> anyhow::Result<Vec<Vec<(String, String)>>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("header lines {}", path.display()))?;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        ensure!(number < HEADER_LINES_MAX, "header lines: expected at most {HEADER_LINES_MAX}, found more");
        let headers: Result<Vec<_>, _> = line.split('\t').map(parse_header).collect();
        lines.push(headers.map_err(|error| anyhow!("header lines, line {}: {error}", number + 1))?);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: &str, port: u16, path: &str) {
        let url = Url::parse(text).unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), (host, port, path), "{text}");
    }

    fn refuse(text: &str, reason: &str) {
        let error = Url::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }

    #[test]
    fn urls_are_read() {
        check("http://localhost", "localhost", 80, "/");
        check("https://localhost", "localhost", 443, "/");
        check("HTTP://127.0.0.1:8080/invocations?x=1#part", "127.0.0.1", 8080, "/invocations?x=1");
        check("http://[::1]:81/a", "::1", 81, "/a");
        check("http://h?q", "h", 80, "/?q");
    }

    #[test]
    fn what_is_not_a_url_is_refused() {
        refuse("localhost:8080", "no ://");
        refuse("ftp://h", "http or https");
        refuse("http://", "no host");
        refuse("http://h:port/", "expected a port");
        refuse("http://h:70000/", "expected a port");
        refuse("http://user@h/", "user information");
        refuse("http://h/a b", "blank");
        refuse("http://h/\r\nX: y", "blank");
        refuse("http://[::1/", "expected ]");
    }

    #[test]
    fn headers_cannot_break_out_of_their_line() {
        assert_eq!(parse_header("A: b "), Ok(("A".to_owned(), "b".to_owned())));
        for text in ["A", ": b", "A: b\r\nC: d", "A b: c", "Content-Length: 3", "host: x"] {
            assert!(parse_header(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn each_line_of_headers_makes_a_request() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "X-A: 1\tX-B: 2\nX-A: 3\nX-A: 4\n").unwrap();
        let header_lines = read_header_lines(file.path()).unwrap();
        let shape = RequestShape { header_lines, ..RequestShape::default() };
        let url = Url::parse("http://127.0.0.1:9/").unwrap();
        let target = Target::new(&url, &shape, &[b"a".to_vec(), b"b".to_vec()]).unwrap();
        let ends =
            |index, end: &str| assert!(target.request(index).ends_with(end.as_bytes()), "{index}: {end}");
        ends(0, "X-A: 1\r\nX-B: 2\r\n\r\na");
        ends(1, "X-A: 3\r\n\r\nb");
        ends(2, "X-A: 4\r\n\r\na");
        ends(3, "X-A: 1\r\nX-B: 2\r\n\r\na");
        std::fs::write(file.path(), "X-A: 1\nnone\n").unwrap();
        assert!(read_header_lines(file.path()).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn requests_are_written_once_for_each_payload() {
        let shape = RequestShape {
            content_type: Some("text/csv".to_owned()),
            headers: vec![("X-A".to_owned(), "b".to_owned())],
            ..RequestShape::default()
        };
        let url = Url::parse("http://127.0.0.1:9/invocations").unwrap();
        let target = Target::new(&url, &shape, &[b"1,2".to_vec(), b"3,4,5".to_vec()]).unwrap();
        let expected = "POST /invocations HTTP/1.1\r\nHost: 127.0.0.1:9\r\nContent-Type: text/csv\r\n\
                        Content-Length: 3\r\nX-A: b\r\n\r\n1,2";
        assert_eq!(target.request(4), expected.as_bytes());
        assert!(target.request(5).ends_with(b"\r\n\r\n3,4,5"));
        let bare = Target::new(&url, &RequestShape::default(), &[]).unwrap();
        assert_eq!(bare.request(9), b"GET /invocations HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n");
    }
}
