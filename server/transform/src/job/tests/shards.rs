//! Runners that share one object write what one runner does, whatever the answers are.

use super::*;
use crate::object::rejected_key;
use crate::settings::{Answers, BatchStrategy, ErrorPolicy, PayloadLimit};

/// Lines of several lengths.
fn input() -> String {
    (0..300).map(|number| "x".repeat(number * 7 % 23) + &format!("{number}\n")).collect()
}

/// A model whose answer to several lines is `answers`, over an object that is small and cut all the same.
async fn bench(answers: Answers, strategy: BatchStrategy) -> Bench {
    let payload_limit = PayloadLimit::Bytes(64);
    let settings = Settings { answers, strategy, payload_limit, cut_bytes: 100, ..lines() };
    let model = Fake { answers_as_document: answers.are_one(), ..Fake::default() };
    Bench::new(&[("in/x", input().as_bytes())], settings).await.with_model(model)
}

/// What `count` runners write, put together as a merge does.
async fn written(answers: Answers, strategy: BatchStrategy, count: u32) -> (String, usize) {
    let mut bench = bench(answers, strategy).await;
    for index in 0..count {
        bench.shard = Some(Shard { index, count });
        let summary = bench.run().await;
        assert_eq!(summary.outcome, Outcome::Completed, "{summary:?}");
    }
    let mut outputs = bench.outputs().await;
    if let Some(whole) = outputs.remove("x.out") {
        assert!(outputs.is_empty(), "{outputs:?}");
        return (whole, 1);
    }
    let shares = outputs.len();
    assert!(outputs.keys().all(|key| key.starts_with("_clary/job/shares/x.out.")), "{outputs:?}");
    (outputs.into_values().collect(), shares)
}

#[test]
fn the_bytes_are_those_of_one_run() {
    in_no_time(async {
        for (answers, is_cut) in [
            (Answers::CsvLines, true),
            (Answers::JsonLines, true),
            (Answers::CsvLine, false),
            (Answers::JsonDocument, false),
            (Answers::RecordIo, false),
            (Answers::Unknown, false),
        ] {
            for strategy in [BatchStrategy::MultiRecord, BatchStrategy::SingleRecord] {
                let one = bench(answers, strategy).await;
                one.run().await;
                let expected = &one.outputs().await["x.out"];
                for count in 1..=4 {
                    let (found, shares) = written(answers, strategy, count).await;
                    assert_eq!(&found, expected, "{answers:?} {strategy:?} {count}");
                    assert_eq!(shares, if is_cut { count as usize } else { 1 }, "{answers:?} {count}");
                }
            }
        }
    });
}

/// What is put aside of an object is one file beside its output.
#[test]
fn an_object_whose_records_are_put_aside_is_one_runners() {
    in_no_time(async {
        let mut bench = bench(Answers::CsvLines, BatchStrategy::MultiRecord).await;
        bench.settings.error_policy = ErrorPolicy::Quarantine;
        put(&bench.store, "in/x", (input() + "bad\n").as_bytes()).await;
        for index in 0..3 {
            bench.shard = Some(Shard { index, count: 3 });
            bench.run().await;
        }
        let outputs = bench.outputs().await;
        assert_eq!(outputs.keys().collect::<Vec<_>>(), ["x.out", &rejected_key("x.out")]);
    });
}
