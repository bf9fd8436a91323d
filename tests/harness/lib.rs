//! What the end-to-end tests and benches stand on: the built programs, a raw HTTP client that can misbehave, and makers
//! of small models and hostile archives.
//!
//! The one idea: tests meet the server as the outside world does, on a real socket of a real process. What they expect
//! comes from [`score()`], the same pure function of (artifact, payload) without any server.

#![expect(clippy::unwrap_used, reason = "a harness's panic is its report")]

pub mod artifacts;
pub mod batch;
pub mod fault_store;
pub mod forest;
pub mod hostile;
pub mod http;
pub mod mutate;
pub mod payload;
pub mod platform;
pub mod programs;
pub mod score;
pub mod server;
pub mod synthetic;
pub mod transform;

pub use fault_store::{Fault, FaultStore};
pub use http::{Answer, Client, Request};
pub use score::{Oracle, score};
pub use server::{Serve, Server, Up};
pub use transform::Transform;
