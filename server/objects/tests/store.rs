//! The store under many hands at once, and over restarts.

#![expect(clippy::unwrap_used, reason = "tests: a failure is the finding, and bodies are ours")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use objects::{Conditions, Directory, Error, ListQuery, Span};

async fn open(root: &Path) -> Arc<Directory> {
    let store = Directory::open(root).unwrap();
    store.create_bucket("bucket", "").await.unwrap();
    store
}

async fn read(store: &Arc<Directory>, key: &str) -> Result<Vec<u8>, Error> {
    let reading = store.read("bucket", key, Conditions::default(), Span::Whole).await?;
    let mut bytes = Vec::new();
    let mut stream = std::pin::pin!(reading.into_stream());
    while let Some(chunk) = stream.next().await {
        bytes.extend(chunk?);
    }
    Ok(bytes)
}

async fn put(store: &Arc<Directory>, key: &str, bytes: Vec<u8>) {
    store.bucket("bucket").put(&key.into(), PutPayload::from(bytes)).await.unwrap();
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// What a reader must never see: bytes of two writers.
fn is_of_one_writer(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == bytes[0]) && bytes.len() == 300_000 + usize::from(bytes[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_one_version_while_writers_replace_and_delete_it() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path()).await;
    let writers = (1..=4_u8).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..10 {
                put(&store, "a/k", vec![writer; 300_000 + usize::from(writer)]).await;
                if writer == 4 {
                    store.delete("bucket", "a/k", Conditions::default()).await.unwrap();
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..4).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..30 {
                match read(&store, "a/k").await {
                    Ok(bytes) => assert!(is_of_one_writer(&bytes)),
                    Err(Error::NoKey(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for task in writers.into_iter().chain(readers.collect::<Vec<_>>()) {
        task.await.unwrap();
    }
    put(&store, "a/k", vec![1; 300_001]).await;
    assert_eq!((files(&scratch.path().join("buckets")), files(&scratch.path().join("incoming"))), (1, 0));
    store.delete("bucket", "a/k", Conditions::default()).await.unwrap();
    assert_eq!(std::fs::read_dir(scratch.path().join("buckets/bucket")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_keeps_the_bytes_that_it_began_with() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path()).await;
    put(&store, "k", vec![1; 1 << 20]).await;
    let reading = store.read("bucket", "k", Conditions::default(), Span::Whole).await.unwrap();
    put(&store, "k", vec![2; 10]).await;
    store.delete("bucket", "k", Conditions::default()).await.unwrap();
    let mut stream = std::pin::pin!(reading.into_stream());
    let mut count = 0;
    while let Some(chunk) = stream.next().await {
        let chunk: Bytes = chunk.unwrap();
        assert!(chunk.iter().all(|byte| *byte == 1));
        count += chunk.len();
    }
    assert_eq!(count, 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_create_a_key_one_does() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path()).await;
    let tries = (0..16_u8).map(|number| {
        let bucket = store.bucket("bucket");
        tokio::spawn(async move {
            let payload = PutPayload::from(vec![number; 10]);
            bucket.put_opts(&"k".into(), payload, object_store::PutMode::Create.into()).await
        })
    });
    let mut won = 0;
    for attempt in tries.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(_) => won += 1,
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(
        (won, files(&scratch.path().join("buckets")), files(&scratch.path().join("incoming"))),
        (1, 1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_pages_shows_what_stays_once_while_others_come_and_go() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path()).await;
    for number in 0..60 {
        put(&store, &format!("stays-{number:03}"), Vec::new()).await;
    }
    let of_changes = Arc::clone(&store);
    let changes = tokio::spawn(async move {
        for number in 0..60 {
            put(&of_changes, &format!("stays-{number:03}-comes"), Vec::new()).await;
            let goes = format!("stays-{:03}-comes", number / 2);
            of_changes.delete("bucket", &goes, Conditions::default()).await.unwrap();
        }
    });
    for _ in 0..10 {
        let mut query = ListQuery { limit: 7, ..ListQuery::default() };
        let mut stayed = Vec::new();
        loop {
            let page = store.list("bucket", query.clone()).await.unwrap();
            let keys = page.objects.into_iter().map(|object| object.key);
            stayed.extend(keys.filter(|key| !key.ends_with("-comes")));
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        let expected: Vec<_> = (0..60).map(|number| format!("stays-{number:03}")).collect();
        assert_eq!(stayed, expected);
    }
    changes.await.unwrap();
}

#[tokio::test]
async fn a_store_is_as_it_was_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path()).await;
    put(&store, "a", b"one".to_vec()).await;
    put(&store, "a/b", b"two".to_vec()).await;
    assert!(Directory::open(scratch.path()).is_err(), "one process has it open");
    drop(store);
    // Bytes that no row names, as a crash leaves them; and a file that is not ours.
    std::fs::write(scratch.path().join("incoming/999"), "half").unwrap();
    std::fs::write(scratch.path().join("incoming/README"), "theirs").unwrap();
    let store = Directory::open(scratch.path()).unwrap();
    assert_eq!(read(&store, "a").await.unwrap(), b"one");
    assert_eq!(read(&store, "a/b").await.unwrap(), b"two");
    assert_eq!(std::fs::read_dir(scratch.path().join("incoming")).unwrap().count(), 1);
    let found = std::fs::read_dir(scratch.path().join("buckets/bucket/a")).unwrap().next().unwrap().unwrap();
    assert_eq!(std::fs::read(found.path()).unwrap(), b"two", "a person finds the bytes");
}

#[tokio::test]
async fn a_file_that_is_missing_is_an_error_that_names_it() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path()).await;
    put(&store, "gone", b"bytes".to_vec()).await;
    let place = std::fs::read_dir(scratch.path().join("buckets/bucket")).unwrap().next().unwrap().unwrap();
    std::fs::remove_file(place.path()).unwrap();
    let error = read(&store, "gone").await.expect_err("there are no bytes");
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("gone"), "{error}");
}

#[tokio::test]
async fn bytes_whose_move_was_lost_with_the_power_are_found_and_moved_again() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path()).await;
    put(&store, "a/k", b"bytes".to_vec()).await;
    // The next change forgets that the first had to be moved.
    put(&store, "b", b"other".to_vec()).await;
    drop(store);
    let folder = scratch.path().join("buckets/bucket/a");
    let place = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let generation = place.to_str().unwrap().rsplit_once('~').unwrap().1;
    std::fs::rename(&place, scratch.path().join("incoming").join(generation)).unwrap();
    std::fs::write(scratch.path().join("incoming/999999"), "of no row").unwrap();
    let store = Directory::open(scratch.path()).unwrap();
    assert_eq!(read(&store, "a/k").await.unwrap(), b"bytes");
    assert!(place.exists());
    assert_eq!(files(&scratch.path().join("incoming")), 0);
}
