//! Events read back: of one stream in either direction, or of many by a pattern.
//!
//! A token is a place between events: direction, time, number. A forward token of the last event that there is stays
//! the same until another comes: that is how clients see the end.

use rusqlite::{Connection, Row, params, params_from_iter};
use wire::Timestamp;

use super::{EVENT_BYTES, Logs, Pattern, group_id, stream_id};
use crate::store::TelemetryError;

/// Bytes of one page. Reason: the public service's limit.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Events that one call looks at to find those of its pattern. Reason: some 10 ms; the token goes on from there.
const SCAN_MAX: usize = 20_000;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number: later ones are greater.
    pub id: i64,
    /// Its stream's name.
    pub stream: String,
    /// When it happened.
    pub time: Timestamp,
    /// When it came.
    pub ingested: Timestamp,
    /// What it says.
    pub message: String,
}

/// Which events of a stream are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// From here on (inclusive).
    pub start: Option<Timestamp>,
    /// Before this.
    pub end: Option<Timestamp>,
    /// The oldest first; only without a token, which has its own direction.
    pub is_from_head: bool,
    /// From the page before.
    pub token: Option<String>,
    /// The most of one page.
    pub limit: usize,
}

/// A page of events, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// What it shows.
    pub events: Vec<Event>,
    /// For those after it.
    pub forward: String,
    /// For those before it.
    pub backward: String,
}

/// Which events of a group are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterQuery {
    /// Of these streams; all when there is none.
    pub streams: Vec<String>,
    /// Of streams whose names begin so.
    pub prefix: String,
    /// From here on (inclusive).
    pub start: Option<Timestamp>,
    /// Before this.
    pub end: Option<Timestamp>,
    /// Whose messages it shows.
    pub pattern: Pattern,
    /// From the page before.
    pub token: Option<String>,
    /// The most of one page.
    pub limit: usize,
}

/// A page of events that were found, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterPage {
    /// What it shows: perhaps nothing, though there are more.
    pub events: Vec<Event>,
    /// For the next page, when there is one.
    pub token: Option<String>,
}

/// A place between events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    is_forward: bool,
    time: i64,
    id: i64,
}

impl Place {
    fn read(token: &str) -> Result<Self, TelemetryError> {
        let mut parts = token.split('/');
        let is_forward = match parts.next() {
            Some("f") => true,
            Some("b") => false,
            _ => return Err(TelemetryError::Token),
        };
        let mut number = || parts.next()?.parse().ok();
        let (time, id) = (number().ok_or(TelemetryError::Token)?, number().ok_or(TelemetryError::Token)?);
        if parts.next().is_some() { Err(TelemetryError::Token) } else { Ok(Self { is_forward, time, id }) }
    }

    fn token(self) -> String {
        let direction = if self.is_forward { 'f' } else { 'b' };
        format!("{direction}/{}/{}", self.time, self.id)
    }
}

impl Logs {
    /// Events of one stream.
    ///
    /// # Errors
    /// When group or stream is not there, or the token is none.
    pub fn events(&self, group: &str, stream: &str, query: &EventQuery) -> Result<EventPage, TelemetryError> {
        let start = query.start.map_or(i64::MIN, |start| start.0);
        let end = query.end.map_or(i64::MAX, |end| end.0);
        let place = match &query.token {
            Some(token) => Place::read(token)?,
            None if query.is_from_head => Place { is_forward: true, time: start, id: 0 },
            None => Place { is_forward: false, time: end, id: 0 },
        };
        let mut events = self.store.read(|connection| {
            let group = group_id(connection, group)?;
            let id = stream_id(connection, group, stream)?;
            of_stream(connection, id, stream, (start, end), place, query.limit)
        })?;
        if !place.is_forward {
            events.reverse();
        }
        let at = |event: &Event, is_forward| Place { is_forward, time: event.time.0, id: event.id };
        let forward = events.last().map_or(Place { is_forward: true, ..place }, |event| at(event, true));
        let backward = events.first().map_or(Place { is_forward: false, ..place }, |event| at(event, false));
        Ok(EventPage { events, forward: forward.token(), backward: backward.token() })
    }

    /// Events of a group, by a pattern.
    ///
    /// # Errors
    /// When the group or a named stream is not there, or the token is none.
    pub fn filter(&self, group: &str, query: &FilterQuery) -> Result<FilterPage, TelemetryError> {
        let start = query.start.map_or(i64::MIN, |start| start.0);
        let end = query.end.map_or(i64::MAX, |end| end.0);
        let place = match &query.token {
            Some(token) => Place::read(token)?,
            None => Place { is_forward: true, time: start, id: 0 },
        };
        self.store.read(|connection| {
            let group = group_id(connection, group)?;
            query.streams.iter().try_for_each(|name| stream_id(connection, group, name).map(drop))?;
            let streams = streams_of(connection, group, query)?;
            scan(connection, &streams, (start, end), place, query)
        })
    }
}

fn of_stream(
    connection: &Connection,
    id: i64,
    name: &str,
    (start, end): (i64, i64),
    place: Place,
    limit: usize,
) -> Result<Vec<Event>, TelemetryError> {
    let (side, order) = if place.is_forward { (">", "") } else { ("<", "DESC") };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, time, ingested, message FROM log_events
         WHERE stream = ?1 AND time >= ?2 AND time < ?3 AND (time, id) {side} (?4, ?5)
         ORDER BY time {order}, id {order} LIMIT ?6"
    ))?;
    let mut rows = statement.query(params![id, start, end, place.time, place.id, limit as i64])?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let event = event(row, name.to_owned())?;
        bytes += event.message.len() + EVENT_BYTES;
        if bytes > PAGE_BYTES_MAX && !events.is_empty() {
            break;
        }
        events.push(event);
    }
    Ok(events)
}

fn event(row: &Row<'_>, stream: String) -> rusqlite::Result<Event> {
    let (time, ingested) = (Timestamp(row.get(1)?), Timestamp(row.get(2)?));
    Ok(Event { id: row.get(0)?, stream, time, ingested, message: row.get(3)? })
}

fn streams_of(
    connection: &Connection,
    group: i64,
    query: &FilterQuery,
) -> Result<Vec<(i64, String)>, TelemetryError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name FROM log_streams WHERE log_group = ?1 AND substr(name, 1, length(?2)) = ?2 ORDER BY id",
    )?;
    let all = statement
        .query_map(params![group, query.prefix], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    let is_asked = |name: &String| query.streams.is_empty() || query.streams.contains(name);
    Ok(all.into_iter().filter(|(_, name)| is_asked(name)).collect())
}

fn scan(
    connection: &Connection,
    streams: &[(i64, String)],
    (start, end): (i64, i64),
    place: Place,
    query: &FilterQuery,
) -> Result<FilterPage, TelemetryError> {
    let holes = vec!["?"; streams.len()].join(", ");
    let mut statement = connection.prepare(&format!(
        "SELECT id, time, ingested, message, stream FROM log_events
         WHERE stream IN ({holes}) AND time >= ? AND time < ? AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?"
    ))?;
    let values =
        streams.iter().map(|(id, _)| *id).chain([start, end, place.time, place.id, SCAN_MAX as i64 + 1]);
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut events, mut bytes, mut scanned, mut last) = (Vec::new(), 0, 0, place);
    while let Some(row) = rows.next()? {
        let of: i64 = row.get(4)?;
        let name = streams.iter().find(|(id, _)| *id == of).map(|(_, name)| name.clone()).unwrap_or_default();
        let event = event(row, name)?;
        let is_over = events.len() == query.limit || scanned == SCAN_MAX || bytes > PAGE_BYTES_MAX;
        if is_over {
            return Ok(FilterPage { events, token: Some(last.token()) });
        }
        scanned += 1;
        last = Place { is_forward: true, time: event.time.0, id: event.id };
        if query.pattern.shows(&event.message) {
            bytes += event.message.len() + EVENT_BYTES;
            events.push(event);
        }
    }
    Ok(FilterPage { events, token: None })
}
