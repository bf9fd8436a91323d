//! Artifacts of every shape: what they are taken for, what is assumed, what is refused, and the digest.

use std::fs;
use std::path::{Path, PathBuf};

use dmatrix::{DMatrix, Predictions};
use models::kmeans::Kmeans;
use models::linear_learner::LinearLearner;
use models::manifest::PredictorType;
use models::{Algorithm, Artifact, Input, LoadError, LoadOptions, Manifest, Model, archive};

/// A scratch folder with room for artifacts beside it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, bytes).expect("a file");
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, name: &str) -> Result<Artifact, LoadError> {
        Artifact::open(&self.path(name), &self.path("scratch"))
    }

    fn load(&self, name: &str) -> Result<Box<dyn Model>, LoadError> {
        self.open(name)?.load(&LoadOptions::default())
    }

    /// Asserts that what `name` names is refused with a message that holds `reason`.
    #[track_caller]
    fn check_refused(&self, name: &str, reason: &str) {
        let error = self.load(name).expect_err("a refusal").to_string();
        assert!(error.contains(reason), "expected {reason:?} in {error:?}");
    }

    fn directory(&self, folder: &str, manifest: &[u8], members: &[(String, Vec<u8>)]) {
        self.write(&format!("{folder}/manifest.json"), manifest);
        for (name, bytes) in members {
            self.write(&format!("{folder}/{name}"), bytes);
        }
    }
}

type Members = Vec<(String, Vec<u8>)>;

fn kmeans() -> (Manifest, Members) {
    let mut manifest = Manifest::new(Algorithm::Kmeans);
    manifest.feature_dim = Some(2);
    manifest.k = Some(3);
    let model = Kmeans::new(&manifest, vec![0.0, 0.0, 10.0, 0.0, 0.0, 10.0], 2).expect("a model");
    let members = model.to_members(&[4.0, 5.0, 6.0]);
    (manifest, members)
}

fn linear() -> (Manifest, Members) {
    let mut manifest = Manifest::new(Algorithm::LinearLearner);
    manifest.predictor_type = Some(PredictorType::Regressor);
    manifest.features = vec!["age".into(), "height".into()];
    let members = LinearLearner::new(&manifest, vec![2.0, -1.0], vec![0.5]).expect("a model").to_members();
    (manifest, members)
}

fn score(model: &dyn Model, rows: Vec<f32>, columns: usize) -> Vec<Vec<f32>> {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(&DMatrix::from_dense(rows, columns)), &mut predictions).expect("predictions");
    predictions.fields().iter().map(|field| field.values.clone()).collect()
}

/// An MXNet array list of one matrix.
fn mxnet(sides: &[i64], values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0x112_u64, 0, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for word in [0xF993_FAC9_u32, 0, sides.len() as u32] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(sides.iter().flat_map(|side| side.to_le_bytes()));
    for word in [1_u32, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend(0_u64.to_le_bytes());
    bytes
}

#[test]
fn a_directory_loads_and_scores() {
    let place = Place::new();
    let (manifest, members) = kmeans();
    place.directory("model", &manifest.to_json(), &members);
    place.write("model/.DS_Store", b"hidden files are passed over");
    place.write("model/code/inference.py", b"pass");
    let artifact = place.open("model").expect("an artifact");
    assert_eq!(artifact.manifest().algorithm, Algorithm::Kmeans);
    assert_eq!(artifact.assumptions(), [] as [&str; 0]);
    let names: Vec<_> = artifact.members().iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["code/inference.py", "manifest.json", "model.safetensors"]);
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    assert_eq!(score(&*model, vec![1.0, 0.0, 3.0, 10.0], 2), [[0.0, 2.0], [1.0, 3.0]]);
    assert!(model.memory_bytes() >= 24);
}

#[test]
fn an_archive_is_what_was_packed_and_leaves_nothing() {
    let place = Place::new();
    let (manifest, members) = linear();
    let packed = archive::pack(&manifest, &members, Vec::new()).expect("an archive");
    assert_eq!(packed, archive::pack(&manifest, &members, Vec::new()).expect("an archive"), "reproducible");
    place.write("model.tar.gz", &packed);
    let artifact = place.open("model.tar.gz").expect("an artifact");
    assert_eq!(artifact.manifest().sha256.keys().collect::<Vec<_>>(), ["model.safetensors"]);
    assert_eq!(fs::read_dir(place.path("scratch")).expect("scratch").count(), 1);
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    assert_eq!(model.signature().feature_names, ["age", "height"]);
    assert_eq!(score(&*model, vec![3.0, 1.0], 2), [[5.5]]);
    drop(artifact);
    assert_eq!(fs::read_dir(place.path("scratch")).expect("scratch").count(), 0);
}

#[test]
fn what_is_packed_has_plain_names_once() {
    let (manifest, _) = kmeans();
    for (names, reason) in [
        (&["../x"][..], "without the part \"..\""),
        (&["./x"], "expected \"x\", the same name in plain form"),
        (&["x", "x"], "expected each name once"),
        (&["manifest.json"], "expected each name once"),
    ] {
        let members: Members = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        let error = archive::pack(&manifest, &members, Vec::new()).expect_err("a refusal").to_string();
        assert!(error.contains(reason), "expected {reason:?} in {error:?}");
    }
}

#[test]
fn archives_of_real_tools_load() {
    let place = Place::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the archives") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "gz") {
            let artifact = Artifact::open(&path, &place.path("scratch"))
                .unwrap_or_else(|error| panic!("{path:?}: {error}"));
            let model = artifact.load(&LoadOptions::default()).expect("a model");
            assert_eq!(score(&*model, vec![9.0, 0.0], 2), [[1.0], [1.0]], "{path:?}");
            count += 1;
        }
    }
    assert_eq!(count, 9);
}

#[test]
fn digests_are_those_of_the_bytes() {
    let place = Place::new();
    // Both digests are sha256sum's own: of the file, and of the line that of_directory documents.
    place.write("xgboost-model", b"abc");
    let file = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(place.open("xgboost-model").expect("an artifact").digest(), file);
    place.write("folder/xgboost-model", b"abc");
    let folder = place.open("folder").expect("an artifact").digest().to_owned();
    assert_eq!(folder, "ac0bfdcca6965a4298abed332aeec07c3e1b0558ea9b5dbdcd0005d80b4b9dca");
    place.write("folder/other", b"");
    assert_ne!(place.open("folder").expect("an artifact").digest(), folder);
    let (manifest, members) = kmeans();
    let packed = archive::pack(&manifest, &members, Vec::new()).expect("an archive");
    place.write("a.tar.gz", &packed);
    place.write("b/model.tgz", &packed);
    assert_eq!(place.open("a.tar.gz").expect("a").digest(), place.open("b/model.tgz").expect("b").digest());
}

#[test]
fn a_file_replaced_after_the_opening_is_refused() {
    let place = Place::new();
    let (manifest, members) = kmeans();
    place.directory("model", &manifest.to_json(), &members);
    let artifact = place.open("model").expect("an artifact");
    let mut bytes = members[0].1.clone();
    *bytes.last_mut().expect("bytes") ^= 1;
    place.write("model/model.safetensors", &bytes);
    let error = artifact.load(&LoadOptions::default()).expect_err("a refusal").to_string();
    assert!(error.starts_with("model.safetensors: changed after it was opened: expected sha256 "), "{error}");
    bytes.push(0);
    place.write("model/model.safetensors", &bytes);
    assert!(artifact.load(&LoadOptions::default()).is_err(), "longer");
    fs::remove_file(place.path("model/model.safetensors")).expect("the file");
    assert!(matches!(artifact.load(&LoadOptions::default()), Err(LoadError::Io { .. })), "gone");
}

#[test]
fn the_manifest_must_fit_the_members() {
    let place = Place::new();
    let (mut manifest, members) = kmeans();
    let wrong = "0".repeat(64);
    manifest.sha256.insert("model.safetensors".into(), wrong.clone());
    place.directory("wrong", &manifest.to_json(), &members);
    place.check_refused(
        "wrong",
        &format!("manifest.json: sha256[\"model.safetensors\"]: expected {wrong}, found "),
    );
    manifest.sha256 = [("gone.bin".to_owned(), wrong.clone())].into();
    place.directory("gone", &manifest.to_json(), &members);
    place.check_refused("gone", "sha256[\"gone.bin\"]: expected 0000");
    place.check_refused("gone", "found no such member");
    manifest.sha256 = [("code.py".to_owned(), sha256_of_nothing())].into();
    place.directory("unlisted", &manifest.to_json(), &members);
    place.write("unlisted/code.py", b"");
    place
        .check_refused("unlisted", "sha256: expected the digest of \"model.safetensors\", found no such key");
    for (folder, text, reason) in [
        (
            "dim",
            r#"{"algorithm": "kmeans", "feature_dim": 3}"#,
            "feature_dim: expected 2 features as in the model file, found 3",
        ),
        ("k", r#"{"algorithm": "kmeans", "k": 4}"#, "k: expected 3 centroids as in the model file, found 4"),
        (
            "names",
            r#"{"algorithm": "kmeans", "features": ["a"]}"#,
            "features: expected 2 features as in the model file, found 1",
        ),
        (
            "warm",
            r#"{"algorithm": "kmeans", "warm_up": [[1]]}"#,
            "warm_up: expected 2 features as in the model file, found 1",
        ),
        (
            "other",
            r#"{"algorithm": "linear-learner", "predictor_type": "regressor"}"#,
            "expected tensors weight, bias, found \"centroids\"",
        ),
    ] {
        place.directory(folder, text.as_bytes(), &members);
        place.check_refused(folder, reason);
    }
}

fn sha256_of_nothing() -> String {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into()
}

#[test]
fn unknown_keys_are_reported() {
    let place = Place::new();
    let (_, members) = kmeans();
    place.directory("model", br#"{"algorithm": "kmeans", "colour": "red"}"#, &members);
    let artifact = place.open("model").expect("an artifact");
    assert_eq!(
        artifact.assumptions(),
        ["manifest.json: the key \"colour\" is not known and was passed over"]
    );
}

#[test]
fn without_a_manifest_the_rules_are_documented() {
    let place = Place::new();
    place.write("one/xgboost-model", b"{");
    let artifact = place.open("one").expect("an artifact");
    assert_eq!(artifact.manifest(), &Manifest::new(Algorithm::Xgboost));
    assert!(
        artifact.assumptions()[0]
            .contains("the algorithm is xgboost, since a file is named \"xgboost-model\"")
    );
    assert!(artifact.assumptions().iter().any(|sentence| sentence.contains("libsvm indices start at 0")));
    place.write("several/xgboost-model-0", b"{");
    place.write("several/xgboost-model-1", b"{");
    let artifact = place.open("several").expect("an artifact");
    let ensemble = "The model is an ensemble of the files xgboost-model-0, xgboost-model-1.";
    assert_eq!(artifact.assumptions().last().map(String::as_str), Some(ensemble));
    for (name, bytes) in
        [("my.json", &b"{"[..]), ("my.ubj", b"{L"), ("my.bin", b"binf"), ("my.pkl", b"\x80\x03")]
    {
        place.write(name, bytes);
        let artifact = place.open(name).expect("an artifact");
        assert!(artifact.assumptions()[0].contains("begins as XGBoost's files do"), "{name}");
    }
}

#[test]
fn what_is_no_known_model_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).expect("a directory");
    place.check_refused(
        "empty",
        "expected manifest.json, xgboost-model, model_algo-1 or one XGBoost file, found no file at the top",
    );
    place.write("photo/cat.png", b"\x89PNG");
    place.check_refused("photo", "found \"cat.png\"");
    place.write("tensors/model.safetensors", b"");
    place.check_refused("tensors", "expected manifest.json beside model.safetensors");
    place.write("bare.safetensors", b"\x10\0\0\0\0\0\0\0{}");
    place.check_refused("bare.safetensors", "found \"bare.safetensors\"");
    for index in 0..20 {
        place.write(&format!("many/{index:02}.json"), b"{}");
    }
    place.check_refused("many", "\"07.json\", 12 more");
    place.directory("no-file", br#"{"algorithm": "kmeans"}"#, &[]);
    place.check_refused(
        "no-file",
        "expected a file model.safetensors or model_algo-1 for algorithm kmeans, found no file",
    );
    assert!(matches!(place.open("nowhere"), Err(LoadError::Io { .. })));
}

#[cfg(unix)]
#[test]
fn special_files_and_linked_folders_are_refused_and_linked_files_followed() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    let (manifest, members) = kmeans();
    // As a volume is mounted: visible links into a hidden, dated folder.
    place.directory("volume/..dated", &manifest.to_json(), &members);
    for name in ["manifest.json", "model.safetensors"] {
        symlink(format!("..dated/{name}"), place.path("volume").join(name)).expect("a link");
    }
    place.load("volume").expect("a model");
    place.directory("linked", &manifest.to_json(), &members);
    symlink(place.path("linked"), place.path("linked/loop")).expect("a link");
    place.check_refused("linked", "loop: expected a plain file, found a special one");
    let socket = std::os::unix::net::UnixListener::bind(place.path("socket")).expect("a socket");
    place.check_refused("socket", "a special file");
    drop(socket);
}

#[test]
fn mxnet_kmeans_loads_and_its_lies_are_refused() {
    let place = Place::new();
    let good = mxnet(&[3, 2], &[0.0, 0.0, 10.0, 0.0, 0.0, 10.0]);
    // What MXNet 1.9.1 writes of `mx.nd.save(path, [mx.nd.array(centroids)])`.
    assert_eq!(good, include_bytes!("mxnet/model_algo-1"));
    place.write("aws/model_algo-1", &good);
    let artifact = place.open("aws").expect("an artifact");
    assert!(artifact.assumptions()[0].contains("is an MXNet model, as SageMaker's kmeans writes it"));
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    assert_eq!(score(&*model, vec![9.0, 0.0], 2), [[1.0], [1.0]]);
    for length in 0..good.len() {
        place.write("cut/model_algo-1", &good[..length]);
        assert!(place.load("cut").is_err(), "cut at {length}");
    }
    for (bytes, reason) in [
        (b"PK\x03\x04\0\0\0\0zip".to_vec(), "zip: expected the end of a central directory, found none"),
        (mxnet(&[6], &[0.0; 6]), "array centroids: expected two sides, found shape [6]"),
        (mxnet(&[0, 2], &[]), "byte 44: expected a side of at least 1, found 0"),
        (mxnet(&[-1, 2], &[]), "byte 44: expected a side of at least 1, found -1"),
        (mxnet(&[1 << 31, 1 << 31], &[]), "expected fewer values"),
        (mxnet(&[1, 2], &[1.0, f32::NAN]), "expected finite numbers, found NaN at position 1"),
        ([good.clone(), vec![0]].concat(), "expected the end of the file"),
    ] {
        place.write("bad/model_algo-1", &bytes);
        place.check_refused("bad", reason);
    }
}

#[test]
fn warm_up_rows_are_the_manifests_or_zeros() {
    let place = Place::new();
    let (mut manifest, members) = kmeans();
    place.directory("zeros", &manifest.to_json(), &members);
    manifest.warm_up = vec![vec![Some(1.0), Some(2.0)], vec![Some(3.0), Some(4.0)]];
    place.directory("rows", &manifest.to_json(), &members);
    for (folder, expected) in [("zeros", vec![0.0, 0.0]), ("rows", vec![1.0, 2.0, 3.0, 4.0])] {
        let artifact = place.open(folder).expect("an artifact");
        let model = artifact.load(&LoadOptions::default()).expect("a model");
        let rows = artifact.warm_up_rows(model.signature());
        assert_eq!((rows.columns(), rows.values()), (2, &expected[..]));
        let mut predictions = Predictions::new();
        model.predict(Input::Rows(&rows), &mut predictions).expect("predictions");
    }
}

#[test]
fn damaged_tensors_are_refused() {
    let (manifest, members) = kmeans();
    let place = Place::new();
    let good = &members[0].1;
    for length in 0..good.len() {
        assert!(Kmeans::from_safetensors("f", &good[..length], &manifest).is_err(), "cut at {length}");
    }
    for (bytes, reason) in [
        (
            u64::MAX.to_le_bytes().to_vec(),
            "a safetensors header of at most 65536 bytes, found 18446744073709551615",
        ),
        (
            tensors(r#"{"centroids": {"dtype": "F16", "shape": [1, 2], "data_offsets": [0, 4]}}"#, 4),
            "expected type F32, found F16",
        ),
        (
            tensors(r#"{"centroids": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#, 4),
            "expected 2 sides, none of them 0, found shape [1]",
        ),
        (
            tensors(r#"{"centroids": {"dtype": "F32", "shape": [0, 2], "data_offsets": [0, 0]}}"#, 0),
            "none of them 0, found shape [0, 2]",
        ),
        (
            tensors(r#"{"centroids": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 4]}}"#, 4),
            "expected a safetensors file",
        ),
        (
            tensors(r#"{"scale": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#, 4),
            "expected tensors centroids, counts, found \"scale\"",
        ),
        (tensors("{}", 0), "tensor centroids: expected among centroids, counts, found none"),
    ] {
        place.directory("bad", br#"{"algorithm": "kmeans"}"#, &[("model.safetensors".into(), bytes)]);
        place.check_refused("bad", reason);
    }
    let mut not_finite = good.clone();
    let end = not_finite.len();
    not_finite[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    place.directory("bad", br#"{"algorithm": "kmeans"}"#, &[("model.safetensors".into(), not_finite)]);
    place.check_refused("bad", "expected finite numbers, found inf at position 5");
}

/// A safetensors file of that header and zeros.
fn tensors(header: &str, length: usize) -> Vec<u8> {
    let header_length = (header.len() as u64).to_le_bytes();
    [&header_length[..], header.as_bytes(), &vec![0; length]].concat()
}
