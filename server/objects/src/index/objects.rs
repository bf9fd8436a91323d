//! Objects of the index.

use rusqlite::{Connection, OptionalExtension, Row};

use super::{signed, unsigned};
use crate::error::{Error, Result};
use crate::record::ObjectRecord;

/// The object at `key` of the bucket numbered `bucket`.
pub(crate) fn find(connection: &Connection, bucket: i64, key: &str) -> Result<Option<ObjectRecord>> {
    let sql =
        "SELECT generation, size, modified_ms, etag, details FROM objects WHERE bucket = ?1 AND key = ?2";
    let mut select = connection.prepare_cached(sql)?;
    let found = select
        .query_row((bucket, key.as_bytes()), |row| Ok((read(row)?, row.get::<_, String>(4)?)))
        .optional()?;
    let Some((mut record, details)) = found else { return Ok(None) };
    record.details = serde_json::from_str(&details)?;
    Ok(Some(record))
}

/// The same, of a bucket by name.
pub(crate) fn get(connection: &Connection, bucket: &str, key: &str) -> Result<ObjectRecord> {
    let id = super::buckets::id(connection, bucket)?;
    find(connection, id, key)?.ok_or_else(|| Error::NoKey(key.to_owned()))
}

fn read(row: &Row<'_>) -> rusqlite::Result<ObjectRecord> {
    Ok(ObjectRecord {
        generation: unsigned(row.get(0)?),
        size: unsigned(row.get(1)?),
        modified_ms: row.get(2)?,
        etag: row.get(3)?,
        details: crate::record::Details::default(),
    })
}

/// Writes an object, over another too.
pub(crate) fn put(connection: &Connection, bucket: i64, key: &str, record: &ObjectRecord) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut insert = connection.prepare_cached(sql)?;
    insert.execute((
        bucket,
        key.as_bytes(),
        signed(record.generation),
        signed(record.size),
        record.modified_ms,
        &record.etag,
        record.details.to_json()?,
    ))?;
    Ok(())
}

/// Removes an object.
pub(crate) fn delete(connection: &Connection, bucket: i64, key: &str) -> Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?;
    delete.execute((bucket, key.as_bytes()))?;
    Ok(())
}
