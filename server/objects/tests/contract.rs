//! The contract of `object_store`, as its own suite has it, held by a bucket of the store.

#![expect(clippy::unwrap_used, reason = "tests: a failure is the finding, and bodies are ours")]

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::integration;
use objects::Directory;

async fn with_bucket<F: Future<Output = ()>>(check: impl FnOnce(Arc<dyn ObjectStore>) -> F) {
    let scratch = tempfile::tempdir().unwrap();
    let store = Directory::open(scratch.path()).unwrap();
    store.create_bucket("bucket", "").await.unwrap();
    check(store.bucket("bucket")).await;
}

macro_rules! contract {
    ($($name:ident($store:ident) => $check:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            with_bucket(|$store| async move { $check.await }).await;
        })*
    };
}

contract! {
    put_get_delete_list(store) => integration::put_get_delete_list(&store);
    attributes(store) => integration::put_get_attributes(&store);
    conditional_gets(store) => integration::get_opts(&store);
    conditional_puts(store) => integration::put_opts(&store, true);
    streams(store) => integration::stream_get(&store);
    directories(store) => integration::list_uses_directories_correctly(&store);
    delimiters(store) => integration::list_with_delimiter(&store);
    offsets(store) => integration::list_with_offset_exclusivity(&store);
    renames_and_copies(store) => integration::rename_and_copy(&store);
    copies_if_absent(store) => integration::copy_if_not_exists(&store);
    copies_of_nothing(store) => integration::copy_rename_nonexistent_object(&store);
    races_of_uploads(store) => integration::multipart_race_condition(&store, true);
    uploads_out_of_order(store) => integration::multipart_out_of_order(&store);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let scratch = tempfile::tempdir().unwrap();
    let store = Directory::open(scratch.path()).unwrap();
    let found = store.bucket("absent").get_opts(&"key".into(), object_store::GetOptions::default()).await;
    assert!(matches!(found, Err(object_store::Error::NotFound { .. })), "{found:?}");
}
