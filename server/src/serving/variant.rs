//! A model in memory with what is known of it, and a variant: its place in an endpoint.

use std::sync::Arc;

use bytes::Bytes;
use codecs::{ContentType, ContentTypeError, Format};
use models::Model;

use super::capacity::Place;
use super::endpoint::Chosen;
use super::warm_up::Cost;
use super::{CachedModel, Capacity, Invocation, ModelCache};
use crate::error::{Error, shortened};
use crate::metrics::{Measure, VariantMetrics};

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

/// The models that a variant can ask.
#[derive(Debug, Clone)]
pub enum Models {
    /// One, always there.
    One(Arc<LoadedModel>),
    /// Many, of which a request names one by its TargetModel.
    Many(Arc<ModelCache>),
    /// One, loaded when it is asked for (serverless): under the name [`ON_DEMAND`].
    OnDemand(Arc<ModelCache>),
}

/// The name of the one model of [`Models::OnDemand`].
pub const ON_DEMAND: &str = "";

/// A share of an endpoint's traffic and the models that take it; immutable. A variant in two fleets is two of these.
#[derive(Debug, Clone)]
pub struct ProductionVariant {
    /// The variant's name.
    pub name: Bytes,
    /// The name of the endpoint configuration whose fleet it stands in.
    pub config: Bytes,
    /// Its share of the draws, relative to the others': the variant's weight times the fleet's share.
    pub weight: f64,
    /// Its models.
    pub models: Models,
    /// How many instances it has.
    pub instances: u32,
    /// What it may compute at once.
    pub capacity: Arc<Capacity>,
    /// Its numbers.
    pub metrics: Arc<VariantMetrics>,
}

impl ProductionVariant {
    /// The digest of the artifact that answers whatever is asked; `None` where that depends.
    pub fn digest(&self) -> Option<&Bytes> {
        match &self.models {
            Models::One(model) => Some(&model.digest),
            Models::Many(_) | Models::OnDemand(_) => None,
        }
    }

    /// Lets the page know how much it may compute at once.
    pub(super) fn tell_capacity(&self) {
        let slots = self.capacity.slots();
        self.metrics.set_max_concurrency(self.capacity.concurrency_max().unwrap_or(slots));
    }

    /// Takes a place among the requests under way, and finds the model that `invocation` asks.
    pub(super) fn enter(&self, invocation: &Invocation<'_>) -> Result<(Place, Asked<'_>), Error> {
        Ok((self.capacity.enter()?, self.asked(invocation)?))
    }

    fn asked(&self, invocation: &Invocation<'_>) -> Result<Asked<'_>, Error> {
        let (cache, name) = match (&self.models, invocation.target_model) {
            (Models::One(model), None) => return Ok(Asked::Own(model)),
            (Models::OnDemand(cache), None) => (cache, ON_DEMAND),
            (Models::Many(cache), Some(name)) => (cache, name),
            (Models::Many(_), None) => return Err(Error::TargetModelMissing),
            (_, Some(name)) => return Err(Error::NotMultiModel(shortened(name))),
        };
        let found = cache.find(name, invocation.started);
        if invocation.target_model.is_some() && !invocation.is_warmed {
            let is_hit = f64::from(u8::from(found.is_some()));
            self.metrics.measure(Measure::ModelCacheHit, is_hit);
        }
        let cold = || Error::ModelCold { variant: self.name.clone(), cache: Arc::clone(cache) };
        found.map(Asked::Cached).ok_or_else(cold)
    }
}

/// The model that a request asks.
pub(super) enum Asked<'a> {
    /// The variant's own.
    Own(&'a LoadedModel),
    /// One of its cache.
    Cached(Arc<CachedModel>),
}

impl Asked<'_> {
    /// The model.
    pub(super) fn model(&self) -> &LoadedModel {
        match self {
            Self::Own(model) => model,
            Self::Cached(cached) => &cached.model,
        }
    }

    /// The model and `chosen`, its variant, for longer than the look at the snapshot.
    pub(super) fn hold(&self, chosen: Chosen) -> Held {
        let cached = match self {
            Self::Own(_) => None,
            Self::Cached(cached) => Some(Arc::clone(cached)),
        };
        Held { chosen, cached }
    }
}

/// A chosen variant and the model that was asked of it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    chosen: Chosen,
    cached: Option<Arc<CachedModel>>,
}

impl Held {
    /// The variant.
    pub(super) fn variant(&self) -> &ProductionVariant {
        self.chosen.variant()
    }

    /// The model.
    pub(super) fn model(&self) -> &LoadedModel {
        match (&self.cached, &self.variant().models) {
            (Some(cached), _) => &cached.model,
            (None, Models::One(model)) => model,
            (None, Models::Many(_) | Models::OnDemand(_)) => {
                unreachable!("what is asked of a cache holds its model")
            }
        }
    }
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
