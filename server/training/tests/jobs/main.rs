//! Whole jobs: shell scripts as training programs, over buckets in memory.
#![expect(clippy::unwrap_used, reason = "a test's surprise is its failure")]

mod checkpoints;
mod containers;
mod endings;
mod harness;
mod hosts;
mod input;
mod limits;
mod output;
mod pipes;
mod stops;
