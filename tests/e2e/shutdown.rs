//! SIGTERM: what is in flight finishes, nothing new begins, the exit code is 0.

use std::sync::atomic::{AtomicU64, Ordering};

use harness::{Client, Oracle, Request, artifacts};

use crate::{Forest, ROW, serve_small};

/// Requests whose body is half sent when the signal comes.
const IN_FLIGHT: usize = 16;

/// Clients that keep asking while it comes.
const CLIENTS: usize = 4;

#[test]
fn requests_in_flight_finish_and_the_exit_code_is_0() {
    let mut served = serve_small(&[]);
    let address = served.server.address();
    let expected =
        Oracle::of_bytes(&artifacts::xgboost(Forest::SMALL)).answer("text/csv", ROW.as_bytes(), "text/csv");
    let request = Request::invoke("text/csv", ROW);
    let bytes = request.to_bytes();
    let (first, second) = bytes.split_at(bytes.len() - 5);
    let mut halves: Vec<Client> = (0..IN_FLIGHT).map(|_| Client::connect(address)).collect();
    for client in &mut halves {
        // An answer first: the connection is surely served, and the half that follows is read by it.
        assert_eq!(client.call(&request).status, 200);
        client.send(first).unwrap();
    }
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Ok(mut client) = Client::try_connect(address) {
                    while client.send(&bytes).is_ok() {
                        // None: closed between two requests, before this one was taken up.
                        let Some(answer) = client.answer() else { break };
                        if answer.status == 503 {
                            break;
                        }
                        assert_eq!((answer.status, &answer.body), (200, &expected), "{}", answer.text());
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        served.server.wait_for("load", |_| answered.load(Ordering::Relaxed) > 200);
        served.server.terminate();
        // New connections are refused: the drain has begun, and the clients above end.
        served.server.wait_for("the drain", |server| Client::try_connect(server.address()).is_err());
        for client in &mut halves {
            client.send(second).unwrap();
        }
        for mut client in halves {
            let answer = client.answer().expect("a request in flight is answered");
            assert_eq!((answer.status, &answer.body), (200, &expected), "{}", answer.text());
            client.until_closed();
        }
    });
    let status = served.server.wait();
    assert_eq!(status.code(), Some(0), "{}", served.server.log());
}

#[test]
fn an_idle_server_ends_at_once() {
    let mut served = serve_small(&[]);
    let mut idle = served.server.connect();
    assert_eq!(idle.call(&Request::get("/ping")).status, 200);
    served.server.terminate();
    idle.until_closed();
    assert_eq!(served.server.wait().code(), Some(0), "{}", served.server.log());
}

#[test]
fn a_request_that_never_ends_does_not_hold_the_server() {
    let mut served = serve_small(&["--drain-timeout", "300ms"]);
    let mut stuck = served.server.connect();
    stuck.send(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 100\r\n\r\n1").unwrap();
    served.server.terminate();
    assert_eq!(served.server.wait().code(), Some(0), "{}", served.server.log());
    stuck.until_closed();
}

#[test]
fn an_unknown_word_exits_64() {
    let output =
        std::process::Command::new(harness::programs::program("clary")).arg("tarin").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
}
