//! A model in memory with what is known of it, and its place in an endpoint.

use std::sync::Arc;

use bytes::Bytes;
use codecs::{ContentType, ContentTypeError, Format};
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
            // What clients usually send names one type and nothing else: reading it as a list costs a thousand
            // instructions, a tenth of the whole shell.
            Self::Negotiated(default) => match PLAIN.iter().find(|plain| Some(plain.as_str()) == accept) {
                Some(plain) => Ok(*plain),
                None => ContentType::from_accept(accept, default),
            },
        }
    }
}

/// The formats of answers, without parameters.
const PLAIN: [ContentType; 4] = [
    ContentType::new(Format::Csv),
    ContentType::new(Format::Json),
    ContentType::new(Format::JsonLines),
    ContentType::new(Format::RecordIo),
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_cut_settles_as_the_whole_negotiation_does() {
        for default in PLAIN {
            for accept in PLAIN {
                let accept = Some(accept.as_str());
                let settled = AnswerType::Negotiated(default).settle(accept);
                assert_eq!(settled, ContentType::from_accept(accept, default));
            }
            assert_eq!(AnswerType::Negotiated(default).settle(None), Ok(default));
            assert_eq!(AnswerType::Negotiated(default).settle(Some("*/*")), Ok(default));
            assert_eq!(AnswerType::Fixed(default).settle(Some("image/png")), Ok(default));
            AnswerType::Negotiated(default).settle(Some("image/png")).expect_err("it is not served");
        }
    }
}
