//! What each policy of a target wishes for, by the series that it follows.

use scaling::step::Aggregation;
use scaling::{
    AlarmState, MetricQuery, Samples, Statistic, StepScaling, Target, TargetTracking, Timeline, Window, Wish,
    WishKind,
};
use serde_json::Value;
use telemetry::{Metric, Range, Series, Telemetry, TelemetryError};
use wire::Timestamp;

use super::policy::{PolicyConfiguration, ScalingPolicy};
use crate::control::alarms::{Alarm, Watch};

/// A policy with what it needs to be evaluated.
#[derive(Debug)]
pub(super) struct Evaluated {
    pub(super) policy: ScalingPolicy,
    /// The alarms that name a step policy among their actions.
    pub(super) alarms: Vec<UserAlarm>,
}

/// An alarm of a user, which sets off a step policy.
#[derive(Debug, Clone)]
pub(super) struct UserAlarm {
    name: String,
    watch: Watch,
}

/// A wish, and the alarm whose state was its reason.
#[derive(Debug, Clone)]
pub(super) struct Reasoned<'a> {
    pub(super) wish: Wish<'a>,
    pub(super) alarm: &'a str,
}

impl Evaluated {
    /// What it wishes for at `now`; `step_due` says whether a period of an alarm of this length has ended since the last
    /// look, since a step is taken once for each.
    pub(super) fn wish<'a>(
        &'a self,
        telemetry: &Telemetry,
        target: &Target,
        timeline: &Timeline,
        now: Timestamp,
        step_due: impl Fn(u32) -> bool,
    ) -> Result<Option<Reasoned<'a>>, TelemetryError> {
        match &self.policy.configuration {
            PolicyConfiguration::TargetTracking(tracking) => {
                self.track(tracking, &telemetry.series, target, timeline, now).map(Some)
            }
            PolicyConfiguration::Step(step) => self.step(step, telemetry, target, now, step_due),
        }
    }

    fn track<'a>(
        &'a self,
        tracking: &TargetTracking,
        series: &Series,
        target: &Target,
        timeline: &Timeline,
        now: Timestamp,
    ) -> Result<Reasoned<'a>, TelemetryError> {
        let key = &self.policy.key;
        let metric = tracking.metric(&key.endpoint, &key.variant).expect("it was checked when it was put");
        let period_seconds = metric.period_seconds;
        let samples = Samples {
            high: read(series, &metric, tracking.high(period_seconds).window(now))?,
            low: read(series, &metric, tracking.low().window(now))?,
        };
        let tracked = tracking.track(period_seconds, &samples, timeline, target.limits, now);
        let is_out = matches!(tracked.ask, scaling::Ask::Out(_));
        let alarm = self.policy.alarms.get(usize::from(!is_out)).map_or("", String::as_str);
        let wish = Wish {
            policy: &self.policy.name,
            kind: WishKind::Tracking { ask: tracked.ask, scales_in: tracking.scales_in() },
            out_cooldown_seconds: tracking.out_cooldown_seconds(),
            in_cooldown_seconds: tracking.in_cooldown_seconds(),
        };
        Ok(Reasoned { wish, alarm })
    }

    fn step<'a>(
        &'a self,
        step: &StepScaling,
        telemetry: &Telemetry,
        target: &Target,
        now: Timestamp,
        step_due: impl Fn(u32) -> bool,
    ) -> Result<Option<Reasoned<'a>>, TelemetryError> {
        for UserAlarm { name, watch } in &self.alarms {
            if !step_due(watch.rule.period_seconds) {
                continue;
            }
            let points = watch.points(telemetry, now)?;
            let evaluation = watch.rule.evaluate(&points, AlarmState::Ok);
            if evaluation.state != AlarmState::Alarm || evaluation.datapoints.is_empty() {
                continue;
            }
            let value = aggregate(step.metric_aggregation_type.unwrap_or_default(), &evaluation.datapoints);
            let distance = value - watch.rule.threshold;
            if let Some(wish) = target.step(&self.policy.name, step, distance, now) {
                return Ok(Some(Reasoned { wish, alarm: name }));
            }
        }
        Ok(None)
    }
}

/// One value of the periods that an alarm was decided by.
fn aggregate(aggregation: Aggregation, values: &[f64]) -> f64 {
    match aggregation {
        Aggregation::Average => values.iter().sum::<f64>() / values.len() as f64,
        Aggregation::Minimum => values.iter().copied().fold(f64::INFINITY, f64::min),
        Aggregation::Maximum => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

/// The values of a window's periods.
pub(super) fn read(
    series: &Series,
    metric: &MetricQuery,
    window: Window,
) -> Result<Vec<Option<f64>>, TelemetryError> {
    let dimensions = metric.dimensions.iter().map(|of| (of.name.clone(), of.value.clone()));
    let of = Metric::new(metric.namespace.clone(), metric.name.clone(), dimensions);
    let Window { start, end, period_seconds } = window;
    let periods = series.read(&of, &Range { start, end, period_seconds, unit: None })?;
    let statistic = match metric.statistic {
        Statistic::Average => telemetry::Statistic::Average,
        Statistic::Minimum => telemetry::Statistic::Minimum,
        Statistic::Maximum => telemetry::Statistic::Maximum,
        Statistic::SampleCount => telemetry::Statistic::SampleCount,
        Statistic::Sum => telemetry::Statistic::Sum,
    };
    let values =
        periods.iter().filter_map(|period| statistic.of(&period.values).map(|value| (period.start, value)));
    Ok(window.points(values))
}

impl UserAlarm {
    /// Of an alarm, if `policy_arn` is one of its enabled actions.
    pub(super) fn of(alarm: &Alarm, policy_arn: &str) -> Option<Self> {
        let actions = alarm.input.get("AlarmActions").and_then(Value::as_array);
        let names_it = actions.is_some_and(|actions| actions.iter().any(|action| action == policy_arn));
        if !names_it || !alarm.actions_enabled {
            return None;
        }
        // What was put was read then.
        Some(Self { name: alarm.name.clone(), watch: Watch::read(&alarm.input).ok()? })
    }
}
