//! Going on with an upload that an earlier process began.

use std::sync::Arc;

use object_store::MultipartId;

use super::complete::Completion;
use super::error::WriteError;
use super::flight::Flight;
use super::{PartSizes, State, Target, Writer, Written, sweep};
use crate::batch::Position;
use crate::journal::StoredPart;
use crate::store::Standing;

/// An upload of which parts are stored, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    pub(crate) upload: MultipartId,
    pub(crate) mark: String,
    pub(crate) standing: Standing,
    pub(crate) part_sizes: PartSizes,
    /// From the first on, without a gap.
    pub(crate) parts: Vec<StoredPart>,
    /// The object's bytes and the input's end, where all parts are stored.
    pub(crate) sealed: Option<(u64, Position)>,
}

impl Resume {
    /// An upload of which nothing is stored yet.
    pub(crate) fn of(upload: MultipartId, mark: String, standing: Standing, part_bytes: u64) -> Self {
        let part_sizes = PartSizes::from_first(part_bytes);
        Self { upload, mark, standing, part_sizes, parts: Vec::new(), sealed: None }
    }

    /// Where the input is to be read from.
    pub fn position(&self) -> Position {
        let straddling = self.parts.last().map_or_else(Position::default, |part| part.at);
        self.sealed.map_or(straddling, |(_, end)| end)
    }

    /// Bytes that are stored.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// A writer that goes on with `resume`; `None` where the store has it no more.
pub(super) async fn go_on(target: &Arc<Target>, resume: Resume) -> Result<Option<Writer>, WriteError> {
    if resume.part_sizes != target.part_sizes {
        target.abort(&resume.upload).await?;
        return Ok(None);
    }
    match sweep::others(target, &resume.upload).await {
        Some(true) => return Ok(Some(writer(target, resume))),
        Some(false) => {}
        // A store that does not say what is under way cannot be gone on with.
        None => target.abort(&resume.upload).await?,
    }
    let Some((bytes, end)) = resume.sealed else { return Ok(None) };
    let (standing, id, mark) = (&resume.standing, &resume.upload, resume.mark.as_str());
    let completion = Completion { target, standing, id, mark, parts: &resume.parts, bytes };
    let Some(found) = completion.found().await? else { return Ok(None) };
    let written = Written { bytes, e_tag: found.meta.e_tag, end };
    Ok(Some(Writer::new(Arc::clone(target), resume.standing, State::Whole(written), end)))
}

fn writer(target: &Arc<Target>, resume: Resume) -> Writer {
    let (position, cut) = (resume.position(), resume.bytes());
    let skip = if resume.sealed.is_some() { 0 } else { resume.parts.last().map_or(0, |part| part.skip) };
    let flight = Flight::of(resume.upload, resume.mark, resume.parts, resume.sealed.is_some());
    let writer = Writer::new(Arc::clone(target), resume.standing, State::Parts(flight), position);
    Writer { cut, skip, run_bytes: skip, ..writer }
}
