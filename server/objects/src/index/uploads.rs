//! Uploads in parts, of the index.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{signed, unsigned};
use crate::digest::{Algorithm, Checksums};
use crate::error::{Error, Result};
use crate::record::Attributes;

/// The most uploads under way. Reason: an index of all of them must stay small; forgotten ones end by themselves.
pub(crate) const UPLOADS_MAX: u64 = 100_000;

/// An upload in parts that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadRecord {
    /// Its id.
    pub(crate) id: String,
    /// The key it will have.
    pub(crate) key: String,
    /// When it began, in milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// The rest.
    pub(crate) details: UploadDetails,
}

/// What the client said when it began an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UploadDetails {
    /// What it says about the object.
    pub(crate) attributes: Attributes,
    /// The checksum that its parts have.
    pub(crate) algorithm: Option<Algorithm>,
    /// Whether the object's checksum is of all its bytes, not of its parts' checksums.
    pub(crate) is_full_object: bool,
}

/// A part that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadedPart {
    /// Its number.
    pub(crate) number: u32,
    /// Which version of its bytes.
    pub(crate) generation: u64,
    /// How many bytes.
    pub(crate) size: u64,
    /// When it came, in milliseconds since 1970.
    pub(crate) modified_ms: i64,
    /// MD5, in hexadecimal: its entity tag.
    pub(crate) md5: String,
    /// Its checksums.
    pub(crate) checksums: Checksums,
}

pub(crate) fn create(connection: &Connection, bucket: i64, upload: &UploadRecord) -> Result<()> {
    let count: i64 = connection.query_row("SELECT count(*) FROM uploads", [], |row| row.get(0))?;
    if unsigned(count) >= UPLOADS_MAX {
        return Err(Error::TooManyUploads { limit: UPLOADS_MAX });
    }
    let details = serde_json::to_string(&upload.details)?;
    let sql = "INSERT INTO uploads VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.execute(sql, (&upload.id, bucket, upload.key.as_bytes(), upload.created_ms, details))?;
    Ok(())
}

/// The upload of this id, if it is of this bucket and key.
pub(crate) fn find(connection: &Connection, bucket: &str, key: &str, id: &str) -> Result<UploadRecord> {
    let bucket = super::buckets::id(connection, bucket)?;
    let sql = "SELECT created_ms, details FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3";
    let mut select = connection.prepare_cached(sql)?;
    let found = select
        .query_row((id, bucket, key.as_bytes()), |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let Some((created_ms, details)) = found else { return Err(Error::NoUpload(id.to_owned())) };
    let details = serde_json::from_str(&details)?;
    Ok(UploadRecord { id: id.to_owned(), key: key.to_owned(), created_ms, details })
}

/// Uploads of a bucket after (`key`, `id`), in order; at most `limit`.
pub(crate) fn after(
    connection: &Connection,
    bucket: &str,
    prefix: &str,
    (key, id): (&str, &str),
    limit: usize,
) -> Result<Vec<UploadRecord>> {
    let bucket = super::buckets::id(connection, bucket)?;
    let sql = "SELECT id, key, created_ms, details FROM uploads WHERE bucket = ?1 AND (key, id) > (?2, ?3) AND key >= ?4
        ORDER BY key, id";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query((bucket, key.as_bytes(), id, prefix.as_bytes()))?;
    let mut found = Vec::new();
    while let (Some(row), true) = (rows.next()?, found.len() < limit) {
        let key = String::from_utf8_lossy(&row.get::<_, Vec<u8>>(1)?).into_owned();
        if !key.starts_with(prefix) {
            break;
        }
        let details = serde_json::from_str(&row.get::<_, String>(3)?)?;
        found.push(UploadRecord { id: row.get(0)?, key, created_ms: row.get(2)?, details });
    }
    Ok(found)
}

/// Ids of the uploads that began before `created_ms`.
pub(crate) fn stale(connection: &Connection, created_ms: i64) -> Result<Vec<String>> {
    let mut select = connection.prepare("SELECT id FROM uploads WHERE created_ms < ?1")?;
    let rows = select.query_map([created_ms], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Ids of the uploads of a bucket.
pub(crate) fn of_bucket(connection: &Connection, bucket: i64) -> Result<Vec<String>> {
    let mut select = connection.prepare("SELECT id FROM uploads WHERE bucket = ?1")?;
    let rows = select.query_map([bucket], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Parts of an upload with a number after `number`, in order; at most `limit`.
pub(crate) fn parts(
    connection: &Connection,
    id: &str,
    number: u32,
    limit: usize,
) -> Result<Vec<UploadedPart>> {
    let sql = "SELECT number, generation, size, modified_ms, md5, checksums FROM parts WHERE upload = ?1 AND number > ?2
        ORDER BY number LIMIT ?3";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query((id, number, signed(limit as u64)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(UploadedPart {
            number: row.get(0)?,
            generation: unsigned(row.get(1)?),
            size: unsigned(row.get(2)?),
            modified_ms: row.get(3)?,
            md5: row.get(4)?,
            checksums: serde_json::from_str(&row.get::<_, String>(5)?)?,
        });
    }
    Ok(found)
}

/// Writes a part; the version of the bytes it replaces, if it does.
pub(crate) fn put_part(connection: &Connection, id: &str, part: &UploadedPart) -> Result<Option<u64>> {
    let sql = "SELECT generation FROM parts WHERE upload = ?1 AND number = ?2";
    let replaced: Option<i64> =
        connection.prepare_cached(sql)?.query_row((id, part.number), |row| row.get(0)).optional()?;
    let sql = "INSERT OR REPLACE INTO parts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute((
        id,
        part.number,
        signed(part.generation),
        signed(part.size),
        part.modified_ms,
        &part.md5,
        serde_json::to_string(&part.checksums)?,
    ))?;
    Ok(replaced.map(unsigned))
}

/// Ends an upload: the versions of its parts' bytes.
pub(crate) fn delete(connection: &Connection, id: &str) -> Result<Vec<u64>> {
    connection.execute("DELETE FROM uploads WHERE id = ?1", [id])?;
    let mut delete = connection.prepare_cached("DELETE FROM parts WHERE upload = ?1 RETURNING generation")?;
    let rows = delete.query_map([id], |row| row.get(0).map(unsigned))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The versions of bytes that are parts of uploads under way.
pub(crate) fn generations(connection: &Connection) -> Result<std::collections::HashSet<u64>> {
    let mut select = connection.prepare("SELECT generation FROM parts")?;
    let rows = select.query_map([], |row| row.get(0).map(unsigned))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
