//! Files into objects: a small one by one request, a large one in parts, so that an object is there whole or not at all.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart};
use rustix::fs::OFlags;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::runtime::Handle;

use crate::failure::Failure;
use crate::stores::{Place, Stores};

/// Bytes up to which a file is one request. Reason: held in memory.
const SINGLE_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a part at least. Reason: S3's own least is 5 MiB; fewer requests are faster.
const PART_BYTES_MIN: u64 = 16 << 20;

/// Parts of an upload. Reason: S3's own limit is 10,000.
const PARTS_MAX: u64 = 9_000;

/// Parts under way at once.
const PARTS_AT_ONCE: usize = 4;

/// How often a file is uploaded. Reason: the store's client has tried each request several times already.
const ATTEMPTS_MAX: u32 = 3;

/// The pause before a file is uploaded again, times the number of attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// A bucket, and a folder in it.
#[derive(Clone)]
pub(crate) struct Target {
    store: Arc<dyn ObjectStore>,
    /// The folder.
    pub(crate) place: Place,
}

impl Target {
    /// The folder at `uri`.
    pub(crate) async fn new(stores: &dyn Stores, uri: &str) -> Result<Self, Failure> {
        let place = Place::parse(uri)
            .ok_or_else(|| Failure::Client(format!("cannot upload to {uri}: expected s3://bucket/prefix")))?;
        let store = stores.store(&place.bucket).await;
        let store = store.map_err(|error| Failure::Client(format!("cannot upload to {uri}: {error}")))?;
        Ok(Self { store, place })
    }

    /// The folder `relative` in it.
    pub(crate) fn below(&self, relative: &str) -> Self {
        Self { store: Arc::clone(&self.store), place: self.place.below(relative) }
    }

    /// Uploads a file as `name` and gives its place. A link is no file.
    pub(crate) async fn put(&self, name: &str, file: &Path) -> Result<Place, Failure> {
        let place = self.place.below(name);
        let failed =
            |error: &dyn std::fmt::Display| Failure::Client(format!("cannot upload to {place}: {error}"));
        let key = Key::parse(&place.key).map_err(|error| failed(&error))?;
        let mut attempt = 1;
        while let Err(error) = self.put_once(&key, file).await {
            if attempt == ATTEMPTS_MAX || matches!(error, PutError::File(_)) {
                return Err(match error {
                    PutError::File(error) => Failure::Internal(format!("{}: {error}", file.display())),
                    PutError::Store(error) => failed(&error),
                });
            }
            tokio::time::sleep(PAUSE * attempt).await;
            attempt += 1;
        }
        Ok(place)
    }

    /// Removes an object; one that is not there is removed.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), Failure> {
        let place = self.place.below(name);
        let failed =
            |error: &dyn std::fmt::Display| Failure::Client(format!("cannot delete {place}: {error}"));
        let key = Key::parse(&place.key).map_err(|error| failed(&error))?;
        match self.store.delete(&key).await {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn put_once(&self, key: &Key, file: &Path) -> Result<(), PutError> {
        // A FIFO would never open, and a link would lead elsewhere.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(file)?;
        let size = opened.metadata()?.len();
        let mut file = File::from_std(opened);
        if size <= SINGLE_BYTES_MAX {
            let mut bytes = Vec::with_capacity(size as usize);
            file.take(SINGLE_BYTES_MAX).read_to_end(&mut bytes).await?;
            self.store.put(key, PutPayload::from(bytes)).await?;
            return Ok(());
        }
        let part_bytes = PART_BYTES_MIN.max(size.div_ceil(PARTS_MAX)) as usize;
        let upload = self.store.put_multipart(key).await?;
        let mut upload = Upload(Some(WriteMultipart::new_with_chunk_size(upload, part_bytes)));
        parts(upload.0.as_mut().expect("it is taken below"), &mut file, part_bytes).await?;
        // Aborts by itself when it fails.
        upload.0.take().expect("it is taken once").finish().await?;
        Ok(())
    }
}

/// An upload in parts. Dropped before its end, it is aborted: stores keep parts for ever otherwise.
struct Upload(Option<WriteMultipart>);

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(upload.abort());
        }
    }
}

async fn parts(upload: &mut WriteMultipart, file: &mut File, part_bytes: usize) -> Result<(), PutError> {
    let mut buffer = Vec::with_capacity(part_bytes);
    loop {
        upload.wait_for_capacity(PARTS_AT_ONCE).await?;
        buffer.clear();
        (&mut *file).take(part_bytes as u64).read_to_end(&mut buffer).await?;
        if buffer.is_empty() {
            return Ok(());
        }
        upload.write(&buffer);
    }
}

/// Why a file was not uploaded.
enum PutError {
    /// It cannot be read.
    File(io::Error),
    /// The store refuses it.
    Store(object_store::Error),
}

impl From<io::Error> for PutError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<object_store::Error> for PutError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}
