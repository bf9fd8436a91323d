//! What remains to be done with files once a transaction stands: bring new bytes to their place, remove old ones.

use std::collections::HashSet;

use rusqlite::Connection;

use super::{signed, unsigned};
use crate::error::Result;

/// A thing to do with the file of one version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chore {
    pub(crate) generation: u64,
    pub(crate) is_removal: bool,
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl Chore {
    pub(crate) fn place(bucket: &str, key: &str, generation: u64) -> Self {
        Self { generation, is_removal: false, bucket: bucket.to_owned(), key: key.to_owned() }
    }

    pub(crate) fn removal(bucket: &str, key: &str, generation: u64) -> Self {
        Self { is_removal: true, ..Self::place(bucket, key, generation) }
    }
}

/// Notes `chore`, in the transaction that makes it necessary.
pub(crate) fn add(connection: &Connection, chore: &Chore) -> Result<()> {
    let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO chores VALUES (?1, ?2, ?3, ?4)")?;
    insert.execute((signed(chore.generation), chore.is_removal, &chore.bucket, chore.key.as_bytes()))?;
    Ok(())
}

/// Forgets chores that are done.
pub(crate) fn forget(connection: &Connection, done: &[(u64, bool)]) -> Result<()> {
    let mut delete =
        connection.prepare_cached("DELETE FROM chores WHERE generation = ?1 AND is_removal = ?2")?;
    for (generation, is_removal) in done {
        delete.execute((signed(*generation), is_removal))?;
    }
    Ok(())
}

/// All that were left, placements before removals.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Chore>> {
    let sql = "SELECT generation, is_removal, bucket, key FROM chores ORDER BY is_removal, generation";
    let mut select = connection.prepare(sql)?;
    let rows = select.query_map([], |row| {
        Ok(Chore {
            generation: unsigned(row.get(0)?),
            is_removal: row.get(1)?,
            bucket: row.get(2)?,
            key: String::from_utf8_lossy(&row.get::<_, Vec<u8>>(3)?).into_owned(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether something remains to be done with these bytes.
pub(crate) fn is_open(connection: &Connection, generation: u64) -> Result<bool> {
    let mut select =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM chores WHERE generation = ?1)")?;
    Ok(select.query_row([signed(generation)], |row| row.get(0))?)
}

/// The placements of objects whose bytes are among `generations`.
pub(crate) fn lost(connection: &Connection, generations: &HashSet<u64>) -> Result<Vec<Chore>> {
    let sql = "SELECT objects.generation, buckets.name, objects.key FROM objects JOIN buckets ON buckets.id = objects.bucket";
    let mut select = connection.prepare(sql)?;
    let mut rows = select.query([])?;
    let mut chores = Vec::new();
    while let Some(row) = rows.next()? {
        let generation = unsigned(row.get(0)?);
        if generations.contains(&generation) {
            let key = String::from_utf8_lossy(&row.get::<_, Vec<u8>>(2)?).into_owned();
            chores.push(Chore::place(&row.get::<_, String>(1)?, &key, generation));
        }
    }
    Ok(chores)
}
