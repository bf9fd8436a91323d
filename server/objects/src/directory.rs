//! The store: a directory of buckets.
//!
//! ```text
//! index.sqlite        what exists: buckets, keys, metadata, uploads, chores
//! incoming/N          bytes on their way, and parts of uploads; N is their generation
//! buckets/B/K~N       the bytes of key K of bucket B, plain
//! lock                held by the process that has the store open
//! ```
//!
//! A version of an object is one file that never changes once it is complete, under a name that is never used again. So a
//! replacement is one row of the index, a reader keeps the bytes it opened, and a copy is a hard link. Bytes are written to
//! `incoming/`, flushed to the disk, named by a transaction, and only then moved to where people find them; a start after a
//! crash moves what was named and removes what was not.
//!
//! Do not edit files in place: a copy may share its bytes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::error::{Error, Result, io as io_at, stopping};
use crate::group::Group;
use crate::index::buckets::{self, BucketRecord};
use crate::index::chores::{self, Chore};
use crate::index::listing::{self, ListQuery, Page};
use crate::index::{Index, uploads};
use crate::names;
use crate::record::{ObjectRecord, now_ms};

/// File jobs at once. Reason: they wait for the disk more than they compute, and the runtime they share with loads of models has
/// four threads that may block: one is left to those, and to commits, one at a time, of milliseconds.
const JOBS_MAX: usize = 3;

/// How often a reader looks again for bytes that were replaced or moved between its two looks. Reason: each time takes another
/// writer to win the race; more is a fault, not a race.
const LOOKS_MAX: usize = 16;

/// How old an unfinished upload may get. Reason: its parts take space that nobody sees; clients finish within hours.
pub(crate) const UPLOAD_AGE_MAX_MS: i64 = 7 * 24 * 3600 * 1000;

/// A store of buckets in a directory.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    pub(crate) index: Index,
    jobs: Arc<Semaphore>,
    pub(crate) group: Group,
    /// Where its work is done; without, where whoever calls is.
    home: Option<Handle>,
    /// Held as long as the store is open.
    _lock: File,
}

impl Directory {
    /// Opens the store at `root`, made if it is not there, and finishes what a crash left undone. Blocks.
    ///
    /// # Errors
    /// When another process has it open, or it cannot be read and written.
    pub fn open(root: &Path) -> Result<Arc<Self>> {
        Self::open_at(root, None)
    }

    /// As [`open`](Self::open), and does its work on `home` for callers of other runtimes too: who stands behind in priority
    /// must not hold a turn that others wait for.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_on(root: &Path, home: Handle) -> Result<Arc<Self>> {
        Self::open_at(root, Some(home))
    }

    fn open_at(root: &Path, home: Option<Handle>) -> Result<Arc<Self>> {
        for folder in [root.join("incoming"), root.join("buckets")] {
            fs::create_dir_all(&folder).map_err(io_at(&folder))?;
        }
        let lock_path = root.join("lock");
        let lock = File::create(&lock_path).map_err(io_at(&lock_path))?;
        lock.try_lock().map_err(|error| io_at(&lock_path)(error.into()))?;
        let index = Index::open(&root.join("index.sqlite"))?;
        let jobs = Arc::new(Semaphore::new(JOBS_MAX));
        let group = Group::default();
        let directory = Self { root: root.to_owned(), index, jobs, group, home, _lock: lock };
        directory.recover()?;
        Ok(Arc::new(directory))
    }

    /// Does the chores that were left, forgets stale uploads, and removes bytes that no row names.
    fn recover(&self) -> Result<()> {
        self.do_chores(&self.index.read(chores::all)?);
        let stale = self.index.read(|connection| uploads::stale(connection, now_ms() - UPLOAD_AGE_MAX_MS))?;
        let chores = self.index.write(|transaction| end_uploads(transaction, &stale))?;
        self.do_chores(&chores);
        let mut left = self.left()?;
        if left.is_empty() {
            return Ok(());
        }
        // The move of one whose chore was forgotten may have been lost with the power.
        let lost = self.index.read(|connection| chores::lost(connection, &left))?;
        self.do_chores(&lost);
        left.retain(|generation| lost.iter().all(|chore| chore.generation != *generation));
        for generation in left {
            let path = self.incoming(generation);
            fs::remove_file(&path).map_err(io_at(&path))?;
        }
        Ok(())
    }

    /// Files in `incoming/` that no part and no chore names.
    fn left(&self) -> Result<HashSet<u64>> {
        let named = self.index.read(uploads::generations)?;
        let folder = self.root.join("incoming");
        let mut left = HashSet::new();
        for entry in fs::read_dir(&folder).map_err(io_at(&folder))? {
            let entry = entry.map_err(io_at(&folder))?;
            // A file that is not ours is not ours to remove.
            let name = entry.file_name();
            let Some(generation) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // One whose chore could not be done stays with its row.
            let is_open = |connection: &_| chores::is_open(connection, generation);
            if !named.contains(&generation) && !self.index.read(is_open)? {
                left.insert(generation);
            }
        }
        Ok(left)
    }

    /// Runs blocking `work` off the async threads.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let directory = Arc::clone(self);
        self.at_home(async move {
            let permit = Arc::clone(&directory.jobs).acquire_owned().await.map_err(|_| Error::Stopping)?;
            let job = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                work(&directory)
            });
            job.await.unwrap_or_else(|error| Err(stopping(error)))
        })
        .await
    }

    /// Does `work` at [`home`](Self::home); it ends with who waits for it.
    pub(crate) async fn at_home<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let Some(home) = self.home.as_ref().filter(|home| home.id() != Handle::current().id()) else {
            return work.await;
        };
        let mut task = JoinSet::new();
        task.spawn_on(work, home);
        match task.join_next().await {
            Some(done) => done.unwrap_or_else(|error| Err(stopping(error))),
            None => Err(Error::Stopping),
        }
    }

    /// Makes a bucket for the region `location` (empty: us-east-1).
    ///
    /// # Errors
    /// When the name is none, or taken, or there are too many.
    pub async fn create_bucket(self: &Arc<Self>, name: &str, location: &str) -> Result<()> {
        names::check_bucket(name)?;
        let bucket =
            BucketRecord { name: name.to_owned(), created_ms: now_ms(), location: location.to_owned() };
        self.blocking(move |store| store.index.write(|transaction| buckets::create(transaction, &bucket)))
            .await
    }

    /// Removes an empty bucket; uploads to it end.
    ///
    /// # Errors
    /// When it is not there, or has objects.
    pub async fn delete_bucket(self: &Arc<Self>, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.blocking(move |store| {
            let chores = store.index.write(|transaction| {
                let under_way = uploads::of_bucket(transaction, buckets::id(transaction, &name)?)?;
                buckets::delete(transaction, &name)?;
                end_uploads(transaction, &under_way)
            })?;
            store.do_chores(&chores);
            // Folders that are left, if any, are empty: another bucket of the name may use them.
            let _ = fs::remove_dir(store.root.join(names::bucket_folder(&name)));
            Ok(())
        })
        .await
    }

    /// A bucket.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn find_bucket(self: &Arc<Self>, name: &str) -> Result<BucketRecord> {
        let name = name.to_owned();
        self.blocking(move |store| store.index.read(|connection| buckets::find(connection, &name))).await
    }

    /// All buckets, by name.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn list_buckets(self: &Arc<Self>) -> Result<Vec<BucketRecord>> {
        self.blocking(|store| store.index.read(buckets::all)).await
    }

    /// A page of a bucket's keys.
    ///
    /// # Errors
    /// When the bucket is not there.
    pub async fn list(self: &Arc<Self>, bucket: &str, query: ListQuery) -> Result<Page> {
        let bucket = bucket.to_owned();
        self.blocking(move |store| store.index.read(|connection| listing::page(connection, &bucket, &query)))
            .await
    }

    /// Where bytes on their way lie.
    pub(crate) fn incoming(&self, generation: u64) -> PathBuf {
        self.root.join("incoming").join(generation.to_string())
    }

    /// Makes the names in `incoming/` durable.
    pub(crate) fn sync_incoming(&self) -> Result<()> {
        let folder = self.root.join("incoming");
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(io_at(&folder))
    }

    /// What is at `key` now, and what `take` makes of its file: opens or links it, wherever it lies.
    pub(crate) fn with_file<T>(
        &self,
        bucket: &str,
        key: &str,
        check: impl Fn(&ObjectRecord) -> Result<()>,
        take: impl Fn(&Path) -> io::Result<T>,
    ) -> Result<(ObjectRecord, T)> {
        for _ in 0..LOOKS_MAX {
            let record = self.index.read(|connection| crate::index::objects::get(connection, bucket, key))?;
            check(&record)?;
            let place = self.root.join(names::place(bucket, key, record.generation));
            let incoming = self.incoming(record.generation);
            // Bytes move once, from the second to the first: the third look finds what moved between the others.
            for path in [&place, &incoming, &place] {
                match take(path) {
                    Ok(taken) => return Ok((record, taken)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(io_at(path)(error)),
                }
            }
            // Replaced or deleted meanwhile, and its bytes are gone: look again.
        }
        let place = names::place(bucket, key, 0);
        Err(io_at(&place)(io::Error::new(io::ErrorKind::NotFound, "the file of this key is missing")))
    }

    /// Does `chores`; one that fails stays for the next start, and is said.
    pub(crate) fn do_chores(&self, chores: &[Chore]) {
        for chore in chores {
            match if chore.is_removal { self.remove(chore) } else { self.place(chore) } {
                Ok(()) => self.index.done(chore.generation, chore.is_removal),
                Err(error) => {
                    tracing::warn!(key = chore.key, error = %error, "a file of the store stays where it is");
                }
            }
        }
    }

    /// Brings bytes to where people find them.
    fn place(&self, chore: &Chore) -> io::Result<()> {
        let place = self.root.join(names::place(&chore.bucket, &chore.key, chore.generation));
        let folder = place.parent().unwrap_or(&self.root);
        let incoming = self.incoming(chore.generation);
        for _ in 0..LOOKS_MAX {
            fs::create_dir_all(folder)?;
            match fs::rename(&incoming, &place) {
                // Another's removal may have taken the folder as empty.
                Err(error) if error.kind() == io::ErrorKind::NotFound && incoming.exists() => {}
                // It has been placed, or removed, before a crash.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                result => return result,
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "its folder is removed again and again"))
    }

    fn remove(&self, chore: &Chore) -> io::Result<()> {
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        };
        gone(fs::remove_file(self.incoming(chore.generation)))?;
        if chore.bucket.is_empty() {
            return Ok(());
        }
        let place = self.root.join(names::place(&chore.bucket, &chore.key, chore.generation));
        gone(fs::remove_file(&place))?;
        let bucket = self.root.join(names::bucket_folder(&chore.bucket));
        for folder in place.ancestors().skip(1).take_while(|folder| *folder != bucket) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Ends uploads, in a transaction: the removals of their parts.
pub(crate) fn end_uploads(connection: &rusqlite::Connection, ids: &[String]) -> Result<Vec<Chore>> {
    let mut removals = Vec::new();
    for id in ids {
        for generation in uploads::delete(connection, id)? {
            let chore = Chore::removal("", "", generation);
            chores::add(connection, &chore)?;
            removals.push(chore);
        }
    }
    Ok(removals)
}
