//! Outputs that are written through failures and crashes: all or nothing, the right bytes, nothing left behind.

#![expect(clippy::unwrap_used, reason = "tests: a failure is the finding, and bodies are ours")]

mod crash;
mod faulty;
mod journal;
mod pressure;
mod race;
mod resume;
mod s3;
mod script;
mod stores;
