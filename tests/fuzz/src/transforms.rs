//! What a batch transform makes of an object's bytes before a model sees them: unpacking and batches.

use bytes::Bytes;
use codecs::framing::SplitType;
use transform::batch::{BatchError, Batcher, Position, Run, payload};
use transform::read::Gunzip;
use transform::settings::{BatchStrategy, PayloadLimit, Settings};

/// The largest payload. Reason: small, so that short inputs have several batches.
const LIMIT_BYTES: usize = 64;

/// The runs of `object` from `start` on in pieces of `piece` bytes, and the error that ends them.
fn runs(settings: &Settings, start: Position, object: &[u8], piece: usize) -> (Vec<Run>, Option<BatchError>) {
    let mut batcher = Batcher::new(settings, start);
    let mut runs = Vec::new();
    for piece in object[start.byte as usize..].chunks(piece).map(Some).chain([None]) {
        match piece {
            Some(piece) => batcher.feed(Bytes::copy_from_slice(piece)),
            None => batcher.finish(),
        }
        loop {
            match batcher.next_run() {
                Ok(Some(run)) => runs.push(run),
                Ok(None) => break,
                Err(error) => return (runs, Some(error)),
            }
        }
    }
    (runs, None)
}

/// Batches: cut at the same places however the bytes come and wherever one starts, none over the limit, and together the object.
pub fn batches(object: &[u8]) {
    for split_type in [SplitType::None, SplitType::Line, SplitType::RecordIo, SplitType::TfRecord] {
        for (strategy, skip_blank_lines) in [
            (BatchStrategy::MultiRecord, false),
            (BatchStrategy::MultiRecord, true),
            (BatchStrategy::SingleRecord, false),
        ] {
            let payload_limit = PayloadLimit::Bytes(LIMIT_BYTES);
            let settings =
                Settings { split_type, strategy, skip_blank_lines, payload_limit, ..Settings::default() };
            check_batches(&settings, object);
        }
    }
}

fn check_batches(settings: &Settings, object: &[u8]) {
    let whole = runs(settings, Position::default(), object, object.len().max(1));
    for piece in [1, 7] {
        let in_pieces = runs(settings, Position::default(), object, piece);
        assert_eq!(in_pieces, whole, "{:?} in pieces of {piece}", settings.split_type);
    }
    let (runs_of_whole, error) = &whole;
    for (index, run) in runs_of_whole.iter().enumerate().rev().take(3) {
        let (rest, rest_error) = runs(settings, run.end(), object, 5);
        assert_eq!((&rest[..], &rest_error), (&runs_of_whole[index + 1..], error), "from a run's end");
    }
    for run in runs_of_whole {
        (0..run.calls()).for_each(|index| assert!(payload(run, index).len() <= LIMIT_BYTES));
    }
    if error.is_none() && !settings.skip_blank_lines {
        let bytes: Vec<u8> = runs_of_whole.iter().flat_map(|run| run.bytes.to_vec()).collect();
        assert_eq!(bytes, object, "{:?} loses nothing", settings.split_type);
    }
}

/// What `packed` unpacks to in pieces of `piece` bytes, up to a limit.
fn unpack(packed: &[u8], piece: usize) -> Option<Vec<u8>> {
    const LIMIT_BYTES: usize = 1 << 20;
    let (mut gunzip, mut unpacked) = (Gunzip::default(), Vec::new());
    for piece in packed.chunks(piece) {
        gunzip.feed(Bytes::copy_from_slice(piece));
        while let Some(bytes) = gunzip.next_piece().ok()? {
            assert!((1..=1 << 18).contains(&bytes.len()), "a piece is bounded");
            unpacked.extend_from_slice(&bytes);
            if unpacked.len() > LIMIT_BYTES {
                return None;
            }
        }
    }
    gunzip.finish().ok()?;
    Some(unpacked)
}

/// gzip as it comes: the same however it is cut.
pub fn gunzip(packed: &[u8]) {
    let whole = unpack(packed, packed.len().max(1));
    for piece in [1, 7] {
        assert_eq!(unpack(packed, piece), whole, "in pieces of {piece}");
    }
}
