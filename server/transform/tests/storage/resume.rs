//! Going on with an output after any number of its runs, whatever their sizes.

use bytes::Bytes;
use proptest::prelude::*;
use transform::Store;
use transform::batch::Position;
use transform::journal::{Journal, Place};
use transform::upload::{WriteError, Writer};

use crate::script::Script;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Writes `runs` of them, stops, and lets another process go on.
async fn stop_and_go_on(script: &Script, runs: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (store, place) = (Store::memory(), Place::File(folder.path().join("journal")));
    let (journal, _) = Journal::open(place.clone(), "job", "settings").await.unwrap();
    let mut writer = Writer::begin(script.target(store.clone(), journal), None).await.unwrap();
    for (start, pieces) in &script.runs[..runs] {
        for piece in pieces {
            writer.write(piece.clone(), *start).await.unwrap();
        }
    }
    writer.suspend().await.unwrap();
    let (journal, done) = Journal::open(place.clone(), "job", "settings").await.unwrap();
    let stored: usize = script.runs[..runs].iter().flat_map(|(_, pieces)| pieces).map(Bytes::len).sum();
    let resume = done.resume(&script.object);
    assert_eq!(resume.is_some(), stored as u64 >= script.part_bytes, "{stored}");
    if let Some(resume) = &resume {
        assert!(resume.bytes() + script.part_bytes > stored as u64, "all whole parts are stored");
        assert!(resume.position().record < runs as u64, "at most the run that straddles is done again");
    }
    drop((journal, done));
    script.run(&store, place, async || {}).await.unwrap();
    script.check(&store, "resumed").await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_stop_can_be_gone_on_from(
        answers in prop::collection::vec(prop::collection::vec(0_usize..90, 1..4), 1..12),
        part_bytes in 1_u64..120,
        share in 0.0..1.0,
    ) {
        let script = Script::new(part_bytes, &answers);
        let runs = (answers.len() as f64 * share) as usize;
        block_on(stop_and_go_on(&script, runs));
    }
}

/// A writer that goes on with 40 bytes of parts of 16, the third of which ends 8 bytes into the third run's answer.
async fn resumed(script: &Script, store: &Store, place: &Place) -> Writer {
    let (journal, _) = Journal::open(place.clone(), "job", "settings").await.unwrap();
    let mut writer = Writer::begin(script.target(store.clone(), journal), None).await.unwrap();
    for (start, pieces) in &script.runs {
        writer.write(pieces[0].clone(), *start).await.unwrap();
    }
    writer.suspend().await.unwrap();
    let (journal, done) = Journal::open(place.clone(), "job", "settings").await.unwrap();
    let resume = done.resume(&script.object).unwrap();
    assert_eq!((resume.bytes(), resume.position()), (48, Position { byte: 20, record: 2 }));
    Writer::begin(script.target(store.clone(), journal), Some(resume)).await.unwrap()
}

#[tokio::test]
async fn answers_that_differ_are_refused() {
    let script = Script::new(16, &[vec![20], vec![20], vec![20]]);
    let third = script.runs[2].0;
    let later = Position { byte: 30, record: 3 };
    let check = async |answers: &[(&'static [u8], Position)]| {
        let folder = tempfile::tempdir().unwrap();
        let (store, place) = (Store::memory(), Place::File(folder.path().join("journal")));
        let mut writer = resumed(&script, &store, &place).await;
        let mut result = Ok(());
        for (answer, start) in answers {
            result = writer.write(Bytes::from_static(answer), *start).await;
        }
        if result.is_ok() {
            result = writer.finish(script.end).await.map(drop);
        }
        assert!(matches!(result, Err(WriteError::Unlike { .. })), "{answers:?}: {result:?}");
        writer.abort().await.unwrap();
        assert_eq!(store.uploads.unfinished("").await.unwrap(), []);
    };
    check(&[]).await;
    check(&[(b"short", third)]).await;
    check(&[(b"short", third), (b"another run", later)]).await;
    check(&[(b"not this run", later)]).await;
}

#[tokio::test]
async fn an_upload_that_is_gone_is_begun_anew() {
    let script = Script::new(16, &[vec![20], vec![20], vec![20]]);
    let folder = tempfile::tempdir().unwrap();
    let (store, place) = (Store::memory(), Place::File(folder.path().join("journal")));
    drop(resumed(&script, &store, &place).await);
    for upload in store.uploads.unfinished("").await.unwrap() {
        store.parts.abort_multipart(&upload.path, &upload.id).await.unwrap();
    }
    let (journal, done) = Journal::open(place.clone(), "job", "settings").await.unwrap();
    let target = script.target(store.clone(), journal);
    let writer = Writer::begin(target, done.resume(&script.object)).await.unwrap();
    assert_eq!(writer.position(), Position::default());
    drop((writer, done));
    script.run(&store, place, async || {}).await.unwrap();
    script.check(&store, "anew").await;
}

#[tokio::test]
async fn other_part_sizes_begin_anew_and_leave_nothing() {
    let script = Script::new(16, &[vec![20], vec![20], vec![20]]);
    let folder = tempfile::tempdir().unwrap();
    let (store, place) = (Store::memory(), Place::File(folder.path().join("journal")));
    drop(resumed(&script, &store, &place).await);
    let other = Script { part_bytes: 7, ..script };
    other.run(&store, place, async || {}).await.unwrap();
    other.check(&store, "other sizes").await;
}

#[tokio::test]
async fn another_version_of_the_input_begins_anew() {
    let script = Script::new(16, &[vec![20], vec![20], vec![20]]);
    let folder = tempfile::tempdir().unwrap();
    let (store, place) = (Store::memory(), Place::File(folder.path().join("journal")));
    drop(resumed(&script, &store, &place).await);
    let mut changed = script.clone();
    changed.object.e_tag = Some("\"changed\"".into());
    let (_journal, done) = Journal::open(place.clone(), "job", "settings").await.unwrap();
    assert!(done.resume(&script.object).is_some());
    assert_eq!(done.resume(&changed.object), None);
    drop((_journal, done));
    changed.run(&store, place, async || {}).await.unwrap();
    changed.check(&store, "changed").await;
}
