//! What is scaled: its limits, how many units were in service when, and what the last actions forbid for a while.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wire::Timestamp;

/// Changes of capacity that are remembered. Reason: a policy looks back 17 minutes, and nothing acts more often than once
/// in ten seconds outside of bursts; what is older than the oldest counts as it.
const CHANGES_MAX: usize = 128;

/// `MinCapacity` and `MaxCapacity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Never fewer.
    pub min: u32,
    /// Never more.
    pub max: u32,
}

impl Limits {
    /// The nearest allowed capacity.
    pub fn clamp(self, capacity: u32) -> u32 {
        capacity.min(self.max).max(self.min)
    }

    /// The nearest allowed capacity to what a formula asks for; the limits decide about the absurd.
    pub fn clamp_f64(self, capacity: f64) -> u32 {
        // Saturating: below zero is zero, beyond the type is its end.
        self.clamp(capacity as u32)
    }
}

/// `SuspendedState`: which kinds of scaling stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Suspended {
    /// Policies do not scale in.
    pub dynamic_scaling_in_suspended: bool,
    /// Policies do not scale out.
    pub dynamic_scaling_out_suspended: bool,
    /// Scheduled actions do not act.
    pub scheduled_scaling_suspended: bool,
}

/// How many units were in service, since when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timeline {
    changes: VecDeque<(Timestamp, u32)>,
}

impl Timeline {
    /// With `units` in service since ever.
    pub fn new(units: u32) -> Self {
        Self { changes: VecDeque::from([(Timestamp(i64::MIN), units)]) }
    }

    /// Takes note of what is in service at `now`; says whether that is news.
    pub fn note(&mut self, now: Timestamp, units: u32) -> bool {
        if self.changes.back().is_some_and(|(_, last)| *last == units) {
            return false;
        }
        let since = if self.changes.is_empty() { Timestamp(i64::MIN) } else { now };
        self.changes.push_back((since, units));
        if self.changes.len() > CHANGES_MAX {
            self.changes.pop_front();
        }
        true
    }

    /// What is in service by the last note.
    pub fn units(&self) -> u32 {
        self.changes.back().map_or(0, |(_, units)| *units)
    }

    /// The number of units that a per-unit metric of the time from `start` to `end` was divided by: the harmonic mean over
    /// time, since steady work divided by `a` units for a while and by `b` units after that gives the mean of the
    /// quotients. Times without any unit measure nothing and are left out; without any at all it is 1.
    pub fn units_between(&self, start: Timestamp, end: Timestamp) -> f64 {
        let (mut length, mut quotients, mut units_seen) = (0.0, 0.0, None);
        for (index, (since, units)) in self.changes.iter().enumerate() {
            let until = self.changes.get(index + 1).map_or(end, |(next, _)| *next);
            let from = if index == 0 { start } else { (*since).max(start) };
            let overlap = until.min(end).0.saturating_sub(from.0);
            if overlap > 0 && *units > 0 {
                length += overlap as f64;
                quotients += overlap as f64 / f64::from(*units);
                // One number throughout stays exact.
                let is_same = units_seen.is_none_or(|seen| seen == Some(*units));
                units_seen = Some(is_same.then_some(*units));
            }
        }
        match units_seen {
            None => 1.0,
            Some(Some(units)) => f64::from(units),
            Some(None) => length / quotients,
        }
    }
}

/// What the last actions forbid for a while. A scale-out counts the capacity that it added as there already; a scale-in
/// forbids the next one; a scale-out ends that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cooldowns {
    out: Option<OutCooldown>,
    in_until: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct OutCooldown {
    until: Timestamp,
    /// The capacity before the first action of the cooldown.
    from: u32,
}

impl Cooldowns {
    /// After a scale-out at `now` from a capacity of `from`.
    pub fn scaled_out(&mut self, now: Timestamp, from: u32, cooldown_seconds: u32) {
        let from = self.out_base(now).map_or(from, |base| base.min(from));
        self.out = Some(OutCooldown { until: later(now, cooldown_seconds), from });
        self.in_until = None;
    }

    /// After a scale-in at `now`.
    pub fn scaled_in(&mut self, now: Timestamp, cooldown_seconds: u32) {
        self.out = None;
        self.in_until = Some(later(now, cooldown_seconds));
    }

    /// While a scale-out cools down: the capacity before it.
    pub fn out_base(&self, now: Timestamp) -> Option<u32> {
        self.out.filter(|out| now < out.until).map(|out| out.from)
    }

    /// Whether a scale-in must wait.
    pub fn forbids_in(&self, now: Timestamp) -> bool {
        self.in_until.is_some_and(|until| now < until)
    }
}

fn later(now: Timestamp, seconds: u32) -> Timestamp {
    now.plus_millis(i64::from(seconds) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn limits_win() {
        let limits = Limits { min: 2, max: 5 };
        assert_eq!([0, 3, 9].map(|n| limits.clamp(n)), [2, 3, 5]);
        assert_eq!([-1.0, 4.0, 1e300, f64::NAN].map(|n| limits.clamp_f64(n)), [2, 4, 5, 2]);
    }

    #[test]
    fn a_period_of_two_capacities_is_weighed() {
        let mut timeline = Timeline::new(4);
        assert!(!timeline.note(Timestamp(5), 4));
        assert!(timeline.note(Timestamp(MINUTE + MINUTE / 2), 12));
        let between = |start, end| timeline.units_between(Timestamp(start), Timestamp(end));
        assert_eq!(between(0, MINUTE), 4.0);
        assert_eq!(between(2 * MINUTE, 3 * MINUTE), 12.0);
        // Half a minute by 4 and half by 12: 840 a minute are 210 / 2 + 70 / 2 = 140 each, and 140 × 6 = 840.
        assert!((between(MINUTE, 2 * MINUTE) - 6.0).abs() < 1e-12);
        assert_eq!(timeline.units(), 12);
    }

    #[test]
    fn no_units_measure_nothing() {
        let mut timeline = Timeline::new(0);
        assert_eq!(timeline.units_between(Timestamp(0), Timestamp(MINUTE)), 1.0);
        timeline.note(Timestamp(MINUTE / 2), 3);
        assert_eq!(timeline.units_between(Timestamp(0), Timestamp(MINUTE)), 3.0);
        assert_eq!(Timeline::default().units_between(Timestamp(0), Timestamp(MINUTE)), 1.0);
    }

    #[test]
    fn the_timeline_is_bounded() {
        let mut timeline = Timeline::default();
        for n in 0..1000 {
            timeline.note(Timestamp(i64::from(n)), n + 1);
        }
        assert_eq!(timeline.changes.len(), CHANGES_MAX);
        assert_eq!(timeline.units(), 1000);
        assert_eq!(timeline.units_between(Timestamp(0), Timestamp(1)), 1000.0 - CHANGES_MAX as f64 + 1.0);
    }

    #[test]
    fn a_scale_out_ends_the_cooldown_of_a_scale_in() {
        let mut cooldowns = Cooldowns::default();
        assert!(!cooldowns.forbids_in(Timestamp(0)));
        cooldowns.scaled_in(Timestamp(0), 300);
        assert!(cooldowns.forbids_in(Timestamp(299_999)) && !cooldowns.forbids_in(Timestamp(300_000)));
        cooldowns.scaled_out(Timestamp(1000), 4, 60);
        assert!(!cooldowns.forbids_in(Timestamp(1001)));
        assert_eq!(cooldowns.out_base(Timestamp(60_999)), Some(4));
        // A second one counts from before the first.
        cooldowns.scaled_out(Timestamp(31_000), 6, 60);
        assert_eq!(cooldowns.out_base(Timestamp(90_999)), Some(4));
        assert_eq!(cooldowns.out_base(Timestamp(91_000)), None);
    }
}
