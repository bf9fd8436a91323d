//! Where the answers of an object go: its output, and beside it what was refused.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;

use super::Places;
use super::error::ObjectError;
use super::pipe::Sink;
use super::rejected::{Rejected, rejected_key};
use super::work::Work;
use crate::batch::Position;
use crate::input::InputObject;
use crate::journal::{Done, Journal};
use crate::progress::Progress;
use crate::settings::ErrorPolicy;
use crate::upload::{self, Target, Writer};

/// The output of an object, and the records put aside.
pub(super) struct Output<M> {
    work: Arc<Work<M>>,
    places: Places,
    object: InputObject,
    /// The object's name.
    name: String,
    writer: Writer,
    /// Begun with the first record that is put aside.
    rejected: Option<Writer>,
}

impl<M> Output<M> {
    /// Begins it, or goes on with what an earlier run left. What was put aside is not in the journal: where records are, an
    /// object is done from its start.
    pub(super) async fn begin(
        work: &Arc<Work<M>>,
        places: &Places,
        done: &Done,
        object: &InputObject,
    ) -> Result<Self, ObjectError> {
        let name = places.name(object.path.as_ref());
        let mut resume = done.resume(object);
        if resume.is_some() && work.settings.error_policy == ErrorPolicy::Quarantine {
            resume = None;
            end_uploads(places, &object.output, &name).await;
        }
        let target = Target {
            store: places.output.clone(),
            journal: places.journal.clone(),
            object: object.clone(),
            content_type: work.settings.accept.clone(),
            part_sizes: places.part_sizes,
        };
        let writer = Writer::begin(target, resume).await.map_err(ObjectError::object)?;
        let (work, places, object) = (Arc::clone(work), places.clone(), object.clone());
        Ok(Self { work, places, object, name, writer, rejected: None })
    }

    /// Where the input is to be read from.
    pub(super) fn position(&self) -> Position {
        self.writer.position()
    }

    /// Whether all of it is stored.
    pub(super) fn is_whole(&self) -> bool {
        self.writer.is_whole()
    }

    /// Completes it. What was put aside stands first: an output without it would look like a clean one.
    pub(super) async fn finish(&mut self, end: Position) -> Result<(), ObjectError> {
        if let Some(rejected) = &mut self.rejected {
            rejected.finish(end).await.map_err(ObjectError::object)?;
        }
        self.writer.finish(end).await.map_err(ObjectError::object)?;
        Ok(())
    }

    /// Stops for now; a part that could not be stored is done again.
    pub(super) async fn suspend(self) {
        if self.work.settings.error_policy == ErrorPolicy::Quarantine {
            return self.abort().await;
        }
        if let Err(error) = self.writer.suspend().await {
            tracing::warn!(object = self.name, %error, "a part of a suspended output is not stored");
        }
        Self::give_up(self.rejected, &self.name).await;
    }

    /// Gives up, and ends uploads to its key whose beginning was never answered; not when another took over, whose they are.
    pub(super) async fn abort(self) {
        let is_lost = self.writer.is_lost();
        Self::give_up(Some(self.writer), &self.name).await;
        Self::give_up(self.rejected, &self.name).await;
        if !is_lost {
            end_uploads(&self.places, &self.object.output, &self.name).await;
        }
    }

    async fn give_up(writer: Option<Writer>, name: &str) {
        if let Some(writer) = writer
            && let Err(error) = writer.abort().await
        {
            tracing::warn!(object = name, %error, "an unfinished upload may be left behind");
        }
    }

    /// The file of the records put aside, begun with the first.
    async fn rejected(&mut self) -> Result<&mut Writer, String> {
        if self.rejected.is_none() {
            let key = rejected_key(self.object.output.as_ref());
            let output = Path::parse(key).map_err(|error| error.to_string())?;
            let target = Target {
                store: self.places.output.clone(),
                journal: Journal::nowhere(),
                object: InputObject { output, ..self.object.clone() },
                content_type: Some("application/jsonlines".to_owned()),
                part_sizes: self.places.part_sizes,
            };
            self.rejected = Some(Writer::begin(target, None).await.map_err(|error| error.to_string())?);
        }
        Ok(self.rejected.as_mut().expect("it was begun above"))
    }
}

impl<M: Send + Sync + 'static> Sink for Output<M> {
    async fn write(&mut self, bytes: Bytes, start: Position) -> Result<(), String> {
        let length = bytes.len() as u64;
        self.writer.write(bytes, start).await.map_err(|error| error.to_string())?;
        Progress::add(&self.work.progress.bytes_written, length);
        Ok(())
    }

    async fn reject(&mut self, rejected: Vec<Rejected>) -> Result<(), String> {
        for record in &rejected {
            self.work.listener.failed(&record.error.failure(&self.name));
        }
        if self.work.settings.error_policy != ErrorPolicy::Quarantine {
            return Ok(());
        }
        for record in rejected {
            let line = Bytes::from(record.line(&self.name));
            let at = record.error.at;
            self.rejected().await?.write(line, at).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Ends what is unfinished of the output of the object that people call `name`.
async fn end_uploads(places: &Places, output: &Path, name: &str) {
    let swept = upload::sweep(&places.output, output.as_ref(), |left| left.path == *output).await;
    if let Err(error) = swept {
        tracing::warn!(object = name, %error, "an unfinished upload may be left behind");
    }
}
