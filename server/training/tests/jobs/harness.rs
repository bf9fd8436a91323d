//! A job to change, buckets in memory, and a listener that remembers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use training::{
    Channel, Compression, Distribution, Ended, InputMode, Job, Limits, Listener, MetricDefinition, Output,
    Phase, Program, Source, Stop, StoreError, Stores,
};

/// How long anything may take before a test says that it does not happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Buckets in memory; any name is one.
#[derive(Default)]
pub(crate) struct Memory {
    /// Whether the bucket `slow` is given.
    pub(crate) gate: watch::Sender<bool>,
    buckets: Mutex<BTreeMap<String, Arc<InMemory>>>,
}

impl Memory {
    pub(crate) fn bucket(&self, name: &str) -> Arc<InMemory> {
        Arc::clone(self.buckets.lock().unwrap().entry(name.to_owned()).or_default())
    }

    pub(crate) async fn put(&self, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) {
        let key = Key::parse(key).unwrap();
        self.bucket(bucket).put(&key, bytes.into().into()).await.unwrap();
    }

    pub(crate) async fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let answer = self.bucket(bucket).get(&Key::parse(key).unwrap()).await.ok()?;
        Some(answer.bytes().await.unwrap().to_vec())
    }

    /// The keys of a bucket, sorted.
    pub(crate) async fn keys(&self, bucket: &str) -> Vec<String> {
        use futures_util::TryStreamExt as _;
        let metas: Vec<_> = self.bucket(bucket).list(None).try_collect().await.unwrap();
        let mut keys: Vec<_> = metas.into_iter().map(|meta| meta.location.to_string()).collect();
        keys.sort();
        keys
    }
}

#[async_trait]
impl Stores for Memory {
    async fn store(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
        if bucket == "absent" {
            return Err(StoreError { bucket: bucket.to_owned(), reason: "there is none".to_owned() });
        }
        if bucket == "slow" {
            self.gate.subscribe().wait_for(|is_open| *is_open).await.unwrap();
        }
        Ok(self.bucket(bucket))
    }
}

/// What a listener was told.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) phases: watch::Sender<Vec<Phase>>,
    pub(crate) metrics: Mutex<Vec<(String, f64)>>,
    pub(crate) usages: Mutex<Vec<(usize, f64, f64, f64)>>,
    lines: watch::Sender<Vec<(usize, String)>>,
}

impl Heard {
    /// Lines of a host.
    pub(crate) fn lines(&self, host: usize) -> Vec<String> {
        let lines = self.lines.borrow();
        lines.iter().filter(|(number, _)| *number == host).map(|(_, line)| line.clone()).collect()
    }

    /// Waits for a phase.
    pub(crate) async fn wait_for_phase(&self, phase: Phase) {
        let mut phases = self.phases.subscribe();
        let heard = phases.wait_for(|phases| phases.contains(&phase));
        tokio::time::timeout(DEADLINE, heard).await.expect("the phase begins").unwrap();
    }

    /// Waits for a line.
    pub(crate) async fn wait_for(&self, text: &str) {
        let mut lines = self.lines.subscribe();
        let heard = lines.wait_for(|lines| lines.iter().any(|(_, line)| line.contains(text)));
        tokio::time::timeout(DEADLINE, heard).await.unwrap_or_else(|_| panic!("no line {text:?}")).unwrap();
    }
}

impl Listener for Heard {
    fn phase(&self, phase: Phase, message: &str) {
        assert!(!message.is_empty());
        self.phases.send_modify(|phases| phases.push(phase));
    }

    fn line(&self, host: usize, at_ms: i64, text: &str) {
        assert!(at_ms > 0);
        self.lines.send_modify(|lines| lines.push((host, text.to_owned())));
    }

    fn metric(&self, name: &str, value: f64, _at_ms: i64) {
        self.metrics.lock().unwrap().push((name.to_owned(), value));
    }

    fn usage(&self, host: usize, cpu: f64, memory: f64, disk: f64, _at_ms: i64) {
        self.usages.lock().unwrap().push((host, cpu, memory, disk));
    }
}

/// A machine for jobs.
pub(crate) struct Machine {
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) stores: Arc<Memory>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) stop: watch::Sender<Stop>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
            stores: Arc::default(),
            heard: Arc::default(),
            stop: watch::Sender::new(Stop::Run),
        }
    }

    /// Where the job is.
    pub(crate) fn folder(&self) -> PathBuf {
        self.scratch.path().join("job")
    }

    /// A job whose program is a script, with `$SAGEMAKER_BASE_DIR` as its folder and `b` as the bucket of its output.
    pub(crate) fn job(&self, script: &str) -> Job {
        let command = ["/bin/sh", "-c", script, "script"].map(str::to_owned).to_vec();
        Job {
            name: "job-1".into(),
            arn: "arn:aws:sagemaker:us-east-1:000000000000:training-job/job-1".into(),
            region: "us-east-1".into(),
            folder: self.folder(),
            program: Program::Process { command, folder: None, entrypoint: vec![], arguments: vec![] },
            hosts: 1,
            instance_type: "ml.c5.xlarge".into(),
            hyperparameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            inherited: BTreeMap::from([("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())]),
            channels: vec![],
            output: Output { uri: "s3://b/out".into(), compression: Compression::Gzip },
            checkpoints: None,
            metric_definitions: vec![],
            limits: Limits {
                memory_bytes: 1 << 30,
                cpus: 2,
                runtime: Duration::from_secs(600),
                volume_bytes: 1 << 30,
                grace: Duration::from_secs(20),
            },
            intermediate: None,
        }
    }

    /// Runs a job while the test goes on.
    pub(crate) fn start(&self, job: Job) -> JoinHandle<Ended> {
        let (stores, heard) = (Arc::clone(&self.stores), Arc::clone(&self.heard));
        tokio::spawn(job.run(stores, heard, self.stop.subscribe()))
    }

    /// Runs a job to its end, after which nothing of it is left.
    pub(crate) async fn run(&self, job: Job) -> Ended {
        let ended = wait(self.start(job)).await;
        assert!(!self.folder().exists(), "the folder is left");
        self.assert_no_process();
        ended
    }

    /// No process of the job is left.
    pub(crate) fn assert_no_process(&self) {
        let left = processes(&self.folder());
        assert!(left.is_empty(), "left: {left:?}");
    }
}

pub(crate) async fn wait(running: JoinHandle<Ended>) -> Ended {
    tokio::time::timeout(DEADLINE, running).await.expect("the job ends").unwrap()
}

/// The processes in whose environment `folder` stands.
pub(crate) fn processes(folder: &Path) -> Vec<String> {
    let mark = format!("={}/", folder.display());
    let of = |path: PathBuf| {
        let text = std::fs::read(path.join("environ")).ok()?;
        String::from_utf8_lossy(&text).contains(&mark).then(|| path.display().to_string())
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .filter_map(|entry| of(entry.path()))
        .collect()
}

pub(crate) fn channel(name: &str, uri: &str, mode: InputMode) -> Channel {
    Channel {
        name: name.into(),
        source: Source::Prefix(uri.into()),
        distribution: Distribution::FullyReplicated,
        mode,
        gzip: false,
        record_wrapper: false,
        shuffle_seed: None,
        content_type: None,
    }
}

pub(crate) fn metric(name: &str, regex: &str) -> MetricDefinition {
    MetricDefinition { name: name.into(), regex: regex::Regex::new(regex).unwrap() }
}

/// The members of a tar.gz: names and texts.
pub(crate) fn members(archive: &[u8]) -> Vec<(String, String)> {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("m.tar.gz");
    std::fs::write(&path, archive).unwrap();
    let unpacked = models::archive::unpack(&path, scratch.path()).unwrap();
    let text = |name: &str| std::fs::read_to_string(unpacked.directory().join(name)).unwrap();
    unpacked.members().iter().map(|member| (member.name.clone(), text(&member.name))).collect()
}
