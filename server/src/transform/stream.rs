//! Standard input to standard output: records are answered as they come. What has come is sent when the input pauses, so that
//! who writes a record and waits gets its answer; memory does not grow with the stream.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use bytes::Bytes;
use futures_util::{Stream, stream};
use jiff::Timestamp;
use tokio::sync::mpsc;
use transform::batch::Position;
use transform::object::{ObjectError, Rejected, Sink, Source, Work, pipe};
use transform::process::ObjectId;
use transform::{Failure, Listener, Outcome, Progress, Summary, read};

use super::command::{Command, Done};
use super::model;
use super::report::Request;
use crate::rt;

/// The most that is read at once. Reason: a pipe gives 64 KiB; of a file, larger reads are a little faster.
const READ_BYTES: usize = 256 << 10;

/// Reads that wait for the splitter. Reason: one is split while the next comes in; more would only be memory.
const READS_AHEAD: usize = 2;

/// What people call the stream.
const STREAM: &str = "standard input";

/// Answers the records of the file `input`, or of standard input, on standard output.
///
/// # Errors
/// When `input` cannot be opened.
pub(super) async fn run(command: &Command<'_>, input: Option<&Path>) -> anyhow::Result<Done> {
    let (started, began) = (Instant::now(), SystemTime::now());
    let name = input.map_or(STREAM.to_owned(), |path| path.display().to_string());
    let now = Timestamp::now();
    let settings = command.settings(&now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())?.settings;
    let request = Request {
        model: command.config.model.clone(),
        model_digest: command.model_digest(),
        input: name.clone(),
        output: "standard output".to_owned(),
        ..Request::of(&settings)
    };
    let model = model::publish(command.config, Arc::clone(&command.model), &settings)?;
    let chunks = chunks(input, Arc::clone(&command.progress)).with_context(|| name.clone())?;
    let pieces = read::pieces(chunks, &name, settings.compression);
    // A stream is never gone on with, so that its ids need only be like no other's.
    let id = format!("stream-{}-{}", now.as_nanosecond(), std::process::id());
    let (progress, listener) = (Arc::clone(&command.progress), Arc::clone(&command.teller));
    let work = Work::new(id.clone(), settings, Arc::new(model), progress, listener, command.stop.clone());
    let id = ObjectId::new(&id, &name);
    let mut output = Output { command, name, is_closed: false };
    // Who writes a stream may wait for answers; a file is there.
    let is_live = input.is_none_or(|path| !path.is_file());
    let source = Source { object: id, pieces, start: Position::default(), is_live };
    let ended = pipe(&Arc::new(work), source, &mut output).await;
    let (outcome, failure) = output.outcome(ended);
    let summary = Summary {
        outcome,
        reason: failure.as_ref().map(|failure| failure.reason.clone()),
        failures: failure.into_iter().collect(),
        counts: (&*command.progress).into(),
        started: began,
        ended: SystemTime::now(),
    };
    Ok(Done { job: None, request, summary, elapsed: started.elapsed() })
}

/// What is read of `input`, as it comes.
fn chunks(
    input: Option<&Path>,
    progress: Arc<Progress>,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + use<>> {
    let mut reader: Box<dyn Read + Send> = match input {
        None => Box::new(io::stdin()),
        Some(path) => {
            let file = open(path)?;
            Progress::add(&progress.bytes_found, file.metadata()?.len());
            Box::new(file)
        }
    };
    let (sender, receiver) = mpsc::channel(READS_AHEAD);
    // A thread of its own: a read of a terminal or a pipe may wait for ever, and the end of the program must not wait for it.
    rt::spawn_thread("input", move || {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let chunk = match reader.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    Progress::add(&progress.bytes_read, length as u64);
                    Ok(Bytes::copy_from_slice(&buffer[..length]))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_error = chunk.is_err();
            if sender.blocking_send(chunk).is_err() || is_error {
                return;
            }
        }
    })?;
    Ok(stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))))
}

fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "expected a file, found a directory"));
    }
    Ok(file)
}

/// Standard output.
struct Output<'a> {
    command: &'a Command<'a>,
    name: String,
    /// Whether nobody reads it any more.
    is_closed: bool,
}

impl Sink for Output<'_> {
    async fn write(&mut self, bytes: Bytes, _: Position) -> Result<(), String> {
        let length = bytes.len() as u64;
        if length == 0 {
            return Ok(());
        }
        let written = rt::blocking(move || {
            let mut out = io::stdout().lock();
            out.write_all(&bytes).and_then(|()| out.flush())
        });
        written.await.map_err(|error| {
            self.is_closed = error.kind() == io::ErrorKind::BrokenPipe;
            format!("standard output: {error}")
        })?;
        Progress::add(&self.command.progress.bytes_written, length);
        Ok(())
    }

    async fn reject(&mut self, rejected: Vec<Rejected>) -> Result<(), String> {
        for record in &rejected {
            self.command.teller.rejected(&record.error.failure(&self.name), &record.line(&self.name))?;
        }
        Ok(())
    }
}

impl Output<'_> {
    /// A reader that has seen enough, as `head` has, is no failure.
    fn outcome(&self, ended: Result<Position, ObjectError>) -> (Outcome, Option<Failure>) {
        let failure = match ended {
            Ok(_) => return (Outcome::Completed, None),
            Err(_) if self.is_closed => return (Outcome::Stopped, None),
            Err(error) => error.failure(&self.name),
        };
        let Some(failure) = failure else { return (Outcome::Stopped, None) };
        self.command.teller.failed(&failure);
        (Outcome::Failed, Some(failure))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use futures_util::StreamExt;

    use super::*;

    async fn all(path: PathBuf) -> (Vec<u8>, u64) {
        let progress = Arc::new(Progress::default());
        let mut chunks = Box::pin(chunks(Some(&path), Arc::clone(&progress)).unwrap());
        let mut found = Vec::new();
        while let Some(chunk) = chunks.next().await {
            found.extend_from_slice(&chunk.unwrap());
        }
        (found, progress.bytes_read.load(std::sync::atomic::Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_file_is_read_whole_and_counted() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("x.csv");
        for length in [0, 1, READ_BYTES, 3 * READ_BYTES + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(all(path.clone()).await, (bytes, length as u64));
        }
    }

    #[test]
    fn a_directory_is_no_stream() {
        let scratch = tempfile::tempdir().unwrap();
        let error = chunks(Some(scratch.path()), Arc::default()).err().expect("a directory");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
