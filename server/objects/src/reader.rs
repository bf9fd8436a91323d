//! Bytes going out: a part of an object's file as a stream.
//!
//! A chunk is read while the one before is sent, so that memory stays at two chunks. The file is open from the start, so that
//! the bytes are those of one version, whatever happens to the key meanwhile.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};

use crate::condition::Conditions;
use crate::directory::Directory;
use crate::error::{Error, Result, io as io_at};
use crate::record::ObjectRecord;

/// How much is read at once. Reason: a hop to a blocking thread costs little beside it, and a hundred downloads at once take
/// 50 MiB.
const CHUNK_BYTES: u64 = 256 << 10;

/// Which of an object's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Span {
    /// All of them.
    #[default]
    Whole,
    /// From an offset on.
    From(u64),
    /// From the first to the last offset, both within.
    Within(u64, u64),
    /// The last so many.
    Last(u64),
    /// Those of a part.
    Part(u32),
}

impl Span {
    /// Which bytes of `object` these are.
    ///
    /// # Errors
    /// When they are outside of it.
    pub fn of(self, object: &ObjectRecord) -> Result<Range<u64>> {
        let size = object.size;
        let outside = Error::Range { size };
        match self {
            Self::Whole => Ok(0..size),
            Self::From(first) if first < size => Ok(first..size),
            Self::Within(first, last) if first < size && first <= last => {
                Ok(first..size.min(last.saturating_add(1)))
            }
            Self::Last(count) if count > 0 && size > 0 => Ok(size.saturating_sub(count)..size),
            Self::Part(number) => part(object, number).ok_or(outside),
            _ => Err(outside),
        }
    }
}

fn part(object: &ObjectRecord, number: u32) -> Option<Range<u64>> {
    if object.details.parts.is_empty() && number == 1 {
        return Some(0..object.size);
    }
    let mut start = 0;
    for part in &object.details.parts {
        if part.number == number {
            return Some(start..start + part.size);
        }
        start += part.size;
    }
    None
}

/// An object that is being read.
#[derive(Debug)]
pub struct Reading {
    /// What it is.
    pub record: ObjectRecord,
    /// Which bytes will come.
    pub range: Range<u64>,
    first: Bytes,
    file: Arc<File>,
    store: Arc<Directory>,
}

impl Directory {
    /// What is at `key`.
    ///
    /// # Errors
    /// When nothing is, or the conditions do not hold.
    pub async fn head(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        conditions: Conditions,
    ) -> Result<ObjectRecord> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.blocking(move |store| {
            let record =
                store.index.read(|connection| crate::index::objects::get(connection, &bucket, &key))?;
            conditions.check_read(&record)?;
            Ok(record)
        })
        .await
    }

    /// Begins to read what is at `key`.
    ///
    /// # Errors
    /// When nothing is, the conditions do not hold, or `span` is outside of it.
    pub async fn read(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        conditions: Conditions,
        span: Span,
    ) -> Result<Reading> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.blocking(move |store| {
            let check = |record: &ObjectRecord| {
                conditions.check_read(record).and_then(|()| span.of(record).map(drop))
            };
            let (record, file) = store.with_file(&bucket, &key, check, |path| File::open(path))?;
            let range = span.of(&record)?;
            let first = read_chunk(&file, &range)?;
            Ok(Reading { record, range, first, file: Arc::new(file), store: Arc::clone(store) })
        })
        .await
    }
}

fn read_chunk(file: &File, range: &Range<u64>) -> Result<Bytes> {
    let wanted = (range.end - range.start).min(CHUNK_BYTES);
    let mut bytes = BytesMut::zeroed(usize::try_from(wanted).expect("a chunk fits into memory"));
    file.read_exact_at(&mut bytes, range.start).map_err(io_at(std::path::Path::new("object")))?;
    Ok(bytes.freeze())
}

impl Reading {
    /// The bytes.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let Self { range, first, file, store, .. } = self;
        let rest = range.start + first.len() as u64..range.end;
        let next = move |rest: Range<u64>| {
            let (file, store) = (Arc::clone(&file), Arc::clone(&store));
            (rest.start < rest.end)
                .then(|| tokio::spawn(async move { store.blocking(move |_| read_chunk(&file, &rest)).await }))
        };
        let pending = next(rest.clone());
        stream::unfold((Some(first), rest, pending), move |(ready, mut rest, pending)| {
            let next = next.clone();
            async move {
                if let Some(bytes) = ready {
                    return (!bytes.is_empty()).then_some((Ok(bytes), (None, rest, pending)));
                }
                let read = pending?.await.unwrap_or(Err(Error::Stopping));
                let Ok(bytes) = read else { return Some((read, (None, rest.end..rest.end, None))) };
                rest.start += bytes.len() as u64;
                let pending = next(rest.clone());
                Some((Ok(bytes), (None, rest, pending)))
            }
        })
        .fuse()
    }
}
