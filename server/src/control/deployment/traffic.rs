//! How many instances of either fleet are active at each step, and which share of the draws each arm gets.
//!
//! A step switches instances of the new (green) fleet on, variant by variant, and the same portion of the old (blue)
//! one off. Traffic follows: the variant is drawn first, by the weights of the fleets, then the fleet, by active
//! instances. Until the last step at least one instance of the old fleet stays on, so that a fleet of one is not
//! replaced by its canary.

use super::policy::{Policy, Routing};
use crate::control::endpoint::{Fleet, VariantState};

/// A variant of one of the fleets, as it stands in the table of draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// Which of its variants.
    pub variant: &'a VariantState,
    /// Its share of the draws.
    pub weight: f64,
    /// Its active instances.
    pub instances: u32,
}

/// How many steps bring all of `fleet`'s instances into service.
pub fn steps(policy: &Policy, fleet: &Fleet) -> u32 {
    match policy.routing {
        Routing::AllAtOnce => 1,
        Routing::Canary(_) => 2,
        Routing::Linear(size) | Routing::Rolling(size) => {
            let of = |variant: &VariantState| count(variant).div_ceil(size.of(count(variant)));
            fleet.production().map(of).max().unwrap_or(1).max(1)
        }
    }
}

/// The active instances of a variant of the new fleet at `step` of `steps`.
pub fn active(policy: &Policy, count: u32, step: u32, steps: u32) -> u32 {
    if step >= steps {
        return count;
    }
    match policy.routing {
        Routing::AllAtOnce => 0,
        Routing::Canary(size) | Routing::Linear(size) | Routing::Rolling(size) => {
            size.of(count).saturating_mul(step).min(count)
        }
    }
}

/// The arms of a fleet that serves alone.
pub fn alone(fleet: &Fleet) -> Vec<Arm<'_>> {
    let arm = |variant| Arm { fleet, variant, weight: weight(variant), instances: count(variant) };
    fleet.production().map(arm).collect()
}

/// The arms at `step` of a deployment of `green` in `blue`'s place.
pub fn arms<'a>(policy: &Policy, blue: &'a Fleet, green: &'a Fleet, step: u32) -> Vec<Arm<'a>> {
    let steps = steps(policy, green);
    if step >= steps {
        return alone(green);
    }
    if step == 0 {
        return alone(blue);
    }
    let whole = Mix::of_fleets(policy, blue, green, step, steps);
    let (of_blue, of_green) = (Shares::of(blue), Shares::of(green));
    let mut arms = Vec::new();
    for variant in blue.production() {
        let mix = match green.variant(&variant.name) {
            Some(twin) => Mix::of(policy, count(variant), count(twin), step, steps),
            None => whole,
        };
        let instances = still_on(count(variant), mix.green_portion);
        let weight = of_blue.of_variant(variant) * (1.0 - mix.green_share());
        arms.push(Arm { fleet: blue, variant, weight, instances });
    }
    for variant in green.production() {
        let mix = match blue.variant(&variant.name) {
            Some(twin) => Mix::of(policy, count(twin), count(variant), step, steps),
            None => whole,
        };
        let instances = active(policy, count(variant), step, steps);
        let weight = of_green.of_variant(variant) * mix.green_share();
        arms.push(Arm { fleet: green, variant, weight, instances });
    }
    arms
}

/// How far a variant that both fleets have (or the fleets as a whole, for variants that only one has) has moved.
#[derive(Clone, Copy)]
struct Mix {
    blue_on: u32,
    green_on: u32,
    green_portion: f64,
}

impl Mix {
    fn of(policy: &Policy, blue: u32, green: u32, step: u32, steps: u32) -> Self {
        let green_on = active(policy, green, step, steps);
        Self::at(blue, green_on, green)
    }

    fn of_fleets(policy: &Policy, blue: &Fleet, green: &Fleet, step: u32, steps: u32) -> Self {
        let on = green.production().map(|variant| active(policy, count(variant), step, steps)).sum();
        Self::at(blue.production().map(count).sum(), on, green.production().map(count).sum())
    }

    fn at(blue: u32, green_on: u32, green: u32) -> Self {
        let green_portion = f64::from(green_on) / f64::from(green.max(1));
        Self { blue_on: still_on(blue, green_portion), green_on, green_portion }
    }

    fn green_share(self) -> f64 {
        f64::from(self.green_on) / f64::from(self.green_on + self.blue_on)
    }
}

/// A fleet's weights as shares of one, so that fleets with weights of other sizes can be mixed.
struct Shares(f64);

impl Shares {
    fn of(fleet: &Fleet) -> Self {
        Self(fleet.production().map(weight).sum())
    }

    fn of_variant(&self, variant: &VariantState) -> f64 {
        weight(variant) / self.0
    }
}

/// The instances of an old variant that stay on beside this portion of its successor.
fn still_on(count: u32, portion: f64) -> u32 {
    let off = (f64::from(count) * portion).floor() as u32;
    count.saturating_sub(off).max(1)
}

/// The weight that a variant has when its fleet's change is done.
fn weight(variant: &VariantState) -> f64 {
    variant.desired_weight
}

/// A serverless variant counts as one place to answer from, an asynchronous one scaled to none as well.
fn count(variant: &VariantState) -> u32 {
    variant.desired_instance_count.max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::policy::Size;
    use super::super::tests::fleet;
    use super::*;

    fn policy(routing: Routing) -> Policy {
        Policy { routing, ..Policy::immediate() }
    }

    /// `(fleet, variant, share in percent, instances)` of each arm at `step`.
    fn check(
        routing: Routing,
        blue: &[(&str, f64, u32)],
        green: &[(&str, f64, u32)],
        step: u32,
        expected: &[(&str, &str, i64, u32)],
    ) {
        let (blue, green) = (fleet("blue", blue), fleet("green", green));
        let arms = arms(&policy(routing), &blue, &green, step);
        let total: f64 = arms.iter().map(|arm| arm.weight).sum();
        let percent = |weight: f64| (weight / total * 100.0).round() as i64;
        let found: Vec<_> = arms
            .iter()
            .map(|arm| (&*arm.fleet.config.name, &*arm.variant.name, percent(arm.weight), arm.instances))
            .collect();
        assert_eq!(found, expected, "{routing:?} at {step}");
    }

    const PERCENT_30: Size = Size::CapacityPercent(30);

    #[test]
    fn a_canary_gets_its_share_of_the_traffic() {
        let (blue, green) = ([("a", 1.0, 10)], [("a", 1.0, 10)]);
        let canary = Routing::Canary(PERCENT_30);
        check(canary, &blue, &green, 0, &[("blue", "a", 100, 10)]);
        check(canary, &blue, &green, 1, &[("blue", "a", 70, 7), ("green", "a", 30, 3)]);
        check(canary, &blue, &green, 2, &[("green", "a", 100, 10)]);
    }

    #[test]
    fn sizes_are_rounded_up_and_one_old_instance_stays_until_the_end() {
        let canary = Routing::Canary(Size::CapacityPercent(10));
        check(canary, &[("a", 1.0, 3)], &[("a", 1.0, 3)], 1, &[("blue", "a", 67, 2), ("green", "a", 33, 1)]);
        check(canary, &[("a", 1.0, 1)], &[("a", 1.0, 1)], 1, &[("blue", "a", 50, 1), ("green", "a", 50, 1)]);
        check(canary, &[("a", 1.0, 4)], &[("a", 1.0, 1)], 1, &[("blue", "a", 50, 1), ("green", "a", 50, 1)]);
    }

    #[test]
    fn the_variant_is_drawn_first_whatever_the_size_of_the_weights() {
        let canary = Routing::Canary(Size::CapacityPercent(50));
        let blue = [("a", 9.0, 2), ("b", 1.0, 2)];
        let green = [("a", 50.0, 2), ("b", 50.0, 2)];
        let expected =
            [("blue", "a", 45, 1), ("blue", "b", 5, 1), ("green", "a", 25, 1), ("green", "b", 25, 1)];
        check(canary, &blue, &green, 1, &expected);
    }

    #[test]
    fn variants_of_one_fleet_only_follow_the_fleets() {
        let canary = Routing::Canary(Size::CapacityPercent(50));
        let expected = [("blue", "a", 50, 1), ("green", "b", 50, 1)];
        check(canary, &[("a", 1.0, 2)], &[("b", 3.0, 2)], 1, &expected);
        check(canary, &[("a", 1.0, 2)], &[("b", 3.0, 2)], 2, &[("green", "b", 100, 2)]);
    }

    #[test]
    fn a_weight_of_zero_stays_zero_and_keeps_its_instances() {
        let canary = Routing::Canary(Size::CapacityPercent(50));
        let (blue, green) = ([("a", 1.0, 2), ("b", 0.0, 2)], [("a", 1.0, 2), ("b", 0.0, 2)]);
        let expected =
            [("blue", "a", 50, 1), ("blue", "b", 0, 1), ("green", "a", 50, 1), ("green", "b", 0, 1)];
        check(canary, &blue, &green, 1, &expected);
    }

    #[test]
    fn steps_are_as_many_as_the_largest_variant_needs() {
        for (routing, counts, expected) in [
            (Routing::AllAtOnce, vec![7], 1),
            (Routing::Canary(PERCENT_30), vec![7], 2),
            (Routing::Linear(PERCENT_30), vec![10], 4),
            (Routing::Linear(Size::CapacityPercent(50)), vec![1], 1),
            (Routing::Linear(Size::CapacityPercent(50)), vec![3], 2),
            (Routing::Rolling(Size::CapacityPercent(5)), vec![100, 1], 20),
            (Routing::Rolling(Size::InstanceCount(2)), vec![5, 4], 3),
            (Routing::Rolling(Size::InstanceCount(2)), vec![0], 1),
        ] {
            let names: Vec<_> = (0..counts.len()).map(|index| index.to_string()).collect();
            let variants: Vec<_> =
                names.iter().zip(&counts).map(|(name, count)| (&**name, 1.0, *count)).collect();
            assert_eq!(
                steps(&policy(routing), &fleet("green", &variants)),
                expected,
                "{routing:?} {counts:?}"
            );
        }
    }

    #[test]
    fn every_step_moves_traffic_forward_and_the_last_moves_all() {
        for percent in 5..=50 {
            for count in 1..=20 {
                let rolling = policy(Routing::Rolling(Size::CapacityPercent(percent)));
                let (blue, green) = (fleet("blue", &[("a", 1.0, 7)]), fleet("green", &[("a", 1.0, count)]));
                let steps = steps(&rolling, &green);
                let share = |step| -> f64 {
                    let arms = arms(&rolling, &blue, &green, step);
                    let total: f64 = arms.iter().map(|arm| arm.weight).sum();
                    arms.iter().filter(|arm| arm.fleet.id == green.id).map(|arm| arm.weight).sum::<f64>()
                        / total
                };
                for step in 0..steps {
                    assert!(share(step) < share(step + 1), "{percent} % of {count} at {step}");
                }
                assert_eq!((share(0), share(steps)), (0.0, 1.0));
            }
        }
    }

    #[test]
    fn shadows_are_no_arms() {
        let mut with_shadow = fleet("blue", &[("a", 1.0, 1), ("s", 1.0, 1)]);
        with_shadow.variants[1].is_shadow = true;
        assert_eq!(alone(&with_shadow).len(), 1);
        assert!(json!(with_shadow.variants[1]).is_object());
    }
}
