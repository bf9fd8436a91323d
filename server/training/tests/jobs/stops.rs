//! Jobs that are ended before their programs are done: asked to, out of time, or with the server.

use std::time::Duration;

use training::{InputMode, Outcome, Phase, Stop};

use crate::harness::{Machine, channel, members, wait};

/// Says that it is there, and saves what it has once it is asked to end.
const SAVES: &str = r#"
    trap 'echo saved > $SAGEMAKER_BASE_DIR/model/m; echo asked; exit 1' TERM
    echo ready
    while :; do sleep 0.05; done
"#;

/// Does not heed SIGTERM.
const STUBBORN: &str =
    "trap '' TERM; echo half > $SAGEMAKER_BASE_DIR/model/m; echo ready; while :; do sleep 0.05; done";

#[tokio::test]
async fn stopped_in_training_with_its_model() {
    let machine = Machine::new();
    let running = machine.start(machine.job(SAVES));
    machine.heard.wait_for("ready").await;
    machine.stop.send_replace(Stop::Stop);
    let ended = wait(running).await;
    assert_eq!(ended.outcome, Outcome::Stopped);
    let model = machine.stores.get("b", "out/job-1/output/model.tar.gz").await.unwrap();
    assert_eq!(members(&model)[0].1, "saved\n");
    assert_eq!(machine.heard.phases.borrow().last(), Some(&Phase::Uploading));
    assert!(!machine.folder().exists());
    machine.assert_no_process();
}

#[tokio::test]
async fn a_program_that_ignores_its_end_is_ended_and_its_model_uploaded() {
    let machine = Machine::new();
    let mut job = machine.job(STUBBORN);
    job.limits.grace = Duration::from_millis(300);
    let running = machine.start(job);
    machine.heard.wait_for("ready").await;
    machine.stop.send_replace(Stop::Stop);
    let ended = wait(running).await;
    assert_eq!(ended.outcome, Outcome::Stopped);
    assert!(ended.model.is_some());
    machine.assert_no_process();
}

#[tokio::test]
async fn a_shell_that_is_gone_first_does_not_take_its_program_along() {
    let machine = Machine::new();
    // The shell has no trap: it ends at once, before the program that it runs.
    let script = format!("sh -c '{}'; true", SAVES.replace('\'', "'\\''"));
    let running = machine.start(machine.job(&script));
    machine.heard.wait_for("ready").await;
    machine.stop.send_replace(Stop::Stop);
    let ended = wait(running).await;
    assert_eq!(ended.outcome, Outcome::Stopped);
    let model = machine.stores.get("b", "out/job-1/output/model.tar.gz").await.expect("it was saved");
    assert_eq!(members(&model)[0].1, "saved\n");
    machine.assert_no_process();
}

#[tokio::test]
async fn stopped_before_it_starts() {
    let machine = Machine::new();
    machine.stores.put("data", "train/x", "1").await;
    let mut job = machine.job("echo ran");
    job.channels = vec![channel("train", "s3://data/train/", InputMode::File)];
    machine.stop.send_replace(Stop::Stop);
    let ended = machine.run(job).await;
    assert_eq!((ended.outcome, ended.model, ended.training_started), (Outcome::Stopped, None, None));
    assert!(machine.heard.lines(1).is_empty());
}

/// A job whose data does not come.
fn downloading(machine: &Machine) -> training::Job {
    let mut job = machine.job("echo ran");
    job.channels = vec![channel("train", "s3://slow/train/", InputMode::File)];
    job
}

#[tokio::test]
async fn ended_while_it_downloads() {
    for (asked, expected) in [(Stop::Stop, Outcome::Stopped), (Stop::Suspend, Outcome::Suspended)] {
        let machine = Machine::new();
        let running = machine.start(downloading(&machine));
        machine.heard.wait_for_phase(Phase::Downloading).await;
        machine.stop.send_replace(asked);
        let ended = wait(running).await;
        assert_eq!((ended.outcome, ended.model, ended.training_started), (expected, None, None));
        assert_eq!(machine.folder().exists(), asked == Stop::Suspend);
        assert!(machine.heard.lines(1).is_empty());
    }
    let machine = Machine::new();
    let mut job = downloading(&machine);
    job.limits.runtime = Duration::from_millis(200);
    assert_eq!(machine.run(job).await.outcome, Outcome::MaxRuntimeExceeded);
}

#[tokio::test]
async fn stopped_while_it_uploads() {
    let machine = Machine::new();
    let mut job = machine.job("echo 1 > $SAGEMAKER_BASE_DIR/model/m");
    job.output.uri = "s3://slow/out".into();
    let running = machine.start(job);
    machine.heard.wait_for_phase(Phase::Uploading).await;
    machine.stop.send_replace(Stop::Stop);
    machine.stores.gate.send_replace(true);
    let ended = wait(running).await;
    assert_eq!(ended.outcome, Outcome::Stopped);
    assert_eq!(ended.model.as_deref(), Some("s3://slow/out/job-1/output/model.tar.gz"));
}

#[tokio::test]
async fn suspended_while_it_uploads_and_uploaded_later() {
    let machine = Machine::new();
    let mut job = machine.job("echo ran; echo 1 > $SAGEMAKER_BASE_DIR/model/m");
    job.output.uri = "s3://slow/out".into();
    let running = machine.start(job.clone());
    machine.heard.wait_for_phase(Phase::Uploading).await;
    machine.stop.send_replace(Stop::Suspend);
    assert_eq!(wait(running).await.outcome, Outcome::Suspended);
    machine.stop.send_replace(Stop::Run);
    machine.stores.gate.send_replace(true);
    let ended = machine.run(job).await;
    assert_eq!((ended.outcome, ended.model.is_some()), (Outcome::Completed, true));
    assert_eq!(machine.heard.lines(1), ["ran"]);
}

#[tokio::test]
async fn out_of_time_in_training() {
    let machine = Machine::new();
    let mut job = machine.job(SAVES);
    job.limits.runtime = Duration::from_millis(700);
    let ended = machine.run(job).await;
    assert_eq!(ended.outcome, Outcome::MaxRuntimeExceeded);
    assert_eq!(ended.model.as_deref(), Some("s3://b/out/job-1/output/model.tar.gz"));
}

#[tokio::test]
async fn out_of_time_and_stubborn() {
    let machine = Machine::new();
    let mut job = machine.job(STUBBORN);
    job.limits.runtime = Duration::from_millis(500);
    job.limits.grace = Duration::from_millis(200);
    let ended = machine.run(job).await;
    assert_eq!((ended.outcome, ended.model.is_some()), (Outcome::MaxRuntimeExceeded, true));
}

#[tokio::test]
async fn out_of_time_before_training() {
    let machine = Machine::new();
    let mut job = machine.job("echo ran");
    job.limits.runtime = Duration::ZERO;
    let ended = machine.run(job).await;
    assert_eq!((ended.outcome, ended.model), (Outcome::MaxRuntimeExceeded, None));
}

#[tokio::test]
async fn suspended_and_run_again() {
    let machine = Machine::new();
    machine.stores.put("data", "train/x", "1").await;
    // The first run leaves a checkpoint when it is asked to end; the second finds it.
    let script = r#"
        cd $SAGEMAKER_BASE_DIR
        if [ -f checkpoints/step ]; then cp checkpoints/step model/m; exit 0; fi
        trap 'echo 7 > checkpoints/step; exit 0' TERM
        echo ready
        while :; do sleep 0.05; done
    "#;
    let mut job = machine.job(script);
    job.channels = vec![channel("train", "s3://data/train/", InputMode::File)];
    let running = machine.start(job.clone());
    machine.heard.wait_for("ready").await;
    machine.stop.send_replace(Stop::Suspend);
    let ended = wait(running).await;
    assert_eq!((ended.outcome, ended.model), (Outcome::Suspended, None));
    machine.assert_no_process();
    assert!(machine.folder().join("algo-1/checkpoints/step").exists());
    assert!(!machine.folder().join("algo-1/input/data").exists());
    assert!(machine.stores.keys("b").await.is_empty());
    machine.stop.send_replace(Stop::Run);
    assert_eq!(machine.run(job).await.outcome, Outcome::Completed);
    let model = machine.stores.get("b", "out/job-1/output/model.tar.gz").await.unwrap();
    assert_eq!(members(&model)[0].1, "7\n");
}

#[tokio::test]
async fn suspended_while_it_stops() {
    let machine = Machine::new();
    let mut job = machine.job(STUBBORN);
    job.limits.grace = Duration::from_secs(1);
    let running = machine.start(job);
    machine.heard.wait_for("ready").await;
    machine.stop.send_replace(Stop::Stop);
    machine.stop.send_replace(Stop::Suspend);
    // Whichever the job saw, it ends in time and nothing runs.
    let ended = wait(running).await;
    assert!(matches!(ended.outcome, Outcome::Suspended | Outcome::Stopped), "{:?}", ended.outcome);
    machine.assert_no_process();
}

#[tokio::test]
async fn a_job_whose_programs_had_ended_is_uploaded_and_not_trained_again() {
    let machine = Machine::new();
    let base = machine.folder().join("algo-1");
    std::fs::create_dir_all(base.join("model")).unwrap();
    std::fs::write(base.join("model/m"), "trained").unwrap();
    let remembered = r#"{"how":"completed","started_ms":5000,"training_started_ms":6000,
        "metrics":[["loss",0.5,5500]],"metrics_refused":2}"#;
    std::fs::write(machine.folder().join("ended.json"), remembered).unwrap();
    let ended = machine.run(machine.job("echo ran")).await;
    assert_eq!(ended.outcome, Outcome::Completed);
    assert!(machine.heard.lines(1).is_empty());
    assert_eq!(*machine.heard.phases.borrow(), [Phase::Uploading]);
    let model = machine.stores.get("b", "out/job-1/output/model.tar.gz").await.unwrap();
    assert_eq!(members(&model), [("m".to_owned(), "trained".to_owned())]);
    assert_eq!((ended.metrics[0].value, ended.metrics_refused), (0.5, 2));
}
