//! gzip as it comes: any cut, any number of members, and damage named by its byte.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::{FaultyStore, collect, open, options, shared};
use crate::read::Gunzip;
use crate::settings::Compression;

/// One member.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn unpack<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, String> {
    let (mut gunzip, mut unpacked) = (Gunzip::default(), Vec::new());
    for chunk in chunks {
        gunzip.feed(Bytes::copy_from_slice(chunk));
        while let Some(piece) = gunzip.next_piece().map_err(|error| error.to_string())? {
            assert!(!piece.is_empty() && piece.len() <= 256 << 10);
            unpacked.extend_from_slice(&piece);
        }
    }
    gunzip.finish().map_err(|error| error.to_string())?;
    Ok(unpacked)
}

fn check_error(packed: &[u8], expected: &str) {
    for chunk_bytes in [1, 7, packed.len()] {
        let error = unpack(packed.chunks(chunk_bytes)).expect_err("the bytes are damaged");
        assert_eq!(error, expected, "in chunks of {chunk_bytes}");
    }
}

#[test]
fn damage_is_named_by_its_byte() {
    let packed = pack(b"1,2,3\n");
    let end = packed.len();
    check_error(
        b"1,2,3\n",
        "byte 0 of the packed bytes: expected a gzip member, which starts with 1f 8b, found 31",
    );
    for cut in 1..end {
        let expected =
            format!("byte {cut} of the packed bytes: expected the rest of a gzip member, found the end");
        check_error(&packed[..cut], &expected);
    }
    let garbage = [&packed[..], b"\0\0"].concat();
    let expected = format!(
        "byte {end} of the packed bytes: expected another gzip member, which starts with 1f 8b, or the end, found 00"
    );
    check_error(&garbage, &expected);
}

#[test]
fn checksums_and_lengths_are_held_to() {
    let packed = pack(b"1,2,3\n");
    for at in packed.len() - 8..packed.len() {
        let mut damaged = packed.clone();
        damaged[at] ^= 1;
        let error = unpack([&damaged[..]]).expect_err("the trailer is wrong");
        assert!(error.contains("expected a sound gzip member"), "{error}");
    }
}

#[test]
fn a_bomb_comes_in_pieces() {
    let packed = pack(&vec![0; 20 << 20]);
    assert!(packed.len() < 1 << 20);
    assert_eq!(unpack([&packed[..]]).unwrap().len(), 20 << 20);
}

#[test]
fn no_bytes_are_an_empty_stream_and_empty_members_add_nothing() {
    assert_eq!(unpack([]), Ok(vec![]));
    assert_eq!(unpack([&[pack(b""), pack(b"1"), pack(b"")].concat()[..]]), Ok(b"1".to_vec()));
}

#[tokio::test]
async fn a_packed_object_is_read_from_any_unpacked_byte() {
    let store = Arc::new(FaultyStore::default());
    let lines: Vec<u8> = (0..200).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let object = store.write(&[pack(&lines[..300]), pack(&lines[300..])].concat()).await;
    for from in (0..=lines.len()).step_by(7).chain([lines.len(), lines.len() + 1]) {
        let read = collect(open(&shared(&store), &object, Compression::Gzip, from as u64, &options())).await;
        assert_eq!(read.unwrap(), lines.get(from..).unwrap_or_default());
    }
    let object = store.write(&pack(&lines)[..100]).await;
    let error = collect(open(&shared(&store), &object, Compression::Gzip, 0, &options())).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "in/a.csv, byte 100 of the packed bytes: expected the rest of a gzip member, found the end"
    );
}

proptest! {
    #[test]
    fn any_cut_and_any_members_unpack_to_the_same(
        members in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..5),
        chunk_bytes in 1_usize..3000,
    ) {
        let packed: Vec<u8> = members.iter().flat_map(|member| pack(member)).collect();
        prop_assert_eq!(unpack(packed.chunks(chunk_bytes)), Ok(members.concat()));
    }

    #[test]
    fn foreign_bytes_are_refused_or_unpacked(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
        let _ = unpack([&bytes[..]]);
        let mut packed = pack(&bytes);
        let at = at % packed.len();
        packed[at] ^= 0x55;
        let whole = unpack([&packed[..]]);
        let cut = unpack(packed.chunks(5));
        prop_assert_eq!(whole.is_ok(), cut.is_ok());
    }
}
