//! Uploads in parts by their ids, and who may complete them over what.

#![expect(clippy::unwrap_used, reason = "tests: a failure is the finding, and bodies are ours")]

use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use objects::{Bucket, Directory};

struct Scratch {
    bucket: Bucket,
    _folder: tempfile::TempDir,
}

async fn scratch() -> Scratch {
    let folder = tempfile::tempdir().unwrap();
    let store = Directory::open(folder.path()).unwrap();
    store.create_bucket("bucket", "").await.unwrap();
    Scratch { bucket: Bucket::new(&store, "bucket"), _folder: folder }
}

async fn uploaded(bucket: &Bucket, path: &Path, parts: &[&'static str]) -> (String, Vec<PartId>) {
    let id = bucket.create_multipart(path).await.unwrap();
    let mut stored = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        stored.push(bucket.put_part(path, &id, index, PutPayload::from(*part)).await.unwrap());
    }
    (id, stored)
}

async fn unfinished(bucket: &Bucket, prefix: &str) -> Vec<String> {
    let found = bucket.unfinished_uploads(prefix).await.unwrap();
    found.into_iter().map(|(path, _)| path.to_string()).collect()
}

#[tokio::test]
async fn unfinished_uploads_are_listed_by_prefix() {
    let scratch = scratch().await;
    for key in ["out/a.out", "out/b.out", "outer", "x"] {
        scratch.bucket.create_multipart(&Path::from(key)).await.unwrap();
    }
    let check = async |prefix: &str, expected: &[&str]| {
        assert_eq!(unfinished(&scratch.bucket, prefix).await, expected, "{prefix}");
    };
    check("out/", &["out/a.out", "out/b.out"]).await;
    check("out", &["out/a.out", "out/b.out", "outer"]).await;
    check("out/a.out", &["out/a.out"]).await;
    check("", &["out/a.out", "out/b.out", "outer", "x"]).await;
    check("z", &[]).await;
}

#[tokio::test]
async fn more_uploads_than_a_page_are_listed() {
    let scratch = scratch().await;
    for number in 0..1003 {
        scratch.bucket.create_multipart(&Path::from(format!("key-{number:04}"))).await.unwrap();
    }
    let found = unfinished(&scratch.bucket, "key-").await;
    assert_eq!((found.len(), found[1002].as_str()), (1003, "key-1002"));
}

#[tokio::test]
async fn completions_hold_over_what_is_expected() {
    let scratch = scratch().await;
    let (bucket, path) = (&scratch.bucket, Path::from("key"));
    let over =
        |e_tag: &Option<String>| PutMode::Update(UpdateVersion { e_tag: e_tag.clone(), version: None });
    let complete = async |mode: &PutMode| {
        let (id, parts) = uploaded(bucket, &path, &["one,", "two"]).await;
        let completed = bucket.complete_upload_if(&path, &id, parts, mode).await;
        if completed.is_err() {
            bucket.abort_multipart(&path, &id).await.unwrap();
        }
        completed
    };
    let absent = complete(&over(&Some("\"none\"".into()))).await;
    assert!(matches!(absent, Err(Error::Precondition { .. })), "{absent:?}");
    let first = complete(&PutMode::Create).await.unwrap();
    let again = complete(&PutMode::Create).await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
    let other = bucket.put(&path, PutPayload::from("other")).await.unwrap();
    let stale = complete(&over(&first.e_tag)).await;
    assert!(matches!(stale, Err(Error::Precondition { .. })), "{stale:?}");
    complete(&over(&other.e_tag)).await.unwrap();
    assert_eq!(bucket.get(&path).await.unwrap().bytes().await.unwrap(), "one,two");
    assert!(unfinished(bucket, "").await.is_empty());
}

#[tokio::test]
async fn a_repeated_completion_gets_the_first_answer() {
    let scratch = scratch().await;
    let (bucket, path) = (&scratch.bucket, Path::from("key"));
    let (id, parts) = uploaded(bucket, &path, &["one"]).await;
    let first = bucket.complete_upload_if(&path, &id, parts.clone(), &PutMode::Create).await.unwrap();
    let second = bucket.complete_upload_if(&path, &id, parts, &PutMode::Create).await.unwrap();
    assert_eq!(first.e_tag, second.e_tag);
    let gone = bucket.put_part(&path, &id, 1, PutPayload::from("two")).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}
