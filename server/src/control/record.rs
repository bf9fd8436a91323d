//! Resources as documents: what was given at creation, kept whole so that a Describe echoes it without loss, beside the
//! few columns that lists sort and filter by.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wire::Timestamp;

use super::StateError;

/// What kind of resource a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A model.
    Model,
    /// An endpoint configuration.
    EndpointConfig,
    /// An endpoint; its document is an [`EndpointState`](super::endpoint::EndpointState).
    Endpoint,
    /// A scalable target; named by namespace, resource and dimension.
    ScalableTarget,
    /// A scaling policy; named by its target and its own name.
    ScalingPolicy,
    /// A scheduled action; named by its target and its own name.
    ScheduledAction,
    /// A CloudWatch alarm.
    Alarm,
    /// A batch transform; its document is a [`TransformJobState`](super::transform::TransformJobState).
    TransformJob,
    /// A training job; its document is a [`TrainingJobState`](super::training::TrainingJobState).
    TrainingJob,
}

impl Kind {
    /// As it stands in ARNs and in the state file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::EndpointConfig => "endpoint-config",
            Self::Endpoint => "endpoint",
            Self::ScalableTarget => "scalable-target",
            Self::ScalingPolicy => "scaling-policy",
            Self::ScheduledAction => "scheduled-action",
            Self::Alarm => "alarm",
            Self::TransformJob => "transform-job",
            Self::TrainingJob => "training-job",
        }
    }
}

/// A stored resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its name, as it was given.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub modified: Timestamp,
    /// Its status, where its kind has one; else empty.
    pub status: String,
    /// What it is.
    pub document: Map<String, Value>,
}

/// What a list shows, and in which order.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// By name instead of by time of creation (or of modification, or by status).
    pub sort_by: SortBy,
    /// Smallest first.
    pub is_ascending: bool,
    /// A part of the name, in any case.
    pub name_contains: Option<String>,
    /// Only of this status.
    pub status_equals: Option<String>,
    /// Made before.
    pub created_before: Option<Timestamp>,
    /// Made after.
    pub created_after: Option<Timestamp>,
    /// Changed before.
    pub modified_before: Option<Timestamp>,
    /// Changed after.
    pub modified_after: Option<Timestamp>,
    /// The most of one page.
    pub limit: usize,
    /// Where the page begins: the sort key and name of the last one of the page before.
    pub after: Option<(String, String)>,
}

/// What a list is sorted by; names break ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// The time of creation.
    #[default]
    CreationTime,
    /// The time of the last change.
    LastModifiedTime,
    /// The name.
    Name,
    /// The status.
    Status,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// What it shows.
    pub records: Vec<Record>,
    /// Where the next begins, when there is one: for [`ListFilter::after`].
    pub next: Option<(String, String)>,
}

impl Record {
    /// What its document says, as the type of its kind.
    ///
    /// # Errors
    /// When it is not one.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, StateError> {
        Ok(T::deserialize(&self.document)?)
    }
}

/// The document of a record: a struct as a JSON object.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn document(value: &impl Serialize) -> Result<Map<String, Value>, StateError> {
    match serde_json::to_value(value)? {
        Value::Object(document) => Ok(document),
        other => unreachable!("a struct is an object, found {other}"),
    }
}

/// Stores a new record; `false` when the name is taken (in any case).
///
/// # Errors
/// When the state cannot be written.
pub fn insert(connection: &Connection, kind: Kind, record: &Record) -> Result<bool, StateError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO resources (kind, name, arn, created, modified, status, document)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
    )?;
    let document = serde_json::to_string(&record.document)?;
    let Record { name, arn, created, modified, status, .. } = record;
    Ok(statement.execute(params![kind.as_str(), name, arn, created.0, modified.0, status, document])? == 1)
}

/// Replaces a record's status, time of change and document; `false` when it is not there.
///
/// # Errors
/// When the state cannot be written.
pub fn update(connection: &Connection, kind: Kind, record: &Record) -> Result<bool, StateError> {
    let mut statement = connection.prepare_cached(
        "UPDATE resources SET modified = ?3, status = ?4, document = ?5 WHERE kind = ?1 AND name = ?2",
    )?;
    let document = serde_json::to_string(&record.document)?;
    let Record { name, modified, status, .. } = record;
    Ok(statement.execute(params![kind.as_str(), name, modified.0, status, document])? == 1)
}

/// The record of this name (in any case).
///
/// # Errors
/// When the state cannot be read.
pub fn find(connection: &Connection, kind: Kind, name: &str) -> Result<Option<Record>, StateError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, arn, created, modified, status, document FROM resources WHERE kind = ?1 AND name = ?2",
    )?;
    let row = statement.query_row(params![kind.as_str(), name], columns).optional()?;
    row.map(record).transpose()
}

/// Removes a record and its tags; `false` when it is not there.
///
/// # Errors
/// When the state cannot be written.
pub fn remove(connection: &Connection, kind: Kind, name: &str) -> Result<bool, StateError> {
    let mut tags = connection.prepare_cached(
        "DELETE FROM tags WHERE arn = (SELECT arn FROM resources WHERE kind = ?1 AND name = ?2)",
    )?;
    tags.execute(params![kind.as_str(), name])?;
    let mut statement = connection.prepare_cached("DELETE FROM resources WHERE kind = ?1 AND name = ?2")?;
    Ok(statement.execute(params![kind.as_str(), name])? == 1)
}

/// All records of a kind, oldest first.
///
/// # Errors
/// When the state cannot be read.
pub fn all(connection: &Connection, kind: Kind) -> Result<Vec<Record>, StateError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, arn, created, modified, status, document FROM resources WHERE kind = ?1 ORDER BY created, name",
    )?;
    let rows = statement.query_map(params![kind.as_str()], columns)?.collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().map(record).collect()
}

/// All records of a kind that are of one of these statuses, oldest first.
///
/// # Errors
/// When the state cannot be read.
pub fn of_statuses(
    connection: &Connection,
    kind: Kind,
    statuses: &[&str],
) -> Result<Vec<Record>, StateError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, arn, created, modified, status, document FROM resources WHERE kind = ?1 AND status = ?2",
    )?;
    let mut found = Vec::new();
    for status in statuses {
        let rows = statement.query_map(params![kind.as_str(), status], columns)?;
        for row in rows.collect::<Result<Vec<_>, _>>()? {
            found.push(record(row)?);
        }
    }
    found.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    Ok(found)
}

/// A page of the records of a kind.
///
/// The order is total (names break ties), and a page begins behind a position in it rather than at an offset: records that
/// come and go while a client pages neither repeat nor hide others.
///
/// # Errors
/// When the state cannot be read.
pub fn list(connection: &Connection, kind: Kind, filter: &ListFilter) -> Result<Page, StateError> {
    let mut statement = connection.prepare_cached(&list_statement(filter))?;
    let millis = |time: Option<Timestamp>| time.map(|time| time.0);
    let (key, name) = filter.after.as_ref().map(|(key, name)| (key.as_str(), name.as_str())).unzip();
    let fetched = i64::try_from(filter.limit.saturating_add(1)).unwrap_or(i64::MAX);
    let values = params![
        kind.as_str(),
        filter.name_contains,
        filter.status_equals,
        millis(filter.created_before),
        millis(filter.created_after),
        millis(filter.modified_before),
        millis(filter.modified_after),
        key,
        name,
        fetched,
    ];
    let rows = statement.query_map(values, columns)?.collect::<Result<Vec<_>, _>>()?;
    let mut records = rows.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
    let has_more = records.len() > filter.limit;
    records.truncate(filter.limit);
    let last = records.last().filter(|_| has_more);
    let next = last.map(|last| (filter.sort_by.key(last), last.name.clone()));
    Ok(Page { records, next })
}

/// The statement of a list: the conditions that are not asked for are `NULL`, the order is by one of four columns.
fn list_statement(filter: &ListFilter) -> String {
    let (order, than) = if filter.is_ascending { ("ASC", ">") } else { ("DESC", "<") };
    let key = match filter.sort_by {
        SortBy::CreationTime => "created",
        SortBy::LastModifiedTime => "modified",
        SortBy::Name => "''",
        SortBy::Status => "status",
    };
    let given = match filter.sort_by {
        SortBy::CreationTime | SortBy::LastModifiedTime => "CAST(?8 AS INTEGER)",
        SortBy::Name => "''",
        SortBy::Status => "?8",
    };
    format!(
        "SELECT name, arn, created, modified, status, document FROM resources
         WHERE kind = ?1
           AND (?2 IS NULL OR instr(lower(name), lower(?2)) > 0)
           AND (?3 IS NULL OR status = ?3)
           AND (?4 IS NULL OR created < ?4) AND (?5 IS NULL OR created > ?5)
           AND (?6 IS NULL OR modified < ?6) AND (?7 IS NULL OR modified > ?7)
           AND (?9 IS NULL OR {key} {than} {given} OR ({key} = {given} AND name {than} ?9))
         ORDER BY {key} {order}, name {order} LIMIT ?10"
    )
}

impl SortBy {
    /// A record's place in this order, as text: with its name, a position.
    fn key(self, record: &Record) -> String {
        match self {
            Self::CreationTime => record.created.0.to_string(),
            Self::LastModifiedTime => record.modified.0.to_string(),
            Self::Name => String::new(),
            Self::Status => record.status.clone(),
        }
    }
}

/// How many records of a kind there are.
///
/// # Errors
/// When the state cannot be read.
pub fn count(connection: &Connection, kind: Kind) -> Result<usize, StateError> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM resources WHERE kind = ?1")?;
    let count: i64 = statement.query_row(params![kind.as_str()], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// All records of a kind, oldest first, each with what it says.
///
/// # Errors
/// When the state cannot be read.
pub fn all_read<T: DeserializeOwned>(
    connection: &Connection,
    kind: Kind,
) -> Result<Vec<(Record, T)>, StateError> {
    let read = |record: Record| record.read().map(|value| (record, value));
    all(connection, kind)?.into_iter().map(read).collect()
}

type Columns = (String, String, i64, i64, String, String);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn record((name, arn, created, modified, status, document): Columns) -> Result<Record, StateError> {
    let document = serde_json::from_str(&document)?;
    let (created, modified) = (Timestamp(created), Timestamp(modified));
    Ok(Record { name, arn, created, modified, status, document })
}

#[cfg(test)]
mod tests;
