//! How long lists of many keys take, in pages of a thousand.

use std::sync::{Arc, LazyLock};

use divan::{Bencher, black_box};
use futures_util::{StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, PutPayload};
use objects::{Directory, ListQuery};
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

/// A store, what it lies in, and the runtime that it is asked on.
type Filled = (Runtime, tempfile::TempDir, Arc<Directory>);

/// A store of `count` empty objects below a hundred folders. They are copies of one, which is the fastest way to many.
fn filled(count: usize) -> Filled {
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

/// The two stores, filled once.
static SMALL: LazyLock<Filled> = LazyLock::new(|| filled(10_000));
static LARGE: LazyLock<Filled> = LazyLock::new(|| filled(100_000));

#[divan::bench(args = [10_000, 100_000], sample_count = 5)]
fn all_keys(bencher: Bencher<'_, '_>, count: usize) {
    let (runtime, _, store) = if count == 10_000 { &*SMALL } else { &*LARGE };
    bencher.bench(|| assert_eq!(pages(runtime, store, black_box("")), count));
}

#[divan::bench(sample_count = 5)]
fn a_hundred_folders_of_a_hundred_thousand_keys(bencher: Bencher<'_, '_>) {
    let (runtime, _, store) = &*LARGE;
    bencher.bench(|| assert_eq!(pages(runtime, store, black_box("/")), 100));
}
