//! Transforms that go on where an earlier run was, and inputs that change.

use std::sync::atomic::Ordering;

use super::*;
use crate::input::InputObject;
use crate::object::{ObjectError, Places, Work, transform};
use crate::read::ReadOptions;
use crate::settings::{ErrorPolicy, PayloadLimit};
use crate::upload::PartSizes;

/// The bytes of a call here, and eight of them are a part.
const CALL_BYTES: usize = 4096;

/// Lines of 64 bytes, of so many calls.
fn large_input(calls: usize) -> String {
    (0..calls * CALL_BYTES / 64).map(|number| format!("{number:063}\n")).collect()
}

fn reversed(input: &str) -> String {
    input.lines().map(|line| line.chars().rev().collect::<String>() + "\n").collect()
}

/// A transform of `input` that was suspended after 17 calls.
async fn suspended(input: &str, error_policy: ErrorPolicy, journal: &std::path::Path) -> Bench {
    let payload_limit = PayloadLimit::Bytes(CALL_BYTES);
    let settings = Settings { payload_limit, concurrency: 2, error_policy, ..lines() };
    let mut bench = Bench::new(&[("in/x", input.as_bytes())], settings).await.with_model(Fake::held());
    bench.part_bytes = 8 * CALL_BYTES as u64;
    bench.place = Place::File(journal.to_owned());
    let running = tokio::spawn(bench.job().await.run());
    bench.model.gate.as_ref().unwrap().add_permits(17);
    // Not until two more are under way: all that the window has room for may be done but one.
    let answered = || bench.model.calls.load(Ordering::SeqCst) - bench.model.running.load(Ordering::SeqCst);
    stop::until(|| answered() == 17).await;
    bench.stop.send_replace(Stop::Suspend);
    bench.model.gate.as_ref().unwrap().add_permits(1000);
    let summary = running.await.unwrap();
    assert_eq!(summary.outcome, Outcome::Stopped, "{summary:?}");
    bench.stop.send_replace(Stop::Run);
    (bench.progress, bench.model) = Default::default();
    bench
}

/// Suspends a transform of so many calls, runs it again, and gives how many the second run made.
async fn calls_of_the_second_run(calls: usize, error_policy: ErrorPolicy) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let input = large_input(calls);
    let bench = suspended(&input, error_policy, &folder.path().join("journal.jsonl")).await;
    assert!(bench.outputs().await.is_empty());
    let summary = bench.run().await;
    assert_eq!(summary.outcome, Outcome::Completed, "{summary:?}");
    assert!(bench.outputs().await["x.out"] == reversed(&input), "the same bytes as in one go");
    assert!(bench.store.uploads.unfinished("").await.unwrap().is_empty());
    bench.model.calls.load(Ordering::SeqCst)
}

/// Two parts were stored, with the answers of 16 calls; the last of them is made again.
#[test]
fn a_suspended_object_goes_on_at_its_last_part() {
    on_threads(async {
        let calls = calls_of_the_second_run(26, ErrorPolicy::Fail).await;
        assert!((1..=26 - 15).contains(&calls), "{calls} calls of 26 were made again");
    });
}

/// What was put aside is not in the journal, so such an object starts again.
#[test]
fn an_object_whose_records_are_put_aside_starts_again() {
    on_threads(async {
        assert_eq!(calls_of_the_second_run(26, ErrorPolicy::Quarantine).await, 26);
    });
}

/// The upload of an object that is gone by the next run is ended.
#[test]
fn uploads_of_objects_that_are_gone_are_ended() {
    on_threads(async {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.jsonl");
        let bench = suspended(&large_input(26), ErrorPolicy::Fail, &journal).await;
        assert_eq!(bench.store.uploads.unfinished("").await.unwrap().len(), 1);

        bench.store.objects.delete(&Path::parse("in/x").unwrap()).await.unwrap();
        put(&bench.store, "in/y", b"ab\n").await;
        assert_eq!(bench.run().await.outcome, Outcome::Completed);
        assert!(bench.store.uploads.unfinished("").await.unwrap().is_empty());
        assert_eq!(bench.outputs().await.into_keys().collect::<Vec<_>>(), ["y.out"]);
    });
}

/// An object that is another than the one that was listed fails and writes nothing.
#[test]
fn an_input_that_changes_fails() {
    in_no_time(async {
        let bench = Bench::new(&[("in/x", b"ab\n")], lines()).await;
        let path = Path::parse("in/x").unwrap();
        let meta = bench.store.objects.head(&path).await.unwrap();
        put(&bench.store, "in/x", b"cd\n").await;
        let listed = InputObject {
            path,
            size: meta.size,
            e_tag: meta.e_tag,
            modified: Some(meta.last_modified.into()),
            output: Path::parse("out/x.out").unwrap(),
        };
        let (progress, told) = (Arc::clone(&bench.progress), Arc::<Told>::default());
        let (model, stop) = (Arc::clone(&bench.model), bench.stop.subscribe());
        let work = Arc::new(Work::new("job".into(), lines(), model, progress, told, stop));
        let places = Places {
            input: bench.store.clone(),
            input_name: "bucket".to_owned(),
            output: bench.store.clone(),
            journal: Journal::nowhere(),
            read: ReadOptions::default(),
            part_sizes: PartSizes::default(),
        };
        let result = transform(&work, &places, &Done::default(), &listed, None).await;
        let Err(ObjectError::Object(reason)) = result else { panic!("{result:?}") };
        assert!(reason.contains("changed"), "{reason}");
        assert!(bench.outputs().await.is_empty());
    });
}
