//! End-to-end tests: `clary serve` and `clary up` as processes, on a real socket, met as the outside world meets it.
//!
//! | module | keeps |
//! |---|---|
//! | `compression` | content encodings and their cap |
//! | `deployments` | UpdateEndpoint under load, by every policy; fleets that cannot serve |
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
//! | `up` | `clary up`: which request goes to which service, and how each writes errors |
//! | `up_bodies` | bodies that stream, that nobody reads, and that stall |
//! | `runtime` | invocations of endpoints, whole and streamed |

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod compression;
mod deployments;
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
mod up;
mod up_bodies;

use std::path::PathBuf;

use harness::forest::Forest;
use harness::{Serve, Server, artifacts};

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
