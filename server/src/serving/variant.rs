//! A model in memory with what is known of it, and its place in an endpoint.

use std::sync::Arc;

use bytes::Bytes;
use codecs::{ContentType, ContentTypeError};
use models::Model;

use super::warm_up::Cost;
use crate::metrics::VariantMetrics;

/// How the format of an answer is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerType {
    /// By the request's Accept; this one where it does not say.
    Negotiated(ContentType),
    /// Always this one (SageMaker's XGBoost in batch transform).
    Fixed(ContentType),
}

impl AnswerType {
    /// The format of an answer to `accept`.
    ///
    /// # Errors
    /// When nothing acceptable is served.
    pub fn settle(self, accept: Option<&str>) -> Result<ContentType, ContentTypeError> {
        match self {
            Self::Fixed(content_type) => Ok(content_type),
            Self::Negotiated(default) if accept.is_none() => Ok(default),
            Self::Negotiated(default) => ContentType::from_accept(accept, default),
        }
    }
}

/// A model that was warmed up and timed; immutable.
#[derive(Debug)]
pub struct LoadedModel {
    /// The model.
    pub model: Box<dyn Model>,
    /// SHA-256 of its artifact, lower-case hex.
    pub digest: Bytes,
    /// What scoring costs, as the warm-up measured it.
    pub cost: Cost,
    /// How an answer's format is found.
    pub answer_type: AnswerType,
}

/// A share of an endpoint's traffic and the model that takes it; immutable.
#[derive(Debug, Clone)]
pub struct ProductionVariant {
    /// The variant's name.
    pub name: String,
    /// Its weight among the variants.
    pub weight: f64,
    /// Its model.
    pub model: Arc<LoadedModel>,
    /// Its numbers.
    pub metrics: Arc<VariantMetrics>,
}
