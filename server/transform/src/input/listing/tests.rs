//! Listings of a store in memory.

use object_store::PutPayload;
use object_store::memory::InMemory;

use super::*;

async fn store(objects: &[(&str, &str)]) -> Arc<dyn ObjectStore> {
    let store = InMemory::new();
    for (key, bytes) in objects {
        let path = Path::parse(key).unwrap();
        store.put(&path, PutPayload::from(bytes.to_string())).await.unwrap();
    }
    Arc::new(store)
}

/// What is found, as text: `key -> output`, `key: reason`, or a warning.
async fn listed(store: Arc<dyn ObjectStore>, source: Source) -> Result<Vec<String>, String> {
    let output = Path::parse("out").unwrap();
    let begun = Listing::begin(store, "b", &source, output).await;
    let mut listing = begun.map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    while let Some(next) = listing.next().await.map_err(|error| error.to_string())? {
        found.push(match next {
            Found::Object(object) => format!("{} -> {}", object.path, object.output),
            Found::Unusable { key, reason } => format!("{key}: {reason}"),
            Found::Warning(message) => message,
        });
    }
    Ok(found)
}

const KEYS: [(&str, &str); 7] = [
    ("in/a/x.csv", "1"),
    ("in/a+b c%20ü.csv", "1"),
    ("in/test", "1"),
    ("in/test/1", "1"),
    ("in/test_small/1", "1"),
    ("in/tesu", "1"),
    ("other", ""),
];

#[track_caller]
fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
}

async fn check(prefix: &str, expected: &[&str]) {
    let mut found = listed(store(&KEYS).await, Source::Prefix(prefix.to_owned())).await.unwrap();
    found.sort();
    assert_eq!(found, expected, "{prefix:?}");
}

#[test]
fn a_prefix_is_a_string() {
    run(async {
        check("in/a/", &["in/a/x.csv -> out/x.csv.out"]).await;
        check("in/a/x.csv", &["in/a/x.csv -> out/x.csv.out"]).await;
        check("in/a", &["in/a+b c%20ü.csv -> out/a+b c%20ü.csv.out", "in/a/x.csv -> out/a/x.csv.out"]).await;
        check("other", &["other -> out/other.out"]).await;
        check("o", &["other -> out/other.out"]).await;
        check("in/tesu", &["in/tesu -> out/tesu.out"]).await;
        check("in/none", &[]).await;
        check("none/", &[]).await;
        check(
            "in/test",
            &[
                "in/test -> out/test.out",
                "in/test/1 -> out/test/1.out",
                "in/test_small/1 -> out/test_small/1.out",
                "the prefix in/test does not end in / and matches several folders: in/test/ and in/test_small/ \
                 are both read",
            ],
        )
        .await;
    });
}

#[test]
fn all_of_a_bucket() {
    run(async {
        let found = listed(store(&KEYS).await, Source::Prefix(String::new())).await.unwrap();
        assert_eq!(found.len(), KEYS.len());
    });
}

#[test]
fn one_object_is_without_its_siblings() {
    run(async {
        let one =
            async |key: &str| listed(store(&KEYS).await, Source::Object(Path::parse(key).unwrap())).await;
        assert_eq!(one("in/test").await.unwrap(), ["in/test -> out/test.out"]);
        assert_eq!(one("other").await.unwrap(), ["other -> out/other.out"]);
    });
}

async fn manifest(text: &str) -> Result<Vec<String>, String> {
    let mut objects = KEYS.to_vec();
    objects.push(("m", text));
    listed(store(&objects).await, Source::Manifest(Path::parse("m").unwrap())).await
}

#[test]
fn a_manifest_in_its_order() {
    run(async {
        let found = manifest(r#"[{"prefix":"s3://b/in/"},"tesu","a/x.csv","gone","tesu","a//b","a/"]"#).await;
        assert_eq!(
            found.unwrap(),
            [
                "the manifest lists 1 keys more than once: each is processed once",
                "in/tesu -> out/tesu.out",
                "in/a/x.csv -> out/a/x.csv.out",
                "in/gone: the manifest lists it, and there is no such object",
                "in/a//b: Path \"in/a//b\" contained empty path segment",
                "in/a/: expected a key without a slash at its start or end",
            ]
        );
        let found = manifest(r#"[{"prefix":"s3://b/in/te"},"su"]"#).await;
        assert_eq!(found.unwrap(), ["in/tesu -> out/su.out"]);
    });
}

#[test]
fn a_manifest_that_is_none() {
    run(async {
        let error = manifest(r#"[{"prefix":"s3://c/in/"},"tesu"]"#).await.unwrap_err();
        assert_eq!(error, "manifest m: expected objects of its own bucket b, found c");
        let error = manifest("[").await.unwrap_err();
        assert!(error.starts_with("m: manifest, line 1, column 1: "), "{error}");
        let missing =
            listed(store(&[]).await, Source::Manifest(Path::parse("m").unwrap())).await.unwrap_err();
        assert!(missing.starts_with("manifest m: "), "{missing}");
    });
}

/// A store that is asked for a folder's marker by the key that it is listed under has no such object.
#[test]
fn empty_objects_are_inputs_and_markers_are_not() {
    run(async {
        let store = store(&[("in/empty", "")]).await;
        assert!(!is_marker(&store, &Path::parse("in/empty").unwrap()).await.unwrap());
        assert!(is_marker(&store, &Path::parse("in/folder").unwrap()).await.unwrap());
    });
}

#[test]
fn a_key_without_a_name_is_that_objects_failure() {
    let check = |prefix: &str, key: &str, expected: bool| {
        let error = Path::parse(key).unwrap_err();
        let reason = error.to_string();
        let found = unnameable(prefix, error);
        assert_eq!(found, expected.then(|| Found::Unusable { key: key.to_owned(), reason }), "{key}");
    };
    check("in/", "in/a//b", true);
    check("in/", "in/../b", true);
    check("in/", "other//b", false);
}
