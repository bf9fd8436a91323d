//! One object through the pipeline: read, cut, answered, put together, written; all of it or nothing.
//!
//! # Memory
//!
//! What an object takes does not depend on its size. With `p` the largest payload, `a` the largest answer and `c` the
//! concurrency:
//!
//! ```text
//! (1 + RANGES_AHEAD) × RANGE_BYTES          ranged GETs that are read ahead
//!   + window(c) × (p + a)                   runs between being cut and being written, with window(c) = 2 c
//!   + p                                     the run that is being cut
//!   + (1 + PARTS_IN_FLIGHT) × part          parts of the upload: being filled, and on their way
//! ```
//!
//! Since `c × p` is at most 100 MB, and answers of tabular models are far smaller than their payloads, that is some 70 MB with the
//! defaults. Of large objects [`LARGE_AT_ONCE`](crate::job::LARGE_AT_ONCE) are under way at once; small ones take what they weigh.

mod answer;
mod call;
mod error;
mod named;
mod output;
mod pipe;
mod rejected;
mod task;
mod work;

use std::sync::Arc;

pub use error::{ObjectError, RecordError};
pub use pipe::{Sink, Source, pipe, window};
pub use rejected::{Rejected, rejected_key};
pub(crate) use task::Task;
pub use work::{STOP_GRACE, Work};

use crate::batch::{Position, check_object_bytes};
use crate::input::InputObject;
use crate::job::Stop;
use crate::journal::{Done, Journal};
use crate::model::Model;
use crate::process::ObjectId;
use crate::read::{self, Pieces, ReadOptions, ReadSpan};
use crate::settings::Compression;
use crate::store::Store;
use crate::upload::PartSizes;
use output::Output;

/// Where a transform reads and writes.
#[derive(Debug, Clone)]
pub struct Places {
    /// The inputs.
    pub input: Store,
    /// What people call that store.
    pub input_name: String,
    /// The outputs.
    pub output: Store,
    /// What is done, durably.
    pub journal: Journal,
    /// How inputs are read.
    pub read: ReadOptions,
    /// How outputs are cut into parts.
    pub part_sizes: PartSizes,
}

impl Places {
    /// What people call the object at `key`.
    pub fn name(&self, key: &str) -> String {
        format!("{}/{key}", self.input_name)
    }
}

/// Transforms `object`, or the lines of it that start in `share`, and goes on where an earlier run of the transform was.
///
/// # Errors
/// Why there is no output. Then nothing of it is left behind, unless the transform is suspended.
pub async fn transform<M: Model>(
    work: &Arc<Work<M>>,
    places: &Places,
    done: &Done,
    object: &InputObject,
    share: Option<ReadSpan>,
) -> Result<(), ObjectError> {
    let mut output = Output::begin(work, places, done, object).await?;
    let written = write(work, places, object, share, &mut output).await;
    match (written, work.stopped()) {
        (Ok(()), _) => Ok(()),
        (Err(ObjectError::Stopped), Some(Stop::Suspend)) => {
            output.suspend().await;
            Err(ObjectError::Stopped)
        }
        (Err(error), _) => {
            output.abort().await;
            Err(error)
        }
    }
}

async fn write<M: Model>(
    work: &Arc<Work<M>>,
    places: &Places,
    object: &InputObject,
    share: Option<ReadSpan>,
    output: &mut Output<M>,
) -> Result<(), ObjectError> {
    let mut end = output.position();
    if !output.is_whole() {
        let (start, pieces) = open(work, places, object, share, end).await?;
        let id = ObjectId::new(&work.job_id, object.path.as_ref());
        end = pipe(work, Source { object: id, pieces, start, is_live: false }, output).await?;
    }
    output.finish(end).await
}

/// The object's bytes from where `written` ends, and where they start.
async fn open<M>(
    work: &Work<M>,
    places: &Places,
    object: &InputObject,
    share: Option<ReadSpan>,
    written: Position,
) -> Result<(Position, Pieces), ObjectError> {
    let store = &places.input.objects;
    let Some(share) = share else {
        if work.settings.compression == Compression::None {
            check_object_bytes(&work.settings, object.size)?;
        }
        let pieces = read::open(store, object, work.settings.compression, written.byte, &places.read);
        return Ok((written, pieces));
    };
    let span = ReadSpan { from: share.from.max(written.byte), ..share };
    let lines = read::open_lines(store, object, span, &places.read).await.map_err(ObjectError::object)?;
    Ok((Position { byte: lines.start, record: written.record }, lines.pieces))
}
