//! The queue's rows: put in before a call is answered, taken out when the outcome is stored.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use wire::Timestamp;

use crate::control::{Kind, StateError};

/// The table, for the state file's migrations.
pub const MIGRATION: &str = "CREATE TABLE async_requests (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        endpoint TEXT NOT NULL,
        inference_id TEXT NOT NULL,
        received INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        request TEXT NOT NULL,
        body BLOB,
        UNIQUE (endpoint, inference_id)
    );
    CREATE INDEX async_requests_in_order ON async_requests (endpoint, sequence);";

/// Which of them are too old is asked every second.
pub const MIGRATION_EXPIRY: &str = "CREATE INDEX async_requests_by_expiry ON async_requests (expires);";

/// Requests that may wait for one endpoint. Reason: a queue of six hours at five a second; a row takes a kilobyte (and at
/// most 128 KB, where its input came with it).
pub const WAITING_MAX: u64 = 100_000;

/// What was asked, as far as it outlives the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsyncRequest {
    /// The endpoint, as it is named.
    pub endpoint: String,
    /// Given, or made.
    pub inference_id: String,
    /// `s3://…` of the input; `None` when it came with the call.
    pub input_location: Option<String>,
    /// Of the input.
    pub content_type: Option<String>,
    /// Of the answer.
    pub accept: Option<String>,
    /// Handed to the model.
    pub custom_attributes: Option<String>,
    /// `s3://…` of the answer.
    pub output_location: String,
    /// `s3://…` of the reason, when there is no answer.
    pub failure_location: Option<String>,
    /// How long the model may take.
    pub invocation_timeout_s: u64,
    /// When it came.
    pub received: Timestamp,
    /// When it is too old to run.
    pub expires: Timestamp,
}

/// A waiting request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its place.
    pub sequence: i64,
    /// What was asked.
    pub request: AsyncRequest,
    /// The input, when it came with the call.
    pub body: Option<Vec<u8>>,
}

/// How a request was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It waits.
    New,
    /// One of the same InferenceId waits already: this is it, and there is no second.
    Known(Box<AsyncRequest>),
    /// There is no room.
    Full,
}

/// Puts a request into the queue.
///
/// # Errors
/// When the state cannot be written.
pub fn enqueue(
    connection: &Connection,
    request: &AsyncRequest,
    body: Option<&[u8]>,
) -> Result<Enqueued, StateError> {
    let known = connection
        .prepare_cached("SELECT request FROM async_requests WHERE endpoint = ?1 AND inference_id = ?2")?
        .query_row(params![request.endpoint, request.inference_id], |row| row.get::<_, String>(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(Enqueued::Known(serde_json::from_str(&known)?));
    }
    if waiting(connection, &request.endpoint)? >= WAITING_MAX {
        return Ok(Enqueued::Full);
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO async_requests (endpoint, inference_id, received, expires, request, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let document = serde_json::to_string(request)?;
    let AsyncRequest { endpoint, inference_id, received, expires, .. } = request;
    statement.execute(params![endpoint, inference_id, received.0, expires.0, document, body])?;
    Ok(Enqueued::New)
}

/// The first requests of an endpoint, in order.
///
/// # Errors
/// When the state cannot be read.
pub fn next(connection: &Connection, endpoint: &str, limit: usize) -> Result<Vec<Queued>, StateError> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, request, body FROM async_requests WHERE endpoint = ?1 ORDER BY sequence LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    all(&mut statement, params![endpoint, limit])
}

/// Requests of any endpoint that are too old to run at `now`, the longest first.
///
/// # Errors
/// When the state cannot be read.
pub fn expired(connection: &Connection, now: Timestamp, limit: usize) -> Result<Vec<Queued>, StateError> {
    // Without its input, which nobody will need.
    let mut statement = connection.prepare_cached(
        "SELECT sequence, request, NULL FROM async_requests WHERE expires < ?1 ORDER BY expires LIMIT ?2",
    )?;
    all(&mut statement, params![now.0, i64::try_from(limit).unwrap_or(i64::MAX)])
}

fn all(
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Queued>, StateError> {
    let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?));
    let rows = statement.query_map(parameters, columns)?.collect::<Result<Vec<_>, _>>()?;
    let queued = |(sequence, request, body): (i64, String, Option<Vec<u8>>)| {
        Ok(Queued { sequence, request: serde_json::from_str(&request)?, body })
    };
    rows.into_iter().map(queued).collect()
}

/// How many requests wait for an endpoint: the index alone tells.
///
/// # Errors
/// When the state cannot be read.
pub fn waiting(connection: &Connection, endpoint: &str) -> Result<u64, StateError> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM async_requests WHERE endpoint = ?1")?;
    let count: i64 = statement.query_row(params![endpoint], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Since when the oldest request of an endpoint waits.
///
/// # Errors
/// When the state cannot be read.
pub fn oldest(connection: &Connection, endpoint: &str) -> Result<Option<Timestamp>, StateError> {
    let mut statement = connection.prepare_cached(
        "SELECT received FROM async_requests WHERE endpoint = ?1 ORDER BY sequence LIMIT 1",
    )?;
    Ok(statement.query_row(params![endpoint], |row| row.get(0)).optional()?.map(Timestamp))
}

/// Takes out what waits for endpoints that are gone: a call may store its request while its endpoint goes.
///
/// # Errors
/// When the state cannot be written.
pub fn remove_orphans(connection: &Connection) -> Result<(), StateError> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM async_requests WHERE endpoint NOT IN (SELECT name FROM resources WHERE kind = ?1)",
    )?;
    statement.execute(params![Kind::Endpoint.as_str()])?;
    Ok(())
}

/// Takes a request out: its outcome is stored.
///
/// # Errors
/// When the state cannot be written.
pub fn remove(connection: &Connection, sequence: i64) -> Result<(), StateError> {
    connection.prepare_cached("DELETE FROM async_requests WHERE sequence = ?1")?.execute([sequence])?;
    Ok(())
}

/// Takes out all that wait for an endpoint: it is gone.
///
/// # Errors
/// When the state cannot be written.
pub fn remove_all(connection: &Connection, endpoint: &str) -> Result<(), StateError> {
    connection.prepare_cached("DELETE FROM async_requests WHERE endpoint = ?1")?.execute([endpoint])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(MIGRATION).unwrap();
        connection.execute_batch(MIGRATION_EXPIRY).unwrap();
        connection.execute_batch("CREATE TABLE resources (kind TEXT, name TEXT)").unwrap();
        connection
    }

    fn request(endpoint: &str, id: &str, received: i64) -> AsyncRequest {
        AsyncRequest {
            endpoint: endpoint.into(),
            inference_id: id.into(),
            input_location: Some("s3://b/in".into()),
            content_type: Some("text/csv".into()),
            accept: None,
            custom_attributes: None,
            output_location: format!("s3://b/out/{id}.out"),
            failure_location: None,
            invocation_timeout_s: 900,
            received: Timestamp(received),
            expires: Timestamp(received + 1000),
        }
    }

    #[test]
    fn requests_wait_in_order_until_they_are_removed() {
        let table = table();
        for (index, id) in ["a", "b", "c"].into_iter().enumerate() {
            let put = enqueue(&table, &request("e", id, index as i64), Some(id.as_bytes())).unwrap();
            assert_eq!(put, Enqueued::New);
        }
        enqueue(&table, &request("other", "a", 9), None).unwrap();
        let all = next(&table, "e", 10).unwrap();
        assert_eq!(
            all.iter().map(|queued| &*queued.request.inference_id).collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        assert_eq!(next(&table, "e", 1).unwrap(), [all[0].clone()]);
        let wait = || (waiting(&table, "e").unwrap(), oldest(&table, "e").unwrap());
        assert_eq!(wait(), (3, Some(Timestamp(0))));
        remove(&table, all[0].sequence).unwrap();
        assert_eq!(next(&table, "e", 1).unwrap(), [all[1].clone()]);
        assert_eq!(wait(), (2, Some(Timestamp(1))));
        remove_all(&table, "e").unwrap();
        assert_eq!(wait(), (0, None));
        assert_eq!(waiting(&table, "other").unwrap(), 1);
    }

    #[test]
    fn what_waits_for_endpoints_that_are_gone_is_taken_out() {
        let table = table();
        table.execute_batch("INSERT INTO resources VALUES ('endpoint', 'there'), ('model', 'gone')").unwrap();
        for endpoint in ["there", "gone"] {
            enqueue(&table, &request(endpoint, "a", 1), None).unwrap();
        }
        remove_orphans(&table).unwrap();
        assert_eq!(["there", "gone"].map(|endpoint| waiting(&table, endpoint).unwrap()), [1, 0]);
    }

    #[test]
    fn the_oldest_expire_first_wherever_they_wait() {
        let table = table();
        for (endpoint, id, received) in [("e", "a", 3), ("f", "b", 1), ("e", "c", 2)] {
            enqueue(&table, &request(endpoint, id, received), Some(b"1")).unwrap();
        }
        let at = |now: i64, limit| -> Vec<String> {
            let expired = expired(&table, Timestamp(now), limit).unwrap();
            assert!(expired.iter().all(|queued| queued.body.is_none()));
            expired.into_iter().map(|queued| queued.request.inference_id).collect()
        };
        assert!(at(1001, 9).is_empty());
        assert_eq!(at(1003, 9), ["b", "c"]);
        assert_eq!(at(9999, 9), ["b", "c", "a"]);
        assert_eq!(at(9999, 1), ["b"]);
    }

    #[test]
    fn an_inference_id_waits_once() {
        let table = table();
        let first = request("e", "a", 1);
        enqueue(&table, &first, None).unwrap();
        let again = enqueue(&table, &request("e", "a", 2), None).unwrap();
        assert_eq!(again, Enqueued::Known(Box::new(first)));
        assert_eq!(enqueue(&table, &request("f", "a", 2), None).unwrap(), Enqueued::New);
    }
}
