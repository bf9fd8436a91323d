//! The laws of batches: together they are the object, each is as large as its limit allows, and neither the chunks that come nor
//! where one starts changes where they are cut.

use bytes::Bytes;
use codecs::framing::{SplitType, Splitter};
use proptest::prelude::*;

use super::{BatchError, Batcher, Position, Run, check_object_bytes, payload};
use crate::settings::{BatchStrategy, MIB, PayloadLimit, Settings};

const ALL: [SplitType; 4] = [SplitType::None, SplitType::Line, SplitType::RecordIo, SplitType::TfRecord];

fn settings(split_type: SplitType, strategy: BatchStrategy, limit: usize) -> Settings {
    Settings { split_type, strategy, payload_limit: PayloadLimit::Bytes(limit), ..Settings::default() }
}

fn endless(content_type: &str, split_type: SplitType) -> Settings {
    let payload_limit = PayloadLimit::Endless;
    Settings { content_type: Some(content_type.to_owned()), split_type, payload_limit, ..Settings::default() }
}

/// The runs of `chunks`, and the error that ends them.
fn runs<'a>(
    settings: &Settings,
    start: Position,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Run>, Option<BatchError>) {
    let mut batcher = Batcher::new(settings, start);
    let mut runs = Vec::new();
    for chunk in chunks {
        batcher.feed(Bytes::copy_from_slice(chunk));
        if let Err(error) = drain(&mut batcher, &mut runs) {
            return (runs, Some(error));
        }
    }
    batcher.finish();
    let error = drain(&mut batcher, &mut runs).err();
    (runs, error)
}

fn drain(batcher: &mut Batcher, runs: &mut Vec<Run>) -> Result<(), BatchError> {
    while let Some(run) = batcher.next_run()? {
        assert_eq!(batcher.position().record, run.end().record, "a run starts where the last one ends");
        runs.push(run);
    }
    Ok(())
}

/// What each call of `runs` sends.
fn payloads(runs: &[Run]) -> Vec<Bytes> {
    runs.iter().flat_map(|run| (0..run.calls()).map(|index| payload(run, index))).collect()
}

fn check(settings: &Settings, object: &[u8], expected: &[&[u8]]) {
    for chunk_bytes in [1, 2, 3, object.len().max(1)] {
        let (runs, error) = runs(settings, Position::default(), object.chunks(chunk_bytes));
        assert_eq!(error, None, "in chunks of {chunk_bytes}");
        assert_eq!(payloads(&runs), expected, "in chunks of {chunk_bytes}");
    }
}

fn check_error(settings: &Settings, object: &[u8], runs_before: usize, expected: &str) {
    for chunk_bytes in [1, 5, object.len()] {
        let (runs, error) = runs(settings, Position::default(), object.chunks(chunk_bytes));
        assert_eq!(runs.len(), runs_before, "in chunks of {chunk_bytes}");
        assert_eq!(error.expect("the object is refused").to_string(), expected, "in chunks of {chunk_bytes}");
    }
}

fn joined(split_type: SplitType, contents: &[Vec<u8>]) -> Vec<u8> {
    let mut object = Vec::new();
    contents.iter().for_each(|content| split_type.join(content, &mut object).expect("the content is short"));
    object
}

use BatchStrategy::{MultiRecord, SingleRecord};

#[test]
fn a_batch_may_be_as_large_as_its_limit() {
    let five = settings(SplitType::Line, MultiRecord, 5);
    check(&five, b"", &[]);
    check(&five, b"12\n4\n", &[b"12\n4\n"]);
    check(&five, b"12\n45\n", &[b"12\n", b"45\n"]);
    check(&five, b"\n\n\n\n\n\n", &[b"\n\n\n\n\n", b"\n"]);
    check(&five, b"1234\n1", &[b"1234\n", b"1"]);
    check(&five, b"1\r\n45", &[b"1\r\n45"]);
}

#[test]
fn single_records_are_sent_without_their_frames() {
    check(&settings(SplitType::Line, SingleRecord, 5), b"1\n\n12345", &[b"1\n", b"\n", b"12345"]);
    for split_type in [SplitType::RecordIo, SplitType::TfRecord] {
        let object = joined(split_type, &[b"abcde".to_vec(), Vec::new(), b"z".to_vec()]);
        check(&settings(split_type, SingleRecord, 5), &object, &[b"abcde", b"", b"z"]);
        check(&settings(split_type, MultiRecord, 100), &object, &[&object]);
    }
}

/// The limit is on what is sent: of a single record the content, of several their frames too.
#[test]
fn one_record_over_the_limit_is_refused_where_it_stands() {
    for strategy in [MultiRecord, SingleRecord] {
        check_error(
            &settings(SplitType::Line, strategy, 4),
            b"12\n12345\n1\n",
            1,
            "record 2, byte 3: expected a record of at most 4 bytes (MaxPayloadInMB), found a larger one",
        );
    }
    let object = joined(SplitType::TfRecord, &[b"abc".to_vec(), b"abcdef".to_vec(), b"a".to_vec()]);
    check_error(
        &settings(SplitType::TfRecord, SingleRecord, 5),
        &object,
        1,
        "record 2, byte 19: expected a record of at most 5 bytes (MaxPayloadInMB), found a larger one",
    );
    check_error(
        &settings(SplitType::RecordIo, SingleRecord, 5),
        &joined(SplitType::RecordIo, &[b"abcdef".to_vec()]),
        0,
        "record 1, byte 0: expected a record of at most 5 bytes (MaxPayloadInMB), found a larger one",
    );
}

#[test]
fn an_object_without_split_is_one_payload() {
    let four = settings(SplitType::None, MultiRecord, 4);
    check(&four, b"1\n2\n", &[b"1\n2\n"]);
    check_error(
        &four,
        b"12345",
        0,
        "record 1, byte 0: expected a record of at most 4 bytes (MaxPayloadInMB), found a larger one",
    );
    assert_eq!(check_object_bytes(&four, 4), Ok(()));
    assert_eq!(
        check_object_bytes(&four, 7).expect_err("it is too large").to_string(),
        "record 1, byte 0: expected a record of at most 4 bytes (MaxPayloadInMB), found one of 7"
    );
    // A size says nothing where records are cut out of the object.
    assert_eq!(check_object_bytes(&settings(SplitType::Line, MultiRecord, 4), 7), Ok(()));
    assert_eq!(check_object_bytes(&endless("text/csv", SplitType::None), u64::MAX), Ok(()));
}

#[test]
fn damage_is_told_behind_the_runs_before_it() {
    let mut object = joined(SplitType::RecordIo, &[b"abcd".to_vec()]);
    object.extend_from_slice(b"no frame");
    check_error(
        &settings(SplitType::RecordIo, MultiRecord, 100),
        &object,
        1,
        "record 2, byte 12: expected the RecordIO magic 0xCED7230A, found 0x66206F6E",
    );
    check_error(
        &settings(SplitType::TfRecord, MultiRecord, 100),
        &joined(SplitType::TfRecord, &[b"abcd".to_vec()])[..18],
        0,
        "record 1, byte 18: expected a whole record, found the end after 18 of its 20 bytes",
    );
}

#[test]
fn blank_lines_are_no_records_when_they_are_skipped() {
    let skipping =
        |limit| Settings { skip_blank_lines: true, ..settings(SplitType::Line, MultiRecord, limit) };
    check(&skipping(100), b"\n\r\n1\n\n\r\n2\n \n\n", &[b"1\n2\n \n"]);
    check(&skipping(4), b"1\n\n2\n3\n\n\n\n\n4", &[b"1\n", b"2\n3\n", b"4"]);
    check(&skipping(100), b"\n\n\r\n", &[]);
    let single = Settings { strategy: SingleRecord, ..skipping(100) };
    check(&single, b"\n1\n\n\n2\n\n", &[b"1\n", b"2\n"]);
    let (runs, _) = runs(&skipping(100), Position::default(), [&b"\n1\n\r\n2\n"[..]]);
    assert_eq!(runs[0].start, Position { byte: 1, record: 0 });
    assert_eq!(runs[0].position(1), Position { byte: 5, record: 1 });
    assert_eq!(runs[0].part(1..2).payload(), b"2\n"[..]);
    assert_eq!(runs[0].part(1..2).start, Position { byte: 5, record: 1 });
}

/// Small records do not cost a task each, and large ones do not wait for each other.
#[test]
fn runs_of_single_records_are_bounded() {
    let object = b"1\n".repeat(1000);
    let (small, error) =
        runs(&settings(SplitType::Line, SingleRecord, MIB), Position::default(), [&object[..]]);
    assert_eq!(error, None);
    assert!(small.iter().all(|run| run.records() <= 64) && small.len() < 20, "{} runs", small.len());
    let object = [vec![b'1'; 100_000], b"\n".to_vec()].concat().repeat(3);
    let (large, error) =
        runs(&settings(SplitType::Line, SingleRecord, MIB), Position::default(), [&object[..]]);
    assert_eq!((large.len(), error), (3, None));
}

#[test]
fn a_run_in_one_chunk_is_a_part_of_it() {
    let chunk = Bytes::from(b"12,34\n".repeat(2000));
    let mut batcher = Batcher::new(&settings(SplitType::Line, MultiRecord, 6000), Position::default());
    batcher.feed(chunk.clone());
    let run = batcher.next_run().expect("lines are never wrong").expect("the limit is reached");
    assert_eq!((run.bytes.as_ptr(), run.records()), (chunk.as_ptr(), 1000));
    assert_eq!(run.payload().as_ptr(), chunk.as_ptr());
}

#[test]
fn an_endless_payload_is_cut_where_its_input_pauses() {
    for (settings, first, rest) in [
        (endless("text/csv", SplitType::None), &b"1,2\n3"[..], &b",4\n"[..]),
        (endless("application/jsonlines", SplitType::None), b"[1,2]\n[", b"3]\n"),
        (endless("text/libsvm", SplitType::Line), b"1:2\n1", b":3"),
    ] {
        let mut batcher = Batcher::new(&settings, Position::default());
        batcher.feed(Bytes::from_static(first));
        assert_eq!(batcher.next_run(), Ok(None), "more may come at once");
        batcher.flush();
        let run = batcher.next_run().expect("lines").expect("the line that is whole");
        assert_eq!((run.records(), run.calls()), (1, 1));
        assert_eq!(batcher.next_run(), Ok(None));
        batcher.feed(Bytes::from_static(rest));
        assert_eq!(batcher.next_run(), Ok(None));
        batcher.finish();
        let last = batcher.next_run().expect("lines").expect("the last line");
        assert_eq!([&run.bytes[..], &last.bytes].concat(), [first, rest].concat());
        assert_eq!(batcher.next_run(), Ok(None));
    }
}

/// A pause must not change where other batches are cut: a run is tried again from its start.
#[test]
fn a_pause_ends_no_batch_that_has_a_limit() {
    let mut batcher = Batcher::new(&settings(SplitType::Line, MultiRecord, 100), Position::default());
    batcher.feed(Bytes::from_static(b"1\n"));
    batcher.flush();
    assert_eq!(batcher.next_run(), Ok(None));
}

#[test]
fn an_endless_payload_is_cut_into_pieces() {
    let frames = joined(SplitType::RecordIo, &vec![vec![7; 1000]; 3000]);
    let lines = b"1,2,3,4,5,6,7\n".repeat(200_000);
    for (content_type, object) in [("application/x-recordio-protobuf", frames), ("text/csv", lines)] {
        let settings = endless(content_type, SplitType::None);
        let (runs, error) = runs(&settings, Position::default(), object.chunks(100_000));
        assert_eq!(error, None);
        assert!(runs.len() > 2 && runs.iter().all(|run| run.bytes.len() <= MIB && run.calls() == 1));
        assert_eq!(payloads(&runs).concat(), object);
    }
}

#[test]
fn a_document_is_held_whole_up_to_a_limit() {
    let json = endless("application/json", SplitType::None);
    check(&json, b"{\"instances\":\n[]}", &[b"{\"instances\":\n[]}"]);
    check(&endless("text/csv; header=present", SplitType::None), b"a,b\n1,2\n", &[b"a,b\n1,2\n"]);
    assert_eq!(
        check_object_bytes(&json, 101 * MIB as u64).expect_err("it is too large").to_string(),
        "expected at most 104857600 bytes of application/json, which cannot be cut into pieces (MaxPayloadInMB 0 \
         without SplitType), found more"
    );
}

/// The definition: records one after the other, each put to the run before it if it fits.
fn naive(settings: &Settings, object: &[u8], limit: usize) -> (Vec<Vec<Vec<u8>>>, bool) {
    let mut splitter = Splitter::new(settings.split_type);
    splitter.feed(object);
    let mut records = Vec::new();
    while let Some(record) = splitter.next_record().expect("the object is records") {
        records.push(record.bytes.to_vec());
    }
    records.extend(splitter.finish().expect("the object is records").map(|record| record.bytes.to_vec()));
    let mut batches: Vec<Vec<Vec<u8>>> = Vec::new();
    for record in records {
        if record.len() > limit {
            return (batches, false);
        }
        match batches.last_mut() {
            Some(batch) if batch.iter().map(Vec::len).sum::<usize>() + record.len() <= limit => {
                batch.push(record);
            }
            _ => batches.push(vec![record]),
        }
    }
    (batches, true)
}

/// `object` in pieces of the lengths `cuts`, again and again.
fn pieces<'a>(mut object: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    cuts.iter().cycle().map_while(move |&cut| {
        let (piece, rest) = object.split_at_checked(cut).unwrap_or((object, &[]));
        object = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

proptest! {
    #[test]
    fn batches_are_those_of_the_definition(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        cuts in prop::collection::vec(1_usize..60, 1..20),
        limit in 1_usize..150,
    ) {
        for split_type in ALL {
            let object = joined(split_type, &contents);
            let settings = settings(split_type, MultiRecord, limit);
            let (expected, is_good) = naive(&settings, &object, limit);
            let (runs, error) = runs(&settings, Position::default(), pieces(&object, &cuts));
            let found: Vec<Vec<Vec<u8>>> = runs
                .iter()
                .map(|run| (0..run.records()).map(|index| run.record(index).to_vec()).collect())
                .collect();
            prop_assert_eq!(&found, &expected, "{:?}", split_type);
            prop_assert_eq!(error.is_none(), is_good);
            if let Some(error) = error {
                let end = runs.last().map(Run::end).unwrap_or_default();
                prop_assert_eq!(error.place(), Some((end.record + 1, end.byte)));
            }
        }
    }

    #[test]
    fn neither_chunks_nor_the_start_change_the_cuts(
        contents in prop::collection::vec(prop::collection::vec(prop::sample::select(b"1,\r\n".to_vec()), 0..30), 0..20),
        cuts in prop::collection::vec(1_usize..60, 1..20),
        limit in 40_usize..150,
        strategy in prop::sample::select(vec![MultiRecord, SingleRecord]),
        skip_blank_lines in any::<bool>(),
    ) {
        for split_type in ALL {
            let object = joined(split_type, &contents);
            let settings = Settings { skip_blank_lines, ..settings(split_type, strategy, limit) };
            let whole = runs(&settings, Position::default(), [object.as_slice()]);
            prop_assert_eq!(&runs(&settings, Position::default(), pieces(&object, &cuts)), &whole);
            for (index, run) in whole.0.iter().enumerate() {
                let end = run.end();
                let rest = runs(&settings, end, pieces(&object[end.byte as usize..], &cuts));
                prop_assert_eq!(&rest.0[..], &whole.0[index + 1..]);
                prop_assert_eq!(&rest.1, &whole.1);
            }
            if !skip_blank_lines && whole.1.is_none() {
                let bytes: Vec<u8> = whole.0.iter().flat_map(|run| run.bytes.to_vec()).collect();
                prop_assert_eq!(&bytes, &object);
            }
            if skip_blank_lines && split_type == SplitType::Line {
                let lines: Vec<u8> = object
                    .split_inclusive(|&byte| byte == b'\n')
                    .filter(|line| *line != b"\n" && *line != b"\r\n")
                    .flatten()
                    .copied()
                    .collect();
                prop_assert_eq!(payloads(&whole.0).concat(), lines);
            }
        }
    }

    #[test]
    fn a_part_of_a_run_has_its_records_and_their_places(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..12),
        from in 0_usize..12,
        count in 1_usize..12,
    ) {
        for split_type in [SplitType::Line, SplitType::RecordIo, SplitType::TfRecord] {
            let object = joined(split_type, &contents);
            let (runs, _) = runs(&settings(split_type, MultiRecord, 10_000), Position::default(), [object.as_slice()]);
            let run = &runs[0];
            let from = from % run.records();
            let to = (from + count).min(run.records());
            let part = run.part(from..to);
            prop_assert_eq!(part.records(), to - from);
            for index in from..to {
                prop_assert_eq!(part.record(index - from), run.record(index));
                prop_assert_eq!(part.position(index - from), run.position(index));
                let place = run.position(index).byte as usize;
                prop_assert!(object[place..].starts_with(&run.record(index)));
            }
        }
    }
}
