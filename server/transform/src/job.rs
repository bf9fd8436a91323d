//! All objects of a transform: listed, planned, carried through the pipeline side by side, and summed up.

mod budget;
mod capture;
mod run;
mod shard;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use object_store::path::Path;
use tokio::sync::watch;

use crate::journal::{Done, Journal};
use crate::progress::{Listener, Progress};
use crate::settings::Settings;
use crate::store::Store;
use crate::upload::PartSizes;

/// A transform, ready to run.
pub struct Job<M> {
    /// Its identity: a journal of another id is not its own. Inference ids are made of it.
    pub id: String,
    /// What is done with records.
    pub settings: Settings,
    /// Where the inputs are.
    pub input: Store,
    /// What names that store to people: its bucket, or its directory. A failure's object is this, a slash and the key.
    pub input_name: String,
    /// Which they are.
    pub source: crate::input::Source,
    /// Where outputs go.
    pub output: Store,
    /// What names that store to people: where it is [`Self::input_name`], outputs are beside inputs.
    pub output_name: String,
    /// What the outputs' keys begin with: a folder.
    pub output_prefix: Path,
    /// How outputs are cut into parts; [`PartSizes::default`] is what S3 takes.
    pub part_sizes: PartSizes,
    /// Which of several runners this is.
    pub shard: Option<Shard>,
    /// Where lists of the inputs and outputs go, if anywhere (`DataCaptureConfig`).
    pub capture: Option<Capture>,
    /// What is done, durably. It is left to who opened it to remove it when the transform is complete.
    pub journal: Journal,
    /// What the journal said was done when it was opened.
    pub done: Done,
    /// The model.
    pub model: Arc<M>,
    /// The digest of the model's artifact, of which, with the settings, a journal must be.
    pub model_digest: String,
    /// Counters.
    pub progress: Arc<Progress>,
    /// Who is told.
    pub listener: Arc<dyn Listener>,
    /// Set to end early.
    pub stop: watch::Receiver<Stop>,
}

pub use budget::{LARGE_AT_ONCE, OBJECTS_AT_ONCE};
pub use capture::Capture;
pub use shard::{CUT_BYTES, Part, Shard};
pub use summary::{Counts, FAILURES_KEPT, Outcome, Summary};

/// Whether a transform should end, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    Run,
    /// End for good: what is under way is given up, its uploads are aborted.
    Abort,
    /// End for now: what is under way stays for the next run to go on with.
    Suspend,
}
