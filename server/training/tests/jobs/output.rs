//! What is published.

use training::{Compression, Outcome};

use crate::harness::{Machine, members};

const MODEL: &str =
    "cd $SAGEMAKER_BASE_DIR/model; mkdir -p a; echo 1 > z; echo 2 > a/y; chmod 700 z; ln -s /etc/passwd link";

#[tokio::test]
async fn the_same_model_is_the_same_bytes_and_links_are_left_out() {
    let mut archives = Vec::new();
    for script in [MODEL.to_owned(), format!("umask 077; sleep 0.01; {MODEL}; touch -d '2001-01-01' z a/y")] {
        let machine = Machine::new();
        assert_eq!(machine.run(machine.job(&script)).await.outcome, Outcome::Completed);
        let expected = "warning: not uploaded: link: expected a plain file, found a symbolic link";
        assert_eq!(machine.heard.lines(1), [expected]);
        archives.push(machine.stores.get("b", "out/job-1/output/model.tar.gz").await.unwrap());
    }
    assert_eq!(archives[0], archives[1]);
    let names: Vec<_> = members(&archives[0]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a/y", "z"]);
}

#[tokio::test]
async fn an_uncompressed_model_is_its_files() {
    let machine = Machine::new();
    let mut job = machine.job(MODEL);
    job.output.compression = Compression::None;
    job.output.uri = "s3://b/out/".into();
    let ended = machine.run(job).await;
    assert_eq!(ended.model.as_deref(), Some("s3://b/out/job-1/output/model/"));
    assert_eq!(machine.stores.keys("b").await, ["out/job-1/output/model/a/y", "out/job-1/output/model/z"]);
}

#[tokio::test]
async fn a_large_model_is_uploaded_in_parts() {
    let machine = Machine::new();
    // No archive of random bytes is smaller.
    let ended = machine.run(machine.job("head -c 40000000 /dev/urandom > $SAGEMAKER_BASE_DIR/model/m")).await;
    assert_eq!(ended.outcome, Outcome::Completed);
    let model = machine.stores.get("b", "out/job-1/output/model.tar.gz").await.unwrap();
    assert!(model.len() > 40_000_000 && model.starts_with(&[0x1f, 0x8b]), "{}", model.len());
}

#[tokio::test]
async fn files_that_an_archive_cannot_name_are_a_reason() {
    let machine = Machine::new();
    let ended = machine.run(machine.job("touch \"$SAGEMAKER_BASE_DIR/model/a\\\\b\"")).await;
    let Outcome::Failed(reason) = ended.outcome else { panic!("expected a failure") };
    assert!(reason.starts_with("ClientError: cannot be packed: archive entry"), "{reason}");
}
