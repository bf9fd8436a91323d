//! Bytes coming in: a stream becomes a file in `incoming/`, summed as it passes, flushed to the disk.
//!
//! A block is written while the next one gathers, so that memory stays at two blocks, whatever the size.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::digest::{self, Algorithm, Checksums, Digester, Digests};
use crate::directory::Directory;
use crate::error::{Error, Result, io as io_at};
use crate::trailers::Trailers;

/// How much gathers before it is written. Reason: large enough that a hop to a blocking thread does not count, small enough
/// for many uploads at once.
const BLOCK_BYTES: usize = 512 << 10;

/// What is known of bytes before they come.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    /// How many there may be.
    pub(crate) limit: u64,
    /// How many there will be.
    pub(crate) length: Option<u64>,
    /// Their MD5, in Base64.
    pub(crate) md5: Option<String>,
    /// Their checksums.
    pub(crate) checksums: Checksums,
    /// A checksum that follows them, or that is wanted anyway.
    pub(crate) algorithm: Option<Algorithm>,
    /// Where what follows them will be.
    pub(crate) trailers: Option<Trailers>,
}

impl Announced {
    fn algorithms(&self) -> Vec<Algorithm> {
        self.checksums.values.iter().map(|(algorithm, _)| *algorithm).chain(self.algorithm).collect()
    }

    fn check(&self, size: u64, digests: &Digests) -> Result<()> {
        if let Some(expected) = self.length.filter(|length| *length != size) {
            return Err(Error::Length { expected, found: size });
        }
        if let Some(md5) = &self.md5 {
            digest::verify_md5(md5, digests.md5)?;
        }
        digests.checksums.verify(&self.checksums)?;
        let followed = self.trailers.as_ref().map(Trailers::checksums).unwrap_or_default();
        let computed = |(algorithm, _): &(Algorithm, String)| digests.checksums.get(*algorithm).is_some();
        let values = followed.into_iter().filter(computed);
        digests.checksums.verify(&Checksums::declared(values)?)
    }
}

/// A file in `incoming/` that goes when it is dropped, unless it is kept.
#[derive(Debug)]
pub(crate) struct IncomingFile {
    pub(crate) generation: u64,
    pub(crate) path: PathBuf,
    is_kept: bool,
}

impl IncomingFile {
    pub(crate) fn new(store: &Directory) -> Self {
        let generation = store.index.generation();
        Self { generation, path: store.incoming(generation), is_kept: false }
    }

    /// A row of the index names it now.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for IncomingFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed now is removed at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Bytes that lie on the disk, and are no object yet.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) file: IncomingFile,
    pub(crate) size: u64,
    pub(crate) digests: Digests,
}

struct Writer {
    // Closed before its name goes.
    file: File,
    incoming: IncomingFile,
    size: u64,
    digester: Digester,
}

impl Writer {
    fn create(store: &Directory, algorithms: &[Algorithm]) -> Result<Self> {
        let incoming = IncomingFile::new(store);
        let file = File::create(&incoming.path).map_err(io_at(&incoming.path))?;
        Ok(Self { file, incoming, size: 0, digester: Digester::new(algorithms) })
    }

    fn write(&mut self, block: &[Bytes]) -> Result<()> {
        for bytes in block {
            self.digester.update(bytes);
            self.file.write_all(bytes).map_err(io_at(&self.incoming.path))?;
            self.size += bytes.len() as u64;
        }
        Ok(())
    }

    /// What was written, if it is as `announced`, on the disk.
    /// Their name gets there with the transaction that names them.
    fn finish(self, announced: &Announced) -> Result<Stored> {
        let digests = self.digester.finish();
        announced.check(self.size, &digests)?;
        if self.size > 0 {
            self.file.sync_data().map_err(io_at(&self.incoming.path))?;
        }
        Ok(Stored { file: self.incoming, size: self.size, digests })
    }
}

/// Takes in a whole body. What is not as announced is an error, and leaves nothing behind; `admit` is asked before the first
/// byte is written. A small body is one job.
pub(crate) async fn receive<S, E>(
    store: &Arc<Directory>,
    body: S,
    announced: Announced,
    admit: impl Fn(&Directory) -> Result<()> + Send + Sync + 'static,
) -> Result<Stored>
where
    S: Stream<Item = std::result::Result<Bytes, E>>,
    E: std::fmt::Display,
{
    if announced.length.is_some_and(|length| length > announced.limit) {
        return Err(Error::TooLarge { what: "body", limit: announced.limit });
    }
    let algorithms = announced.algorithms();
    let admit = Arc::new(admit);
    let job = move |store: &Directory, writer: Option<Writer>, block: &[Bytes]| {
        let make = || admit(store).and_then(|()| Writer::create(store, &algorithms));
        let mut writer = writer.map_or_else(make, Ok)?;
        writer.write(block)?;
        Ok(writer)
    };
    let job = Arc::new(job);
    let mut body = std::pin::pin!(body);
    let (mut gathered, mut gathered_bytes, mut received_bytes) = (Vec::new(), 0, 0);
    let mut writing: Option<tokio::task::JoinHandle<Result<Writer>>> = None;
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|error| Error::Body(error.to_string()))?;
        received_bytes += bytes.len() as u64;
        if received_bytes > announced.limit {
            return Err(Error::TooLarge { what: "body", limit: announced.limit });
        }
        gathered_bytes += bytes.len();
        gathered.push(bytes);
        if gathered_bytes >= BLOCK_BYTES {
            let writer = finished(writing.take()).await?;
            let (store, job) = (Arc::clone(store), Arc::clone(&job));
            let block = std::mem::take(&mut gathered);
            gathered_bytes = 0;
            writing =
                Some(tokio::spawn(
                    async move { store.blocking(move |store| job(store, writer, &block)).await },
                ));
        }
    }
    let writer = finished(writing.take()).await?;
    store.blocking(move |store| job(store, writer, &gathered)?.finish(&announced)).await
}

/// The writer of the block before, once that is written.
async fn finished(writing: Option<tokio::task::JoinHandle<Result<Writer>>>) -> Result<Option<Writer>> {
    let Some(writing) = writing else { return Ok(None) };
    writing.await.map_err(|_| Error::Stopping)?.map(Some)
}
