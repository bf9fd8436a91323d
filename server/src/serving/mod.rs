//! The data plane: from bytes to bytes over one immutable snapshot.
//!
//! `encode ∘ predict ∘ decode` is synchronous code over a [`Session`]'s buffers; this folder decides on which thread
//! it runs ([`ModelServer`]), and keeps the snapshot fresh ([`reload`]). It knows no HTTP, no wire format of an API
//! and no configuration source.

pub mod alias;
mod assignment;
mod cache;
mod capacity;
pub mod capture;
mod compute;
pub mod draw;
mod endpoint;
mod health;
pub mod memory;
mod model_memory;
mod model_server;
mod reaper;
pub mod reload;
mod session;
mod shadow;
mod variant;
mod warm_up;
mod watch;

pub use alias::WeightError;
pub use cache::{CachedModel, Loaded, ModelCache, ModelSource, Outcome};
pub use capacity::Capacity;
pub use endpoint::{Endpoint, Endpoints};
pub use health::Health;
pub use model_memory::ModelMemory;
pub use model_server::{Invocation, Invoked, ModelServer, ModelServerOptions};
pub use session::{Ask, Prediction, Session, check_type};
pub use shadow::Shadow;
pub use variant::{AnswerType, LoadedModel, Models, ON_DEMAND, ProductionVariant};
pub use warm_up::{Cost, Loader};
