//! What jobs of any kind have in common: where they may stand, and the task that each has as long as it has not ended.
//!
//! A kind (`transform`, `training`) says what is asked, what a run is, and what is told of it.
//!
//! | module | is |
//! |---|---|
//! | `status` | where a job stands |
//! | `tasks` | the task of each, and whom to tell to stop |

mod status;
mod tasks;

pub use status::JobStatus;
pub(super) use tasks::JobTasks;
