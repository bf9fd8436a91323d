//! Groups and streams: made, listed, removed.

use rusqlite::{Connection, params};
use wire::Timestamp;

use super::{GROUPS_MAX, Logs, STREAMS_MAX, group_id, stream_id};
use crate::store::TelemetryError;

/// A log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Days that its events are kept; `None` is for ever.
    pub retention_days: Option<u32>,
    /// Bytes of its events.
    pub bytes: u64,
}

/// A page of groups, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPage {
    /// What it shows.
    pub groups: Vec<Group>,
    /// Where the next begins, when there is one.
    pub next: Option<String>,
}

/// A log stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The time of its first event.
    pub first_event: Option<Timestamp>,
    /// The time of its last event.
    pub last_event: Option<Timestamp>,
    /// When an event last came.
    pub last_ingestion: Option<Timestamp>,
    /// Bytes of its events.
    pub bytes: u64,
}

/// The order of a list of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamOrder {
    /// By name.
    #[default]
    LogStreamName,
    /// By the time of the last event.
    LastEventTime,
}

/// Which streams are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamQuery {
    /// Whose names begin so.
    pub prefix: String,
    /// In which order.
    pub order: StreamOrder,
    /// The last first.
    pub is_descending: bool,
    /// After the one that this token names.
    pub token: Option<String>,
    /// The most of one page.
    pub limit: usize,
}

/// A page of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPage {
    /// What it shows.
    pub streams: Vec<Stream>,
    /// For the next page, when there is one.
    pub token: Option<String>,
}

impl Logs {
    /// Makes a group.
    ///
    /// # Errors
    /// When it is there, or there are too many.
    pub fn create_group(&self, name: &str, now: Timestamp) -> Result<(), TelemetryError> {
        self.store.write(|connection| match group_id(connection, name) {
            Err(TelemetryError::NoGroup) => create_group(connection, name, now).map(drop),
            Ok(_) => Err(TelemetryError::GroupExists),
            Err(error) => Err(error),
        })
    }

    /// Makes a stream of a group.
    ///
    /// # Errors
    /// When the group is not there, the stream is, or there are too many.
    pub fn create_stream(&self, group: &str, name: &str, now: Timestamp) -> Result<(), TelemetryError> {
        self.store.write(|connection| {
            let group = group_id(connection, group)?;
            match stream_id(connection, group, name) {
                Err(TelemetryError::NoStream) => create_stream(connection, group, name, now).map(drop),
                Ok(_) => Err(TelemetryError::StreamExists),
                Err(error) => Err(error),
            }
        })
    }

    /// Removes a group with all that is in it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn delete_group(&self, name: &str) -> Result<(), TelemetryError> {
        self.store.write(|connection| {
            let group = group_id(connection, name)?;
            let events =
                "DELETE FROM log_events WHERE stream IN (SELECT id FROM log_streams WHERE log_group = ?1)";
            for sql in [
                events,
                "DELETE FROM log_streams WHERE log_group = ?1",
                "DELETE FROM log_groups WHERE id = ?1",
            ] {
                connection.prepare_cached(sql)?.execute([group])?;
            }
            Ok(())
        })
    }

    /// Removes a stream with all that is in it.
    ///
    /// # Errors
    /// When group or stream is not there.
    pub fn delete_stream(&self, group: &str, name: &str) -> Result<(), TelemetryError> {
        self.store.write(|connection| {
            let group = group_id(connection, group)?;
            let stream = stream_id(connection, group, name)?;
            let bytes = "UPDATE log_groups SET bytes = bytes - (SELECT bytes FROM log_streams WHERE id = ?1)
                         WHERE id = (SELECT log_group FROM log_streams WHERE id = ?1)";
            for sql in
                [bytes, "DELETE FROM log_events WHERE stream = ?1", "DELETE FROM log_streams WHERE id = ?1"]
            {
                connection.prepare_cached(sql)?.execute([stream])?;
            }
            Ok(())
        })
    }

    /// Keeps the events of a group for so many days; `None` is for ever.
    ///
    /// # Errors
    /// When the group is not there.
    pub fn set_retention(&self, name: &str, days: Option<u32>) -> Result<(), TelemetryError> {
        self.store.write(|connection| {
            let group = group_id(connection, name)?;
            let mut statement =
                connection.prepare_cached("UPDATE log_groups SET retention_days = ?2 WHERE id = ?1")?;
            statement.execute(params![group, days])?;
            Ok(())
        })
    }

    /// The groups whose names begin with `prefix` and hold `part`, after the one of the name `after`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn groups(
        &self,
        prefix: &str,
        part: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<GroupPage, TelemetryError> {
        let mut groups = self.store.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name, created, retention_days, bytes FROM log_groups
                 WHERE substr(name, 1, length(?1)) = ?1 AND instr(name, ?2) > 0 AND (?3 IS NULL OR name > ?3)
                 ORDER BY name LIMIT ?4",
            )?;
            let rows = statement.query_map(params![prefix, part, after, limit as i64 + 1], |row| {
                let created = Timestamp(row.get(1)?);
                Ok(Group {
                    name: row.get(0)?,
                    created,
                    retention_days: row.get(2)?,
                    bytes: bytes(row.get(3)?),
                })
            })?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })?;
        let has_more = groups.len() > limit;
        groups.truncate(limit);
        let next = groups.last().filter(|_| has_more).map(|group| group.name.clone());
        Ok(GroupPage { groups, next })
    }

    /// The streams of a group.
    ///
    /// # Errors
    /// When the group is not there, or the token is none of this list.
    pub fn streams(&self, group: &str, query: &StreamQuery) -> Result<StreamPage, TelemetryError> {
        let mut streams = self.store.read(|connection| {
            let group = group_id(connection, group)?;
            streams(connection, group, &query.prefix)
        })?;
        let key = |stream: &Stream| match query.order {
            StreamOrder::LogStreamName => (0, stream.name.clone()),
            StreamOrder::LastEventTime => {
                (stream.last_event.unwrap_or(stream.created).0, stream.name.clone())
            }
        };
        streams.sort_by_cached_key(key);
        if query.is_descending {
            streams.reverse();
        }
        if let Some(token) = &query.token {
            let last = read_token(token)?;
            streams
                .retain(|stream| if query.is_descending { key(stream) < last } else { key(stream) > last });
        }
        let has_more = streams.len() > query.limit;
        streams.truncate(query.limit);
        let token = streams.last().filter(|_| has_more).map(|stream| {
            let (time, name) = key(stream);
            format!("{time}/{name}")
        });
        Ok(StreamPage { streams, token })
    }
}

fn read_token(token: &str) -> Result<(i64, String), TelemetryError> {
    let (time, name) = token.split_once('/').ok_or(TelemetryError::Token)?;
    Ok((time.parse().map_err(|_| TelemetryError::Token)?, name.to_owned()))
}

fn streams(connection: &Connection, group: i64, prefix: &str) -> Result<Vec<Stream>, TelemetryError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, created, first_event, last_event, last_ingestion, bytes FROM log_streams
         WHERE log_group = ?1 AND substr(name, 1, length(?2)) = ?2",
    )?;
    let rows = statement.query_map(params![group, prefix], |row| {
        let time = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(Timestamp));
        Ok(Stream {
            name: row.get(0)?,
            created: Timestamp(row.get(1)?),
            first_event: time(2)?,
            last_event: time(3)?,
            last_ingestion: time(4)?,
            bytes: bytes(row.get(5)?),
        })
    })?;
    Ok(rows.collect::<Result<Vec<_>, _>>()?)
}

fn bytes(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or_default()
}

pub(super) fn create_group(
    connection: &Connection,
    name: &str,
    now: Timestamp,
) -> Result<i64, TelemetryError> {
    at_most(connection, "SELECT count(*) FROM log_groups WHERE ?1 = 0", 0, GROUPS_MAX, "log groups")?;
    let mut statement =
        connection.prepare_cached("INSERT INTO log_groups (name, created) VALUES (?1, ?2)")?;
    Ok(statement.insert(params![name, now.0])?)
}

pub(super) fn create_stream(
    connection: &Connection,
    group: i64,
    name: &str,
    now: Timestamp,
) -> Result<i64, TelemetryError> {
    let count = "SELECT count(*) FROM log_streams WHERE log_group = ?1";
    at_most(connection, count, group, STREAMS_MAX, "streams of a log group")?;
    let mut statement = connection
        .prepare_cached("INSERT INTO log_streams (log_group, name, created) VALUES (?1, ?2, ?3)")?;
    Ok(statement.insert(params![group, name, now.0])?)
}

fn at_most(
    connection: &Connection,
    count: &str,
    value: i64,
    limit: usize,
    of: &'static str,
) -> Result<(), TelemetryError> {
    let held: i64 = connection.prepare_cached(count)?.query_row([value], |row| row.get(0))?;
    let is_full = usize::try_from(held).is_ok_and(|held| held >= limit);
    if is_full { Err(TelemetryError::Full { limit, of }) } else { Ok(()) }
}
