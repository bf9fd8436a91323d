//! How jobs end by themselves: well, with codes, with reasons.

use training::{InputMode, Outcome, Phase, Program};

use crate::harness::{Machine, channel, members, metric};

#[tokio::test]
async fn a_job_goes_through_its_phases_and_leaves_a_model() {
    let machine = Machine::new();
    machine.stores.put("data", "train/x.csv", "1,2\n").await;
    let script = r#"
        echo "argument $1"; echo "to stderr" >&2
        cat $SAGEMAKER_BASE_DIR/input/data/train/x.csv > $SAGEMAKER_BASE_DIR/model/copy
        echo 'loss=0.5'; echo 'loss=nan'; echo 'loss=0.25'
    "#;
    let mut job = machine.job(script);
    job.channels = vec![channel("train", "s3://data/train/", InputMode::File)];
    job.metric_definitions = vec![metric("loss", r"loss=(\S+)")];
    let ended = machine.run(job).await;
    assert_eq!(ended.outcome, Outcome::Completed);
    let phases = [Phase::Starting, Phase::Downloading, Phase::Training, Phase::Uploading];
    assert_eq!(*machine.heard.phases.borrow(), phases);
    let mut lines = machine.heard.lines(1);
    lines.sort();
    assert_eq!(lines, ["argument train", "loss=0.25", "loss=0.5", "loss=nan", "to stderr"]);
    let heard = [("loss".to_owned(), 0.5), ("loss".to_owned(), 0.25)];
    assert_eq!(*machine.heard.metrics.lock().unwrap(), heard);
    assert_eq!((ended.metrics.len(), ended.metrics[0].value, ended.metrics_refused), (1, 0.25, 1));
    assert_eq!(ended.model.as_deref(), Some("s3://b/out/job-1/output/model.tar.gz"));
    assert_eq!(ended.output, None);
    let model = machine.stores.get("b", "out/job-1/output/model.tar.gz").await.unwrap();
    assert_eq!(members(&model), [("copy".to_owned(), "1,2\n".to_owned())]);
    let keys = machine.stores.keys("b").await;
    assert_eq!(keys, ["out/job-1/output/metrics.jsonl", "out/job-1/output/model.tar.gz"]);
    assert!(ended.training_started.is_some_and(|at| at >= ended.started && at <= ended.ended));
    let usages = machine.heard.usages.lock().unwrap();
    assert!(usages.len() == 1 && usages[0].0 == 1, "{usages:?}");
}

#[track_caller]
fn check(script: &str, expected: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let machine = Machine::new();
        let ended = machine.run(machine.job(script)).await;
        assert_eq!(ended.outcome, Outcome::Failed(expected.to_owned()));
        assert_eq!(ended.model, None);
        assert!(machine.stores.get("b", "out/job-1/output/model.tar.gz").await.is_none());
        assert!(!machine.heard.phases.borrow().contains(&Phase::Downloading));
    });
}

#[test]
fn codes_and_failure_files_are_reasons() {
    let failure = "$SAGEMAKER_BASE_DIR/output/failure";
    check("echo x > $SAGEMAKER_BASE_DIR/model/m; exit 3", "AlgorithmError: Exit Code: 3");
    check(&format!("echo 'it broke' > {failure}; exit 1"), "AlgorithmError: it broke");
    check(&format!("printf 'ClientError: eta' > {failure}; exit 2"), "ClientError: eta");
    check(&format!("printf 'InternalServerError: x' > {failure}; exit 3"), "InternalServerError: x");
    let killed = "AlgorithmError: Exit Code: 137 (SIGKILL: the usual cause is that memory ran out)";
    check("kill -KILL $$", killed);
    let fault = "AlgorithmError: Exit Code: 139 (SIGSEGV: the program touched memory that is not its own)";
    check("kill -SEGV $$", fault);
}

#[tokio::test]
async fn a_long_reason_is_cut() {
    let machine = Machine::new();
    let script = "head -c 5000 /dev/zero | tr '\\0' x > $SAGEMAKER_BASE_DIR/output/failure; exit 1";
    let Outcome::Failed(reason) = machine.run(machine.job(script)).await.outcome else {
        panic!("expected a failure")
    };
    assert_eq!((reason.chars().count(), &reason[..18]), (1024, "AlgorithmError: xx"));
}

#[tokio::test]
async fn a_failed_job_s_output_is_there_with_its_failure() {
    let machine = Machine::new();
    let script = "cd $SAGEMAKER_BASE_DIR/output; echo 1 > data/log; printf why > failure; exit 1";
    let ended = machine.run(machine.job(script)).await;
    assert_eq!(ended.output.as_deref(), Some("s3://b/out/job-1/output/output.tar.gz"));
    let output = machine.stores.get("b", "out/job-1/output/output.tar.gz").await.unwrap();
    let expected =
        [("failure", "why"), ("log", "1\n")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(members(&output), expected);
}

#[tokio::test]
async fn a_job_without_a_model_is_completed_without_one() {
    let machine = Machine::new();
    let ended = machine.run(machine.job("exit 0")).await;
    assert_eq!((ended.outcome, ended.model, ended.output), (Outcome::Completed, None, None));
    assert!(machine.stores.keys("b").await.is_empty());
}

#[tokio::test]
async fn programs_that_are_not_there() {
    let check = async |program: Program, expected: &str| {
        let machine = Machine::new();
        let mut job = machine.job("");
        job.program = program;
        let outcome = machine.run(job).await.outcome;
        assert!(matches!(&outcome, Outcome::Failed(reason) if reason.starts_with(expected)), "{outcome:?}");
    };
    let command = vec!["/nonexistent/program".to_owned()];
    let process = Program::Process { command, folder: None, entrypoint: vec![], arguments: vec![] };
    check(process, "ClientError: cannot run /nonexistent/program: No such file").await;
    let builtin =
        Program::Builtin { clary_train: "/nonexistent/clary-train".into(), algorithm: "kmeans".into() };
    check(builtin, "InternalServerError: cannot run /nonexistent/clary-train").await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_ended() {
    let machine = Machine::new();
    // One in the group that holds the pipes, and one that left it.
    let script = "sleep 1000 & setsid sleep 1000 & echo x > $SAGEMAKER_BASE_DIR/model/m; exit 0";
    let ended = machine.run(machine.job(script)).await;
    assert_eq!(ended.outcome, Outcome::Completed);
    assert!(ended.model.is_some());
}

#[tokio::test]
async fn an_output_that_cannot_be_had_is_a_reason() {
    let machine = Machine::new();
    let mut job = machine.job("echo x > $SAGEMAKER_BASE_DIR/model/m");
    job.output.uri = "s3://absent/out".into();
    let outcome = machine.run(job).await.outcome;
    let expected = "ClientError: cannot upload to s3://absent/out: bucket absent: there is none";
    assert_eq!(outcome, Outcome::Failed(expected.to_owned()));
}

#[tokio::test]
async fn our_own_trainer_gets_its_word_and_none_of_the_job_s_variables() {
    let machine = Machine::new();
    let trainer = machine.scratch.path().join("clary-train");
    std::fs::write(&trainer, "#!/bin/sh\necho \"word=$1 algorithm=$CLARY_ALGORITHM threads=$CLARY_THREADS/$OMP_NUM_THREADS memory=$CLARY_MEMORY_BYTES\"\nenv\n").unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&trainer, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut job = machine.job("");
    job.program = Program::Builtin { clary_train: trainer, algorithm: "kmeans".into() };
    job.environment.insert("LD_PRELOAD".into(), "/opt/ml/input/data/train/evil.so".into());
    job.inherited.insert("DOCKER_HOST".into(), "unix:///engine".into());
    assert_eq!(machine.run(job).await.outcome, Outcome::Completed);
    let lines = machine.heard.lines(1);
    assert_eq!(lines[0], "word=train algorithm=kmeans threads=2/2 memory=1073741824");
    assert!(lines.iter().any(|line| line == "TRAINING_JOB_NAME=job-1"));
    assert!(
        !lines.iter().any(|line| line.starts_with("LD_PRELOAD") || line.starts_with("DOCKER")),
        "{lines:?}"
    );
}
