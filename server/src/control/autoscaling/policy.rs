//! Scaling policies, and the two alarms by which a target-tracking policy shows what it does.

use rusqlite::Connection;
use scaling::{AlarmRule, MetricQuery, StepScaling, TargetTracking};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wire::{Scope, Timestamp};

use super::{AutoscalingError, TargetKey, target};
use crate::control::record::{self, Kind, Record};
use crate::control::{alarms, ids};

/// The document of a [`Kind::ScalingPolicy`] record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingPolicy {
    /// Of which target.
    pub key: TargetKey,
    /// `PolicyName`.
    pub name: String,
    /// What it does.
    pub configuration: PolicyConfiguration,
    /// The names of its own alarms, the high one first; empty for steps, whose alarms are their user's.
    pub alarms: Vec<String>,
}

/// A policy's kind and configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PolicyConfiguration {
    /// `TargetTrackingScaling`.
    TargetTracking(TargetTracking),
    /// `StepScaling`.
    Step(StepScaling),
}

/// Makes a policy or changes it; its ARN and itself.
///
/// # Errors
/// When there is no such target, or the configuration contradicts itself.
pub fn put(
    connection: &Connection,
    scope: &Scope,
    key: TargetKey,
    name: String,
    configuration: PolicyConfiguration,
    now: Timestamp,
) -> Result<(String, ScalingPolicy), AutoscalingError> {
    target::expect(connection, &key)?;
    match &configuration {
        PolicyConfiguration::TargetTracking(tracking) => tracking.validate()?,
        PolicyConfiguration::Step(step) => step.validate()?,
    }
    let record_name = key.record_name_of(&name);
    let stored = record::find(connection, Kind::ScalingPolicy, &record_name)?;
    if let Some(stored) = &stored {
        let old: ScalingPolicy = stored.read()?;
        for alarm in &old.alarms {
            record::remove(connection, Kind::Alarm, alarm)?;
        }
    } else if count_of(connection, &key)? >= ScalingPolicy::PER_TARGET_MAX {
        return Err(AutoscalingError::Limit {
            of: "scaling policies of a target",
            limit: ScalingPolicy::PER_TARGET_MAX,
        });
    }
    let arn = stored.as_ref().map_or_else(|| new_arn(scope, &key, &name), |record| record.arn.clone());
    let mut policy = ScalingPolicy { key, name, configuration, alarms: Vec::new() };
    policy.alarms = insert_alarms(connection, scope, &policy, &arn, now)?;
    let document = record::document(&policy)?;
    match stored {
        Some(record) => {
            record::update(connection, Kind::ScalingPolicy, &Record { modified: now, document, ..record })?;
        }
        None => {
            let (name, status) = (record_name, String::new());
            let record = Record { name, arn: arn.clone(), created: now, modified: now, status, document };
            record::insert(connection, Kind::ScalingPolicy, &record)?;
        }
    }
    Ok((arn, policy))
}

fn count_of(connection: &Connection, key: &TargetKey) -> Result<usize, AutoscalingError> {
    Ok(all(connection)?.iter().filter(|(_, policy)| policy.key == *key).count())
}

fn new_arn(scope: &Scope, key: &TargetKey, name: &str) -> String {
    let (Scope { region, account }, id, resource) = (scope, ids::uuid(), key.resource_id());
    format!(
        "arn:aws:autoscaling:{region}:{account}:scalingPolicy:{id}:resource/sagemaker/{resource}:policyName/{name}"
    )
}

/// The alarms of a target-tracking policy, as `PutMetricAlarm` would make them.
fn insert_alarms(
    connection: &Connection,
    scope: &Scope,
    policy: &ScalingPolicy,
    policy_arn: &str,
    now: Timestamp,
) -> Result<Vec<String>, AutoscalingError> {
    let PolicyConfiguration::TargetTracking(tracking) = &policy.configuration else { return Ok(Vec::new()) };
    let metric = tracking.metric(&policy.key.endpoint, &policy.key.variant)?;
    let mut rules = vec![("AlarmHigh", tracking.high(metric.period_seconds))];
    if tracking.scales_in() {
        rules.push(("AlarmLow", tracking.low()));
    }
    let mut names = Vec::new();
    for (kind, rule) in rules {
        let name = format!("TargetTracking-{}-{kind}-{}", policy.key.resource_id(), ids::uuid());
        let input = alarm(&name, &metric, &rule, policy_arn)?;
        alarms::put(connection, name.clone(), alarms::arn(scope, &name), input, now)?;
        names.push(name);
    }
    Ok(names)
}

fn alarm(
    name: &str,
    metric: &MetricQuery,
    rule: &AlarmRule,
    policy_arn: &str,
) -> Result<Map<String, Value>, AutoscalingError> {
    let alarm = json!({
        "AlarmName": name,
        "AlarmDescription": format!(
            "DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy_arn}."
        ),
        "ActionsEnabled": true,
        "OKActions": [],
        "AlarmActions": [policy_arn],
        "InsufficientDataActions": [],
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": serde_json::to_value(&metric.dimensions)?,
        "Statistic": metric.statistic.as_str(),
        "Period": rule.period_seconds,
        "EvaluationPeriods": rule.evaluation_periods,
        "DatapointsToAlarm": rule.datapoints_to_alarm,
        "Threshold": rule.threshold,
        "ComparisonOperator": serde_json::to_value(rule.comparison)?,
        "TreatMissingData": serde_json::to_value(rule.treat_missing_data)?,
    });
    Ok(record::document(&alarm)?)
}

/// Removes a policy and its alarms.
///
/// # Errors
/// When it is not there.
pub fn remove(connection: &Connection, key: &TargetKey, name: &str) -> Result<(), AutoscalingError> {
    let found = record::find(connection, Kind::ScalingPolicy, &key.record_name_of(name))?;
    let record =
        found.ok_or_else(|| AutoscalingError::NoPolicy { key: key.clone(), name: name.to_owned() })?;
    let policy: ScalingPolicy = record.read()?;
    remove_record(connection, &record, &policy)
}

/// Removes a policy that was read, and its alarms.
pub(super) fn remove_record(
    connection: &Connection,
    record: &Record,
    policy: &ScalingPolicy,
) -> Result<(), AutoscalingError> {
    for alarm in &policy.alarms {
        record::remove(connection, Kind::Alarm, alarm)?;
    }
    record::remove(connection, Kind::ScalingPolicy, &record.name)?;
    Ok(())
}

/// All policies, oldest first.
///
/// # Errors
/// When the state cannot be read.
pub fn all(connection: &Connection) -> Result<Vec<(Record, ScalingPolicy)>, AutoscalingError> {
    Ok(record::all_read(connection, Kind::ScalingPolicy)?)
}
