//! Other ways for a batch transform to come to its end: killed while records are bad or inputs are packed, asked to end, and run
//! twice at once. The outputs are those of an uninterrupted run in all of them.

use std::collections::BTreeMap;

use harness::hostile::gzip;
use harness::{FaultStore, Oracle, Server};

use crate::transform_faults::{
    Expected, FAULTS_PER_MILLE, artifact, assert_no_uploads, hesitate, inputs, kill_commands, start,
    store_with,
};
use crate::{listed, number, stored};

/// One of so many records of the large object is bad. Reason: most batches have none, and a few are halved.
const BAD_EVERY: usize = 50_011;

/// How often a transform is asked to end, unless `CLARY_KILLS` says otherwise.
const ENDS_DEFAULT: u64 = 2;

/// How often two transforms race, unless `CLARY_KILLS` says otherwise.
const RACES_DEFAULT: u64 = 1;

/// [`inputs`], with bad records in the large object.
fn bad_inputs() -> BTreeMap<String, Vec<u8>> {
    let mut inputs = inputs();
    let large = inputs.get_mut("large.csv").unwrap();
    let lines = large.split_inclusive(|byte| *byte == b'\n').enumerate();
    let bad = lines.map(|(index, line)| if index % BAD_EVERY == 7 { b"bad\n" } else { line });
    *large = bad.collect::<Vec<_>>().concat();
    inputs
}

/// `inputs`, each in two members of gzip.
fn packed(inputs: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let pack = |bytes: &Vec<u8>| {
        let (one, other) = bytes.split_at(bytes.len() / 3);
        [gzip(one), gzip(other)].concat()
    };
    inputs.iter().map(|(key, bytes)| (key.clone(), pack(bytes))).collect()
}

/// What a run that nothing disturbs leaves.
fn undisturbed(behind: &Server, options: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let store = FaultStore::before(behind.address(), 1);
    let mut running = start(&store, "undisturbed", options);
    assert!(running.wait(4, |_| {}), "{}", running.log());
    stored(behind, "outputs", "undisturbed")
}

/// Lines of an output.
fn lines(output: &[u8]) -> Vec<&[u8]> {
    output.split_inclusive(|byte| *byte == b'\n').collect()
}

/// The answers to the good records of `rows`.
fn good_answers(rows: &[u8]) -> Vec<u8> {
    let good: Vec<&[u8]> = lines(rows).into_iter().filter(|line| *line != b"bad\n").collect();
    Oracle::of_bytes(&artifact()).answer("text/csv", &good.concat(), "application/jsonlines")
}

/// The transform under a policy for bad records, killed.
fn killed_under(policy: &str, is_packed: bool, check: impl Fn(&[u8], &BTreeMap<String, Vec<u8>>)) {
    let inputs = bad_inputs();
    let behind = store_with(&if is_packed { packed(&inputs) } else { inputs.clone() });
    let compression = if is_packed { "Gzip" } else { "None" };
    let options = ["--error-policy", policy, "--compression", compression];
    let outputs = undisturbed(&behind, &options);
    check(&inputs["large.csv"], &outputs);
    let store = FaultStore::before(behind.address(), number("CLARY_SEED", 1));
    let expected = Expected { outputs };
    kill_commands(&behind, &store, &expected, |folder| start(&store, folder, &options));
}

#[test]
fn placeholders_stand_where_they_would_after_kills_and_packed_inputs_are_read_again() {
    killed_under("placeholder", true, |rows, outputs| {
        let (rows, output) = (lines(rows), lines(&outputs["large.csv.out"]));
        assert_eq!(rows.len(), output.len());
        let is_error = |line: &[u8]| line.starts_with(b"{\"error\"");
        assert!(rows.iter().zip(&output).all(|(row, line)| is_error(line) == (*row == b"bad\n")));
        let good: Vec<&[u8]> = output.into_iter().filter(|line| !is_error(line)).collect();
        assert!(good.concat() == good_answers(&rows.concat()));
    });
}

#[test]
fn records_put_aside_are_put_aside_once_after_kills() {
    killed_under("quarantine", false, |rows, outputs| {
        assert!(outputs["large.csv.out"] == good_answers(rows));
        let bad = lines(rows).iter().filter(|line| **line == b"bad\n").count();
        assert_eq!(lines(&outputs["large.csv.rejected.jsonl"]).len(), bad);
    });
}

#[test]
fn a_transform_asked_to_end_leaves_no_upload_and_the_next_run_does_the_rest() {
    let inputs = inputs();
    let (behind, expected) = (store_with(&inputs), Expected::of(&inputs));
    let seed = number("CLARY_SEED", 1);
    let store = FaultStore::before(behind.address(), seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let look = |folder: &str| expected.look(&listed(&behind, "outputs", folder));
    let mut running = start(&store, "undisturbed", &[]);
    assert!(running.wait(4, |_| look("undisturbed")), "{}", running.log());
    let requests = store.requests();
    store.fail_per_mille(FAULTS_PER_MILLE);
    for round in 0..number("CLARY_KILLS", ENDS_DEFAULT) {
        let (folder, keeps) = (format!("round-{round}"), round % 2 == 1);
        let when = format!("{folder} of seed {seed}");
        let mut running = start(&store, &folder, if keeps { &["--keep-uploads"] } else { &[] });
        let last = store.requests() + random.u64(5..=requests);
        while running.ended().is_none() && store.requests() < last {
            look(&folder);
        }
        hesitate(&mut random);
        if running.ended().is_none() {
            running.terminate();
            running.wait(2, |_| look(&folder));
        }
        let code = running.code();
        // It may have been done before it was asked.
        assert!(matches!(code, Some(0 | 143)), "{when}: {code:?}: {}", running.log());
        look(&folder);
        if !keeps {
            assert_no_uploads(&behind, "outputs", &when);
        }
        let mut running = start(&store, &folder, &[]);
        assert!(running.wait(4, |_| look(&folder)), "{when}: {}", running.log());
        expected.check(&stored(&behind, "outputs", &folder), &when);
        assert_no_uploads(&behind, "outputs", &when);
    }
}

#[test]
fn two_runs_at_once_leave_what_one_would_have_left() {
    let inputs = inputs();
    let (behind, expected) = (store_with(&inputs), Expected::of(&inputs));
    let seed = number("CLARY_SEED", 1);
    let store = FaultStore::before(behind.address(), seed);
    store.fail_per_mille(FAULTS_PER_MILLE);
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..number("CLARY_KILLS", RACES_DEFAULT) {
        let folder = format!("round-{round}");
        let when = format!("{folder} of seed {seed}");
        let look = || expected.look(&listed(&behind, "outputs", &folder));
        let mut one = start(&store, &folder, &[]);
        hesitate(&mut random);
        let mut other = start(&store, &folder, &[]);
        let good = [one.wait(4, |_| look()), other.wait(4, |_| look())];
        look();
        // Who loses an object to the other says so; there is one winner of each, and the next run finds it done.
        let mut last = start(&store, &folder, &[]);
        assert!(last.wait(4, |_| look()), "{when}, {good:?}: {}\n{}\n{}", last.log(), one.log(), other.log());
        expected.check(&stored(&behind, "outputs", &folder), &when);
        assert_no_uploads(&behind, "outputs", &when);
    }
}
