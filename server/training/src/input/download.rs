//! Objects into files, for programs that read files.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::Object;
use crate::failure::Failure;

/// Objects that are fetched at once. Reason: hides the latency of a store elsewhere; a disk is no faster with more.
const DOWNLOADS_AT_ONCE: usize = 8;

/// How often an object is fetched. Reason: the store's client has tried each request several times; what is left are streams
/// that break.
const ATTEMPTS_MAX: u32 = 3;

/// The pause before an object is fetched again, times the number of attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Bytes that may yet be written to a host's folder.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: u64,
    used: AtomicU64,
}

impl Budget {
    /// All of `bytes_max`.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, used: AtomicU64::new(0) }
    }

    fn take(&self, bytes: u64) -> Result<(), Failure> {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if used <= self.bytes_max {
            return Ok(());
        }
        let limit = self.bytes_max;
        Err(Failure::Client(format!(
            "Data download failed: expected at most {limit} bytes (VolumeSizeInGB), found at least {used}"
        )))
    }
}

/// Writes `objects` below `folder`, which is there, and gives the number of bytes.
pub(crate) async fn download(objects: &[Object], folder: &Path, budget: &Budget) -> Result<u64, Failure> {
    check_names(objects)?;
    let one = |object: Object| async move { fetch(&object, &folder.join(&object.name), budget).await };
    let fetched = stream::iter(objects.to_vec()).map(one).buffer_unordered(DOWNLOADS_AT_ONCE);
    fetched.try_fold(0, |sum, bytes| async move { Ok(sum + bytes) }).await
}

/// Refuses names that are the folders of others, and names that are there twice: a file system has no place for both.
fn check_names(objects: &[Object]) -> Result<(), Failure> {
    let mut names = HashSet::new();
    for object in objects {
        if !names.insert(object.name.as_str()) {
            return Err(object.failed(&format!("expected each file once, found two named {:?}", object.name)));
        }
    }
    for object in objects {
        let mut folders = object.name.match_indices('/').map(|(at, _)| &object.name[..at]);
        if let Some(folder) = folders.find(|folder| names.contains(folder)) {
            return Err(
                object.failed(&format!("expected a folder {folder:?}, found an object of that name too"))
            );
        }
    }
    Ok(())
}

async fn fetch(object: &Object, file: &Path, budget: &Budget) -> Result<u64, Failure> {
    let mut attempt = 1;
    loop {
        match write(object, file, budget).await {
            Err(Broken::Stream(_)) if attempt < ATTEMPTS_MAX => {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            Err(Broken::Stream(reason)) => return Err(object.failed(&reason)),
            Err(Broken::For(failure)) => return Err(failure),
            Ok(bytes) => return Ok(bytes),
        }
    }
}

/// Why an object was not written.
enum Broken {
    /// Another attempt may go well.
    Stream(String),
    /// None will.
    For(Failure),
}

async fn write(object: &Object, file: &Path, budget: &Budget) -> Result<u64, Broken> {
    let disk = |error: std::io::Error| {
        Broken::For(Failure::Internal(format!("cannot write {}: {error}", file.display())))
    };
    let answer = object.get().await.map_err(|error| match error {
        object_store::Error::NotFound { .. } => Broken::For(object.failed(&error)),
        error => Broken::Stream(error.to_string()),
    })?;
    let size = answer.meta.size;
    budget.take(size).map_err(Broken::For)?;
    // Names are made at once, not by another thread: one that makes them after a download was given up would make them behind the
    // removal of the job's folder.
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(disk)?;
    }
    let mut output = File::from_std(fs::File::create(file).map_err(disk)?);
    let (mut stream, mut written) = (answer.into_stream(), 0);
    while let Some(piece) =
        stream.try_next().await.map_err(|error| give_back(budget, size, error.to_string()))?
    {
        output.write_all(&piece).await.map_err(disk)?;
        written += piece.len() as u64;
    }
    output.flush().await.map_err(disk)?;
    if written != size {
        return Err(give_back(budget, size, format!("expected {size} bytes, found {written}")));
    }
    Ok(written)
}

fn give_back(budget: &Budget, bytes: u64, reason: String) -> Broken {
    budget.used.fetch_sub(bytes, Ordering::Relaxed);
    Broken::Stream(reason)
}
