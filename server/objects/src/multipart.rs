//! Uploads in parts: parts come in any order, also at once; completing one joins them into a file and names that.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use crate::condition::Conditions;
use crate::digest::{self, Algorithm, ChecksumDigester, Checksums, hex};
use crate::directory::{Directory, UPLOAD_AGE_MAX_MS, end_uploads};
use crate::error::{Error, Result, io as io_at};
use crate::index::chores::{self, Chore};
use crate::index::uploads::{self, UploadDetails, UploadRecord, UploadedPart};
use crate::index::{buckets, objects};
use crate::names;
use crate::object::{replace, share};
use crate::record::{Details, ObjectRecord, PartRecord, now_ms};
use crate::writer::{Announced, IncomingFile, receive};

/// The highest part number. Reason: S3's.
pub(crate) const PARTS_MAX: u32 = 10_000;

/// How much is summed at once where parts are joined.
const SUM_BYTES: usize = 256 << 10;

/// A part, as the client that completes an upload names it.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamedPart {
    /// Its number.
    pub(crate) number: u32,
    /// The entity tag it got, without quotes.
    pub(crate) etag: Option<String>,
    /// Its checksums, where the client names them.
    pub(crate) checksums: Checksums,
}

/// What completes an upload.
#[derive(Debug, Clone, Default)]
pub(crate) struct Completion {
    /// Its parts, ascending.
    pub(crate) parts: Vec<NamedPart>,
    /// The object's checksums, as the client has them.
    pub(crate) checksums: Checksums,
    /// The object's bytes.
    pub(crate) size: Option<u64>,
    /// What must hold of the object there.
    pub(crate) conditions: Conditions,
}

impl Directory {
    /// Begins an upload: its id.
    pub(crate) async fn create_upload(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        details: UploadDetails,
    ) -> Result<String> {
        names::check_key(key)?;
        let id = random_id();
        let upload = UploadRecord { id: id.clone(), key: key.to_owned(), created_ms: now_ms(), details };
        let bucket = bucket.to_owned();
        self.change(None, move |transaction| {
            let bucket = buckets::id(transaction, &bucket)?;
            // Room is made by who needs it: a server that runs for months has no start to do it.
            let stale = uploads::stale(transaction, now_ms() - UPLOAD_AGE_MAX_MS)?;
            let removals = end_uploads(transaction, &stale)?;
            uploads::create(transaction, bucket, &upload)?;
            Ok(((), removals))
        })
        .await?;
        Ok(id)
    }

    /// The upload of this id.
    pub(crate) async fn find_upload(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        id: &str,
    ) -> Result<UploadRecord> {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), id.to_owned());
        self.blocking(move |store| {
            store.index.read(|connection| uploads::find(connection, &bucket, &key, &id))
        })
        .await
    }

    /// Takes in a part, over one of the same number too.
    pub(crate) async fn put_part<S, E>(
        self: &Arc<Self>,
        (bucket, key): (&str, &str),
        id: &str,
        number: u32,
        body: S,
        mut announced: Announced,
    ) -> Result<UploadedPart>
    where
        S: Stream<Item = std::result::Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        if !(1..=PARTS_MAX).contains(&number) {
            return Err(Error::PartNumber { limit: PARTS_MAX, found: i64::from(number) });
        }
        let upload = self.find_upload(bucket, key, id).await?;
        announced.algorithm = announced.algorithm.or(upload.details.algorithm);
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), id.to_owned());
        let stored = receive(self, body, announced, |_| Ok(())).await?;
        let part = UploadedPart {
            number,
            generation: stored.file.generation,
            size: stored.size,
            modified_ms: now_ms(),
            md5: hex(&stored.digests.md5),
            checksums: stored.digests.checksums,
        };
        self.change(Some(stored.file), move |transaction| {
            // It may have ended while the part came.
            uploads::find(transaction, &bucket, &key, &id)?;
            let replaced = uploads::put_part(transaction, &id, &part)?;
            let removal: Vec<_> =
                replaced.map(|generation| Chore::removal("", "", generation)).into_iter().collect();
            removal.iter().try_for_each(|removal| chores::add(transaction, removal))?;
            Ok((part, removal))
        })
        .await
    }

    /// Parts of an upload with numbers after `after`.
    pub(crate) async fn list_parts(
        self: &Arc<Self>,
        (bucket, key): (&str, &str),
        id: &str,
        after: u32,
        limit: usize,
    ) -> Result<(UploadRecord, Vec<UploadedPart>)> {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), id.to_owned());
        self.blocking(move |store| {
            store.index.read(|connection| {
                let upload = uploads::find(connection, &bucket, &key, &id)?;
                Ok((upload, uploads::parts(connection, &id, after, limit)?))
            })
        })
        .await
    }

    /// Uploads of a bucket whose keys begin with `prefix`, after a key and an id.
    pub(crate) async fn list_uploads(
        self: &Arc<Self>,
        bucket: &str,
        prefix: &str,
        (key, id): (&str, &str),
        limit: usize,
    ) -> Result<Vec<UploadRecord>> {
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        let (key, id) = (key.to_owned(), id.to_owned());
        self.blocking(move |store| {
            store.index.read(|connection| uploads::after(connection, &bucket, &prefix, (&key, &id), limit))
        })
        .await
    }

    /// Ends an upload and removes its parts.
    pub(crate) async fn abort_upload(self: &Arc<Self>, bucket: &str, key: &str, id: &str) -> Result<()> {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), id.to_owned());
        self.change(None, move |transaction| {
            uploads::find(transaction, &bucket, &key, &id)?;
            Ok(((), end_uploads(transaction, std::slice::from_ref(&id))?))
        })
        .await
    }

    /// Makes an object of an upload's parts. A repeated completion gets the answer of the first.
    pub(crate) async fn complete_upload(
        self: &Arc<Self>,
        (bucket, key): (&str, &str),
        id: &str,
        completion: Completion,
    ) -> Result<ObjectRecord> {
        let listed = self.list_parts((bucket, key), id, 0, PARTS_MAX as usize).await;
        let (upload, uploaded) = match listed {
            Err(Error::NoUpload(id)) => return self.completed_before(bucket, key, id).await,
            listed => listed?,
        };
        let parts = chosen(&completion.parts, uploaded)?;
        let (file, full) = self.join(&parts, full_algorithms(&upload.details, &completion)).await?;
        let record = completed_record(&upload, &parts, file.generation, full);
        if let Some(expected) = completion.size.filter(|size| *size != record.size) {
            return Err(Error::Length { expected, found: record.size });
        }
        let declared = completion.checksums.values.iter();
        let declared = declared.filter(|(algorithm, _)| record.details.checksums.get(*algorithm).is_some());
        let declared = Checksums { values: declared.cloned().collect(), is_composite: false };
        record.details.checksums.verify(&declared)?;
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.change(Some(file), move |transaction| {
            uploads::find(transaction, &bucket, &key, &upload.id)?;
            check_unchanged(&parts, &uploads::parts(transaction, &upload.id, 0, PARTS_MAX as usize)?)?;
            let mut chores = replace(transaction, (&bucket, &key), &record, &completion.conditions)?;
            chores.extend(end_uploads(transaction, std::slice::from_ref(&upload.id))?);
            Ok((record, chores))
        })
        .await
    }

    /// The object that the upload `id` became, if it did.
    async fn completed_before(self: &Arc<Self>, bucket: &str, key: &str, id: String) -> Result<ObjectRecord> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.blocking(move |store| {
            store.index.read(|connection| {
                let bucket = buckets::id(connection, &bucket)?;
                let found = objects::find(connection, bucket, &key)?;
                found
                    .filter(|object| object.details.upload_id.as_ref() == Some(&id))
                    .ok_or(Error::NoUpload(id))
            })
        })
        .await
    }

    /// One file of all parts, on the disk; and checksums of all its bytes, where asked for. A job a part, so that others get
    /// their turn.
    async fn join(
        self: &Arc<Self>,
        parts: &[UploadedPart],
        algorithms: Vec<Algorithm>,
    ) -> Result<(IncomingFile, Checksums)> {
        let file = IncomingFile::new(self);
        if let ([part], true) = (parts, algorithms.is_empty()) {
            let from = self.incoming(part.generation);
            return self
                .blocking(move |_| {
                    share(&from, &file.path).map_err(io_at(&from))?;
                    Ok((file, Checksums::default()))
                })
                .await;
        }
        let mut joined = File::create(&file.path).map_err(io_at(&file.path))?;
        let mut digester = ChecksumDigester::new(&algorithms);
        let is_summed = !algorithms.is_empty();
        for part in parts {
            let from = self.incoming(part.generation);
            (joined, digester) = self
                .blocking(move |_| {
                    let mut bytes = File::open(&from).map_err(io_at(&from))?;
                    if is_summed {
                        sum(&mut bytes, &mut joined, &mut digester).map_err(io_at(&from))?;
                    } else {
                        // The kernel copies, or shares, without the bytes coming here.
                        io::copy(&mut bytes, &mut joined).map_err(io_at(&from))?;
                    }
                    Ok((joined, digester))
                })
                .await?;
        }
        self.blocking(move |_| {
            joined.sync_data().map_err(io_at(&file.path))?;
            Ok((file, digester.finish()))
        })
        .await
    }
}

fn sum(from: &mut File, to: &mut File, digester: &mut ChecksumDigester) -> io::Result<()> {
    let mut block = vec![0; SUM_BYTES];
    loop {
        let count = from.read(&mut block)?;
        if count == 0 {
            return Ok(());
        }
        digester.update(&block[..count]);
        io::Write::write_all(to, &block[..count])?;
    }
}

/// Checksums of all bytes that an upload must get.
fn full_algorithms(details: &UploadDetails, completion: &Completion) -> Vec<Algorithm> {
    let named = completion.checksums.values.iter().filter(|(_, value)| !value.contains('-'));
    let mut algorithms: Vec<_> = named.map(|(algorithm, _)| *algorithm).collect();
    if details.is_full_object {
        algorithms.extend(details.algorithm);
    }
    algorithms.sort_unstable();
    algorithms.dedup();
    algorithms
}

/// The uploaded parts that the client named, held against what it says of them.
fn chosen(named: &[NamedPart], uploaded: Vec<UploadedPart>) -> Result<Vec<UploadedPart>> {
    if named.is_empty() {
        return Err(Error::NoParts);
    }
    let mut uploaded: HashMap<_, _> = uploaded.into_iter().map(|part| (part.number, part)).collect();
    let (mut parts, mut before) = (Vec::with_capacity(named.len()), 0);
    for name in named {
        if name.number <= before {
            return Err(Error::PartOrder(name.number));
        }
        before = name.number;
        let expected = name.etag.as_deref().unwrap_or("a part");
        let part = uploaded.remove(&name.number).ok_or_else(|| wrong_part(name.number, expected, "none"))?;
        if name.etag.as_ref().is_some_and(|etag| *etag != part.md5) {
            return Err(wrong_part(name.number, expected, &part.md5));
        }
        for (algorithm, value) in &name.checksums.values {
            match part.checksums.get(*algorithm) {
                Some(found) if found != value => return Err(wrong_part(name.number, value, found)),
                _ => {}
            }
        }
        parts.push(part);
    }
    Ok(parts)
}

/// Whether `parts`, which were joined, are those of `now`: another of the same number may have come meanwhile.
fn check_unchanged(parts: &[UploadedPart], now: &[UploadedPart]) -> Result<()> {
    let now: HashMap<_, _> = now.iter().map(|part| (part.number, part)).collect();
    for part in parts {
        let found = now.get(&part.number).map_or("none", |found| found.md5.as_str());
        if now.get(&part.number).is_none_or(|found| found.generation != part.generation) {
            return Err(wrong_part(part.number, &part.md5, found));
        }
    }
    Ok(())
}

fn wrong_part(number: u32, expected: &str, found: &str) -> Error {
    Error::Part { number, expected: expected.to_owned(), found: found.to_owned() }
}

fn completed_record(
    upload: &UploadRecord,
    parts: &[UploadedPart],
    generation: u64,
    full: Checksums,
) -> ObjectRecord {
    let md5s: Vec<_> = parts.iter().filter_map(|part| digest::from_hex(&part.md5)).collect();
    let of_parts: Vec<_> = parts.iter().map(|part| part.checksums.clone()).collect();
    let composite = upload.details.algorithm.filter(|_| full.values.is_empty());
    let composite =
        composite.and_then(|algorithm| Some((algorithm, digest::composite(algorithm, &of_parts)?)));
    let checksums = match composite {
        Some(value) => Checksums { values: vec![value], is_composite: true },
        None => full,
    };
    let record = |part: &UploadedPart| PartRecord {
        number: part.number,
        size: part.size,
        checksums: part.checksums.clone(),
    };
    ObjectRecord {
        generation,
        size: parts.iter().map(|part| part.size).sum(),
        modified_ms: now_ms(),
        etag: digest::composite_etag(&md5s),
        details: Details {
            attributes: upload.details.attributes.clone(),
            checksums,
            parts: parts.iter().map(record).collect(),
            upload_id: Some(upload.id.clone()),
        },
    }
}

/// An id that nobody guesses by counting.
fn random_id() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}
