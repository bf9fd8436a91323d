//! The wire shapes of the interfaces we speak, one file each; what they answer goes to HTTP as an [`Answer`].

pub mod async_inference;
pub mod authorize;
pub mod autoscaling;
pub mod aws;
pub mod capture;
pub mod cloudwatch;
pub mod container;
pub mod grpc;
pub mod iam;
pub mod keda;
pub mod logs;
pub mod multi_model;
pub mod runtime;
pub mod sagemaker;
pub mod signals;
pub mod sts;

use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Code, Error};
use crate::metrics::{Metrics, Phases};
use crate::platform::Platform;
use crate::serving::Health;

/// What a server shows to the world.
#[derive(Debug)]
pub enum Face {
    /// A SageMaker container: `clary serve`.
    Container(Arc<container::Container>),
    /// The services of SageMaker on one port: `clary up`.
    Platform(Arc<Platform>),
}

impl Face {
    /// The process's numbers.
    pub fn metrics(&self) -> &Arc<Metrics> {
        match self {
            Self::Container(container) => &container.metrics,
            Self::Platform(platform) => &platform.metrics,
        }
    }

    /// What health checks hear.
    pub fn health(&self) -> &Arc<Health> {
        match self {
            Self::Container(container) => &container.health,
            Self::Platform(platform) => &platform.health,
        }
    }
}

/// Plain text, for messages and metrics.
const TEXT: &str = "text/plain; charset=utf-8";

/// The media type of JSON bodies.
const JSON: &str = "application/json";

/// What a face answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How the request ended.
    pub code: Code,
    /// The media type of `body`.
    pub content_type: &'static str,
    /// What there is to say.
    pub body: Bytes,
    /// The artifact that was asked; `None` when there is none.
    pub digest: Option<Bytes>,
    /// How long the parts of a prediction took.
    pub phases: Option<Phases>,
    /// The methods that the path takes, when the request's is none of them.
    pub allowed: Option<&'static str>,
}

impl Answer {
    fn new(code: Code, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { code, content_type, body: body.into(), digest: None, phases: None, allowed: None }
    }

    /// One line that says what was expected, found, and where.
    pub fn error(error: &Error) -> Self {
        let allowed = error.allowed();
        Self { allowed, ..Self::new(error.code(), TEXT, format!("{error}\n")) }
    }

    fn json(body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("our own shapes have string keys and finite numbers");
        Self::new(Code::Ok, JSON, body)
    }
}
