//! Listings of a store in memory.

use object_store::PutPayload;

use super::*;

async fn store(objects: &[(&str, &str)]) -> Store {
    let store = Store::memory();
    for (key, bytes) in objects {
        let path = Path::parse(key).unwrap();
        store.objects.put(&path, PutPayload::from(bytes.to_string())).await.unwrap();
    }
    store
}

/// What is found, as text: `key -> output`, `key: reason`, or a warning.
async fn listed(store: Store, source: Source) -> Result<Vec<String>, String> {
    listed_for(&store, source, "out", true).await
}

/// The same, with outputs elsewhere.
async fn listed_for(
    store: &Store,
    source: Source,
    outputs: &str,
    are_beside_inputs: bool,
) -> Result<Vec<String>, String> {
    let outputs = Outputs { prefix: Path::parse(outputs).unwrap(), are_beside_inputs };
    let begun = Listing::begin(store, "b", &source, outputs).await;
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

/// What transforms keep is no input, unless the prefix names it.
#[test]
fn what_transforms_keep_is_passed_over() {
    run(async {
        let kept = [
            ("in/_clary/job/segment-00000001.jsonl", "1"),
            ("in/a/_clary/job/shares/x.csv.out.00000-of-00002", "1"),
            ("in/a/x.csv", "1"),
            ("in/a_clary/x", "1"),
            ("in/b/_clary", "1"),
        ];
        let found = listed(store(&kept).await, Source::Prefix("in/".to_owned())).await.unwrap();
        assert_eq!(
            found,
            [
                "in/a/x.csv -> out/a/x.csv.out",
                "in/a_clary/x -> out/a_clary/x.out",
                "in/b/_clary -> out/b/_clary.out"
            ]
        );
        let found = listed(store(&kept).await, Source::Prefix("in/_clary/".to_owned())).await.unwrap();
        assert_eq!(found.len(), 1);
    });
}

/// Of a prefix that ends in a name, outputs may be beside the inputs.
#[test]
fn outputs_of_earlier_runs_are_no_inputs() {
    run(async {
        let store = store(&[
            ("in/x.csv", "1"),
            ("in/x.csv.out", "1"),
            ("in/x2.csv", "1"),
            ("in/x2.csv.out", "1"),
            ("in/x3.out", "1"),
        ])
        .await;
        let check = async |prefix: &str, outputs: &str, are_beside_inputs, expected: &[&str]| {
            let found =
                listed_for(&store, Source::Prefix(prefix.to_owned()), outputs, are_beside_inputs).await;
            assert_eq!(found.unwrap(), expected, "{prefix} {outputs} {are_beside_inputs}");
        };
        check(
            "in/x",
            "in",
            true,
            &[
                "in/x.csv -> in/x.csv.out",
                "outputs of earlier runs stand below the prefix, in/x.csv.out first: they are not read",
                "in/x2.csv -> in/x2.csv.out",
                "in/x3.out -> in/x3.out.out",
            ],
        )
        .await;
        let all = ["in/x.csv -> in/x.csv.out", "in/x.csv.out -> in/x.csv.out.out"];
        check("in/x.csv", "in", false, &all).await;
        check(
            "in/x.csv",
            "other",
            true,
            &["in/x.csv -> other/x.csv.out", "in/x.csv.out -> other/x.csv.out.out"],
        )
        .await;
    });
}

#[test]
fn no_output_is_written_over_an_input_of_a_manifest() {
    run(async {
        let text = r#"[{"prefix":"s3://b/in/"},"a","a.out","b"]"#;
        let objects = [("in/a", "1"), ("in/a.out", "1"), ("in/b", "1"), ("m", text)];
        let source = || Source::Manifest(Path::parse("m").unwrap());
        let store = store(&objects).await;
        let found = listed_for(&store, source(), "in", true).await.unwrap();
        assert_eq!(
            found,
            [
                "in/a: expected an output that is none of the inputs, found that the manifest lists a.out, over which \
                 it would be written",
                "in/a.out -> in/a.out.out",
                "in/b -> in/b.out",
            ]
        );
        assert_eq!(listed_for(&store, source(), "in", false).await.unwrap()[0], "in/a -> in/a.out");
        assert_eq!(listed_for(&store, source(), "out", true).await.unwrap()[0], "in/a -> out/a.out");
    });
}
