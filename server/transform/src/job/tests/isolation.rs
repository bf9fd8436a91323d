//! Records that the model refuses, under each policy.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::*;
use crate::batch::Position;
use crate::object::{self, ObjectError, Rejected, Sink, Work};
use crate::process::ObjectId;
use crate::settings::{Answers, BatchStrategy, ErrorPolicy};

/// One object, under a policy; gives the outputs and what failed (`record@byte status attempts: reason`).
async fn run(input: &str, settings: Settings) -> (Outcome, BTreeMap<String, String>, Vec<String>) {
    let bench = Bench::new(&[("in/x", input.as_bytes())], settings).await;
    let summary = bench.run().await;
    let failures = bench.told.failures.lock().unwrap().iter().map(told).collect();
    (summary.outcome, bench.outputs().await, failures)
}

fn told(failure: &Failure) -> String {
    let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
    let status = number(failure.status.map(u64::from));
    let (record, byte) = (number(failure.record), number(failure.byte));
    format!("{} {record}@{byte} {status} {}: {}", failure.object, failure.attempts, failure.reason)
}

fn policy(error_policy: ErrorPolicy) -> Settings {
    Settings { error_policy, ..lines() }
}

/// Under the policy to fail: what is told.
async fn check_fails(input: &str, settings: Settings, expected: &str) {
    let (outcome, outputs, failures) = run(input, settings).await;
    assert_eq!((outcome, failures), (Outcome::Failed, vec![expected.to_owned()]));
    assert_eq!(outputs, BTreeMap::new());
}

#[test]
fn by_default_the_object_fails_and_names_the_record() {
    in_no_time(async {
        let fail = || policy(ErrorPolicy::Fail);
        let single = || Settings { strategy: BatchStrategy::SingleRecord, ..fail() };
        let bad = "bucket/in/x 3@6 400 1: row 3: expected a number, found bad";
        check_fails("ab\ncd\nbad\nef\n", fail(), bad).await;
        let bad = "bucket/in/x 3@6 400 1: row 1: expected a number, found bad";
        check_fails("ab\ncd\nbad\nef\n", single(), bad).await;
        check_fails("ab\nvague\n", fail(), "bucket/in/x -@0 400 1: expected something else").await;
        check_fails("ab\nvague\n", single(), "bucket/in/x 2@3 400 1: expected something else").await;
        check_fails("ab\nbroken\n", fail(), "bucket/in/x -@0 500 4: the model failed").await;
        let hasty = Settings { retries: 0, ..fail() };
        check_fails("ab\nbroken\n", hasty, "bucket/in/x -@0 500 1: the model failed").await;
    });
}

#[test]
fn what_passes_is_tried_again() {
    in_no_time(async {
        let bench = Bench::new(&[("in/x", b"ab\nonce\n")], lines()).await;
        let summary = bench.run().await;
        assert_eq!(bench.outputs().await["x.out"], "ba\necno\n");
        assert_eq!((summary.counts.calls, summary.counts.retries), (2, 1));
    });
}

/// Under a policy to go on: what is written.
async fn check(input: &str, settings: Settings, expected: &[(&str, &str)], refused: &[&str]) {
    let (outcome, outputs, failures) = run(input, settings).await;
    let outputs: Vec<(&str, &str)> =
        outputs.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    assert_eq!((outcome, &outputs[..]), (Outcome::Completed, expected), "{input:?}");
    assert_eq!(failures, refused, "{input:?}");
}

#[test]
fn placeholders_stand_for_refused_records() {
    in_no_time(async {
        let placeholder = || policy(ErrorPolicy::Placeholder);
        let third = ["bucket/in/x 3@6 400 1: row 1: expected a number, found bad"];
        let errors = [("x.out", "ba\ndc\nERROR\nfe\n")];
        check("ab\ncd\nbad\nef\n", placeholder(), &errors, &third).await;
        let single = Settings { strategy: BatchStrategy::SingleRecord, ..placeholder() };
        check("ab\ncd\nbad\nef\n", single, &errors, &third).await;
        check(
            "ab\nvague",
            placeholder(),
            &[("x.out", "ba\nERROR\n")],
            &["bucket/in/x 2@3 400 1: expected something else"],
        )
        .await;
        check(
            "broken\n",
            placeholder(),
            &[("x.out", "ERROR\n")],
            &["bucket/in/x 1@0 500 4: the model failed"],
        )
        .await;
        let json = Settings { answers: Answers::JsonLines, ..placeholder() };
        let line = "{\"error\":\"expected something else\"}\n";
        check("vague\n", json, &[("x.out", line)], &["bucket/in/x 1@0 400 1: expected something else"]).await;
    });
}

/// Answers stand in the lines of their records, also where the model passes over some.
#[test]
fn lines_without_an_answer_are_refused() {
    in_no_time(async {
        let held = |error_policy| Settings { answers: Answers::CsvLines, ..policy(error_policy) };
        let told = ["bucket/in/x 2@3 - 0: expected an answer of 1 lines, one a record, found 0"];
        let input = "ab\nsilent\ncd\n";
        check(input, held(ErrorPolicy::Placeholder), &[("x.out", "ba\nERROR\ndc\n")], &told).await;
        let (outcome, outputs, failures) = run(input, held(ErrorPolicy::Quarantine)).await;
        assert_eq!(
            (outcome, &outputs["x.out"][..], &failures[..]),
            (Outcome::Completed, "ba\ndc\n", &told.map(String::from)[..])
        );
        assert!(outputs["x.rejected.jsonl"].contains("\"text\":\"silent\\n\""), "{outputs:?}");
    });
}

/// Halves of a batch are lines as the batch would have been, also where nothing is put between answers.
#[test]
fn halves_do_not_run_together() {
    in_no_time(async {
        let settings = Settings { assemble_with: AssembleWith::None, ..policy(ErrorPolicy::Placeholder) };
        let model = Fake { keeps_last_newline: false, ..Fake::default() };
        let bench = Bench::new(&[("in/x", b"ab\ncd\nbad\nef\n")], settings).await.with_model(model);
        bench.run().await;
        assert_eq!(bench.outputs().await["x.out"], "ba\ndc\nERROR\nfe");
    });
}

#[test]
fn refused_records_are_put_aside() {
    in_no_time(async {
        let line = "{\"object\":\"bucket/in/x\",\"byte\":3,\"record\":2,\"status\":400,\"attempts\":1,\
                    \"reason\":\"row 1: expected a number, found bad\",\"text\":\"bad\\n\"}\n";
        check(
            "ab\nbad\ncd\n",
            policy(ErrorPolicy::Quarantine),
            &[("x.out", "ba\ndc\n"), ("x.rejected.jsonl", line)],
            &["bucket/in/x 2@3 400 1: row 1: expected a number, found bad"],
        )
        .await;
        check("ab\n", policy(ErrorPolicy::Quarantine), &[("x.out", "ba\n")], &[]).await;
    });
}

/// A model that is busy refuses whatever it is sent: no record is to blame, under any policy.
#[test]
fn overload_is_no_records_fault() {
    in_no_time(async {
        for error_policy in [ErrorPolicy::Fail, ErrorPolicy::Placeholder, ErrorPolicy::Quarantine] {
            let busy = "bucket/in/x -@0 503 4: too many calls";
            check_fails("ab\nbusy\ncd\n", policy(error_policy), busy).await;
        }
    });
}

/// One bad record of 1024 costs two calls a halving.
#[test]
fn halving_is_cheap() {
    in_no_time(async {
        let mut input = "ab\n".repeat(1023);
        input.push_str("bad\n");
        let bench = Bench::new(&[("in/x", input.as_bytes())], policy(ErrorPolicy::Placeholder)).await;
        assert_eq!(bench.run().await.counts.records_refused, 1);
        assert_eq!(bench.model.calls.load(Ordering::SeqCst), 1 + 2 * 10);
    });
}

#[test]
fn a_panic_is_the_objects_failure() {
    in_no_time(async {
        let bench = Bench::new(&[("in/a", b"panic\n"), ("in/b", b"ab\n")], lines()).await;
        let summary = bench.run().await;
        assert_eq!(summary.failures.len(), 1, "{summary:?}");
        assert!(summary.failures[0].reason.contains("panic"), "{summary:?}");
        assert_eq!(bench.outputs().await, BTreeMap::from([("b.out".to_owned(), "ba\n".to_owned())]));
    });
}

/// What was written of the runs before it is not all of the object.
#[test]
fn a_panic_while_an_object_is_cut_is_an_error() {
    on_threads(async {
        let bench = Bench::new(&[], lines()).await;
        let (model, listener) = (Arc::clone(&bench.model), Arc::clone(&bench.told) as Arc<dyn Listener>);
        let progress = Arc::clone(&bench.progress);
        let (settings, stop) = (bench.settings.clone(), bench.stop.subscribe());
        let work = Arc::new(Work::new("job".to_owned(), settings, model, progress, listener, stop));
        let pieces = stream::once(async { panic!("a reader's bug") }).boxed();
        let object = ObjectId::new("job", "in/x");
        let source = object::Source { object, pieces, start: Position::default(), is_live: false };
        let piped = object::pipe(&work, source, &mut Nowhere).await;
        assert!(matches!(piped, Err(ObjectError::Object(_))), "{piped:?}");
    });
}

/// Takes all answers.
struct Nowhere;

impl Sink for Nowhere {
    async fn write(&mut self, _: Bytes, _: Position) -> Result<(), String> {
        Ok(())
    }

    async fn reject(&mut self, _: Vec<Rejected>) -> Result<(), String> {
        Ok(())
    }
}
