//! Transforms that are stopped.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::object::STOP_GRACE;
use crate::settings::PayloadLimit;

pub(super) async fn until(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), so).await.expect("it comes to be so");
}

/// Finished objects stay; the one under way has no output, and nothing new begins.
#[test]
fn a_stopped_transform_ends() {
    on_threads(async {
        for stop in [Stop::Abort, Stop::Suspend] {
            let objects: &[(&str, &[u8])] = &[("in/a", b"ab\n"), ("in/b", b"cd\nef\n")];
            let settings = Settings { payload_limit: PayloadLimit::Bytes(3), ..lines() };
            let bench = Bench::new(objects, settings).await.with_model(Fake::held());
            let running = tokio::spawn(bench.job().await.run());
            let gate = bench.model.gate.as_ref().unwrap();
            until(|| bench.model.running.load(Ordering::SeqCst) == 1).await;
            bench.stop.send_replace(stop);
            // What is under way may end.
            gate.add_permits(1000);
            let summary = running.await.unwrap();
            assert_eq!((summary.outcome, summary.failures), (Outcome::Stopped, vec![]));
            let outputs = bench.outputs().await;
            assert!(outputs.iter().all(|(key, text)| match key.as_str() {
                "a.out" => text == "ba\n",
                "b.out" => text == "dc\nfe\n",
                _ => false,
            }));
            assert!(bench.store.uploads.unfinished("").await.unwrap().is_empty());
        }
    });
}

/// A call that never ends does not hold a transform up for longer than the grace.
#[test]
fn what_is_under_way_has_a_time_limit() {
    in_no_time(async {
        let bench = Bench::new(&[("in/a", b"ab\n")], lines()).await.with_model(Fake::held());
        let running = tokio::spawn(bench.job().await.run());
        until(|| bench.model.running.load(Ordering::SeqCst) == 1).await;
        let stopped = tokio::time::Instant::now();
        bench.stop.send_replace(Stop::Abort);
        assert_eq!(running.await.unwrap().outcome, Outcome::Stopped);
        assert!((STOP_GRACE..STOP_GRACE * 2).contains(&stopped.elapsed()));
        assert!(bench.outputs().await.is_empty());
    });
}

#[test]
fn a_transform_that_is_stopped_before_it_begins_does_nothing() {
    in_no_time(async {
        let bench = Bench::new(&[("in/a", b"ab\n")], lines()).await;
        bench.stop.send_replace(Stop::Abort);
        assert_eq!(bench.run().await.outcome, Outcome::Stopped);
        assert_eq!(bench.model.calls.load(Ordering::SeqCst), 0);
    });
}
