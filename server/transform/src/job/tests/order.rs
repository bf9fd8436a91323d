//! The order of answers, and what is under way at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;

use super::*;
use crate::batch::Position;
use crate::object::{Rejected, Sink, Source, Work, pipe, window};
use crate::process::ObjectId;
use crate::settings::{BatchStrategy, PayloadLimit};

/// `count` lines of four digits, and those reversed.
fn numbers(count: usize) -> (String, String) {
    let lines = |digits: fn(usize) -> String| (0..count).map(|number| digits(number) + "\n").collect();
    let straight = lines(|number| format!("{number:04}"));
    let reversed = lines(|number| format!("{number:04}").chars().rev().collect());
    (straight, reversed)
}

#[test]
fn answers_are_in_the_inputs_order_whatever_calls_take() {
    in_no_time(async {
        let (input, expected) = numbers(2000);
        for (concurrency, strategy, bytes) in [
            (1, BatchStrategy::MultiRecord, 50),
            (8, BatchStrategy::MultiRecord, 50),
            (8, BatchStrategy::SingleRecord, 50),
            (100, BatchStrategy::MultiRecord, 5),
        ] {
            let payload_limit = PayloadLimit::Bytes(bytes);
            let settings = Settings { concurrency, strategy, payload_limit, ..lines() };
            let model = Fake { delay_ms: 50, ..Fake::default() };
            let bench = Bench::new(&[("in/x", input.as_bytes())], settings).await.with_model(model);
            assert_eq!(bench.run().await.outcome, Outcome::Completed);
            assert_eq!(bench.outputs().await["x.out"], expected, "{concurrency} {strategy:?}");
            assert!(bench.model.running_max.load(Ordering::SeqCst) <= concurrency);
        }
    });
}

/// `count` lines, eight calls at once, until eight are under way.
async fn check_side_by_side(count: usize, strategy: BatchStrategy) {
    let (input, expected) = numbers(count);
    let payload_limit = PayloadLimit::Bytes(5);
    let settings = Settings { concurrency: 8, strategy, payload_limit, ..lines() };
    let bench = Bench::new(&[("in/x", input.as_bytes())], settings).await.with_model(Fake::held());
    let running = tokio::spawn(bench.job().await.run());
    stop::until(|| bench.model.running.load(Ordering::SeqCst) == 8).await;
    bench.model.gate.as_ref().unwrap().add_permits(count);
    assert_eq!(running.await.unwrap().counts.records, count as u64);
    assert_eq!(bench.model.running_max.load(Ordering::SeqCst), 8);
    assert_eq!(bench.outputs().await["x.out"], expected);
}

#[test]
fn calls_run_side_by_side() {
    on_threads(async {
        check_side_by_side(200, BatchStrategy::MultiRecord).await;
        check_side_by_side(200, BatchStrategy::SingleRecord).await;
        // Few records are one run, and side by side all the same.
        check_side_by_side(10, BatchStrategy::SingleRecord).await;
    });
}

/// Carries 2000 lines, a call and a piece each, to a sink that never takes anything, until nothing moves: the pieces that were
/// read.
async fn read_before_a_stalled_sink(model: &Arc<Fake>) -> usize {
    let settings = Settings { concurrency: 4, payload_limit: PayloadLimit::Bytes(5), ..lines() };
    let (_stop, stopped) = watch::channel(Stop::Run);
    let (progress, told) = (Arc::<Progress>::default(), Arc::<Told>::default());
    let work = Arc::new(Work::new("job".into(), settings, Arc::clone(model), progress, told, stopped));
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let pieces = futures_util::stream::iter(numbers(2000).0.into_bytes()).chunks(5).map(move |piece| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(Bytes::from(piece))
    });
    let id = ObjectId::new("job", "in/x");
    let mut sink = Stalled;
    let source = Source { object: id, pieces: Box::pin(pieces), start: Position::default(), is_live: false };
    let piped = pipe(&work, source, &mut sink);
    // The clock jumps: whoever can do something has done it before an hour has passed.
    assert!(tokio::time::timeout(Duration::from_secs(3600), piped).await.is_err());
    read.load(Ordering::SeqCst)
}

#[test]
fn a_stalled_sink_stops_the_reading() {
    in_no_time(async {
        let model = Arc::new(Fake::default());
        let read = read_before_a_stalled_sink(&model).await;
        assert!((1..=window(4) + 3).contains(&read), "{read} pieces of 2000");
        let calls = model.calls.load(Ordering::SeqCst);
        assert!((1..=window(4) + 1).contains(&calls), "{calls} calls for 2000 lines");
    });
}

#[test]
fn a_stalled_model_stops_the_reading() {
    in_no_time(async {
        let model = Arc::new(Fake::held());
        let read = read_before_a_stalled_sink(&model).await;
        assert!((1..=window(4) + 3).contains(&read), "{read} pieces of 2000");
        assert_eq!(model.running_max.load(Ordering::SeqCst), 4);
    });
}

/// A sink that never takes anything.
struct Stalled;

impl Sink for Stalled {
    async fn write(&mut self, _: Bytes, _: Position) -> Result<(), String> {
        std::future::pending().await
    }

    async fn reject(&mut self, _: Vec<Rejected>) -> Result<(), String> {
        Ok(())
    }
}

/// A sink that keeps what it is given.
#[derive(Default)]
struct Kept(Vec<(Position, Bytes)>);

impl Sink for Kept {
    async fn write(&mut self, bytes: Bytes, start: Position) -> Result<(), String> {
        self.0.push((start, bytes));
        Ok(())
    }

    async fn reject(&mut self, _: Vec<Rejected>) -> Result<(), String> {
        Ok(())
    }
}

/// The runs of an endless payload that comes in pieces of up to `piece_bytes`, with a pause after each.
async fn runs(input: &str, piece_bytes: usize, is_live: bool) -> Vec<(Position, Bytes)> {
    let settings = Settings { concurrency: 3, payload_limit: PayloadLimit::Endless, ..lines() };
    let (_stop, stopped) = watch::channel(Stop::Run);
    let (progress, told) = (Arc::<Progress>::default(), Arc::<Told>::default());
    let model = Arc::new(Fake { delay_ms: 20, ..Fake::default() });
    let work = Arc::new(Work::new("job".into(), settings, model, progress, told, stopped));
    let mut rest = Bytes::from(input.to_owned());
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        pieces.push(rest.split_to(fastrand::usize(1..=piece_bytes).min(rest.len())));
    }
    let pieces = futures_util::stream::iter(pieces).then(async |piece| {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(1..5))).await;
        Ok(piece)
    });
    let (object, start) = (ObjectId::new("job", "in/x"), Position::default());
    let mut sink = Kept::default();
    pipe(&work, Source { object, pieces: Box::pin(pieces), start, is_live }, &mut sink).await.unwrap();
    sink.0
}

/// Whoever goes on with an output needs the runs that were there before, whenever their bytes came.
#[test]
fn runs_of_what_is_stored_do_not_depend_on_when_it_comes() {
    in_no_time(async {
        let input = numbers(9999).0.repeat(50);
        let expected = runs(&input, input.len(), false).await;
        assert!(expected.len() > 1, "several runs");
        for piece_bytes in [100_000, 700_000] {
            assert_eq!(runs(&input, piece_bytes, false).await, expected, "{piece_bytes}");
        }
        // Who waits for an answer gets it at each pause.
        assert!(runs(&numbers(100).0, 50, true).await.len() > 5);
    });
}
