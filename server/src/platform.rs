//! What the faces of `clary up` share.

use std::sync::Arc;

use wire::Scope;

use crate::control::Database;
use crate::metrics::Metrics;
use crate::serving::ModelServer;

/// The platform: each part is owned by the module of its type.
#[derive(Debug)]
pub struct Platform {
    /// Region and account of ARNs, where a request does not say.
    pub scope: Scope,
    /// The data plane.
    pub server: Arc<ModelServer>,
    /// The durable state.
    pub database: Database,
    /// The process's numbers.
    pub metrics: Arc<Metrics>,
    /// The control plane's runtime.
    pub runtime: tokio::runtime::Handle,
}
