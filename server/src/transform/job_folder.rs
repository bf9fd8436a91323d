//! What a job keeps beside its outputs while it is not done: `_clary/JOB/`. In it are what its runs must agree on, the journals
//! of what is done, and, of a job in shards, a note of each that is complete and their shares of objects that were cut.

use std::path::PathBuf;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutPayload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use transform::Store;
use transform::job::Shard;
use transform::journal::{self, FOLDER};
use transform::upload::{self, retried};

use super::places::Output;

/// The most bytes of what a run notes of itself. Reason: ten times what it writes.
const NOTE_BYTES_MAX: u64 = 4 << 10;

/// What all runs of a job, one after another and side by side, agree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Agreed {
    /// When the first began: what inference ids tell.
    pub(super) started: String,
    /// How many shards there are; `None`: it is done whole.
    pub(super) shards: Option<u32>,
    /// From how many bytes on an object is shared.
    pub(super) range_bytes: u64,
}

/// A shard that is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShardDone {
    /// Which.
    pub(super) shard: Shard,
    /// The digest of its model and settings.
    pub(super) settings: String,
    /// Records that it answered in its last run.
    pub(super) records: u64,
}

/// The folder of one job.
#[derive(Debug)]
pub(super) struct JobFolder {
    store: Store,
    folder: Path,
    /// The folder as a directory, if it is one of this machine.
    directory: Option<PathBuf>,
    /// A file for the journal of a job that is done whole, elsewhere.
    journal: Option<PathBuf>,
    job: String,
}

impl JobFolder {
    /// The folder of `job` beside `output`.
    pub(super) fn new(output: &Output, job: &str, journal: Option<PathBuf>) -> Self {
        Self {
            store: output.store.clone(),
            folder: output.prefix.clone().join(FOLDER).join(job),
            directory: output.root.as_ref().map(|root| root.join(FOLDER).join(job)),
            journal,
            job: job.to_owned(),
        }
    }

    /// What the runs of this job agree on: what the first of them `proposed`.
    ///
    /// # Errors
    /// When the store fails, or an earlier run was cut into other shares.
    pub(super) async fn agree(&self, proposed: Agreed) -> anyhow::Result<Agreed> {
        let key = self.head();
        match self.write(&key, &proposed, PutMode::Create).await {
            Ok(()) => return Ok(proposed),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
            Err(error) => return Err(error).with_context(|| format!("writing {key}")),
        }
        let agreed = self.agreed().await?.with_context(|| format!("{key}: another run is removing it"))?;
        if (agreed.shards, agreed.range_bytes) != (proposed.shards, proposed.range_bytes) {
            let told = |agreed: &Agreed| match agreed.shards {
                None => "no --shard".to_owned(),
                Some(count) => format!("{count} shards and --range-mb {}", agreed.range_bytes >> 20),
            };
            bail!(
                "job {}: expected {} as its earlier runs had, found {}; give another --job, or --overwrite without --shard to \
                 begin anew",
                self.job,
                told(&agreed),
                told(&proposed)
            );
        }
        Ok(agreed)
    }

    /// What the runs of this job agreed on, if there were any.
    ///
    /// # Errors
    /// When the store fails, or it is damaged.
    pub(super) async fn agreed(&self) -> anyhow::Result<Option<Agreed>> {
        self.read(&self.head()).await
    }

    /// Where the journal of the whole job, or of one of its shards, is.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub(super) fn journal(&self, shard: Option<Shard>) -> anyhow::Result<journal::Place> {
        let name = shard.map_or("journal".to_owned(), name_of);
        self.journal_of(&name)
    }

    /// Where the journal of the merge is.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub(super) fn merge_journal(&self) -> anyhow::Result<journal::Place> {
        self.journal_of("merge")
    }

    fn journal_of(&self, name: &str) -> anyhow::Result<journal::Place> {
        if let Some(file) = &self.journal {
            return Ok(journal::Place::File(file.clone()));
        }
        let Some(directory) = &self.directory else {
            return Ok(journal::Place::Folder {
                store: self.store.clone(),
                folder: self.folder.clone().join(name),
            });
        };
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        Ok(journal::Place::File(directory.join(format!("{name}.jsonl"))))
    }

    /// Notes that a shard is complete.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn complete(&self, done: &ShardDone) -> anyhow::Result<()> {
        let key = self.note(done.shard);
        let written = self.write(&key, done, PutMode::Overwrite).await;
        written.with_context(|| format!("writing {key}"))
    }

    /// The note that `shard` is complete, if it is.
    ///
    /// # Errors
    /// When the store fails, or it is damaged.
    pub(super) async fn completed(&self, shard: Shard) -> anyhow::Result<Option<ShardDone>> {
        self.read(&self.note(shard)).await
    }

    /// Forgets what one shard has done.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn forget_shard(&self, shard: Shard) -> anyhow::Result<()> {
        let name = name_of(shard);
        self.remove_where(|path| {
            let below = path.as_ref().strip_prefix(self.folder.as_ref()).unwrap_or_default();
            below.trim_start_matches('/').starts_with(&name)
        })
        .await
    }

    /// Removes all that the job kept: it is done, or begun anew. What its runs agreed on goes last, so that a run that is killed
    /// here leaves a job that another can end.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn remove(&self) -> anyhow::Result<()> {
        let head = self.head();
        self.remove_where(|path| *path != head).await?;
        // What a run that was killed was about to note here.
        let swept = upload::sweep(&self.store, self.folder.as_ref(), |_| true).await;
        swept.with_context(|| format!("ending the uploads below {}", self.folder))?;
        if let Some(file) = &self.journal {
            ignore_missing_file(std::fs::remove_file(file)).with_context(|| file.display().to_string())?;
        }
        let removed = retried(0, || self.store.objects.delete(&head)).await;
        ignore_missing(removed).with_context(|| format!("removing {head}"))?;
        self.remove_directories();
        Ok(())
    }

    async fn remove_where(&self, is_removed: impl Fn(&Path) -> bool) -> anyhow::Result<()> {
        let folder = &self.folder;
        let list = || self.store.objects.list(Some(folder)).try_collect::<Vec<_>>();
        let listed = retried(0, list).await.with_context(|| format!("listing {folder}"))?;
        for path in listed.into_iter().map(|meta| meta.location).filter(is_removed) {
            let removed = retried(0, || self.store.objects.delete(&path)).await;
            ignore_missing(removed).with_context(|| format!("removing {path}"))?;
        }
        Ok(())
    }

    /// Of a directory, the folders that are empty now; those of other jobs stay.
    fn remove_directories(&self) {
        let Some(directory) = &self.directory else { return };
        remove_empty(directory);
        // The folder of all jobs: others' may be in it.
        if let Some(parent) = directory.parent() {
            let _ = std::fs::remove_dir(parent);
        }
    }

    async fn write(&self, key: &Path, note: &impl Serialize, mode: PutMode) -> object_store::Result<()> {
        let text = Bytes::from(serde_json::to_vec(note).expect("it has string keys"));
        let put = || self.store.objects.put_opts(key, PutPayload::from(text.clone()), mode.clone().into());
        retried(text.len(), put).await.map(drop)
    }

    async fn read<T: DeserializeOwned>(&self, key: &Path) -> anyhow::Result<Option<T>> {
        let read = || async {
            let found = self.store.objects.get(key).await?;
            let size = found.meta.size;
            // What is too long is refused below.
            let text = if size > NOTE_BYTES_MAX { Bytes::new() } else { found.bytes().await? };
            Ok((size, text))
        };
        let (size, text) = match retried(0, read).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("reading {key}")),
        };
        if size > NOTE_BYTES_MAX {
            bail!("{key}: expected at most {NOTE_BYTES_MAX} bytes, found {size}");
        }
        #[expect(clippy::disallowed_methods, reason = "at most NOTE_BYTES_MAX bytes")]
        let parsed = serde_json::from_slice(&text);
        Ok(Some(parsed.with_context(|| format!("{key}: expected what a run of this job wrote"))?))
    }

    fn head(&self) -> Path {
        self.folder.clone().join("job.json")
    }

    fn note(&self, shard: Shard) -> Path {
        self.folder.clone().join(format!("{}.done.json", name_of(shard)))
    }
}

/// A shard's part of names.
fn name_of(shard: Shard) -> String {
    format!("shard-{:05}-of-{:05}", shard.index, shard.count)
}

fn ignore_missing(removed: object_store::Result<()>) -> object_store::Result<()> {
    match removed {
        Err(Error::NotFound { .. }) => Ok(()),
        other => other,
    }
}

fn ignore_missing_file(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a tree of empty folders; one that is not empty stays.
fn remove_empty(directory: &std::path::Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(directory);
}
