//! Pipe mode: FIFOs, one an epoch.

use std::io::Write as _;

use training::{Channel, Distribution, InputMode, Outcome, Source, Stop};

use crate::harness::{Machine, channel, wait};

fn pipe() -> Channel {
    channel("train", "s3://data/p/", InputMode::Pipe)
}

async fn with_objects(objects: &[(&str, &[u8])]) -> Machine {
    let machine = Machine::new();
    for (key, bytes) in objects {
        machine.stores.put("data", key, bytes.to_vec()).await;
    }
    machine
}

/// Runs a script with a channel, and gives the model's one file.
async fn read(machine: &Machine, channel: Channel, script: &str) -> Vec<u8> {
    let mut job = machine.job(&format!("cd $SAGEMAKER_BASE_DIR/input/data; {script} > ../../model/read"));
    job.channels = vec![channel];
    job.output.compression = training::Compression::None;
    let ended = machine.run(job).await;
    assert_eq!(ended.outcome, Outcome::Completed, "{:?}", machine.heard.lines(1));
    machine.stores.get("b", "out/job-1/output/model/read").await.unwrap_or_default()
}

#[tokio::test]
async fn three_epochs_of_which_one_is_closed_early() {
    // Larger than a pipe holds, so that an early close is seen by the writer.
    let large = vec![b'x'; 300_000];
    let machine = with_objects(&[("p/1", b"first\n"), ("p/2", &large), ("p/3", b"last\n")]).await;
    let script = "(cat train_0 | wc -c; head -c 6 train_1; cat train_2 | wc -c; cat train_2 2>&1; true)";
    let found = String::from_utf8(read(&machine, pipe(), script).await).unwrap();
    let lines: Vec<_> = found.lines().map(str::trim).collect();
    assert_eq!(lines[..3], ["300011", "first", "300011"]);
    assert!(lines[3].contains("No such file"), "an epoch is read once: {found}");
}

#[tokio::test]
async fn objects_are_back_to_back_in_the_order_of_keys() {
    let machine = with_objects(&[("p/b", b"2"), ("p/a/x", b"1"), ("p/c", b""), ("p/d", b"3")]).await;
    assert_eq!(read(&machine, pipe(), "cat train_0").await, b"123");
}

#[tokio::test]
async fn a_fifo_that_nobody_opens_is_no_leak() {
    let machine = with_objects(&[("p/a", b"1")]).await;
    assert_eq!(read(&machine, pipe(), "test -p train_0 && echo there").await, b"there\n");
}

#[tokio::test]
async fn a_job_is_stopped_while_nobody_reads() {
    let large = vec![b'x'; 300_000];
    let machine = with_objects(&[("p/a", &large)]).await;
    let script = "exec 3< $SAGEMAKER_BASE_DIR/input/data/train_0; echo opened; while :; do sleep 0.05; done";
    let mut job = machine.job(script);
    job.channels = vec![pipe()];
    let running = machine.start(job);
    machine.heard.wait_for("opened").await;
    machine.stop.send_replace(Stop::Stop);
    assert_eq!(wait(running).await.outcome, Outcome::Stopped);
    machine.assert_no_process();
    assert!(!machine.folder().exists());
}

fn packed(parts: &[&[u8]]) -> Vec<u8> {
    let member = |part: &&[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(part).unwrap();
        packer.finish().unwrap()
    };
    parts.iter().map(member).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn packed_objects_are_unpacked() {
    let large = vec![b'y'; 1_000_000];
    let machine = with_objects(&[("p/a", &packed(&[b"one", b"two"])), ("p/b", &packed(&[&large]))]).await;
    let found = read(&machine, Channel { gzip: true, ..pipe() }, "cat train_0").await;
    assert_eq!(found, [b"onetwo", &large[..]].concat());
}

#[tokio::test]
async fn a_damaged_packed_object_is_a_reason() {
    let whole = packed(&[&[b'z'; 1000]]);
    for (damaged, word) in [(&whole[..whole.len() - 5], "whole gzip"), (&b"no gzip at all"[..], "p/a")] {
        let machine = with_objects(&[("p/a", damaged)]).await;
        let mut job = machine.job("cat $SAGEMAKER_BASE_DIR/input/data/train_0 > /dev/null; sleep 1000");
        job.channels = vec![Channel { gzip: true, ..pipe() }];
        let Outcome::Failed(reason) = machine.run(job).await.outcome else { panic!("expected a failure") };
        assert!(reason.starts_with("ClientError: Data download failed: s3://data/p/a: "), "{reason}");
        assert!(reason.contains(word), "{reason}");
    }
}

fn record(payload: &[u8]) -> Vec<u8> {
    let mut record = 0xced7_230a_u32.to_le_bytes().to_vec();
    record.extend((payload.len() as u32).to_le_bytes());
    record.extend(payload);
    record.resize(record.len().next_multiple_of(4), 0);
    record
}

#[tokio::test]
async fn objects_are_wrapped_as_records() {
    let machine = with_objects(&[("p/a", b"12345"), ("p/b", b"")]).await;
    let channel = Channel { record_wrapper: true, ..pipe() };
    assert_eq!(read(&machine, channel, "cat train_0").await, [record(b"12345"), record(b"")].concat());
    let machine = with_objects(&[("p/a", &packed(&[b"abc"]))]).await;
    let channel = Channel { record_wrapper: true, gzip: true, ..pipe() };
    assert_eq!(read(&machine, channel, "cat train_0").await, record(b"abc"));
}

#[tokio::test]
async fn shuffled_epochs_have_the_same_objects_in_other_orders() {
    let keys: Vec<String> = (0..26).map(|n| format!("p/{}", (b'a' + n) as char)).collect();
    let objects: Vec<(&str, &[u8])> = keys.iter().map(|key| (key.as_str(), &key.as_bytes()[2..])).collect();
    let script = "(cat train_0; echo; cat train_1)";
    let mut all = Vec::new();
    for _ in 0..2 {
        let machine = with_objects(&objects).await;
        let channel = Channel { shuffle_seed: Some(3), ..pipe() };
        all.push(String::from_utf8(read(&machine, channel, script).await).unwrap());
    }
    assert_eq!(all[0], all[1]);
    let (first, second) = all[0].split_once('\n').unwrap();
    assert_ne!(first, second);
    for epoch in [first, second] {
        let mut letters: Vec<char> = epoch.chars().collect();
        letters.sort_unstable();
        assert_eq!(letters, ('a'..='z').collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn augmented_manifests_give_members_and_objects() {
    let lines = concat!(
        r#"{"source-ref": "s3://data/p/1", "label": 3, "meta": {"a": [1, "x"]}}"#,
        "\n\n",
        r#"{"label": "cat", "source-ref": "s3://data/p/2", "meta": null}"#
    );
    let machine = with_objects(&[("p/1", b"\x89PNG"), ("p/2", b"JPEG"), ("m", lines.as_bytes())]).await;
    let attributes = ["source-ref", "label", "meta"].map(str::to_owned).to_vec();
    let source = Source::Augmented { uri: "s3://data/m".into(), attributes };
    let channel = Channel { source, record_wrapper: true, ..pipe() };
    let parts: [&[u8]; 6] = [b"\x89PNG", b"3", br#"{"a":[1,"x"]}"#, b"JPEG", b"\"cat\"", b"null"];
    let expected: Vec<u8> = parts.iter().flat_map(|part| record(part)).collect();
    assert_eq!(read(&machine, channel, "cat train_0").await, expected);
}

#[tokio::test]
async fn an_augmented_manifest_without_a_member_is_a_reason() {
    let machine = with_objects(&[("m", b"{\"a\": 1}\n{\"b\": 1}\n")]).await;
    let mut job = machine.job("exit 0");
    let source = Source::Augmented { uri: "s3://data/m".into(), attributes: vec!["a".into()] };
    job.channels = vec![Channel { source, ..pipe() }];
    let Outcome::Failed(reason) = machine.run(job).await.outcome else { panic!("expected a failure") };
    assert!(reason.contains("s3://data/m, line 2") && reason.contains("\"a\""), "{reason}");
}

#[tokio::test]
async fn hosts_share_the_keys_of_an_epoch() {
    let machine = with_objects(&[("p/a", b"a"), ("p/b", b"b"), ("p/c", b"c")]).await;
    let mut job = machine.job("cd $SAGEMAKER_BASE_DIR; echo $(cat input/data/train_0)");
    job.hosts = 2;
    job.channels = vec![Channel { distribution: Distribution::ShardedByS3Key, ..pipe() }];
    assert_eq!(machine.run(job).await.outcome, Outcome::Completed);
    assert_eq!(
        (machine.heard.lines(1), machine.heard.lines(2)),
        (vec!["ac".to_owned()], vec!["b".to_owned()])
    );
}

#[tokio::test]
async fn rows_that_would_be_glued_are_told_of_and_ended_when_asked() {
    for (asked, expected) in [(false, &b"1,23,4\n"[..]), (true, b"1,2\n3,4\n")] {
        let machine = with_objects(&[("p/a", b"1,2"), ("p/b", b"3,4\n")]).await;
        let channel = Channel { content_type: Some("text/csv".into()), ..pipe() };
        let mut job =
            machine.job("cat $SAGEMAKER_BASE_DIR/input/data/train_0 > $SAGEMAKER_BASE_DIR/model/read");
        job.channels = vec![channel];
        job.output.compression = training::Compression::None;
        if asked {
            job.environment.insert("CLARY_PIPE_LINE_ENDS".into(), "1".into());
        }
        assert_eq!(machine.run(job).await.outcome, Outcome::Completed);
        assert_eq!(machine.stores.get("b", "out/job-1/output/model/read").await.unwrap(), expected);
        assert!(machine.heard.lines(1)[0].contains("s3://data/p/a does not end with a line end"));
    }
}
