//! Every encoding unpacks whole streams only, and never past its cap.

use std::io::Write;

use codecs::content_encoding::{ContentEncoding, ContentEncodingError};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

const LIMIT_BYTES: usize = 1 << 20;
const TEXT: &[u8] = b"1.0,2.0,3.0\n";

/// Forty times [`TEXT`], by the reference implementation of Brotli.
const BROTLI: &str = "1bdf01f8053c64fd299b4122900263b1407534df11";

/// 64 MiB of zeros, by the reference implementation of Brotli.
const BROTLI_BOMB: &str = "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc1\
                           3f0110870500baf77ffcffff837f02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c\
                           00d0bdffe3ffff1ffc1300715800a07bff37";

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit") as u8;
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Packs bytes into one stream.
type Packer = fn(&[u8]) -> Vec<u8>;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

fn unpack(encoding: ContentEncoding, body: &[u8]) -> Result<Vec<u8>, ContentEncodingError> {
    let mut out = b"of the request before".to_vec();
    encoding.decode(body, LIMIT_BYTES, &mut out)?;
    Ok(out)
}

fn check(encoding: ContentEncoding, body: &[u8], expected: &[u8]) {
    assert_eq!(unpack(encoding, body).as_deref(), Ok(expected), "{encoding:?}");
}

fn check_error(encoding: ContentEncoding, body: &[u8], expected: &str) {
    assert_eq!(unpack(encoding, body).expect_err(expected).to_string(), expected);
}

/// One stream of each encoding that unpacks to forty times [`TEXT`].
fn streams() -> [(ContentEncoding, Vec<u8>); 4] {
    let text = TEXT.repeat(40);
    [
        (ContentEncoding::Gzip, gzip(&text)),
        (ContentEncoding::Deflate, zlib(&text)),
        (ContentEncoding::Brotli, unhex(BROTLI)),
        (ContentEncoding::Zstd, zstd(&text)),
    ]
}

#[test]
fn headers() {
    let check =
        |header: &str, expected| assert_eq!(ContentEncoding::parse(header), Ok(expected), "{header:?}");
    check("gzip", Some(ContentEncoding::Gzip));
    check(" X-GZip ", Some(ContentEncoding::Gzip));
    check("deflate", Some(ContentEncoding::Deflate));
    check("BR", Some(ContentEncoding::Brotli));
    check("zstd", Some(ContentEncoding::Zstd));
    check("identity", None);
    check("", None);
    for header in ["compress", "gzip, br", "gzip,", "identity, gzip", "gzip;q=1"] {
        let error = ContentEncoding::parse(header).expect_err(header).to_string();
        let served = "served: one of gzip, deflate, br, zstd, identity";
        assert_eq!(error, format!("unsupported content encoding {header:?}; {served}"));
    }
}

#[test]
fn whole_streams() {
    for (encoding, stream) in streams() {
        check(encoding, &stream, &TEXT.repeat(40));
    }
    check(ContentEncoding::Gzip, &gzip(b""), b"");
    check(ContentEncoding::Deflate, &zlib(b""), b"");
    check(ContentEncoding::Brotli, b"\x3b", b"");
    check(ContentEncoding::Zstd, &zstd(b""), b"");
}

#[test]
fn several_members_are_one_body() {
    check(ContentEncoding::Gzip, &[gzip(b"1,2\n"), gzip(b""), gzip(b"3,4\n")].concat(), b"1,2\n3,4\n");
    check(ContentEncoding::Zstd, &[zstd(b"1,2\n"), zstd(b""), zstd(b"3,4\n")].concat(), b"1,2\n3,4\n");
    check(ContentEncoding::Gzip, &gzip(TEXT).repeat(1024), &TEXT.repeat(1024));
    check_error(
        ContentEncoding::Gzip,
        &gzip(b"").repeat(1025),
        "gzip body: more than 1024 streams in one body",
    );
    check_error(
        ContentEncoding::Zstd,
        &zstd(b"").repeat(1025),
        "zstd body: more than 1024 streams in one body",
    );
}

#[test]
fn the_cap_is_exact() {
    let (whole, more) = (vec![b'7'; LIMIT_BYTES], vec![b'7'; LIMIT_BYTES + 1]);
    let too_large = Err(ContentEncodingError::TooLarge { limit_bytes: LIMIT_BYTES });
    let packers = [
        (ContentEncoding::Gzip, gzip as Packer),
        (ContentEncoding::Deflate, zlib),
        (ContentEncoding::Zstd, zstd),
    ];
    for (encoding, pack) in packers {
        check(encoding, &pack(&whole), &whole);
        assert_eq!(unpack(encoding, &pack(&more)), too_large, "{encoding:?}");
    }
    assert_eq!(unpack(ContentEncoding::Gzip, &[gzip(&whole), gzip(b"7")].concat()), too_large);
    assert_eq!(unpack(ContentEncoding::Zstd, &[zstd(&whole), zstd(b"7")].concat()), too_large);
    let mut out = Vec::new();
    ContentEncoding::Brotli.decode(&unhex(BROTLI), 480, &mut out).expect("as large as the cap");
    let error = ContentEncoding::Brotli.decode(&unhex(BROTLI), 479, &mut out);
    assert_eq!(error, Err(ContentEncodingError::TooLarge { limit_bytes: 479 }));
    assert_eq!(ContentEncoding::Gzip.decode(&gzip(b""), 0, &mut out), Ok(()));
}

#[test]
fn a_bomb_stops_at_the_cap_without_the_memory() {
    let zeros = vec![0; 64 << 20];
    let bombs = [
        (ContentEncoding::Gzip, gzip(&zeros)),
        (ContentEncoding::Deflate, zlib(&zeros)),
        (ContentEncoding::Brotli, unhex(BROTLI_BOMB)),
        (ContentEncoding::Zstd, zstd(&zeros)),
    ];
    for (encoding, bomb) in bombs {
        let mut out = Vec::new();
        let error = encoding.decode(&bomb, LIMIT_BYTES, &mut out);
        assert_eq!(error, Err(ContentEncodingError::TooLarge { limit_bytes: LIMIT_BYTES }), "{encoding:?}");
        assert!(out.capacity() <= 3 * LIMIT_BYTES, "{encoding:?}: {}", out.capacity());
    }
}

#[test]
fn a_stream_cut_anywhere_is_refused() {
    for (encoding, stream) in streams() {
        for length in 0..stream.len() {
            let error = unpack(encoding, &stream[..length]).expect_err("cut");
            assert!(
                matches!(error, ContentEncodingError::Damaged { .. }),
                "{encoding:?} at {length}: {error}"
            );
        }
    }
}

#[test]
fn golden_errors() {
    for (encoding, name) in [
        (ContentEncoding::Gzip, "gzip"),
        (ContentEncoding::Deflate, "deflate"),
        (ContentEncoding::Brotli, "br"),
        (ContentEncoding::Zstd, "zstd"),
    ] {
        check_error(encoding, b"", &format!("{name} body: the stream ends early"));
        let (_, stream) = streams().into_iter().find(|(other, _)| *other == encoding).expect("one of each");
        let goes_on = [&stream[..], b"\0\0\0"].concat();
        let expected =
            format!("{name} body: expected the end of the body behind the stream, found 3 more bytes");
        check_error(encoding, &goes_on, &expected);
    }
    check_error(ContentEncoding::Brotli, b"1,2,3\n", "br body: the stream is damaged");
    for (encoding, body) in
        [(ContentEncoding::Gzip, &TEXT), (ContentEncoding::Deflate, &TEXT), (ContentEncoding::Zstd, &TEXT)]
    {
        assert!(matches!(unpack(encoding, body), Err(ContentEncodingError::Damaged { .. })), "{encoding:?}");
    }
}

#[test]
fn deflate_without_its_zlib_header_is_refused() {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(TEXT).expect("memory");
    let raw = encoder.finish().expect("memory");
    assert!(matches!(unpack(ContentEncoding::Deflate, &raw), Err(ContentEncodingError::Damaged { .. })));
}

#[test]
fn a_wrong_checksum_is_refused() {
    for (encoding, stream, from_end) in [
        (ContentEncoding::Gzip, gzip(TEXT), 8),
        (ContentEncoding::Gzip, gzip(TEXT), 1),
        (ContentEncoding::Deflate, zlib(TEXT), 1),
        (ContentEncoding::Zstd, zstd(TEXT), 1),
    ] {
        let mut damaged = stream.clone();
        let at = damaged.len() - from_end;
        damaged[at] ^= 1;
        assert!(
            matches!(unpack(encoding, &damaged), Err(ContentEncodingError::Damaged { .. })),
            "{encoding:?}"
        );
    }
}

#[test]
fn a_zstd_window_beyond_the_rfc_is_refused() {
    // Magic number, no content size, a window descriptor of 16 MiB, one empty raw block.
    let error = unpack(ContentEncoding::Zstd, b"\x28\xb5\x2f\xfd\x00\x70\x01\x00\x00").expect_err("16 MiB");
    assert!(error.to_string().contains("16777216"), "{error}");
    check(ContentEncoding::Zstd, b"\x28\xb5\x2f\xfd\x00\x68\x01\x00\x00", b"");
}

proptest! {
    #[test]
    fn what_is_packed_unpacks(bytes in prop::collection::vec(any::<u8>(), 0..3000), repeats in 1_usize..100) {
        let bytes = bytes.repeat(repeats);
        for (encoding, packed) in [(ContentEncoding::Gzip, gzip(&bytes)), (ContentEncoding::Deflate, zlib(&bytes)), (ContentEncoding::Zstd, zstd(&bytes))] {
            prop_assert_eq!(unpack(encoding, &packed), Ok(bytes.clone()));
        }
    }

    #[test]
    fn damage_is_refused_or_harmless_but_never_a_panic(which in 0_usize..4, at in any::<prop::sample::Index>(), to in any::<u8>(), insert in any::<bool>()) {
        let (encoding, mut stream) = streams()[which].clone();
        let at = at.index(stream.len());
        if insert { stream.insert(at, to) } else { stream[at] = to }
        if let Ok(out) = unpack(encoding, &stream) {
            prop_assert!(out.len() <= LIMIT_BYTES);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(which in 0_usize..4, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let (encoding, stream) = &streams()[which];
        let _ = unpack(*encoding, &bytes);
        // Behind a header that is right.
        let _ = unpack(*encoding, &[&stream[..6], &bytes].concat());
    }
}
