//! A journal in a store: segments, each an object that is written once.
//!
//! Stores cannot append. Lines are gathered, and written as the next segment when the last is old enough; a segment's number
//! that another runner took is that runner's, and the next is tried.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutPayload};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::done::Done;
use super::line::{self, Head, Line};
use super::{JOURNAL_BYTES_MAX, JournalError};
use crate::store::Store;
use crate::upload::retry;

/// How far apart segments are. Reason: a request each; five days are 86,400, and what a crash loses is seconds of work.
const SEGMENT_PERIOD: Duration = Duration::from_secs(5);

/// Bytes of lines that are not written yet, from which on no period is waited for. Reason: small beside a part of an output.
const PENDING_BYTES_MAX: usize = 1 << 20;

/// Segments read, or removed, at once. Reason: hides the store's latency.
const SEGMENTS_AT_ONCE: usize = 16;

/// A journal in a folder of a store.
#[derive(Debug)]
pub(super) struct FolderJournal {
    store: Store,
    folder: Path,
    head: Vec<u8>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Lines that are not written yet.
    pending: Vec<u8>,
    /// The number of the next segment.
    next: u64,
    /// Bytes of all segments.
    bytes: u64,
    /// When the last one was written.
    written: Option<Instant>,
    /// Whether a task waits to write the next.
    is_scheduled: bool,
    /// Why it could not.
    failure: Option<JournalError>,
}

impl FolderJournal {
    pub(super) async fn open(
        store: Store,
        folder: Path,
        head: Head,
    ) -> Result<(Arc<Self>, Done), JournalError> {
        let place = folder.to_string();
        let failed = |source| JournalError::Store { place: place.clone(), source };
        let list = || async { store.objects.list(Some(&folder)).try_collect::<Vec<_>>().await };
        let listed = retry::retried(0, list).await.map_err(failed)?;
        let mut bytes = 0;
        let numbered = listed.into_iter().filter_map(|meta| {
            let number = number(&meta.location)?;
            bytes += meta.size;
            Some((number, meta.location))
        });
        let mut found: Vec<_> = numbered.collect();
        if bytes > JOURNAL_BYTES_MAX {
            return Err(JournalError::TooLarge { place });
        }
        found.sort_unstable();
        let next = found.last().map_or(1, |(number, _)| number + 1);
        let mut done = Done::default();
        let objects = &store.objects;
        let mut segments = stream::iter(found)
            .map(|(_, path)| async move {
                let read = retry::retried(0, || async { objects.get(&path).await?.bytes().await });
                (path.to_string(), read.await)
            })
            .buffered(SEGMENTS_AT_ONCE);
        while let Some((place, read)) = segments.next().await {
            let read = read.map_err(|source| JournalError::Store { place: place.clone(), source })?;
            apply(&place, &head, &read, &mut done)?;
        }
        drop(segments);
        let state =
            State { pending: Vec::new(), next, bytes, written: None, is_scheduled: false, failure: None };
        let head = line::to_bytes(&head);
        Ok((Arc::new(Self { store, folder, head, state: Mutex::new(state) }), done))
    }

    pub(super) async fn append(self: &Arc<Self>, line: &Line) -> Result<(), JournalError> {
        let mut state = self.state.lock().await;
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        state.pending.extend(line::to_bytes(line));
        if state.bytes + state.pending.len() as u64 > JOURNAL_BYTES_MAX {
            return Err(JournalError::TooLarge { place: self.folder.to_string() });
        }
        let due = state.written.map(|written| written + SEGMENT_PERIOD);
        match due.filter(|due| *due > Instant::now()) {
            Some(due) if state.pending.len() < PENDING_BYTES_MAX => {
                if !state.is_scheduled {
                    state.is_scheduled = true;
                    tokio::spawn(write_when_due(Arc::downgrade(self), due));
                }
                Ok(())
            }
            _ => self.write(&mut state).await,
        }
    }

    pub(super) async fn flush(&self) -> Result<(), JournalError> {
        let mut state = self.state.lock().await;
        match state.failure.take() {
            Some(failure) => Err(failure),
            None => self.write(&mut state).await,
        }
    }

    /// Writes what is pending as the next segment.
    async fn write(&self, state: &mut State) -> Result<(), JournalError> {
        if state.pending.is_empty() {
            return Ok(());
        }
        let bytes: Bytes = [self.head.as_slice(), state.pending.as_slice()].concat().into();
        let objects = &self.store.objects;
        loop {
            let path = self.folder.clone().join(format!("segment-{:08}.jsonl", state.next));
            let put = || objects.put_opts(&path, PutPayload::from(bytes.clone()), PutMode::Create.into());
            match retry::retried(bytes.len(), put).await {
                Ok(_) => break,
                // Another runner's, or ours whose answer was lost: a line that stands twice says the same.
                Err(object_store::Error::AlreadyExists { .. }) => state.next += 1,
                Err(source) => return Err(JournalError::Store { place: path.to_string(), source }),
            }
        }
        state.next += 1;
        state.bytes += bytes.len() as u64;
        state.written = Some(Instant::now());
        state.pending.clear();
        Ok(())
    }

    pub(super) async fn remove(&self) -> Result<(), JournalError> {
        let mut state = self.state.lock().await;
        state.pending.clear();
        let objects = &self.store.objects;
        let removed = retry::retried(0, || async {
            let listed = objects.list(Some(&self.folder)).map_ok(|meta| meta.location);
            let segments = listed.try_filter(|path| std::future::ready(number(path).is_some())).boxed();
            let mut deleted = objects.delete_stream(segments);
            while let Some(result) = deleted.next().await {
                match result {
                    // Another, or an earlier try, deleted it.
                    Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        removed.await.map_err(|source| JournalError::Store { place: self.folder.to_string(), source })
    }
}

/// Writes pending lines when it is time, where nothing else does.
async fn write_when_due(journal: Weak<FolderJournal>, due: Instant) {
    tokio::time::sleep_until(due).await;
    let Some(journal) = journal.upgrade() else { return };
    let mut state = journal.state.lock().await;
    state.is_scheduled = false;
    if let Err(error) = journal.write(&mut state).await {
        state.failure = Some(error);
    }
}

/// The number of a segment.
fn number(path: &Path) -> Option<u64> {
    path.filename()?.strip_prefix("segment-")?.strip_suffix(".jsonl")?.parse().ok()
}

/// Takes in the lines of a segment.
fn apply(place: &str, head: &Head, bytes: &[u8], done: &mut Done) -> Result<(), JournalError> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    // A segment is whole or not there; only a copy by other hands may be cut.
    let whole = lines.filter_map(|line| line.strip_suffix(b"\n"));
    for (index, bytes) in whole.enumerate() {
        if index == 0 {
            line::check_head(place, head, bytes)?;
        } else {
            done.apply(line::parse(place, index + 1, bytes)?);
        }
    }
    Ok(())
}
