//! From bytes to batches, in bytes a second on one core: what a reader's 8 MiB ranges cost until they are calls; and what comes
//! before that, unpacking and reading from a directory.
//!
//! `cargo bench -p transform --bench split`

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use codecs::framing::SplitType;
use divan::Bencher;
use divan::counter::BytesCount;
use futures_util::StreamExt as _;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use transform::batch::{Batcher, Position, payload};
use transform::input::InputObject;
use transform::read::{Gunzip, ReadOptions, open};
use transform::settings::{BatchStrategy, Compression, MIB, PayloadLimit, Settings};

fn main() {
    divan::main();
}

/// Bytes of the object. Reason: many batches, and more than a cache holds.
const OBJECT_BYTES: usize = 256 * MIB;

/// Bytes of a piece, as they are read.
const RANGE_BYTES: usize = 8 * MIB;

/// An object of records of `content_bytes`, in pieces, and how many records it has.
fn object(split_type: SplitType, content_bytes: usize) -> (Vec<Bytes>, u64) {
    let mut record = Vec::new();
    split_type.join(&vec![b'7'; content_bytes], &mut record).expect("a short record");
    let records = OBJECT_BYTES / record.len();
    let object = Bytes::from(record.repeat(records));
    let pieces = (0..object.len()).step_by(RANGE_BYTES);
    let pieces = pieces.map(|from| object.slice(from..(from + RANGE_BYTES).min(object.len())));
    // Each piece is a buffer of its own, as in a transform.
    (pieces.map(|piece| Bytes::from(piece.to_vec())).collect(), records as u64)
}

fn bench_batches(
    bencher: Bencher<'_, '_>,
    split_type: SplitType,
    strategy: BatchStrategy,
    content_bytes: usize,
) {
    let payload_limit = PayloadLimit::Bytes(6 * MIB);
    let settings = Settings { split_type, strategy, payload_limit, ..Settings::default() };
    let (pieces, records) = object(split_type, content_bytes);
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let mut batcher = Batcher::new(&settings, Position::default());
        let mut sent = 0;
        let mut take = |batcher: &mut Batcher| {
            while let Some(run) = batcher.next_run().expect("the object is records") {
                sent += (0..run.calls()).map(|index| payload(&run, index).len()).sum::<usize>();
            }
        };
        for piece in &pieces {
            batcher.feed(piece.clone());
            take(&mut batcher);
        }
        batcher.finish();
        take(&mut batcher);
        assert_eq!(batcher.position(), Position { byte: bytes as u64, record: records });
        if strategy == BatchStrategy::MultiRecord {
            assert_eq!(sent, bytes);
        }
    });
}

#[divan::bench(args = [16, 64, 250, 4000])]
fn lines_in_batches(bencher: Bencher<'_, '_>, line_bytes: usize) {
    bench_batches(bencher, SplitType::Line, BatchStrategy::MultiRecord, line_bytes - 1);
}

#[divan::bench(args = [64, 250])]
fn single_lines(bencher: Bencher<'_, '_>, line_bytes: usize) {
    bench_batches(bencher, SplitType::Line, BatchStrategy::SingleRecord, line_bytes - 1);
}

#[divan::bench(args = [120, 4000])]
fn recordio_in_batches(bencher: Bencher<'_, '_>, content_bytes: usize) {
    bench_batches(bencher, SplitType::RecordIo, BatchStrategy::MultiRecord, content_bytes);
}

#[divan::bench(args = [120, 4000])]
fn tfrecord_in_batches(bencher: Bencher<'_, '_>, content_bytes: usize) {
    bench_batches(bencher, SplitType::TfRecord, BatchStrategy::MultiRecord, content_bytes);
}

/// Text that gzip makes a third of, in unpacked bytes a second.
#[divan::bench]
fn gunzip(bencher: Bencher<'_, '_>) {
    let mut random = fastrand::Rng::with_seed(7);
    let text: String = (0..2_000_000).map(|_| format!("{:.4},", random.f64())).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory takes all");
    let packed = Bytes::from(encoder.finish().expect("memory takes all"));
    bencher.counter(BytesCount::new(text.len())).bench_local(|| {
        let (mut gunzip, mut unpacked) = (Gunzip::default(), 0);
        gunzip.feed(packed.clone());
        while let Some(piece) = gunzip.next_piece().expect("the bytes are sound") {
            unpacked += piece.len();
        }
        gunzip.finish().expect("the bytes are whole");
        assert_eq!(unpacked, text.len());
    });
}

/// A file that the system holds in memory.
#[divan::bench]
fn read_from_directory(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    std::fs::write(folder.path().join("x.csv"), vec![b'7'; OBJECT_BYTES]).expect("room for an object");
    let store: Arc<dyn ObjectStore> =
        Arc::new(LocalFileSystem::new_with_prefix(folder.path()).expect("the folder is there"));
    let object = InputObject {
        path: "x.csv".into(),
        size: OBJECT_BYTES as u64,
        e_tag: None,
        modified: None,
        output: "x.csv.out".into(),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_time().build().expect("threads can be started");
    bencher.counter(BytesCount::new(OBJECT_BYTES)).bench_local(|| {
        let mut read = 0;
        runtime.block_on(async {
            let mut pieces = open(&store, &object, Compression::None, 0, &ReadOptions::default());
            while let Some(piece) = pieces.next().await {
                read += piece.expect("the file is read").len();
            }
        });
        assert_eq!(read, OBJECT_BYTES);
    });
}
