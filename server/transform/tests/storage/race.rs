//! Writers of one output side by side: one is accepted, and nobody's bytes are lost unseen.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attribute, GetOptions, ObjectStoreExt, PutPayload};
use transform::Store;
use transform::journal::Journal;
use transform::upload::{WriteError, Writer};

use crate::script::{OUTPUT, Script, put_old};

async fn written(script: &Script, store: &Store) -> Writer {
    let target = script.target(store.clone(), Journal::nowhere());
    let mut writer = Writer::begin(target, None).await.unwrap();
    for (start, pieces) in &script.runs {
        for piece in pieces {
            writer.write(piece.clone(), *start).await.unwrap();
        }
    }
    writer
}

fn parts() -> Script {
    Script::new(16, &[vec![40], vec![9]])
}

fn small() -> Script {
    Script::new(100, &[vec![40], vec![9]])
}

async fn with_each<F: Future<Output = ()>>(check: impl Fn(Store, Script) -> F) {
    for script in [parts(), small()] {
        check(Store::memory(), script.clone()).await;
        let scratch = tempfile::tempdir().unwrap();
        check(Store::directory(scratch.path()).unwrap(), script).await;
    }
}

async fn standing(store: &Store) -> Bytes {
    store.objects.get(&Path::from(OUTPUT)).await.unwrap().bytes().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_another_wrote_meanwhile_stays() {
    with_each(|store, script| async move {
        for has_old in [false, true] {
            let other = format!("another's, {has_old}");
            if has_old {
                put_old(&store).await;
            }
            let mut writer = written(&script, &store).await;
            store.objects.put(&Path::from(OUTPUT), PutPayload::from(other.clone())).await.unwrap();
            let refused = writer.finish(script.end).await;
            assert!(matches!(refused, Err(WriteError::Conflict { .. })), "{refused:?}");
            writer.abort().await.unwrap();
            assert_eq!(standing(&store).await, other);
            assert_eq!(store.uploads.unfinished("").await.unwrap(), []);
            store.objects.delete(&Path::from(OUTPUT)).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_output_that_was_deleted_meanwhile_is_not_made_again() {
    with_each(|store, script| async move {
        put_old(&store).await;
        let mut writer = written(&script, &store).await;
        store.objects.delete(&Path::from(OUTPUT)).await.unwrap();
        let refused = writer.finish(script.end).await;
        assert!(matches!(refused, Err(WriteError::Conflict { .. })), "{refused:?}");
        writer.abort().await.unwrap();
        assert!(store.objects.head(&Path::from(OUTPUT)).await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_of_a_small_output_are_as_good() {
    let (store, script) = (Store::memory(), small());
    let (mut one, mut two) = (written(&script, &store).await, written(&script, &store).await);
    let (one, two) = (one.finish(script.end).await.unwrap(), two.finish(script.end).await.unwrap());
    assert_eq!(one, two);
    script.check(&store, "two writers").await;
}

#[tokio::test(start_paused = true)]
async fn of_two_writers_in_parts_one_is_accepted() {
    let (store, script) = (Store::memory(), parts());
    let mut one = written(&script, &store).await;
    let target = script.target(store.clone(), Journal::nowhere());
    let mut two = Writer::begin(target, None).await.unwrap();
    // The second takes over when it begins its upload.
    let all = script.bytes();
    two.write(all, script.runs[0].0).await.unwrap();
    let taken = one.finish(script.end).await;
    assert!(matches!(taken, Err(WriteError::Gone { .. })), "{taken:?}");
    one.abort().await.unwrap();
    two.finish(script.end).await.unwrap();
    script.check(&store, "two writers").await;
}

#[tokio::test(start_paused = true)]
async fn an_output_in_parts_has_its_content_type() {
    let (store, script) = (Store::memory(), parts());
    written(&script, &store).await.finish(script.end).await.unwrap();
    let options = GetOptions::new().with_head(true);
    let found = store.objects.get_opts(&Path::from(OUTPUT), options).await.unwrap();
    assert_eq!(found.attributes.get(&Attribute::ContentType).unwrap().as_ref(), "text/csv");
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_removed() {
    with_each(|store, script| async move {
        let old = put_old(&store).await;
        written(&script, &store).await.abort().await.unwrap();
        assert_eq!(store.uploads.unfinished("").await.unwrap(), []);
        assert_eq!(standing(&store).await, old);
    })
    .await;
}
