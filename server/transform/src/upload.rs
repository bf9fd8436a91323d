//! An output object: a single PUT when it is small, else an upload in parts; visible only when it is whole.
//!
//! The sizes of parts are fixed by their numbers, so that a part may end inside a run's answer. The journal keeps, with each
//! part, the run that straddles its end and how much of that run's answer is in: a later process starts that run again and
//! drops as much. What stood at the key when the writer began must still stand there when it ends, else the write is refused.

mod complete;
mod error;
mod flight;
mod part_sizes;
mod resume;
pub(crate) mod retry;
mod single;
mod sweep;

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use object_store::path::Path;
use object_store::{Attribute, Attributes, GetOptions, GetResult};

use crate::batch::Position;
use crate::input::InputObject;
use crate::journal::{Finished, Journal, Line};
use crate::store::{Standing, Store};

use complete::Completion;
pub use error::WriteError;
use flight::Flight;
pub use part_sizes::PartSizes;
pub use resume::Resume;
pub use retry::retried;
pub use sweep::sweep;

/// What is written, and where.
#[derive(Debug, Clone)]
pub struct Target {
    /// The store.
    pub store: Store,
    /// Where parts and the end are noted.
    pub journal: Journal,
    /// The object whose output it is; `output` is the key that is written.
    pub object: InputObject,
    /// Its `Content-Type`, where the store keeps one.
    pub content_type: Option<String>,
    /// How it is cut into parts.
    pub part_sizes: PartSizes,
}

/// An output that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its bytes.
    pub bytes: u64,
    /// Its version.
    pub e_tag: Option<String>,
    /// The end of the input.
    pub end: Position,
}

/// Writes one output. Dropped, it leaves what is stored; [`Writer::abort`] removes it.
#[derive(Debug)]
pub struct Writer {
    target: Arc<Target>,
    standing: Standing,
    state: State,
    /// The part that is being filled.
    buffer: BytesMut,
    /// Bytes in the parts before it.
    cut: u64,
    /// The run whose answer is being written.
    run: Position,
    /// Bytes of that answer so far, those of an earlier process included.
    run_bytes: u64,
    /// Bytes of that answer that an earlier process wrote, and that are yet to come again.
    skip: u64,
}

#[derive(Debug)]
enum State {
    /// All of it is in the buffer.
    Small,
    /// Parts are on their way or stored.
    Parts(Flight),
    /// An earlier process completed it, and was killed before it could say so.
    Whole(Written),
}

impl Writer {
    /// Begins an output, or goes on with one: [`Writer::position`] says from where. What `resume` names is begun anew if the
    /// store has it no more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin(target: Target, resume: Option<Resume>) -> Result<Self, WriteError> {
        let target = Arc::new(target);
        if let Some(resume) = resume
            && let Some(writer) = resume::go_on(&target, resume).await?
        {
            return Ok(writer);
        }
        let found = target.stat().await?;
        let standing = Standing::of(found.as_ref().map(|found| &found.meta));
        Ok(Self::new(target, standing, State::Small, Position::default()))
    }

    fn new(target: Arc<Target>, standing: Standing, state: State, run: Position) -> Self {
        Self { target, standing, state, buffer: BytesMut::new(), cut: 0, run, run_bytes: 0, skip: 0 }
    }

    /// Where the input is to be read from: the start of the first run whose answer is wanted.
    pub fn position(&self) -> Position {
        self.run
    }

    /// Whether nothing is wanted any more but [`Writer::finish`]: all of it is stored.
    pub fn is_whole(&self) -> bool {
        match &self.state {
            State::Whole(_) => true,
            State::Parts(flight) => flight.is_sealed(),
            State::Small => false,
        }
    }

    /// Whether another ended its upload, to write the output in its place: what is under way at the key is theirs.
    pub fn is_lost(&self) -> bool {
        matches!(&self.state, State::Parts(flight) if flight.is_lost())
    }

    /// Writes bytes that answer the run at `start`; a run's answer may come in several pieces. Waits while too many parts are on
    /// their way.
    ///
    /// # Errors
    /// When a part cannot be stored, or the answers are not those that an earlier process got.
    pub async fn write(&mut self, bytes: Bytes, start: Position) -> Result<(), WriteError> {
        let mut bytes = self.without_skipped(bytes, start)?;
        while !bytes.is_empty() {
            let room = self.part_bytes()? - self.buffer.len();
            let taken = bytes.split_to(room.min(bytes.len()));
            self.buffer.extend_from_slice(&taken);
            self.run_bytes += taken.len() as u64;
            if taken.len() == room {
                self.cut().await?;
            }
        }
        if let State::Parts(flight) = &mut self.state {
            flight.land_stored()?;
        }
        Ok(())
    }

    /// Completes the output: it stands when this returns, and the journal says so.
    ///
    /// # Errors
    /// When it cannot be stored, or another wrote there meanwhile. [`Writer::abort`] is then still to be called by who gives up.
    pub async fn finish(&mut self, end: Position) -> Result<Written, WriteError> {
        if self.skip > 0 {
            return Err(self.unlike(end));
        }
        let bytes = self.cut + self.buffer.len() as u64;
        if matches!(self.state, State::Parts(_)) && !self.buffer.is_empty() {
            self.cut().await?;
        }
        let e_tag = match &mut self.state {
            State::Whole(written) => written.e_tag.clone(),
            State::Small => {
                let whole = std::mem::take(&mut self.buffer).freeze();
                single::put(&self.target, &self.standing, whole).await?
            }
            State::Parts(flight) => {
                let parts = flight.land_all().await?;
                if !flight.is_sealed() {
                    let line = Line::Sealed { upload: flight.id.clone(), bytes, end };
                    self.target.journal.append(&line).await?;
                    flight.seal();
                }
                let (target, standing) = (&self.target, &self.standing);
                let (id, mark) = (&flight.id, flight.mark.as_str());
                Completion { target, standing, id, mark, parts: &parts, bytes }.run().await?
            }
        };
        let written = match &self.state {
            State::Whole(written) => written.clone(),
            _ => Written { bytes, e_tag, end },
        };
        let finished = Finished {
            records: written.end.record,
            bytes: written.bytes,
            output_e_tag: written.e_tag.clone(),
        };
        self.target.journal.finished(&self.target.object, finished).await?;
        self.state = State::Whole(written.clone());
        Ok(written)
    }

    /// Gives up: what is stored of it is removed. After [`Writer::finish`] succeeded, there is nothing to.
    ///
    /// # Errors
    /// When the store fails: a sweep finds it later.
    pub async fn abort(mut self) -> Result<(), WriteError> {
        let State::Parts(flight) = &mut self.state else { return Ok(()) };
        flight.end().await;
        self.target.abort(&flight.id).await?;
        let line = Line::Aborted { upload: flight.id.clone() };
        Ok(self.target.journal.append(&line).await?)
    }

    /// Stops for now: parts that are on their way are stored and noted, for a later process to go on with.
    ///
    /// # Errors
    /// When one cannot be: it is done again.
    pub async fn suspend(mut self) -> Result<(), WriteError> {
        match &mut self.state {
            State::Parts(flight) => flight.land_all().await.map(drop),
            State::Small | State::Whole(_) => Ok(()),
        }
    }

    /// What is left of `bytes` without what an earlier process wrote.
    fn without_skipped(&mut self, mut bytes: Bytes, start: Position) -> Result<Bytes, WriteError> {
        if start != self.run {
            if self.skip > 0 {
                return Err(self.unlike(start));
            }
            (self.run, self.run_bytes) = (start, 0);
        }
        let skipped = bytes.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        bytes.advance(skipped);
        self.skip -= skipped as u64;
        if self.is_whole() && !bytes.is_empty() {
            return Err(self.unlike(start));
        }
        Ok(bytes)
    }

    fn unlike(&self, found: Position) -> WriteError {
        WriteError::Unlike { key: self.target.key(), at: self.run, missing: self.skip, found }
    }

    /// The bytes of the part that is being filled.
    fn part_bytes(&self) -> Result<usize, WriteError> {
        let number = match &self.state {
            State::Parts(flight) => flight.next,
            State::Small | State::Whole(_) => 1,
        };
        let too_large = || WriteError::TooLarge { key: self.target.key(), parts: PartSizes::PARTS_MAX };
        if number > PartSizes::PARTS_MAX {
            return Err(too_large());
        }
        usize::try_from(self.target.part_sizes.bytes(number)).map_err(|_| too_large())
    }

    /// Sends the buffer off as a part.
    async fn cut(&mut self) -> Result<(), WriteError> {
        if matches!(self.state, State::Small) {
            self.state = State::Parts(Flight::begin(&self.target, &self.standing).await?);
        }
        let State::Parts(flight) = &mut self.state else { return Ok(()) };
        let bytes = std::mem::take(&mut self.buffer).freeze();
        self.cut += bytes.len() as u64;
        flight.send(&self.target, bytes, self.run, self.run_bytes).await?;
        // Whoever filled one part most often fills the next.
        self.buffer = flight.room();
        if let Ok(next) = self.part_bytes() {
            self.buffer.reserve(next);
        }
        Ok(())
    }
}

/// The name of the metadata that marks whose upload an object is.
const MARK: &str = "clary-upload";

impl Target {
    fn output(&self) -> &Path {
        &self.object.output
    }

    fn key(&self) -> String {
        self.object.output.to_string()
    }

    fn failed(&self) -> impl FnOnce(object_store::Error) -> WriteError {
        let key = self.key();
        move |source| WriteError::Store { key, source }
    }

    /// What the object says about itself.
    fn attributes(&self, mark: Option<&str>) -> Attributes {
        let mut attributes = Attributes::new();
        if let Some(content_type) = &self.content_type {
            attributes.insert(Attribute::ContentType, content_type.clone().into());
        }
        if let Some(mark) = mark {
            attributes.insert(Attribute::Metadata(MARK.into()), mark.to_owned().into());
        }
        attributes
    }

    /// What stands at the key now, without its bytes.
    async fn stat(&self) -> Result<Option<GetResult>, WriteError> {
        let look = || self.store.objects.get_opts(self.output(), GetOptions::new().with_head(true));
        match retried(0, look).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed()(error)),
        }
    }

    /// Ends an upload, if it is under way.
    async fn abort(&self, id: &str) -> Result<(), WriteError> {
        let id = id.to_owned();
        match retried(0, || self.store.parts.abort_multipart(self.output(), &id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed()(error)),
        }
    }
}
