//! What each policy of a target wishes for, by the series that it follows.

use scaling::step::Aggregation;
use scaling::{
    AlarmRule, AlarmState, Dimension, MetricQuery, Samples, Statistic, StepScaling, Target, TargetTracking,
    Timeline, TreatMissingData, Window, Wish, WishKind,
};
use serde_json::{Map, Value};
use telemetry::{Metric, Range, Series, TelemetryError};
use wire::Timestamp;

use super::policy::{PolicyConfiguration, ScalingPolicy};

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
    pub(super) name: String,
    pub(super) metric: MetricQuery,
    pub(super) rule: AlarmRule,
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
        series: &Series,
        target: &Target,
        timeline: &Timeline,
        now: Timestamp,
        step_due: impl Fn(u32) -> bool,
    ) -> Result<Option<Reasoned<'a>>, TelemetryError> {
        match &self.policy.configuration {
            PolicyConfiguration::TargetTracking(tracking) => {
                self.track(tracking, series, target, timeline, now).map(Some)
            }
            PolicyConfiguration::Step(step) => self.step(step, series, target, now, step_due),
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
        series: &Series,
        target: &Target,
        now: Timestamp,
        step_due: impl Fn(u32) -> bool,
    ) -> Result<Option<Reasoned<'a>>, TelemetryError> {
        for alarm in self.alarms.iter().filter(|alarm| step_due(alarm.rule.period_seconds)) {
            let points = read(series, &alarm.metric, alarm.rule.window(now))?;
            let evaluation = alarm.rule.evaluate(&points, AlarmState::Ok);
            if evaluation.state != AlarmState::Alarm || evaluation.datapoints.is_empty() {
                continue;
            }
            let value = aggregate(step.metric_aggregation_type.unwrap_or_default(), &evaluation.datapoints);
            let distance = value - alarm.rule.threshold;
            if let Some(wish) = target.step(&self.policy.name, step, distance, now) {
                return Ok(Some(Reasoned { wish, alarm: &alarm.name }));
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
    /// From an alarm's document, if `policy_arn` is one of its enabled actions.
    pub(super) fn of(alarm: &Map<String, Value>, policy_arn: &str) -> Option<Self> {
        let is_enabled = alarm.get("ActionsEnabled").and_then(Value::as_bool).unwrap_or(true);
        let actions = alarm.get("AlarmActions")?.as_array()?;
        if !is_enabled || !actions.iter().any(|action| action == policy_arn) {
            return None;
        }
        let text = |member: &str| alarm.get(member).and_then(Value::as_str);
        let whole = |member: &str| alarm.get(member)?.as_f64().map(|value| value as u32);
        let parsed = |member: &str| alarm.get(member).cloned();
        let evaluation_periods = whole("EvaluationPeriods")?;
        let period_seconds = whole("Period")?;
        Some(Self {
            name: text("AlarmName")?.to_owned(),
            metric: MetricQuery {
                namespace: text("Namespace")?.to_owned(),
                name: text("MetricName")?.to_owned(),
                dimensions: dimensions(alarm.get("Dimensions")),
                statistic: serde_json::from_value(parsed("Statistic")?).ok()?,
                period_seconds,
            },
            rule: AlarmRule {
                comparison: serde_json::from_value(parsed("ComparisonOperator")?).ok()?,
                threshold: alarm.get("Threshold")?.as_f64()?,
                period_seconds,
                evaluation_periods,
                datapoints_to_alarm: whole("DatapointsToAlarm").unwrap_or(evaluation_periods),
                treat_missing_data: parsed("TreatMissingData")
                    .and_then(|text| serde_json::from_value(text).ok())
                    .unwrap_or(TreatMissingData::Missing),
            },
        })
    }
}

fn dimensions(value: Option<&Value>) -> Vec<Dimension> {
    value.and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default()
}
