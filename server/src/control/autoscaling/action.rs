//! Scheduled actions: at a time of a schedule, a target's limits become others.

use rusqlite::Connection;
use scaling::Schedule;
use serde::{Deserialize, Serialize};
use wire::{Scope, Timestamp};

use super::{AutoscalingError, TargetKey, target};
use crate::control::ids;
use crate::control::record::{self, Kind, Record};

/// Scheduled actions of one target. Reason: the service's own quota.
const PER_TARGET_MAX: usize = 200;

/// The document of a [`Kind::ScheduledAction`] record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledAction {
    /// Whose limits.
    pub key: TargetKey,
    /// `ScheduledActionName`.
    pub name: String,
    /// `Schedule`.
    pub schedule: String,
    /// `Timezone`.
    pub zone: Option<String>,
    /// `StartTime`.
    pub start: Option<Timestamp>,
    /// `EndTime`.
    pub end: Option<Timestamp>,
    /// The new `MinCapacity`.
    pub min: Option<u32>,
    /// The new `MaxCapacity`.
    pub max: Option<u32>,
    /// When it was made: rates count from here.
    pub created: Timestamp,
    /// When it acts next; `None` when never again.
    pub next: Option<Timestamp>,
}

/// `PutScheduledAction`: what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct PutAction {
    /// Whose limits.
    pub key: TargetKey,
    /// `ScheduledActionName`.
    pub name: String,
    /// `Schedule`.
    pub schedule: Option<String>,
    /// `Timezone`.
    pub zone: Option<String>,
    /// `StartTime`.
    pub start: Option<Timestamp>,
    /// `EndTime`.
    pub end: Option<Timestamp>,
    /// `ScalableTargetAction`: the new minimum and maximum.
    pub limits: Option<(Option<u32>, Option<u32>)>,
}

/// Makes a scheduled action or changes it.
///
/// # Errors
/// When there is no such target, or what is asked contradicts itself.
pub fn put(
    connection: &Connection,
    scope: &Scope,
    put: PutAction,
    now: Timestamp,
) -> Result<(), AutoscalingError> {
    target::expect(connection, &put.key)?;
    let record_name = put.key.record_name_of(&put.name);
    let stored = record::find(connection, Kind::ScheduledAction, &record_name)?;
    let action = merge(stored.as_ref().map(Record::read).transpose()?, put, now)?;
    let document = record::document(&action)?;
    if let Some(record) = stored {
        let record = Record { modified: now, document, ..record };
        record::update(connection, Kind::ScheduledAction, &record)?;
        return Ok(());
    }
    let of_target = record::all(connection, Kind::ScheduledAction)?;
    let prefix = action.key.record_name_of("");
    if of_target.iter().filter(|record| record.name.starts_with(&prefix)).count() >= PER_TARGET_MAX {
        return Err(AutoscalingError::Limit { of: "scheduled actions of a target", limit: PER_TARGET_MAX });
    }
    let (Scope { region, account }, id) = (scope, ids::uuid());
    let resource = action.key.resource_id();
    let name = &action.name;
    let arn = format!(
        "arn:aws:autoscaling:{region}:{account}:scheduledAction:{id}:resource/sagemaker/{resource}:scheduledActionName/{name}"
    );
    let status = String::new();
    let record = Record { name: record_name, arn, created: now, modified: now, status, document };
    record::insert(connection, Kind::ScheduledAction, &record)?;
    Ok(())
}

fn merge(
    stored: Option<ScheduledAction>,
    put: PutAction,
    now: Timestamp,
) -> Result<ScheduledAction, AutoscalingError> {
    let refused = |message: &str| Err(AutoscalingError::Refused(message.to_owned()));
    let (min, max) = match (put.limits, &stored) {
        (Some(limits), _) => limits,
        (None, Some(stored)) => (stored.min, stored.max),
        (None, None) => (None, None),
    };
    let Some(schedule) = put.schedule.or_else(|| stored.as_ref().map(|stored| stored.schedule.clone()))
    else {
        return refused("Schedule: expected one with a new scheduled action, found none");
    };
    if min.is_none() && max.is_none() {
        return refused("ScalableTargetAction: expected MinCapacity, MaxCapacity or both, found neither");
    }
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        return refused("ScalableTargetAction: expected MinCapacity of at most MaxCapacity, found more");
    }
    let kept = |pick: fn(&ScheduledAction) -> Option<Timestamp>| stored.as_ref().and_then(pick);
    let (start, end) = (put.start.or(kept(|a| a.start)), put.end.or(kept(|a| a.end)));
    if start.zip(end).is_some_and(|(start, end)| start >= end) {
        return refused("StartTime: expected before EndTime, found at or after it");
    }
    let zone = put.zone.or_else(|| stored.as_ref().and_then(|stored| stored.zone.clone()));
    let created = stored.map_or(now, |stored| stored.created);
    let mut action = ScheduledAction {
        key: put.key,
        name: put.name,
        schedule,
        zone,
        start,
        end,
        min,
        max,
        created,
        next: None,
    };
    action.next = action.parsed()?.next_after(now);
    if action.next.is_none() {
        return refused("Schedule: expected a time to come, found only times that are over");
    }
    Ok(action)
}

impl ScheduledAction {
    /// Its schedule, read.
    ///
    /// # Errors
    /// When it is none.
    pub fn parsed(&self) -> Result<Schedule, AutoscalingError> {
        Ok(Schedule::parse(&self.schedule, self.zone.as_deref(), self.start, self.end, self.created)?)
    }
}

/// Removes a scheduled action.
///
/// # Errors
/// When it is not there.
pub fn remove(connection: &Connection, key: &TargetKey, name: &str) -> Result<(), AutoscalingError> {
    if record::remove(connection, Kind::ScheduledAction, &key.record_name_of(name))? {
        return Ok(());
    }
    Err(AutoscalingError::NoAction { key: key.clone(), name: name.to_owned() })
}

/// All scheduled actions, oldest first.
///
/// # Errors
/// When the state cannot be read.
pub fn all(connection: &Connection) -> Result<Vec<(Record, ScheduledAction)>, AutoscalingError> {
    Ok(record::all_read(connection, Kind::ScheduledAction)?)
}

/// Stores an action that is there.
///
/// # Errors
/// When the state cannot be written.
pub fn store(
    connection: &Connection,
    record: &mut Record,
    action: &ScheduledAction,
    now: Timestamp,
) -> Result<(), AutoscalingError> {
    record.modified = now;
    record.document = record::document(action)?;
    record::update(connection, Kind::ScheduledAction, record)?;
    Ok(())
}
