//! From the state of an endpoint to the snapshot that requests read: who takes part in the draws, with which share.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::deployment::Policy;
use super::deployment::traffic::{self, Arm};
use super::endpoint::{Fleet, Phase, Progress};
use super::provision::LoadedFleet;
use crate::serving::capture::CapturePlan;
use crate::serving::{Endpoint, Shadow, WeightError};

/// The arms of a moment, and the shadow beside them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table<'a> {
    arms: Vec<Arm<'a>>,
    /// The fleet whose shadow takes copies, and which settings go for the whole endpoint.
    leading: &'a Fleet,
}

/// What was published, to tell whether a table is another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Published {
    arms: Vec<(i64, String, f64, u32)>,
    shadow: Option<(i64, f64, u32)>,
    attribute: Option<String>,
}

impl<'a> Table<'a> {
    /// Of a fleet that serves alone.
    pub(super) fn alone(fleet: &'a Fleet) -> Self {
        Self { arms: traffic::alone(fleet), leading: fleet }
    }

    /// Of a deployment of `green` in `blue`'s place.
    pub(super) fn during(policy: &Policy, blue: &'a Fleet, green: &'a Fleet, progress: Progress) -> Self {
        let steps = traffic::steps(policy, green);
        let step = match progress.phase {
            Phase::Provision | Phase::Rollback => 0,
            Phase::Shift | Phase::Bake => progress.step,
            Phase::TerminationWait | Phase::Drain => steps,
        };
        let leading = if step >= steps { green } else { blue };
        Self { arms: traffic::arms(policy, blue, green, step), leading }
    }

    /// The configuration that goes for the whole endpoint.
    pub(super) fn config(&self) -> &'a Map<String, Value> {
        &self.leading.config.config
    }

    /// The fleets that take part.
    pub(super) fn fleets(&self) -> Vec<&'a Fleet> {
        let mut fleets = vec![self.leading];
        for arm in &self.arms {
            if fleets.iter().all(|fleet| fleet.id != arm.fleet.id) {
                fleets.push(arm.fleet);
            }
        }
        fleets
    }

    /// What tells it from other tables.
    pub(super) fn identity(&self, attribute: Option<&str>) -> Published {
        let arm = |arm: &Arm<'_>| (arm.fleet.id, arm.variant.name.clone(), arm.weight, arm.instances);
        let shadow = self.shadow().map(|shadow| {
            (self.leading.id, shadow.variant.desired_weight, shadow.variant.desired_instance_count)
        });
        Published {
            arms: self.arms.iter().map(arm).collect(),
            shadow,
            attribute: attribute.map(str::to_owned),
        }
    }

    /// The snapshot, over the fleets in memory; `None` when one that takes part is not there.
    ///
    /// # Errors
    /// When the weights are no shares.
    pub(super) fn endpoint(
        &self,
        loaded: &[LoadedFleet],
        attribute: Option<&str>,
        threads: u32,
        capture: Option<CapturePlan>,
    ) -> Option<Result<Endpoint, WeightError>> {
        let in_table = |arm: &Arm<'a>| {
            let fleet = loaded.iter().find(|loaded| loaded.id == arm.fleet.id)?;
            let desired = arm.variant.desired_instance_count;
            Some(fleet.variant(&arm.variant.name)?.arm(arm.weight, arm.instances, desired, threads))
        };
        let arms = self.arms.iter().map(in_table).collect::<Option<Vec<_>>>()?;
        let shadow = match self.shadow() {
            None => None,
            Some(shadow) => Some(Shadow::new(in_table(&shadow)?, shadow.weight)),
        };
        let endpoint = Endpoint::new(arms).map(|endpoint| {
            endpoint
                .with_shadow(shadow)
                .with_assignment_attribute(attribute.map(str::to_owned))
                .asynchronous(self.leading.is_asynchronous())
                .with_capture(capture.map(Arc::new))
        });
        Some(endpoint)
    }

    /// The leading fleet's shadow; its weight is the share of requests that it gets copies of.
    fn shadow(&self) -> Option<Arm<'a>> {
        let fleet = self.leading;
        let variant = fleet.variants.iter().find(|variant| variant.is_shadow)?;
        let production: f64 = fleet.production().map(|variant| variant.desired_weight).sum();
        let weight = variant.desired_weight / production;
        Some(Arm { fleet, variant, weight, instances: variant.desired_instance_count.max(1) })
    }
}

#[cfg(test)]
mod tests {
    use wire::Timestamp;

    use super::super::deployment::policy::{Routing, Size};
    use super::super::deployment::tests::fleet;
    use super::*;

    fn check(phase: Phase, step: u32, leading: &str, arms: usize) {
        let (blue, green) = (fleet("blue", &[("a", 1.0, 4)]), fleet("green", &[("a", 1.0, 4)]));
        let policy = Policy { routing: Routing::Canary(Size::CapacityPercent(25)), ..Policy::immediate() };
        let table = Table::during(&policy, &blue, &green, Progress { phase, step, since: Timestamp(0) });
        assert_eq!((&*table.leading.config.name, table.arms.len()), (leading, arms), "{phase:?} {step}");
        assert_eq!(table.fleets().len(), arms);
    }

    #[test]
    fn each_phase_has_its_fleets() {
        check(Phase::Provision, 0, "blue", 1);
        check(Phase::Shift, 1, "blue", 2);
        check(Phase::Bake, 1, "blue", 2);
        check(Phase::Bake, 2, "green", 1);
        check(Phase::TerminationWait, 2, "green", 1);
        check(Phase::Drain, 2, "green", 1);
        check(Phase::Rollback, 1, "blue", 1);
    }

    #[test]
    fn a_shadow_gets_its_weight_in_production_weights() {
        let mut with_shadow = fleet("blue", &[("a", 4.0, 1), ("s", 1.0, 0)]);
        with_shadow.variants[1].is_shadow = true;
        let table = Table::alone(&with_shadow);
        let shadow = table.shadow().expect("a shadow");
        assert_eq!((shadow.weight, shadow.instances, table.arms.len()), (0.25, 1, 1));
        let mut other = with_shadow.clone();
        other.variants[1].desired_weight = 2.0;
        assert_ne!(table.identity(None), Table::alone(&other).identity(None));
        assert_ne!(table.identity(None), table.identity(Some("user")));
    }
}
