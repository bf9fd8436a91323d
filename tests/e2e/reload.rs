//! Artifacts replaced while requests run: no request fails, each answer comes from exactly one version, and what
//! cannot be loaded leaves the old version serving.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use harness::forest::Forest;
use harness::{Client, Oracle, Request, artifacts, hostile};

use crate::{ROW, Served, serve};

/// Versions that take turns.
const VERSIONS: u64 = 5;

/// Replacements in one test. Reason: what is promised is held for two hundred; they take seconds.
const REPLACEMENTS: u64 = 200;

/// Clients that never stop asking.
const CLIENTS: usize = 4;

fn version(seed: u64) -> Vec<u8> {
    artifacts::xgboost(Forest { seed, trees: 20, ..Forest::SMALL })
}

/// Waits until answers come from `digest`.
fn wait_for_digest(served: &mut Served, digest: &str) {
    served.server.wait_for("the new artifact", |server| {
        server.call(&Request::invoke("text/csv", ROW)).header("x-clary-artifact") == Some(digest)
    });
}

#[test]
fn under_load_every_answer_is_of_exactly_one_version() {
    let versions: Vec<(Vec<u8>, Oracle)> = (0..VERSIONS)
        .map(version)
        .map(|bytes| {
            let oracle = Oracle::of_bytes(&bytes);
            (bytes, oracle)
        })
        .collect();
    let rows = harness::payload::Rows::draw(3, 4, 5).write("text/csv");
    // What each version, by its digest, answers.
    let expected: BTreeMap<String, Vec<u8>> = versions
        .iter()
        .map(|(_, oracle)| (oracle.digest().to_owned(), oracle.answer("text/csv", &rows, "text/csv")))
        .collect();
    assert_eq!(expected.values().collect::<std::collections::BTreeSet<_>>().len(), VERSIONS as usize);
    let mut served = serve(&versions[0].0, &[]);
    let address = served.server.address();
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(address);
                    let request = Request::invoke("text/csv", rows.clone());
                    let mut seen = BTreeMap::<String, u64>::new();
                    while !stop.load(Ordering::Relaxed) {
                        let answer = client.call(&request);
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        let digest = answer.header("x-clary-artifact").expect("the version").to_owned();
                        assert_eq!(Some(&answer.body), expected.get(&digest), "of {digest}");
                        *seen.entry(digest).or_default() += 1;
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                    seen
                })
            })
            .collect();
        let replaced = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for turn in 1..=REPLACEMENTS {
                let (bytes, oracle) = &versions[(turn % VERSIONS) as usize];
                artifacts::replace(&served.path, bytes);
                wait_for_digest(&mut served, oracle.digest());
            }
        }));
        // The clients stop also when a replacement never showed.
        stop.store(true, Ordering::Relaxed);
        let mut seen = BTreeMap::<String, u64>::new();
        for client in clients {
            for (digest, count) in client.join().expect("no failed request") {
                *seen.entry(digest).or_default() += count;
            }
        }
        assert!(replaced.is_ok(), "a replacement was not served");
        assert_eq!(seen.len(), VERSIONS as usize, "each version answered: {seen:?}");
    });
    assert!(answers.into_inner() > REPLACEMENTS);
}

#[test]
fn a_directory_renamed_in_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str, seed: u64| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("xgboost-model"), Forest { seed, ..Forest::SMALL }.to_json()).unwrap();
        path
    };
    let path = place("model", 1);
    let mut server = harness::Serve::model(&path).start();
    let next = place("next", 2);
    let digest = Oracle::of_path(&next).digest().to_owned();
    std::fs::rename(&path, folder.path().join("old")).unwrap();
    std::fs::rename(&next, &path).unwrap();
    server.wait_for("the new directory", |server| {
        server.call(&Request::invoke("text/csv", ROW)).header("x-clary-artifact") == Some(&digest)
    });
}

#[test]
fn a_broken_artifact_leaves_the_old_one_serving() {
    let good = version(1);
    let oracle = Oracle::of_bytes(&good);
    let mut served = serve(&good, &[]);
    artifacts::replace(&served.path, &good[..good.len() / 2]);
    served.server.wait_for("the refusal", |server| !server.call(&Request::get("/ping")).text().is_empty());
    let ping = served.server.call(&Request::get("/ping"));
    assert_eq!(ping.status, 200, "the old model serves");
    let answer = served.server.call(&Request::invoke("text/csv", ROW));
    assert_eq!((answer.status, answer.header("x-clary-artifact")), (200, Some(oracle.digest())));
    let log = served.server.log();
    assert!(log.contains("model.tar.gz") || log.contains("artifact"), "{log}");
    // The next good one is served, and the complaint is gone.
    let next = version(2);
    artifacts::replace(&served.path, &next);
    wait_for_digest(&mut served, Oracle::of_bytes(&next).digest());
    served
        .server
        .wait_for("the end of the complaint", |server| server.call(&Request::get("/ping")).text().is_empty());
}

#[test]
fn hostile_archives_are_refused_and_nothing_escapes() {
    let model = Forest::SMALL.to_json();
    let mut served = serve(&version(0), &[]);
    let folder = served.path.parent().unwrap().to_owned();
    for (seed, (what, archive)) in (1..).zip(hostile::archives(&model)) {
        artifacts::replace(&served.path, &archive);
        served.server.wait_for(what, |server| !server.call(&Request::get("/ping")).text().is_empty());
        let answer = served.server.call(&Request::invoke("text/csv", ROW));
        assert_eq!(answer.status, 200, "{what}: the old model serves");
        // A good one between two bad ones: each refusal is seen by itself.
        let good = version(seed);
        artifacts::replace(&served.path, &good);
        wait_for_digest(&mut served, Oracle::of_bytes(&good).digest());
        served.server.wait_for("silence", |server| server.call(&Request::get("/ping")).text().is_empty());
    }
    assert!(!std::path::Path::new("/tmp/escaped").exists());
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["model.tar.gz"]);
    // What the bomb took (96 MiB, read to be refused) is given back by the allocator in its own time, beside whatever the program is.
    served.server.wait_for("the memory to be given back", |server| {
        let _ = server.call(&Request::get("/ping"));
        server.memory_bytes() < 128 << 20
    });
}
