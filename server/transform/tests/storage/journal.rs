//! Journals: what is read back, what is torn, whose they are.

use std::path::Path as FilePath;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use transform::Store;
use transform::input::InputObject;
use transform::journal::{Done, Finished, Journal, JournalError, Place};
use transform::progress::Failure;

fn input(key: &str, e_tag: &str) -> InputObject {
    InputObject {
        path: Path::from(key),
        size: 1,
        e_tag: Some(e_tag.into()),
        modified: None,
        output: Path::from(format!("out/{key}.out")),
    }
}

fn finished(records: u64) -> Finished {
    Finished { records, bytes: 10 * records, output_e_tag: Some("\"o\"".into()) }
}

async fn open(place: &Place) -> Result<(Journal, Done), JournalError> {
    Journal::open(place.clone(), "job", "digest").await
}

fn file(folder: &FilePath) -> Place {
    Place::File(folder.join("journal.jsonl"))
}

async fn remembers(place: Place) {
    let (journal, done) = open(&place).await.unwrap();
    assert_eq!(done.finished(&input("a", "1")), None);
    journal.finished(&input("a", "1"), finished(3)).await.unwrap();
    let failure = Failure {
        object: "bucket/b".into(),
        byte: Some(7),
        record: Some(2),
        status: Some(400),
        attempts: 1,
        reason: "line\nbreaks and \"quotes\"".into(),
    };
    journal.failed(&failure).await.unwrap();
    journal.finished(&input("c", "1"), finished(4)).await.unwrap();
    journal.flush().await.unwrap();
    drop(journal);
    let (journal, done) = open(&place).await.unwrap();
    assert_eq!(done.finished(&input("a", "1")), Some(&finished(3)));
    assert_eq!(done.finished(&input("c", "1")), Some(&finished(4)));
    assert_eq!(done.finished(&input("a", "2")), None, "another version of the input");
    assert_eq!(done.finished(&input("b", "1")), None, "a failed object is tried again");
    journal.remove().await.unwrap();
    let (_journal, done) = open(&place).await.unwrap();
    assert_eq!(done.finished(&input("a", "1")), None);
}

#[tokio::test]
async fn a_file_is_read_back() {
    let scratch = tempfile::tempdir().unwrap();
    remembers(file(scratch.path())).await;
}

#[tokio::test]
async fn segments_are_read_back() {
    let store = Store::memory();
    remembers(Place::beside(store.clone(), &Path::from("out"), "job")).await;
    let scratch = tempfile::tempdir().unwrap();
    remembers(Place::beside(Store::directory(scratch.path()).unwrap(), &Path::from("out"), "job")).await;
    assert!(!scratch.path().join("out").exists(), "no empty folders are left");
}

#[tokio::test]
async fn a_line_that_is_torn_anywhere_is_done_again() {
    let scratch = tempfile::tempdir().unwrap();
    let (place, path) = (file(scratch.path()), scratch.path().join("journal.jsonl"));
    let (journal, _) = open(&place).await.unwrap();
    journal.finished(&input("a", "1"), finished(1)).await.unwrap();
    let one = std::fs::read(&path).unwrap().len();
    journal.finished(&input("b", "1"), finished(2)).await.unwrap();
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let (journal, done) = open(&place).await.unwrap();
        assert_eq!(done.finished(&input("a", "1")).is_some(), length >= one, "{length}");
        assert_eq!(done.finished(&input("b", "1")), None, "{length}");
        // What is appended after the torn line is whole.
        journal.finished(&input("c", "1"), finished(3)).await.unwrap();
        drop(journal);
        let (_, done) = open(&place).await.unwrap();
        assert!(done.finished(&input("c", "1")).is_some(), "{length}");
    }
}

async fn check_refused(place: &Place, (job, settings): (&str, &str), expected: &str) {
    let refused = Journal::open(place.clone(), job, settings).await.map(drop);
    let message = refused.expect_err(expected).to_string();
    assert!(message.contains(expected), "{message}");
}

#[tokio::test]
async fn a_journal_of_another_transform_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    for place in [file(scratch.path()), Place::beside(Store::memory(), &Path::from("out"), "x")] {
        let (journal, _) = open(&place).await.unwrap();
        journal.finished(&input("a", "1"), finished(1)).await.unwrap();
        drop(journal);
        check_refused(&place, ("other", "digest"), "expected one of job \"other\", found one of job \"job\"")
            .await;
        check_refused(&place, ("job", "other"), "(digest other), found one of others (digest digest)").await;
    }
}

#[tokio::test]
async fn a_journal_in_use_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let place = file(scratch.path());
    let (_journal, _) = open(&place).await.unwrap();
    check_refused(&place, ("job", "digest"), "found it in use by another process").await;
}

#[tokio::test]
async fn what_is_no_journal_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let (place, path) = (file(scratch.path()), scratch.path().join("journal.jsonl"));
    let check = async |text: &[u8], expected: &str| {
        std::fs::write(&path, text).unwrap();
        check_refused(&place, ("job", "digest"), expected).await;
    };
    let head = b"{\"job\":\"job\",\"settings\":\"digest\"}\n";
    let after = |line: &str| [head.as_slice(), line.as_bytes()].concat();
    check(b"id,value\n1,2\n", "line 1: expected a line of a journal").await;
    check(b"\n", "line 1: expected a line of a journal").await;
    check(&after("{\"done\":1}\n"), "line 2: expected a line of a journal").await;
    check(&[head.as_slice(), b"\xff\xfe\n"].concat(), "line 2").await;
    check(&after("{\"aborted\":{\"upload\":\"u\"}}\n[]\n"), "line 3").await;
    check(&after(&format!("{}\n", "x".repeat(300 << 10))), "over the limit").await;
    check(&[b'y'; 600 << 10], "over the limit").await;
}

#[tokio::test]
async fn no_bytes_of_a_journal_panic() {
    let scratch = tempfile::tempdir().unwrap();
    let (place, path) = (file(scratch.path()), scratch.path().join("journal.jsonl"));
    let (journal, _) = open(&place).await.unwrap();
    journal.finished(&input("a", "1"), finished(1)).await.unwrap();
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut refused = 0;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        std::fs::write(&path, &bytes).unwrap();
        refused += usize::from(open(&place).await.is_err());
    }
    assert!(refused > 100, "most damage is seen: {refused}");
}

#[tokio::test(start_paused = true)]
async fn segments_are_five_seconds_apart() {
    let store = Store::memory();
    let place = Place::beside(store.clone(), &Path::from("out"), "job");
    let (journal, _) = open(&place).await.unwrap();
    let segments = async || {
        let listed = store.objects.list(Some(&Path::from("out/_clary/job")));
        listed.try_collect::<Vec<_>>().await.unwrap().len()
    };
    for number in 0..100 {
        journal.finished(&input(&format!("a{number}"), "1"), finished(1)).await.unwrap();
    }
    assert_eq!(segments().await, 1, "the first at once, the others gathered");
    // Written when it is time, without another line.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(segments().await, 2);
    let (_, done) = open(&place).await.unwrap();
    assert!((0..100).all(|number| done.finished(&input(&format!("a{number}"), "1")).is_some()));
}

#[tokio::test]
async fn two_writers_of_segments_take_turns() {
    let store = Store::memory();
    let place = Place::beside(store.clone(), &Path::from("out"), "job");
    let (one, _) = open(&place).await.unwrap();
    let (two, _) = open(&place).await.unwrap();
    one.finished(&input("a", "1"), finished(1)).await.unwrap();
    two.finished(&input("b", "1"), finished(2)).await.unwrap();
    let (_, done) = open(&place).await.unwrap();
    assert!(done.finished(&input("a", "1")).is_some() && done.finished(&input("b", "1")).is_some());
}

#[tokio::test]
async fn other_files_beside_segments_are_left_alone() {
    let store = Store::memory();
    let other = Path::from("out/_clary/job/notes.txt");
    store.objects.put(&other, PutPayload::from("mine")).await.unwrap();
    remembers(Place::beside(store.clone(), &Path::from("out"), "job")).await;
    assert_eq!(store.objects.get(&other).await.unwrap().bytes().await.unwrap(), "mine");
}

#[tokio::test]
async fn nowhere_remembers_nothing() {
    let (journal, _) = open(&Place::Nowhere).await.unwrap();
    journal.finished(&input("a", "1"), finished(1)).await.unwrap();
    journal.flush().await.unwrap();
    let (journal, done) = open(&Place::Nowhere).await.unwrap();
    assert_eq!(done.finished(&input("a", "1")), None);
    journal.remove().await.unwrap();
}
