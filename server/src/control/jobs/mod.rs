//! What jobs of any kind have in common: where they may stand.
//!
//! A kind (`transform`, `training`) says what is asked, what a run is, and what is told of it.
//!
//! | module | is |
//! |---|---|
//! | `status` | where a job stands |

mod status;

pub use status::JobStatus;
