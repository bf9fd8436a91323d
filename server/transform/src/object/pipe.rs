//! From bytes to answers, in order: what is read is cut into runs, each run is a task, and their answers are written in the order
//! of the runs.
//!
//! At most [`window`] runs of an object are anywhere between being cut and being written: a slow sink or a slow model therefore
//! stops the reading.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::answer::{Answered, answer};
use super::error::{ObjectError, RecordError};
use super::rejected::Rejected;
use super::task::Task;
use super::work::{STOP_GRACE, Work};
use crate::batch::{Batcher, Position, Run};
use crate::model::Model;
use crate::process::ObjectId;
use crate::progress::Progress;
use crate::read::{Pieces, ReadError};

/// Where answers go.
pub trait Sink: Send {
    /// Takes what was written of the run that starts at `start`; waits while it can take no more.
    fn write(&mut self, bytes: Bytes, start: Position) -> impl Future<Output = Result<(), String>> + Send;

    /// Takes records that were refused, in their order.
    fn reject(&mut self, rejected: Vec<Rejected>) -> impl Future<Output = Result<(), String>> + Send;
}

/// Runs of an object that are somewhere between being cut and being written. Reason: one that is called for each slot of
/// concurrency, and one more so that a call that takes longer than the others does not leave their slots empty.
pub fn window(concurrency: usize) -> usize {
    2 * concurrency
}

/// A run on its way.
struct InFlight {
    start: Position,
    end: Position,
    answered: Task<Result<Answered, RecordError>>,
    /// Given back when the run is written.
    _slot: OwnedSemaphorePermit,
}

/// What is carried through the model.
pub struct Source {
    /// Of which object, for inference ids.
    pub object: ObjectId,
    /// Its bytes from `start` on.
    pub pieces: Pieces,
    /// The object's start, or a run's.
    pub start: Position,
    /// Whether somebody writes it while it is read, and waits for answers: then a pause ends a run of an endless payload. Runs
    /// of what is stored follow from its bytes alone, so that each time they are the same.
    pub is_live: bool,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("start", &self.start)
            .field("is_live", &self.is_live)
            .finish_non_exhaustive()
    }
}

/// Carries `source` through the model into `sink`. Gives where the object ends.
///
/// # Errors
/// When the object cannot be read, split or written, a record fails, or the transform is stopped: then what is on its way has
/// [`STOP_GRACE`] to be written.
pub async fn pipe<M: Model>(
    work: &Arc<Work<M>>,
    source: Source,
    sink: &mut impl Sink,
) -> Result<Position, ObjectError> {
    let Source { object, pieces, start, is_live } = source;
    let (sender, receiver) = mpsc::channel(window(work.settings.concurrency));
    let cutting = Cutting {
        work: Arc::clone(work),
        object: Arc::new(object),
        slots: Arc::new(Semaphore::new(window(work.settings.concurrency))),
        sender,
        is_live,
    };
    let cutting = Task::spawn(cutting.cut(pieces, start));
    let stopped = work.until_stopped();
    tokio::select! {
        written = write_in_order(work, receiver, start, sink) => {
            let written = written?;
            // Runs also end where the cutting does early, by a panic: then they are not all.
            cutting.await.map_err(ObjectError::Object)?;
            Ok(written)
        }
        () = async { stopped.await; tokio::time::sleep(STOP_GRACE).await } => Err(ObjectError::Stopped),
    }
}

/// Writes runs in their order until the last, or until one fails.
async fn write_in_order<M>(
    work: &Work<M>,
    mut receiver: mpsc::Receiver<Result<InFlight, ObjectError>>,
    start: Position,
    sink: &mut impl Sink,
) -> Result<Position, ObjectError> {
    let mut written = start;
    while let Some(next) = receiver.recv().await {
        let in_flight = next?;
        let answered =
            in_flight.answered.await.map_err(ObjectError::Object)?.map_err(ObjectError::Records)?;
        if !answered.rejected.is_empty() {
            sink.reject(answered.rejected).await.map_err(ObjectError::Object)?;
        }
        sink.write(Bytes::from(answered.bytes), in_flight.start).await.map_err(ObjectError::Object)?;
        Progress::add(&work.progress.records, in_flight.end.record - written.record);
        written = in_flight.end;
    }
    Ok(written)
}

/// Cuts an object into runs and sends each on its way.
struct Cutting<M> {
    work: Arc<Work<M>>,
    object: Arc<ObjectId>,
    slots: Arc<Semaphore>,
    sender: mpsc::Sender<Result<InFlight, ObjectError>>,
    is_live: bool,
}

impl<M: Model> Cutting<M> {
    /// Cuts all of `pieces`; what goes wrong is told behind the runs before it.
    async fn cut(self, pieces: Pieces, start: Position) {
        if let Err(error) = self.cut_all(pieces, start).await {
            // The other end is gone only when the object has already failed.
            let _ = self.sender.send(Err(error)).await;
        }
    }

    async fn cut_all(&self, mut pieces: Pieces, start: Position) -> Result<(), ObjectError> {
        let mut batcher = Batcher::new(&self.work.settings, start);
        loop {
            self.send_runs(&mut batcher).await?;
            let piece = match pieces.next().now_or_never() {
                Some(piece) => piece,
                None => self.wait(&mut batcher, &mut pieces).await?,
            };
            match piece {
                Some(piece) => batcher.feed(piece.map_err(ObjectError::object)?),
                None => break,
            }
        }
        batcher.finish();
        self.send_runs(&mut batcher).await
    }

    /// The next piece where none is there yet. Of an endless payload that is live, what was read goes on its way meanwhile.
    async fn wait(
        &self,
        batcher: &mut Batcher,
        pieces: &mut Pieces,
    ) -> Result<Option<Result<Bytes, ReadError>>, ObjectError> {
        if self.is_live {
            batcher.flush();
            self.send_runs(batcher).await?;
        }
        tokio::select! {
            piece = pieces.next() => Ok(piece),
            () = self.work.until_stopped() => Err(ObjectError::Stopped),
        }
    }

    /// Sends the runs that are there on their way.
    async fn send_runs(&self, batcher: &mut Batcher) -> Result<(), ObjectError> {
        while let Some(run) = batcher.next_run()? {
            self.send(run).await?;
        }
        Ok(())
    }

    /// Waits for a slot of the window and starts the run's task.
    async fn send(&self, run: Run) -> Result<(), ObjectError> {
        // Nothing begins once it is stopped, also where there is room.
        let slot = tokio::select! {
            biased;
            () = self.work.until_stopped() => return Err(ObjectError::Stopped),
            slot = Arc::clone(&self.slots).acquire_owned() => slot.expect("it is never closed"),
        };
        let (start, end) = (run.start, run.end());
        let (work, object) = (Arc::clone(&self.work), Arc::clone(&self.object));
        let answered = Task::spawn(async move { answer(&work, &object, &run).await });
        let in_flight = InFlight { start, end, answered, _slot: slot };
        self.sender.send(Ok(in_flight)).await.map_err(|_| ObjectError::Stopped)
    }
}
