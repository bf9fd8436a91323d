//! What a batch transform keeps while things happen to it: a store that takes nothing stops the reading, and an input that changes
//! fails, with no output and no upload left.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::http::ANSWER_TIMEOUT;
use harness::synthetic::{ROW_BYTES, Synthetic};
use harness::transform::Running;
use harness::{FaultStore, Transform, artifacts};

/// Rows of an input that nobody reads to its end. Reason: 10 GB.
const ROWS_ENDLESS: u64 = 10_000_000_000 / ROW_BYTES as u64;

/// How long nothing may be read for the reading to have stopped. Reason: a hundred times what a request takes.
const STILL: Duration = Duration::from_millis(500);

/// Parts on their way at once.
const PARTS_AT_ONCE: usize = 4;

/// The most that is read while nothing is taken. Reason: less than one part of input for each part on its way and the one that is
/// filled, as answers are joined with their records; two ranges ahead; and what is between.
const READ_BYTES_MAX: u64 = 100_000_000;

/// An input, its store, and a model beside.
struct Stage {
    synthetic: Arc<Synthetic>,
    store: FaultStore,
    folder: tempfile::TempDir,
}

impl Stage {
    fn of(rows: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.tar.gz"), artifacts::regressor(&[1.0, 0.0, 0.0, 0.0], 0.5))
            .unwrap();
        let synthetic = Arc::new(Synthetic::new(rows, 1));
        let store = FaultStore::synthetic(Arc::clone(&synthetic), 1);
        Self { synthetic, store, folder }
    }

    fn journal(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Transform {
        let journal = self.journal().join("journal");
        let command = Transform::of(self.folder.path().join("model.tar.gz")).path("--journal", &journal);
        command.store(&self.store.url()).args(&[
            "--input",
            "s3://synthetic/in/",
            "--output",
            "s3://sink/out/",
            "--content-type",
            "text/csv",
            "--accept",
            "text/csv",
            "--split-type",
            "Line",
            "--assemble-with",
            "Line",
            "--join-source",
            "Input",
            "--max-payload-mb",
            "1",
            "--max-concurrent-transforms",
            "2",
        ])
    }

    /// Looks at a transform until something is so.
    fn wait_for(&self, running: &mut Running, what: &str, mut is_so: impl FnMut(&Synthetic) -> bool) {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        while !is_so(&self.synthetic) {
            let ended = running.ended();
            assert!(ended.is_none(), "waiting for {what}: it ended\n{}", running.log());
            assert!(Instant::now() < deadline, "waited for {what} in vain\n{}", running.log());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// The reading has stopped: how much was read.
    fn still(&self, running: &mut Running) -> u64 {
        let mut last = (self.synthetic.read_bytes(), Instant::now());
        self.wait_for(running, "the reading to stop", |synthetic| {
            let read = synthetic.read_bytes();
            if read != last.0 {
                last = (read, Instant::now());
            }
            last.1.elapsed() >= STILL
        });
        last.0
    }
}

#[test]
fn a_store_that_takes_nothing_stops_the_reading() {
    let stage = Stage::of(ROWS_ENDLESS);
    stage.synthetic.sink().hold(true);
    let mut running = stage.command().start();
    stage.wait_for(&mut running, "parts", |synthetic| synthetic.sink().held() == PARTS_AT_ONCE);
    let read = stage.still(&mut running);
    assert!(read <= READ_BYTES_MAX, "{read} bytes are read");
    stage.synthetic.sink().hold(false);
    stage.wait_for(&mut running, "the reading to go on", |synthetic| synthetic.read_bytes() > read);
}

#[test]
fn an_input_that_changes_meanwhile_leaves_no_output() {
    let stage = Stage::of(ROWS_ENDLESS);
    let mut running = stage.command().start();
    stage.wait_for(&mut running, "an upload", |synthetic| synthetic.sink().unfinished() == 1);
    stage.synthetic.change();
    assert!(!running.wait(1, |_| {}), "{}", running.log());
    assert!(running.log().contains("in/rows.csv"), "{}", running.log());
    let outputs: Vec<_> =
        stage.synthetic.sink().keys().into_iter().filter(|key| key.ends_with(".out")).collect();
    assert_eq!((outputs, stage.synthetic.sink().unfinished()), (Vec::new(), 0));
}
