//! Writing, copying and deleting objects.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use crate::condition::Conditions;
use crate::digest::hex;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::index::chores::{self, Chore};
use crate::index::{buckets, objects};
use crate::names;
use crate::record::{Attributes, Details, ObjectRecord, now_ms};
use crate::writer::{Announced, IncomingFile, receive};

/// The most bytes of one upload that is not in parts. Reason: S3's.
pub(crate) const PUT_BYTES_MAX: u64 = 5 << 30;

impl Directory {
    /// Writes an object: it is on the disk when this returns, and readers see all of it or what was there before.
    pub(crate) async fn put<S, E>(
        self: &Arc<Self>,
        (bucket, key): (&str, &str),
        body: S,
        announced: Announced,
        attributes: Attributes,
        conditions: Conditions,
    ) -> Result<ObjectRecord>
    where
        S: Stream<Item = std::result::Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        names::check_key(key)?;
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let of_admission = bucket.clone();
        // A body of gigabytes is not taken in for a bucket that is not there.
        let admit = move |store: &Directory| {
            store.index.read(|connection| buckets::id(connection, &of_admission)).map(drop)
        };
        let stored = receive(self, body, announced, admit).await?;
        let details = Details { attributes, checksums: stored.digests.checksums, ..Details::default() };
        let record = ObjectRecord {
            generation: stored.file.generation,
            size: stored.size,
            modified_ms: now_ms(),
            etag: hex(&stored.digests.md5),
            details,
        };
        self.commit((bucket, key), stored.file, record, conditions).await
    }

    /// Makes `file` the object at `key`.
    async fn commit(
        self: &Arc<Self>,
        (bucket, key): (String, String),
        file: IncomingFile,
        record: ObjectRecord,
        conditions: Conditions,
    ) -> Result<ObjectRecord> {
        self.change(Some(file), move |transaction| {
            let chores = replace(transaction, (&bucket, &key), &record, &conditions)?;
            Ok((record, chores))
        })
        .await
    }

    /// Copies an object; its bytes are shared, not copied. `attributes` replace those it has.
    pub(crate) async fn copy(
        self: &Arc<Self>,
        (from_bucket, from_key): (&str, &str),
        (bucket, key): (&str, &str),
        source_conditions: Conditions,
        conditions: Conditions,
        attributes: impl FnOnce(Attributes) -> Attributes + Send + 'static,
    ) -> Result<ObjectRecord> {
        names::check_key(key)?;
        let (from_bucket, from_key) = (from_bucket.to_owned(), from_key.to_owned());
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let of_admission = bucket.clone();
        let linked = self.blocking(move |store| {
            store.index.read(|connection| buckets::id(connection, &of_admission))?;
            let file = IncomingFile::new(store);
            let check = |record: &ObjectRecord| source_conditions.check_source(record);
            let (source, ()) =
                store.with_file(&from_bucket, &from_key, check, |path| share(path, &file.path))?;
            let mut record = ObjectRecord { generation: file.generation, modified_ms: now_ms(), ..source };
            record.details.attributes = attributes(record.details.attributes);
            record.details.upload_id = None;
            Ok((file, record))
        });
        let (file, record) = linked.await?;
        self.commit((bucket, key), file, record, conditions).await
    }

    /// Replaces what a client says about an object; its bytes and its age stay.
    pub(crate) async fn annotate(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        change: impl FnOnce(&mut Attributes) + Send + 'static,
    ) -> Result<()> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.change(None, move |transaction| {
            let id = buckets::id(transaction, &bucket)?;
            let found = objects::find(transaction, id, &key)?;
            let mut record = found.ok_or_else(|| Error::NoKey(key.clone()))?;
            change(&mut record.details.attributes);
            objects::put(transaction, id, &key, &record)?;
            Ok(((), Vec::new()))
        })
        .await
    }

    /// Deletes an object if it is there; whether it was.
    ///
    /// # Errors
    /// When the bucket is not there, or a condition does not hold.
    pub async fn delete(self: &Arc<Self>, bucket: &str, key: &str, conditions: Conditions) -> Result<bool> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let mut deleted = self.delete_all(bucket, vec![(key, conditions)]).await?;
        deleted.pop().unwrap_or(Ok(false))
    }

    /// Deletes objects, all in one transaction; whether each was there, or why it stays.
    ///
    /// # Errors
    /// When the bucket is not there.
    pub async fn delete_all(
        self: &Arc<Self>,
        bucket: String,
        keys: Vec<(String, Conditions)>,
    ) -> Result<Vec<Result<bool>>> {
        self.change(None, move |transaction| {
            let id = buckets::id(transaction, &bucket)?;
            let (mut deleted, mut removals) = (Vec::with_capacity(keys.len()), Vec::new());
            for (key, conditions) in &keys {
                let found = objects::find(transaction, id, key)?;
                let held = match &found {
                    None if conditions.if_match.is_none() => Ok(()),
                    found => conditions.check_write(key, found.as_ref()),
                };
                if let (Some(found), Ok(())) = (&found, &held) {
                    objects::delete(transaction, id, key)?;
                    let removal = Chore::removal(&bucket, key, found.generation);
                    chores::add(transaction, &removal)?;
                    removals.push(removal);
                }
                deleted.push(held.map(|()| found.is_some()));
            }
            Ok((deleted, removals))
        })
        .await
    }
}

/// Names `record` the object at `key`, in a transaction: what then is to be done with files.
pub(crate) fn replace(
    connection: &rusqlite::Connection,
    (bucket, key): (&str, &str),
    record: &ObjectRecord,
    conditions: &Conditions,
) -> Result<Vec<Chore>> {
    let id = buckets::id(connection, bucket)?;
    let found = objects::find(connection, id, key)?;
    conditions.check_write(key, found.as_ref())?;
    objects::put(connection, id, key, record)?;
    let mut chores = vec![Chore::place(bucket, key, record.generation)];
    chores.extend(found.map(|found| Chore::removal(bucket, key, found.generation)));
    for chore in &chores {
        chores::add(connection, chore)?;
    }
    Ok(chores)
}

/// Gives the bytes at `from` a second name; where the file system cannot, copies them.
pub(crate) fn share(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => fs::copy(from, to).and_then(|_| fs::File::open(to)?.sync_all()),
        Ok(()) => Ok(()),
    }
}
