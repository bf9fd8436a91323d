//! What verifying an invocation costs, beside what it is made of. `cargo bench -p access --bench verify`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use access::digest::sha256;
use access::{Access, Credentials};
use common::{NOW, Request, access};
use divan::Bencher;

fn main() {
    divan::main();
}

/// Requests that are all new: the replay window takes each.
const REQUESTS: usize = 20_000;

fn requests() -> Vec<(Request, http::HeaderMap)> {
    let request = |attempt: usize| {
        let mut request = Request::invocation();
        *request.header("amz-sdk-request") = format!("attempt={attempt}");
        let request = request.signed();
        let headers = request.header_map();
        (request, headers)
    };
    (0..REQUESTS).map(request).collect()
}

/// Head, body's hash, signature, replay window.
#[divan::bench(sample_count = 50, sample_size = 400)]
fn invocation(bencher: Bencher<'_, '_>) {
    let (requests, access) = (requests(), access());
    let next = AtomicUsize::new(0);
    bencher.bench_local(|| {
        let (request, headers) = &requests[next.fetch_add(1, Ordering::Relaxed) % REQUESTS];
        let pending = access.begin(&request.head(headers), NOW).expect("it is signed");
        pending.finish("sagemaker", &sha256(&request.body))
    });
}

/// The head alone.
#[divan::bench]
fn begin(bencher: Bencher<'_, '_>) {
    let request = Request::invocation().signed();
    let (headers, access) = (request.header_map(), access());
    bencher.bench(|| access.begin(black_box(&request.head(&headers)), NOW).is_ok());
}

/// A server that asks for nothing.
#[divan::bench]
fn open(bencher: Bencher<'_, '_>) {
    let request = Request::invocation().signed();
    let (headers, access) = (request.header_map(), Access::open());
    bencher.bench(|| access.begin(black_box(&request.head(&headers)), NOW).is_ok());
}

/// A bearer token.
#[divan::bench]
fn bearer(bencher: Bencher<'_, '_>) {
    let hash = access::digest::hex(&sha256(b"a token of the usual length 0123456789"));
    let file =
        format!(r#"{{"bearer_tokens":[{{"name":"a","sha256":"{hash}","allow":{{"actions":["*"]}}}}]}}"#);
    let access = Access::closed(Credentials::parse(file.as_bytes(), None).expect("a file"));
    let mut request = Request::invocation();
    request.headers.push(("authorization".into(), "Bearer a token of the usual length 0123456789".into()));
    let headers = request.header_map();
    bencher.bench(|| access.begin(black_box(&request.head(&headers)), NOW).is_ok());
}

/// SHA-256 of a kilobyte, and of one block: the floor.
#[divan::bench(args = [12, 1024])]
fn hash(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = vec![1; bytes];
    bencher.bench(|| sha256(black_box(&body)));
}

/// An HMAC of a text to sign: the floor.
#[divan::bench]
fn hmac(bencher: Bencher<'_, '_>) {
    let key = access::digest::hmac_key(&[1; 32]);
    bencher.bench(|| access::digest::hmac(&key, black_box(&[2; 140])));
}
