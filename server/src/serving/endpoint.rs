//! Endpoints: the immutable snapshot that a request reads once.

use std::collections::HashMap;
use std::sync::Arc;

use super::ProductionVariant;

/// An endpoint's variants; immutable.
#[derive(Debug)]
pub struct Endpoint {
    variants: Vec<ProductionVariant>,
    weight_total: f64,
}

impl Endpoint {
    /// An endpoint of these variants.
    ///
    /// # Panics
    /// When there is no variant, or a weight is negative or not finite: whoever publishes has checked that.
    pub fn new(variants: Vec<ProductionVariant>) -> Self {
        assert!(!variants.is_empty(), "an endpoint has a variant");
        assert!(
            variants.iter().all(|variant| variant.weight >= 0.0 && variant.weight.is_finite()),
            "weights"
        );
        let weight_total = variants.iter().map(|variant| variant.weight).sum();
        Self { variants, weight_total }
    }

    /// The variant at `point`, which is uniform in [0, 1): each has its weight's share.
    pub fn choose(&self, point: f64) -> &ProductionVariant {
        &self.variants[self.choose_index(point)]
    }

    fn choose_index(&self, point: f64) -> usize {
        let mut rest = point * self.weight_total;
        let last = self.variants.len() - 1;
        for (index, variant) in self.variants[..last].iter().enumerate() {
            if rest < variant.weight {
                return index;
            }
            rest -= variant.weight;
        }
        last
    }
}

/// A chosen variant that outlives the look at the snapshot. It holds the whole endpoint, so that the reaper sees it.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    endpoint: Arc<Endpoint>,
    index: usize,
}

impl Chosen {
    /// What [`Endpoint::choose`] chooses at `point`.
    pub(super) fn new(endpoint: &Arc<Endpoint>, point: f64) -> Self {
        Self { endpoint: Arc::clone(endpoint), index: endpoint.choose_index(point) }
    }

    /// The variant.
    pub(super) fn variant(&self) -> &ProductionVariant {
        &self.endpoint.variants[self.index]
    }
}

/// All endpoints by name: what one `ArcSwap` holds.
#[derive(Debug, Default, Clone)]
pub struct Endpoints(HashMap<String, Arc<Endpoint>>);

impl Endpoints {
    /// The endpoint of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Endpoint>> {
        self.0.get(name)
    }

    /// These endpoints with one put in or, with `None`, taken out; and the one that stood there.
    pub fn with(&self, name: &str, endpoint: Option<Arc<Endpoint>>) -> (Self, Option<Arc<Endpoint>>) {
        let mut next = self.0.clone();
        let previous = match endpoint {
            Some(endpoint) => next.insert(name.to_owned(), endpoint),
            None => next.remove(name),
        };
        (Self(next), previous)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::variant;
    use super::*;

    fn endpoint(weights: &[f64]) -> Endpoint {
        let variants = weights.iter().enumerate().map(|(index, &weight)| {
            let mut variant = variant(&index.to_string());
            variant.weight = weight;
            variant
        });
        Endpoint::new(variants.collect())
    }

    fn check(weights: &[f64], point: f64, chosen: &str) {
        assert_eq!(endpoint(weights).choose(point).name, chosen, "{weights:?} at {point}");
    }

    #[test]
    fn variants_are_chosen_by_weight() {
        check(&[1.0], 0.0, "0");
        check(&[1.0], 0.999, "0");
        check(&[1.0, 3.0], 0.2, "0");
        check(&[1.0, 3.0], 0.25, "1");
        check(&[0.0, 1.0], 0.0, "1");
        check(&[1.0, 0.0, 1.0], 0.5, "2");
        check(&[2.0, 1.0, 1.0], 0.74, "1");
        check(&[0.0], 0.5, "0");
    }

    #[test]
    fn putting_in_and_taking_out_leave_the_old_map_as_it_was() {
        let old = Endpoints::default();
        let (one, previous) = old.with("a", Some(Arc::new(endpoint(&[1.0]))));
        assert!(previous.is_none() && old.is_empty() && one.len() == 1);
        let (none, previous) = one.with("a", None);
        assert!(previous.is_some() && one.get("a").is_some() && none.get("a").is_none());
    }
}
