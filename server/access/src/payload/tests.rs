//! Bodies in chunks, against a writer of chunks.

use super::*;
use crate::digest::{EMPTY_SHA256, hex, hmac, hmac_key, sha256};

const SCOPE: &str = "20261124T095046Z\n20261124/r/s3/aws4_request\n";
const SEED: Digest = [7; 32];

fn signer() -> ChunkSigner {
    ChunkSigner::new(hmac_key(b"key"), SCOPE.into(), SEED)
}

/// Writes chunks as clients do.
fn write(chunks: &[&str], is_signed: bool, trailers: &[(&str, &str)]) -> String {
    let mut before = SEED;
    let mut sign = |algorithm: &str, lines: String| {
        let text = format!("{algorithm}\n{SCOPE}{}\n{lines}", hex(&before));
        before = hmac(&hmac_key(b"key"), text.as_bytes());
        hex(&before)
    };
    let mut out = String::new();
    for chunk in chunks.iter().copied().chain([""]) {
        out += &format!("{:x}", chunk.len());
        if is_signed {
            let lines = format!("{EMPTY_SHA256}\n{}", hex(&sha256(chunk.as_bytes())));
            out += &format!(";chunk-signature={}", sign("AWS4-HMAC-SHA256-PAYLOAD", lines));
        }
        out += "\r\n";
        if !chunk.is_empty() {
            out += &format!("{chunk}\r\n");
        }
    }
    let text: String = trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    out += &text.replace('\n', "\r\n");
    if is_signed && !trailers.is_empty() {
        let signature = sign("AWS4-HMAC-SHA256-TRAILER", hex(&sha256(text.as_bytes())));
        out += &format!("x-amz-trailer-signature:{signature}\r\n");
    }
    out + "\r\n"
}

/// Reads `body` in pieces: its plain bytes and trailers.
fn read(
    body: &[u8],
    piece: usize,
    declared: (bool, bool),
    signer: Option<ChunkSigner>,
    bytes: &str,
) -> Result<(String, usize), Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-trailer", "x-amz-checksum-crc32".parse().unwrap());
    headers.insert("x-amz-decoded-content-length", bytes.parse().unwrap());
    let declared = Declared::Chunked { is_signed: declared.0, has_trailer: declared.1 };
    let mut reader = PayloadReader::new(declared, signer, &headers)?;
    assert!(reader.is_chunked());
    let mut out = Vec::new();
    for piece in body.chunks(piece) {
        reader.feed(Bytes::copy_from_slice(piece), &mut out)?;
    }
    let trailers = reader.finish()?.len();
    Ok((String::from_utf8(out.concat()).unwrap(), trailers))
}

const CHECKSUM: &[(&str, &str)] = &[("x-amz-checksum-crc32", "AAAAAA==")];

#[test]
fn chunks_are_unpacked_however_they_are_cut() {
    for (is_signed, has_trailer) in [(true, false), (true, true), (false, true)] {
        let trailers = if has_trailer { CHECKSUM } else { &[] };
        for (chunks, bytes) in [(&["hello ", "world"][..], "11"), (&[], "0"), (&["x"], "1")] {
            let body = write(chunks, is_signed, trailers);
            for piece in [1, 2, 7, 1000] {
                // With the key, and without one as an open server reads it.
                for signer in [Some(signer()), None] {
                    let found = read(body.as_bytes(), piece, (is_signed, has_trailer), signer, bytes);
                    assert_eq!(found, Ok((chunks.concat(), trailers.len())), "{body:?} by {piece}");
                }
            }
        }
    }
}

#[test]
fn any_changed_byte_of_a_signed_body_is_refused() {
    for has_trailer in [false, true] {
        let body = write(&["hello ", "world"], true, if has_trailer { CHECKSUM } else { &[] }).into_bytes();
        for place in 0..body.len() {
            for change in [1, 0x20, 0x80] {
                let mut changed = body.clone();
                changed[place] ^= change;
                let result = read(&changed, 1000, (true, has_trailer), Some(signer()), "11");
                // The case of a size's digits and of a trailer's name is not signed and says nothing.
                let is_same_letter =
                    change == 0x20 && result == read(&body, 1000, (true, has_trailer), Some(signer()), "11");
                assert!(result.is_err() || is_same_letter, "{place} ^ {change}: {result:?}");
                assert!(!is_same_letter || has_trailer, "only names of trailers have letters");
            }
            let cut = read(&body[..place], 1000, (true, has_trailer), Some(signer()), "11");
            assert!(cut.is_err(), "cut at {place}");
        }
        let longer = [&body[..], b"x"].concat();
        assert!(read(&longer, 1000, (true, has_trailer), Some(signer()), "11").is_err());
    }
}

fn refused(body: &str, declared: (bool, bool), bytes: &str, words: &str) {
    let refusal = read(body.as_bytes(), 3, declared, None, bytes).expect_err(body).to_string();
    assert!(refusal.contains(words), "{body:?}: {refusal}");
}

#[test]
fn framing_that_is_not_as_declared_is_refused() {
    let unsigned = (false, true);
    refused("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:a\r\n\r\n", unsigned, "4", "4 bytes in all");
    refused("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:a\r\n\r\n", unsigned, "6", "6 bytes in all");
    refused("5\r\nhello\r\n0\r\n\r\n", unsigned, "5", "fewer");
    refused("5\r\nhello\r\n0\r\nx-other:a\r\n\r\n", unsigned, "5", "announces them, found others");
    let twice = "x-amz-checksum-crc32:a\r\nx-amz-checksum-crc32:a\r\n";
    refused(&format!("0\r\n{twice}\r\n"), unsigned, "0", "found others");
    refused("5\nhello", unsigned, "5", "CR LF");
    refused("+5\r\nhello", unsigned, "5", "the size of a chunk");
    refused("\r\n", unsigned, "5", "the size of a chunk");
    refused("ffffffffffffffff\r\n", unsigned, "5", "at most 5 GiB");
    refused("00000000000000005\r\n", unsigned, "5", "the size of a chunk");
    refused("5\r\nhello!\r\n", unsigned, "5", "more bytes than its size");
    refused(&format!("5;chunk-signature={}\r\n", "0".repeat(64)), unsigned, "5", "without signature");
    refused("5\r\nhello\r\n", (true, false), "5", "chunk-signature=");
    refused(&"0".repeat(300), unsigned, "5", "at most 256 bytes");
    let many = format!("0\r\n{}", "x-amz-checksum-crc32:a\r\n".repeat(3));
    refused(&many, unsigned, "0", "found others");
    let unsigned_trailer = format!("0;chunk-signature={}\r\nx-amz-checksum-crc32:a\r\n\r\n", "0".repeat(64));
    refused(&unsigned_trailer, (true, true), "0", "a signature of the trailers");
    for bytes in ["", "-1", "1.5", "99999999999999999999"] {
        refused("", unsigned, bytes, "x-amz-decoded-content-length");
    }
}

#[test]
fn a_declared_hash_is_checked_at_the_end() {
    let read = |declared| {
        let mut reader = PayloadReader::new(declared, None, &HeaderMap::new()).unwrap();
        let mut out = Vec::new();
        for piece in ["hel", "lo"] {
            reader.feed(Bytes::from(piece), &mut out).unwrap();
        }
        assert_eq!(out.concat(), b"hello");
        reader.finish()
    };
    assert_eq!(read(Declared::Hash(sha256(b"hello"))), Ok(Vec::new()));
    assert_eq!(read(Declared::Unsigned), Ok(Vec::new()));
    assert_eq!(read(Declared::Hash(sha256(b"hellO"))), Err(wrong_hash(&sha256(b"hello"))));
}

#[test]
fn the_header_is_one_of_the_forms() {
    let of = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_SHA256, value.parse().unwrap());
        }
        Declared::of(&headers)
    };
    assert_eq!(of(&[]), Ok(None));
    assert_eq!(of(&[EMPTY_SHA256]), Ok(Some(Declared::Hash(sha256(b"")))));
    assert_eq!(of(&["UNSIGNED-PAYLOAD"]), Ok(Some(Declared::Unsigned)));
    let chunked = |is_signed, has_trailer| Ok(Some(Declared::Chunked { is_signed, has_trailer }));
    assert_eq!(of(&["STREAMING-AWS4-HMAC-SHA256-PAYLOAD"]), chunked(true, false));
    assert_eq!(of(&["STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"]), chunked(true, true));
    assert_eq!(of(&["STREAMING-UNSIGNED-PAYLOAD-TRAILER"]), chunked(false, true));
    for wrong in [&["e3b0"][..], &["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"], &[EMPTY_SHA256, EMPTY_SHA256]]
    {
        assert!(of(wrong).is_err(), "{wrong:?}");
    }
}
