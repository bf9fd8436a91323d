//! Scalable targets: a variant's number with its limits, and what the last actions left behind.

use rusqlite::Connection;
use scaling::{Cooldowns, Limits, Suspended, Timeline};
use serde::{Deserialize, Serialize};
use wire::{Scope, Timestamp};

use super::capacity::{self, Found};
use super::{AutoscalingError, ScalingPolicy, TargetKey, policy};
use crate::control::ids;
use crate::control::record::{self, Kind, Record};
use crate::control::tags::{self, Tags};

/// Targets of one server. Reason: each is looked at every ten seconds; endpoints have the same order of limit.
const TARGETS_MAX: usize = 1000;

/// The document of a [`Kind::ScalableTarget`] record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalableTarget {
    /// Which number of which variant.
    pub key: TargetKey,
    /// `MinCapacity`, `MaxCapacity`.
    pub limits: Limits,
    /// `RoleARN`; echoed.
    pub role_arn: String,
    /// `SuspendedState`.
    pub suspended: Suspended,
    /// How many units were in service when.
    #[serde(default)]
    pub timeline: Timeline,
    /// What the last actions forbid for a while.
    #[serde(default)]
    pub cooldowns: Cooldowns,
}

/// `RegisterScalableTarget`: what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    /// Which number of which variant.
    pub key: TargetKey,
    /// `MinCapacity`.
    pub min: Option<u32>,
    /// `MaxCapacity`.
    pub max: Option<u32>,
    /// `RoleARN`.
    pub role_arn: Option<String>,
    /// `SuspendedState`.
    pub suspended: Option<Suspended>,
    /// `Tags`, of a new target.
    pub tags: Tags,
}

/// Registers a target or changes it; its ARN.
///
/// # Errors
/// When there is no such variant, or limits are missing or contradict each other.
pub fn register(
    connection: &Connection,
    scope: &Scope,
    register: Register,
    now: Timestamp,
) -> Result<String, AutoscalingError> {
    let Register { key, min, max, role_arn, suspended, tags } = register;
    let found = capacity::find(connection, &key)?;
    if !matches!(found, Found::Variant(_)) {
        let resource = key.resource_id();
        return Err(AutoscalingError::Refused(match found {
            Found::NoEndpoint => format!("Could not find endpoint of resource ID: {resource}."),
            _ => format!(
                "Could not find a variant that has {} of resource ID: {resource}.",
                key.dimension.as_str()
            ),
        }));
    }
    let stored = find(connection, &key)?;
    let limits = limits(stored.as_ref().map(|(_, target)| target.limits), min, max)?;
    if let Some((mut record, mut target)) = stored {
        if !tags.0.is_empty() {
            let message =
                "Tags: expected only with a new scalable target, found one that exists: use TagResource";
            return Err(AutoscalingError::Refused(message.to_owned()));
        }
        target.limits = limits;
        target.role_arn = role_arn.unwrap_or(target.role_arn);
        target.suspended = suspended.unwrap_or(target.suspended);
        store(connection, &mut record, &target, now)?;
        return Ok(record.arn);
    }
    if record::count(connection, Kind::ScalableTarget)? >= TARGETS_MAX {
        return Err(AutoscalingError::Limit { of: "scalable targets", limit: TARGETS_MAX });
    }
    let role_arn = role_arn.unwrap_or_else(|| service_role(scope));
    let suspended = suspended.unwrap_or_default();
    let (timeline, cooldowns) = (Timeline::default(), Cooldowns::default());
    let target = ScalableTarget { key, limits, role_arn, suspended, timeline, cooldowns };
    let (Scope { region, account }, id) = (scope, ids::uuid().replace('-', ""));
    let arn = format!("arn:aws:application-autoscaling:{region}:{account}:scalable-target/{id}");
    let record = Record {
        name: target.key.record_name(),
        arn,
        created: now,
        modified: now,
        status: String::new(),
        document: record::document(&target)?,
    };
    record::insert(connection, Kind::ScalableTarget, &record)?;
    tags::put(connection, &record.arn, &tags)?;
    Ok(record.arn)
}

fn limits(stored: Option<Limits>, min: Option<u32>, max: Option<u32>) -> Result<Limits, AutoscalingError> {
    let min = min.or(stored.map(|limits| limits.min));
    let max = max.or(stored.map(|limits| limits.max));
    let (Some(min), Some(max)) = (min, max) else {
        let message =
            "Both MinCapacity and MaxCapacity must be provided when registering a new scalable target";
        return Err(AutoscalingError::Refused(message.to_owned()));
    };
    if min > max {
        let message = format!("Maximum capacity cannot be less than minimum capacity: found {max} and {min}");
        return Err(AutoscalingError::Refused(message));
    }
    Ok(Limits { min, max })
}

/// The role that the service would make for itself.
fn service_role(scope: &Scope) -> String {
    let account = &scope.account;
    format!(
        "arn:aws:iam::{account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/\
         AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )
}

/// Removes a target with its policies, actions and alarms.
///
/// # Errors
/// When it is not there.
pub fn deregister(connection: &Connection, key: &TargetKey) -> Result<(), AutoscalingError> {
    if !record::remove(connection, Kind::ScalableTarget, &key.record_name())? {
        return Err(AutoscalingError::NoTarget(key.clone()));
    }
    for (record, policy) in policy::all(connection)? {
        if policy.key == *key {
            policy::remove_record(connection, &record, &policy)?;
        }
    }
    for record in record::all(connection, Kind::ScheduledAction)? {
        if record.name.starts_with(&key.record_name_of("")) {
            record::remove(connection, Kind::ScheduledAction, &record.name)?;
        }
    }
    Ok(())
}

/// Removes all targets of an endpoint.
///
/// # Errors
/// When the state cannot be written.
pub fn deregister_endpoint(connection: &Connection, endpoint: &str) -> Result<(), AutoscalingError> {
    let targets = all(connection)?;
    let of = targets.iter().filter(|(_, target)| target.key.endpoint.eq_ignore_ascii_case(endpoint));
    of.into_iter().try_for_each(|(_, target)| deregister(connection, &target.key))
}

/// The target of this key with its record.
///
/// # Errors
/// When the state cannot be read.
pub fn find(
    connection: &Connection,
    key: &TargetKey,
) -> Result<Option<(Record, ScalableTarget)>, AutoscalingError> {
    let record = record::find(connection, Kind::ScalableTarget, &key.record_name())?;
    let Some(record) = record else { return Ok(None) };
    let target = record.read()?;
    Ok(Some((record, target)))
}

/// The target of this key with its record.
///
/// # Errors
/// When it is not there.
pub fn expect(
    connection: &Connection,
    key: &TargetKey,
) -> Result<(Record, ScalableTarget), AutoscalingError> {
    find(connection, key)?.ok_or_else(|| AutoscalingError::NoTarget(key.clone()))
}

/// All targets, oldest first.
///
/// # Errors
/// When the state cannot be read.
pub fn all(connection: &Connection) -> Result<Vec<(Record, ScalableTarget)>, AutoscalingError> {
    Ok(record::all_read(connection, Kind::ScalableTarget)?)
}

/// Stores a target that is there.
///
/// # Errors
/// When the state cannot be written.
pub fn store(
    connection: &Connection,
    record: &mut Record,
    target: &ScalableTarget,
    now: Timestamp,
) -> Result<(), AutoscalingError> {
    record.modified = now;
    record.document = record::document(target)?;
    record::update(connection, Kind::ScalableTarget, record)?;
    Ok(())
}

impl ScalingPolicy {
    /// How many policies a target may have of each kind. Reason: the service's own quota.
    pub const PER_TARGET_MAX: usize = 50;
}
