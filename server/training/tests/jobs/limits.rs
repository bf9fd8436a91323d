//! Hosts that use more than they may.

use training::{InputMode, Outcome};

use crate::harness::{Machine, channel};

#[tokio::test]
async fn memory_over_the_limit_ends_the_job() {
    let machine = Machine::new();
    // `tail` holds a line that does not end.
    let mut job = machine.job("(head -c 300000000 /dev/zero; sleep 1000) | tail -n 1");
    job.limits.memory_bytes = 64 << 20;
    let Outcome::Failed(reason) = machine.run(job).await.outcome else { panic!("expected a failure") };
    let start = "AlgorithmError: algo-1 was ended for its memory: expected at most 67108864 bytes, found ";
    let found: u64 = reason.strip_prefix(start).expect(&reason).parse().unwrap();
    assert!(found > 64 << 20, "{found}");
}

#[tokio::test]
async fn files_over_the_limit_end_the_job() {
    let machine = Machine::new();
    let mut job = machine.job("head -c 8000000 /dev/zero > $SAGEMAKER_BASE_DIR/model/m; sleep 1000");
    job.limits.volume_bytes = 1 << 20;
    let Outcome::Failed(reason) = machine.run(job).await.outcome else { panic!("expected a failure") };
    assert!(reason.contains("expected at most 1048576 bytes (VolumeSizeInGB), found "), "{reason}");
}

#[tokio::test]
async fn data_over_the_limit_is_not_fetched() {
    let machine = Machine::new();
    machine.stores.put("data", "train/x", vec![0; 5000]).await;
    let mut job = machine.job("echo ran");
    job.channels = vec![channel("train", "s3://data/train/", InputMode::File)];
    job.limits.volume_bytes = 4000;
    let outcome = machine.run(job).await.outcome;
    let expected = "ClientError: Data download failed: expected at most 4000 bytes (VolumeSizeInGB), found at least 5000";
    assert_eq!(outcome, Outcome::Failed(expected.to_owned()));
}

#[tokio::test]
async fn programs_stand_behind_the_server() {
    let machine = Machine::new();
    let own = rustix::process::getpriority_process(None).unwrap();
    // The score is set right behind the start.
    let script =
        "echo nice $(nice); until [ $(cat /proc/self/oom_score_adj) = 800 ]; do sleep 0.01; done; echo oom";
    let ended = machine.run(machine.job(script)).await;
    assert_eq!(ended.outcome, Outcome::Completed);
    let lines = machine.heard.lines(1);
    assert_eq!(lines, [format!("nice {}", (own + 5).min(19)), "oom".to_owned()]);
}
