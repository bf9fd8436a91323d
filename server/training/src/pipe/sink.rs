//! The writing end of an epoch.

use std::io::ErrorKind;

use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;

use crate::failure::Failure;

/// What ends an epoch before its last byte.
#[derive(Debug)]
pub(super) enum Halt {
    /// The reader closed it.
    Closed,
    /// The data cannot be had.
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A FIFO that a reader has open.
#[derive(Debug)]
pub(super) struct Sink {
    sender: pipe::Sender,
    /// The last byte that was written.
    last: Option<u8>,
}

impl Sink {
    pub(super) fn new(sender: pipe::Sender) -> Self {
        Self { sender, last: None }
    }

    /// Writes `bytes`, waiting for the reader.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        self.sender.write_all(bytes).await.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Halt::Closed,
            _ => Halt::Failed(Failure::Internal(format!("a FIFO cannot be written: {error}"))),
        })?;
        self.last = bytes.last().copied().or(self.last);
        Ok(())
    }

    /// Whether what was written ends within a line.
    pub(super) fn is_within_line(&self) -> bool {
        self.last.is_some_and(|byte| byte != b'\n')
    }
}
