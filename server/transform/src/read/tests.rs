//! Reading against stores that fail: what comes is the object that was listed, all of it, or an error that says where it ended.

mod faulty;
mod gunzip;
mod lines;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::{Pieces, ReadError, ReadOptions, from_reader, open, pieces};
use crate::input::InputObject;
use crate::progress::Progress;
use crate::settings::Compression;
use faulty::{Fault, FaultyStore};

/// Ranges of ten bytes, and no pauses.
fn options() -> ReadOptions {
    ReadOptions { range_bytes: 10, backoff_first: Duration::ZERO, ..ReadOptions::default() }
}

/// A store with one object of `bytes`, and that object as it is listed.
async fn stored(bytes: &[u8]) -> (Arc<FaultyStore>, InputObject) {
    let store = Arc::new(FaultyStore::default());
    let object = store.write(bytes).await;
    (store, object)
}

fn shared(store: &Arc<FaultyStore>) -> Arc<dyn ObjectStore> {
    store.clone()
}

async fn read(store: &Arc<FaultyStore>, object: &InputObject, from: u64) -> Result<Vec<u8>, ReadError> {
    collect(open(&shared(store), object, Compression::None, from, &options())).await
}

async fn collect(pieces: Pieces) -> Result<Vec<u8>, ReadError> {
    Ok(pieces.try_collect::<Vec<Bytes>>().await?.concat())
}

const OBJECT: &[u8] = b"0123456789abcdefghijABCDEFGHIJ!";

#[tokio::test]
async fn an_object_is_read_in_ranges_from_any_byte() {
    let (store, object) = stored(OBJECT).await;
    for from in 0..=OBJECT.len() {
        assert_eq!(read(&store, &object, from as u64).await.unwrap(), &OBJECT[from..]);
    }
    store.gets();
    read(&store, &object, 5).await.unwrap();
    assert_eq!(store.gets(), [5..15, 15..25, 25..31]);
}

#[tokio::test]
async fn a_small_object_is_one_request_and_an_empty_one_none() {
    let (store, object) = stored(b"0123456789").await;
    assert_eq!(read(&store, &object, 0).await.unwrap(), b"0123456789");
    assert_eq!(store.gets(), vec![0..10; 1]);
    let empty = store.write(b"").await;
    assert_eq!(read(&store, &empty, 0).await.unwrap(), b"");
    assert_eq!(store.gets(), []);
}

#[tokio::test]
async fn a_directory_is_read_as_a_store_is() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> =
        Arc::new(object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let path = Path::from("in.csv");
    store.put(&path, OBJECT.into()).await.unwrap();
    let object = faulty::listed(&store.head(&path).await.unwrap());
    let read = collect(open(&store, &object, Compression::None, 3, &options())).await;
    assert_eq!(read.unwrap(), &OBJECT[3..]);
    std::fs::write(folder.path().join("in.csv"), b"something else").unwrap();
    let error = collect(open(&store, &object, Compression::None, 0, &options())).await.unwrap_err();
    assert!(matches!(error, ReadError::Changed { .. }), "{error}");
}

#[tokio::test]
async fn answers_that_break_go_on_where_they_broke() {
    for (fault, expected) in [
        (Fault::Short(4), vec![0..10, 4..10]),
        (Fault::Breaks(7), vec![0..10, 7..10]),
        (Fault::Breaks(0), vec![0..10, 0..10]),
        (Fault::Fails, vec![0..10, 0..10]),
    ] {
        let (store, object) = stored(&OBJECT[..10]).await;
        store.plan([fault]);
        assert_eq!(read(&store, &object, 0).await.unwrap(), &OBJECT[..10], "{fault:?}");
        assert_eq!(store.gets(), expected, "{fault:?}");
    }
}

#[tokio::test]
async fn every_byte_comes_once_whatever_breaks() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..200 {
        let (store, object) = stored(OBJECT).await;
        let faults =
            [Fault::Short(random.u64(0..9)), Fault::Breaks(random.u64(0..9)), Fault::Fails, Fault::None];
        store.plan((0..12).map(|_| faults[random.usize(0..4)]));
        let options = ReadOptions { attempts_max: 20, ..options() };
        let read = collect(open(&shared(&store), &object, Compression::None, 0, &options)).await;
        assert_eq!(read.unwrap(), OBJECT);
    }
}

/// Reads with `faults` before every answer, until that is given up.
async fn check_error(fault: Fault, expected: &str) {
    let (store, object) = stored(OBJECT).await;
    store.plan([Fault::None].into_iter().chain(std::iter::repeat_n(fault, 30)));
    let options = ReadOptions { ranges_ahead: 0, attempts_max: 3, ..options() };
    let mut pieces = open(&shared(&store), &object, Compression::None, 0, &options);
    assert_eq!(pieces.next().await.unwrap().unwrap(), &OBJECT[..10]);
    assert_eq!(pieces.next().await.unwrap().unwrap_err().to_string(), expected);
    assert!(pieces.next().await.is_none(), "nothing comes behind an error");
}

#[tokio::test]
async fn attempts_are_counted_and_what_cannot_pass_is_not_tried_again() {
    check_error(
        Fault::Short(0),
        "in/a.csv, byte 10: expected the bytes up to 20, found the end of the answer in attempt 3",
    )
    .await;
    check_error(
        Fault::Breaks(1),
        "in/a.csv, byte 13: the store failed in attempt 3: Generic faulty error: the connection was reset",
    )
    .await;
    check_error(
        Fault::Denied,
        "in/a.csv, byte 10: the store failed in attempt 1: The operation lacked the necessary privileges to complete \
         for path in/a.csv: denied",
    )
    .await;
    check_error(Fault::Overlong, "in/a.csv, byte 10: expected no bytes from 20 on, found more").await;
    check_error(Fault::Gone, "in/a.csv: expected an object, found none").await;
}

/// The clock jumps ahead while nothing else happens.
#[tokio::test(start_paused = true)]
async fn an_answer_that_stops_is_asked_for_again() {
    let (store, object) = stored(&OBJECT[..10]).await;
    store.plan([Fault::Stalls(3), Fault::Stalls(0)]);
    assert_eq!(read(&store, &object, 0).await.unwrap(), &OBJECT[..10]);
    assert_eq!(store.gets(), [0..10, 3..10, 3..10]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_out_for_long_is_told_of() {
    let (store, object) = stored(OBJECT).await;
    store.plan([Fault::Fails; 5000]);
    let options = ReadOptions { attempts_max: u32::MAX, ranges_ahead: 0, ..ReadOptions::default() };
    let began = tokio::time::Instant::now();
    let error = collect(open(&shared(&store), &object, Compression::None, 0, &options)).await.unwrap_err();
    assert!(matches!(error, ReadError::Store { byte: 0, attempts: 50..3000, .. }), "{error}");
    assert!((300..310).contains(&began.elapsed().as_secs()));
}

/// A connection that is cut again and again brings all there is, in the end.
#[tokio::test]
async fn attempts_that_bring_something_are_not_held_against_a_range() {
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|at| (at / 7) as u8).collect();
    let (store, object) = stored(&bytes).await;
    store.plan([Fault::Breaks(70_000); 100]);
    let options = ReadOptions { attempts_max: 2, range_bytes: 8 << 20, ..options() };
    let read = collect(open(&shared(&store), &object, Compression::None, 0, &options)).await;
    assert!(read.unwrap() == bytes);
    assert_eq!(store.gets().len(), 29);
}

#[tokio::test]
async fn another_version_is_never_mixed_in() {
    // By the ETag, also where the store does not look at conditions; else by the time of the write, else by the size.
    for (ignores_conditions, has_e_tags, same_size) in
        [(false, true, true), (true, true, true), (false, false, true), (true, false, false)]
    {
        let store = Arc::new(FaultyStore::new(has_e_tags, ignores_conditions));
        let mut object = store.write(OBJECT).await;
        // As if it had been listed long before.
        object.modified = Some(std::time::UNIX_EPOCH + Duration::from_millis(1_000_500));
        if !has_e_tags && !ignores_conditions {
            let error = read(&store, &object, 0).await.unwrap_err();
            assert!(matches!(error, ReadError::Changed { byte: 0, .. }), "{error}");
            continue;
        }
        let options = ReadOptions { ranges_ahead: 0, ..options() };
        let mut pieces = open(&shared(&store), &object, Compression::None, 0, &options);
        assert_eq!(pieces.next().await.unwrap().unwrap(), &OBJECT[..10]);
        store.write(&OBJECT.iter().rev().copied().skip(usize::from(!same_size)).collect::<Vec<_>>()).await;
        let error = pieces.next().await.unwrap().unwrap_err();
        assert!(matches!(error, ReadError::Changed { byte: 10, .. }), "{error}");
        assert!(pieces.next().await.is_none());
    }
}

/// A time that HTTP cannot say exactly must not refuse the very version that was listed.
#[tokio::test]
async fn a_version_without_e_tag_is_read_by_its_time() {
    let store = Arc::new(FaultyStore::new(false, false));
    let object = store.write(OBJECT).await;
    assert_eq!(object.e_tag, None);
    assert_eq!(read(&store, &object, 0).await.unwrap(), OBJECT);
}

#[tokio::test]
async fn nothing_is_read_that_nobody_asks_for_but_two_ranges_ahead() {
    let (store, object) = stored(&[7; 1000]).await;
    let progress = Arc::new(Progress::default());
    let options = ReadOptions { progress: Some(progress.clone()), ..options() };
    let mut pieces = open(&shared(&store), &object, Compression::None, 0, &options);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.gets().len(), 0);
    for taken in 1..=5 {
        pieces.next().await.unwrap().unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(store.gets_so_far() <= taken + 2, "{} ranges for {taken}", store.gets_so_far());
        assert_eq!(progress.bytes_read.load(std::sync::atomic::Ordering::Relaxed), 10 * taken as u64);
    }
}

#[tokio::test]
async fn streams_are_pieces_too() {
    let read = collect(from_reader(OBJECT, "standard input", Compression::None)).await;
    assert_eq!(read.unwrap(), OBJECT);
    let packed = gunzip::pack(OBJECT);
    let read = collect(from_reader(std::io::Cursor::new(packed), "standard input", Compression::Gzip)).await;
    assert_eq!(read.unwrap(), OBJECT);
    let failing = stream::iter([
        Ok(Bytes::from_static(b"12")),
        Ok(Bytes::new()),
        Err(std::io::Error::other("the pipe is broken")),
    ]);
    let mut pieces = pieces(failing, "standard input", Compression::None);
    assert_eq!(pieces.next().await.unwrap().unwrap(), b"12"[..]);
    let error = pieces.next().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "standard input, byte 2: the pipe is broken");
}
