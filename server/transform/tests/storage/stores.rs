//! What stores add to `object_store`: unfinished uploads, and completions over what is expected.

use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
};
use transform::Store;
use transform::store::{Standing, UnfinishedUpload};
use transform::upload::PartSizes;

async fn with_each<F: Future<Output = ()>>(check: impl Fn(Store) -> F) {
    check(Store::memory()).await;
    let scratch = tempfile::tempdir().unwrap();
    check(Store::directory(scratch.path()).unwrap()).await;
}

async fn begun(store: &Store, path: &Path) -> String {
    let mut options = PutMultipartOptions::default();
    options.extensions.insert(PartSizes::from_first(4));
    store.parts.create_multipart_opts(path, options).await.unwrap()
}

async fn uploaded(store: &Store, path: &Path) -> (String, Vec<PartId>) {
    let id = begun(store, path).await;
    let two = store.parts.put_part(path, &id, 1, PutPayload::from("two")).await.unwrap();
    let one = store.parts.put_part(path, &id, 0, PutPayload::from("one,")).await.unwrap();
    (id, vec![one, two])
}

async fn text(store: &Store, path: &Path) -> String {
    let bytes = store.objects.get(path).await.unwrap().bytes().await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn standing(store: &Store, path: &Path) -> Standing {
    Standing::of(store.objects.head(path).await.ok().as_ref())
}

#[tokio::test]
async fn unfinished_uploads_are_found_by_what_their_keys_begin_with() {
    with_each(|store| async move {
        let mut expected = Vec::new();
        for key in ["out/a.out", "out/deep/er/b.out", "outer.out", "x"] {
            let path = Path::from(key);
            let id = begun(&store, &path).await;
            expected.push(UnfinishedUpload { path, id });
        }
        let check = async |prefix: &str, expected: &[UnfinishedUpload]| {
            let mut found = store.uploads.unfinished(prefix).await.unwrap();
            found.sort_by(|one, other| one.path.cmp(&other.path));
            assert_eq!(found, expected, "{prefix}");
        };
        check("", &expected).await;
        check("out/", &expected[..2]).await;
        check("out/deep/e", &expected[1..2]).await;
        check("out", &expected[..3]).await;
        check("out/a.out", &expected[..1]).await;
        check("none/", &[]).await;
        let first = &expected[0];
        store.parts.abort_multipart(&first.path, &first.id).await.unwrap();
        check("out/", &expected[1..2]).await;
        let again = store.parts.abort_multipart(&first.path, &first.id).await;
        assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
        let late = store.parts.put_part(&first.path, &first.id, 0, PutPayload::from("late")).await;
        assert!(matches!(late, Err(Error::NotFound { .. })), "{late:?}");
    })
    .await;
}

#[tokio::test]
async fn a_completion_holds_over_what_is_expected() {
    with_each(|store| async move {
        let path = Path::from("folder/key");
        let (id, parts) = uploaded(&store, &path).await;
        assert_eq!(standing(&store, &path).await, Standing::Nothing, "parts are not seen");
        let stale = Standing::Version("\"stale\"".into());
        let refused = store.uploads.complete_if(&path, &id, parts.clone(), &stale).await;
        assert!(matches!(refused, Err(Error::Precondition { .. })), "{refused:?}");
        store.uploads.complete_if(&path, &id, parts, &Standing::Nothing).await.unwrap();
        assert_eq!(text(&store, &path).await, "one,two");
        let (id, parts) = uploaded(&store, &path).await;
        let refused = store.uploads.complete_if(&path, &id, parts.clone(), &Standing::Nothing).await;
        assert!(matches!(refused, Err(Error::AlreadyExists { .. })), "{refused:?}");
        let now = standing(&store, &path).await;
        let completed = store.uploads.complete_if(&path, &id, parts, &now).await.unwrap();
        assert_eq!(standing(&store, &path).await, Standing::Version(completed.e_tag.unwrap()));
        assert_eq!(store.uploads.unfinished("").await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn puts_hold_over_what_is_expected() {
    with_each(|store| async move {
        let path = Path::from("key");
        let put = async |text: &'static str, standing: &Standing| {
            let mut attributes = Attributes::new();
            attributes.insert(Attribute::ContentType, "text/csv".into());
            let options = PutOptions { attributes, ..PutOptions::from(standing.put_mode()) };
            store.objects.put_opts(&path, PutPayload::from(text), options).await
        };
        put("first", &Standing::Nothing).await.unwrap();
        let refused = put("second", &Standing::Nothing).await;
        assert!(matches!(refused, Err(Error::AlreadyExists { .. })), "{refused:?}");
        let refused = put("second", &Standing::Version("\"stale\"".into())).await;
        assert!(matches!(refused, Err(Error::Precondition { .. })), "{refused:?}");
        let now = standing(&store, &path).await;
        put("second", &now).await.unwrap();
        assert_eq!(text(&store, &path).await, "second");
    })
    .await;
}

#[tokio::test]
async fn files_of_parts_are_no_objects() {
    let scratch = tempfile::tempdir().unwrap();
    let store = Store::directory(scratch.path()).unwrap();
    let path = Path::from("out/key");
    let (id, _) = uploaded(&store, &path).await;
    let names: Vec<_> = std::fs::read_dir(scratch.path().join("out")).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(names[0].as_ref().unwrap().file_name().to_str().unwrap(), format!(".key.{id}.part"));
    let listed: Vec<_> = futures_util::StreamExt::collect(store.objects.list(None)).await;
    assert!(listed.is_empty(), "{listed:?}");
    assert_eq!(store.objects.list_with_delimiter(Some(&Path::from("out"))).await.unwrap().objects, []);
}

#[tokio::test]
async fn a_directory_refuses_what_are_not_its_parts() {
    let scratch = tempfile::tempdir().unwrap();
    let store = Store::directory(scratch.path()).unwrap();
    let path = Path::from("key");
    let (id, mut parts) = uploaded(&store, &path).await;
    for (part, wrong) in [(0, "3"), (0, "5"), (1, "5"), (1, "x"), (1, "-1")] {
        let right = std::mem::replace(&mut parts[part], PartId { content_id: wrong.into() });
        let refused = store.parts.complete_multipart(&path, &id, parts.clone()).await;
        let message = refused.expect_err(wrong).to_string();
        assert!(message.contains(&format!("part {}: expected 4 bytes", part + 1)), "{message}");
        parts[part] = right;
    }
    for id in ["", "x", "../../../etc", "0123456789abcdef-", "0123456789abcdef"] {
        let refused = store.parts.abort_multipart(&path, &id.to_owned()).await;
        assert!(matches!(refused, Err(Error::NotFound { .. })), "{id}: {refused:?}");
    }
    store.parts.complete_multipart(&path, &id, parts).await.unwrap();
    assert_eq!(text(&store, &path).await, "one,two");
    assert!(Store::directory(&scratch.path().join("none")).is_err());
}

#[tokio::test]
async fn a_shorter_last_part_replaces_a_longer_one() {
    let scratch = tempfile::tempdir().unwrap();
    let store = Store::directory(scratch.path()).unwrap();
    let path = Path::from("key");
    let (id, mut parts) = uploaded(&store, &path).await;
    parts[1] = store.parts.put_part(&path, &id, 1, PutPayload::from("2")).await.unwrap();
    let overwrite = Standing::Unversioned;
    assert_eq!(overwrite.put_mode(), PutMode::Overwrite);
    store.parts.complete_multipart(&path, &id, parts).await.unwrap();
    assert_eq!(text(&store, &path).await, "one,2");
}
