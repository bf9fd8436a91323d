//! Several hosts: process groups of one machine.

use std::net::TcpListener;
use std::time::Duration;

use training::{Distribution, InputMode, Outcome};

use crate::harness::{Machine, channel, members};

#[tokio::test]
async fn two_hosts_of_which_one_fails() {
    let machine = Machine::new();
    let script = r#"
        echo "at $CLARY_COLLECTIVE_ADDRESS"
        if [ $CURRENT_HOST = algo-2 ]; then exit 9; fi
        trap '' TERM
        while :; do sleep 0.05; done
    "#;
    let mut job = machine.job(script);
    job.hosts = 2;
    job.limits.grace = Duration::from_millis(300);
    let ended = machine.run(job).await;
    let expected = "AlgorithmError: Exit Code: 9 (host algo-2)";
    assert_eq!(ended.outcome, Outcome::Failed(expected.to_owned()));
    // Host 1 may have been ended before its first line; host 2 was not.
    let line = machine.heard.lines(2).remove(0);
    let address = line.strip_prefix("at ").unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    TcpListener::bind(address).expect("the port is free again");
}

#[tokio::test]
async fn hosts_share_keys_and_their_models_are_one() {
    let machine = Machine::new();
    for name in ["a", "b", "c"] {
        machine.stores.put("data", &format!("train/{name}"), name).await;
    }
    let script = r#"
        cd $SAGEMAKER_BASE_DIR
        ls input/data/train | tr '\n' ' ' > model/$CURRENT_HOST
        echo $CURRENT_HOST > model/both
    "#;
    let mut job = machine.job(script);
    job.hosts = 2;
    job.channels = vec![channel("train", "s3://data/train", InputMode::File)];
    job.channels[0].distribution = Distribution::ShardedByS3Key;
    assert_eq!(machine.run(job).await.outcome, Outcome::Completed);
    let model = machine.stores.get("b", "out/job-1/output/model.tar.gz").await.unwrap();
    let expected = [("algo-1", "a c "), ("algo-2", "b "), ("both", "algo-1\n")];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(members(&model), expected);
}

#[tokio::test]
async fn more_hosts_than_there_may_be() {
    for hosts in [0, 9] {
        let machine = Machine::new();
        let mut job = machine.job("exit 0");
        job.hosts = hosts;
        let outcome = machine.run(job).await.outcome;
        let expected = format!("ClientError: InstanceCount: expected 1 to 8, found {hosts}");
        assert_eq!(outcome, Outcome::Failed(expected));
    }
}
