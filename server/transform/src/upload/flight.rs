//! Parts on their way: a few at once, each kept until it is stored and noted.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::{MultipartId, PutMultipartOptions, PutPayload};
use tokio::task::{JoinError, JoinSet};

use super::error::WriteError;
use super::{Target, retry, sweep};
use crate::batch::Position;
use crate::journal::{Line, StoredPart};
use crate::store::Standing;

/// Parts on their way at once. Reason: hides the store's latency; each is kept in memory.
const PARTS_AT_ONCE: usize = 4;

/// Bytes on their way at once, but for a single part. Reason: four parts of 16 MiB; outputs beyond 8 GiB have larger ones,
/// whose latency matters less.
const BYTES_AT_ONCE: u64 = 64 << 20;

/// An upload in parts that is under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) id: MultipartId,
    /// What the object is marked with.
    pub(super) mark: String,
    /// The number of the next part.
    pub(super) next: u32,
    stored: BTreeMap<u32, StoredPart>,
    on_their_way: JoinSet<Result<Landed, WriteError>>,
    bytes_on_their_way: u64,
    /// What stored parts were kept in, for the next ones: memory stays what it was at its most.
    rooms: Vec<BytesMut>,
    is_sealed: bool,
    is_lost: bool,
}

/// A part that is stored, and what it was kept in, where nobody else still holds it.
type Landed = (StoredPart, Option<BytesMut>);

impl Flight {
    /// Begins an upload, and ends others to the same key, which processes left that are gone, or whose answers were lost.
    pub(super) async fn begin(target: &Target, standing: &Standing) -> Result<Self, WriteError> {
        let mark = format!("{:032x}", fastrand::u128(..));
        let create = || {
            let mut options = PutMultipartOptions::from(target.attributes(Some(&mark)));
            options.extensions.insert(target.part_sizes);
            target.store.parts.create_multipart_opts(target.output(), options)
        };
        let id = retry::retried(0, create).await.map_err(target.failed())?;
        let line = Line::Begun {
            name: (&target.object).into(),
            upload: id.clone(),
            mark: mark.clone(),
            standing: standing.clone(),
            part_bytes: target.part_sizes.first(),
        };
        target.journal.append(&line).await?;
        sweep::others(target, &id).await;
        Ok(Self::of(id, mark, Vec::new(), false))
    }

    /// An upload of which `stored` are stored.
    pub(super) fn of(id: MultipartId, mark: String, stored: Vec<StoredPart>, is_sealed: bool) -> Self {
        let next = stored.last().map_or(1, |part| part.number + 1);
        let stored = stored.into_iter().map(|part| (part.number, part)).collect();
        Self {
            id,
            mark,
            next,
            stored,
            on_their_way: JoinSet::new(),
            bytes_on_their_way: 0,
            rooms: Vec::new(),
            is_sealed,
            is_lost: false,
        }
    }

    /// Whether the journal has all of it.
    pub(super) fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Whether another ended it, who writes the output now.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    pub(super) fn seal(&mut self) {
        self.is_sealed = true;
    }

    /// Sends the next part off, when there is room. It ends inside the run at `at`, after `skip` bytes of its answer.
    pub(super) async fn send(
        &mut self,
        target: &Arc<Target>,
        bytes: Bytes,
        at: Position,
        skip: u64,
    ) -> Result<(), WriteError> {
        let length = bytes.len() as u64;
        while !self.has_room(length) {
            self.land_one().await?;
        }
        let part = StoredPart { number: self.next, bytes: length, part_e_tag: String::new(), at, skip };
        let store = store_part(Arc::clone(target), self.id.clone(), bytes, part);
        self.on_their_way.spawn(store);
        self.bytes_on_their_way += length;
        self.next += 1;
        Ok(())
    }

    /// Room for the next part.
    pub(super) fn room(&mut self) -> BytesMut {
        self.rooms.pop().unwrap_or_default()
    }

    fn has_room(&self, bytes: u64) -> bool {
        let count = self.on_their_way.len();
        count == 0 || (count < PARTS_AT_ONCE && self.bytes_on_their_way + bytes <= BYTES_AT_ONCE)
    }

    /// Waits for a part to be stored.
    async fn land_one(&mut self) -> Result<(), WriteError> {
        match self.on_their_way.join_next().await {
            Some(landed) => self.land(landed),
            None => Ok(()),
        }
    }

    /// Takes in the parts that are stored by now.
    pub(super) fn land_stored(&mut self) -> Result<(), WriteError> {
        while let Some(landed) = self.on_their_way.try_join_next() {
            self.land(landed)?;
        }
        Ok(())
    }

    /// Waits for all parts to be stored: these are they.
    pub(super) async fn land_all(&mut self) -> Result<Vec<StoredPart>, WriteError> {
        while !self.on_their_way.is_empty() {
            self.land_one().await?;
        }
        Ok(self.stored.values().cloned().collect())
    }

    /// Drops the parts that are on their way, and waits until they are.
    pub(super) async fn end(&mut self) {
        self.on_their_way.shutdown().await;
    }

    fn land(&mut self, landed: Result<Result<Landed, WriteError>, JoinError>) -> Result<(), WriteError> {
        let landed = landed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        self.is_lost |= matches!(landed, Err(WriteError::Gone { .. }));
        let (part, room) = landed?;
        // There were never more parts on their way, so that this is bounded as they are.
        self.rooms.extend(room);
        self.bytes_on_their_way -= part.bytes;
        self.stored.insert(part.number, part);
        Ok(())
    }
}

/// Stores a part, trying again with the same bytes, and then notes it.
async fn store_part(
    target: Arc<Target>,
    id: MultipartId,
    bytes: Bytes,
    mut part: StoredPart,
) -> Result<Landed, WriteError> {
    let payload = PutPayload::from(bytes.clone());
    let length = payload.content_length();
    let index = part.number as usize - 1;
    let put = || target.store.parts.put_part(target.output(), &id, index, payload.clone());
    match retry::retried(length, put).await {
        Ok(stored) => part.part_e_tag = stored.content_id,
        Err(object_store::Error::NotFound { .. }) => {
            return Err(WriteError::Gone { key: target.key(), upload: id });
        }
        Err(error) => return Err(target.failed()(error)),
    }
    let line = Line::Part { upload: id, part: part.clone() };
    target.journal.append(&line).await?;
    drop(payload);
    let room = bytes.try_into_mut().ok().map(|mut room| {
        room.clear();
        room
    });
    Ok((part, room))
}
