//! Endpoints: the immutable snapshot that a request reads once.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::alias::{AliasTable, WeightError};
use super::assignment::{Arm, Assignment, attribute};
use super::capture::CapturePlan;
use super::shadow::Shadow;
use super::{Capacity, Invocation, LoadedModel, Models, ProductionVariant};
use crate::error::{Error, shortened};
use crate::metrics::VariantMetrics;

/// An endpoint's variants, those of all its fleets in one list, and how one of them is chosen; immutable.
#[derive(Debug)]
pub struct Endpoint {
    arms: Vec<ProductionVariant>,
    table: AliasTable,
    /// For each name, its arms.
    variants: Vec<Named>,
    assignment: Assignment,
    assignment_attribute: Option<String>,
    shadow: Option<Shadow>,
    is_asynchronous: bool,
    capture: Option<Arc<CapturePlan>>,
}

/// The arms of one name: where a TargetVariant goes.
#[derive(Debug)]
struct Named {
    name: Bytes,
    /// In the endpoint's order: the old fleet's before the new one's.
    arms: Vec<usize>,
    /// Among `arms`.
    table: AliasTable,
}

impl Endpoint {
    /// An endpoint of these variants. Where a name stands twice (a deployment is under way), the old fleet's comes first.
    ///
    /// # Errors
    /// When there is none or too many, or the weights are not shares with a sum above 0.
    pub fn new(arms: Vec<ProductionVariant>) -> Result<Self, WeightError> {
        let table = AliasTable::new(&arms.iter().map(|arm| arm.weight).collect::<Vec<_>>())?;
        let variants = named(&arms)?;
        arms.iter().for_each(ProductionVariant::tell_capacity);
        let arm = |&index: &usize| Arm { index, config: &arms[index].config, weight: arms[index].weight };
        let assignment = Assignment::new(
            variants.iter().map(|named| (&*named.name, named.arms.iter().map(arm).collect())),
        );
        Ok(Self {
            arms,
            table,
            variants,
            assignment,
            assignment_attribute: None,
            shadow: None,
            is_asynchronous: false,
            capture: None,
        })
    }

    /// An endpoint of one variant of one model, which takes everything.
    pub fn of_one(
        name: &'static str,
        model: Arc<LoadedModel>,
        metrics: Arc<VariantMetrics>,
        capacity: Arc<Capacity>,
    ) -> Self {
        let name = Bytes::from_static(name.as_bytes());
        let (config, models) = (Bytes::new(), Models::One(model));
        let variant =
            ProductionVariant { name, config, weight: 1.0, models, instances: 1, capacity, metrics };
        Self::new(vec![variant]).expect("one weight of 1 can be drawn by")
    }

    /// Copies a share of the requests to a shadow.
    #[must_use]
    pub fn with_shadow(mut self, shadow: Option<Shadow>) -> Self {
        shadow.iter().for_each(|shadow| shadow.variant().tell_capacity());
        self.shadow = shadow;
        self
    }

    /// Assigns by this attribute of CustomAttributes (`name=value,…`) where a request has no key of its own.
    #[must_use]
    pub fn with_assignment_attribute(mut self, name: Option<String>) -> Self {
        self.assignment_attribute = name;
        self
    }

    /// Takes requests through the asynchronous queue only.
    #[must_use]
    pub fn asynchronous(mut self, is_asynchronous: bool) -> Self {
        self.is_asynchronous = is_asynchronous;
        self
    }

    /// Captures a share of the requests and their answers.
    #[must_use]
    pub fn with_capture(mut self, plan: Option<Arc<CapturePlan>>) -> Self {
        self.capture = plan;
        self
    }

    /// What is captured of the request of this draw, if anything is.
    pub(super) fn capture(&self, draw: u64) -> Option<Arc<CapturePlan>> {
        self.capture.as_ref().filter(|plan| plan.samples(draw)).cloned()
    }

    /// Whether requests come through the asynchronous queue only.
    pub fn is_asynchronous(&self) -> bool {
        self.is_asynchronous
    }

    /// All variants of all fleets, without the shadow.
    pub fn arms(&self) -> &[ProductionVariant] {
        &self.arms
    }

    /// Who takes copies.
    pub fn shadow(&self) -> Option<&Shadow> {
        self.shadow.as_ref()
    }

    /// The arm at `draw`, which is uniform over all 64 bits: each has its weight's share.
    #[cfg(test)]
    pub fn choose(&self, draw: u64) -> &ProductionVariant {
        &self.arms[self.table.choose(draw)]
    }

    /// The index of the arm that takes `invocation`: that of its TargetVariant, else of its key, else of its draw.
    ///
    /// # Errors
    /// When no variant has the TargetVariant's name.
    #[inline]
    pub fn choose_for(&self, invocation: &Invocation<'_>) -> Result<usize, Error> {
        let is_drawn = invocation.target_variant.is_none() & invocation.assignment_key.is_none();
        if is_drawn & self.assignment_attribute.is_none() {
            return Ok(self.table.choose(invocation.point));
        }
        self.choose_by_name_or_key(invocation)
    }

    fn choose_by_name_or_key(&self, invocation: &Invocation<'_>) -> Result<usize, Error> {
        if let Some(target) = invocation.target_variant {
            let named = self.variants.iter().find(|named| named.name == target);
            let named = named.ok_or_else(|| Error::VariantNotFound(shortened(target)))?;
            return Ok(named.arms[named.table.choose(invocation.point)]);
        }
        let of_attribute = || attribute(invocation.custom_attributes?, self.assignment_attribute.as_deref()?);
        match invocation.assignment_key.or_else(of_attribute) {
            Some(key) => Ok(self.assignment.choose(invocation.endpoint, key)),
            None => Ok(self.table.choose(invocation.point)),
        }
    }
}

/// The arms by name, each name's with a table of its own: by weight, or by instances where all weights are 0.
fn named(arms: &[ProductionVariant]) -> Result<Vec<Named>, WeightError> {
    let mut groups: Vec<(Bytes, Vec<usize>)> = Vec::new();
    for (index, arm) in arms.iter().enumerate() {
        match groups.iter_mut().find(|(name, _)| *name == arm.name) {
            Some((_, group)) => group.push(index),
            None => groups.push((arm.name.clone(), vec![index])),
        }
    }
    let of_group = |(name, group): (Bytes, Vec<usize>)| {
        let by = |share: fn(&ProductionVariant) -> f64| {
            AliasTable::new(&group.iter().map(|&arm| share(&arms[arm])).collect::<Vec<_>>())
        };
        let table = by(|arm| arm.weight).or_else(|_| by(|arm| f64::from(arm.instances)));
        // Without any instance all are alike.
        let table = table.or_else(|_| by(|_| 1.0))?;
        Ok(Named { name, arms: group, table })
    };
    groups.into_iter().map(of_group).collect()
}

/// An arm that outlives the look at the snapshot. It holds the whole endpoint, so that the reaper sees it.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    endpoint: Arc<Endpoint>,
    /// Of an arm; `None` is the shadow.
    arm: Option<usize>,
}

impl Chosen {
    /// This arm of `endpoint`.
    pub(super) fn arm(endpoint: &Arc<Endpoint>, arm: usize) -> Self {
        Self { endpoint: Arc::clone(endpoint), arm: Some(arm) }
    }

    /// The shadow of `endpoint`, which has one.
    pub(super) fn shadow(endpoint: &Arc<Endpoint>) -> Self {
        Self { endpoint: Arc::clone(endpoint), arm: None }
    }

    /// The variant.
    pub(super) fn variant(&self) -> &ProductionVariant {
        match self.arm {
            Some(arm) => &self.endpoint.arms[arm],
            None => &self.endpoint.shadow.as_ref().expect("it was there when it was chosen").variant,
        }
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
    use std::time::Instant;

    use super::super::draw::draw;
    use super::super::model_server::tests::invocation;
    use super::super::session::tests::variant;
    use super::*;

    /// Arms as (name, fleet, weight, instances).
    fn endpoint(arms: &[(&str, &'static str, f64, u32)]) -> Endpoint {
        let arm = |&(name, config, weight, instances): &(&str, &'static str, f64, u32)| {
            let config = Bytes::from_static(config.as_bytes());
            ProductionVariant { config, weight, instances, ..variant(name) }
        };
        Endpoint::new(arms.iter().map(arm).collect()).unwrap()
    }

    /// How often each arm is chosen in ten thousand draws of a request that says `ask`.
    fn counts(endpoint: &Endpoint, ask: impl Fn(&mut Invocation<'_>)) -> Vec<u32> {
        let mut counts = vec![0; endpoint.arms().len()];
        for count in 0..10_000 {
            let mut invocation = Invocation { point: draw(7, count), ..invocation("e", Instant::now()) };
            ask(&mut invocation);
            counts[endpoint.choose_for(&invocation).unwrap()] += 1;
        }
        counts
    }

    fn is_near(found: u32, expected: u32) -> bool {
        found.abs_diff(expected) < 300
    }

    #[test]
    fn arms_of_all_fleets_are_drawn_by_their_weights() {
        let endpoint = endpoint(&[("a", "blue", 7.0, 1), ("b", "blue", 0.0, 1), ("a", "green", 3.0, 1)]);
        let counts = counts(&endpoint, |_| {});
        assert!(is_near(counts[0], 7000) && counts[1] == 0 && is_near(counts[2], 3000), "{counts:?}");
        assert_eq!(endpoint.choose(0).name, "a");
    }

    #[test]
    fn a_target_variant_wins_whatever_its_weight() {
        let endpoint = endpoint(&[
            ("a", "blue", 1.0, 1),
            ("b", "blue", 0.0, 3),
            ("a", "green", 3.0, 1),
            ("b", "green", 0.0, 1),
            ("c", "green", 0.0, 0),
        ]);
        let b = counts(&endpoint, |invocation| invocation.target_variant = Some("b"));
        assert!(is_near(b[1], 7500) && is_near(b[3], 2500), "by instances: {b:?}");
        let a = counts(&endpoint, |invocation| invocation.target_variant = Some("a"));
        assert!(is_near(a[0], 2500) && is_near(a[2], 7500), "by weight: {a:?}");
        let c = counts(&endpoint, |invocation| {
            invocation.target_variant = Some("c");
            invocation.assignment_key = Some("user");
        });
        assert_eq!(c, [0, 0, 0, 0, 10_000]);
        let unknown = Invocation { target_variant: Some("d"), ..invocation("e", Instant::now()) };
        let error = endpoint.choose_for(&unknown).expect_err("unknown");
        assert!(matches!(error, Error::VariantNotFound(name) if name == "d"));
    }

    #[test]
    fn a_key_beats_the_draw_and_comes_from_the_header_or_the_attribute() {
        let arms = [("a", "c", 1.0, 1), ("b", "c", 1.0, 1)];
        let plain = endpoint(&arms);
        let by_attribute = endpoint(&arms).with_assignment_attribute(Some("user".into()));
        let of_key = |key| {
            let counts = counts(&plain, |invocation| invocation.assignment_key = Some(key));
            counts.iter().position(|&count| count == 10_000).expect("all go to one")
        };
        let keys = ["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8"];
        let chosen = keys.map(of_key);
        assert!(chosen.contains(&0) && chosen.contains(&1), "{chosen:?}");
        for (key, chosen) in keys.into_iter().zip(chosen) {
            let attributes = format!("plan=x,user={key}");
            let mut asked = Invocation { point: 1, ..invocation("e", Instant::now()) };
            asked.custom_attributes = Some(&attributes);
            assert_eq!(by_attribute.choose_for(&asked).unwrap(), chosen);
            asked.assignment_key = Some("u1");
            assert_eq!(by_attribute.choose_for(&asked).unwrap(), of_key("u1"), "the header goes first");
        }
        let without = counts(&by_attribute, |invocation| invocation.custom_attributes = Some("plan=x"));
        assert!(is_near(without[0], 5000), "without a key it is drawn: {without:?}");
        let unused = counts(&plain, |invocation| invocation.custom_attributes = Some("user=u1"));
        assert!(is_near(unused[0], 5000), "{unused:?}");
    }

    #[test]
    fn weights_that_are_none_are_refused() {
        let arm = |weight| ProductionVariant { weight, ..variant("a") };
        for weights in [vec![], vec![0.0], vec![f64::NAN, 1.0], vec![-1.0], vec![f64::INFINITY]] {
            Endpoint::new(weights.iter().copied().map(arm).collect()).expect_err("no shares");
        }
    }

    #[test]
    fn putting_in_and_taking_out_leave_the_old_map_as_it_was() {
        let old = Endpoints::default();
        let endpoint = endpoint(&[("a", "c", 1.0, 1)]);
        let (one, previous) = old.with("a", Some(Arc::new(endpoint)));
        assert!(previous.is_none() && old.is_empty() && one.len() == 1);
        let (none, previous) = one.with("a", None);
        assert!(previous.is_some() && one.get("a").is_some() && none.get("a").is_none());
    }
}
