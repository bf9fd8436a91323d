//! Objects: which are read, what becomes of each, and resuming.

use std::io::Write as _;

use super::*;
use crate::settings::{
    BatchStrategy, Compression, ErrorPolicy, ExecutionParameters, Extensions, PayloadLimit, Requested,
};

#[test]
fn every_object_has_an_output() {
    in_no_time(async {
        check(&[("in/x", b"ab\ncd\n")], lines(), &[("x.out", "ba\ndc\n")]).await;
        check(&[("in/x", b"ab\ncd")], lines(), &[("x.out", "ba\ndc\n")]).await;
        check(&[("in/x", b"")], lines(), &[("x.out", "")]).await;
        check(&[("in/x", b"\n\n")], lines(), &[("x.out", "\n\n")]).await;
        check(&[("in/x", b"silent\n")], lines(), &[("x.out", "")]).await;
        check(
            &[("in/a/x.csv", b"ab\n"), ("in/b+ c%20.csv", b"cd\n"), ("other/x", b"ef\n")],
            lines(),
            &[("a/x.csv.out", "ba\n"), ("b+ c%20.csv.out", "dc\n")],
        )
        .await;
    });
}

#[test]
fn strategies_and_what_stands_between_answers() {
    in_no_time(async {
        let input: &[(&str, &[u8])] = &[("in/x", b"ab\ncd\nef")];
        for (split_type, strategy, assemble_with, expected) in [
            (SplitType::Line, BatchStrategy::MultiRecord, AssembleWith::Line, "ba\ndc\nfe\n"),
            (SplitType::Line, BatchStrategy::MultiRecord, AssembleWith::None, "ba\ndc\nfe"),
            (SplitType::Line, BatchStrategy::SingleRecord, AssembleWith::Line, "ba\ndc\nfe\n"),
            (SplitType::Line, BatchStrategy::SingleRecord, AssembleWith::None, "ba\ndc\nfe"),
            (SplitType::None, BatchStrategy::MultiRecord, AssembleWith::Line, "ba\ndc\nfe\n"),
            (SplitType::None, BatchStrategy::SingleRecord, AssembleWith::None, "ba\ndc\nfe"),
        ] {
            for concurrency in [1, 8] {
                let settings =
                    Settings { split_type, strategy, assemble_with, concurrency, ..Settings::default() };
                check(input, settings, &[("x.out", expected)]).await;
            }
        }
    });
}

/// Answers without a newline of their own: one is put between those of an endless payload's pieces, as in one answer.
#[test]
fn an_endless_payload_is_one_answer() {
    in_no_time(async {
        let line = "ab".repeat(2000);
        let input = format!("{line}\n").repeat(2500);
        let settings = Settings {
            payload_limit: PayloadLimit::Endless,
            content_type: Some("text/csv".to_owned()),
            concurrency: 2,
            ..Settings::default()
        };
        let model = Fake { keeps_last_newline: false, ..Fake::default() };
        let bench = Bench::new(&[("in/x", input.as_bytes())], settings).await.with_model(model);
        let summary = bench.run().await;
        assert!(summary.counts.calls > 1, "{summary:?}");
        let expected: String = format!("{}\n", "ba".repeat(2000)).repeat(2500);
        assert!(bench.outputs().await["x.out"] == expected.trim_end(), "{summary:?}");
    });
}

#[test]
fn packed_objects() {
    in_no_time(async {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"ab\ncd\n").unwrap();
        let packed = packed.finish().unwrap();
        let settings = Settings { compression: Compression::Gzip, ..lines() };
        check(&[("in/x.csv.gz", &packed)], settings, &[("x.csv.gz.out", "ba\ndc\n")]).await;
    });
}

#[test]
fn a_thousand_small_objects() {
    on_threads(async {
        let keys: Vec<String> = (0..1000).map(|number| format!("in/{number}.csv")).collect();
        let objects: Vec<(&str, &[u8])> = keys.iter().map(|key| (key.as_str(), &b"ab\ncd\n"[..])).collect();
        let bench = Bench::new(&objects, Settings { concurrency: 8, ..lines() }).await;
        let summary = bench.run().await;
        assert_eq!((summary.outcome, summary.counts.objects_done), (Outcome::Completed, 1000));
        assert_eq!((summary.counts.records, summary.counts.bytes_written), (2000, 6000));
        let outputs = bench.outputs().await;
        assert_eq!(outputs.len(), 1000);
        assert!(outputs.values().all(|text| text == "ba\ndc\n"));
    });
}

#[test]
fn one_object_that_fails_leaves_the_others() {
    in_no_time(async {
        let bench = Bench::new(&[("in/a", b"ab\n"), ("in/b", b"bad\n"), ("in/c", b"cd\n")], lines()).await;
        let summary = bench.run().await;
        assert_eq!(summary.outcome, Outcome::Failed);
        assert_eq!(summary.reason.as_deref(), Some("ClientError: See job logs for more information"));
        assert_eq!((summary.counts.objects_done, summary.counts.objects_failed), (2, 1));
        let outputs: Vec<String> = bench.outputs().await.into_keys().collect();
        assert_eq!(outputs, ["a.out", "c.out"]);
    });
}

/// A failed object leaves no output, and an older one as it was.
#[test]
fn an_older_output_stays_when_its_object_fails() {
    in_no_time(async {
        let bench = Bench::new(&[("in/a", b"bad\n"), ("out/a.out", b"older")], lines()).await;
        assert_eq!(bench.run().await.outcome, Outcome::Failed);
        assert_eq!(bench.outputs().await["a.out"], "older");
    });
}

#[test]
fn records_that_are_too_large_fail_their_object() {
    in_no_time(async {
        let settings = Settings { payload_limit: PayloadLimit::Bytes(4), ..lines() };
        let bench = Bench::new(&[("in/a", b"ab\nabcdef\n"), ("in/b", b"ab\n")], settings).await;
        let summary = bench.run().await;
        let failure = &summary.failures[0];
        assert_eq!((failure.record, failure.byte), (Some(2), Some(3)), "{summary:?}");
        assert_eq!(bench.outputs().await.into_keys().collect::<Vec<_>>(), ["b.out"]);
    });
}

#[test]
fn answers_that_are_too_large_fail_their_object() {
    in_no_time(async {
        let bench = Bench::new(&[("in/a", b"abcdef\n")], Settings { response_bytes_max: 6, ..lines() }).await;
        let summary = bench.run().await;
        assert_eq!(summary.failures[0].reason, "expected an answer of at most 6 bytes, found 7");
        assert_eq!(summary.counts.calls, 1);
    });
}

#[test]
fn no_objects_are_no_transform() {
    in_no_time(async {
        let bench = Bench::new(&[("other/a", b"ab\n")], lines()).await;
        let summary = bench.run().await;
        assert_eq!(summary.outcome, Outcome::Failed);
        let reason = "ClientError: no objects whose keys begin with bucket/in/";
        assert_eq!(summary.reason.as_deref(), Some(reason));
    });
}

#[test]
fn a_manifests_missing_key_fails_alone() {
    in_no_time(async {
        let manifest = br#"[{"prefix":"s3://bucket/in/"},"a","gone","a"]"#;
        let mut bench =
            Bench::new(&[("in/a", b"ab\n"), ("in/b", b"cd\n"), ("m.json", manifest)], lines()).await;
        bench.source = Source::Manifest(Path::parse("m.json").unwrap());
        let summary = bench.run().await;
        assert_eq!(summary.outcome, Outcome::Failed);
        assert_eq!(summary.failures[0].object, "bucket/in/gone");
        assert_eq!(bench.outputs().await.into_keys().collect::<Vec<_>>(), ["a.out"]);
        assert_eq!(bench.told.warnings.lock().unwrap().len(), 1);
        bench.source = Source::Manifest(Path::parse("in/a").unwrap());
        let reason = bench.run().await.reason.unwrap();
        assert!(reason.starts_with("ClientError: in/a: manifest, line 1, column 1"), "{reason}");
    });
}

/// What is finished is not done again, but for an input that has changed.
#[test]
fn a_transform_that_is_run_again_skips_what_is_done() {
    on_threads(async {
        let folder = tempfile::tempdir().unwrap();
        let objects: &[(&str, &[u8])] = &[("in/a", b"ab\n"), ("in/b", b"bad\n"), ("in/c", b"cd\n")];
        let mut bench = Bench::new(objects, lines()).await;
        bench.place = Place::File(folder.path().join("journal.jsonl"));
        assert_eq!(bench.run().await.outcome, Outcome::Failed);
        put(&bench.store, "in/b", b"ef\n").await;
        put(&bench.store, "in/c", b"gh\n").await;
        (bench.progress, bench.model) = Default::default();
        let summary = bench.run().await;
        assert_eq!(summary.outcome, Outcome::Completed, "{summary:?}");
        assert_eq!((summary.counts.objects_skipped, summary.counts.calls), (1, 2));
        let outputs: Vec<String> = bench.outputs().await.into_values().collect();
        assert_eq!(outputs, ["ba\n", "fe\n", "hg\n"]);
    });
}

/// Runners that do not know of each other do all of it once.
#[test]
fn shards_are_the_whole() {
    in_no_time(async {
        let keys: Vec<String> = (0..50).map(|number| format!("in/{number}")).collect();
        let objects: Vec<(&str, &[u8])> = keys.iter().map(|key| (key.as_str(), &b"ab\n"[..])).collect();
        let mut bench = Bench::new(&objects, lines()).await;
        for index in 0..3 {
            bench.shard = Some(Shard { index, count: 3 });
            assert_eq!(bench.run().await.outcome, Outcome::Completed);
        }
        assert_eq!(bench.outputs().await.len(), 50);
        assert_eq!(bench.progress.calls.load(std::sync::atomic::Ordering::SeqCst), 50);
    });
}

/// The join of the answers, in calls of many records or of one.
#[test]
fn answers_are_joined_with_their_records() {
    in_no_time(async {
        for strategy in [BatchStrategy::MultiRecord, BatchStrategy::SingleRecord] {
            let requested = Requested {
                content_type: Some("text/csv".to_owned()),
                split_type: Some(SplitType::Line),
                assemble_with: Some(AssembleWith::Line),
                strategy: Some(strategy),
                input_filter: Some("$[1:]".to_owned()),
                join: true,
                ..Requested::default()
            };
            let settings = requested.resolve(ExecutionParameters::default()).unwrap().settings;
            check(&[("in/x", b"id1,ab\nid2,cd\n")], settings.clone(), &[("x.out", "id1,ab,ba\nid2,cd,dc\n")])
                .await;
            // An answer of none where there were records.
            let bench = Bench::new(&[("in/x", b"id1,silent\n")], settings).await;
            let summary = bench.run().await;
            assert_eq!(summary.outcome, Outcome::Failed, "{summary:?}");
            assert!(bench.outputs().await.is_empty());
        }
    });
}

/// A placeholder is joined as an answer is.
#[test]
fn placeholders_are_joined_with_their_records() {
    in_no_time(async {
        let requested = Requested {
            content_type: Some("text/csv".to_owned()),
            split_type: Some(SplitType::Line),
            assemble_with: Some(AssembleWith::Line),
            input_filter: Some("$[1:]".to_owned()),
            join: true,
            extensions: Extensions { error_policy: ErrorPolicy::Placeholder, ..Extensions::default() },
            ..Requested::default()
        };
        let settings = requested.resolve(ExecutionParameters::default()).unwrap().settings;
        let expected = [("x.out", "id1,ab,ba\nid2,bad,ERROR\n")];
        check(&[("in/x", b"id1,ab\nid2,bad\n")], settings, &expected).await;
    });
}
