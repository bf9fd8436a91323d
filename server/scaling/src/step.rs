//! Step scaling: the further a metric is beyond an alarm's threshold, the larger the step.

use serde::{Deserialize, Serialize};

use crate::target::Limits;
use crate::target_tracking::COOLDOWN_SECONDS;

/// Steps of one policy. Reason: the service's own quota.
const STEPS_MAX: usize = 20;

/// `AdjustmentType`: what a step's number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdjustmentType {
    /// Units more or fewer.
    ChangeInCapacity,
    /// A percentage of the capacity more or fewer.
    PercentChangeInCapacity,
    /// This many units.
    ExactCapacity,
}

/// `MetricAggregationType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Aggregation {
    /// The mean.
    #[default]
    Average,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
}

/// `StepAdjustment`: bounds are distances from the alarm's threshold; an absent one is infinite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Step {
    /// Where it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_interval_lower_bound: Option<f64>,
    /// Where it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_interval_upper_bound: Option<f64>,
    /// How much.
    pub scaling_adjustment: i64,
}

impl Step {
    fn bounds(&self) -> (f64, f64) {
        let lower = self.metric_interval_lower_bound.unwrap_or(f64::NEG_INFINITY);
        (lower, self.metric_interval_upper_bound.unwrap_or(f64::INFINITY))
    }

    /// Above the threshold a step has its lower bound, below it its upper one.
    fn holds(&self, distance: f64) -> bool {
        let (lower, upper) = self.bounds();
        if distance >= 0.0 {
            lower <= distance && distance < upper
        } else {
            lower < distance && distance <= upper
        }
    }
}

/// `StepScalingPolicyConfiguration`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StepScaling {
    /// What the numbers mean.
    pub adjustment_type: AdjustmentType,
    /// The steps.
    pub step_adjustments: Vec<Step>,
    /// The least change of a percentage, in units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_adjustment_magnitude: Option<u32>,
    /// Seconds after an action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<u32>,
    /// How the metric's values become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_aggregation_type: Option<Aggregation>,
}

impl StepScaling {
    /// Seconds after an action.
    pub fn cooldown_seconds(&self) -> u32 {
        self.cooldown.unwrap_or(COOLDOWN_SECONDS)
    }

    /// The capacity that a metric this far from the threshold asks for, from a capacity of `capacity`; `None` when no step
    /// is meant for it.
    pub fn capacity_for(&self, distance: f64, capacity: u32, limits: Limits) -> Option<u32> {
        let step = self.step_adjustments.iter().find(|step| step.holds(distance))?;
        let adjustment = step.scaling_adjustment as f64;
        let now = f64::from(capacity);
        let wanted = match self.adjustment_type {
            AdjustmentType::ChangeInCapacity => now + adjustment,
            AdjustmentType::ExactCapacity => adjustment,
            AdjustmentType::PercentChangeInCapacity => now + self.percent_of(now, adjustment),
        };
        Some(limits.clamp_f64(wanted))
    }

    /// Whole units of a percentage: at least one, else toward zero, and no less than the least magnitude.
    fn percent_of(&self, capacity: f64, percent: f64) -> f64 {
        let units = capacity * percent / 100.0;
        if units == 0.0 && percent == 0.0 {
            return 0.0;
        }
        let whole = if units.abs() < 1.0 { percent.signum() } else { units.trunc() };
        let least = f64::from(self.min_adjustment_magnitude.unwrap_or(0));
        whole.signum() * whole.abs().max(least)
    }

    /// Holds the steps to what they must be: none empty, no gap, no overlap, at most one open at each end.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), StepError> {
        let mut bounds: Vec<(f64, f64)> = self.step_adjustments.iter().map(Step::bounds).collect();
        if bounds.is_empty() || bounds.len() > STEPS_MAX {
            return Err(StepError::Count(bounds.len()));
        }
        for &(lower, upper) in &bounds {
            // NaN is refused too.
            if !matches!(lower.partial_cmp(&upper), Some(std::cmp::Ordering::Less)) {
                return Err(StepError::Empty { lower, upper });
            }
        }
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        for pair in bounds.windows(2) {
            let (end, start) = (pair[0].1, pair[1].0);
            if end > start {
                return Err(StepError::Overlap { start, end });
            }
            if end < start {
                return Err(StepError::Gap { end, start });
            }
        }
        if self.min_adjustment_magnitude.is_some()
            && self.adjustment_type != AdjustmentType::PercentChangeInCapacity
        {
            return Err(StepError::Magnitude);
        }
        self.validate_ends(bounds[0].0, bounds[bounds.len() - 1].1)
    }

    /// A metric can be arbitrarily far beyond the threshold, so steps that begin at it must not end.
    fn validate_ends(&self, first: f64, last: f64) -> Result<(), StepError> {
        if first < 0.0 && first.is_finite() {
            return Err(StepError::Ends { bound: "MetricIntervalLowerBound", value: first });
        }
        if last > 0.0 && last.is_finite() {
            return Err(StepError::Ends { bound: "MetricIntervalUpperBound", value: last });
        }
        Ok(())
    }
}

/// Why steps are none.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// None or too many.
    #[error("StepAdjustments: expected 1 to {STEPS_MAX} steps, found {0}")]
    Count(usize),
    /// A step without room.
    #[error("StepAdjustments: expected a lower bound below the upper one, found {lower} and {upper}")]
    Empty {
        /// Where it begins.
        lower: f64,
        /// Where it ends.
        upper: f64,
    },
    /// Two steps that share room.
    #[error(
        "StepAdjustments: expected steps that do not overlap, found one up to {end} and one from {start}"
    )]
    Overlap {
        /// Where the second begins.
        start: f64,
        /// Where the first ends.
        end: f64,
    },
    /// Room between two steps.
    #[error("StepAdjustments: expected steps without a gap, found one up to {end} and the next from {start}")]
    Gap {
        /// Where the first ends.
        end: f64,
        /// Where the second begins.
        start: f64,
    },
    /// Steps that end although the metric can go on.
    #[error("StepAdjustments: expected the outermost step to have no {bound}, found {value}")]
    Ends {
        /// Which bound.
        bound: &'static str,
        /// Its value.
        value: f64,
    },
    /// A magnitude where nothing is a percentage.
    #[error(
        "MinAdjustmentMagnitude: expected only with PercentChangeInCapacity, found with another AdjustmentType"
    )]
    Magnitude,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { min: 0, max: 100 };

    fn policy(kind: AdjustmentType, steps: &[(Option<f64>, Option<f64>, i64)]) -> StepScaling {
        let step = |&(lower, upper, scaling_adjustment): &(Option<f64>, Option<f64>, i64)| Step {
            metric_interval_lower_bound: lower,
            metric_interval_upper_bound: upper,
            scaling_adjustment,
        };
        StepScaling {
            adjustment_type: kind,
            step_adjustments: steps.iter().map(step).collect(),
            min_adjustment_magnitude: None,
            cooldown: None,
            metric_aggregation_type: None,
        }
    }

    #[test]
    fn bounds_belong_to_the_side_of_the_threshold() {
        let out = policy(
            AdjustmentType::ChangeInCapacity,
            &[(Some(0.0), Some(10.0), 1), (Some(10.0), Some(20.0), 2), (Some(20.0), None, 5)],
        );
        out.validate().unwrap();
        for (distance, expected) in [
            (0.0, Some(11)),
            (9.9, Some(11)),
            (10.0, Some(12)),
            (20.0, Some(15)),
            (1e9, Some(15)),
            (-0.1, None),
        ] {
            assert_eq!(out.capacity_for(distance, 10, LIMITS), expected, "{distance}");
        }
        let scale_in = policy(
            AdjustmentType::ChangeInCapacity,
            &[(Some(-10.0), Some(0.0), -1), (None, Some(-10.0), -3)],
        );
        scale_in.validate().unwrap();
        for (distance, expected) in
            [(-0.1, Some(9)), (-9.9, Some(9)), (-10.0, Some(7)), (-99.0, Some(7)), (5.0, None)]
        {
            assert_eq!(scale_in.capacity_for(distance, 10, LIMITS), expected, "{distance}");
        }
    }

    #[test]
    fn percentages_become_whole_units() {
        for (capacity, percent, least, expected) in [
            (10, 27, 0, 12),
            (10, 5, 0, 11),
            (10, -5, 0, 9),
            (10, -67, 0, 4),
            (15, -11, 0, 14),
            (4, 25, 2, 6),
            (4, -25, 2, 2),
            (10, 0, 3, 10),
            (0, 50, 0, 1),
            (10, 100, 0, 20),
        ] {
            let mut policy = policy(AdjustmentType::PercentChangeInCapacity, &[(Some(0.0), None, percent)]);
            policy.min_adjustment_magnitude = Some(least);
            assert_eq!(policy.capacity_for(1.0, capacity, LIMITS), Some(expected), "{capacity} {percent} %");
        }
    }

    #[test]
    fn exact_capacity_and_limits() {
        let exact = policy(AdjustmentType::ExactCapacity, &[(Some(0.0), None, 7)]);
        assert_eq!(exact.capacity_for(3.0, 2, LIMITS), Some(7));
        assert_eq!(exact.capacity_for(3.0, 2, Limits { min: 1, max: 5 }), Some(5));
        let fall = policy(AdjustmentType::ChangeInCapacity, &[(None, Some(0.0), -50)]);
        assert_eq!(fall.capacity_for(-3.0, 9, Limits { min: 2, max: 20 }), Some(2));
    }

    #[test]
    fn gaps_and_overlaps_are_refused() {
        let check = |steps: &[(Option<f64>, Option<f64>, i64)], expected: &str| {
            let found = policy(AdjustmentType::ChangeInCapacity, steps).validate();
            let found = found.map_or_else(|error| error.to_string(), |()| String::new());
            assert!(
                found.contains(expected) && found.is_empty() == expected.is_empty(),
                "{steps:?}: {found}"
            );
        };
        check(&[], "found 0");
        check(&[(None, None, 1); 21], "found 21");
        check(&[(None, None, 1)], "");
        check(&[(Some(0.0), None, 1)], "");
        check(&[(Some(5.0), Some(5.0), 1)], "lower bound below");
        check(&[(Some(f64::NAN), None, 1)], "lower bound below");
        check(&[(Some(0.0), Some(10.0), 1), (Some(5.0), None, 2)], "overlap");
        check(&[(Some(0.0), None, 1), (Some(0.0), None, 2)], "overlap");
        check(&[(Some(0.0), Some(10.0), 1), (Some(15.0), None, 2)], "gap");
        check(&[(Some(0.0), Some(10.0), 1)], "no MetricIntervalUpperBound");
        check(&[(Some(-10.0), Some(0.0), 1)], "no MetricIntervalLowerBound");
        check(&[(None, Some(-10.0), -2), (Some(-10.0), Some(0.0), -1)], "");
        let mut magnitude = policy(AdjustmentType::ExactCapacity, &[(None, None, 1)]);
        magnitude.min_adjustment_magnitude = Some(1);
        assert_eq!(magnitude.validate(), Err(StepError::Magnitude));
    }

    #[test]
    fn steps_keep_their_wire_form() {
        let wire = serde_json::json!({
            "AdjustmentType": "ChangeInCapacity", "Cooldown": 60, "MetricAggregationType": "Maximum",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
        });
        let policy: StepScaling = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(serde_json::to_value(&policy).unwrap(), wire);
        assert_eq!(policy.cooldown_seconds(), 60);
    }
}
