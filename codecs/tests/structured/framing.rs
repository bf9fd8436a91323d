//! The laws of record framing: any chunking gives the same records, which concatenated are the input; what is joined
//! is split again; damage and truncation are named, and nothing is allocated from a length alone.

use codecs::framing::{FramingError, SplitType, Splitter};
use proptest::prelude::*;

const ALL: [SplitType; 4] = [SplitType::None, SplitType::Line, SplitType::RecordIo, SplitType::TfRecord];

/// The records of `chunks` with their offsets.
fn split<'a>(
    splitter: &mut Splitter,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<(u64, Vec<u8>)>, FramingError> {
    let mut records = Vec::new();
    for chunk in chunks {
        splitter.feed(chunk);
        while let Some(record) = splitter.next_record()? {
            records.push((record.offset, record.bytes.to_vec()));
        }
    }
    records.extend(splitter.finish()?.map(|record| (record.offset, record.bytes.to_vec())));
    Ok(records)
}

fn check(split_type: SplitType, stream: &[u8], expected: &[&[u8]]) {
    let records = split(&mut Splitter::new(split_type), [stream]).expect("the stream is records");
    assert_eq!(records.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>(), expected);
}

fn check_error(split_type: SplitType, stream: &[u8], expected: &str) {
    for chunk_bytes in [1, 3, stream.len().max(1)] {
        let mut splitter = Splitter::with_record_bytes_max(split_type, 64);
        let error = split(&mut splitter, stream.chunks(chunk_bytes)).expect_err("the stream is not records");
        assert_eq!(error.to_string(), expected, "in chunks of {chunk_bytes}");
    }
}

fn joined(split_type: SplitType, contents: &[&[u8]]) -> Vec<u8> {
    let mut stream = Vec::new();
    contents.iter().for_each(|content| split_type.join(content, &mut stream).expect("the content is short"));
    stream
}

#[test]
fn lines_keep_every_byte() {
    check(SplitType::Line, b"", &[]);
    check(SplitType::Line, b"a", &[b"a"]);
    check(SplitType::Line, b"a\n", &[b"a\n"]);
    check(SplitType::Line, b"a\r\n\n\rb", &[b"a\r\n", b"\n", b"\rb"]);
    check(SplitType::Line, b"\xEF\xBB\xBF1\n", &[b"\xEF\xBB\xBF1\n"]);
}

#[test]
fn an_object_without_split_is_one_record() {
    check(SplitType::None, b"", &[]);
    check(SplitType::None, b"a\nb", &[b"a\nb"]);
}

/// The bytes of `tf.io.TFRecordWriter` for the record `abc`.
#[test]
fn a_tfrecord_is_what_tensorflow_writes() {
    let stream = joined(SplitType::TfRecord, &[b"abc"]);
    assert_eq!(stream.len(), 8 + 4 + 3 + 4);
    assert_eq!(stream[..8], 3_u64.to_le_bytes());
    // crc32c("abc") = 0x364B3FB7.
    let masked = 0x364B_3FB7_u32.rotate_right(15).wrapping_add(0xA282_EAD8);
    assert_eq!(stream[15..], masked.to_le_bytes());
    check(SplitType::TfRecord, &stream, &[&stream]);
}

#[test]
fn a_record_in_parts_stays_together() {
    let mut first = joined(SplitType::RecordIo, &[b"abcd"]);
    first[7] |= 1 << 5;
    let mut last = joined(SplitType::RecordIo, &[b"efg"]);
    last[7] |= 3 << 5;
    let record = [first, last].concat();
    let other = joined(SplitType::RecordIo, &[b"z"]);
    check(SplitType::RecordIo, &[record.clone(), other.clone()].concat(), &[&record, &other]);
    let mut room = Vec::new();
    assert_eq!(SplitType::RecordIo.content(&record, &mut room), b"abcd\x0A\x23\xD7\xCEefg");
}

#[test]
fn damage_is_named_whatever_the_chunks() {
    let good = joined(SplitType::RecordIo, &[b"abcd"]);
    let wrong = [&good[..], b"not a frame"].concat();
    check_error(
        SplitType::RecordIo,
        &wrong,
        "record 2, byte 12: expected the RecordIO magic 0xCED7230A, found 0x20746F6E",
    );
    check_error(
        SplitType::RecordIo,
        &[&good[..], &good[..10]].concat(),
        "record 2, byte 22: expected a whole frame, found the end after 10 of its 12 bytes",
    );
    let mut tfrecord = joined(SplitType::TfRecord, &[b"abc"]);
    tfrecord[13] ^= 1;
    check_error(
        SplitType::TfRecord,
        &tfrecord,
        "record 1, byte 15: expected the checksum of the data, found 0x21F1576E where 0xF20336AB was computed",
    );
    tfrecord[0] ^= 1;
    check_error(
        SplitType::TfRecord,
        &tfrecord,
        "record 1, byte 8: expected the checksum of the length, found 0x0E4999B0 where 0x340B2778 was computed",
    );
    let short = &joined(SplitType::TfRecord, &[b"abc"])[..14];
    check_error(
        SplitType::TfRecord,
        short,
        "record 1, byte 14: expected a whole record, found the end after 14 of its 19 bytes",
    );
    check_error(
        SplitType::TfRecord,
        &short[..5],
        "record 1, byte 5: expected a header of 12 bytes, found the end after 5 of them",
    );
}

#[test]
fn a_record_over_the_limit_is_refused_by_its_length_alone() {
    let too_large = "record 2, byte 12: expected a record of at most 64 bytes, found a larger one";
    let good = joined(SplitType::RecordIo, &[b"abcd"]);
    check_error(SplitType::RecordIo, &[&good[..], b"\x0A\x23\xD7\xCE\xFF\xFF\xFF\x1F"].concat(), too_large);
    check_error(SplitType::Line, &[&b"a,b,c,d,e,f\n"[..], &[b'1'; 65]].concat(), too_large);
    let mut lie = joined(SplitType::TfRecord, &[b""]);
    lie.truncate(12);
    lie[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    lie[8..].copy_from_slice(&masked_crc32c_of_all_ones().to_le_bytes());
    check_error(
        SplitType::TfRecord,
        &lie,
        "record 1, byte 0: expected a record of at most 64 bytes, found a larger one",
    );
    check_error(
        SplitType::None,
        &[0; 65],
        "record 1, byte 0: expected a record of at most 64 bytes, found a larger one",
    );
}

/// Of eight 0xFF bytes, read back from a record that holds them.
fn masked_crc32c_of_all_ones() -> u32 {
    let stream = joined(SplitType::TfRecord, &[&[0xFF; 8]]);
    u32::from_le_bytes(*stream.last_chunk().expect("a record ends with a checksum"))
}

#[test]
fn every_truncation_of_a_framed_stream_is_an_error() {
    for split_type in [SplitType::RecordIo, SplitType::TfRecord] {
        let stream = joined(split_type, &[b"abcde", b"", b"xyz"]);
        let ends: Vec<usize> = split(&mut Splitter::new(split_type), [stream.as_slice()])
            .expect("the stream is records")
            .iter()
            .map(|(offset, bytes)| *offset as usize + bytes.len())
            .collect();
        for cut in 1..stream.len() {
            let outcome = split(&mut Splitter::new(split_type), [&stream[..cut]]);
            assert_eq!(outcome.is_ok(), ends.contains(&cut), "{split_type:?} cut at {cut}");
        }
    }
}

proptest! {
    #[test]
    fn any_chunking_gives_records_that_concatenate_to_the_input(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
        cuts in prop::collection::vec(1_usize..50, 1..20),
    ) {
        for split_type in ALL {
            let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
            let stream = joined(split_type, &contents);
            let whole = split(&mut Splitter::new(split_type), [stream.as_slice()]).expect("the stream is records");
            let mut rest = stream.as_slice();
            let chunks = cuts.iter().cycle().map_while(|&cut| {
                let (chunk, tail) = rest.split_at_checked(cut).unwrap_or((rest, &[]));
                rest = tail;
                (!chunk.is_empty()).then_some(chunk)
            });
            let chunked = split(&mut Splitter::new(split_type), chunks).expect("the stream is records");
            prop_assert_eq!(&chunked, &whole);
            prop_assert_eq!(whole.iter().flat_map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>(), stream);
            let mut offset = 0;
            for (at, bytes) in &whole {
                prop_assert_eq!(*at, offset);
                offset += bytes.len() as u64;
            }
        }
    }

    #[test]
    fn what_is_joined_is_split_again(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
    ) {
        for split_type in [SplitType::Line, SplitType::RecordIo, SplitType::TfRecord] {
            let contents: Vec<Vec<u8>> = contents
                .iter()
                .map(|content| content.iter().copied().filter(|&byte| split_type != SplitType::Line || byte != b'\n').collect())
                .collect();
            let stream = joined(split_type, &contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let records = split(&mut Splitter::new(split_type), [stream.as_slice()]).expect("the stream is records");
            let mut room = Vec::new();
            let back: Vec<Vec<u8>> =
                records.iter().map(|(_, bytes)| split_type.content(bytes, &mut room).to_vec()).collect();
            prop_assert_eq!(back, contents);
        }
    }
}
