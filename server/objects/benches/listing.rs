//! How long lists of many keys take, in pages of a thousand.

use std::sync::Arc;

use divan::{Bencher, black_box};
use object_store::{ObjectStoreExt, PutPayload};
use objects::{Directory, ListQuery};
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

/// A store of `count` empty objects below a hundred folders. They are copies of one, which is the fastest way to many.
fn filled(count: usize) -> (Runtime, tempfile::TempDir, Arc<Directory>) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let store = Directory::open(scratch.path()).expect("a store");
    runtime.block_on(async {
        store.create_bucket("bucket", "").await.expect("a bucket");
        let bucket = store.bucket("bucket");
        bucket.put(&"folder-00/first".into(), PutPayload::new()).await.expect("an object");
        let copies = futures_util::stream::iter(1..count).map(|number| {
            let (bucket, key) = (Arc::clone(&bucket), format!("folder-{:02}/key-{number:06}", number % 100));
            async move { bucket.copy(&"folder-00/first".into(), &key.as_str().into()).await }
        });
        use futures_util::{StreamExt, TryStreamExt};
        copies.buffer_unordered(8).try_collect::<Vec<_>>().await.expect("copies");
    });
    (runtime, scratch, store)
}

fn pages(runtime: &Runtime, store: &Arc<Directory>, delimiter: &str) -> usize {
    let mut query = ListQuery { delimiter: delimiter.to_owned(), limit: 1000, ..ListQuery::default() };
    let mut entries = 0;
    loop {
        let page = runtime.block_on(store.list("bucket", query.clone())).expect("a page");
        entries += page.objects.len() + page.prefixes.len();
        query.after = page.next;
        if query.after.is_none() {
            return entries;
        }
    }
}

#[divan::bench(args = [10_000, 100_000], sample_count = 5)]
fn all_keys(bencher: Bencher<'_, '_>, count: usize) {
    let (runtime, _scratch, store) = filled(count);
    bencher.bench(|| assert_eq!(pages(&runtime, &store, black_box("")), count));
}

#[divan::bench(args = [100_000], sample_count = 5)]
fn folders(bencher: Bencher<'_, '_>, count: usize) {
    let (runtime, _scratch, store) = filled(count);
    bencher.bench(|| assert_eq!(pages(&runtime, &store, black_box("/")), 100));
}

#[divan::bench(args = [100_000], sample_count = 3)]
fn opening(bencher: Bencher<'_, '_>, count: usize) {
    let (_runtime, scratch, store) = filled(count);
    drop(store);
    bencher.bench(|| Directory::open(black_box(scratch.path())).expect("a store"));
}
