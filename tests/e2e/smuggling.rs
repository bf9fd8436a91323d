//! Requests that two readers could understand differently. Behind a proxy that reads such a request the other way, what
//! stands in its body would become a request of its own: each must be refused, or answered once and the connection closed.

use crate::{Served, serve_small};

/// What an attacker hides in the body: it would be a request of its own to a reader who ends the first one early.
const HIDDEN: &str = "GET /ping HTTP/1.1\r\nHost: hidden\r\nConnection: close\r\n\r\n";

/// Sends `head` and what follows it; the server's answers until it closes.
fn answers(served: &Served, request: &str) -> Vec<String> {
    let mut client = served.server.connect();
    // It may refuse before everything is sent.
    let _ = client.send(request.as_bytes());
    let text = String::from_utf8_lossy(&client.until_closed()).into_owned();
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].to_owned()).collect()
}

/// Headers that disagree, or that readers disagree about, with a body that hides a request behind an empty chunk.
const AMBIGUOUS: [&str; 16] = [
    "Content-Length: 43\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 43\r\n",
    "Content-Length: 5\r\nContent-Length: 43\r\n",
    "Content-Length: 5, 43\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: -5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5 5\r\n",
    "Content-Length:\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Transfer\x0b-Encoding: chunked\r\n",
];

#[test]
fn an_ambiguous_length_is_never_two_requests() {
    let served = serve_small(&["--body-timeout", "200ms", "--head-timeout", "200ms"]);
    for headers in AMBIGUOUS {
        let head =
            format!("POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n{headers}\r\n");
        let found = answers(&served, &format!("{head}0\r\n\r\n{HIDDEN}"));
        assert!(found.len() <= 1, "{headers:?}: {found:?}");
        assert!(
            found.iter().all(|status| status.starts_with('4') || status == "501"),
            "{headers:?}: {found:?}"
        );
    }
    assert_eq!(answers(&served, HIDDEN), ["200"], "the server serves");
}

#[test]
fn malformed_chunks_end_the_connection() {
    let served = serve_small(&["--body-timeout", "200ms"]);
    for chunks in [
        "x\r\n",
        "-1\r\n",
        "0x5\r\n0.1,0\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "5\n0.1,0\n0\n\n",
        "5\r\n0.1,0.2\r\n0\r\n\r\n",
        "5 \t x\r\n0.1,0\r\n0\r\n\r\n",
    ] {
        let head = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n";
        let found = answers(&served, &format!("{head}{chunks}{HIDDEN}"));
        assert!(found.len() <= 1, "{chunks:?}: {found:?}");
        assert!(found.iter().all(|status| status.starts_with('4')), "{chunks:?}: {found:?}");
    }
    assert_eq!(answers(&served, HIDDEN), ["200"], "the server serves");
}

#[test]
fn request_lines_that_are_none_are_refused() {
    let served = serve_small(&["--head-timeout", "200ms"]);
    for line in [
        "GET /ping HTTP/1.1 x",
        "GET  /ping HTTP/1.1",
        "GET /ping HTTP/9.9",
        "GET /pi ng HTTP/1.1",
        "G@T\x01 /ping HTTP/1.1",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03",
    ] {
        let found = answers(&served, &format!("{line}\r\nHost: x\r\n\r\n"));
        assert_eq!(found, ["400"], "{line:?}");
    }
    assert_eq!(answers(&served, HIDDEN), ["200"], "the server serves");
}
