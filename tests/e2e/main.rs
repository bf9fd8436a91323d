//! End-to-end tests: `clary serve` and `clary up` as processes, on a real socket, met as the outside world meets it.
//!
//! | module | keeps |
//! |---|---|
//! | `compression` | content encodings and their cap |
//! | `deployments` | UpdateEndpoint under load, by every policy; fleets that cannot serve |
//! | `families` | artifacts of every family that an earlier version wrote |
//! | `fuzz_smoke` | the fuzz targets, on seeds and damaged seeds |
//! | `invocations` | every content type × every Accept; errors by status and message |
//! | `limits_abuse` | slow, huge, lying, flooding and vanishing clients |
//! | `loadtest` | the load generator against the server |
//! | `multi_model` | /models |
//! | `one_hash` | a row's score is a function of (artifact, row) alone |
//! | `ping` | health, execution parameters, metrics |
//! | `recovery` | `clary up` killed at random points |
//! | `reload` | artifacts replaced under load; broken and hostile ones |
//! | `shutdown` | SIGTERM under load |
//! | `smuggling` | requests that two readers could understand differently |
//! | `tls` | encryption, and certificates replaced |
//! | `transform_command` | `clary transform`: places, streams, shards, exit codes, reports |
//! | `transform_ends` | batch transforms killed with bad records and packed inputs, asked to end, and two at once |
//! | `transform_faults` | batch transforms killed at random points, over a store that fails |
//! | `transform_guarantees` | batch transforms over stores that stand still and inputs that change |
//! | `transform_memory` | one object of any size through little memory |
//! | `transform_parity` | outputs of batch transforms are an endpoint's answers |
//! | `transform_jobs` | batch transforms through the API, and after a restart |
//! | `up` | `clary up`: which request goes to which service, and how each writes errors |
//! | `up_bodies` | bodies that stream, that nobody reads, and that stall |
//! | `runtime` | invocations of endpoints, whole and streamed |

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod compression;
mod deployments;
mod families;
mod fuzz_smoke;
mod invocations;
mod limits_abuse;
mod loadtest;
mod multi_model;
mod one_hash;
mod ping;
mod recovery;
mod reload;
mod runtime;
mod shutdown;
mod smuggling;
mod tls;
mod transform_command;
mod transform_ends;
mod transform_faults;
mod transform_guarantees;
mod transform_jobs;
mod transform_memory;
mod transform_parity;
mod up;
mod up_bodies;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harness::forest::Forest;
use harness::{Request, Serve, Server, artifacts};

/// A server of `artifact`, and what keeps its file on disk.
struct Served {
    server: Server,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

/// Serves `artifact` with `arguments`.
fn serve(artifact: &[u8], arguments: &[&str]) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.tar.gz");
    std::fs::write(&path, artifact).unwrap();
    let server = Serve::model(&path).args(arguments).start();
    Served { server, path, _folder: folder }
}

/// Serves a small ensemble of 4 features.
fn serve_small(arguments: &[&str]) -> Served {
    serve(&artifacts::xgboost(Forest::SMALL), arguments)
}

/// A row for [`serve_small`].
const ROW: &str = "0.1,0.2,0.3,0.4\n";

/// A variable of the tester's.
#[expect(clippy::disallowed_methods, reason = "a test has no command line of its own")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A number that the tester may give.
fn number(name: &str, default: u64) -> u64 {
    variable(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The objects of a bucket below a folder, by their keys in it.
fn stored(server: &Server, bucket: &str, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let mut client = server.connect();
    let mut objects = BTreeMap::new();
    for (key, _) in listed(server, bucket, folder) {
        let answer = client.call(&Request::get(&format!("/{bucket}/{folder}/{key}")));
        assert_eq!(answer.status, 200, "{key}: {}", answer.text());
        objects.insert(key, answer.body);
    }
    objects
}

/// The keys of a bucket below a folder, by their places in it, and their sizes.
fn listed(server: &Server, bucket: &str, folder: &str) -> Vec<(String, u64)> {
    let listing = server.call(&Request::get(&format!("/{bucket}?list-type=2&prefix={folder}/"))).text();
    assert!(listing.contains("<IsTruncated>false"), "{listing}");
    let text = |entry: &str, tag: &str| {
        let rest = entry.split(&format!("<{tag}>")).nth(1).unwrap();
        rest.split('<').next().unwrap().to_owned()
    };
    let key = |entry: &str| text(entry, "Key")[folder.len() + 1..].to_owned();
    let entries = listing.split("<Contents>").skip(1);
    entries.map(|entry| (key(entry), text(entry, "Size").parse().unwrap())).collect()
}

/// The files below a folder, by their paths in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        // A transform without outputs need not make the folder.
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}
