//! Target tracking: keeps a per-unit metric at a value. Out at once and in proportion; in slowly, and never so far that
//! the metric would rise above the target again.

use serde::{Deserialize, Serialize};
use wire::Timestamp;

use crate::alarm::{AlarmRule, AlarmState, Comparison, Evaluation, TreatMissingData, Window};
use crate::metric::{CustomizedMetric, MetricQuery, PredefinedMetric};
use crate::target::{Limits, Timeline};

/// Seconds that an action is given to show in the metric, unless the policy says otherwise: SageMaker's default.
pub const COOLDOWN_SECONDS: u32 = 300;

/// Below this share of the target is sufficiently below it to scale in: the guide's "usually more than ten percent".
const LOW_SHARE: f64 = 0.9;

/// Periods above the target before it scales out.
const HIGH_PERIODS: u32 = 3;

/// Minutes below the low mark before it scales in.
const LOW_PERIODS: u32 = 15;

/// The slow pace, also of metrics that come every ten seconds: only scaling out is hurried by those.
const LOW_PERIOD_SECONDS: u32 = 60;

/// A quotient this little above a whole number is that number: what the sums of floating point leave behind.
const CEIL_SLACK: f64 = 1e-9;

/// `TargetTrackingScalingPolicyConfiguration`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetTracking {
    /// Where the metric should be.
    pub target_value: f64,
    /// A predefined metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predefined_metric_specification: Option<PredefinedMetric>,
    /// Any other metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customized_metric_specification: Option<CustomizedMetric>,
    /// Seconds after a scale-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_out_cooldown: Option<u32>,
    /// Seconds after a scale-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_in_cooldown: Option<u32>,
    /// Only ever scales out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_scale_in: Option<bool>,
}

/// What a policy follows, by the periods of its two alarms, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// For [`TargetTracking::high`].
    pub high: Vec<Option<f64>>,
    /// For [`TargetTracking::low`].
    pub low: Vec<Option<f64>>,
}

/// What a policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// At least this many.
    Out(u32),
    /// As few as this.
    In(u32),
    /// No change: the metric is between the marks, or unknown.
    Stay,
}

/// Both alarms of a policy and what follows from them.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracked {
    /// The alarm that scales out.
    pub high: Evaluation,
    /// The alarm that scales in.
    pub low: Evaluation,
    /// What is asked for, within the limits.
    pub ask: Ask,
}

impl TargetTracking {
    /// What to ask a store of series for.
    ///
    /// # Errors
    /// When the policy names no metric, or two.
    pub fn metric(&self, endpoint: &str, variant: &str) -> Result<MetricQuery, TrackingError> {
        match (&self.predefined_metric_specification, &self.customized_metric_specification) {
            (Some(predefined), None) => {
                Ok(MetricQuery::predefined(predefined.predefined_metric_type, endpoint, variant))
            }
            (None, Some(customized)) => Ok(MetricQuery::customized(customized)),
            _ => Err(TrackingError::Metric),
        }
    }

    /// Holds the numbers to what they mean.
    ///
    /// # Errors
    /// When the target is no positive number, or there is not exactly one metric.
    pub fn validate(&self) -> Result<(), TrackingError> {
        if !(self.target_value.is_finite() && self.target_value > 0.0) {
            return Err(TrackingError::Target(self.target_value));
        }
        self.metric("", "").map(drop)
    }

    /// The alarm that scales out; `period_seconds` is the metric's.
    pub fn high(&self, period_seconds: u32) -> AlarmRule {
        let comparison = Comparison::GreaterThanThreshold;
        rule(comparison, self.target_value, period_seconds, HIGH_PERIODS)
    }

    /// The alarm that scales in.
    pub fn low(&self) -> AlarmRule {
        let comparison = Comparison::LessThanThreshold;
        rule(comparison, self.target_value * LOW_SHARE, LOW_PERIOD_SECONDS, LOW_PERIODS)
    }

    /// Whether it scales in at all.
    pub fn scales_in(&self) -> bool {
        !self.disable_scale_in.unwrap_or(false)
    }

    /// Seconds after a scale-out.
    pub fn out_cooldown_seconds(&self) -> u32 {
        self.scale_out_cooldown.unwrap_or(COOLDOWN_SECONDS)
    }

    /// Seconds after a scale-in.
    pub fn in_cooldown_seconds(&self) -> u32 {
        self.scale_in_cooldown.unwrap_or(COOLDOWN_SECONDS)
    }

    /// What the policy asks for at `now`: `timeline` says how many units each value was divided by.
    pub fn track(
        &self,
        period_seconds: u32,
        samples: &Samples,
        timeline: &Timeline,
        limits: Limits,
        now: Timestamp,
    ) -> Tracked {
        let (high, low) = (self.high(period_seconds), self.low());
        let decided_high = high.evaluate(&samples.high, AlarmState::Ok);
        let decided_low = low.evaluate(&samples.low, AlarmState::Ok);
        let ask = if goes_off(&decided_high, &samples.high) {
            let newest = works(&samples.high, high.window(now), timeline).pop().unwrap_or(0.0);
            Ask::Out(limits.clamp_f64(self.units_for(newest)))
        } else if self.scales_in() && goes_off(&decided_low, &samples.low) {
            // The busiest of the quiet minutes counts: one that was empty by chance does not.
            let works = works(&samples.low, low.window(now), timeline);
            let deciding = &works[works.len().saturating_sub(LOW_PERIODS as usize)..];
            let most = deciding.iter().copied().fold(0.0, f64::max);
            Ask::In(limits.clamp_f64(self.units_for(most)))
        } else {
            Ask::Stay
        };
        Tracked { high: decided_high, low: decided_low, ask }
    }

    /// The fewest units at which `work` gives each no more than the target.
    pub fn units_for(&self, work: f64) -> f64 {
        (work / self.target_value * (1.0 - CEIL_SLACK)).ceil()
    }
}

/// Why a configuration is none.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackingError {
    /// The target is no positive number.
    #[error("TargetValue: expected a number above 0, found {0}")]
    Target(f64),
    /// None or two metrics.
    #[error(
        "expected exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification, found none or both"
    )]
    Metric,
}

fn rule(comparison: Comparison, threshold: f64, period_seconds: u32, periods: u32) -> AlarmRule {
    AlarmRule {
        comparison,
        threshold,
        period_seconds,
        evaluation_periods: periods,
        datapoints_to_alarm: periods,
        treat_missing_data: TreatMissingData::Missing,
    }
}

/// Whether an alarm is a reason to act: it rests on as many values as it needs, the newest period among them.
fn goes_off(decided: &Evaluation, points: &[Option<f64>]) -> bool {
    let is_current = points.last().is_some_and(Option::is_some);
    decided.state == AlarmState::Alarm && decided.filled == 0 && is_current
}

/// The whole work of each period with a value, oldest first: the value times the units that it was divided by.
fn works(points: &[Option<f64>], window: Window, timeline: &Timeline) -> Vec<f64> {
    let period_ms = i64::from(window.period_seconds) * 1000;
    let ends = (0..points.len() as i64).rev().map(|periods| window.end.plus_millis(-period_ms * periods));
    let work = |(point, end): (&Option<f64>, Timestamp)| {
        point.map(|value| value * timeline.units_between(end.plus_millis(-period_ms), end))
    };
    points.iter().zip(ends).filter_map(work).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(target_value: f64) -> TargetTracking {
        serde_json::from_value(serde_json::json!({
            "TargetValue": target_value,
            "PredefinedMetricSpecification":
                {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        }))
        .unwrap()
    }

    const LIMITS: Limits = Limits { min: 1, max: 20 };
    const NOW: Timestamp = Timestamp(3_600_000);

    fn check(units: u32, high: &[Option<f64>], low: &[Option<f64>], expected: Ask) {
        let samples = Samples { high: high.to_vec(), low: low.to_vec() };
        let found = policy(70.0).track(60, &samples, &Timeline::new(units), LIMITS, NOW).ask;
        assert_eq!(found, expected, "{units} {high:?} {low:?}");
    }

    #[test]
    fn the_worked_example() {
        check(4, &[Some(210.0); 3], &[Some(210.0); 15], Ask::Out(12));
        check(12, &[Some(30.0); 3], &[Some(30.0); 15], Ask::In(6));
        // The projected value of 6 units, 60, is no more than 70; of 5 it would be 72.
        check(6, &[Some(60.0); 3], &[Some(60.0); 15], Ask::In(6));
    }

    #[test]
    fn between_the_marks_nothing_happens() {
        for value in [63.0, 65.0, 70.0] {
            check(4, &[Some(value); 3], &[Some(value); 15], Ask::Stay);
        }
        check(4, &[Some(71.0), Some(70.0), Some(71.0)], &[Some(70.0); 15], Ask::Stay);
        check(4, &[Some(0.0); 3], &[Some(0.0); 14], Ask::Stay);
    }

    #[test]
    fn limits_and_zero() {
        check(4, &[Some(7000.0); 3], &[], Ask::Out(20));
        check(4, &[Some(0.0); 3], &[Some(0.0); 15], Ask::In(1));
        // From nothing at all, the value counts as that of one unit.
        check(0, &[Some(210.0); 3], &[], Ask::Out(3));
    }

    #[test]
    fn missing_data_is_no_reason_to_act() {
        check(4, &[None; 5], &[None; 17], Ask::Stay);
        check(4, &[None, None, Some(210.0), None, None], &[], Ask::Stay);
        check(4, &[Some(210.0), Some(210.0), Some(210.0), None], &[], Ask::Stay);
        check(4, &[None, Some(210.0), Some(210.0)], &[], Ask::Stay);
        check(4, &[Some(210.0), None, Some(210.0), Some(210.0)], &[], Ask::Out(12));
        let mut low = vec![Some(0.0); 17];
        low[16] = None;
        check(4, &[], &low, Ask::Stay);
    }

    #[test]
    fn the_busiest_minute_decides_about_scaling_in() {
        let mut low = vec![Some(7.0); 15];
        low[3] = Some(56.0);
        check(10, &[], &low, Ask::In(8));
    }

    #[test]
    fn a_value_of_two_capacities_is_taken_apart() {
        let mut timeline = Timeline::new(4);
        timeline.note(NOW.plus_millis(-30_000), 12);
        let samples = Samples { high: vec![Some(210.0), Some(210.0), Some(140.0)], low: vec![] };
        assert_eq!(policy(70.0).track(60, &samples, &timeline, LIMITS, NOW).ask, Ask::Out(12));
    }

    #[test]
    fn disable_scale_in_only_scales_out() {
        let policy = TargetTracking { disable_scale_in: Some(true), ..policy(70.0) };
        let samples = Samples { high: vec![Some(0.0); 3], low: vec![Some(0.0); 15] };
        let tracked = policy.track(60, &samples, &Timeline::new(9), LIMITS, NOW);
        assert_eq!((tracked.ask, tracked.low.state), (Ask::Stay, AlarmState::Alarm));
    }

    #[test]
    fn configurations_are_checked() {
        assert_eq!(policy(70.0).validate(), Ok(()));
        for target in [0.0, -1.0, f64::INFINITY] {
            let policy = TargetTracking { target_value: target, ..policy(70.0) };
            assert_eq!(policy.validate(), Err(TrackingError::Target(target)));
        }
        let none = TargetTracking { predefined_metric_specification: None, ..policy(1.0) };
        assert_eq!(none.validate(), Err(TrackingError::Metric));
    }

    #[test]
    fn policies_keep_their_wire_form() {
        let wire = serde_json::json!({
            "TargetValue": 5.0,
            "CustomizedMetricSpecification": {
                "MetricName": "ApproximateBacklogSizePerInstance", "Namespace": "AWS/SageMaker",
                "Dimensions": [{"Name": "EndpointName", "Value": "e"}], "Statistic": "Average",
            },
            "ScaleInCooldown": 600, "DisableScaleIn": true,
        });
        let policy: TargetTracking = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(serde_json::to_value(&policy).unwrap(), wire);
        let metric = policy.metric("e", "v").unwrap();
        assert_eq!((metric.name.as_str(), metric.period_seconds), ("ApproximateBacklogSizePerInstance", 60));
        assert_eq!((policy.in_cooldown_seconds(), policy.out_cooldown_seconds()), (600, 300));
    }
}
