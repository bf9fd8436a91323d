//! Checkpoints in and out, and what a killed server leaves.

use std::process::{Command, Stdio};

use training::{Checkpoints, Outcome};

use crate::harness::{DEADLINE, Machine, processes, wait};

fn checkpoints() -> Option<Checkpoints> {
    Some(Checkpoints { uri: "s3://b/check".into(), local_path: "/opt/ml/checkpoints".into() })
}

#[tokio::test]
async fn checkpoints_are_copied_in_and_mirrored_with_deletions() {
    let machine = Machine::new();
    machine.stores.put("b", "check/old/step-1", "1").await;
    machine.stores.put("b", "check/kept", "kept").await;
    machine.stores.put("b", "checkmate", "a stranger").await;
    let script = r#"
        cd $SAGEMAKER_BASE_DIR/checkpoints
        echo "in $(find . -type f | sort | tr '\n' ' ')"
        rm old/step-1
        echo 2 > step-2.partial && mv step-2.partial step-2
        echo half > step-3.tmp
    "#;
    let mut job = machine.job(script);
    job.checkpoints = checkpoints();
    assert_eq!(machine.run(job).await.outcome, Outcome::Completed);
    assert_eq!(machine.heard.lines(1), ["in ./kept ./old/step-1 "]);
    assert_eq!(machine.stores.keys("b").await, ["check/kept", "check/step-2", "checkmate"]);
    assert_eq!(machine.stores.get("b", "check/step-2").await.unwrap(), b"2\n");
}

#[tokio::test]
async fn checkpoints_are_mirrored_while_the_program_runs() {
    let machine = Machine::new();
    let script = "echo 1 > $SAGEMAKER_BASE_DIR/checkpoints/step; echo ready; while :; do sleep 0.05; done";
    let mut job = machine.job(script);
    job.checkpoints = checkpoints();
    let running = machine.start(job);
    machine.heard.wait_for("ready").await;
    let mirrored = async {
        while machine.stores.get("b", "check/step").await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, mirrored).await.expect("it is mirrored");
    machine.stop.send_replace(training::Stop::Stop);
    assert_eq!(wait(running).await.outcome, Outcome::Stopped);
}

#[tokio::test]
async fn a_failed_job_s_checkpoints_are_there() {
    let machine = Machine::new();
    let mut job = machine.job("echo 1 > $SAGEMAKER_BASE_DIR/checkpoints/step; exit 1");
    job.checkpoints = checkpoints();
    assert!(matches!(machine.run(job).await.outcome, Outcome::Failed(_)));
    assert_eq!(machine.stores.keys("b").await, ["check/step"]);
}

#[tokio::test]
async fn another_path_for_checkpoints() {
    let check = async |path: &str, expected: Option<&str>| {
        let machine = Machine::new();
        machine.stores.put("b", "check/x", "1").await;
        let mut job = machine.job("cd $SAGEMAKER_BASE_DIR; find . -name x");
        job.checkpoints = Some(Checkpoints { uri: "s3://b/check".into(), local_path: path.into() });
        let outcome = machine.run(job).await.outcome;
        match expected {
            Some(line) => assert_eq!(machine.heard.lines(1), [line]),
            None => assert!(
                matches!(&outcome, Outcome::Failed(reason) if reason.contains("CheckpointConfig.LocalPath")),
                "{path}: {outcome:?}"
            ),
        }
    };
    check("/opt/ml/saved/here/", Some("./saved/here/x")).await;
    for path in ["/var/lib/x", "/opt/ml/../x", "/opt/ml", "/opt/ml/input/data", "saved"] {
        check(path, None).await;
    }
}

#[tokio::test]
async fn intermediate_output_is_mirrored_without_deletions() {
    let machine = Machine::new();
    let script = "cd $SAGEMAKER_BASE_DIR/output/intermediate; echo 1 > plot";
    let mut job = machine.job(script);
    job.intermediate = Some("s3://b/inter/".into());
    assert_eq!(machine.run(job).await.outcome, Outcome::Completed);
    assert_eq!(machine.stores.keys("b").await, ["inter/job-1/output/intermediate/plot"]);
}

#[tokio::test]
async fn what_a_killed_server_left_is_swept_and_nothing_else() {
    let machine = Machine::new();
    let script = "setsid sleep 1000 & sleep 1000 & echo ready; wait";
    let running = machine.start(machine.job(script));
    machine.heard.wait_for("ready").await;
    let ledger = std::fs::read(machine.folder().join("processes.json")).unwrap();
    // Ended without its guards, as by kill -9: what the first one started lives on, as a copy that nobody guards.
    let mut stray = Command::new("/bin/sh");
    stray.args(["-c", "setsid sleep 1000 & exec sleep 1000"]).env_clear();
    stray.env("SAGEMAKER_BASE_DIR", machine.folder().join("algo-1")).stdout(Stdio::null());
    let mut stray = stray.spawn().unwrap();
    let mut stranger = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let folder = machine.folder();
    let ended = tokio::task::spawn_blocking(move || training::sweep(&folder)).await.unwrap().unwrap();
    assert!(ended >= 4, "{ended}");
    stray.wait().unwrap();
    wait(running).await;
    assert!(processes(&machine.folder()).is_empty());
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was ended");
    // A ledger of a process that has another start is another's.
    std::fs::create_dir_all(machine.folder()).unwrap();
    let text = String::from_utf8(ledger).unwrap();
    let forged = regex::Regex::new(r#""pid":\d+"#).unwrap();
    let forged = forged.replace_all(&text, format!("\"pid\":{}", stranger.id()));
    std::fs::write(machine.folder().join("processes.json"), &*forged).unwrap();
    assert_eq!(training::sweep(&machine.folder()).unwrap(), 0);
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was ended");
    assert!(!machine.folder().join("processes.json").exists());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_folder_without_a_ledger_is_swept_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    assert_eq!(training::sweep(&scratch.path().join("job")).unwrap(), 0);
    std::fs::write(scratch.path().join("processes.json"), "{").unwrap();
    training::sweep(scratch.path()).unwrap_err();
}
