//! Rows by named pipe: `<channel>_0` is the first epoch's, `<channel>_1` the second's, and so on. A thread reads ahead of the
//! decoding; what went by is gone.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use dmatrix::{DMatrix, Storage};

use crate::channel::Source;
use crate::{Channel, RowRules, Stop, TrainError};

/// Batches that are held to be shuffled. Reason: neighbours of a sorted file are spread over ten batches, at little memory.
pub(crate) const SHUFFLED_BATCHES: usize = 10;
/// How often a pipe that is not there is looked for.
const RETRY_EVERY: Duration = Duration::from_millis(50);
/// How long a pipe may show no sign of its writer. Reason: a platform makes the next pipe when the last is closed.
const WRITER_WAIT_MAX: Duration = Duration::from_secs(60);
/// Bytes of one read. Reason: more than a pipe holds.
const READ_BYTES: usize = 256 << 10;
/// Reads ahead of the decoding.
const READS_AHEAD: usize = 4;

/// A channel that comes by pipe.
pub(crate) struct Piped {
    channel: Channel,
    rules: RowRules,
    stop: Stop,
    /// How long a writer is waited for.
    patience: Duration,
    /// The next epoch's number.
    epoch: u32,
    /// The epoch that is read, and the block that opening it took.
    open: Option<Open>,
    columns: usize,
    is_sparse: bool,
    count: Option<u64>,
}

struct Open {
    source: Source,
    ahead: Option<DMatrix>,
    rows: u64,
    /// Whether a pass has begun on it.
    is_begun: bool,
}

impl std::fmt::Debug for Piped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piped")
            .field("channel", &self.channel)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Piped {
    /// Opens the first epoch and reads its first rows.
    pub(crate) fn open(channel: &Channel, rules: &RowRules, stop: &Stop) -> Result<Self, TrainError> {
        Self::open_within(channel, rules, stop, WRITER_WAIT_MAX)
    }

    fn open_within(
        channel: &Channel,
        rules: &RowRules,
        stop: &Stop,
        patience: Duration,
    ) -> Result<Self, TrainError> {
        let mut piped = Self {
            channel: channel.clone(),
            rules: *rules,
            stop: stop.clone(),
            patience,
            epoch: 0,
            open: None,
            columns: 0,
            is_sparse: false,
            count: None,
        };
        let mut source = piped.next_epoch()?;
        let first = source.next()?.ok_or_else(|| Source::nothing(channel))?;
        piped.columns = first.columns();
        piped.is_sparse = first.storage() == Storage::Sparse;
        // All epochs are as wide as the first rows, since nobody saw the widest.
        piped.rules.columns = Some(first.columns());
        piped.open = Some(Open { source, ahead: Some(first), rows: 0, is_begun: false });
        Ok(piped)
    }

    /// Width, and whether the first rows are sparse.
    pub(crate) fn shape(&self) -> (usize, bool) {
        (self.columns, self.is_sparse)
    }

    /// The number of rows of the last epoch that was read to its end.
    pub(crate) fn count(&self) -> Option<u64> {
        self.count
    }

    /// Begins a pass: on the epoch that was opened, if nobody read it yet, else on the next.
    pub(crate) fn begin(&mut self) -> Result<(), TrainError> {
        if let Some(open) = self.open.as_mut().filter(|open| !open.is_begun) {
            open.is_begun = true;
            return Ok(());
        }
        // The old pipe is closed before the next is waited for: its writer goes on only then.
        self.open = None;
        let source = self.next_epoch()?;
        self.open = Some(Open { source, ahead: None, rows: 0, is_begun: true });
        Ok(())
    }

    /// The next blocks, of `rows_min` rows or what is left. A stop ends the epoch.
    pub(crate) fn next(&mut self, rows_min: usize) -> Result<Vec<DMatrix>, TrainError> {
        let (mut blocks, mut rows) = (Vec::new(), 0);
        let Some(open) = &mut self.open else { return Ok(blocks) };
        while rows < rows_min {
            let block = match open.ahead.take() {
                Some(block) => Some(block),
                None => match open.source.next() {
                    Err(TrainError::Stopped) => return Ok(blocks),
                    block => block?,
                },
            };
            let Some(block) = block else {
                self.count = Some(open.rows);
                break;
            };
            rows += block.rows();
            open.rows += block.rows() as u64;
            blocks.push(block);
        }
        Ok(blocks)
    }

    /// The pipe of the next epoch, as soon as it has a writer.
    fn next_epoch(&mut self) -> Result<Source, TrainError> {
        let mut path = self.channel.path.clone().into_os_string();
        path.push(format!("_{}", self.epoch));
        let path = PathBuf::from(path);
        self.epoch += 1;
        let deadline = Instant::now() + self.patience;
        while !path.exists() {
            if self.stop.is_asked_for() {
                return Err(TrainError::Stopped);
            }
            if Instant::now() >= deadline {
                return Err(self.silent(&path));
            }
            std::thread::park_timeout(RETRY_EVERY);
        }
        let (opened, reads) = (path.clone(), mpsc::sync_channel(READS_AHEAD));
        let (sender, receiver) = reads;
        // The thread ends when the pipe does, or with the next read after nobody takes what it reads.
        std::thread::Builder::new()
            .name("pipe".into())
            .spawn(move || read_ahead(&opened, &sender))
            .map_err(|error| TrainError::Internal(format!("no thread for a pipe: {error}")))?;
        let mut stream = Ahead { receiver, stop: self.stop.clone(), bytes: Vec::new(), at: 0 };
        if !stream.await_writer(deadline)? {
            return Err(self.silent(&path));
        }
        Source::of_stream(&self.channel, &self.rules, &self.stop, &path, Box::new(stream))
    }

    fn silent(&self, path: &std::path::Path) -> TrainError {
        let (name, path, waited_s) = (self.channel.name, path.display(), self.patience.as_secs());
        TrainError::client(format!(
            "channel {name}: expected a writer at the pipe {path} within {waited_s} s, found none"
        ))
    }
}

/// Opens the pipe, which waits for its writer, says so by nothing read, and reads to its end.
fn read_ahead(path: &std::path::Path, sender: &SyncSender<io::Result<Vec<u8>>>) {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return drop(sender.send(Err(error))),
    };
    if sender.send(Ok(Vec::new())).is_err() {
        return;
    }
    loop {
        let mut bytes = vec![0; READ_BYTES];
        match file.read(&mut bytes) {
            Ok(0) => return,
            Ok(count) => {
                bytes.truncate(count);
                if sender.send(Ok(bytes)).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return drop(sender.send(Err(error))),
        }
    }
}

/// What the thread read, as a stream; a stop ends it.
struct Ahead {
    receiver: Receiver<io::Result<Vec<u8>>>,
    stop: Stop,
    bytes: Vec<u8>,
    at: usize,
}

impl Ahead {
    /// Whether a writer came before `deadline`.
    fn await_writer(&mut self, deadline: Instant) -> Result<bool, TrainError> {
        loop {
            if self.stop.is_asked_for() {
                return Err(TrainError::Stopped);
            }
            match self.receiver.recv_timeout(RETRY_EVERY) {
                Ok(Ok(_)) => return Ok(true),
                Ok(Err(error)) => {
                    return Err(TrainError::Internal(format!("a pipe cannot be read: {error}")));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => return Ok(false),
            }
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.bytes.len() {
            match self.receiver.recv_timeout(RETRY_EVERY) {
                Ok(bytes) => (self.bytes, self.at) = (bytes?, 0),
                Err(RecvTimeoutError::Timeout) if !self.stop.is_asked_for() => {}
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.bytes.len() - self.at);
        buffer[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Labels, Order, Rows};
    use std::io::Write;
    use std::path::Path;

    /// A folder with pipes for that many epochs, and a thread that writes `text` into each, as a platform does.
    fn pipes(epochs: usize, text: &str) -> (tempfile::TempDir, std::thread::JoinHandle<Vec<bool>>) {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = |epoch: usize| folder.path().join(format!("train_{epoch}"));
        for epoch in 0..epochs {
            let made = std::process::Command::new("mkfifo").arg(path(epoch)).status();
            assert!(made.expect("mkfifo starts").success());
        }
        let (paths, text): (Vec<PathBuf>, _) = ((0..epochs).map(path).collect(), text.to_owned());
        let write = move |path: PathBuf| {
            let mut pipe = std::fs::OpenOptions::new().write(true).open(path).expect("a reader comes");
            pipe.write_all(text.as_bytes()).is_ok()
        };
        (folder, std::thread::spawn(move || paths.into_iter().map(write).collect()))
    }

    fn channel(folder: &Path) -> Channel {
        let path = folder.join("train");
        let channel = Channel::for_tests("train", &path, "csv", Labels::Required).expect("known");
        Channel { mode: crate::InputMode::Pipe, ..channel }
    }

    fn labels(rows: &mut Rows, order: Order) -> Vec<f32> {
        let (mut batch, mut labels) = (DMatrix::new(), Vec::new());
        let mut pass = rows.pass(order).expect("the next pipe");
        while pass.next(&mut batch).expect("sound rows") {
            labels.extend_from_slice(batch.labels());
        }
        labels
    }

    #[test]
    fn every_pass_is_the_next_pipe() {
        let text: String = (0..1_000_000).map(|row| format!("{row},1,2,3\n")).collect();
        let (folder, writer) = pipes(3, &text);
        let piped = Piped::open(&channel(folder.path()), &RowRules::finite(None), &Stop::never());
        let mut rows = Rows::of_pipe(piped.expect("a writer"), 1000);
        assert_eq!((rows.columns(), rows.count()), (3, None));
        let expected: Vec<f32> = (0..1_000_000).map(|row| row as f32).collect();
        assert!(labels(&mut rows, Order::AsRead) == expected);
        assert_eq!(rows.count(), Some(1_000_000));
        // Closed early: the writer sees it, and the next epoch is whole.
        rows.pass(Order::AsRead).expect("the second pipe").next(&mut DMatrix::new()).expect("rows");
        let mut shuffled = labels(&mut rows, Order::Shuffled { seed: 1 });
        assert!(shuffled != expected);
        shuffled.sort_by(f32::total_cmp);
        assert!(shuffled == expected);
        assert_eq!(writer.join().expect("no panic"), [true, false, true]);
    }

    #[test]
    fn blocks_of_a_pipe_come_once_and_in_order() {
        let text: String = (0..500_000).map(|row| format!("{row},1,2,3\n")).collect();
        let (folder, writer) = pipes(1, &text);
        let (mut labels, mut blocks) = (Vec::new(), 0);
        let take = |block: &DMatrix| {
            labels.extend_from_slice(block.labels());
            blocks += 1;
            Ok(())
        };
        let job = crate::Job::for_tests(&[], &[]);
        channel(folder.path()).each_block(&RowRules::finite(None), &job, take).expect("sound rows");
        assert!(blocks > 1 && labels == (0..500_000).map(|row| row as f32).collect::<Vec<_>>());
        assert_eq!(writer.join().expect("no panic"), [true]);
    }

    #[test]
    fn a_pipe_without_a_writer_is_named() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let open = |patience_ms| {
            let (rules, patience) = (RowRules::finite(None), Duration::from_millis(patience_ms));
            Piped::open_within(&channel(folder.path()), &rules, &Stop::never(), patience)
        };
        let error = open(1).expect_err("no pipe").to_string();
        assert!(error.contains("train_0 within"), "{error}");
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("train_0")).status();
        assert!(made.expect("mkfifo starts").success());
        let error = open(1).expect_err("no writer").to_string();
        assert!(error.contains("expected a writer at the pipe"), "{error}");
    }

    #[test]
    fn a_stop_ends_the_waiting_and_the_epoch() {
        let (folder, writer) = pipes(1, &"1,2\n".repeat(1000));
        let stop = Stop::never();
        let piped = Piped::open(&channel(folder.path()), &RowRules::finite(None), &stop).expect("a writer");
        let mut rows = Rows::of_pipe(piped, 10);
        let mut pass = rows.pass(Order::AsRead).expect("the first");
        assert!(pass.next(&mut DMatrix::new()).expect("rows"));
        stop.ask();
        assert!(matches!(rows.pass(Order::AsRead), Err(TrainError::Stopped)));
        writer.join().expect("no panic");
    }
}
