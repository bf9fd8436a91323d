//! The data plane: from bytes to bytes over one immutable snapshot.
//!
//! `encode ∘ predict ∘ decode` is synchronous code over a [`Session`]'s buffers; this folder decides on which thread
//! it runs ([`ModelServer`]), and keeps the snapshot fresh ([`reload`]). It knows no HTTP, no wire format of an API
//! and no configuration source.

mod compute;
mod endpoint;
mod health;
pub mod memory;
mod model_server;
mod reaper;
pub mod reload;
mod session;
mod variant;
mod warm_up;
mod watch;

pub use endpoint::{Endpoint, Endpoints};
pub use health::Health;
pub use model_server::{Invocation, Invoked, ModelServer, ModelServerOptions};
pub use session::{Ask, Prediction, Session};
pub use variant::{AnswerType, LoadedModel, ProductionVariant};
pub use warm_up::{Cost, Loader};
