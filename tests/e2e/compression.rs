//! Content encodings: each unpacks to the same answer, and none unpacks past the cap.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use harness::{Answer, Request};

use crate::{ROW, Served, serve_small};

fn invoke(served: &Served, encoding: &str, body: Vec<u8>) -> Answer {
    served.server.call(&Request::invoke("text/csv", body).header("Content-Encoding", encoding))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    harness::hostile::gzip(bytes)
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One stored meta-block of Brotli (RFC 7932, 9.2), and the empty last one.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let header = ((bytes.len() as u32 - 1) << 4) | (1 << 20);
    [&header.to_le_bytes()[..3], bytes, &[3]].concat()
}

/// One raw block of Zstandard (RFC 8878, 3.1.1) in a single-segment frame.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    let block = (u32::from(length) << 3 | 1).to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, length], &block[..3], bytes].concat()
}

#[test]
fn every_encoding_gives_the_same_answer() {
    let served = serve_small(&[]);
    let plain = served.server.call(&Request::invoke("text/csv", ROW));
    assert_eq!(plain.status, 200);
    let row = ROW.as_bytes();
    for (encoding, body) in [
        ("gzip", gzip(row)),
        ("x-gzip", gzip(row)),
        ("GZIP", gzip(row)),
        ("deflate", zlib(row)),
        ("br", brotli(row)),
        ("zstd", zstd(row)),
        ("identity", row.to_vec()),
    ] {
        let answer = invoke(&served, encoding, body);
        assert_eq!((answer.status, &answer.body), (200, &plain.body), "{encoding}: {}", answer.text());
    }
}

#[test]
fn a_bomb_is_too_large() {
    let served = serve_small(&["--body-limit", "1MiB"]);
    let before = served.server.memory_bytes();
    for (encoding, body) in [("gzip", gzip(&vec![b'0'; 64 << 20])), ("deflate", zlib(&vec![b'0'; 2 << 20]))] {
        assert!(body.len() < 1 << 20, "the bomb itself is under the limit");
        let answer = invoke(&served, encoding, body);
        assert_eq!(answer.status, 413, "{encoding}: {}", answer.text());
    }
    assert!(served.server.memory_bytes() < before + (32 << 20), "{} bytes", served.server.memory_bytes());
}

#[test]
fn damaged_bodies_are_bad_requests() {
    let served = serve_small(&[]);
    let whole = gzip(ROW.as_bytes());
    let mut flipped = whole.clone();
    let at = flipped.len() - 6;
    flipped[at] ^= 1;
    for (what, body) in [
        ("cut", whole[..whole.len() - 4].to_vec()),
        ("checksum", flipped),
        ("not gzip", ROW.as_bytes().to_vec()),
        ("trailing bytes", [whole.as_slice(), b"more"].concat()),
    ] {
        let answer = invoke(&served, "gzip", body);
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    }
    assert_eq!(invoke(&served, "zstd", zstd(ROW.as_bytes())[..12].to_vec()).status, 400);
    assert_eq!(invoke(&served, "br", brotli(ROW.as_bytes())[..9].to_vec()).status, 400);
}

#[test]
fn an_unknown_encoding_is_named() {
    let served = serve_small(&[]);
    let answer = invoke(&served, "compress", ROW.into());
    assert_eq!(answer.status, 415);
    assert!(answer.text().contains("compress"), "{}", answer.text());
}
