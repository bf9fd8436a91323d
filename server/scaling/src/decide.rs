//! What several policies of one target come to: out if any asks for it, in only if all agree, and always the largest.

use wire::Timestamp;

use crate::step::StepScaling;
use crate::target::{Cooldowns, Limits, Suspended};
use crate::target_tracking::Ask;

/// What is scaled, as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its limits.
    pub limits: Limits,
    /// What stands still.
    pub suspended: Suspended,
    /// The capacity that was asked for last: units may still be on their way.
    pub requested: u32,
    /// What the last actions forbid.
    pub cooldowns: Cooldowns,
}

/// What one policy asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wish<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// Of which kind.
    pub kind: WishKind,
    /// Seconds after a scale-out by it.
    pub out_cooldown_seconds: u32,
    /// Seconds after a scale-in by it.
    pub in_cooldown_seconds: u32,
}

/// The two kinds of policies differ in who must agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WishKind {
    /// Target tracking; `scales_in` as its configuration says.
    Tracking {
        /// What it asks for.
        ask: Ask,
        /// Whether it has a say in scaling in.
        scales_in: bool,
    },
    /// Step scaling, whose alarm went off.
    Step {
        /// The capacity that it asks for.
        capacity: u32,
    },
}

/// An action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// The capacity to ask for.
    pub capacity: u32,
    /// The policy whose wish it is; `None` when the limits decide.
    pub policy: Option<&'a str>,
    /// Seconds to let it show.
    pub cooldown_seconds: u32,
}

impl Target {
    /// The action that the wishes come to at `now`, if any. The limits come first: what is outside of them is corrected
    /// at once, whatever cools down.
    pub fn decide<'a>(&self, wishes: &[Wish<'a>], now: Timestamp) -> Option<Action<'a>> {
        let corrected = self.limits.clamp(self.requested);
        if corrected != self.requested {
            return Some(Action { capacity: corrected, policy: None, cooldown_seconds: 0 });
        }
        self.out(wishes).or_else(|| self.scale_in(wishes, now))
    }

    /// The capacity that a step is added to: while a scale-out cools down, what it added counts as part of the next.
    pub fn step_base(&self, now: Timestamp) -> u32 {
        self.cooldowns.out_base(now).unwrap_or(self.requested)
    }

    /// What a step policy whose metric is `distance` from its alarm's threshold wishes for at `now`.
    pub fn step<'a>(
        &self,
        policy: &'a str,
        step: &StepScaling,
        distance: f64,
        now: Timestamp,
    ) -> Option<Wish<'a>> {
        let from_base = step.capacity_for(distance, self.step_base(now), self.limits)?;
        // A step down counts from what there is, not from before the last scale-out.
        let from_now = step.capacity_for(distance, self.requested, self.limits)?;
        let capacity = if from_now < self.requested { from_now } else { from_base.max(self.requested) };
        let cooldown_seconds = step.cooldown_seconds();
        Some(Wish {
            policy,
            kind: WishKind::Step { capacity },
            out_cooldown_seconds: cooldown_seconds,
            in_cooldown_seconds: cooldown_seconds,
        })
    }

    fn out<'a>(&self, wishes: &[Wish<'a>]) -> Option<Action<'a>> {
        if self.suspended.dynamic_scaling_out_suspended {
            return None;
        }
        let out = |wish: &Wish<'a>| match wish.kind {
            WishKind::Tracking { ask: Ask::Out(capacity), .. } | WishKind::Step { capacity } => {
                let cooldown_seconds = wish.out_cooldown_seconds;
                Some(Action { capacity, policy: Some(wish.policy), cooldown_seconds })
            }
            WishKind::Tracking { .. } => None,
        };
        let largest = wishes.iter().filter_map(out).max_by_key(|action| action.capacity)?;
        (largest.capacity > self.requested).then_some(largest)
    }

    fn scale_in<'a>(&self, wishes: &[Wish<'a>], now: Timestamp) -> Option<Action<'a>> {
        if self.suspended.dynamic_scaling_in_suspended || self.cooldowns.forbids_in(now) {
            return None;
        }
        let mut largest: Option<Action<'a>> = None;
        for wish in wishes {
            let capacity = match wish.kind {
                WishKind::Tracking { scales_in: false, .. } => continue,
                WishKind::Tracking { ask: Ask::In(capacity), .. } => capacity,
                // One that does not agree is enough.
                WishKind::Tracking { .. } => return None,
                WishKind::Step { capacity } => capacity,
            };
            if largest.is_none_or(|action| capacity > action.capacity) {
                let cooldown_seconds = wish.in_cooldown_seconds;
                largest = Some(Action { capacity, policy: Some(wish.policy), cooldown_seconds });
            }
        }
        largest.filter(|action| action.capacity < self.requested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{AdjustmentType, Step};

    fn target(requested: u32) -> Target {
        Target {
            limits: Limits { min: 1, max: 20 },
            suspended: Suspended::default(),
            requested,
            cooldowns: Cooldowns::default(),
        }
    }

    fn wish(policy: &str, kind: WishKind) -> Wish<'_> {
        Wish { policy, kind, out_cooldown_seconds: 60, in_cooldown_seconds: 120 }
    }

    fn tracking(policy: &str, ask: Ask) -> Wish<'_> {
        wish(policy, WishKind::Tracking { ask, scales_in: true })
    }

    fn check(target: Target, wishes: &[Wish<'_>], expected: Option<(u32, Option<&str>, u32)>) {
        let found = target.decide(wishes, Timestamp(0));
        let found = found.map(|action| (action.capacity, action.policy, action.cooldown_seconds));
        assert_eq!(found, expected, "{wishes:?}");
    }

    #[test]
    fn the_largest_wins_out_and_all_must_agree_in() {
        let (a, b) = (tracking("a", Ask::Out(6)), tracking("b", Ask::Out(9)));
        check(target(4), &[a, b], Some((9, Some("b"), 60)));
        check(target(4), &[a, tracking("b", Ask::In(2))], Some((6, Some("a"), 60)));
        check(target(9), &[a, tracking("b", Ask::In(2))], None);
        check(target(9), &[tracking("a", Ask::Stay), tracking("b", Ask::In(2))], None);
        let both = [tracking("a", Ask::In(5)), tracking("b", Ask::In(2))];
        check(target(9), &both, Some((5, Some("a"), 120)));
        let no_say = wish("a", WishKind::Tracking { ask: Ask::Stay, scales_in: false });
        check(target(9), &[no_say, tracking("b", Ask::In(2))], Some((2, Some("b"), 120)));
        check(target(9), &[], None);
    }

    #[test]
    fn steps_join_in() {
        let step = |capacity| wish("s", WishKind::Step { capacity });
        check(target(4), &[tracking("a", Ask::Out(6)), step(7)], Some((7, Some("s"), 60)));
        check(target(4), &[step(2)], Some((2, Some("s"), 120)));
        check(target(4), &[step(2), tracking("a", Ask::Stay)], None);
        check(target(4), &[step(4)], None);
    }

    #[test]
    fn limits_come_first() {
        check(target(0), &[], Some((1, None, 0)));
        check(target(30), &[tracking("a", Ask::Out(20))], Some((20, None, 0)));
        let mut cooling = target(0);
        cooling.cooldowns.scaled_in(Timestamp(0), 300);
        check(cooling, &[], Some((1, None, 0)));
    }

    #[test]
    fn cooldowns_and_suspensions() {
        let mut cooling = target(9);
        cooling.cooldowns.scaled_in(Timestamp(0), 300);
        check(cooling, &[tracking("a", Ask::In(5))], None);
        check(cooling, &[tracking("a", Ask::Out(12))], Some((12, Some("a"), 60)));
        let mut still = target(9);
        still.suspended.dynamic_scaling_out_suspended = true;
        check(still, &[tracking("a", Ask::Out(12))], None);
        still.suspended.dynamic_scaling_in_suspended = true;
        check(still, &[tracking("a", Ask::In(5))], None);
    }

    #[test]
    fn a_cooling_scale_out_counts_as_part_of_the_next_step() {
        let step = |lower: f64, upper, scaling_adjustment| Step {
            metric_interval_lower_bound: Some(lower),
            metric_interval_upper_bound: upper,
            scaling_adjustment,
        };
        let policy = StepScaling {
            adjustment_type: AdjustmentType::ChangeInCapacity,
            step_adjustments: vec![step(0.0, Some(10.0), 2), step(10.0, None, 3)],
            min_adjustment_magnitude: None,
            cooldown: Some(60),
            metric_aggregation_type: None,
        };
        let mut target = target(12);
        target.cooldowns.scaled_out(Timestamp(0), 10, 60);
        let capacity = |distance, now| match target.step("s", &policy, distance, Timestamp(now)) {
            Some(Wish { kind: WishKind::Step { capacity }, .. }) => capacity,
            other => panic!("{other:?}"),
        };
        assert_eq!(capacity(5.0, 30_000), 12, "the same step again adds nothing");
        assert_eq!(capacity(15.0, 30_000), 13, "a larger one adds the difference");
        assert_eq!(capacity(5.0, 60_000), 14, "after the cooldown it counts from there");
        assert_eq!(target.step("s", &policy, -1.0, Timestamp(0)), None);
    }
}
