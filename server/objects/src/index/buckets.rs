//! Buckets of the index.

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};

/// The most buckets. Reason: S3's quota of an account, and one answer lists them all.
pub(crate) const BUCKETS_MAX: usize = 10_000;

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketRecord {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// The region it was made for; empty is us-east-1, as S3 has it.
    pub location: String,
}

/// The number of a bucket; numbers are never used again.
pub(crate) fn id(connection: &Connection, name: &str) -> Result<i64> {
    let mut select = connection.prepare_cached("SELECT id FROM buckets WHERE name = ?1")?;
    select.query_row([name], |row| row.get(0)).optional()?.ok_or_else(|| Error::NoBucket(name.to_owned()))
}

pub(crate) fn find(connection: &Connection, name: &str) -> Result<BucketRecord> {
    let mut select =
        connection.prepare_cached("SELECT name, created_ms, location FROM buckets WHERE name = ?1")?;
    let found = select.query_row([name], read).optional()?;
    found.ok_or_else(|| Error::NoBucket(name.to_owned()))
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<BucketRecord>> {
    let mut select =
        connection.prepare_cached("SELECT name, created_ms, location FROM buckets ORDER BY name")?;
    let rows = select.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<BucketRecord> {
    Ok(BucketRecord { name: row.get(0)?, created_ms: row.get(1)?, location: row.get(2)? })
}

pub(crate) fn create(connection: &Connection, bucket: &BucketRecord) -> Result<()> {
    if id(connection, &bucket.name).is_ok() {
        return Err(Error::BucketTaken(bucket.name.clone()));
    }
    let count: i64 = connection.query_row("SELECT count(*) FROM buckets", [], |row| row.get(0))?;
    if usize::try_from(count).is_ok_and(|count| count >= BUCKETS_MAX) {
        return Err(Error::TooManyBuckets { limit: BUCKETS_MAX });
    }
    let sql = "INSERT INTO buckets (name, created_ms, location) VALUES (?1, ?2, ?3)";
    connection.execute(sql, (&bucket.name, bucket.created_ms, &bucket.location))?;
    Ok(())
}

/// Removes an empty bucket; its uploads under way must have been removed before.
pub(crate) fn delete(connection: &Connection, name: &str) -> Result<()> {
    let id = id(connection, name)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)";
    if connection.query_row(sql, [id], |row| row.get(0))? {
        return Err(Error::BucketNotEmpty(name.to_owned()));
    }
    connection.execute("DELETE FROM buckets WHERE id = ?1", [id])?;
    Ok(())
}
