//! Clients that are slow, huge, lying, many or gone. Each gets a clear refusal or a closed connection; the server goes on
//! answering others, and its memory stays bounded.

use harness::{Client, Request};

use crate::{ROW, Served, serve_small};

/// Connections of the flood. Reason: more than the server is told to serve at once; few enough for a common limit of
/// open files.
const FLOOD: usize = 2_000;

/// What the server may hold after any abuse here.
const MEMORY_BYTES_MAX: u64 = 96 << 20;

#[track_caller]
fn assert_serves(served: &Served) {
    let answer = served.server.call(&Request::invoke("text/csv", ROW));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let memory = served.server.memory_bytes();
    assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes");
}

/// The statuses of all answers in `bytes`.
fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    let mut statuses = Vec::new();
    for (at, _) in text.match_indices("HTTP/1.1 ") {
        statuses.extend(text.get(at + 9..at + 12).and_then(|digits| digits.parse::<u16>().ok()));
    }
    statuses
}

/// Sends `bytes` and waits for the server to close: the statuses it answered.
fn send_until_closed(served: &Served, bytes: &[u8]) -> Vec<u16> {
    let mut client = served.server.connect();
    // The server may refuse and close before everything is sent.
    let _ = client.send(bytes);
    statuses(&client.until_closed())
}

/// Sends `bytes` and reads the one answer, which may come long before the server closes.
fn status_of(served: &Served, bytes: &[u8]) -> u16 {
    let mut client = served.server.connect();
    let _ = client.send(bytes);
    client.answer().expect("an answer").status
}

fn head(headers: &str) -> String {
    format!("POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n{headers}\r\n")
}

#[test]
fn a_slow_head_is_cut_off() {
    let served = serve_small(&["--head-timeout", "200ms"]);
    let answers = send_until_closed(&served, b"POST /invocations HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    assert!(answers.is_empty() || answers == [408], "{answers:?}");
    assert_serves(&served);
}

#[test]
fn a_head_fed_byte_by_byte_does_not_extend_its_time() {
    let served = serve_small(&["--head-timeout", "200ms"]);
    let mut client = served.server.connect();
    client.send(b"POST /invocations HTTP/1.1\r\n").unwrap();
    // Each byte comes in time for an idle timer; only a limit on the whole head ends this.
    let mut sent = 0;
    while client.send(b"X").is_ok() {
        sent += 1;
        assert!(sent < 100_000_000, "the server reads on without end");
        std::thread::yield_now();
        client.socket().set_nonblocking(true).unwrap();
        let closed = std::io::Read::read(&mut client.socket(), &mut [0; 512]).is_ok();
        client.socket().set_nonblocking(false).unwrap();
        if closed {
            break;
        }
    }
    assert_serves(&served);
}

#[test]
fn a_slow_body_is_answered_408() {
    let served = serve_small(&["--body-timeout", "200ms"]);
    assert_eq!(status_of(&served, (head("Content-Length: 16\r\n") + "0.1,").as_bytes()), 408);
    let chunked = head("Transfer-Encoding: chunked\r\n") + "4\r\n0.1,\r\n";
    assert_eq!(status_of(&served, chunked.as_bytes()), 408);
    assert_serves(&served);
}

#[test]
fn huge_heads_are_refused() {
    let served = serve_small(&[]);
    let long = "x".repeat(256 << 10);
    for request in [
        head(&format!("X-Long: {long}\r\n")),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        head(&"X-Many: 1\r\n".repeat(1_000)),
        format!("{long} /ping HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        let answers = send_until_closed(&served, request.as_bytes());
        assert!(matches!(answers[..], [400 | 414 | 431]), "{answers:?} to {}…", &request[..60]);
    }
    assert_serves(&served);
}

#[test]
fn the_header_count_has_a_limit() {
    let served = serve_small(&["--headers", "16"]);
    let send = |count: usize| {
        let mut client = served.server.connect();
        let request = head(&format!(
            "Content-Length: {}\r\nConnection: close\r\n{}",
            ROW.len(),
            "X-A: b\r\n".repeat(count)
        ));
        client.send((request + ROW).as_bytes()).unwrap();
        statuses(&client.until_closed())
    };
    assert_eq!(send(12), [200]);
    assert_eq!(send(13), [431]);
}

#[test]
fn a_million_one_byte_chunks_are_one_body() {
    let served = serve_small(&[]);
    let row = "0.1,0.2,0.3,0.4\n";
    let rows = 1_000_000 / row.len();
    let body = row.repeat(rows);
    let mut request = head("Transfer-Encoding: chunked\r\n").into_bytes();
    for byte in body.bytes() {
        request.extend([b'1', b'\r', b'\n', byte, b'\r', b'\n']);
    }
    request.extend(b"0\r\n\r\n");
    let mut client = served.server.connect();
    client.send(&request).unwrap();
    let answer = client.answer().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let one = served.server.call(&Request::invoke("text/csv", ROW)).text();
    assert_eq!(answer.text(), one.repeat(rows));
    assert_serves(&served);
}

#[test]
fn bodies_over_the_limit_are_413_before_they_are_read() {
    let served = serve_small(&["--body-limit", "64KiB"]);
    // Only the head is sent: the answer cannot have waited for the body.
    assert_eq!(status_of(&served, head("Content-Length: 65537\r\n").as_bytes()), 413);
    let status = status_of(&served, head("Content-Length: 18446744073709551615\r\n").as_bytes());
    assert!(matches!(status, 400 | 413 | 431), "{status}");
    // A client that asks first is told no, not 100.
    let asking = head("Content-Length: 65537\r\nExpect: 100-continue\r\n");
    assert_eq!(status_of(&served, asking.as_bytes()), 413);
    let mut chunked = head("Transfer-Encoding: chunked\r\n").into_bytes();
    for _ in 0..20 {
        chunked.extend(format!("1000\r\n{}\r\n", "1".repeat(0x1000)).bytes());
    }
    assert_eq!(status_of(&served, &chunked), 413);
    assert_serves(&served);
}

#[test]
fn a_client_that_expects_100_gets_it() {
    let served = serve_small(&[]);
    let mut client = served.server.connect();
    let request =
        head(&format!("Content-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n", ROW.len()));
    client.send(request.as_bytes()).unwrap();
    let mut interim = [0u8; 25];
    std::io::Read::read_exact(&mut client.socket(), &mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(ROW.as_bytes()).unwrap();
    assert_eq!(statuses(&client.until_closed()), [200]);
}

#[test]
fn a_length_that_lies_hurts_only_the_liar() {
    let served = serve_small(&["--body-timeout", "200ms"]);
    // Too short: what follows is read as a request, and is none.
    let answers = send_until_closed(&served, (head("Content-Length: 4\r\n") + ROW).as_bytes());
    assert_eq!((answers.len(), answers.last()), (2, Some(&400)), "{answers:?}");
    // Too long: the rest never comes.
    assert_eq!(status_of(&served, (head("Content-Length: 900\r\n") + ROW).as_bytes()), 408);
    // The client stops in the middle.
    let mut client = served.server.connect();
    client.send((head("Content-Length: 900\r\n") + ROW).as_bytes()).unwrap();
    client.finish();
    let answers = statuses(&client.until_closed());
    assert!(answers.is_empty() || matches!(answers[..], [400 | 408]), "{answers:?}");
    assert_serves(&served);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let served = serve_small(&[]);
    let rows = harness::payload::Rows::draw(40, 4, 3);
    let mut single = served.server.connect();
    let bodies: Vec<Vec<u8>> = (0..rows.len()).map(|row| rows.pick(&[row]).write("text/csv")).collect();
    let expected: Vec<String> =
        bodies.iter().map(|body| single.call(&Request::invoke("text/csv", body.clone())).text()).collect();
    let mut client = served.server.connect();
    let all: Vec<u8> =
        bodies.iter().flat_map(|body| Request::invoke("text/csv", body.clone()).to_bytes()).collect();
    client.send(&all).unwrap();
    let found: Vec<String> = expected.iter().map(|_| client.answer().unwrap().text()).collect();
    assert_eq!(found, expected);
}

#[test]
fn http_1_0_closes_after_its_answer() {
    let served = serve_small(&[]);
    let answers = send_until_closed(&served, b"GET /ping HTTP/1.0\r\n\r\n");
    assert!(answers == [200] || answers.is_empty(), "{answers:?}");
    let mut client = served.server.connect();
    client.send(b"GET /ping HTTP/1.0\r\n\r\n").unwrap();
    assert!(String::from_utf8_lossy(&client.until_closed()).contains(" 200 "));
}

#[test]
fn clients_that_vanish_leave_nothing() {
    let served = serve_small(&[]);
    let cuts = [
        b"POST /invo".to_vec(),
        head("Content-Length: 16\r\n").into_bytes(),
        (head("Content-Length: 16\r\n") + "0.1,0.").into_bytes(),
        (head("Transfer-Encoding: chunked\r\n") + "10\r\n0.1,").into_bytes(),
        // A whole request, and nobody there for the answer.
        Request::invoke("text/csv", ROW.repeat(1_000)).to_bytes(),
    ];
    for round in 0..40 {
        for cut in &cuts {
            let mut client = served.server.connect();
            client.send(cut).unwrap();
            if round % 2 == 0 {
                client.finish();
            }
        }
    }
    assert_serves(&served);
}

#[test]
fn a_flood_of_connections_is_bounded() {
    let served = serve_small(&["--connections", "256", "--head-timeout", "500ms", "--idle-timeout", "500ms"]);
    let address = served.server.address();
    let mut flood = Vec::new();
    for index in 0..FLOOD {
        // Past the backlog the kernel drops what comes; that is a bound, too.
        let Ok(mut client) = quick_connect(address) else { break };
        // Some say nothing, some half a head, some a whole request.
        let words: &[u8] =
            [&b""[..], b"POST /invocations HT", b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"][index % 3];
        if client.send(words).is_ok() {
            flood.push(client);
        }
    }
    assert!(flood.len() > 256, "{} connections", flood.len());
    // With the flood still there, the silent are timed out and an honest client gets its turn.
    let answer = served.server.call(&Request::invoke("text/csv", ROW));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let memory = served.server.memory_bytes();
    assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes");
    drop(flood);
    assert_serves(&served);
}

/// Connects, or finds soon that the kernel's queue is full.
fn quick_connect(address: std::net::SocketAddr) -> std::io::Result<Client> {
    std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200)).map(Client::over)
}
