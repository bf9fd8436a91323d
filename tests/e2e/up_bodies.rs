//! Bodies through `clary up`: large ones that stream, early answers to unread ones, leave to send, and slow clients.

use std::io::Read;
use std::net::TcpStream;

use harness::http::ANSWER_TIMEOUT;
use harness::platform::put;
use harness::{Request, Up};

/// Larger than any buffer on the way.
const LARGE_BYTES: usize = 48 << 20;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn a_large_object_streams_in_and_out_without_filling_memory() {
    let server = Up::new().start();
    put(&server, "/large", b"");
    let object = pattern(LARGE_BYTES);
    let before = server.memory_bytes();
    put(&server, "/large/object", &object);
    let answer = server.call(&Request::get("/large/object"));
    assert_eq!(answer.header("content-length"), Some(LARGE_BYTES.to_string().as_str()));
    assert!(answer.body == object, "the same bytes");
    let grown = server.memory_bytes().saturating_sub(before);
    assert!(grown < LARGE_BYTES as u64 / 2, "the server grew by {grown} bytes");
    let part = server.call(&Request::get("/large/object").header("Range", "bytes=1000-1009"));
    assert_eq!((part.status, &*part.body), (206, &object[1000..1010]));
}

#[test]
fn leave_to_send_a_body_is_given_at_once() {
    let server = Up::new().start();
    put(&server, "/bbb", b"");
    let mut client = server.connect();
    let head = "PUT /bbb/k HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.send(head.as_bytes()).unwrap();
    let mut first = [0; 25];
    let mut socket = client.socket().try_clone().unwrap();
    socket.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(b"12345").unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    assert_eq!(server.call(&Request::get("/bbb/k")).text(), "12345");
}

#[test]
fn an_early_error_is_heard_instead_of_leave_to_send() {
    let server = Up::new().start();
    let mut client = server.connect();
    let head = "POST /endpoints/none/invocations HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
                Content-Length: 5000000\r\n\r\n";
    client.send(head.as_bytes()).unwrap();
    let answer = client.answer().expect("an answer");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("not found"), "{}", answer.text());
}

#[test]
fn an_early_error_is_heard_by_a_client_that_sends_on() {
    let server = Up::new().start();
    let body = pattern(4 << 20);
    for path in ["/endpoints/none/invocations", "/none/key"] {
        let mut client = server.connect();
        let method = if path.starts_with("/endpoints") { "POST" } else { "PUT" };
        let answer = client.call(&Request::new(method, path).body(body.clone()));
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.text());
        // The connection is good for the next request.
        assert_eq!(client.call(&Request::get("/ping")).status, 200, "{path}");
    }
}

#[test]
fn chunks_with_a_trailer_are_unpacked() {
    let server = Up::new().start();
    put(&server, "/ccc", b"");
    // CRC-32 of "123456789" is cbf43926.
    let chunks = "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    let request = |chunks: &str| {
        Request::new("PUT", "/ccc/k")
            .header("Content-Encoding", "aws-chunked")
            .header("X-Amz-Content-SHA256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("X-Amz-Decoded-Content-Length", "9")
            .header("X-Amz-Trailer", "x-amz-checksum-crc32")
            .body(chunks)
    };
    let answer = server.call(&request(chunks));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.call(&Request::get("/ccc/k")).text(), "123456789");
    let damaged = server.call(&request(&chunks.replace("y/Q5", "z/Q5")));
    assert_eq!(damaged.status, 400, "{}", damaged.text());
    let broken = server.call(&request(&chunks.replace("9\r\n1", "x\r\n1")));
    assert!((400..500).contains(&broken.status), "{}", broken.text());
    assert_eq!(server.call(&Request::get("/ccc/k")).text(), "123456789", "what was there stays");
}

#[test]
fn an_upload_that_stalls_is_ended() {
    let server = Up::new().args(&["--body-timeout", "300ms"]).start();
    put(&server, "/sss", b"");
    let mut client = server.connect();
    client.send(b"PUT /sss/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345").unwrap();
    let text = String::from_utf8_lossy(&client.until_closed()).into_owned();
    assert!(!text.starts_with("HTTP/1.1 2"), "{text}");
    assert_eq!(server.call(&Request::get("/sss/k")).status, 404);
}

#[test]
fn a_download_that_moves_is_not_cut_and_one_that_stalls_is() {
    let mut server = Up::new().args(&["--idle-timeout", "1s"]).start();
    put(&server, "/ddd", b"");
    put(&server, "/ddd/k", &pattern(LARGE_BYTES));
    let request = Request::get("/ddd/k").to_bytes();
    let (mut moving, mut stalled) = (server.connect(), server.connect());
    moving.send(&request).unwrap();
    stalled.send(&request).unwrap();
    let mut moving = moving.socket().try_clone().unwrap();
    // One takes a little at each look (the system tells the server of a client's progress by the MiB), the other
    // nothing: until only the one, and whoever asks, are connected.
    let mut taken = 0;
    server.wait_for("the stalled download to be cut", |server| {
        taken += read_up_to(&mut moving, 64 << 10);
        let metrics = server.call(&Request::get("/metrics")).text();
        metrics.lines().any(|line| line == "clary_connections 2")
    });
    assert!(taken < LARGE_BYTES, "it was cut while the other was still served");
    taken += read_up_to(&mut moving, LARGE_BYTES);
    assert!(taken > LARGE_BYTES, "the other came to its end");
    let mut rest = Vec::new();
    // What the kernels held comes, and then the end or a reset.
    let _ = stalled.socket().try_clone().unwrap().read_to_end(&mut rest);
    assert!(rest.len() < LARGE_BYTES, "{} bytes came", rest.len());
}

/// Reads `count` bytes, or what there is before the end.
fn read_up_to(socket: &mut TcpStream, count: usize) -> usize {
    socket.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    let mut taken = 0;
    let mut piece = vec![0; count.min(64 << 10)];
    while taken < count {
        match socket.read(&mut piece).unwrap() {
            0 => break,
            read => taken += read,
        }
    }
    taken
}
