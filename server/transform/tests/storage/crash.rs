//! Failures and kills at every operation of a store, one after the other.

use std::path::Path as FilePath;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use transform::Store;
use transform::journal::Place;

use crate::faulty::{Fault, Faulty};
use crate::script::{OUTPUT, Script, put_old};

/// More operations than any script here takes. Reason: a loop that never gets past its fault is a finding.
const OPERATIONS_MAX: usize = 500;

/// Where the pieces of a scenario are kept.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    is_directory: bool,
    is_file_journal: bool,
    has_old: bool,
}

impl Scenario {
    fn store(self, scratch: &FilePath) -> Store {
        if self.is_directory { Store::directory(scratch).unwrap() } else { Store::memory() }
    }

    fn place(self, scratch: &FilePath, store: &Store) -> Place {
        if self.is_file_journal {
            Place::File(scratch.join("journal.jsonl"))
        } else {
            Place::beside(store.clone(), &Path::from("out"), "job")
        }
    }
}

/// Runs `script` with `fault` at operations from `first` on, and again after a kill; whether the fault was met.
async fn run_with(scenario: Scenario, script: &Script, (first, count): (usize, usize), fault: Fault) -> bool {
    let what = format!("{scenario:?}, {fault:?} at {first}, {count} times");
    let (scratch, journals) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = scenario.store(scratch.path());
    let old = if scenario.has_old { put_old(&store).await } else { Bytes::new() };
    let faulty = Faulty::new(store.clone(), Path::from(OUTPUT), vec![old, script.bytes()]);
    let seen = faulty.store();
    // Six seconds between answers: segments of a journal are due.
    let pause = async || tokio::time::advance(Duration::from_secs(6)).await;
    faulty.plan(first, count, fault);
    let place = || scenario.place(journals.path(), &seen);
    let ended = tokio::select! {
        ended = script.run(&seen, place(), pause) => Some(ended),
        () = faulty.killed() => None,
    };
    let is_met = faulty.operations() > first;
    faulty.no_plan();
    match ended {
        Some(ended) => assert!(ended.is_ok(), "{what}: {ended:?}"),
        None => {
            // Tasks of the process that is gone are dropped when the runtime gets to them.
            for _ in 0..64 {
                tokio::task::yield_now().await;
            }
            let again = script.run(&seen, place(), pause).await;
            assert!(again.is_ok(), "{what}: {again:?}");
        }
    }
    let written = script.run(&seen, place(), pause).await.unwrap();
    assert_eq!(written.bytes, script.bytes().len() as u64, "{what}");
    script.check(&store, &what).await;
    is_met
}

async fn check(scenario: Scenario, script: &Script, fault: Fault, count: usize) {
    for first in 0..OPERATIONS_MAX {
        if !run_with(scenario, script, (first, count), fault).await {
            assert!(first > 3, "{scenario:?} {fault:?}: the script has no operations to fail");
            return;
        }
    }
    panic!("{scenario:?} {fault:?}: more than {OPERATIONS_MAX} operations");
}

/// Five parts; runs within a part, over two and over three of them.
fn large() -> Script {
    let answers = [vec![5, 7], vec![0, 1], vec![30, 20, 41], vec![2], vec![3, 4], vec![33]];
    Script::new(32, &answers)
}

fn small() -> Script {
    Script::new(1 << 20, &[vec![10], vec![0, 3]])
}

macro_rules! scenarios {
    ($($name:ident: $script:ident, $is_directory:literal, $is_file_journal:literal;)*) => {
        $(#[tokio::test(start_paused = true)]
        async fn $name() {
            let script = $script();
            for has_old in [false, true] {
                let scenario = Scenario {
                    is_directory: $is_directory, is_file_journal: $is_file_journal, has_old,
                };
                for fault in [Fault::KilledBefore, Fault::KilledAfter] {
                    check(scenario, &script, fault, 1).await;
                }
                for fault in [Fault::Fails, Fault::LosesAnswer] {
                    check(scenario, &script, fault, 1).await;
                    check(scenario, &script, fault, 3).await;
                }
            }
        })*
    };
}

scenarios! {
    parts_in_memory_journal_in_a_file: large, false, true;
    parts_in_memory_journal_beside: large, false, false;
    parts_in_a_directory_journal_in_a_file: large, true, true;
    one_put_in_memory_journal_in_a_file: small, false, true;
    one_put_in_memory_journal_beside: small, false, false;
    one_put_in_a_directory_journal_in_a_file: small, true, true;
}
