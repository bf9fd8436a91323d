//! Log groups, their streams, and the events in them.
//!
//! The server's own lines come through [`Logs::enqueue`], which never waits; [`Logs::flush`] writes them in one
//! transaction. Clients put theirs with [`Logs::put`].

mod groups;
mod pattern;
mod read;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use wire::Timestamp;

use crate::store::{Store, TelemetryError};

pub use groups::{Group, GroupPage, Stream, StreamOrder, StreamPage, StreamQuery};
pub use pattern::Pattern;
pub use read::{Event, EventPage, EventQuery, FilterPage, FilterQuery};

/// Lines that wait to be written. Reason: seconds of a busy server; what comes beyond is counted and dropped, since
/// nobody who serves may wait for a disk.
const PENDING_MAX: usize = 10_000;

/// Bytes of a message. Reason: the public service's limit, less its overhead of an event.
pub const MESSAGE_BYTES_MAX: usize = (256 << 10) - EVENT_BYTES;

/// What an event counts beside its message. Reason: so does the public service.
pub const EVENT_BYTES: usize = 26;

/// Bytes of all events. Reason: a disk that logs fill is a server that stops; the oldest go first.
const BYTES_MAX: i64 = 1 << 30;

/// Log groups. Reason: an endpoint each, and what clients make; names are listed in memory.
const GROUPS_MAX: usize = 10_000;

/// Streams of one group. Reason: an instance each over its life.
const STREAMS_MAX: usize = 10_000;

/// All logs; see the module's head.
#[derive(Debug)]
pub struct Logs {
    store: Arc<Store>,
    pending: Mutex<VecDeque<Line>>,
    dropped: AtomicU64,
}

/// A line of the server's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its group, made when it is not there.
    pub group: String,
    /// Its stream, made when it is not there.
    pub stream: String,
    /// When it was said.
    pub time: Timestamp,
    /// What was said.
    pub message: String,
}

impl Logs {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, pending: Mutex::default(), dropped: AtomicU64::new(0) }
    }

    /// Keeps a line until [`flush`](Self::flush). Never waits for the disk; drops the line when too many wait.
    pub fn enqueue(&self, line: Line) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() < PENDING_MAX {
            pending.push_back(line);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped since the server started.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes what was kept.
    ///
    /// # Errors
    /// When the file cannot be written: the lines are lost then.
    pub fn flush(&self, now: Timestamp) -> Result<(), TelemetryError> {
        let pending = mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.is_empty() {
            return Ok(());
        }
        self.store.write(|connection| pending.iter().try_for_each(|line| append(connection, line, now)))
    }

    /// Writes lines at once, past those that are kept.
    ///
    /// # Errors
    /// When the file cannot be written: the lines are lost then.
    pub fn write(&self, lines: &[Line], now: Timestamp) -> Result<(), TelemetryError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.store.write(|connection| lines.iter().try_for_each(|line| append(connection, line, now)))
    }

    /// Puts events into a stream that is there.
    ///
    /// # Errors
    /// When group or stream is not there, or the file cannot be written.
    pub fn put(
        &self,
        group: &str,
        stream: &str,
        events: &[(Timestamp, String)],
        now: Timestamp,
    ) -> Result<(), TelemetryError> {
        self.store.write(|connection| {
            let group = group_id(connection, group)?;
            let stream = stream_id(connection, group, stream)?;
            events.iter().try_for_each(|(time, message)| put(connection, group, stream, *time, message, now))
        })
    }

    /// Forgets what is older than its group's retention, and the oldest events when there are too many bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget(&self, now: Timestamp) -> Result<(), TelemetryError> {
        self.store.write(|connection| {
            forget_by_age(connection, now)?;
            forget_by_size(connection, BYTES_MAX)
        })
    }
}

/// A server's line may name what is not there yet, and may be too long.
fn append(connection: &Connection, line: &Line, now: Timestamp) -> Result<(), TelemetryError> {
    let group = match group_id(connection, &line.group) {
        Err(TelemetryError::NoGroup) => groups::create_group(connection, &line.group, now)?,
        found => found?,
    };
    let stream = match stream_id(connection, group, &line.stream) {
        Err(TelemetryError::NoStream) => groups::create_stream(connection, group, &line.stream, now)?,
        found => found?,
    };
    let text = line.message.trim_end_matches(['\r', '\n']);
    let end = text.floor_char_boundary(MESSAGE_BYTES_MAX);
    let is_empty = end == 0;
    if is_empty { Ok(()) } else { put(connection, group, stream, line.time, &text[..end], now) }
}

fn put(
    connection: &Connection,
    group: i64,
    stream: i64,
    time: Timestamp,
    message: &str,
    now: Timestamp,
) -> Result<(), TelemetryError> {
    let mut statement = connection
        .prepare_cached("INSERT INTO log_events (stream, time, ingested, message) VALUES (?1, ?2, ?3, ?4)")?;
    statement.execute(params![stream, time.0, now.0, message])?;
    let bytes = (message.len() + EVENT_BYTES) as i64;
    let mut statement = connection.prepare_cached(
        "UPDATE log_streams SET first_event = min(coalesce(first_event, ?2), ?2),
             last_event = max(coalesce(last_event, ?2), ?2), last_ingestion = ?3, bytes = bytes + ?4
         WHERE id = ?1",
    )?;
    statement.execute(params![stream, time.0, now.0, bytes])?;
    connection
        .prepare_cached("UPDATE log_groups SET bytes = bytes + ?2 WHERE id = ?1")?
        .execute(params![group, bytes])?;
    Ok(())
}

fn group_id(connection: &Connection, name: &str) -> Result<i64, TelemetryError> {
    let mut statement = connection.prepare_cached("SELECT id FROM log_groups WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()?.ok_or(TelemetryError::NoGroup)
}

fn stream_id(connection: &Connection, group: i64, name: &str) -> Result<i64, TelemetryError> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM log_streams WHERE log_group = ?1 AND name = ?2")?;
    statement.query_row(params![group, name], |row| row.get(0)).optional()?.ok_or(TelemetryError::NoStream)
}

fn forget_by_age(connection: &Connection, now: Timestamp) -> Result<(), TelemetryError> {
    const DAY_MS: i64 = 24 * 3600 * 1000;
    let mut statement = connection
        .prepare_cached("SELECT id, retention_days FROM log_groups WHERE retention_days IS NOT NULL")?;
    let groups: Vec<(i64, i64)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (group, days) in groups {
        let oldest = now.0.saturating_sub(days.saturating_mul(DAY_MS));
        remove_events(
            connection,
            "time < ?1 AND stream IN (SELECT id FROM log_streams WHERE log_group = ?2)",
            [oldest, group],
        )?;
    }
    Ok(())
}

fn forget_by_size(connection: &Connection, bytes_max: i64) -> Result<(), TelemetryError> {
    let mut statement = connection.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM log_groups")?;
    let bytes: i64 = statement.query_row([], |row| row.get(0))?;
    if bytes <= bytes_max {
        return Ok(());
    }
    // A tenth more than must be, so that not every call has something to remove.
    let excess = bytes - bytes_max + bytes_max / 10;
    let mut statement =
        connection.prepare_cached("SELECT id, length(message) FROM log_events ORDER BY id")?;
    let mut rows = statement.query([])?;
    let (mut removed, mut until) = (0, 0);
    while let Some(row) = rows.next()? {
        if removed >= excess {
            break;
        }
        until = row.get(0)?;
        removed += row.get::<_, i64>(1)? + EVENT_BYTES as i64;
    }
    remove_events(connection, "id <= ?1 AND ?2 = 0", [until, 0])
}

/// Removes the events of a condition, and their bytes from what their streams and groups count.
fn remove_events(connection: &Connection, condition: &str, values: [i64; 2]) -> Result<(), TelemetryError> {
    let sql = format!(
        "SELECT stream, sum(length(CAST(message AS BLOB)) + {EVENT_BYTES}) FROM log_events WHERE {condition} GROUP BY stream"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let removed: Vec<(i64, i64)> =
        statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    connection.prepare_cached(&format!("DELETE FROM log_events WHERE {condition}"))?.execute(values)?;
    for (stream, bytes) in removed {
        connection
            .prepare_cached(
                "UPDATE log_groups SET bytes = bytes - ?2
                 WHERE id = (SELECT log_group FROM log_streams WHERE id = ?1)",
            )?
            .execute(params![stream, bytes])?;
        connection
            .prepare_cached(
                "UPDATE log_streams SET bytes = bytes - ?2,
                     first_event = (SELECT min(time) FROM log_events WHERE stream = ?1) WHERE id = ?1",
            )?
            .execute(params![stream, bytes])?;
    }
    Ok(())
}
