//! Scaling activities: what was done or begun, why, and how it ended. A bounded history in a table of its own.

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use wire::Timestamp;

use super::{AutoscalingError, TargetKey};

/// Activities that are kept for each target. Reason: enough for weeks of a busy day's waves; older ones go first.
const PER_TARGET_MAX: i64 = 500;

/// How long an activity is kept: as long as the service keeps it.
const RETENTION_MS: i64 = 42 * 24 * 3600 * 1000;

/// The table of activities.
pub(in crate::control) const MIGRATION: &str = "CREATE TABLE scaling_activities (
        id TEXT NOT NULL PRIMARY KEY,
        target TEXT NOT NULL COLLATE NOCASE,
        started INTEGER NOT NULL,
        is_open INTEGER NOT NULL,
        is_not_scaled INTEGER NOT NULL,
        document TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX scaling_activities_by_target ON scaling_activities (target, started DESC, id DESC);
    CREATE INDEX scaling_activities_open ON scaling_activities (started) WHERE is_open;";

/// `StatusCode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActivityStatus {
    /// Asked for; the units are on their way.
    InProgress,
    /// Done.
    Successful,
    /// Another change came in between.
    Overridden,
    /// It could not be done.
    Failed,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// `ActivityId`.
    pub id: String,
    /// To which target.
    pub key: TargetKey,
    /// What.
    pub description: String,
    /// Why.
    pub cause: String,
    /// Since when.
    pub started: Timestamp,
    /// Until when.
    pub ended: Option<Timestamp>,
    /// How it stands.
    pub status: ActivityStatus,
    /// More of how it stands.
    pub message: String,
    /// The capacity that was asked for; `None` where nothing was.
    pub capacity: Option<u32>,
    /// Why a policy that wanted to scale could not, with the capacity that stood in its way; else `None`.
    #[serde(default)]
    pub not_scaled: Option<NotScaled>,
}

/// `NotScaledReason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotScaled {
    /// The maximum is reached.
    AlreadyAtMaxCapacity(u32),
    /// The minimum is reached.
    AlreadyAtMinCapacity(u32),
}

/// Stores an activity, new or changed, and forgets the oldest ones of its target.
///
/// # Errors
/// When the state cannot be written.
pub fn store(connection: &Connection, activity: &Activity) -> Result<(), AutoscalingError> {
    let target = activity.key.record_name();
    let document = serde_json::to_string(activity)?;
    let is_open = activity.status == ActivityStatus::InProgress;
    let mut statement = connection.prepare_cached(
        "INSERT INTO scaling_activities (id, target, started, is_open, is_not_scaled, document)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET is_open = excluded.is_open, document = excluded.document",
    )?;
    let is_not_scaled = activity.not_scaled.is_some();
    statement.execute(params![activity.id, target, activity.started.0, is_open, is_not_scaled, document])?;
    let mut statement = connection.prepare_cached(
        "DELETE FROM scaling_activities WHERE target = ?1 AND (started < ?2 OR id IN (
             SELECT id FROM scaling_activities WHERE target = ?1 ORDER BY started DESC, id DESC LIMIT -1 OFFSET ?3))",
    )?;
    statement.execute(params![target, activity.started.0.saturating_sub(RETENTION_MS), PER_TARGET_MAX])?;
    Ok(())
}

/// Activities, newest first: of one resource and dimension where given, from behind the position `after`.
///
/// # Errors
/// When the state cannot be read.
pub fn list(
    connection: &Connection,
    resource_id: Option<&str>,
    dimension: Option<&str>,
    with_not_scaled: bool,
    after: Option<(i64, &str)>,
    limit: usize,
) -> Result<Vec<Activity>, AutoscalingError> {
    let mut statement = connection.prepare_cached(
        "SELECT document FROM scaling_activities
         WHERE (?1 IS NULL OR target LIKE ?1 || '/%' ESCAPE '\\') AND (?2 IS NULL OR target LIKE '%/' || ?2)
           AND (?3 OR NOT is_not_scaled)
           AND (?4 IS NULL OR started < ?4 OR (started = ?4 AND id < ?5))
         ORDER BY started DESC, id DESC LIMIT ?6",
    )?;
    let (started, id) = after.unzip();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // An underscore in a name is no wildcard.
    let resource_id = resource_id.map(|id| id.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    let keys = params![resource_id, dimension, with_not_scaled, started, id, limit];
    let rows = statement.query_map(keys, text)?.collect::<Result<Vec<_>, _>>()?;
    rows.iter().map(|row| Ok(serde_json::from_str(row)?)).collect()
}

/// Those under way, oldest first.
///
/// # Errors
/// When the state cannot be read.
pub fn open(connection: &Connection) -> Result<Vec<Activity>, AutoscalingError> {
    let mut statement = connection
        .prepare_cached("SELECT document FROM scaling_activities WHERE is_open ORDER BY started, id")?;
    let rows = statement.query_map([], text)?.collect::<Result<Vec<_>, _>>()?;
    rows.iter().map(|row| Ok(serde_json::from_str(row)?)).collect()
}

/// The newest activity of a target.
///
/// # Errors
/// When the state cannot be read.
pub fn newest(connection: &Connection, key: &TargetKey) -> Result<Option<Activity>, AutoscalingError> {
    let (resource, dimension) = (key.resource_id(), key.dimension.as_str());
    Ok(list(connection, Some(&resource), Some(dimension), true, None, 1)?.pop())
}

fn text(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}
