//! Pipe mode: a FIFO an epoch, into which a channel's objects are written back to back.
//!
//! `<channel>_0` is there before the program starts. An epoch begins when the program opens its FIFO and ends with the last byte
//! or when the program closes it early; the next one's is there by then. Nothing waits in a thread: a FIFO that nobody opens is
//! asked for again and again until the job's end drops the task.

mod feed;
mod sink;

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};
use tokio::net::unix::pipe;

use crate::failure::Failure;
pub(crate) use feed::Feed;
use sink::{Halt, Sink};

/// How often a FIFO is asked whether a reader has it open. Reason: the latency of an epoch's start; costs one system call.
const OPEN_PAUSE: Duration = Duration::from_millis(10);

/// The FIFOs of a channel on one host.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// `input/data/<channel>`, to which the epoch is added.
    stem: PathBuf,
    feed: Feed,
}

impl Pipe {
    /// Makes the first FIFO in `folder`. Blocks for one system call.
    pub(crate) fn new(folder: &Path, feed: Feed) -> io::Result<Self> {
        let pipe = Self { stem: folder.join(feed.name()), feed };
        make(&pipe.path(0))?;
        Ok(pipe)
    }

    fn path(&self, epoch: u64) -> PathBuf {
        let mut path = self.stem.clone().into_os_string();
        path.push(format!("_{epoch}"));
        path.into()
    }

    /// Writes epoch after epoch until it is dropped, or the data cannot be had.
    pub(crate) async fn serve(mut self) -> Result<Infallible, Failure> {
        let failed =
            |path: &Path, error: &io::Error| Failure::Internal(format!("{}: {error}", path.display()));
        let mut epoch = 0;
        loop {
            let (path, next) = (self.path(epoch), self.path(epoch + 1));
            make(&next).map_err(|error| failed(&next, &error))?;
            let sender = open(&path).await.map_err(|error| failed(&path, &error))?;
            let mut sink = Sink::new(sender);
            match self.feed.write(&mut sink, epoch).await {
                // Early or not, the reader is done with this epoch.
                Ok(()) | Err(Halt::Closed) => {}
                Err(Halt::Failed(failure)) => return Err(failure),
            }
            // Before its end is seen, so that nobody opens it again.
            std::fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
            drop(sink);
            epoch += 1;
        }
    }
}

fn make(path: &Path) -> io::Result<()> {
    Ok(mkfifoat(CWD, path, Mode::from_raw_mode(0o666))?)
}

/// The FIFO for writing, as soon as a reader has it open.
async fn open(path: &Path) -> io::Result<pipe::Sender> {
    loop {
        match pipe::OpenOptions::new().open_sender(path) {
            // No reader yet.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                tokio::time::sleep(OPEN_PAUSE).await;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            opened => return opened,
        }
    }
}
