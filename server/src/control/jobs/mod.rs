//! What jobs of any kind have in common: where they may stand, how that is stored, and the task that each has as long as it
//! has not ended.
//!
//! A kind (`transform`, `training`) says what is asked, what a run is, and what is told of it.
//!
//! | module | is |
//! |---|---|
//! | `status` | where a job stands |
//! | `state` | what is stored of it, read and changed |
//! | `run` | its run, again until its end is stored |
//! | `calls` | the calls that are the same for every kind |
//! | `event` | what is told of it |
//! | `tasks` | the task of each, and whom to tell to stop |

pub(super) mod calls;
pub(super) mod event;
mod run;
pub(super) mod state;
mod status;
mod tasks;

pub(super) use run::{FAULT, Jobs, STATE_PAUSE, run};
pub use state::JobState;
pub use status::JobStatus;
pub(super) use tasks::JobTasks;
